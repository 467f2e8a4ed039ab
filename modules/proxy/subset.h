/* Which of very many servers a worker asks: so many that requests are spread, and so few that the
 * connections of all workers to all servers stay a number that both sides can hold.
 *
 * The servers are put into an order of the host's own, by a hash of their addresses. Each of its
 * workers takes as many as it may from there on where the worker before it has ended: so the
 * workers of a host ask different servers, or each server as many times, as far as numbers allow. A
 * server that comes or goes moves the part of each worker by one server at most. */
#ifndef PROXY_SUBSET_H
#define PROXY_SUBSET_H

#include "../hash.h"

/* The place of a server in the order of this host. */
static inline uint64_t subset_place(uint64_t address_hash, uint64_t host)
{
    return hash_mix(address_hash ^ host);
}

/* Where the part of this worker begins, of `count` servers in that order. It has `most` of them,
 * and goes on with the first behind the last. */
static inline size_t subset_first(unsigned worker, size_t count, size_t most)
{
    return worker * most % count;
}

#endif
