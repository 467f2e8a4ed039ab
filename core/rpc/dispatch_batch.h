/* Batches of calls: from their frame, which has begun, to the one reply that they have. Each call
 * goes the way of any other: limits, quarantine, filters and counts see calls, and never a batch.
 *
 * A batch gives way to other connections when the time slice is used up (net/slice.h), and has no
 * more calls under way than `max_inflight`. The frame is a deferred request meanwhile, one that no
 * module has in hand. */
#ifndef PILLION_RPC_DISPATCH_BATCH_H
#define PILLION_RPC_DISPATCH_BATCH_H

#include "rpc/batch.h"
#include "rpc/orphan.h"

/* The frame, which has begun, is this batch: takes it over, and begins its calls. */
void batch_start(struct call *call, struct batch *batch, const struct begun_frame *at);

/* The same of a frame that a former worker has begun. Its calls go on with the next on_input. */
void batch_adopt(struct call *call, struct batch *batch, const struct begun_frame *at,
                 const struct death *death);

/* Begins calls of the connection's batches, which come before its next frame. True when none is
 * left to begin. */
bool batches_go_on(struct dispatcher *dispatcher, struct conn *conn);

/* A deferred call of a batch is answered, or its `waits` has changed. */
void batch_finish(struct deferred *deferred);
void batch_waiting(const struct deferred *deferred);

/* True for the stand-in of a batch that is not answered. */
static inline bool batch_is_under_way(const struct deferred *deferred)
{
    return deferred->state == DEFERRED_HANDLER && deferred->batch != NULL;
}

/* The connection of this stand-in is being closed. */
void batch_drop(struct deferred *stand_in);

/* Calls that have not begun are answered `timeout`. */
void batch_give_up(struct deferred *stand_in, const char *why);

#endif
