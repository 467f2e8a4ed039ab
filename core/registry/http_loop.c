/* See http_loop.h. */
#include "registry/http_loop.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

/* A descriptor that the engine waits for: one for each connection. */
struct socket {
    struct watch watch;
    struct http_loop *http;
    struct socket *next, **link;
};

struct http_loop {
    struct loop *loop;
    const struct http_table *table;
    struct http_engine *engine;
    struct timer timer;
    struct socket *sockets;
};

static void socket_ready(struct watch *watch, uint32_t events)
{
    const struct socket *socket = container_of(watch, struct socket, watch);
    struct http_loop *http = socket->http;
    unsigned is = (events & EPOLLIN ? HTTP_READ : 0u) | (events & EPOLLOUT ? HTTP_WRITE : 0u);

    /* What has failed is found out by reading and writing it. */
    if (events & (EPOLLERR | EPOLLHUP))
        is |= HTTP_READ | HTTP_WRITE;
    http->table->ready(http->engine, watch->fd, is);
}

static struct socket *socket_find(const struct http_loop *http, int fd)
{
    for (struct socket *socket = http->sockets; socket != NULL; socket = socket->next) {
        if (socket->watch.fd == fd)
            return socket;
    }
    return NULL;
}

static void socket_free(struct socket *socket)
{
    loop_unwatch(socket->http->loop, &socket->watch);
    *socket->link = socket->next;
    if (socket->next != NULL)
        socket->next->link = socket->link;
    free(socket);
}

static bool socket_add(struct http_loop *http, int fd, uint32_t events)
{
    struct socket *socket = must_zalloc(sizeof(*socket));

    *socket = (struct socket){.http = http, .next = http->sockets, .link = &http->sockets};
    if (socket->next != NULL)
        socket->next->link = &socket->next;
    http->sockets = socket;
    if (loop_watch(http->loop, &socket->watch, fd, events, socket_ready))
        return true;
    struct error error;
    error_errno(&error, "cannot wait for a connection to the registry");
    log_error("%s", error.text);
    socket_free(socket);
    return false;
}

static bool watch_fd(void *context, int fd, unsigned wanted)
{
    struct http_loop *http = context;
    struct socket *socket = socket_find(http, fd);
    uint32_t events = (wanted & HTTP_READ ? (uint32_t)EPOLLIN : 0u) |
                      (wanted & HTTP_WRITE ? (uint32_t)EPOLLOUT : 0u);

    if (socket == NULL)
        return wanted == 0 || socket_add(http, fd, events);
    if (wanted == 0)
        socket_free(socket);
    else
        loop_change(http->loop, &socket->watch, events);
    return true;
}

static void timer_due(struct timer *timer)
{
    const struct http_loop *http = container_of(timer, struct http_loop, timer);

    http->table->due(http->engine);
}

static void set_timer(void *context, int64_t ms)
{
    struct http_loop *http = context;

    if (ms < 0)
        timer_cancel(http->loop, &http->timer);
    else
        timer_set(http->loop, &http->timer, (uint64_t)ms * NS_PER_MS, timer_due);
}

struct http_loop *http_loop_open(struct loop *loop, const struct http_table *table,
                                 struct error *error)
{
    struct http_loop *http = must_zalloc(sizeof(*http));
    const struct http_host host = {.context = http, .watch = watch_fd, .timer = set_timer};
    char why[256];

    *http = (struct http_loop){.loop = loop, .table = table};
    http->engine = table->open(&host, why, sizeof(why));
    if (http->engine != NULL)
        return http;
    error_set(error, "%s", why);
    http_loop_close(http);
    return NULL;
}

void http_loop_close(struct http_loop *http)
{
    if (http == NULL)
        return;
    if (http->engine != NULL)
        http->table->close(http->engine);
    while (http->sockets != NULL)
        socket_free(http->sockets);
    timer_cancel(http->loop, &http->timer);
    free(http);
}

struct http_transfer *http_loop_start(struct http_loop *http, const struct http_request *request,
                                      struct error *error)
{
    char why[256];
    struct http_transfer *transfer = http->table->start(http->engine, request, why, sizeof(why));

    if (transfer == NULL)
        error_set(error, "%s", why);
    return transfer;
}

void http_loop_cancel(struct http_loop *http, struct http_transfer *transfer)
{
    http->table->cancel(transfer);
}
