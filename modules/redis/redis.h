/* The redis module's parts: redis.c (directives and methods), command.c (from params to a command),
 * link.c and calls.c (connections to the server, and the commands and replies on them) and value.c
 * (from replies to JSON). */
#ifndef REDIS_H
#define REDIS_H

#include <hiredis/hiredis.h>
#include <pillion/module.h>

#include "../json_text.h"

/* The block of load_module. */
struct settings {
    const char *server; /* "127.0.0.1:6379" or "unix:PATH" */
    int64_t connections;
    uint64_t timeout_ms;
    const char *password;
    int64_t database;
    int64_t max_pending;
    uint64_t max_unsent, max_reply;
};

/* The rows of the table of metrics. */
enum metric { METRIC_COMMANDS, METRIC_ERRORS, METRIC_UNAVAILABLE, METRIC_CONNECTED };

/* ---- command.c ---- */

/* A word of a `command`: as it stands, or a member of params. */
struct word {
    const char *text; /* the word, or the member's name; ended by NUL */
    size_t size;
    const char *prefix; /* the text before $name in the same word */
    size_t prefix_size;
    bool is_param, optional, spreads; /* $name, $name?, $names... */
    bool leads; /* the word before an optional member, left out with it: EX of `EX $ttl?` */
};

struct command {
    struct word *words;
    size_t count;
    bool may_wait; /* depending on params */
};

/* The block of a `method` statement. */
struct method {
    pillion_list words;
    int returns; /* enum returns */
    struct command command;
};

/* Splits the words of a `command`. Returns 0, or as pillion_error. */
int command_read(const pillion_list *words, struct command *command, pillion_error_text *error);

/* Makes the command from the request's params, in the protocol's form and the request's memory.
 * False when the request is answered, with `invalid_params`. */
bool command_make(pillion_request *req, const struct command *command, pillion_bytes *encoded);

/* ---- link.c and calls.c ---- */

struct links;

/* Connects as soon as the loop runs. NULL with the reason. */
struct links *links_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error);
void links_close(struct links *links);

/* Sends the command and defers the request, or answers it with an error. The reply goes to
 * value_reply. While no connection takes it, it waits; `command` is in the request's memory. */
void links_send(struct links *links, pillion_request *req, pillion_bytes command, int returns);

/* Checks the address. Returns 0, or as pillion_error. */
int links_check(const struct settings *settings, pillion_error_text *error);

/* ---- value.c ---- */

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
