/* Accepting. See acceptor.h. */
#include "net/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define ACCEPT_BATCH     16u /* for each wake-up: more would be taken from the other workers */
#define PAUSE_FAIR_NS    (5 * NS_PER_MS)
#define PAUSE_BUSY_NS    (1 * NS_PER_MS) /* then it is looked again whether accepting may go on */
#define PAUSE_TROUBLE_NS (200 * NS_PER_MS)
#define FAIR_MARGIN      4u  /* connections above the average that do not matter */
#define FAIR_SHARE       64u /* nor does a 64th part of the average */
#define LEFT_BATCH       4u  /* what a worker with more than its share takes when nobody else did */

static void accept_ready(struct watch *watch, uint32_t events);
static void accept_from(struct accept_source *source, uint32_t owed);

static void resume(struct acceptor *acceptor)
{
    struct conns *conns = acceptor->conns;

    acceptor->paused = false;
    timer_cancel(conns->loop, &acceptor->pause);
    for (uint32_t i = 0; i < acceptor->count && !acceptor->stopped; i++) {
        struct accept_source *source = &acceptor->sources[i];
        if (source->watch.index == 0 && !loop_watch(conns->loop, &source->watch, source->fd,
                                                    EPOLLIN | EPOLLEXCLUSIVE, accept_ready))
            log_error("cannot watch a listening socket: errno %d", errno);
    }
}

void acceptor_look(struct acceptor *acceptor)
{
    for (uint32_t i = 0; i < acceptor->count && !acceptor->paused; i++)
        accept_from(&acceptor->sources[i], LEFT_BATCH);
}

static void pause_over(struct timer *timer)
{
    struct acceptor *acceptor = container_of(timer, struct acceptor, pause);

    resume(acceptor);
    acceptor_look(acceptor);
}

/* `ns` 0: until acceptor_room. */
static void pause_accepting(struct acceptor *acceptor, uint64_t ns)
{
    for (uint32_t i = 0; i < acceptor->count; i++)
        loop_unwatch(acceptor->conns->loop, &acceptor->sources[i].watch);
    acceptor->paused = true;
    if (ns != 0)
        timer_set(acceptor->conns->loop, &acceptor->pause, ns, pause_over);
}

void acceptor_room(struct acceptor *acceptor)
{
    if (acceptor->paused && !acceptor->stopped && acceptor->conns->open < acceptor->conns->limit)
        resume(acceptor);
}

void acceptor_adjust(struct acceptor *acceptor)
{
    if (acceptor->paused || acceptor->conns->open < acceptor->conns->limit)
        return;
    if (!acceptor->full_logged)
        log_warn("%u connections: accepting pauses until one is closed; raise worker_connections "
                 "or worker_processes",
                 acceptor->conns->open);
    acceptor->full_logged = true;
    pause_accepting(acceptor, 0);
}

/* True when this worker has clearly more than its share. */
static bool above_average(struct acceptor *acceptor)
{
    if (acceptor->average == NULL)
        return false;
    uint32_t average = acceptor->average(acceptor->context);
    return acceptor->conns->open > average + average / FAIR_SHARE + FAIR_MARGIN;
}

/* accept(2) failed. True when the next one may be tried at once. */
static bool accept_failed(struct acceptor *acceptor)
{
    switch (errno) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED: /* the client went away while it waited in the queue */
    case EPROTO:
        return true;
    default:
        break;
    }
    /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the queue; a level-triggered event
     * would come again at once, and again. */
    log_warn("cannot accept (%s): accepting pauses for %llu ms; raise worker_rlimit_nofile or "
             "lower worker_connections",
             strerrorname_np(errno), PAUSE_TROUBLE_NS / NS_PER_MS);
    pause_accepting(acceptor, PAUSE_TROUBLE_NS);
    return false;
}

/* Accepts what waits. `owed`: how many are taken even when this worker has more than its share. */
static void accept_from(struct accept_source *source, uint32_t owed)
{
    struct acceptor *acceptor = source->acceptor;
    struct conns *conns = acceptor->conns;
    struct conn *batch[ACCEPT_BATCH];
    uint32_t count = 0;

    if (acceptor->may_accept != NULL && !acceptor->may_accept(acceptor->context)) {
        pause_accepting(acceptor, PAUSE_BUSY_NS);
        return;
    }
    while (count < ACCEPT_BATCH && !acceptor->paused) {
        acceptor_adjust(acceptor);
        if (acceptor->paused)
            break;
        if (count >= owed && above_average(acceptor)) {
            pause_accepting(acceptor, PAUSE_FAIR_NS);
            break;
        }
        int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (accept_failed(acceptor))
                continue;
            break;
        }
        struct conn *conn = conn_open(conns, fd, source->listener, source->owner);
        if (conn == NULL) { /* the arena has no record left; `limit` is never above its number */
            close(fd);
            break;
        }
        batch[count++] = conn;
    }
    if (count > 0) {
        counter_add(&conns->counters[COUNT_ACCEPTED], count);
        acceptor->accepted(acceptor->context, batch, count);
    }
}

/* The kernel wakes one worker for a connection: who is woken takes it, whatever its share. */
static void accept_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    accept_from(container_of(watch, struct accept_source, watch), 1);
}

void acceptor_start(struct acceptor *acceptor)
{
    for (uint32_t i = 0; i < acceptor->count; i++)
        acceptor->sources[i].acceptor = acceptor;
    acceptor->stopped = false;
    resume(acceptor);
}

void acceptor_stop(struct acceptor *acceptor)
{
    acceptor->stopped = true;
    pause_accepting(acceptor, 0);
    timer_cancel(acceptor->conns->loop, &acceptor->pause);
}

void acceptor_close(struct acceptor *acceptor)
{
    acceptor_stop(acceptor);
    for (uint32_t i = 0; i < acceptor->count; i++)
        close(acceptor->sources[i].fd);
    acceptor->count = 0;
}
