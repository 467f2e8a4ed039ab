/* Slow clients: those that do not send the rest of a message, or do not read their replies, or do
 * so by drops. See conn.h.
 *
 * A client has a time, and is given more for the bytes that it moves while it is waited for, but
 * never more than that time: so it may pause for as long, and must be as fast as `least_rate` on
 * the whole. While room in the arena is short the time is a second, for each client that holds more
 * than a single block: what it holds keeps others waiting. Nor is more than a few of its requests
 * answered then (conn_output_limit). What a client has read is counted where
 * the kernel counts it, by what its own kernel has acknowledged. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/log_seldom.h"
#include "net/conn_private.h"

#define LATE       UINT32_MAX /* in the place of a time */
#define PRESSED_NS NS_PER_S
#define TIMES_A_S  (NS_PER_S / CONN_TIME_NS)

/* The most time that a client has which holds a block of this order. */
static uint32_t most_time(const struct conns *conns, uint64_t timeout_ns, unsigned order)
{
    if (order > 0 && timeout_ns > PRESSED_NS && room_is_pressed(&conns->room))
        timeout_ns = PRESSED_NS;
    return conn_time(timeout_ns) + 1;
}

/* The client has moved so many bytes that it has no time for yet. False when its time is over. */
static bool pace(struct conn_pace *pace, uint32_t bytes, uint32_t rate, uint32_t elapsed,
                 uint32_t most)
{
    if (rate == 0 && bytes > 0) {
        pace->counted += bytes;
        pace->left = most;
        return true;
    }
    uint64_t gained = rate == 0 ? 0 : (uint64_t)bytes * TIMES_A_S / rate;
    pace->counted += (uint32_t)(gained * rate / TIMES_A_S); /* the rest counts the next time */
    if (pace->left + gained <= elapsed)
        return false;
    uint64_t left = pace->left + gained - elapsed;
    pace->left = left < most ? (uint32_t)left : most;
    return true;
}

/* ---- Messages that arrive in pieces ---- */

bool conn_pace_expect(struct conns *conns, const struct conn *conn, uint64_t place)
{
    struct conn_pace *arrival = &conns->arrivals[conn_index(conns, conn)];

    if (arrival->left != 0 && arrival->place == (uint32_t)place)
        return arrival->left != LATE;
    *arrival = (struct conn_pace){
        /* The next sweep takes the time off that has passed since the one before. */
        .left = conn_time(conn->policy->receive_timeout_ns) + 1 + conn_time(conns->loop->now) -
                conns->swept,
        .place = (uint32_t)place,
    };
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

bool conn_pace_arrival(struct conns *conns, struct conn *conn, uint32_t elapsed)
{
    struct conn_pace *arrival = &conns->arrivals[conn_index(conns, conn)];
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    uint32_t size = cursors->in_end - cursors->in_start;

    if (arrival->left == 0)
        return false;
    if (arrival->place != (uint32_t)cursors_consumed(cursors) || size == 0 || cursors->begun > 0) {
        arrival->left = 0; /* it has come */
        return false;
    }
    if (arrival->left == LATE)
        return true;
    uint32_t most = most_time(conns, conn->policy->receive_timeout_ns, cursors->in_order);
    if (!is_awaited(conn)) {
        arrival->left = most;
        return true;
    }
    if (!pace(arrival, size - arrival->counted, conn->policy->least_rate, elapsed, most)) {
        arrival->left = LATE;
        conn_look_again(conns, conn);
    }
    return true;
}

/* ---- Replies that are not read ---- */

/* Its time is over: nobody could tell it so. */
static void cut(struct conns *conns, struct conn *conn)
{
    const struct conn_cursors *cursors = conn_cursors(conns, conn);
    char address[ADDRESS_TEXT_SIZE];

    conn_peer(conn, address);
    log_seldom(LOG_WARN_LEVEL, NULL,
               "the client %s does not read its replies, or too slowly (send_timeout, "
               "least_rate)%s: it is disconnected, with %u bytes unsent",
               address, room_is_pressed(&conns->room) ? ", and the arena has little room" : "",
               cursors->out_end - cursors->out_start);
    counter_add(&conns->counters[COUNT_ENDED_SEND], 1);
    conn_cut(conns, conn);
}

bool conn_pace_sending(struct conns *conns, struct conn *conn, uint32_t elapsed)
{
    struct conn_pace *sending = &conns->sendings[conn_index(conns, conn)];
    const struct conn_cursors *cursors = conn_cursors(conns, conn);

    if (conn->policy->send_timeout_ns == 0 || cursors->out_start == cursors->out_end) {
        if (sending->left != 0)
            sending->left = 0;
        return false;
    }
    uint32_t most = most_time(conns, conn->policy->send_timeout_ns, cursors->out_order);
    int queued = 0;
    if (ioctl(conn->watch.fd, SIOCOUTQ, &queued) < 0)
        queued = 0;
    uint32_t at = (uint32_t)cursors->sent - (uint32_t)queued; /* the client's kernel has as many */
    if (sending->left == 0 || queued == 0) { /* it is this worker that is to go on */
        *sending = (struct conn_pace){.left = most, .counted = at};
        return true;
    }
    /* On Unix sockets the kernel counts memory, which may grow without a byte. */
    uint32_t bytes = (int32_t)(at - sending->counted) > 0 ? at - sending->counted : 0;
    if (pace(sending, bytes, conn->policy->least_rate, elapsed, most))
        return true;
    cut(conns, conn);
    return false;
}
