/* Which of very many servers a worker asks: so many that requests are spread, and so few that the
 * connections of all workers to all servers stay a number that both sides can hold.
 *
 * The servers are put into an order of the host's own, by a hash of their addresses. Each of its
 * workers takes as many as it may from there on where the worker before it has ended: so the
 * workers of a host ask different servers, or each server as many times, as far as numbers allow. A
 * server that comes or goes moves the part of each worker by one server at most.
 *
 * Servers that cannot be asked do not count: a part goes on behind them until it has as many as it
 * should of the others, or all. They stay in it, so that the worker learns when they are back. */
#ifndef PROXY_SUBSET_H
#define PROXY_SUBSET_H

#include <stdbool.h>

#include "../hash.h"

/* A server of those that are divided. */
struct subset_server {
    uint64_t place;
    bool lost; /* this worker knows that it cannot be asked */
};

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

/* The part of this worker: `most` of these servers, which are in the order of their places, and
 * those that are lost between them. There are more than `most`. */
static inline struct subset subset_of(const struct subset_server *servers, size_t count,
                                      size_t most, unsigned worker)
{
    size_t first = worker * most % count, size = 0;

    for (size_t left = most; left > 0 && size < count; size++)
        left -= !servers[(first + size) % count].lost;
    return (struct subset){servers[first].place, servers[(first + size - 1) % count].place};
}

static inline bool subset_has(const struct subset *subset, uint64_t place)
{
    if (subset->first <= subset->last)
        return place >= subset->first && place <= subset->last;
    return place >= subset->first || place <= subset->last;
}

#endif
