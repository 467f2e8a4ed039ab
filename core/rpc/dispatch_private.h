/* What the files of rpc/dispatch*.c share, and nobody else: dispatch.c (frames in turn) and
 * dispatch_deferred.c (deferred requests, and frames that overtake them). */
#ifndef PILLION_RPC_DISPATCH_PRIVATE_H
#define PILLION_RPC_DISPATCH_PRIVATE_H

#include "rpc/dispatch.h"
#include "wire/protocol.h"

/* Frames of one connection being answered, one after the other. */
struct call {
    struct pillion_request req;
    struct dispatcher *dispatcher;
    struct rpc_server *server;
    struct conn *conn;
    struct conn_turn turn;
    uint64_t now_ns; /* clock_ns() a few requests ago, or 0: good enough for one that is deferred */
    char *kept;      /* where the reply is when the arena had no room for it */
    bool shown; /* filters are to see the request once its answer is committed: see call_refused */
};

/* ---- dispatch.c ---- */

void call_init(struct call *call, struct dispatcher *dispatcher, struct conn *conn);

/* Makes it the request of the next frame, whose reply has room where `turn` says. */
void call_next(struct call *call);

/* Reads the frame's members; `error` says why it is no request. */
enum envelope_status call_read(struct call *call, struct bytes body, struct envelope *envelope,
                               struct json_error *error);

/* True when the frame that was read is a call of a method that may run; otherwise it is answered.
 */
bool call_find(struct call *call, enum envelope_status status, const struct envelope *envelope,
               const struct json_error *error);

/* The request is answered, and no handler is to see it: it counts as a call of its method, with an
 * error, and what filters are to see of it is kept. Without a method, `in` is what was asked for.
 */
void call_refused(struct call *call, const struct method *method, struct bytes in);

/* The answer is committed: shows the filters a request that was refused. Should one of them crash,
 * it costs no client anything, and the request is not theirs a second time. */
void call_show(struct call *call);

/* Runs the handler for the frame at `place` of the input stream. */
void call_run(struct call *call, uint64_t place, bool first);

/* `weight`: how many calls this one stands for. */
void count_time(struct method_counters *counters, uint64_t ns, uint32_t weight);

/* ---- dispatch_deferred.c ---- */

/* The handler has deferred the request of the connection's first frame, which has `size` bytes. */
void call_deferred(struct call *call, size_t size);

/* Begins frames that overtake deferred requests. True when no request is deferred any more, and
 * frames can go on in turn. */
bool answer_overtaking(struct call *call);

#endif
