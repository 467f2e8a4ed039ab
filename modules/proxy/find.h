/* Which servers a group is to have: those that stand in the configuration, and those that services
 * have now, or this worker's part of them (subset.h). */
#ifndef PROXY_FIND_H
#define PROXY_FIND_H

#include "upstream.h"

struct found {
    struct group *group;
    struct upstream **items; /* each once, with its `weight`, `age_ms` and `fixed` set */
    size_t count, room;
    bool whole;  /* and not the part of those of services that this worker asks */
    bool failed; /* there was no memory for one */
};

/* Fills `items`, which the caller frees by pillion_free, also when this is false: without memory.
 * Upstreams that were not there before have no links, and no group yet. */
bool servers_find(struct found *found);

#endif
