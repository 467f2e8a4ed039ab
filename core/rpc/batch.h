/* A batch of JSON-RPC: its calls, how far each has come, and their answers, which are gathered
 * until the last is there.
 *
 * A batch is one frame, which has begun (rpc/begun.h) until all of it is answered. How far its
 * calls have come is told by the frame's own bytes in the arena: the comma, or the bracket, behind
 * a call that has begun is overwritten by a control character, of which JSON that was valid has
 * none (RFC 8259 section 7). So a worker that takes the connection over knows which calls must not
 * be run again, and the answers are kept for it (net/kept.h).
 *
 * Handlers see a copy of the frame, which lives until the last thread is done with it. */
#ifndef PILLION_RPC_BATCH_H
#define PILLION_RPC_BATCH_H

#include "rpc/begun.h"
#include "rpc/call.h"

#define BATCH_ITSELF UINT32_MAX /* deferred->of_batch of the one that stands for the frame */

/* How far a call has come, as its mark tells. */
enum call_state {
    CALL_NEW,     /* nothing was done for it; there is no mark */
    CALL_BEGUN,   /* its method may have acted */
    CALL_WAITING, /* it is deferred, and nothing was done for it yet */
    CALL_RETRIED, /* it has begun once more, in the worker that came after the first */
    CALL_ANSWERED,
    CALL_CRASHED, /* the worker died of it ... */
    CALL_HUNG,    /* ... or was ended because of it */
    CALL_STATES
};

struct batch_call {
    char *reply;     /* malloc's, with a byte behind it; NULL for none */
    uint32_t size;   /* of that, and of the byte */
    uint32_t mark;   /* where its mark is, in bytes of the frame; with the frame's place it is the
                        call's own (running_mark) */
    uint32_t least;  /* bytes that are reserved for its answer, a brief error at least */
    uint8_t retried; /* it has begun before */
    uint8_t fate;    /* enum fate */
    bool answered;
};

struct batch {
    struct kept kept;          /* the answers, for whoever takes the connection over */
    struct deferred *stand_in; /* for the frame, which is no request of its own */
    unsigned users;    /* the stand-in, and deferred calls whose threads may look at the body */
    uint64_t place;    /* of its frame */
    struct bytes body; /* the copy */
    struct bytes head; /* of HTTP, likewise */
    struct reply_http http;
    uint32_t count;
    uint32_t next;        /* the first call that has not begun ... */
    size_t at;            /* ... and where it is in the body (envelope_next) */
    uint32_t answered;    /* calls */
    uint64_t room;        /* bytes for answers that are not there yet ... */
    uint64_t reserved;    /* ... of which so many are for brief errors alone */
    bool gone;            /* its client: nothing is run any more */
    const char *given_up; /* why no more of it is run, or NULL */
    struct batch_call calls[];
};

/* Makes a batch of the frame, which was read by `call`. NULL when it has more than `most` calls, or
 * without memory; then the request is answered with an error. */
struct batch *batch_open(struct call *call, const struct begun_frame *at, uint32_t most);
void batch_use(struct batch *batch);
void batch_leave(struct batch *batch); /* the last user frees it */

/* The place of a call, by which it is known as the one that runs. */
static inline uint64_t batch_place(const struct batch *batch, uint32_t index)
{
    return batch->place + batch->calls[index].mark;
}

/* Sets a call's mark, and reads it. */
void batch_mark(const struct batch *batch, const struct conns *conns, const struct conn *conn,
                uint32_t index, enum call_state state);
enum call_state batch_state(const struct batch *batch, const struct conns *conns,
                            const struct conn *conn, uint32_t index);

/* The frame's body as it was sent: where there are marks, a copy in the pool. */
struct bytes batch_unmarked(struct pool *pool, const struct begun_frame *at);

/* The call's answer: `size` bytes of malloc's, the last of which is free for a comma. It is taken
 * over, and kept. NULL for none. One that does not fit with those of all the others becomes a brief
 * error. */
void batch_answer(struct batch *batch, struct conns *conns, const struct conn *conn, uint32_t index,
                  char *reply, size_t size);

static inline bool batch_is_answered(const struct batch *batch)
{
    return batch->answered == batch->count;
}

/* Makes the whole reply, when all calls are answered: malloc's, with everything around it. Its
 * request has the protocol, and gets the size; NULL and a size of 0 where nothing is answered. */
char *batch_reply(const struct batch *batch, struct pillion_request *req);

#endif
