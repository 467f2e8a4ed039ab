/* Time slices: fair scheduling of requests that overtake a deferred one.
 *
 * A client may have sent hundreds of them at once, and beginning one may be expensive: its handler
 * usually queues work on a backend. So a worker begins them in slices of 25 us, one slice during a
 * batch of events and one at its end. A connection whose requests did not fit waits for a slice of
 * the next batch; connections that made no progress come before those that did.
 *
 * A slice knows nothing of connections: a waiter embeds a struct slice_waiter. All of it belongs to
 * the loop's thread. */
#ifndef PILLION_NET_SLICE_H
#define PILLION_NET_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLICE_NS 25000u

struct slice_waiter {
    struct slice_waiter *next;
};

struct slice_queue {
    struct slice_waiter *first, *last;
};

/* Starts as {0}. */
struct slice {
    uint32_t begun;             /* requests begun in this slice */
    uint64_t ends_ns;           /* on clock_ns(); 0: nothing has asked for time yet */
    uint64_t seen_ns;           /* clock_ns() when it was last looked at */
    struct slice_queue starved; /* made no progress when they last asked: the first to be served */
    struct slice_queue served;  /* made progress since the last slice_order */
};

/* Looks at the clock, and starts the slice if nothing has before. True while time is left. */
bool slice_lasts(struct slice *slice);

/* True when one more request may be begun; it is counted. Every fourth looks at the clock. */
static inline bool slice_may_begin(struct slice *slice)
{
    if (slice->begun % 4 == 0 && !slice_lasts(slice))
        return false;
    slice->begun++;
    return true;
}

/* The slice is over; the next request to be begun starts another one. */
static inline void slice_end(struct slice *slice)
{
    slice->begun = 0;
    slice->ends_ns = 0;
}

/* Queues a waiter, which is in no queue. `progressed`: it has begun something in this slice. */
void slice_wait(struct slice *slice, struct slice_waiter *waiter, bool progressed);

/* Empties the queue of the waiters that are to be served first, and returns its first waiter. The
 * others follow through `next`, which slice_wait changes: read it before a waiter is queued again.
 */
static inline struct slice_waiter *slice_take(struct slice *slice)
{
    struct slice_waiter *first = slice->starved.first;

    if (first != NULL)
        slice->starved = (struct slice_queue){0};
    return first;
}

/* Puts the waiters that progressed behind those that did not. True when anything waits. */
void slice_join(struct slice *slice); /* see slice_order */
static inline bool slice_order(struct slice *slice)
{
    if (slice->served.first != NULL)
        slice_join(slice);
    return slice->starved.first != NULL;
}

/* True when something waits. Only between slice_order and slice_take. */
static inline bool slice_is_awaited(const struct slice *slice)
{
    return slice->starved.first != NULL;
}

#endif
