/* The life of a request in a worker: from whole frames in a connection's input to committed
 * replies.
 *
 * For each frame: the strict pass finds the members, the method table of the connection's server
 * finds the method, the record is marked with frame and method, the handler answers into the arena,
 * and one commit consumes the frame and queues the reply.
 *
 * That is a turn: each frame is answered before the next begins. When a handler defers its request,
 * the connection's further frames overtake it (rpc/begun.h) until none is deferred any more. */
#ifndef PILLION_RPC_DISPATCH_H
#define PILLION_RPC_DISPATCH_H

#include "conf/settings.h"
#include "net/conn.h"
#include "rpc/board.h"
#include "rpc/deferred.h"
#include "rpc/introspect.h"
#include "rpc/request.h"

/* The deferred requests of one connection, while conn->deferred is set. */
struct deferred_list {
    uint32_t first; /* 1 + index of a deferred request, linked through next_of_conn */
    uint32_t count, without_id;
    bool unqueued;     /* some are answered, and their replies wait for room */
    uint64_t begun_to; /* where the frames that have begun end, in the input stream; 0: unknown */
};

struct dispatcher {
    struct conns *conns;
    struct board *board;
    struct board_row *row;              /* this worker's */
    struct pool pool;                   /* the current request's memory */
    uint8_t untimed[BOARD_METHODS_MAX]; /* calls of each method since one was timed */
    struct deferreds deferreds;
    struct deferred_list *lists; /* one for each connection, by its index; touched by few */
};

/* Makes ready what deferring needs. The dispatcher's conns, board and row are set already. */
void dispatcher_init(struct dispatcher *dispatcher, uint64_t defer_timeout_ms);
void dispatcher_free(struct dispatcher *dispatcher); /* for tests */

/* One `server` block in this worker. */
struct rpc_server {
    struct conn_policy policy; /* what its connections point at */
    const struct server_settings *settings;
    struct method_table methods;
    const struct method *recent; /* the last one that was called, or NULL */
    struct json_limits limits;
    struct introspect introspect;
    uint64_t max_reply; /* bytes of a reply, its header included */
};

/* Fills everything but the methods, which module_set_bind has made. */
void rpc_server_init(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation);

/* Makes a server without methods, for connections that nobody serves: what is under way for them is
 * answered, and then they end; after `patience_ms` also in the middle of a frame. `settings` are
 * any block's, for the limits. */
void rpc_server_part(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation,
                     uint64_t patience_ms);

/* Gives every method its counters. All names are on the board already. */
void rpc_server_count(struct rpc_server *server);

/* enum quarantined, of a method by its index. */
static inline uint32_t quarantine_of(const struct dispatcher *dispatcher, uint32_t method)
{
    return atomic_load_explicit(&dispatcher->board->quarantined[method], memory_order_relaxed);
}

/* Handles the whole frames at the start of the input. conns->on_input; conns->context is the
 * dispatcher. */
void dispatch_input(struct conns *conns, struct conn *conn);

/* How a connection's former worker has ended. */
struct death {
    bool hung;   /* the watchdog ended it */
    bool gone;   /* and the connection's client is gone: nothing is run for it */
    bool marked; /* for the request that a handler had in hand: its record's mark ... */
    uint64_t connection, place; /* ... or otherwise for this one; 0: for none */
    const struct arena *from;   /* its arena, or NULL */
};

/* A connection has just been adopted: answers what its former worker died of, or was ended for,
 * with an error, without running it, and likewise what was under way; but for requests that had
 * not begun to act, which are run, and those of idempotent methods, which are run once more. False
 * when the record is damaged. */
bool dispatch_adopted(struct dispatcher *dispatcher, struct conn *conn, const struct death *death);

/* The connection is being closed: what is under way for it is given up. From conns->on_close. */
void dispatch_closed(struct dispatcher *dispatcher, struct conn *conn);

/* Answers all that is under way `timeout`, in the words given. */
void dispatch_give_up(struct dispatcher *dispatcher, const char *why);

/* The request, which waits for a thread, is left to the worker that takes its connection over.
 * False when it has to stay: its filters would never hear of its end. */
bool dispatch_let_go(struct deferred *deferred);

/* At the end of a batch, before conns_flush: queues the answers of deferred requests. */
void dispatch_settle(struct dispatcher *dispatcher);

#endif
