/* The frames of a connection's input that have begun. See begun.h. */
#include "rpc/begun.h"

const struct frame_limits begun_limits = {.body = FRAME_BODY_MAX, .head = FRAME_HEAD_MAX};

static _Atomic uint8_t *mark_of(const struct conns *conns, const struct conn *conn, uint8_t number)
{
    return &conn_marks_of(conns, conn)->of[number];
}

/* Only the loop's thread changes marks. Each is a release: an adopter that sees a mark sees every
 * mark and commit before it too. */
static void mark(struct conns *conns, struct conn *conn, uint8_t number, uint8_t bits)
{
    _Atomic uint8_t *marks = mark_of(conns, conn, number);
    uint8_t before = atomic_load_explicit(marks, memory_order_relaxed);
    atomic_store_explicit(marks, before | bits, memory_order_release);
}

static void unmark(struct conns *conns, struct conn *conn, uint8_t number, uint8_t bits)
{
    _Atomic uint8_t *marks = mark_of(conns, conn, number);
    uint8_t before = atomic_load_explicit(marks, memory_order_relaxed);
    atomic_store_explicit(marks, before & (uint8_t)~bits, memory_order_release);
}

bool begun_walk(const struct conns *conns, const struct conn *conn, unsigned n,
                struct begun_frame *at)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (n >= cursors->begun)
        return false;
    struct bytes input = conn_input(conns, conn);
    uint32_t offset = n == 0 ? 0 : at->offset + (uint32_t)at->frame.size;
    if (protocol_next(cursors->protocol, (struct bytes){input.data + offset, input.size - offset},
                      &begun_limits, NULL, &at->frame) != FRAME_WHOLE)
        return false;
    at->offset = offset;
    at->number = (uint8_t)(cursors->first + n);
    uint8_t marks = atomic_load_explicit(mark_of(conns, conn, at->number), memory_order_relaxed);
    at->answered = (marks & MARK_ANSWERED) != 0;
    at->retried = (marks & MARK_RETRIED) != 0;
    at->waiting = (marks & MARK_WAITING) != 0;
    at->batch = (marks & MARK_BATCH) != 0;
    at->place = cursors_consumed(cursors) + offset;
    return true;
}

enum frame_status begun_after(const struct conns *conns, const struct conn *conn, uint64_t begun_to,
                              const struct frame_limits *limits, struct search *search,
                              struct begun_frame *next)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    struct begun_frame at = {0};
    uint32_t offset = 0;

    if (begun_to > cursors_consumed(cursors)) {
        offset = (uint32_t)(begun_to - cursors_consumed(cursors));
    } else {
        for (unsigned n = 0; begun_walk(conns, conn, n, &at); n++)
            offset = at.offset + (uint32_t)at.frame.size;
    }
    struct bytes input = conn_input(conns, conn);
    next->place = cursors_consumed(cursors) + offset;
    next->offset = offset;
    next->number = (uint8_t)(cursors->first + cursors->begun);
    next->answered = next->retried = next->waiting = next->batch = false;
    input = (struct bytes){input.data + offset, input.size - offset};
    if (cursors->protocol == PROTOCOL_FRAME)
        return protocol_next(PROTOCOL_FRAME, input, limits, NULL, &next->frame);
    struct frame_progress progress = search_at(search, next->place);
    enum frame_status status =
        protocol_next(cursors->protocol, input, limits, &progress, &next->frame);
    if (status == FRAME_PARTIAL)
        search_keep(search, next->place, &progress);
    return status;
}

bool begun_add(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->begun == UINT8_MAX)
        return false;
    uint8_t number = (uint8_t)(cursors->first + cursors->begun);
    atomic_store_explicit(mark_of(conns, conn, number), 0, memory_order_release);
    conn_commit(
        conns, conn,
        &(struct conn_step){.begun = (uint8_t)(cursors->begun + 1), .first = cursors->first});
    return true;
}

/* The first frame is answered: consumes it, and the answered frames directly behind it. */
static struct conn_step consume_answered(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    struct conn_step step = {.begun = cursors->begun, .first = cursors->first};
    struct begun_frame at = {0};

    for (unsigned n = 0; begun_walk(conns, conn, n, &at) && (n == 0 || at.answered); n++) {
        step.consumed += (size_t)at.frame.size;
        step.begun--;
        step.first++;
    }
    return step;
}

void begun_answer(struct conns *conns, struct conn *conn, uint8_t number, size_t produced,
                  uint8_t flags)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    uint8_t before = (uint8_t)(number - cursors->first);
    struct conn_step step = {
        .begun = cursors->begun, .first = cursors->first, .answered = (uint8_t)(before + 1)};

    if (before == 0)
        step = consume_answered(conns, conn);
    step.produced = produced;
    step.flags = flags;
    conn_commit(conns, conn, &step);
    if (before != 0)
        mark(conns, conn, number, MARK_ANSWERED);
}

void begun_adopted(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->answered == 0)
        return;
    mark(conns, conn, (uint8_t)(cursors->first + cursors->answered - 1), MARK_ANSWERED);
    conn_commit(conns, conn, &(struct conn_step){.begun = cursors->begun, .first = cursors->first});
}

void begun_wait(struct conns *conns, struct conn *conn, uint8_t number, bool waits)
{
    if (waits)
        mark(conns, conn, number, MARK_WAITING);
    else
        unmark(conns, conn, number, MARK_WAITING);
}

void begun_retry(struct conns *conns, struct conn *conn, uint8_t number)
{
    mark(conns, conn, number, MARK_RETRIED);
}

void begun_batch(struct conns *conns, struct conn *conn, uint8_t number)
{
    mark(conns, conn, number, MARK_BATCH);
}
