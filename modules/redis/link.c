/* Connections to Redis: opened in the loop's first turn, kept, and opened again when they break,
 * later and later, or when they lead to the wrong server. hiredis speaks the protocol; the loop
 * does the waiting. Commands and replies are calls.c's. */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../address.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define CONNECT_MS         5000u /* to connect, and to have AUTH and SELECT answered */
#define SILENCE_MS         5000u /* without any reply: the connection is dead */
#define SILENCE_TIMEOUTS   3u    /* or this many times `timeout`, when that is longer */
#define LOOKS              20u   /* in that time */
#define RETIRE_EVERY_MS    2000u /* perhaps no other server exists */

static void link_open(struct link *link);

/* ---- Ending ---- */

static void again(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    if (link->redis == NULL)
        link_open(link);
}

static void link_close(struct link *link)
{
    pillion_cancel(link->watch);
    pillion_cancel(link->flush);
    pillion_cancel(link->more);
    pillion_cancel(link->deadline);
    pillion_cancel(link->tls);
    link->watch = link->flush = link->more = link->deadline = link->tls = 0;
    link->blocked = link->retiring = false;
    value_reset(&link->value);
    link->skip = 0;
    if (link->redis != NULL)
        redisFree(link->redis);
    link->redis = NULL;
    if (link->ready)
        pillion_count(link->links->self, METRIC_CONNECTED, -1);
    link->ready = false;
}

static void fail_waiting(struct links *links)
{
    while (links->waiting.first != NULL) {
        pillion_request *req = waiting_take(&links->waiting);
        if (req != NULL)
            fail_unavailable(req, "there is no connection to Redis");
    }
}

/* The attempt to connect, which requests wait for, has ended, whether or not it succeeded. */
static void link_opened(struct link *link)
{
    link->links->opening -= link->opening;
    link->opening = false;
}

/* The connection has broken, or could not be made: answers the waiting requests, logs a new reason
 * once, and tries again later. */
static void link_lost(struct link *link, const char *why)
{
    struct links *links = link->links;
    char reason[sizeof(links->reason)];

    snprintf(reason, sizeof(reason), "%s", why);
    link_close(link);
    calls_fail(link);
    link_opened(link);
    if (!links_any(links))
        fail_waiting(links);
    if (links->closing)
        return;
    if (strcmp(links->reason, reason) != 0) {
        memcpy(links->reason, reason, sizeof(reason));
        pillion_log(links->self, PILLION_LOG_ERROR, "%s: %s; it is tried again",
                    links->settings->server, reason);
    }
    if (pillion_timer(links->self, link->backoff_ms, 0, again, link) == 0)
        pillion_log(links->self, PILLION_LOG_ERROR, "no timer for another try");
    link->backoff_ms *= 2;
    if (link->backoff_ms > BACKOFF_LONGEST_MS)
        link->backoff_ms = BACKOFF_LONGEST_MS;
}

/* ---- Opening anew ---- */

/* Opens the connection anew if that is due and nothing is under way on it any more. */
static void link_retire(struct link *link)
{
    if (!link->retiring || link->pending > 0)
        return;
    link_close(link);
    link->opening = true; /* so that requests wait for it */
    link->links->opening++;
    link_open(link);
}

static void retire_soon(pillion_instance *self, void *data)
{
    (void)self;
    link_retire(data);
}

/* Redis refuses changes: opens all connections anew, but not too often. */
static void links_read_only(struct links *links)
{
    uint64_t now = now_ms();

    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->links[i];
        if (!link->ready || link->retiring || now - link->opened_ms < RETIRE_EVERY_MS)
            continue;
        link->retiring = true;
        /* Not at once: the connection may be in the middle of taking replies. */
        pillion_timer(links->self, 0, 0, retire_soon, link);
    }
}

/* ---- Connecting ---- */

static void link_ready(struct link *link)
{
    struct links *links = link->links;

    link->ready = true;
    link->opened_ms = now_ms();
    link_opened(link);
    pillion_cancel(link->deadline);
    pillion_count(links->self, METRIC_CONNECTED, 1);
    link->backoff_ms = BACKOFF_FIRST_MS;
    if (links->reason[0] != '\0')
        pillion_log(links->self, PILLION_LOG_NOTICE, "%s is there again", links->settings->server);
    links->reason[0] = '\0';
    calls_send_waiting(links);
}

static void ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    (void)self;
    (void)fd;
    calls_go_on(data, events);
}

/* The server takes commands from here on. */
static void introduce(struct link *link)
{
    pillion_cancel(link->watch);
    link->watch = pillion_watch(link->links->self, link->redis->fd, PILLION_READ, ready, link);
    if (link->watch == 0)
        link_lost(link, strerror(errno));
    else
        calls_introduce(link);
}

/* TLS is established, or has failed, now or later. */
static void told(pillion_instance *self, const char *why, void *data)
{
    (void)self;
    if (why == NULL)
        introduce(data);
    else
        link_lost(data, why);
}

/* connect(2) has come to an end, EINPROGRESS. */
static void connected(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct link *link = data;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)self;
    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0)
        link_lost(link, strerror(error));
    else
        introduce(link);
}

static void connect_late(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    link_lost(link, link->tls != 0 && link->introductions == 0
                        ? "the server does not answer the TLS handshake: does it speak TLS?"
                        : "the server does not answer");
}

/* hiredis goes on with the plain end, and closes it. False with errno set. */
static bool begin_tls(struct link *link)
{
    const struct links *links = link->links;

    link->tls = pillion_tls_connect(links->tls, link->redis->fd,
                                    links->port == 0 ? "localhost" : links->host, &link->redis->fd,
                                    told, link);
    return link->tls != 0;
}

static void link_open(struct link *link)
{
    struct links *links = link->links;

    link->redis = links->port == 0 ? redisConnectUnixNonBlock(links->host)
                                   : redisConnectNonBlock(links->host, links->port);
    if (link->redis == NULL || link->redis->err != 0) {
        link_lost(link, link->redis == NULL ? "out of memory" : link->redis->errstr);
        return;
    }
    value_attach(&link->value, link->redis);
    if (links->tls == NULL)
        link->watch = pillion_watch(links->self, link->redis->fd, PILLION_WRITE, connected, link);
    link->deadline = pillion_timer(links->self, CONNECT_MS, 0, connect_late, link);
    if (links->tls == NULL ? link->watch == 0 : !begin_tls(link))
        link_lost(link, strerror(errno));
}

/* Notices a server that has vanished without closing the connection. */
static void links_look(pillion_instance *self, void *data)
{
    struct links *links = data;
    uint64_t now = now_ms();

    (void)self;
    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->links[i];
        if (link->ready && link->pending > 0 && now - link->heard_ms >= links->silence_ms)
            link_lost(link, "the server has stopped answering");
    }
}

static const struct link_events events = {
    .lost = link_lost, .ready = link_ready, .replied = link_retire, .read_only = links_read_only};

/* NULL with the reason. */
static pillion_tls *tls_of(pillion_instance *self, const struct settings *settings,
                           pillion_error_text *error)
{
    return pillion_tls_open(self, &settings->ssl, sizeof(settings->ssl), NULL, error);
}

int links_check(pillion_instance *self, const struct settings *settings, pillion_error_text *error)
{
    char host[64];
    int port;

    if (settings->ssl.on && tls_of(self, settings, error) == NULL)
        return -1;
    if (address_read(settings->server, host, sizeof(host), &port))
        return 0;
    return pillion_error(error,
                         "\"%s\" is no address of a Redis server: write 127.0.0.1:6379, "
                         "[::1]:6379 or unix:PATH (at most 63 bytes)",
                         settings->server);
}

struct links *links_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error)
{
    size_t count = (size_t)settings->connections;
    pillion_tls *tls = settings->ssl.on ? tls_of(self, settings, error) : NULL;

    if (settings->ssl.on && tls == NULL)
        return NULL;
    struct links *links = calloc(1, sizeof(*links) + count * sizeof(links->links[0]));

    if (links == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    links->events = &events;
    links->self = self;
    links->settings = settings;
    links->tls = tls;
    links->count = links->opening = count;
    waiting_start(&links->waiting);
    address_read(settings->server, links->host, sizeof(links->host), &links->port);
    for (size_t i = 0; i < count; i++) {
        struct link *link = &links->links[i];
        *link = (struct link){.links = links,
                              .opening = true,
                              .backoff_ms = BACKOFF_FIRST_MS,
                              .value.text.limit = settings->max_reply};
        /* `pillion -t` starts modules too, but does not run the loop, so it does not reach the
         * server. */
        if (pillion_timer(self, 0, 0, again, link) == 0) {
            pillion_error(error, "there is no timer to connect with");
            free(links);
            return NULL;
        }
    }
    uint64_t silence_ms = settings->timeout_ms * SILENCE_TIMEOUTS;
    links->silence_ms = silence_ms > SILENCE_MS ? silence_ms : SILENCE_MS;
    uint64_t look_ms = links->silence_ms / LOOKS;
    links->look = pillion_timer(self, look_ms, look_ms, links_look, links);
    return links;
}

void links_close(struct links *links)
{
    links->closing = true;
    pillion_cancel(links->look);
    for (size_t i = 0; i < links->count; i++) {
        if (links->links[i].redis != NULL)
            link_lost(&links->links[i], "the worker ends");
        free(links->links[i].calls);
        value_free(&links->links[i].value);
    }
    fail_waiting(links);
    free(links);
}
