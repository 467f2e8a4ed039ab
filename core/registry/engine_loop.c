/* See engine_loop.h. */
#include "registry/engine_loop.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

/* A descriptor that the engine waits for: one for each connection. */
struct socket {
    struct watch watch;
    struct engine_loop *engine;
    struct socket *next, **link;
};

struct engine_loop {
    struct loop *loop;
    struct engine_calls calls;
    struct timer timer;
    struct socket *sockets;
};

static void socket_ready(struct watch *watch, uint32_t events)
{
    const struct socket *socket = container_of(watch, struct socket, watch);
    struct engine_loop *engine = socket->engine;
    unsigned is = (events & EPOLLIN ? ENGINE_READ : 0u) | (events & EPOLLOUT ? ENGINE_WRITE : 0u);

    /* What has failed is found out by reading and writing it. */
    if (events & (EPOLLERR | EPOLLHUP))
        is |= ENGINE_READ | ENGINE_WRITE;
    engine->calls.ready(engine->calls.engine, watch->fd, is);
}

static struct socket *socket_find(const struct engine_loop *engine, int fd)
{
    for (struct socket *socket = engine->sockets; socket != NULL; socket = socket->next) {
        if (socket->watch.fd == fd)
            return socket;
    }
    return NULL;
}

static void socket_free(struct socket *socket)
{
    loop_unwatch(socket->engine->loop, &socket->watch);
    *socket->link = socket->next;
    if (socket->next != NULL)
        socket->next->link = socket->link;
    free(socket);
}

static bool socket_add(struct engine_loop *engine, int fd, uint32_t events)
{
    struct socket *socket = must_zalloc(sizeof(*socket));

    *socket = (struct socket){.engine = engine, .next = engine->sockets, .link = &engine->sockets};
    if (socket->next != NULL)
        socket->next->link = &socket->next;
    engine->sockets = socket;
    if (loop_watch(engine->loop, &socket->watch, fd, events, socket_ready))
        return true;
    struct error error;
    error_errno(&error, "cannot wait for a connection");
    log_error("%s", error.text);
    socket_free(socket);
    return false;
}

static bool watch_fd(void *context, int fd, unsigned wanted)
{
    struct engine_loop *engine = context;
    struct socket *socket = socket_find(engine, fd);
    uint32_t events = (wanted & ENGINE_READ ? (uint32_t)EPOLLIN : 0u) |
                      (wanted & ENGINE_WRITE ? (uint32_t)EPOLLOUT : 0u);

    if (socket == NULL)
        return wanted == 0 || socket_add(engine, fd, events);
    if (wanted == 0)
        socket_free(socket);
    else
        loop_change(engine->loop, &socket->watch, events);
    return true;
}

static void timer_due(struct timer *timer)
{
    const struct engine_loop *engine = container_of(timer, struct engine_loop, timer);

    engine->calls.due(engine->calls.engine);
}

static void set_timer(void *context, int64_t ms)
{
    struct engine_loop *engine = context;

    if (ms < 0)
        timer_cancel(engine->loop, &engine->timer);
    else
        timer_set(engine->loop, &engine->timer, (uint64_t)ms * NS_PER_MS, timer_due);
}

struct engine_loop *engine_loop_open(struct loop *loop)
{
    struct engine_loop *engine = must_zalloc(sizeof(*engine));

    engine->loop = loop;
    return engine;
}

struct engine_host engine_loop_host(struct engine_loop *engine)
{
    return (struct engine_host){.context = engine, .watch = watch_fd, .timer = set_timer};
}

void engine_loop_use(struct engine_loop *engine, const struct engine_calls *calls)
{
    engine->calls = *calls;
}

void engine_loop_close(struct engine_loop *engine)
{
    while (engine->sockets != NULL)
        socket_free(engine->sockets);
    timer_cancel(engine->loop, &engine->timer);
    free(engine);
}
