/* A request on its way to upstreams. */
#ifndef PROXY_HTTP_TRIP_H
#define PROXY_HTTP_TRIP_H

#include <curl/curl.h>

#include "../tries.h"

/* In the request's memory. */
struct trip {
    struct tries tries; /* first: the trip is known by it */
    struct group *group;
    struct upstream *last;            /* the upstream that was asked last, or NULL */
    uint64_t id;                      /* of the JSON-RPC request */
    pillion_bytes body;               /* the JSON-RPC request */
    const struct curl_slist *headers; /* but for the deadline, which is shorter at each try */
};

#endif
