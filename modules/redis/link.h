/* A connection to Redis, the requests under way on it, and the state that all connections share.
 * For link.c and calls.c. */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "../waiting.h"
#include "redis.h"

/* A request whose reply is to come; its token is 0 for AUTH and SELECT. */
struct call {
    pillion_token token;
    int returns;
    uint64_t due_ms;       /* when it is answered `timeout` */
    pillion_bytes command; /* in the request's memory */
};

struct link {
    struct links *links;
    redisContext *redis; /* NULL while there is no connection */
    pillion_handle watch, flush, more, deadline;
    bool opening;                    /* requests may wait for it: its attempt has not ended */
    bool ready;                      /* it is connected, and has passed AUTH and SELECT */
    bool blocked;                    /* the socket takes no more */
    bool retiring;                   /* to be opened anew as soon as nothing is under way */
    size_t introductions;            /* replies to AUTH and SELECT that are to come */
    struct value value;              /* the reply that is read */
    size_t skip;                     /* bytes that are to come, of a string that is too large */
    struct call *calls;              /* a ring, in the order in which they were sent */
    size_t first, pending, capacity; /* the capacity is a power of two */
    int64_t commands;                /* since the last flush */
    uint64_t opened_ms;
    uint64_t heard_ms; /* since when there has been no reply, with one to come */
    unsigned backoff_ms;
};

struct links {
    pillion_instance *self;
    const struct settings *settings;
    char host[64];
    int port;
    bool closing;
    pillion_handle look;
    uint64_t silence_ms;         /* after so long without a reply the connection is dead */
    char reason[256];            /* why there is no connection */
    struct waiting_line waiting; /* requests that no connection takes now */
    size_t opening;
    size_t count;
    struct link links[];
};

/* ---- link.c ---- */

/* The connection has broken, or could not be made: answers the waiting requests, logs a new reason
 * once, and tries again later. */
void link_lost(struct link *link, const char *why);

/* Redis refuses changes: opens all connections anew, but not too often. */
void links_read_only(struct links *links);

/* Opens the connection anew if that is due and nothing is under way on it any more. */
void link_retire(struct link *link);

/* The connection has passed AUTH and SELECT. */
void link_ready(struct link *link);

/* Answers the request `redis_unavailable`. The reason is for the log: clients need not know where
 * Redis is. */
void fail_unavailable(pillion_request *req, const char *what);

/* ---- calls.c ---- */

/* Sends AUTH and SELECT. */
void calls_introduce(struct link *link);

/* The socket has something to read, or room, or has failed. */
void calls_go_on(struct link *link, unsigned events);

/* Sends the requests that wait in line, over the connections that take them. */
void calls_send_waiting(struct links *links);

/* True when there is a connection, or an attempt that requests may wait for. */
bool links_any(const struct links *links);

/* The connection has broken: answers its requests. */
void calls_fail(struct link *link);

#endif
