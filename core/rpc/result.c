/* Writing results. See result.h. */
#include "rpc/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_escape.h"
#include "base/log_seldom.h"
#include "rpc/validate.h"
#include "wire/base64.h"
#include "wire/json.h"
#include "wire/json_plain.h"
#include "wire/number.h"

#define BRIEF_SIZE 1024u

struct result {
    struct pool_end end;
    struct pillion_request *req; /* that has room which grows for its reply; NULL: it has none */
    const char *out;
    char *text;   /* in `brief`, in the heap, or in the reply's room */
    char *place;  /* where the reply begins in that room; NULL: the text is elsewhere */
    size_t ahead; /* bytes that the reply has there before the text, at most */
    size_t size, room;
    size_t most;         /* bytes that the text may have; it stays as it is beyond, ... */
    bool separate;       /* a comma comes before what is written next */
    bool named;          /* its name is there already */
    bool lacks_memory;   /* ... and from then on */
    const char *mistake; /* the first one, or NULL */
    unsigned depth;      /* of arrays and objects that are open */
    uint64_t arrays[JSON_DEPTH_MAX / 64];
    char brief[BRIEF_SIZE];
};

static const char *method_of(const struct pillion_request *req)
{
    return req->method->own_name;
}

static void free_text(struct result *result)
{
    if (result->text != result->brief && result->place == NULL)
        free(result->text);
    result->text = result->brief;
    result->place = NULL;
}

static void end_result(struct pool_end *end)
{
    free_text((struct result *)end); /* its first member */
}

/* ---- Where the text is ---- */

/* Bytes of the reply behind its result, at most. */
static size_t behind(const struct pillion_request *req)
{
    return 16 + (req->id.data == NULL ? 0 : req->id.size);
}

/* Bytes of the reply ahead of a result of `size` bytes. */
static size_t find_ahead(const struct result *result, size_t size)
{
    const struct pillion_request *req = result->req;
    struct reply reply = {
        .result = {result->text, size}, .id = req->id, .format = req->format, .http = &req->http};

    if (result->out != NULL)
        reply_set_out_string(&reply, result->out);
    return protocol_reply_ahead(req->protocol, &reply);
}

/* Room for a text of `size` bytes in the reply's own place, for one of which `before` bytes are
 * written. */
static bool extend(struct result *result, size_t before, size_t size)
{
    struct pillion_request *req = result->req;
    size_t around, room;

    if (req == NULL || req->answered)
        return false;
    if (result->place == NULL)
        result->ahead = find_ahead(result, (size_t)req->max_reply);
    around = result->ahead + behind(req);
    room = around + size;
    char *place = req->extend(req, result->place == NULL ? 0 : result->ahead + before, &room);
    if (place == NULL)
        return false;
    if (result->place == NULL)
        memcpy(place + result->ahead, result->text, before);
    result->place = place;
    result->text = place + result->ahead;
    result->room = room - around;
    return true;
}

/* The same in the heap, where the text stays from then on. */
static bool move_to_heap(struct result *result, size_t before, size_t size)
{
    bool in_heap = result->text != result->brief && result->place == NULL;
    size_t room = size > result->most / 2 ? result->most : size * 2;
    char *text = realloc(in_heap ? result->text : NULL, room);

    if (text == NULL) {
        result->lacks_memory = true;
        return false;
    }
    if (!in_heap)
        memcpy(text, result->text, before);
    result->text = text;
    result->room = room;
    if (result->place != NULL) {
        size_t nothing = 0;
        struct pillion_request *req = result->req;
        result->place = NULL;
        result->req = NULL;
        req->extend(req, 0, &nothing);
    }
    return true;
}

/* Room for `more` bytes at the text's end; NULL when there is none, now and from then on. The bytes
 * are counted all the same, for the error. */
static char *add(struct result *result, size_t more)
{
    size_t before = result->size, size = before + more;

    result->size = size;
    if (size > result->most || result->lacks_memory)
        return NULL;
    if (size > result->room && !extend(result, before, size) && !move_to_heap(result, before, size))
        return NULL;
    return result->text + before;
}

void result_keep(struct pillion_request *req)
{
    struct result *result = req->result;

    if (result == NULL)
        return;
    if (result->place != NULL)
        move_to_heap(result, result->size, result->size);
    result->req = NULL;
}

void result_over(struct pillion_request *req)
{
    struct result *result = req->result;

    if (result == NULL || result->place == NULL)
        return;
    free_text(result);
    result->lacks_memory = true;
}

/* ---- Text ---- */

static void add_char(struct result *result, char c)
{
    char *to = add(result, 1);

    if (to != NULL)
        *to = c;
}

static void add_bytes(struct result *result, struct bytes bytes)
{
    char *to = add(result, bytes.size);

    if (to != NULL && bytes.size > 0) /* of none at all, `data` may be NULL */
        memcpy(to, bytes.data, bytes.size);
}

static void add_quoted(struct result *result, struct bytes text)
{
    size_t plain = text.size == 0
                       ? 0
                       : (size_t)(json_skip_plain(text.data, text.data + text.size) - text.data);
    struct bytes rest = {text.data + plain, text.size - plain};
    size_t escaped = rest.size == 0 ? 0 : json_escape(rest, NULL, SIZE_MAX);
    char *to = add(result, plain + escaped + 2);

    if (to == NULL)
        return;
    *to++ = '"';
    if (text.size > 0)
        memcpy(to, text.data, plain);
    json_escape(rest, to + plain, escaped);
    to[plain + escaped] = '"';
}

static bool in_array(const struct result *result)
{
    unsigned level = result->depth - 1;
    return level < JSON_DEPTH_MAX && (result->arrays[level / 64] >> level % 64 & 1) != 0;
}

static void note_mistake(struct result *result, const char *mistake)
{
    if (result->mistake == NULL)
        result->mistake = mistake;
}

/* Writes what comes before a value: a comma, and a member's name. NULL when nothing is being
 * written. */
static struct result *start_value(struct pillion_request *req, const char *name)
{
    struct result *result = req->result;

    if (result == NULL) {
        log_seldom(LOG_ERROR_LEVEL, req->method,
                   "module %s: \"%s\" writes a value into a result that it has not begun; it is "
                   "dropped (pillion_begin_object)",
                   req->method->instance->name, method_of(req));
        return NULL;
    }
    if (result->named) {
        result->named = false;
        return result;
    }
    if (result->separate)
        add_char(result, ',');
    result->separate = true;
    if (in_array(result)) {
        if (name != NULL)
            note_mistake(result, "an element of an array has a name");
        return result;
    }
    if (name == NULL) {
        note_mistake(result, "a member of an object has no name");
        return result;
    }
    add_quoted(result, bytes_of(name));
    add_char(result, ':');
    return result;
}

/* ---- Begin and end ---- */

/* Whether the text may be written where the reply will be sent from. The reply of a tool has it
 * twice, and a deferred request has another place. */
static bool may_extend(const struct pillion_request *req)
{
    return req->extend != NULL && !req->notifies && !req->promised &&
           req->format != ENVELOPE_TOOL && req->format != ENVELOPE_TOOL_LEGACY;
}

static struct result *start_result(struct pillion_request *req, const char *out)
{
    size_t size = strlen(out == NULL ? "" : out) + 1;
    struct result *result =
        req->pool->ending ? NULL : pool_alloc(req->pool, sizeof(*result) + size);

    if (result == NULL) {
        request_fail(req, PILLION_INTERNAL_ERROR, "no memory to build the reply");
        return NULL;
    }
    result->end = (struct pool_end){.call = end_result};
    result->out = out == NULL ? NULL : memcpy(result + 1, out, size);
    result->text = result->brief;
    result->place = NULL;
    result->size = 0;
    result->room = BRIEF_SIZE;
    result->most = (size_t)req->max_reply;
    result->req = may_extend(req) ? req : NULL;
    result->separate = result->named = result->lacks_memory = false;
    result->mistake = NULL;
    result->depth = 0;
    pool_on_end(req->pool, &result->end);
    return req->result = result;
}

void result_begin(struct pillion_request *req, const char *name, bool array)
{
    struct result *result = req->result == NULL ? start_result(req, name) : start_value(req, name);

    if (result == NULL)
        return;
    unsigned level = result->depth++;
    if (level < JSON_DEPTH_MAX) {
        uint64_t bit = (uint64_t)1 << level % 64, *word = &result->arrays[level / 64];
        *word = array ? *word | bit : *word & ~bit;
    } else {
        note_mistake(result, "more objects and arrays lie in each other than JSON may have here");
    }
    add_char(result, array ? '[' : '{');
    result->separate = false;
}

void result_refuse(struct pillion_request *req, const char *mistake)
{
    log_seldom(LOG_ERROR_LEVEL, req->method, "module %s: \"%s\" wrote a wrong result: %s",
               req->method->instance->name, method_of(req), mistake);
    request_fail(req, PILLION_INTERNAL_ERROR, "\"%s\" wrote a wrong result (module %s): %s",
                 method_of(req), req->method->instance->name, mistake);
}

/* The text, in the reply's place, lies where reply_write will put it; or it is elsewhere. */
static void settle(struct result *result)
{
    if (result->place == NULL)
        return;
    size_t ahead = find_ahead(result, result->size);
    if (ahead > result->ahead)
        move_to_heap(result, result->size, result->size);
    else
        result->text = memmove(result->place + ahead, result->text, result->size);
}

static void reply(struct pillion_request *req, struct result *result)
{
    if (result->mistake == NULL && !result->lacks_memory && result->size <= result->most)
        settle(result);
    req->result = NULL;
    if (result->mistake != NULL) {
        result_refuse(req, result->mistake);
    } else if (result->lacks_memory) {
        request_fail(req, PILLION_INTERNAL_ERROR, "no memory to build the reply");
    } else if (result->size > result->most) {
        request_fail_too_large(req, result->size);
    } else if (validate_result(req, (struct bytes){result->text, result->size})) {
        request_reply(req, result->out, (struct bytes){result->text, result->size});
    }
    free_text(result);
}

void result_end(struct pillion_request *req)
{
    struct result *result = req->result;

    if (result == NULL) {
        log_seldom(LOG_ERROR_LEVEL, req->method,
                   "module %s: \"%s\" ends an object or an array that it has not begun "
                   "(pillion_end)",
                   req->method->instance->name, method_of(req));
        return;
    }
    bool array = in_array(result);
    result->depth--;
    add_char(result, array ? ']' : '}');
    result->separate = true;
    if (result->depth == 0)
        reply(req, result);
}

void result_wrong(struct pillion_request *req, const char *mistake)
{
    if (req->result != NULL)
        note_mistake(req->result, mistake);
}

/* ---- Values ---- */

void result_put_key(struct pillion_request *req, struct bytes key)
{
    struct result *result = req->result;
    char *to = add(result, key.size + result->separate);

    if (to != NULL && result->separate)
        *to++ = ',';
    if (to != NULL)
        memcpy(to, key.data, key.size);
    result->separate = result->named = true;
}

void result_put_text(struct pillion_request *req, const char *name, struct bytes text)
{
    if (text.data == NULL) {
        result_put_json(req, name, BYTES("null"));
        return;
    }
    struct result *result = start_value(req, name);

    if (result != NULL)
        add_quoted(result, text);
}

void result_put_base64(struct pillion_request *req, const char *name, struct bytes data)
{
    if (data.data == NULL) {
        result_put_json(req, name, BYTES("null"));
        return;
    }
    struct result *result = start_value(req, name);
    size_t size = BASE64_ENCODED(data.size);
    char *to = result == NULL ? NULL : add(result, size + 2);

    if (to == NULL)
        return;
    to[0] = to[size + 1] = '"';
    base64_encode(data, to + 1);
}

void result_put_integer(struct pillion_request *req, const char *name, int64_t value)
{
    char digits[24], *first = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--first = '-';
    result_put_json(req, name, (struct bytes){first, (size_t)(digits + sizeof(digits) - first)});
}

void result_put_number(struct pillion_request *req, const char *name, double value)
{
    char text[NUMBER_TEXT_MAX];

    /* JSON has no infinity and no NaN: RFC 8259 section 6. */
    result_put_json(req, name,
                    isfinite(value) ? (struct bytes){text, number_print(value, text)}
                                    : BYTES("null"));
}

void result_put_json(struct pillion_request *req, const char *name, struct bytes json)
{
    struct result *result = start_value(req, name);

    if (result != NULL)
        add_bytes(result, json);
}
