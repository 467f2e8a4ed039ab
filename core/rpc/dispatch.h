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

#include "rpc/dispatch_deferred.h"

/* Fills everything but the methods, which module_set_bind has made. */
void rpc_server_init(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation);

/* Makes a server without methods, for connections whose server block is gone: their deferred
 * requests are answered, and then they end; after `patience_ms` also in the middle of a frame.
 * `settings` are any block's, for the limits. */
void rpc_server_part(struct rpc_server *server, const struct server_settings *settings,
                     const struct dispatcher *dispatcher, uint64_t generation,
                     uint64_t patience_ms);

/* Gives every method its counters. All names are on the board already. */
void rpc_server_count(struct rpc_server *server);

/* Handles the whole frames at the start of the input. conns->on_input; conns->context is the
 * dispatcher. */
void dispatch_input(struct conns *conns, struct conn *conn);

#endif
