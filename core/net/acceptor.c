/* Accepting. See acceptor.h. */
#include "net/acceptor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log_seldom.h"
#include "net/handoff.h"
#include "net/listener.h"

#define ACCEPT_BATCH     16u /* for each wake-up, so that the other workers get their share */
#define PAUSE_FAIR_NS    (5 * NS_PER_MS)
#define PAUSE_BUSY_NS    (1 * NS_PER_MS) /* until `room` is asked again */
#define PAUSE_TROUBLE_NS (200 * NS_PER_MS)
#define FAIR_MARGIN      4u  /* connections above the average that do not count as more, */
#define FAIR_SHARE       64u /* and this part of the average, which does not either */
#define LEFT_BATCH       4u  /* clients that acceptor_look accepts above this worker's share */

static void accept_ready(struct watch *watch, uint32_t events);
static void accept_from(struct accept_socket *socket, uint32_t owed);

/* True when the only room left is kept for connections that are still to be adopted. */
static bool is_full(const struct acceptor *acceptor)
{
    const struct conns *conns = acceptor->conns;
    return conns->open >= conns->limit || conns->expected >= conns->limit - conns->open;
}

void acceptor_look(struct acceptor *acceptor)
{
    for (uint32_t i = 0; i < acceptor->count && !acceptor->paused; i++)
        accept_from(&acceptor->sockets[i], LEFT_BATCH);
}

static void pause_over(struct timer *timer);

/* The socket is the server's all the while. */
static void unwatch(struct loop *loop, struct accept_socket *socket)
{
    loop_unwatch(loop, &socket->watch);
    loop_own(loop, socket->fd);
}

/* Stops watching the sockets for `ns`; 0: until acceptor_room. */
static void pause_accepting(struct acceptor *acceptor, uint64_t ns)
{
    for (uint32_t i = 0; i < acceptor->count; i++)
        unwatch(acceptor->conns->loop, &acceptor->sockets[i]);
    acceptor->paused = true;
    timer_cancel(acceptor->conns->loop, &acceptor->pause);
    if (ns != 0)
        timer_set(acceptor->conns->loop, &acceptor->pause, ns, pause_over);
}

/* Pauses because this worker has no room for another connection, and counts that. */
static void pause_for_room(struct acceptor *acceptor, uint64_t ns)
{
    counter_add(&acceptor->conns->counters[COUNT_PAUSED_ACCEPT], 1);
    acceptor->lacks_room = true;
    pause_accepting(acceptor, ns);
}

static void resume(struct acceptor *acceptor)
{
    struct conns *conns = acceptor->conns;

    acceptor->paused = acceptor->lacks_room = false;
    timer_cancel(conns->loop, &acceptor->pause);
    for (uint32_t i = 0; i < acceptor->count && !acceptor->stopped && !acceptor->paused; i++) {
        struct accept_socket *socket = &acceptor->sockets[i];
        if (socket->watch.index == 0 && !loop_watch(conns->loop, &socket->watch, socket->fd,
                                                    EPOLLIN | EPOLLEXCLUSIVE, accept_ready)) {
            log_seldom(LOG_ERROR_LEVEL, NULL,
                       "cannot watch a listening socket (%s): accepting pauses for %llu ms",
                       strerrorname_np(errno), PAUSE_TROUBLE_NS / NS_PER_MS);
            pause_for_room(acceptor, PAUSE_TROUBLE_NS);
        }
    }
}

static void pause_over(struct timer *timer)
{
    struct acceptor *acceptor = container_of(timer, struct acceptor, pause);

    resume(acceptor);
    acceptor_look(acceptor);
}

void acceptor_room(struct acceptor *acceptor)
{
    if (acceptor->paused && !acceptor->stopped && !is_full(acceptor))
        resume(acceptor);
}

void acceptor_adjust(struct acceptor *acceptor)
{
    if (acceptor->paused || !is_full(acceptor))
        return;
    if (!acceptor->full_logged && acceptor->conns->open >= acceptor->conns->limit) {
        acceptor->full_logged = true;
        log_warn("%u connections: accepting pauses until one is closed; raise worker_connections, "
                 "worker_processes or the limit on open files (pillion -t says which)",
                 acceptor->conns->open);
    }
    pause_for_room(acceptor, 0);
}

/* True when this worker has clearly more than its share. */
static bool above_average(struct acceptor *acceptor)
{
    if (acceptor->average == NULL)
        return false;
    uint32_t average = acceptor->average(acceptor->context);
    return acceptor->conns->open > average + average / FAIR_SHARE + FAIR_MARGIN;
}

/* What the operator can do about accept(2)'s error. */
static const char *advice(int number)
{
    switch (number) {
    case EMFILE:
        return "raise worker_rlimit_nofile or lower worker_connections";
    case ENFILE:
        return "the system has no more open files: raise fs.file-max (sysctl)";
    default:
        return "the system has no memory for another socket: see net.ipv4.tcp_mem, and the memory "
               "limit of the server's cgroup";
    }
}

/* A module has shut the socket down, or disconnected it, in this worker or in another. This socket
 * is tried again after a pause, because the master makes it listen again; the others go on. */
static void accept_ended(struct accept_socket *socket)
{
    struct acceptor *acceptor = socket->acceptor;
    struct sockaddr_storage own;
    socklen_t size = sizeof(own);
    char text[ADDRESS_TEXT_SIZE] = "a listening socket";

    /* A reload has dropped the port, and this worker is about to be told to leave. */
    socket->ended = socket->ended || listener_is_retired(socket->fd);
    if (socket->handed)
        snprintf(text, sizeof(text), "the queue of TLS clients");
    else if (!socket->ended && getsockname(socket->fd, (struct sockaddr *)&own, &size) == 0)
        address_format((struct sockaddr *)&own, size, text);
    if (!socket->ended)
        log_error("cannot accept on %s, which does not listen any more: a module has shut it down; "
                  "a reload listens anew, if the master does not before",
                  text);
    socket->ended = true;
    unwatch(acceptor->conns->loop, socket);
    timer_set(acceptor->conns->loop, &acceptor->pause, PAUSE_TROUBLE_NS, pause_over);
}

/* accept(2) failed after `count` clients. True when it may be tried again at once. */
static bool accept_failed(struct accept_socket *socket, uint32_t count)
{
    struct acceptor *acceptor = socket->acceptor;

    switch (errno) {
    case EAGAIN:
    case EINVAL:
        if (count == 0 && listener_is_shut_down(socket->fd))
            accept_ended(socket);
        return false;
    case EINTR:
    case ECONNABORTED: /* the client went away while it waited in the queue */
    case EPROTO:
        return true;
    default:
        break;
    }
    /* The client stays in the queue: without a pause its level-triggered event would come again
     * and again. */
    int number = errno;
    if (number == EMFILE && acceptor->more_files != NULL && acceptor->more_files())
        return true;
    log_seldom(LOG_WARN_LEVEL, NULL, "cannot accept (%s): accepting pauses for %llu ms; %s",
               strerrorname_np(number), PAUSE_TROUBLE_NS / NS_PER_MS, advice(number));
    pause_for_room(acceptor, PAUSE_TROUBLE_NS);
    return false;
}

static void refuse(struct accept_socket *socket, int fd, enum conn_entry entry)
{
    if (entry == CONN_ONE_TOO_MANY)
        farewell_begin(&socket->acceptor->farewells, fd, socket->protocol);
    else
        close(fd);
}

/* Accepts clients that wait; up to `owed` of them even when this worker has more than its share. */
static void accept_from(struct accept_socket *socket, uint32_t owed)
{
    struct acceptor *acceptor = socket->acceptor;
    struct conns *conns = acceptor->conns;
    struct conn *batch[ACCEPT_BATCH];
    uint32_t count = 0, refused = 0;

    uint32_t room = ACCEPT_BATCH;
    bool soon = true;
    if (acceptor->room != NULL)
        room = acceptor->room(acceptor->context, &soon);
    if (room == 0) {
        if (soon)
            pause_accepting(acceptor, PAUSE_BUSY_NS);
        else
            pause_for_room(acceptor, PAUSE_TROUBLE_NS);
        return;
    }
    while (count + refused < ACCEPT_BATCH && count < room && !acceptor->paused) {
        acceptor_adjust(acceptor);
        if (acceptor->paused)
            break;
        /* Records of connections that this batch has closed are free at its end. */
        if (!conns_have_record(conns))
            break;
        if (count >= owed && above_average(acceptor)) {
            pause_accepting(acceptor, PAUSE_FAIR_NS);
            break;
        }
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof(peer);
        int fd = descriptor_apart(socket->handed ? handoff_take(socket->fd)
                                                 : accept4(socket->fd, (struct sockaddr *)&peer,
                                                           &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd < 0) {
            if (accept_failed(socket, count))
                continue;
            break;
        }
        socket->ended = false;
        uint64_t key = 0;
        /* Of clients of a gate, the header tells who they are. */
        enum conn_entry entry = socket->handed ? CONN_MAY_COME
                                               : conns_admit(conns, socket->policy, fd,
                                                             (struct sockaddr *)&peer, size, &key);
        if (entry != CONN_MAY_COME) {
            refuse(socket, fd, entry);
            refused++;
            continue;
        }
        struct conn *conn =
            conn_open(conns, fd, socket->listener, socket->protocol, socket->policy);
        conn_counted(conns, conn, key);
        batch[count++] = conn;
    }
    if (count > 0) {
        counter_add(&conns->counters[COUNT_ACCEPTED], count);
        acceptor->accepted(acceptor->context, batch, count);
    }
}

/* The kernel wakes one worker for a client: this worker accepts it whatever its share is. */
static void accept_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    accept_from(container_of(watch, struct accept_socket, watch), 1);
}

void acceptor_start(struct acceptor *acceptor)
{
    for (uint32_t i = 0; i < acceptor->count; i++)
        acceptor->sockets[i].acceptor = acceptor;
    acceptor->farewells.loop = acceptor->conns->loop;
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
    for (uint32_t i = 0; i < acceptor->count; i++) {
        loop_disown(acceptor->conns->loop, acceptor->sockets[i].fd);
        close(acceptor->sockets[i].fd);
    }
    acceptor->count = 0;
}
