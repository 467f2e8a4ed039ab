/* Requests of one connection that are under way at the same time.
 *
 * A connection's frames are begun in their order, and most are answered before the next one begins:
 * then nothing here is needed. When a handler defers its request, its frame stays at the start of
 * the input, and those behind it are begun beside it, up to `max_inflight`. The record counts the
 * frames that were begun; one that is answered while an earlier one is not says so in its own
 * length, whose highest bits no frame needs (FRAME_BODY_MAX). The frame that was answered last
 * is named in the cursors too, because the reply and the mark could not become true together.
 * One that is deferred and has not begun to act says that in the same place: it waits, for a thread
 * of the pool or for its module, and nothing is lost when another worker runs it anew.
 *
 * So whoever takes the connection over after a crash finds, in the bytes themselves, which requests
 * were under way. Everything here works on the record alone, and trusts it no further than its
 * bytes go. */
#ifndef PILLION_RPC_FLIGHT_H
#define PILLION_RPC_FLIGHT_H

#include "net/conn.h"
#include "wire/frame.h"

/* A frame of a connection's input that was begun. */
struct flight_frame {
    uint64_t place;  /* in the input stream */
    uint32_t offset; /* in conn_input */
    struct frame frame;
    bool answered;
    bool retried; /* it was begun before, by a worker that died */
    bool waiting; /* nothing was done for it yet */
};

/* How many frames of the connection have begun. */
static inline unsigned flight_begun(const struct conns *conns, const struct conn *conn)
{
    return conn_cursors(conns, conn)->begun;
}

/* Walks the frames that have begun: false after the last. Starts with `*at` zeroed and `n` 0. Ends
 * early, with `at->frame.body.data` NULL, where the bytes are no whole frame: the record is
 * damaged.
 */
bool flight_walk(const struct conns *conns, const struct conn *conn, unsigned n,
                 struct flight_frame *at);

/* The first frame that has not begun. FRAME_PARTIAL and FRAME_TOO_LARGE as frame_next. `begun_to`
 * is where those that have begun end, in the input stream; 0 has it found out. */
enum frame_status flight_next(const struct conns *conns, const struct conn *conn, uint64_t begun_to,
                              uint32_t max_frame, struct flight_frame *next);

/* The frame that flight_next has given is begun. False when no more can be counted. */
bool flight_begin(struct conns *conns, struct conn *conn);

/* The frame at `place` is answered by `produced` bytes that were written where conn_output_reserve
 * said: it is consumed, together with those behind it that are answered, or marked. */
void flight_answer(struct conns *conns, struct conn *conn, uint64_t place, size_t produced);

/* After adoption: the frame that was answered last says so itself. */
void flight_adopted(struct conns *conns, struct conn *conn);

/* The frame at `place`, which has begun, waits, or does so no longer. */
void flight_wait(struct conns *conns, struct conn *conn, uint64_t place, bool waits);

/* Notes that the frame is begun a second time. */
void flight_retry(struct conns *conns, struct conn *conn, const struct flight_frame *at);

#endif
