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
#include "tls/carrier.h"

#define LINGER_NS (5 * NS_PER_S) /* for what a module has left behind */

struct pump {
    struct pump_plan plan;
    struct watch outside, inside; /* the server's socket, and the core's end of the pair */
    struct timer limit;           /* of the handshake, then of the end */
    struct timer again;           /* more can be carried at once */
    struct carrier carrier; /* inside is the module, which is lost once it has closed its end */
    bool connected;         /* the socket is */
    bool met;               /* the handshake is done */
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
    plan.tls->end(pump->carrier.session);
    forget(pump, &pump->outside, pump->outside.fd);
    forget(pump, &pump->inside, pump->inside.fd);
    carrier_end(&pump->carrier);
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

/* What has ended the session may be the network's all the same, as a reset is. */
static void pump_broken(struct pump *pump)
{
    const struct tls_table *tls = pump->plan.tls;
    const char *why = tls->why(pump->carrier.session);

    if (tls->cause(pump->carrier.session) == TLS_CAUSE_CONNECTION)
        pump_break(pump, why);
    else
        pump_break_tls(pump, why);
}

static void limit_over(struct timer *timer)
{
    struct pump *pump = container_of(timer, struct pump, limit);

    if (pump->met)
        pump_end(pump); /* the server does not take what the module has left behind */
    else if (!pump->connected)
        pump_break(pump, strerror(ETIMEDOUT));
    else
        pump_break_tls(pump, "the handshake was not done in time (ssl_handshake_timeout)");
}

/* ---- Bytes ---- */

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
    if (events & (EPOLLHUP | EPOLLERR))
        pump->carrier.in_lost = true;
    pump_look(pump);
}

/* A socket that is not watched stays the core's to close. */
static bool watch_for(struct pump *pump, struct watch *watch, uint32_t events,
                      watch_callback callback)
{
    if (events == 0) {
        loop_unwatch(pump->plan.loop, watch);
        loop_own(pump->plan.loop, watch->fd);
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
    const struct carrier *carrier = &pump->carrier;
    uint32_t inside = carrier->in_lost ? 0 : carrier_inside_events(carrier) | EPOLLHUP;

    return watch_for(pump, &pump->outside, carrier_outside_events(carrier), outside_ready) &&
           watch_for(pump, &pump->inside, inside, inside_ready);
}

static void carry(struct pump *pump)
{
    bool more = false;

    if (!carrier_run(&pump->carrier, CARRY_BOTH, &more)) {
        pump_broken(pump);
        return;
    }
    if (carrier_done(&pump->carrier)) {
        pump_end(pump);
        return;
    }
    if (pump->carrier.in_lost && !timer_is_set(&pump->limit))
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

    if (pump->carrier.in_lost) {
        pump_end(pump);
        return;
    }
    if (why != NULL) {
        pump_break(pump, why);
        return;
    }
    pump->connected = true;
    switch (tls->handshake(pump->carrier.session)) {
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
        pump_broken(pump);
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
    pump->carrier = (struct carrier){
        .tls = plan->tls,
        .session = plan->tls->connect(plan->context, fd, plan->name),
        .outside = fd,
        .inside = ends[1],
    };
    if (pump->carrier.session == NULL)
        errno = ENOMEM;
    /* Until the handshake is done, the module's end is only watched for its close. */
    if (pump->carrier.session != NULL &&
        loop_watch(plan->loop, &pump->outside, fd, EPOLLOUT, outside_ready)) {
        if (loop_watch(plan->loop, &pump->inside, ends[1], EPOLLHUP, inside_ready)) {
            timer_set(plan->loop, &pump->limit, plan->handshake_ns, limit_over);
            *plain = ends[0];
            return true;
        }
        loop_unwatch(plan->loop, &pump->outside);
    }
    int error = errno;
    plan->tls->end(pump->carrier.session);
    free(pump);
    close(ends[0]);
    close(ends[1]);
    errno = error;
    return false;
}
