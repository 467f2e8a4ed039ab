/* Streams of events: responses of HTTP without an end, by which the page of rpc/status.h lives
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * A connection's record says that it has become one (CONN_STREAM), so whichever worker takes it
 * over goes on with it. What a stream is sent is made once for all of a worker's streams, while
 * there are some: nothing here is on the path of a request. Events are queued whole or not at all.
 * A reader that has not taken the former ones yet is sent nothing, and all there is when it has;
 * nothing is kept for it. Everything runs in the worker's one thread. */
#ifndef PILLION_RPC_STREAM_H
#define PILLION_RPC_STREAM_H

#include "rpc/dispatcher.h"

/* What a new stream begins with: the events of the journal after the one with this id, and a whole
 * sample. */
void stream_begin(struct dispatcher *dispatcher, uint64_t after, struct text *out);

/* The connection becomes a stream once its reply, which has that beginning, is committed. */
void stream_add(struct dispatcher *dispatcher, const struct conn *conn);

/* A connection was taken over, and may be a stream. One whose server is not to be watched any more
 * ends. */
void stream_adopted(struct dispatcher *dispatcher, struct conn *conn);

/* It is being closed. */
void stream_closed(struct dispatcher *dispatcher, const struct conn *conn);

/* For tests. */
void streams_free(struct dispatcher *dispatcher);

#endif
