/* The slow log: requests that took as long as `slow_threshold` says, and where their time went.
 *
 *     queued   their bytes were there, and worker, connection, order of replies or pool of threads
 *              had no turn for them
 *     handler  code of their method and its filters ran, on the loop
 *     waiting  they were deferred: to a thread of a pool, a timer, another server
 *     sending  the reply was made, and the kernel did not have all of it
 *
 * Nothing is measured for requests that are fast, beyond what their durations need anyway: where
 * only the first of some pipelined requests has its time taken, the kernel's coarse clock tells
 * whether one of the others was slow. When bytes came is known from the loop: not before the batch
 * of events in which they were read, unless the worker was busy just then; in that case the kernel
 * is asked (tcp(7), TCP_INFO), which knows when the last bytes of a connection came. A Unix socket
 * does not know, so what a request has waited in one is not counted.
 *
 * A reply is followed until it is sent only when it may not be sent at once: when its connection
 * has so much unsent, or is blocked, or when its request is slow already.
 *
 * All of it runs on the worker's loop. */
#ifndef PILLION_RPC_SLOW_H
#define PILLION_RPC_SLOW_H

#include "base/clock.h"
#include "rpc/dispatcher.h"

#define SLOW_LONG_NS NS_PER_MS /* code that ran for as long may be what others have waited for */
#define SLOW_STICKS  16384u    /* unsent bytes from which on a reply is followed */

/* What is known while frames of a connection are answered, one after the other. */
struct slow_turn {
    struct slow *slow;  /* NULL: nothing is measured here */
    uint64_t behind_ns; /* no request of the turn has come before */
    uint64_t seen_ns;   /* the code before the request that runs had returned by then */
    bool found;         /* the request that was answered last is slow: slow->found tells of it */
};

/* In a worker, before it serves: requests are measured. Once or more. */
void slow_start(struct dispatcher *dispatcher);
void slow_free(struct dispatcher *dispatcher); /* for tests */

void slow_turn_start(struct slow_turn *turn, const struct conn *conn);

/* `on`: its server has methods that may be slow. */
static inline void slow_turn_begin(struct slow_turn *turn, const struct dispatcher *dispatcher,
                                   const struct conn *conn, bool on)
{
    turn->slow = on ? dispatcher->slow : NULL;
    if (turn->slow != NULL)
        slow_turn_start(turn, conn);
}

void slow_look(struct slow_turn *turn, const struct conn *conn, const struct pillion_request *req,
               uint64_t place, uint64_t since_ns);

/* The handler of the request at `place` of the input has returned with an answer; at `ended_ns` by
 * clock_ns(), or 0: nobody has looked. Only where slow_turn_begin has said so, like all below. */
static inline void slow_ran(struct slow_turn *turn, const struct conn *conn,
                            const struct pillion_request *req, uint64_t place, uint64_t ended_ns)
{
    uint64_t now = ended_ns != 0 ? ended_ns : clock_coarse_ns();
    uint64_t since = ended_ns != 0 ? req->started_ns : turn->seen_ns;

    if ((int64_t)(now - since) >= (int64_t)SLOW_LONG_NS ||
        (int64_t)(now - turn->behind_ns) >= (int64_t)req->method->slow_ns)
        slow_look(turn, conn, req, place, since);
    if (now > turn->seen_ns)
        turn->seen_ns = now;
}

void slow_follow(struct slow_turn *turn, struct conn *conn, const struct pillion_request *req);

/* The reply to that request is about to be queued: it is followed where it has to be. */
static inline void slow_answered(struct slow_turn *turn, struct conn *conn,
                                 const struct pillion_request *req)
{
    const struct conn_cursors *cursors = conn_cursors(conn->policy->conns, conn);

    if (turn->found ||
        (!conn->owing &&
         (conn->blocked || cursors->out_end - cursors->out_start + req->size >= SLOW_STICKS)))
        slow_follow(turn, conn, req);
}

/* The request has no reply of its own, or one that cannot be followed: it is logged now, if it was
 * slow. */
void slow_told(struct slow_turn *turn, const struct conn *conn);

/* The turn is over: what the connection has left waits from now on. */
void slow_left(const struct slow_turn *turn, const struct conn *conn);

/* The request has been deferred. */
void slow_deferred(struct slow_turn *turn, const struct conn *conn, struct deferred *deferred);

/* Its reply is about to be queued. */
void slow_replied(const struct dispatcher *dispatcher, struct conn *conn,
                  const struct deferred *deferred);

/* It is over, and no reply of its own is queued. */
void slow_over(const struct dispatcher *dispatcher, const struct deferred *deferred);

/* The connection is being closed; the worker ends. */
void slow_closed(const struct dispatcher *dispatcher, const struct conn *conn);
void slow_end(const struct dispatcher *dispatcher);

#endif
