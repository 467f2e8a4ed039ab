/* Replies, in the format of their request. Pillion's own:
 *
 *     {"out": NAME, "result": ANY}   and, when the request had one, "id": ID
 *
 * An error has the name `error`, and the result {"code": CODE, "message": TEXT, …}. JSON-RPC 2.0:
 *
 *     {"jsonrpc": "2.0", "result": ANY, "id": ID}
 *     {"jsonrpc": "2.0", "error": {"code": NUMBER, "message": TEXT, "data": ANY}, "id": ID}
 *
 * where `data` is what `result` is in the other format. The reply to a call of a tool (rpc/mcp.h)
 * is a success of JSON-RPC in either case; its result says whether the method failed:
 *
 *     {"content": [{"type": "text", "text": TEXT}], "structuredContent": ANY, "isError": false}
 *
 * where TEXT is the method's result, or what is in it when that is a string. wire/protocol.h puts
 * the frame around them.
 *
 * A reply is measured first and then written to the place from which it will be sent. */
#ifndef PILLION_WIRE_REPLY_H
#define PILLION_WIRE_REPLY_H

#include "wire/envelope.h"
#include "wire/error_code.h"

/* How a reply goes out over HTTP. */
struct reply_http {
    uint32_t style;      /* see wire/http_reply.h */
    uint32_t retry_s;    /* when another try is worth it; 0: that is not known */
    const char *date;    /* as http_date writes it */
    struct bytes origin; /* of the page that may read the response; data NULL for none */
    struct bytes nonce;  /* of HTTP_STYLE_PAGE: the one that its script and style have */
};

struct reply {
    struct bytes out;    /* plain text; escaped when it is written, invalid UTF-8 as U+FFFD */
    size_t out_size;     /* of `out` when it is escaped */
    struct bytes result; /* JSON, written as it is; never empty */
    struct bytes id;     /* JSON, or data NULL for none */
    const struct error_code *error; /* of an error; NULL for a success */
    uint8_t format;                 /* enum envelope_format */
    const struct reply_http *http;  /* NULL where HTTP is not spoken */
};

/* Sets `out`, and measures it. A string is measured as it is read, once. */
void reply_set_out(struct reply *reply, struct bytes out);
void reply_set_out_string(struct reply *reply, const char *out);

/* Makes it an error with this code and result. */
void reply_set_error(struct reply *reply, const char *code, struct bytes result);

#define REPLY_OUT    "{\"out\":\""
#define REPLY_RESULT "\",\"result\":"
#define REPLY_ID     ",\"id\":"

/* The number of bytes that reply_write will write. */
size_t reply_size_other(const struct reply *reply);
static inline size_t reply_size(const struct reply *reply)
{
    if (reply->format != ENVELOPE_PILLION)
        return reply_size_other(reply);
    size_t size = sizeof(REPLY_OUT REPLY_RESULT "}") - 1 + reply->out_size + reply->result.size;

    return reply->id.data == NULL ? size : size + sizeof(REPLY_ID) - 1 + reply->id.size;
}

/* The bytes before the result, which is there once: not of a tool's reply, nor of an error. */
size_t reply_ahead(const struct reply *reply);

/* Writes the reply to `to`, which has room for reply_size bytes; returns that size. The result may
 * lie there already, behind the bytes that come before it. */
size_t reply_write(const struct reply *reply, char *to);

/* The result of an error reply, `{"code": CODE, "message": TEXT}`, written to `to` and cut (at a
 * character's end) to fit `capacity`, which must be at least 256. Both are plain text; a code so
 * long that nothing else fits is cut too. Unless `retry_ms` is 0, `"retry_after": SECONDS` follows.
 * Returns the span written. */
struct bytes reply_error_result(const char *code, struct bytes message, uint64_t retry_ms, char *to,
                                size_t capacity);

#endif
