/* Looking host names up, in children of the calling process: a name server may take as long as it
 * likes, and what it sends is read where it can do no harm. */
#ifndef PILLION_PROCESS_LOOKUP_H
#define PILLION_PROCESS_LOOKUP_H

#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"

#define LOOKUP_ADDRESSES_MAX 64u /* of one name */

/* What a name has. `error` is "" when there is at least one address. */
struct lookup_result {
    size_t count;
    struct error error;
    struct address addresses[LOOKUP_ADDRESSES_MAX];
};

struct lookup {
    const char *text; /* "localhost:8080" */
    struct lookup_result result;
    pid_t pid; /* the child's; 0: none */
    int fd;    /* what it says comes from here */
    size_t got;
};

/* Looks them all up at the same time, for `limit_ms` in all; those that are not done by then fail.
 * The `text`s are set. */
void lookup_all(struct lookup *lookups, size_t count, uint64_t limit_ms);

#endif
