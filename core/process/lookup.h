/* Looking host names up, in children of the calling process. So a slow name server cannot hold the
 * process up, and a malicious answer is parsed where it can do no harm. */
#ifndef PILLION_PROCESS_LOOKUP_H
#define PILLION_PROCESS_LOOKUP_H

#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"

#define LOOKUP_ADDRESSES_MAX 64u /* addresses of one name */

/* The addresses of a name. `error` is "" when there is at least one. */
struct lookup_result {
    size_t count;
    struct error error;
    struct address addresses[LOOKUP_ADDRESSES_MAX];
};

struct lookup {
    const char *text; /* "localhost:8080" */
    struct lookup_result result;
    pid_t pid; /* the child's; 0: none */
    int fd;    /* the result is read from here */
    size_t got;
};

/* Looks up the `text` of each lookup, all at the same time. Lookups that are not done after
 * `limit_ms` fail. */
void lookup_all(struct lookup *lookups, size_t count, uint64_t limit_ms);

#endif
