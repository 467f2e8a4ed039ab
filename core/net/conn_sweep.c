/* What ends by time: connections that are too old, or silent for too long; PROXY headers and
 * messages that have begun to come and do not come to their end. See conn.h.
 *
 * A sweep looks at all connections once a second, and only while one of them may end so: nothing on
 * a request's path looks at a clock. */
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "net/conn_private.h"
#include "net/socket_age.h"

#define LINGER_NS (10 * NS_PER_S) /* how long input is dropped before a close */
#define SWEEP_NS  (1 * NS_PER_S)

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

/* ---- Messages that arrive in pieces ---- */

#define LATE UINT32_MAX /* in the place of a time */

/* A second more for so many bytes that have come: large messages take their time. */
#define RATE_SHIFT 14

/* Now, as neither 0 nor LATE. */
static uint32_t arrival_time(const struct conns *conns)
{
    uint32_t now = conn_time(conns->loop->now);
    return now == 0 || now == LATE ? LATE - 1 : now;
}

bool conn_arrives(struct conns *conns, const struct conn *conn, uint64_t place)
{
    struct conn_arrival *arrival = &conns->arrivals[conn_index(conns, conn)];

    if (conn->policy->receive_timeout_ns == 0)
        return true;
    if (arrival->since != 0 && arrival->place == (uint32_t)place)
        return arrival->since != LATE;
    *arrival = (struct conn_arrival){
        .since = arrival_time(conns),
        .place = (uint32_t)place,
    };
    conns_sweep(conns);
    return true;
}

/* True when it is the client that is waited for. */
static bool is_awaited(const struct conn *conn)
{
    int unread = 0;

    if (!(conn->watch.events & EPOLLIN))
        return false;
    return ioctl(conn->watch.fd, FIONREAD, &unread) < 0 || unread == 0;
}

/* True when the sweep has to look at the connection again. One whose message is late is handed to
 * on_input, which asks conn_arrives. */
static bool sweep_arrival(struct conns *conns, struct conn *conn)
{
    struct conn_arrival *arrival = &conns->arrivals[conn_index(conns, conn)];
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    uint32_t size = cursors->in_end - cursors->in_start;

    if (arrival->since == 0)
        return false;
    if (arrival->place != (uint32_t)cursors_consumed(cursors) || size == 0 || cursors->begun > 0) {
        arrival->since = 0; /* it has come */
        return false;
    }
    if (arrival->since == LATE)
        return true;
    if (!is_awaited(conn))
        arrival->since = arrival_time(conns);
    uint64_t limit_ns = conn->policy->receive_timeout_ns + (size >> RATE_SHIFT) * NS_PER_S;
    if (conn_time(conns->loop->now) - arrival->since <= limit_ns / CONN_TIME_NS)
        return true;
    arrival->since = LATE;
    conn_look_again(conns, conn);
    return true;
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
    if (conn_time(conns->loop->now) - conn->active <= limit_ns / CONN_TIME_NS)
        return true; /* counted around in 497 days */
    if (conn->policy->after_header != NULL && !conn->lingering)
        log_late(conn);
    conn_close(conns, conn);
    return false;
}

/* ---- The sweep ---- */

/* Once a second, only while some connection needs it. */
static void sweep(struct timer *timer)
{
    struct conns *conns = container_of(timer, struct conns, sweep);
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
    bool again = false;

    for (uint32_t i = 0; i < high; i++) {
        struct conn *conn = &conns->conns[i];
        if (conn->policy == NULL || conn->watch.index == 0)
            continue;
        again |= conn_may_age(conns, conn);
        if (conn->parting)
            conn_mark_dirty(conns, conn);
        again |= sweep_arrival(conns, conn);
        again |= sweep_silence(conns, conn);
    }
    if (again)
        conns_sweep(conns);
}

void conns_sweep(struct conns *conns)
{
    if (!timer_is_set(&conns->sweep))
        timer_set(conns->loop, &conns->sweep, SWEEP_NS, sweep);
}
