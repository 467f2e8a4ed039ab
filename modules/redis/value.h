/* Replies of Redis as JSON text. */
#ifndef REDIS_VALUE_H
#define REDIS_VALUE_H

#include <hiredis/hiredis.h>
#include <pillion/module.h>

#include "../json_text.h"

enum returns { RETURNS_VALUE, RETURNS_JSON };

/* A copy of a large string of a reply, and its place in the text. */
struct large {
    char *data;
    size_t size, at;
};

/* A reply of Redis as JSON; it grows while the reply is read. Starts as `{.text.limit = …}`. */
struct value {
    struct json_text text; /* the text of an error ends with a NUL */
    bool is_error;
    bool whole;  /* the reply has been read */
    int returns; /* of the request whose reply it is */

    /* Large strings become text in turns, once the reply is whole. */
    struct large *larges;
    size_t large_count, large_size;
    struct json_text put_together; /* the text, with the large strings that are done */
    size_t done, offset, copied;   /* of `larges`, of the next of them, and of `text` */
};

/* Makes hiredis build replies of this connection in the value, one after the other;
 * redisGetReplyFromReader then only reports that one is complete. */
void value_attach(struct value *value, redisContext *redis);

/* Empties the value for the next reply. */
void value_reset(struct value *value);
void value_free(struct value *value);

/* Redis has announced a string that is too large, and the reader waits for it: the string becomes a
 * nil in the reader, and the reply too large. Returns how many bytes of it are still to come, and
 * are to be dropped unread; 0 when there is no such string. */
size_t value_skip(struct value *value, redisReader *reader);

/* Goes on converting a complete reply, and takes the work from `budget`. False when the budget is
 * used up first. */
bool value_step(struct value *value, long *budget);

/* Redis's error message, or NULL. */
const char *value_error(const struct value *value);

/* Answers the request with the value. */
void value_reply(pillion_request *req, const struct value *value);

#endif
