/* Connections to Redis, the state that all of them share, and the requests under way on them.
 * calls.c sends commands and takes replies; it reports to link.c by callbacks. */
#ifndef REDIS_CALLS_H
#define REDIS_CALLS_H

#include "../waiting.h"
#include "settings.h"
#include "value.h"

struct link;
struct links;

/* A request whose reply is to come; its token is 0 for AUTH and SELECT. */
struct call {
    pillion_token token;
    int returns;
    uint64_t due_ms;       /* when it is answered `timeout` */
    pillion_bytes command; /* in the request's memory */
};

/* Reports of calls.c to link.c. */
struct link_events {
    /* The connection has broken, or cannot be used. */
    void (*lost)(struct link *link, const char *why);
    /* The connection has passed AUTH and SELECT. */
    void (*ready)(struct link *link);
    /* Replies were taken: fewer requests are under way. */
    void (*replied)(struct link *link);
    /* Redis refuses changes. */
    void (*read_only)(struct links *links);
};

struct link {
    struct links *links;
    redisContext *redis; /* NULL while there is no connection */
    pillion_handle watch, flush, more, deadline, tls;
    bool opening;                    /* requests may wait for it: its attempt has not ended */
    bool ready;                      /* it is connected, and has passed AUTH and SELECT */
    bool blocked;                    /* the socket takes no more */
    bool retiring;                   /* to be opened anew as soon as nothing is under way */
    size_t introductions;            /* replies to AUTH and SELECT that are to come */
    struct value value;              /* the reply that is read */
    size_t skip;                     /* bytes still to come of a string that is too large */
    struct call *calls;              /* a ring, in the order in which they were sent */
    size_t first, pending, capacity; /* the capacity is a power of two */
    int64_t commands;                /* since the last flush */
    uint64_t opened_ms;
    uint64_t heard_ms; /* since when there has been no reply, with one to come */
    unsigned backoff_ms;
};

struct links {
    const struct link_events *events;
    pillion_instance *self;
    const struct settings *settings;
    pillion_tls *tls; /* NULL: plain */
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

/* Sends the command and defers the request, or answers it with an error. The reply goes to
 * value_reply. While no connection takes it, it waits; `command` is in the request's memory. */
void links_send(struct links *links, pillion_request *req, pillion_bytes command, int returns);

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

/* Answers the request `redis_unavailable`. The reason is for the log: clients need not know where
 * Redis is. */
void fail_unavailable(pillion_request *req, const char *what);

#endif
