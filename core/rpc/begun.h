/* The frames of a connection that have begun and are not consumed.
 *
 * A connection's frames begin in their order, and most are answered before the next one begins:
 * then nothing here is needed. When a handler defers its request, its frame stays at the start of
 * the input, and the frames behind it overtake it, up to `max_inflight`. The record counts the
 * frames that have begun. Each of them has a number, one more than the frame before it, modulo 256,
 * and the arena has a byte of marks for each number (conn_marks in net/arena_format.h). A frame
 * that is answered while an earlier one is not is marked so. The cursors name the frame that was
 * answered last too, because the reply and the mark could not become true together. A frame whose
 * request is deferred and has not begun to act is marked as waiting, for a thread of the pool or
 * for its module: nothing is lost when another worker runs it anew.
 *
 * So a worker that takes the connection over after a crash finds which requests were deferred,
 * whatever the framing. Everything here works on the arena alone, and trusts it no further than its
 * bytes go. */
#ifndef PILLION_RPC_BEGUN_H
#define PILLION_RPC_BEGUN_H

#include "net/conn.h"
#include "wire/protocol.h"

/* A frame of a connection's input that has begun. */
struct begun_frame {
    uint64_t place;  /* in the input stream */
    uint32_t offset; /* in conn_input */
    uint8_t number;  /* of its mark */
    struct frame frame;
    bool answered;
    bool retried; /* it had begun before, in a worker that died */
    bool waiting; /* nothing was done for its request yet */
    bool batch;   /* its bytes have marks of its calls (rpc/batch.h) */
};

/* How far the search for the end of a connection's next frame has come. All zero: nowhere. */
struct search {
    uint64_t place; /* 1 + where that frame begins, in the input stream */
    struct frame_progress progress;
};

/* The progress of the frame at `place`. */
static inline struct frame_progress search_at(const struct search *search, uint64_t place)
{
    const struct frame_progress none = {0};

    return search->place == place + 1 ? search->progress : none;
}

/* Keeps the progress of the frame at `place`, which is not whole. Of one that is whole nothing is
 * kept, so that a connection costs no memory here until its messages come in pieces. */
static inline void search_keep(struct search *search, uint64_t place,
                               const struct frame_progress *progress)
{
    *search = (struct search){.place = place + 1, .progress = *progress};
}

/* How many frames of the connection have begun. */
static inline unsigned begun_count(const struct conns *conns, const struct conn *conn)
{
    return conn_cursors(conns, conn)->begun;
}

/* Limits for frames that were within their own when they began: those may be another generation's
 * by now. */
extern const struct frame_limits begun_limits;

/* Walks the frames that have begun: false after the last. Starts with `*at` zeroed and `n` 0. Ends
 * early, with `at->frame.body.data` NULL, where the bytes are no whole frame: the record is
 * damaged.
 */
bool begun_walk(const struct conns *conns, const struct conn *conn, unsigned n,
                struct begun_frame *at);

/* The first frame that has not begun, as protocol_next says. `begun_to` is where the frames that
 * have begun end, in the input stream; 0: to be found out. */
enum frame_status begun_after(const struct conns *conns, const struct conn *conn, uint64_t begun_to,
                              const struct frame_limits *limits, struct search *search,
                              struct begun_frame *next);

/* The frame that begun_after has given begins. False when no more can be counted. */
bool begun_add(struct conns *conns, struct conn *conn);

/* The frame with this number is answered by `produced` bytes that were written where
 * conn_output_reserve said: it is consumed, together with those behind it that are answered, or
 * marked. The connection has these flags from then on. */
void begun_answer(struct conns *conns, struct conn *conn, uint8_t number, size_t produced,
                  uint8_t flags);

/* After adoption: the frame that was answered last has its mark. */
void begun_adopted(struct conns *conns, struct conn *conn);

/* Marks the frame with this number as waiting, or as not waiting any more. */
void begun_wait(struct conns *conns, struct conn *conn, uint8_t number, bool waits);

/* Notes that the frame with this number begins a second time. */
void begun_retry(struct conns *conns, struct conn *conn, uint8_t number);

/* Notes that its bytes have marks of a batch's calls. */
void begun_batch(struct conns *conns, struct conn *conn, uint8_t number);

#endif
