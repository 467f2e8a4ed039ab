/* What replies say: `{"out": NAME, "result": ANY}` and, when the request had one, `"id": ID`. The
 * frame around it is wire/protocol.h's.
 *
 * A reply is measured first and then written in place, so that it is built where it will be sent
 * from. */
#ifndef PILLION_WIRE_REPLY_H
#define PILLION_WIRE_REPLY_H

#include "base/bytes.h"

struct reply {
    struct bytes out;    /* plain text; escaped when it is written, what is not UTF-8 as U+FFFD */
    size_t out_size;     /* of `out` as it is written: its own size when it stands for itself */
    struct bytes result; /* JSON, written as it is; never empty */
    struct bytes id;     /* JSON, or data NULL for none */
};

/* Sets `out`, and measures it. A string is measured as it is read, once. */
void reply_set_out(struct reply *reply, struct bytes out);
void reply_set_out_string(struct reply *reply, const char *out);

#define REPLY_OUT    "{\"out\":\""
#define REPLY_RESULT "\",\"result\":"
#define REPLY_ID     ",\"id\":"

/* Bytes that reply_write will write. */
static inline size_t reply_size(const struct reply *reply)
{
    size_t size = sizeof(REPLY_OUT REPLY_RESULT "}") - 1 + reply->out_size + reply->result.size;

    return reply->id.data == NULL ? size : size + sizeof(REPLY_ID) - 1 + reply->id.size;
}

/* Writes it to `to`, which has room for reply_size bytes; returns that size. */
size_t reply_write(const struct reply *reply, char *to);

/* The result of an error reply, `{"code": CODE, "message": TEXT}`, written to `to` and cut (at a
 * character's end) to fit `capacity`, which must be at least 256. Both are plain text; a code so
 * long that nothing else fits is cut too. Returns the span written. */
struct bytes reply_error_result(const char *code, struct bytes message, char *to, size_t capacity);

#endif
