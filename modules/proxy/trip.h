/* A request on its way through the servers behind. */
#ifndef PROXY_TRIP_H
#define PROXY_TRIP_H

#include "../tries.h"

/* The members of an upstream's reply, as JSON text; {NULL, 0} for a missing one. */
struct reply {
    pillion_bytes out, result, id;
};

/* A request on its way to upstreams, in its own memory. */
struct trip {
    struct tries tries; /* first: the trip is known by it */

    /* Answers the request with the reply, which has a result, and an `out` that is a string. */
    void (*replied)(pillion_request *req, struct trip *trip, const struct reply *reply);

    struct group *group;
    struct member *last; /* the one that was asked last, or NULL; only to be compared */
    pillion_bytes frame; /* the part that follows the id */
    uint64_t hash;       /* of the param that decides which server is asked; 0: none does */
};

#endif
