/* What a worker answers requests with: its dispatcher, one for the process, and an rpc_server for
 * each `server` block. call.h, dispatch_deferred.h and dispatch.h tell what is done with them. */
#ifndef PILLION_RPC_DISPATCHER_H
#define PILLION_RPC_DISPATCHER_H

#include "conf/settings.h"
#include "net/conn.h"
#include "rpc/begun.h"
#include "rpc/board.h"
#include "rpc/deferred.h"
#include "rpc/introspect.h"

/* The deferred requests of one connection, while conn->deferred is set. */
struct deferred_list {
    uint32_t first; /* 1 + index of a deferred request, linked through next_of_conn */
    uint32_t count, without_id;
    uint32_t batches;   /* of them: they stand for batches, and are no calls */
    uint32_t unbegun;   /* batches of which some calls have not begun */
    uint32_t held;      /* answered ones whose replies wait for those of earlier requests ... */
    uint64_t held_size; /* ... and the bytes of these replies */
    bool unqueued;      /* some are answered, and their replies wait for room */
    bool ends;          /* the connection ends with the reply of the last one */
    uint64_t begun_to;  /* where the frames that have begun end, in the input stream; 0: unknown */
};

struct slow;
struct streams;

struct dispatcher {
    struct conns *conns;
    struct board *board;
    struct board_row *row;              /* this worker's */
    struct pool pool;                   /* the current request's memory */
    uint8_t untimed[BOARD_METHODS_MAX]; /* calls of each method since one was timed */
    struct deferreds deferreds;
    struct deferred_list *lists;      /* one for each connection, by its index; touched by few */
    struct search *searches;          /* likewise; written for messages in pieces only */
    struct conn_values **values;      /* likewise; NULL until a module asks for such */
    bool unready;                     /* the server is to quit before long */
    bool incomplete;                  /* methods of `proxy_all` are not known yet */
    struct slow *slow;                /* rpc/slow.h; NULL where no server has a slow_threshold */
    struct streams *streams;          /* rpc/stream.h; NULL: nobody has asked for one yet */
    uint64_t sample_ns;               /* how often they are sent something (status_interval) */
    const struct rpc_server *servers; /* all of this worker's, `server_count` of them */
    size_t server_count;
};

/* One `server` block in this worker. */
struct rpc_server {
    struct conn_policy policy; /* what its connections point at; */
    struct conn_policy before; /* before their PROXY header has come, if one has to */
    const struct server_settings *settings;
    struct method_table methods;
    const struct method *recent; /* the last one that was called, or NULL */
    struct json_limits limits;
    struct frame_limits frame_limits;
    struct introspect introspect;
    uint64_t max_reply; /* bytes of a reply, its header included */
    bool slow;          /* some of its methods have a slow_threshold */
};

/* True while the server takes new work. `GET /readyz`, HAProxy's agent (rpc/agent.h) and the
 * registry say the same. */
static inline bool dispatcher_is_ready(const struct dispatcher *dispatcher)
{
    return !dispatcher->conns->draining && !dispatcher->unready && !dispatcher->incomplete;
}

/* enum quarantined, of a method by its index. */
static inline uint32_t quarantine_of(const struct dispatcher *dispatcher, uint32_t method)
{
    return atomic_load_explicit(&dispatcher->board->quarantined[method], memory_order_relaxed);
}

#endif
