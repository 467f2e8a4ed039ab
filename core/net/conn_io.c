/* Moving bytes: reading, handling what was read, sending, and what each waits for. See conn.h.
 *
 * Reading and sending happen from the loop's events; replies of a whole batch go out together when
 * the batch is through. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "net/conn_private.h"
#include "net/transport.h"

#define READS_PER_EVENT 4u     /* then other connections are read */
#define PLENTY          65536u /* bytes of requests that wait for a slice */
#define SMALL_OUTPUT    BLOCK_BYTES(WRITE_ORDER)
#define FLUSH_PASSES    16u /* likewise, of sending replies and handling requests that waited */

/* ---- What a connection waits for ---- */

/* All replies are sent: tells the client that no more will come, and drops all further input. */
static void linger(struct conns *conns, struct conn *conn)
{
    if (conn->lingering)
        return;
    conn->lingering = 1;
    conn->active = conn_time(conns->loop->now);
    shutdown(conn->watch.fd, SHUT_WR);
    conns_sweep(conns);
}

/* True when there is no request that has come and is not read. Behind that of a stream none counts.
 */
static bool asks_nothing(const struct conn_cursors *cursors)
{
    return cursors->in_start == cursors->in_end || (cursors->flags & CONN_STREAM);
}

/* True when a connection that has nothing more to send is over. */
static bool is_over(const struct conns *conns, const struct conn *conn,
                    const struct conn_cursors *cursors)
{
    if (cursors->flags & CONN_ENDING)
        return !(cursors->flags & CONN_DISCARD) || (cursors->flags & CONN_EOF);
    if (conn->waiting || cursors->begun > 0)
        return false;
    if (cursors->flags & CONN_EOF)
        return true;
    return conns->draining && asks_nothing(cursors);
}

/* True when nobody serves the connection, or it is too old, and it has nothing under way, nor
 * unread in its socket: its client sees the end behind the last reply. */
static bool is_parting(const struct conn *conn, const struct conn_cursors *cursors)
{
    int unread = 0;

    if (!(conn->policy->parting || conn->parting) || (cursors->flags & CONN_ENDING) ||
        conn->waiting || cursors->begun > 0 || !asks_nothing(cursors))
        return false;
    return ioctl(conn->watch.fd, FIONREAD, &unread) < 0 || unread == 0;
}

/* The counter of the directive by which the connection parts. */
static enum worker_counter parting_counter(const struct conns *conns, const struct conn *conn)
{
    uint32_t most = conn->policy->max_requests;

    return most != 0 && conns->requests[conn_index(conns, conn)] >= most ? COUNT_ENDED_REQUESTS
                                                                         : COUNT_ENDED_AGE;
}

/* Its requests wait for a slice, and there are many already: more would only fill the arena. */
static bool has_plenty(const struct conn *conn, const struct conn_cursors *cursors)
{
    return conn->again == CONN_AGAIN_LATER && cursors->in_end - cursors->in_start >= PLENTY;
}

/* Ends the connection if it is over; otherwise watches for the events that it waits for next. */
static void settle(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    bool unsent = cursors->out_start != cursors->out_end;
    bool reading = !(cursors->flags & CONN_EOF) && !conns->leaving;
    uint32_t events = 0;

    if (!unsent &&
        (is_over(conns, conn, cursors) || (conn->deferred && conn_is_left(conns, conn)))) {
        conn_close(conns, conn);
        return;
    }
    if (is_parting(conn, cursors)) {
        if (conn->parting)
            counter_add(&conns->counters[parting_counter(conns, conn)], 1);
        conn_set_flags(conns, conn, CONN_ENDING | CONN_DISCARD);
        cursors = conn_cursors(conns, conn);
    }
    if (cursors->flags & CONN_ENDING) {
        reading = reading && (cursors->flags & CONN_DISCARD);
        if (!unsent)
            linger(conns, conn);
    } else {
        bool full = conn_output_full(conns, conn);
        if (full && !conn->paused)
            counter_add(&conns->counters[COUNT_PAUSED_OUTPUT], 1);
        conn->paused = full;
        reading =
            reading && !full && !conn->stalled && !conn->waiting && !has_plenty(conn, cursors);
    }
    input_shrink(conns, conn);
    if (conn->deferred)
        conn_probe(conns, conn);
    if (reading)
        events |= EPOLLIN;
    else if (conn->deferred && !conn_has_finished(conns, conn))
        events |= EPOLLRDHUP; /* it may finish, or go, before it is read again */
    if (unsent)
        events |= EPOLLOUT;
    loop_change(conns->loop, &conn->watch, events);
    conn->watch.patient = conn->deferred != 0;
}

/* ---- Reading ---- */

struct bytes conn_input(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (cursors->in_block == BLOCK_NONE)
        return (struct bytes){"", 0};
    return (struct bytes){arena_block(&conns->arena, cursors->in_block) + cursors->in_start,
                          cursors->in_end - cursors->in_start};
}

static void process(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    conn_mark_dirty(conns, conn);
    /* When the worker leaves, replies that waited for room still find it: nothing else is done. */
    if ((cursors->flags & (CONN_ENDING | CONN_STREAM)) || (conns->leaving && !conn->deferred))
        return;
    if ((cursors->flags & CONN_HEADER) && !conn_header_input(conns, conn, conn_input(conns, conn)))
        return;
    conns->on_input(conns, conn);
}

/* Around receiving and sending, with the commit that follows: see arena_header's `in_call`. */
static void call_begins(struct conns *conns, const struct conn *conn)
{
    atomic_store_explicit(&conns->arena.header->in_call, 1 + conn_index(conns, conn),
                          memory_order_release);
}

/* In a build for tests: the worker dies between a call and its record, every so many calls. */
static void call_test(void)
{
#ifdef PILLION_TESTING
    static unsigned calls;
    const char *every = getenv("PILLION_TEST_DIE_IN_CALL");

    if (every != NULL && ++calls % (unsigned)atoi(every) == 0)
        raise(SIGKILL);
#endif
}

static void call_ended(struct conns *conns)
{
    atomic_store_explicit(&conns->arena.header->in_call, 0, memory_order_release);
}

/* Something else in this process has closed the descriptor. The worker ends: its adopters get whole
 * descriptors from the vaults, so no client notices. */
static void check_descriptor(const struct conn *conn)
{
    if (errno != EBADF && errno != ENOTSOCK)
        return;
    log_error("descriptor %d of a connection was closed by something else, a module it must be; "
              "the worker ends, another one takes its connections over",
              conn->watch.fd);
    abort();
}

/* Reads once. True when there may be more to read. */
static bool receive_once(struct conns *conns, struct conn *conn)
{
    if (!input_prepare(conns, conn)) {
        conn_wait_for_room(conns, conn);
        conn_mark_dirty(conns, conn);
        return false;
    }
    struct conn_record *record = conn_record_of(conns, conn);
    const struct conn_cursors *cursors = record_cursors(record);
    size_t room = input_room(conns, conn);
    char *to = arena_block(&conns->arena, cursors->in_block) + cursors->in_end;
    call_begins(conns, conn);
    ssize_t got = transport_of(conn->policy->transport)->receive(conn->watch.fd, to, room);

    if (got < 0) {
        call_ended(conns);
        if (errno == EINTR)
            return true;
        check_descriptor(conn);
        if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS)
            conn_close(conns, conn);
        else
            conn_mark_dirty(conns, conn);
        return false;
    }
    if (got == 0) {
        conn_set_flags(conns, conn, CONN_EOF);
        call_ended(conns);
        process(conns, conn);
        return false;
    }
    call_test();
    struct conn_cursors *edit = record_edit(record);
    edit->in_end += (uint32_t)got;
    edit->received += (uint64_t)got;
    record_commit(record);
    call_ended(conns);
    counter_add(&conns->counters[COUNT_BYTES_IN], (uint64_t)got);
    if (conn->policy->idle_timeout_ns != 0)
        conn->active = conn_time(conns->loop->now);
    process(conns, conn);
    return (size_t)got == room && conn->policy != NULL && !conn->stalled && !conn->waiting &&
           !conn_output_full(conns, conn) && !has_plenty(conn, conn_cursors(conns, conn)) &&
           !(conn_cursors(conns, conn)->flags & (CONN_EOF | CONN_ENDING | CONN_STREAM));
}

/* Reads and drops, until the client has stopped sending. */
static void discard(struct conns *conns, struct conn *conn)
{
    const struct transport *transport = transport_of(conn->policy->transport);
    char buffer[16384];

    for (unsigned i = 0; i < READS_PER_EVENT; i++) {
        ssize_t got = transport->receive(conn->watch.fd, buffer, sizeof(buffer));
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got < 0) {
            conn_close(conns, conn);
            return;
        }
        if (got == 0) {
            conn_set_flags(conns, conn, CONN_EOF);
            conn_mark_dirty(conns, conn);
            return;
        }
        struct conn_record *record = conn_record_of(conns, conn);
        record_edit(record)->received += (uint64_t)got;
        record_commit(record);
    }
}

static void receive(struct conns *conns, struct conn *conn)
{
    if (conn_cursors(conns, conn)->flags & CONN_DISCARD) {
        discard(conns, conn);
        return;
    }
    for (unsigned i = 0; i < READS_PER_EVENT; i++) {
        if (!receive_once(conns, conn))
            return;
    }
}

/* ---- Sending ---- */

uint64_t conn_output_limit(const struct conns *conns, const struct conn *conn)
{
    uint64_t most = conn->policy->max_output;

    return most > SMALL_OUTPUT && room_is_pressed(&conns->room) ? SMALL_OUTPUT : most;
}

bool conn_output_full(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    return cursors->out_end - cursors->out_start >= conn_output_limit(conns, conn);
}

void conn_commit(struct conns *conns, struct conn *conn, const struct conn_step *step)
{
    struct conn_record *record = conn_record_of(conns, conn);
    struct conn_cursors *edit = record_edit(record);
    uint32_t block = BLOCK_NONE;
    unsigned order = edit->in_order;

    edit->in_start += (uint32_t)step->consumed;
    edit->out_end += (uint32_t)step->produced;
    edit->begun = step->begun;
    edit->first = step->first;
    edit->answered = step->answered;
    edit->flags |= step->flags;
    edit->told = step->told || (edit->told && step->consumed == 0);
    if (edit->in_start == edit->in_end) {
        block = edit->in_block;
        edit->in_block = BLOCK_NONE;
        edit->in_start = edit->in_end = 0;
    }
    record_commit(record);
    conn->expects = 0;
    room_give(&conns->room, block, order);
    conn_mark_dirty(conns, conn);
}

void conn_advance(struct conns *conns, struct conn *conn, size_t consumed, size_t produced)
{
    conn_commit(conns, conn, &(struct conn_step){.consumed = consumed, .produced = produced});
}

bool conn_feed(struct conns *conns, struct conn *conn, struct bytes bytes)
{
    char *room = conn_output_reserve(conns, conn, bytes.size);

    if (room == NULL)
        return false;
    memcpy(room, bytes.data, bytes.size);
    conn_advance(conns, conn, 0, bytes.size);
    conn->active = conn_time(conns->loop->now);
    return true;
}

/* Sends queued replies until the socket takes no more. False when the connection is gone. */
static bool send_queued(struct conns *conns, struct conn *conn)
{
    struct conn_record *record = conn_record_of(conns, conn);
    const struct conn_cursors *cursors = record_cursors(record);
    size_t size = cursors->out_end - cursors->out_start;

    if (size == 0 || conn->blocked)
        return true;
    ssize_t put;
    call_begins(conns, conn);
    do {
        put = transport_of(conn->policy->transport)
                  ->send(conn->watch.fd,
                         arena_block(&conns->arena, cursors->out_block) + cursors->out_start, size);
    } while (put < 0 && errno == EINTR);
    if (put < 0) {
        call_ended(conns);
        check_descriptor(conn);
        if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS) {
            conn_close(conns, conn);
            return false;
        }
        conn->blocked = 1;
        conns_sweep(conns);
        return true;
    }
    call_test();
    struct conn_cursors *edit = record_edit(record);
    uint32_t block = BLOCK_NONE;
    unsigned order = edit->out_order;
    edit->out_start += (uint32_t)put;
    edit->sent += (uint64_t)put;
    if (edit->out_start == edit->out_end) {
        block = edit->out_block;
        edit->out_block = BLOCK_NONE;
        edit->out_start = edit->out_end = 0;
    }
    record_commit(record);
    call_ended(conns);
    room_give(&conns->room, block, order);
    counter_add(&conns->counters[COUNT_BYTES_OUT], (uint64_t)put);
    if (conn->policy->idle_timeout_ns != 0)
        conn->active = conn_time(conns->loop->now);
    conn->blocked = (size_t)put < size;
    if (conn->blocked)
        conns_sweep(conns);
    if (conn->owing)
        conns->on_sent(conns, conn);
    return true;
}

/* ---- Waiting for room ---- */

/* Blocks have come free: every connection that waits for room tries again. */
static void retry_waiting(struct conns *conns)
{
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    room_retry(&conns->room);
    for (uint32_t i = 0; i < high && conns->room.waiting > 0; i++) {
        struct conn *conn = &conns->conns[i];
        if (conn->policy == NULL || !conn->waiting)
            continue;
        /* One that still finds no room waits anew, and does not hold up the others. */
        conn->waiting = 0;
        room_wait_ends(&conns->room);
        process(conns, conn);
    }
}

/* ---- Events and batches ---- */

static void conn_ready(struct watch *watch, uint32_t events)
{
    struct conn *conn = container_of(watch, struct conn, watch);
    struct conns *conns = conn->policy->conns;

    if (events & EPOLLOUT) {
        conn->blocked = 0;
        conn_mark_dirty(conns, conn);
    }
    if ((events & EPOLLIN) && (watch->events & EPOLLIN)) {
        if (conns->leaving)
            conn_mark_dirty(conns, conn); /* settle ends the watching */
        else
            receive(conns, conn);
        /* While other connections are queued for a slice, the end of the batch may be far off. Sent
         * now, so that a client with nothing queued is not delayed. */
        if (slice_is_awaited(&conns->slice) && conn->policy != NULL && !conn->deferred)
            send_queued(conns, conn);
        return;
    }
    /* Not reading, and the connection is broken both ways: no reply could reach the client. */
    if (events & (EPOLLERR | EPOLLHUP)) {
        conn_close(conns, conn);
    } else if (events & EPOLLRDHUP) {
        conn->finished = 1;
        conn_mark_dirty(conns, conn);
    }
}

/* Starts the connections that could not be watched a second ago. */
static void start_unwatched(struct timer *timer)
{
    struct conns *conns = container_of(timer, struct conns, rewatch);
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    for (uint32_t i = 0; i < high; i++) {
        struct conn *conn = &conns->conns[i];
        if (conn->policy != NULL && conn->unwatched)
            conn_start(conns, conn);
    }
}

void conn_start(struct conns *conns, struct conn *conn)
{
    if (!loop_watch(conns->loop, &conn->watch, conn->watch.fd, EPOLLIN, conn_ready)) {
        log_seldom(LOG_ERROR_LEVEL, NULL, "cannot watch a connection (%s): tried again each second",
                   strerrorname_np(errno));
        conn->unwatched = 1;
        if (!timer_is_set(&conns->rewatch))
            timer_set(conns->loop, &conns->rewatch, NS_PER_S, start_unwatched);
        return;
    }
    conn->unwatched = 0;
    /* At once, because a worker may not live until the sweep, where reloads are many. */
    if (conn_may_age(conns, conn) || conn->policy->idle_timeout_ns != 0 ||
        conn->policy->header_timeout_ns != 0)
        conns_sweep(conns);
    if (conn_input(conns, conn).size > 0 || conn_speaks_first(conns, conn))
        process(conns, conn);
    else
        conn_mark_dirty(conns, conn);
}

static void flush(struct conns *conns, struct conn *conn)
{
    if (conn->again == CONN_AGAIN_LATER) /* that was said in the batch before, or by an event */
        conn->again = CONN_AGAIN_NOW;
    for (unsigned pass = 0; pass < FLUSH_PASSES; pass++) {
        bool full = conn->left || conn_output_full(conns, conn);
        if (!send_queued(conns, conn))
            return;
        if (conn->again != CONN_AGAIN_NOW && (!full || conn_output_full(conns, conn)))
            break;
        conn->again = CONN_AGAIN_NEVER;
        conn->left = 0;
        process(conns, conn); /* requests that waited until the client had read, or for others */
        if (conn->policy == NULL)
            return;
        if (conn->again == CONN_AGAIN_LATER) {
            if (!send_queued(conns, conn))
                return;
            break;
        }
    }
    settle(conns, conn);
}

/* Only so that the loop does not wait: the batch's end does the rest. */
static void go_on(struct timer *timer)
{
    (void)timer;
}

void conns_go_on_soon(struct conns *conns)
{
    if (!timer_is_set(&conns->soon))
        timer_set(conns->loop, &conns->soon, 0, go_on);
}

/* Sends, and handles requests that waited. */
static void flush_listed(struct conns *conns, struct conn *conn)
{
    uint32_t begun = conns->slice.begun;

    /* The connection stays listed until it is flushed, so that changes during its flush do not list
     * it again. */
    if (conn->policy != NULL)
        flush(conns, conn);
    if (conn->policy != NULL && conn->again == CONN_AGAIN_LATER) {
        slice_wait(&conns->slice, &conn->waiter, conns->slice.begun != begun);
        return;
    }
    conn->listed = 0;
    if (conn->policy == NULL)
        conn_give(conns, conn);
}

static void flush_dirty(struct conns *conns)
{
    while (conns->dirty != NULL) {
        struct conn *conn = conns->dirty;
        conns->dirty = conn->next;
        flush_listed(conns, conn);
    }
}

/* The connections that the batch before has left waiting for a time slice. */
static void flush_waiters(struct conns *conns)
{
    struct slice_waiter *waiter = slice_take(&conns->slice);

    while (waiter != NULL) {
        struct conn *conn = container_of(waiter, struct conn, waiter);
        waiter = waiter->next;
        flush_listed(conns, conn);
    }
}

void conns_flush(struct conns *conns)
{
    slice_end(&conns->slice);
    flush_waiters(conns);
    flush_dirty(conns);
    /* Sending has given blocks back: now is the time, the next event may be far away. */
    while (room_retry_is_due(&conns->room)) {
        retry_waiting(conns);
        flush_dirty(conns);
    }
    slice_end(&conns->slice);
    if (slice_order(&conns->slice))
        conns_go_on_soon(conns);
}
