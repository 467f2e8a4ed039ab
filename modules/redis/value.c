/* Replies of Redis as JSON text. hiredis calls for each part as it reads it, and makes no objects
 * of its own: what most replies need is a few bytes. */
#include "redis.h"

#include <stdio.h>

/* Strings of Redis are bytes; JSON's are text. True when the bytes are UTF-8 (RFC 3629): no
 * overlong forms, no surrogates. */
static bool is_utf8(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data, *end = p + size;

    while (p < end) {
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

/* ---- Called by hiredis. What is given back is only not NULL: the text is in the value ---- */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* A part of an array comes behind those before it, and the last one ends the array, which may be
 * the last of another. */
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

static void *on_string(const redisReadTask *task, char *data, size_t size)
{
    struct value *value = part_begins(task);
    struct json_text *text = &value->text;

    if (task->parent == NULL && task->type == REDIS_REPLY_ERROR) {
        value->is_error = true;
        json_append(text, data, size);
        json_append(text, "", 1);
    } else if (task->type == REDIS_REPLY_STRING && value->returns == RETURNS_JSON) {
        if (pillion_json_check((pillion_bytes){data, size}))
            json_append(text, data, size);
        else
            text->failed = not_json;
    } else if (is_utf8(data, size)) { /* statuses and errors within arrays, too */
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

void value_reset(struct value *value)
{
    value->is_error = false;
    json_text_reset(&value->text);
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

    if (failed == not_text || failed == not_json) {
        pillion_fail(req, failed == not_text ? "redis_not_text" : "redis_not_json", "%s", failed);
    } else if (failed != NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "%s", failed);
    } else if (value->is_error) {
        pillion_count(pillion_self(req), METRIC_ERRORS, 1);
        pillion_fail(req, "redis_error", "%s", value_error(value));
    } else {
        pillion_reply_raw(req, "value", (pillion_bytes){value->text.data, value->text.size});
    }
}
