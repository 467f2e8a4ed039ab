/* The replies to a load (cmd/bench_load.h): where one ends in what a connection receives, and which
 * errors are among them, by their codes.
 *
 * Large replies are not kept, so that the server is measured and not this. Of JSON it knows only
 * how a reply begins. Reads nothing from anywhere: its caller receives. */
#ifndef PILLION_CMD_BENCH_REPLIES_H
#define PILLION_CMD_BENCH_REPLIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cmd/dialect.h"
#include "wire/frame.h"

/* Error replies with the same `code`. More codes than REPLY_CODES count as the last of them. */
#define REPLY_CODES     16u
#define REPLY_CODE_SIZE 64u
struct reply_code {
    char name[REPLY_CODE_SIZE]; /* as it was sent, cut; "HTTP 502" or "error" when there is none */
    uint64_t count;
};

struct reply_errors {
    uint64_t count;
    struct text first; /* the body of the first, 4 KiB of it at most; the caller frees it */
    struct reply_code codes[REPLY_CODES]; /* those behind the last have no count */
};

/* The reply of one connection that has come in part. All zero at first. */
#define REPLY_START_SIZE 128u /* bytes of a body, in which an error's code is found */
struct reply_part {
    char start[FRAME_HEADER_SIZE + REPLY_START_SIZE];
    uint32_t have;    /* bytes of `start` */
    uint64_t left;    /* bytes of the frame that are still to come, once its header is there */
    struct text rest; /* the bytes of it, in protocols other than frames; the caller frees it */
    struct frame_progress progress;
    bool odd; /* a frame has come that is no reply */
};

/* What all connections have in common. */
struct replies {
    const struct dialect *dialect;
    struct bytes error_start; /* of the body of an error reply */
    struct reply_errors *errors;
    const struct reply_part *first_of; /* whose reply is errors->first, and not whole; NULL: none */
};

/* `errors` is all zero, and stays the caller's. */
void replies_begin(struct replies *replies, const struct dialect *dialect,
                   struct reply_errors *errors);

/* Adds the number of replies that end in `input` to `count`, and keeps the start of one that is not
 * whole in `part`. False when they cannot be read, or are no replies. */
bool replies_count(struct replies *replies, struct reply_part *part, struct bytes input,
                   uint32_t *count);

#endif
