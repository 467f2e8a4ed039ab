/* Replies of Redis as JSON text. */
#include "redis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json_text.h"

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

static void append_text(struct json_text *text, const redisReply *reply)
{
    if (is_utf8(reply->str, reply->len))
        json_append_string(text, reply->str, reply->len);
    else
        text->failed = not_text;
}

static void append_value(struct json_text *text, const redisReply *reply, int returns)
{
    char number[32];

    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        json_append(text, number, (size_t)snprintf(number, sizeof(number), "%lld", reply->integer));
        break;
    case REDIS_REPLY_NIL:
        json_append(text, "null", 4);
        break;
    case REDIS_REPLY_ARRAY:
        json_append(text, "[", 1);
        for (size_t i = 0; i < reply->elements; i++) {
            json_append(text, ",", i > 0);
            append_value(text, reply->element[i], returns);
        }
        json_append(text, "]", 1);
        break;
    case REDIS_REPLY_STRING:
        if (returns == RETURNS_JSON && !pillion_json_check((pillion_bytes){reply->str, reply->len}))
            text->failed = not_json;
        else if (returns == RETURNS_JSON)
            json_append(text, reply->str, reply->len);
        else
            append_text(text, reply);
        break;
    default: /* a status, or an error within an array */
        append_text(text, reply);
        break;
    }
}

void value_reply(pillion_request *req, const redisReply *reply, int returns)
{
    static struct json_text text; /* used again and again: most replies are short */

    if (reply->type == REDIS_REPLY_ERROR) {
        pillion_count(pillion_self(req), METRIC_ERRORS, 1);
        pillion_fail(req, "redis_error", "%s", reply->str);
        return;
    }
    append_value(&text, reply, returns);
    if (text.failed == not_text || text.failed == not_json)
        pillion_fail(req, text.failed == not_text ? "redis_not_text" : "redis_not_json", "%s",
                     text.failed);
    else if (text.failed != NULL)
        pillion_fail(req, PILLION_OVERLOADED, "%s", text.failed);
    else
        pillion_reply_raw(req, "value", (pillion_bytes){text.data, text.size});
    json_text_reset(&text);
}
