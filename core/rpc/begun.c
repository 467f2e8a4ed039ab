/* The frames of a connection's input that have begun. See begun.h. */
#include "rpc/begun.h"

#include <string.h>

/* In the fourth byte of a frame's header, its highest bits. */
#define MARK_ANSWERED 0x80u
#define MARK_RETRIED  0x40u
#define MARK_WAITING  0x20u
#define MARKS         (MARK_ANSWERED | MARK_RETRIED | MARK_WAITING)
#define MARK_BYTE     3u
static_assert(FRAME_BODY_MAX < (uint64_t)(256u - MARKS) << 24, "lengths leave room for the marks");

/* The frame at `offset` of the input, whatever its marks. */
static enum frame_status frame_at(struct bytes input, uint32_t offset, uint32_t max_frame,
                                  struct begun_frame *at)
{
    char header[FRAME_HEADER_SIZE];
    struct bytes rest = {input.data + offset, input.size - offset};

    at->offset = offset;
    at->answered = at->retried = at->waiting = false;
    if (rest.size < FRAME_HEADER_SIZE)
        return frame_next(rest, max_frame, &at->frame);
    memcpy(header, rest.data, sizeof(header));
    at->answered = ((unsigned char)header[MARK_BYTE] & MARK_ANSWERED) != 0;
    at->retried = ((unsigned char)header[MARK_BYTE] & MARK_RETRIED) != 0;
    at->waiting = ((unsigned char)header[MARK_BYTE] & MARK_WAITING) != 0;
    header[MARK_BYTE] = (char)((unsigned char)header[MARK_BYTE] & ~MARKS);
    enum frame_status status =
        frame_next((struct bytes){header, sizeof(header)}, max_frame, &at->frame);
    if (status == FRAME_TOO_LARGE || rest.size < at->frame.size)
        return status;
    at->frame.body.data = rest.data + FRAME_HEADER_SIZE;
    at->frame.body.size = (size_t)at->frame.size - FRAME_HEADER_SIZE;
    return FRAME_WHOLE;
}

bool begun_walk(const struct conns *conns, const struct conn *conn, unsigned n,
                struct begun_frame *at)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (n >= cursors->begun)
        return false;
    uint32_t offset = n == 0 ? 0 : at->offset + (uint32_t)at->frame.size;
    if (frame_at(conn_input(conns, conn), offset, FRAME_BODY_MAX, at) != FRAME_WHOLE) {
        at->frame.body.data = NULL;
        return false;
    }
    at->place = cursors_consumed(cursors) + offset;
    return true;
}

enum frame_status begun_after(const struct conns *conns, const struct conn *conn, uint64_t begun_to,
                              uint32_t max_frame, struct begun_frame *next)
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
    next->answered = next->retried = next->waiting = false;
    /* What clients send has no marks: lengths are taken as they are. */
    return frame_next((struct bytes){input.data + offset, input.size - offset}, max_frame,
                      &next->frame);
}

bool begun_add(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->begun == UINT8_MAX)
        return false;
    conn_commit(conns, conn,
                &(struct conn_step){.begun = (uint8_t)(cursors->begun + 1),
                                    .answered_at = cursors->answered_at});
    return true;
}

static void mark(struct conns *conns, struct conn *conn, uint32_t offset, unsigned bit)
{
    char *byte = conn_input_at(conns, conn, offset + MARK_BYTE);
    *byte = (char)((unsigned char)*byte | bit);
}

/* The first frame is answered: how far those that are answered go. */
static struct conn_step consume_answered(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    struct conn_step step = {.begun = cursors->begun};
    struct begun_frame at = {0};

    for (unsigned n = 0; begun_walk(conns, conn, n, &at) && (n == 0 || at.answered); n++) {
        step.consumed += (size_t)at.frame.size;
        step.begun--;
    }
    if (cursors->answered_at > cursors->in_start + step.consumed)
        step.answered_at = cursors->answered_at;
    return step;
}

void begun_answer(struct conns *conns, struct conn *conn, uint64_t place, size_t produced)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    uint32_t offset = (uint32_t)(place - cursors_consumed(cursors));
    struct conn_step step = {.begun = cursors->begun,
                             .answered_at = cursors->in_start + offset + 1};

    if (offset == 0)
        step = consume_answered(conns, conn);
    step.produced = produced;
    conn_commit(conns, conn, &step);
    if (offset != 0)
        mark(conns, conn, offset, MARK_ANSWERED);
}

void begun_adopted(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->answered_at == 0)
        return;
    uint32_t offset = cursors->answered_at - 1 - cursors->in_start;
    /* A record that is damaged may name any byte; the walk will tell. */
    if (cursors->begun > 0 && offset + FRAME_HEADER_SIZE <= cursors->in_end - cursors->in_start)
        mark(conns, conn, offset, MARK_ANSWERED);
    conn_commit(conns, conn, &(struct conn_step){.begun = cursors->begun});
}

void begun_wait(struct conns *conns, struct conn *conn, uint64_t place, bool waits)
{
    uint64_t consumed = cursors_consumed(conn_cursors(conns, conn));
    char *byte = conn_input_at(conns, conn, (uint32_t)(place - consumed) + MARK_BYTE);

    *byte =
        (char)(waits ? (unsigned char)*byte | MARK_WAITING : (unsigned char)*byte & ~MARK_WAITING);
}

void begun_retry(struct conns *conns, struct conn *conn, const struct begun_frame *at)
{
    mark(conns, conn, at->offset, MARK_RETRIED);
}
