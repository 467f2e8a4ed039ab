/* Carrying bytes between a module and a server that speaks TLS. See pump.h. */
#include "tls/pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

#define CHUNK     16384u         /* what a record of TLS holds at most */
#define ROUNDS    16u            /* chunks carried before others have their turn */
#define LINGER_NS (5 * NS_PER_S) /* for what a module has left behind */

/* Bytes that the other side has not taken yet. */
struct held {
    char *data; /* NULL: none */
    size_t start, size;
};

struct pump {
    struct pump_plan plan;
    struct watch outside, inside; /* the server's socket, and the core's end of the pair */
    struct timer limit;           /* of the handshake, then of the end */
    struct timer again;           /* more can be carried at once */
    struct tls_session *session;
    struct held in, out;
    bool met;         /* the handshake is done */
    bool in_ended;    /* the server has finished sending, */
    bool in_told;     /* and the module was told, or has gone */
    bool out_ended;   /* the module has finished sending, */
    bool out_told;    /* and the server was told */
    bool left;        /* the module has closed its end */
    bool reads_write; /* TLS can read only once it can write */
};

static void pump_look(struct pump *pump);

/* ---- The end ---- */

static void forget(struct pump *pump, struct watch *watch, int fd)
{
    loop_unwatch(pump->plan.loop, watch);
    loop_disown(pump->plan.loop, fd);
    close(fd);
}

static void pump_end(struct pump *pump)
{
    struct pump_plan plan = pump->plan;

    timer_cancel(plan.loop, &pump->limit);
    timer_cancel(plan.loop, &pump->again);
    plan.tls->end(pump->session);
    forget(pump, &pump->outside, pump->outside.fd);
    forget(pump, &pump->inside, pump->inside.fd);
    free(pump->in.data);
    free(pump->out.data);
    free(pump);
    plan.over(plan.told_context);
}

/* The module hears of it before its end of the pair ends. */
static void pump_break(struct pump *pump, const char *why)
{
    pump->plan.told(pump->plan.told_context, why);
    pump_end(pump);
}

/* Likewise, for what is no fault of the network's. */
static void pump_break_tls(struct pump *pump, const char *why)
{
    char text[300];

    snprintf(text, sizeof(text), PUMP_TLS "%s", why);
    pump_break(pump, text);
}

static void limit_over(struct timer *timer)
{
    struct pump *pump = container_of(timer, struct pump, limit);

    if (pump->met)
        pump_end(pump); /* the server does not take what the module has left behind */
    else
        pump_break_tls(pump, "the handshake was not done in time (ssl_handshake_timeout)");
}

/* ---- Bytes that are held ---- */

static void hold(struct held *held, const char *data, size_t size)
{
    held->data = must_alloc(size);
    memcpy(held->data, data, size);
    held->start = 0;
    held->size = size;
}

static void taken(struct held *held, size_t size)
{
    held->start += size;
    if (held->start < held->size)
        return;
    free(held->data);
    *held = (struct held){0};
}

/* ---- From the server to the module ---- */

/* Sends as much as the module's end takes. A module that has closed it takes nothing more: what
 * comes is dropped. */
static size_t send_inside(struct pump *pump, const char *data, size_t size)
{
    if (pump->left)
        return size;
    ssize_t sent = send(pump->inside.fd, data, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    pump->left = true;
    return size;
}

/* Carries what there is, for some rounds. False when TLS is broken. `more` becomes true when there
 * is more at once. */
static bool carry_in(struct pump *pump, bool *more)
{
    static char chunk[CHUNK];
    size_t got;

    pump->reads_write = false;
    for (unsigned round = 0; !pump->in_ended; round++) {
        if (pump->in.data != NULL)
            taken(&pump->in, send_inside(pump, pump->in.data + pump->in.start,
                                         pump->in.size - pump->in.start));
        if (pump->in.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        enum tls_status status = pump->plan.tls->read(pump->session, chunk, sizeof(chunk), &got);
        if (status == TLS_BROKEN)
            return false;
        pump->in_ended = status == TLS_END;
        pump->reads_write = status == TLS_WRITE;
        if (status != TLS_DONE)
            break;
        size_t sent = send_inside(pump, chunk, got);
        if (sent < got)
            hold(&pump->in, chunk + sent, got - sent);
    }
    if (pump->in_ended && pump->in.data == NULL && !pump->in_told) {
        pump->in_told = true;
        shutdown(pump->inside.fd, SHUT_WR);
    }
    return true;
}

/* ---- From the module to the server ---- */

static bool send_outside(struct pump *pump, const char *data, size_t size, size_t *sent)
{
    enum tls_status status = pump->plan.tls->write(pump->session, data, size, sent);
    return status == TLS_DONE || status == TLS_WRITE || status == TLS_READ;
}

static bool carry_held_out(struct pump *pump)
{
    size_t sent = 0;

    while (pump->out.data != NULL) {
        if (!send_outside(pump, pump->out.data + pump->out.start, pump->out.size - pump->out.start,
                          &sent))
            return false;
        if (sent == 0)
            return true;
        taken(&pump->out, sent);
    }
    return true;
}

static bool carry_chunk(struct pump *pump, const char *chunk, size_t size)
{
    size_t sent;

    for (size_t at = 0; at < size; at += sent) {
        if (!send_outside(pump, chunk + at, size - at, &sent))
            return false;
        if (sent > 0)
            continue;
        hold(&pump->out, chunk + at, size - at);
        break;
    }
    return true;
}

static bool carry_out(struct pump *pump, bool *more)
{
    static char chunk[CHUNK];

    for (unsigned round = 0; !pump->out_ended; round++) {
        if (!carry_held_out(pump))
            return false;
        if (pump->out.data != NULL)
            return true;
        if (round == ROUNDS) {
            *more = true;
            return true;
        }
        ssize_t got = recv(pump->inside.fd, chunk, sizeof(chunk), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        pump->out_ended = got <= 0;
        if (got > 0 && !carry_chunk(pump, chunk, (size_t)got))
            return false;
    }
    if (!carry_held_out(pump))
        return false;
    if (pump->out_ended && pump->out.data == NULL && !pump->out_told) {
        pump->out_told = true;
        pump->plan.tls->finish(pump->session);
        shutdown(pump->outside.fd, SHUT_WR);
    }
    return true;
}

/* ---- Both ---- */

static void outside_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    pump_look(container_of(watch, struct pump, outside));
}

static void inside_ready(struct watch *watch, uint32_t events)
{
    struct pump *pump = container_of(watch, struct pump, inside);

    /* Of a pair, it comes when the other end is closed, and not when that has only finished sending
     * (unix(7)). */
    pump->left = pump->left || (events & (EPOLLHUP | EPOLLERR)) != 0;
    pump_look(pump);
}

/* Watches for what can be carried on. A socket with nothing to wait for is not watched at all,
 * because the kernel reports errors of a watched one again and again. */
static bool watch_for(struct pump *pump, struct watch *watch, uint32_t events,
                      watch_callback callback)
{
    if (events == 0) {
        loop_unwatch(pump->plan.loop, watch);
        loop_own(pump->plan.loop, watch->fd); /* it is the core's to close */
        return true;
    }
    if (watch->index != 0) {
        loop_change(pump->plan.loop, watch, events);
        return true;
    }
    return loop_watch(pump->plan.loop, watch, watch->fd, events, callback);
}

static void again_over(struct timer *timer)
{
    pump_look(container_of(timer, struct pump, again));
}

/* The module's end is watched for its close in any case: it is how a connection ends. */
static bool wait_for_more(struct pump *pump)
{
    uint32_t outside = (pump->in.data == NULL && !pump->in_ended ? EPOLLIN : 0) |
                       (pump->out.data != NULL || pump->reads_write ? EPOLLOUT : 0);
    uint32_t inside = (pump->out.data == NULL && !pump->out_ended ? EPOLLIN : 0) |
                      (pump->in.data != NULL ? EPOLLOUT : 0);

    return watch_for(pump, &pump->outside, outside, outside_ready) &&
           watch_for(pump, &pump->inside, pump->left ? 0 : inside | EPOLLHUP, inside_ready);
}

static void carry(struct pump *pump)
{
    bool more = false;

    if (!carry_in(pump, &more) || !carry_out(pump, &more)) {
        pump_break_tls(pump, pump->plan.tls->why(pump->session));
        return;
    }
    if (pump->out_told && (pump->in_told || pump->left)) {
        pump_end(pump);
        return;
    }
    if (pump->left && !timer_is_set(&pump->limit))
        timer_set(pump->plan.loop, &pump->limit, LINGER_NS, limit_over);
    if (!wait_for_more(pump))
        pump_break(pump, strerror(errno));
    else if (more)
        timer_set(pump->plan.loop, &pump->again, 0, again_over);
}

/* ---- The beginning ---- */

static void meet(struct pump *pump)
{
    pump->met = true;
    timer_cancel(pump->plan.loop, &pump->limit);
    pump->plan.told(pump->plan.told_context, NULL);
    pump_look(pump);
}

/* Why the socket is not connected; NULL when it is. */
static const char *unconnected(const struct pump *pump)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(pump->outside.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    return error == 0 ? NULL : strerror(error);
}

static void shake_hands(struct pump *pump)
{
    const struct tls_table *tls = pump->plan.tls;
    const char *why = unconnected(pump);

    if (pump->left) {
        pump_end(pump);
        return;
    }
    if (why != NULL) {
        pump_break(pump, why);
        return;
    }
    switch (tls->handshake(pump->session)) {
    case TLS_DONE:
        meet(pump);
        break;
    case TLS_READ:
        loop_change(pump->plan.loop, &pump->outside, EPOLLIN);
        break;
    case TLS_WRITE:
        loop_change(pump->plan.loop, &pump->outside, EPOLLOUT);
        break;
    case TLS_END:
        pump_break_tls(pump, "it closed the connection in the handshake");
        break;
    case TLS_BROKEN:
        pump_break_tls(pump, tls->why(pump->session));
        break;
    }
}

/* Does what can be done next. The pump may be gone after it. */
static void pump_look(struct pump *pump)
{
    if (pump->met)
        carry(pump);
    else
        shake_hands(pump);
}

bool pump_start(const struct pump_plan *plan, int fd, int *plain)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    struct pump *pump = must_zalloc(sizeof(*pump));
    pump->plan = *plan;
    pump->session = plan->tls->connect(plan->context, fd, plan->name);
    if (pump->session == NULL)
        errno = ENOMEM;
    /* Until the handshake is done, the module's end is only watched for its close. */
    if (pump->session != NULL &&
        loop_watch(plan->loop, &pump->outside, fd, EPOLLOUT, outside_ready)) {
        if (loop_watch(plan->loop, &pump->inside, ends[1], EPOLLHUP, inside_ready)) {
            timer_set(plan->loop, &pump->limit, plan->handshake_ns, limit_over);
            *plain = ends[0];
            return true;
        }
        loop_unwatch(plan->loop, &pump->outside);
    }
    int error = errno;
    plan->tls->end(pump->session);
    free(pump);
    close(ends[0]);
    close(ends[1]);
    errno = error;
    return false;
}
