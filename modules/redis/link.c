/* Connections to Redis: opened at the start, kept, and opened again when they break, later and
 * later. Commands are pipelined: each goes to the connection with the fewest replies to come.
 * hiredis does the protocol, the worker's loop the waiting. */
#include "redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../address.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u

struct link {
    struct links *links;
    redisAsyncContext *redis; /* NULL while there is no connection */
    pillion_handle watch;
    unsigned events;
    bool ready;     /* it is connected, and has passed AUTH and SELECT */
    size_t pending; /* replies to come */
    unsigned backoff_ms;
};

struct links {
    pillion_instance *self;
    const struct settings *settings;
    char host[64];
    int port;
    bool closing;
    char reason[256]; /* why there is no connection */
    size_t count;
    struct link links[];
};

/* A request whose reply is to come. */
struct call {
    pillion_token token;
    struct link *link;
    int returns;
};

/* ---- The worker's loop as hiredis wants it ---- */

static void ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct link *link = data;

    (void)self;
    (void)fd;
    if ((events & PILLION_WRITE) || !(events & PILLION_READ))
        redisAsyncHandleWrite(link->redis); /* of a connection that fails to open, too */
    if (link->redis != NULL && (events & (PILLION_READ | PILLION_FAILED)))
        redisAsyncHandleRead(link->redis);
}

static void want(struct link *link, unsigned events)
{
    if (link->events == events)
        return;
    link->events = events;
    pillion_watch_change(link->watch, events);
}

static void add_read(void *data)
{
    struct link *link = data;
    want(link, link->events | PILLION_READ);
}

static void del_read(void *data)
{
    struct link *link = data;
    want(link, link->events & ~PILLION_READ);
}

static void add_write(void *data)
{
    struct link *link = data;
    want(link, link->events | PILLION_WRITE);
}

static void del_write(void *data)
{
    struct link *link = data;
    want(link, link->events & ~PILLION_WRITE);
}

static void cleanup(void *data)
{
    struct link *link = data;

    pillion_cancel(link->watch);
    link->watch = 0;
    link->events = 0;
    link->redis = NULL;
    if (link->ready)
        pillion_count(link->links->self, METRIC_CONNECTED, -1);
    link->ready = false;
}

/* ---- Connecting ---- */

static void link_open(struct link *link);

static void again(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    if (link->redis == NULL)
        link_open(link);
}

/* It is broken, or was never there: tells why, once, and tries again later. */
static void link_lost(struct link *link, const char *why)
{
    struct links *links = link->links;

    if (links->closing)
        return;
    if (strcmp(links->reason, why) != 0) {
        snprintf(links->reason, sizeof(links->reason), "%s", why);
        pillion_log(links->self, PILLION_LOG_ERROR, "%s: %s; it is tried again",
                    links->settings->server, why);
    }
    if (pillion_timer(links->self, link->backoff_ms, 0, again, link) == 0)
        pillion_log(links->self, PILLION_LOG_ERROR, "no timer for another try");
    link->backoff_ms *= 2;
    if (link->backoff_ms > BACKOFF_LONGEST_MS)
        link->backoff_ms = BACKOFF_LONGEST_MS;
}

static void link_ready(struct link *link)
{
    struct links *links = link->links;

    link->ready = true;
    pillion_count(links->self, METRIC_CONNECTED, 1);
    link->backoff_ms = BACKOFF_FIRST_MS;
    if (links->reason[0] != '\0')
        pillion_log(links->self, PILLION_LOG_NOTICE, "%s is there again", links->settings->server);
    links->reason[0] = '\0';
}

/* The answer to the last of AUTH and SELECT. */
static void introduced(redisAsyncContext *redis, void *data, void *privdata)
{
    const redisReply *reply = data;
    struct link *link = redis->data;

    (void)privdata;
    if (reply == NULL || redis->err != 0)
        return; /* disconnected says so */
    if (reply->type != REDIS_REPLY_ERROR) {
        link_ready(link);
        return;
    }
    link_lost(link, reply->str);
    redis->data = NULL; /* said already */
    redisAsyncDisconnect(redis);
}

static void connected(const redisAsyncContext *redis, int status)
{
    struct link *link = redis->data;
    const struct settings *settings = link->links->settings;
    redisAsyncContext *own = link->redis;
    char database[24];

    if (status != REDIS_OK) {
        link_lost(link, redis->errstr);
        return;
    }
    snprintf(database, sizeof(database), "%lld", (long long)settings->database);
    if (settings->password != NULL)
        redisAsyncCommand(own, NULL, NULL, "AUTH %s", settings->password);
    redisAsyncCommand(own, introduced, NULL, "SELECT %s", database);
}

static void disconnected(const redisAsyncContext *redis, int status)
{
    struct link *link = redis->data;

    if (link != NULL)
        link_lost(link, status == REDIS_OK ? "the connection was closed" : redis->errstr);
}

static void link_open(struct link *link)
{
    struct links *links = link->links;
    redisAsyncContext *redis = links->port == 0 ? redisAsyncConnectUnix(links->host)
                                                : redisAsyncConnect(links->host, links->port);

    if (redis == NULL || redis->err != 0) {
        link_lost(link, redis == NULL ? "out of memory" : redis->errstr);
        if (redis != NULL)
            redisAsyncFree(redis);
        return;
    }
    link->redis = redis;
    link->pending = 0;
    redis->data = link;
    redis->ev.data = link;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
    link->watch = pillion_watch(links->self, redis->c.fd, 0, ready, link);
    redisAsyncSetConnectCallback(redis, connected);
    redisAsyncSetDisconnectCallback(redis, disconnected);
}

int links_check(const struct settings *settings, pillion_error_text *error)
{
    char host[64];
    int port;

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
    struct links *links = calloc(1, sizeof(*links) + count * sizeof(links->links[0]));

    if (links == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    links->self = self;
    links->settings = settings;
    links->count = count;
    address_read(settings->server, links->host, sizeof(links->host), &links->port);
    for (size_t i = 0; i < count; i++) {
        links->links[i] = (struct link){.links = links, .backoff_ms = BACKOFF_FIRST_MS};
        link_open(&links->links[i]);
    }
    return links;
}

void links_close(struct links *links)
{
    links->closing = true;
    for (size_t i = 0; i < links->count; i++) {
        if (links->links[i].redis != NULL)
            redisAsyncFree(links->links[i].redis);
    }
    free(links);
}

/* ---- Commands ---- */

static void fail_unavailable(pillion_request *req, const char *what, const char *why)
{
    pillion_count(pillion_self(req), METRIC_UNAVAILABLE, 1);
    pillion_fail(req, "redis_unavailable", "%s%s%s", what, why[0] == '\0' ? "" : ": ", why);
}

static void replied(redisAsyncContext *redis, void *data, void *privdata)
{
    const redisReply *reply = data;
    struct call *call = privdata;
    pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);

    call->link->pending--;
    if (req != NULL && reply != NULL)
        value_reply(req, reply, call->returns);
    else if (req != NULL)
        fail_unavailable(req, "the connection to Redis broke",
                         redis->errstr[0] == '\0' ? "it was closed" : redis->errstr);
    free(call);
}

/* The connection with the fewest replies to come. */
static struct link *choose(struct links *links)
{
    struct link *best = NULL;

    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->links[i];
        if (link->ready && (best == NULL || link->pending < best->pending))
            best = link;
    }
    return best;
}

void links_send(struct links *links, pillion_request *req, const struct arguments *arguments,
                int returns)
{
    struct link *link = choose(links);

    if (link == NULL) {
        fail_unavailable(req, "there is no connection to Redis", links->reason);
        return;
    }
    struct call *call =
        link->pending < (size_t)links->settings->max_pending ? malloc(sizeof(*call)) : NULL;
    if (call == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "%zu replies of Redis are to come (max_pending)",
                     link->pending);
        return;
    }
    *call = (struct call){.link = link, .returns = returns};
    if (redisAsyncCommandArgv(link->redis, replied, call, arguments->count,
                              (const char **)arguments->data, arguments->sizes) != REDIS_OK) {
        free(call);
        fail_unavailable(req, "the connection to Redis is being closed", "");
        return;
    }
    link->pending++;
    pillion_count(links->self, METRIC_COMMANDS, 1);
    call->token = pillion_defer(req, links->settings->timeout_ms);
}
