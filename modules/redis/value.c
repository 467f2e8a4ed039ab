/* Replies of Redis as JSON text. hiredis calls a function here for each part that it reads, and
 * makes no objects of its own, since most replies are a few bytes. Large strings are kept
 * unconverted until the reply is complete, and then converted piece by piece, so that other clients
 * do not wait. */
#include "value.h"

#include <hiredis/sds.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

#define PIECE 32768u /* bytes of a string that are converted at once; longer strings are large */

/* Strings of Redis are bytes; JSON's are text. True when the bytes are UTF-8 (RFC 3629): no
 * overlong forms, no surrogates. */
static bool is_utf8(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data, *end = p + size;
    uint64_t word;

    while (p < end) {
        /* Most text is ASCII: eight bytes at a time. */
        if (end - p >= 8 && (memcpy(&word, p, 8), (word & UINT64_C(0x8080808080808080)) == 0)) {
            p += 8;
            continue;
        }
        unsigned more = *p < 0x80                 ? 0
                        : *p >= 0xc2 && *p < 0xe0 ? 1
                        : *p >= 0xe0 && *p < 0xf0 ? 2
                                                  : 3;
        if (*p >= 0x80 && (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) <= more))
            return false;
        if (more > 1 && ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
                         (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)))
            return false;
        for (unsigned i = 1; i <= more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
        }
        p += more + 1;
    }
    return true;
}

static const char not_text[] = "the value is not UTF-8 text";
static const char not_json[] = "the value is not JSON";

/* ---- Called by hiredis. The result only must not be NULL: the text is in the value ---- */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* Ends an element of an array. The last element ends the array, which may itself be the last
 * element of another. */
static struct value *part_begins(const redisReadTask *task)
{
    struct value *value = task->privdata;

    if (task->parent != NULL && task->idx > 0)
        json_append(&value->text, ",", 1);
    return value;
}

static void *part_ends(const redisReadTask *task)
{
    struct value *value = task->privdata;

    for (; task->parent != NULL && task->idx == task->parent->elements - 1; task = task->parent)
        json_append(&value->text, "]", 1);
    return value;
}

static bool is_too_large(const struct value *value, size_t size)
{
    const struct json_text *text = &value->text;
    return text->limit != 0 &&
           (size > text->limit || text->size + value->large_size + size + 2 > text->limit);
}

/* Keeps a large string for later. Its size counts at once, before it is copied. */
static void keep_large(struct value *value, const char *data, size_t size)
{
    struct json_text *text = &value->text;
    struct large *grown;

    if (text->failed != NULL)
        return;
    if (is_too_large(value, size)) {
        json_fail_too_large(text);
        return;
    }
    grown = realloc(value->larges, (value->large_count + 1) * sizeof(*grown));
    char *copy = grown == NULL ? NULL : malloc(size);
    if (grown != NULL)
        value->larges = grown;
    if (copy == NULL) {
        text->failed = "out of memory";
        return;
    }
    memcpy(copy, data, size);
    value->larges[value->large_count++] = (struct large){copy, size, text->size};
    value->large_size += size + 2;
}

/* Takes an error, which is the whole reply, or a part of it: then it becomes {"error": "…"}. */
static void take_error(struct value *value, const redisReadTask *task, const char *data,
                       size_t size)
{
    struct json_text *text = &value->text;

    if (task->parent == NULL) {
        value->is_error = true;
        json_append(text, data, size);
        json_append(text, "", 1);
    } else if (is_utf8(data, size)) {
        json_append(text, "{\"error\":", 9);
        json_append_string(text, data, size);
        json_append(text, "}", 1);
    } else {
        text->failed = not_text;
    }
}

static void *on_string(const redisReadTask *task, char *data, size_t size)
{
    struct value *value = part_begins(task);
    struct json_text *text = &value->text;

    if (task->type == REDIS_REPLY_ERROR) {
        take_error(value, task, data, size);
    } else if (task->type == REDIS_REPLY_STRING && value->returns == RETURNS_JSON) {
        if (!json_reserve(text, size))
            return part_ends(task);
        if (pillion_json_check((pillion_bytes){data, size}))
            json_append(text, data, size);
        else
            text->failed = not_json;
    } else if (size > PIECE) {
        keep_large(value, data, size);
    } else if (is_utf8(data, size)) { /* a string or a status */
        json_append_string(text, data, size);
    } else {
        text->failed = not_text;
    }
    return part_ends(task);
}

static void *on_array(const redisReadTask *task, array_size elements)
{
    struct value *value = part_begins(task);

    json_append(&value->text, "[]", elements == 0 ? 2 : 1);
    return elements == 0 ? part_ends(task) : value;
}

static void *on_integer(const redisReadTask *task, long long integer)
{
    struct value *value = part_begins(task);
    char number[32];

    json_append(&value->text, number, (size_t)snprintf(number, sizeof(number), "%lld", integer));
    return part_ends(task);
}

static void *on_nil(const redisReadTask *task)
{
    json_append(&part_begins(task)->text, "null", 4);
    return part_ends(task);
}

static void on_free(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = on_free,
};

/* ---- */

void value_attach(struct value *value, redisContext *redis)
{
    redis->reader->fn = &functions;
    redis->reader->privdata = value;
    value_reset(value);
}

/* The size of the string whose header is at `at`: digits and a line's end, `*header` bytes in all.
 * The reader has taken the type before them, and only for a string does it wait behind a whole
 * line. 0: the reader waits for something else. */
static size_t announced(const char *at, size_t size, size_t *header)
{
    size_t number = 0, i = 0;

    while (i < size && i < 12 && at[i] >= '0' && at[i] <= '9')
        number = number * 10 + (size_t)(at[i++] - '0');
    if (i == 0 || size - i < 2 || at[i] != '\r' || at[i + 1] != '\n')
        return 0;
    *header = i + 2;
    return number;
}

size_t value_skip(struct value *value, redisReader *reader)
{
    static const char nil[] = "-1\r\n";
    size_t there = reader->len - reader->pos, header;
    size_t size = announced(reader->buf + reader->pos, there, &header);

    /* Dropping the rest of a short string is not worth it. */
    if (size <= PIECE || !is_too_large(value, size) || size + 2 <= there - header)
        return 0;
    size_t rest = size + 2 - (there - header);
    if (reader->pos == 0)
        sdsclear(reader->buf);
    else
        sdsrange(reader->buf, 0, (int)reader->pos - 1);
    reader->len = reader->pos;
    if (redisReaderFeed(reader, nil, sizeof(nil) - 1) != REDIS_OK)
        return 0; /* the reader reports its failure */
    json_fail_too_large(&value->text);
    return rest;
}

static void free_larges(struct value *value)
{
    for (size_t i = 0; i < value->large_count; i++)
        free(value->larges[i].data);
    free(value->larges);
    free(value->put_together.data);
    value->larges = NULL;
    value->put_together = (struct json_text){0};
    value->large_count = value->large_size = value->done = value->offset = value->copied = 0;
}

void value_reset(struct value *value)
{
    value->is_error = value->whole = false;
    json_text_reset(&value->text);
    free_larges(value);
}

void value_free(struct value *value)
{
    free_larges(value);
    free(value->text.data);
}

/* How much of the next large string is converted now: whole characters. */
static size_t piece_size(const struct value *value, const struct large *large)
{
    size_t size = large->size - value->offset;

    if (size <= PIECE)
        return size;
    size = PIECE;
    for (unsigned i = 0; i < 3 && (large->data[value->offset + size] & 0xc0) == 0x80; i++)
        size--;
    return size;
}

/* Puts the next piece of the next large string behind the text so far. */
static void put_piece(struct value *value)
{
    struct json_text *to = &value->put_together;
    struct large *large = &value->larges[value->done];
    const char *piece = large->data + value->offset;
    size_t size = piece_size(value, large);

    if (value->offset == 0) {
        json_append(to, value->text.data + value->copied, large->at - value->copied);
        value->copied = large->at;
        json_append(to, "\"", 1);
    }
    if (!is_utf8(piece, size)) {
        to->failed = not_text;
        return;
    }
    json_append_piece(to, piece, size);
    value->offset += size;
    if (value->offset < large->size)
        return;
    json_append(to, "\"", 1);
    free(large->data);
    large->data = NULL;
    value->done++;
    value->offset = 0;
}

bool value_step(struct value *value, long *budget)
{
    struct json_text *to = &value->put_together;

    if (value->large_count == 0 || value->text.failed != NULL)
        return true;
    to->limit = value->text.limit;
    while (value->done < value->large_count && to->failed == NULL) {
        if (*budget <= 0)
            return false;
        *budget -= PIECE;
        put_piece(value);
    }
    json_append(to, value->text.data + value->copied, value->text.size - value->copied);
    free(value->text.data);
    value->text = *to;
    *to = (struct json_text){0};
    return true;
}

const char *value_error(const struct value *value)
{
    if (!value->is_error)
        return NULL;
    return value->text.failed != NULL ? value->text.failed : value->text.data;
}

void value_reply(pillion_request *req, const struct value *value)
{
    const char *failed = value->text.failed;

    if (value->text.too_large) {
        pillion_fail(req, "redis_too_large",
                     "the reply is larger than %zu bytes (max_reply); the command was carried out",
                     value->text.limit);
    } else if (failed == not_text || failed == not_json) {
        pillion_fail(req, failed == not_text ? "redis_not_text" : "redis_not_json", "%s", failed);
    } else if (failed != NULL) {
        pillion_fail_retry(req, PILLION_OVERLOADED, 0,
                           "%s for the reply; the command was carried out", failed);
    } else if (value->is_error) {
        pillion_count(pillion_self(req), METRIC_ERRORS, 1);
        pillion_fail(req, "redis_error", "%s", value_error(value));
    } else {
        pillion_reply_raw(req, "value", (pillion_bytes){value->text.data, value->text.size});
    }
}
