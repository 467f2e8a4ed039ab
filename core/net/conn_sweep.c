/* What ends by time: connections that are too old, too slow (conn_pace.c) or silent for too long,
 * and PROXY headers that do not come. See conn.h.
 *
 * A sweep looks at all connections once a second, and only while one of them may end so: nothing on
 * a request's path looks at a clock. */
#include "base/clock.h"
#include "base/log_seldom.h"
#include "net/conn_private.h"
#include "net/socket_age.h"

#define LINGER_NS (10 * NS_PER_S) /* how long input is dropped before a close */
#define SWEEP_NS  (1 * NS_PER_S)
#define SOON_NS   (100 * NS_PER_MS) /* while the arena has little room */

/* ---- Age ---- */

#define SOON 8u /* the last eighth of the time that a connection has */

static uint32_t age_of(const struct conns *conns, const struct conn *conn)
{
    return conn_time(conns->loop->now) - conns->born[conn_index(conns, conn)];
}

/* The most that it may become. */
static uint32_t age_limit(const struct conns *conns, const struct conn *conn)
{
    return (uint32_t)(socket_age_limit(conn_id(conns, conn), conn->policy->max_age_ns) /
                      CONN_TIME_NS);
}

bool conn_parts_soon(const struct conns *conns, const struct conn *conn)
{
    if (conns->draining || conn->policy->parting || conn->parting)
        return true;
    if (conn->policy->max_age_ns == 0)
        return false;
    uint32_t limit = age_limit(conns, conn);
    return age_of(conns, conn) >= limit - limit / SOON;
}

bool conn_may_age(const struct conns *conns, struct conn *conn)
{
    if (conn->policy->max_age_ns == 0 || conn->parting)
        return false;
    conn->parting = age_of(conns, conn) > age_limit(conns, conn);
    return !conn->parting;
}

void conn_requested(struct conns *conns, struct conn *conn, uint32_t more)
{
    uint32_t *requests = &conns->requests[conn_index(conns, conn)];

    *requests += more;
    if (*requests >= conn->policy->max_requests)
        conn->parting = 1;
}

/* ---- Silence ---- */

/* No header has come in its time. */
static void log_late(const struct conn *conn)
{
    char own[ADDRESS_TEXT_SIZE], text[ADDRESS_TEXT_SIZE];

    conn_peer(conn, text);
    log_seldom(
        LOG_WARN_LEVEL, NULL,
        "%s: %s sent no whole PROXY header within %llu ms (proxy_timeout): the connection is "
        "closed",
        conn_here(conn->watch.fd, own), text,
        (unsigned long long)(conn->policy->header_timeout_ns / NS_PER_MS));
}

/* How long it may be silent; 0: for ever. */
static uint64_t silence_ns(const struct conn *conn)
{
    if (conn->lingering)
        return LINGER_NS;
    return conn->policy->after_header != NULL ? conn->policy->header_timeout_ns
                                              : conn->policy->idle_timeout_ns;
}

/* True when its client has taken all that a stream has had for it, and is only to wait. */
static bool is_fed(const struct conns *conns, const struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    return (cursors->flags & (CONN_STREAM | CONN_ENDING)) == CONN_STREAM &&
           cursors->out_start == cursors->out_end;
}

/* True when the sweep has to look at the connection again. Closes one that was silent for too long.
 */
static bool sweep_silence(struct conns *conns, struct conn *conn)
{
    uint64_t limit_ns = silence_ns(conn);

    /* A client that waits for room in the arena, or for a reply, is not idle by its own choice. */
    if (conn->waiting || conn->deferred != 0)
        return true;
    if (limit_ns == 0)
        return false;
    if (is_fed(conns, conn))
        conn->active = conn_time(conns->loop->now);
    if (conn_time(conns->loop->now) - conn->active <= limit_ns / CONN_TIME_NS)
        return true; /* counted around in 497 days */
    if (conn->policy->after_header != NULL && !conn->lingering) {
        log_late(conn);
        counter_add(&conns->counters[COUNT_ENDED_HEADER], 1);
    } else if (!conn->lingering) {
        counter_add(&conns->counters[COUNT_ENDED_IDLE], 1);
    }
    conn_close(conns, conn);
    return false;
}

/* ---- The sweep ---- */

/* The connection, which is open. True when the sweep has to look at it again. */
static bool sweep_one(struct conns *conns, struct conn *conn, uint32_t elapsed)
{
    bool again = conn_may_age(conns, conn);

    if (conn->parting)
        conn_mark_dirty(conns, conn);
    again |= conn_pace_arrival(conns, conn, elapsed);
    again |= conn_pace_sending(conns, conn, elapsed);
    if (conn->policy != NULL)
        again |= sweep_silence(conns, conn);
    return again;
}

static void sweep(struct timer *timer);

static void next_sweep(struct conns *conns)
{
    conns->hurried = room_is_pressed(&conns->room);
    timer_set(conns->loop, &conns->sweep, conns->hurried ? SOON_NS : SWEEP_NS, sweep);
}

/* Once a second, or ten times while room is short; only while some connection needs it. */
static void sweep(struct timer *timer)
{
    struct conns *conns = container_of(timer, struct conns, sweep);
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
    uint32_t now = conn_time(conns->loop->now), elapsed = now - conns->swept;
    bool again = false;

    conns->swept = now;
    for (uint32_t i = 0; i < high; i++) {
        struct conn *conn = &conns->conns[i];
        if (conn->policy != NULL && conn->watch.index != 0)
            again |= sweep_one(conns, conn, elapsed);
    }
    if (again)
        next_sweep(conns);
}

void conns_sweep(struct conns *conns)
{
    if (timer_is_set(&conns->sweep))
        return;
    conns->swept = conn_time(conns->loop->now);
    next_sweep(conns);
}

void conns_sweep_soon(struct conns *conns)
{
    conns_sweep(conns);
    if (conns->hurried)
        return;
    timer_cancel(conns->loop, &conns->sweep);
    next_sweep(conns);
}

bool conn_arrives(struct conns *conns, const struct conn *conn, uint64_t place)
{
    if (conn->policy->receive_timeout_ns == 0)
        return true;
    conns_sweep(conns);
    return conn_pace_expect(conns, conn, place);
}
