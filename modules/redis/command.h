/* Commands: the words of a `command` are read once, and each request makes its command from them
 * and its params. */
#ifndef REDIS_COMMAND_H
#define REDIS_COMMAND_H

#include <pillion/module.h>

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

/* Splits the words of a `command`. Returns 0, or as pillion_error. */
int command_read(const pillion_list *words, struct command *command, pillion_error_text *error);

/* Makes the command from the request's params, in the protocol's form and the request's memory.
 * False when the request is answered, with `invalid_params`. */
bool command_make(pillion_request *req, const struct command *command, pillion_bytes *encoded);

#endif
