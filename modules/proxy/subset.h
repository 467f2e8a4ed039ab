/* Which of very many servers a worker asks: so many that requests are spread, and so few that the
 * connections of all workers to all servers stay a number that both sides can hold.
 *
 * The servers are put into an order of the host's own, by a hash of their addresses. Each of its
 * workers takes as many as it may from there on where the worker before it has ended: so the
 * workers of a host ask different servers, or each server as many times, as far as numbers allow. A
 * server that comes or goes moves the part of each worker by one server at most. */
#ifndef PROXY_SUBSET_H
#define PROXY_SUBSET_H

#include <stdbool.h>

#include "../hash.h"

/* The part of a worker: from one place to another, both in it, and around the end if the second is
 * before the first. */
struct subset {
    uint64_t first, last;
};

/* The place of a server in the order of this host. */
static inline uint64_t subset_place(const char *address, uint64_t host)
{
    return hash_mix(hash_bytes(address, strlen(address)) ^ host);
}

/* The part of this worker: `most` of the servers that have these places, in ascending order. There
 * are more than that. */
static inline struct subset subset_of(const uint64_t *places, size_t count, size_t most,
                                      unsigned worker)
{
    size_t first = worker * most % count;
    return (struct subset){places[first], places[(first + most - 1) % count]};
}

static inline bool subset_has(const struct subset *subset, uint64_t place)
{
    if (subset->first <= subset->last)
        return place >= subset->first && place <= subset->last;
    return place >= subset->first || place <= subset->last;
}

#endif
