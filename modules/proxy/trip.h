/* A request on its way through the servers behind. */
#ifndef PROXY_TRIP_H
#define PROXY_TRIP_H

#include <pillion/module.h>

/* The members of an upstream's reply, as JSON text; {NULL, 0} for a missing one. */
struct reply {
    pillion_bytes out, result, id;
};

/* A request on its way to upstreams. It is in the request's memory, so it is valid whenever
 * pillion_resume gives the request. */
struct trip {
    /* The upstream has not answered and will not: sends the request to another one, or answers it.
     * `untouched`: the upstream cannot have seen it. */
    void (*failed)(pillion_request *req, struct trip *trip, bool untouched, const char *reason);
    /* Answers the request with the reply, which has a result, and an `out` that is a string. */
    void (*replied)(pillion_request *req, struct trip *trip, const struct reply *reply);

    struct group *group;
    struct upstream *last; /* the upstream that was asked last, or NULL */
    pillion_bytes frame;   /* the part that follows the id */
    uint64_t deadline_ms;
    uint64_t try_ms; /* how long one upstream may take */
    unsigned tries_left;
    bool idempotent;
    bool seen; /* an upstream that was asked may have carried the request out */
};

#endif
