/* Deferred requests and the requests that overtake them: from deferral to answer, and after the
 * death of their worker. rpc/begun.h has the frames that begin without being answered in turn. */
#ifndef PILLION_RPC_DISPATCH_DEFERRED_H
#define PILLION_RPC_DISPATCH_DEFERRED_H

#include "rpc/call.h"
#include "rpc/orphan.h"

/* Prepares for deferred requests. The dispatcher's conns, board and row are set already. */
void dispatcher_init(struct dispatcher *dispatcher, uint64_t defer_timeout_ms);
void dispatcher_free(struct dispatcher *dispatcher); /* for tests */

/* The connection's first frame, of `size` bytes, has begun and cannot be consumed yet: its handler
 * has deferred the request, or its reply has found no room. `ran`: there was a handler. */
void call_begun(struct call *call, size_t size, bool ran);

/* Begins frames that overtake deferred requests. True when no request is deferred any more, and
 * frames can go on in turn. */
bool answer_overtaking(struct call *call);

/* A connection has just been adopted. The request that its former worker died of, or was ended for,
 * is answered with an error and not run. So is every request that had begun, with two exceptions: a
 * request for which nothing was done yet is run, and one of an idempotent method is run once more.
 * False when the record is damaged. */
bool dispatch_adopted(struct dispatcher *dispatcher, struct conn *conn, const struct death *death);

/* The connection is being closed: its deferred requests are dropped. From conns->on_close. */
void dispatch_closed(struct dispatcher *dispatcher, struct conn *conn);

/* True when some of the connection's requests wait for their modules, and no reply waits for room.
 * For conns->only_waits. */
bool dispatch_only_waits(const struct conns *conns, const struct conn *conn);

/* Answers every deferred request `timeout`, in the words given. */
void dispatch_give_up(struct dispatcher *dispatcher, const char *why);

/* The process is to end: its modules are told that nobody waits for their deferred requests any
 * more, and nothing is answered. */
void dispatch_end(struct dispatcher *dispatcher);

/* The request, which waits for a thread, is left to the worker that takes its connection over.
 * False when it has to stay: its filters would never hear of its end. */
bool dispatch_let_go(struct deferred *deferred);

/* At the end of a batch, before conns_flush: queues the answers of deferred requests. */
void dispatch_settle(struct dispatcher *dispatcher);

#endif
