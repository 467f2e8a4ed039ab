/* Connections to Redis: opened in the loop's first turn, kept, and opened again when they break,
 * later and later. Commands are pipelined: each goes to the connection with the fewest replies to
 * come, and what a turn of the worker's loop has asked for is sent together. Requests that come
 * before the first connection is there wait for it. hiredis speaks the protocol; the loop does the
 * waiting. */
#include "redis.h"

#include <errno.h>
#include <hiredis/sds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../address.h"
#include "../waiting.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define CONNECT_MS         5000u /* to connect, and to have AUTH and SELECT answered */
#define SILENT_MS          1700u /* without any reply, three times: the connection is dead */
#define REPLIES_AT_ONCE    128u  /* of a connection; then others have their turn */

/* A request whose reply is to come; its token is 0 for AUTH and SELECT. */
struct call {
    pillion_token token;
    int returns;
};

struct link {
    struct links *links;
    redisContext *redis; /* NULL while there is no connection */
    pillion_handle watch, flush, more, deadline;
    bool opening;                    /* its first attempt has not come to an end */
    bool ready;                      /* it is connected, and has passed AUTH and SELECT */
    size_t introductions;            /* replies to those that are to come */
    struct value value;              /* the reply that is read */
    struct call *calls;              /* a ring, in the order in which they were sent */
    size_t first, pending, capacity; /* the capacity is a power of two */
    int64_t commands;                /* since the last flush */
    unsigned silent;                 /* how often in a row links_look has seen no reply */
    bool replied;                    /* since it looked */
    unsigned backoff_ms;
};

struct links {
    pillion_instance *self;
    const struct settings *settings;
    char host[64];
    int port;
    bool closing;
    pillion_handle look;
    char reason[256];            /* why there is no connection */
    struct waiting_line waiting; /* empty once a connection is ready, or none is opening */
    size_t opening;
    size_t count;
    struct link links[];
};

/* A request that waits, and its command, in its own memory. */
struct waiting_command {
    struct waiting waiting;
    pillion_bytes command;
    int returns;
};

static void link_open(struct link *link);
static void send_waiting(struct link *link);

/* ---- Requests under way, in order ---- */

static bool call_push(struct link *link, struct call call)
{
    if (link->pending == link->capacity) {
        size_t capacity = link->capacity == 0 ? 64 : link->capacity * 2;
        struct call *calls = malloc(capacity * sizeof(*calls));
        if (calls == NULL)
            return false;
        for (size_t i = 0; i < link->pending; i++)
            calls[i] = link->calls[(link->first + i) & (link->capacity - 1)];
        free(link->calls);
        link->calls = calls;
        link->first = 0;
        link->capacity = capacity;
    }
    link->calls[(link->first + link->pending++) & (link->capacity - 1)] = call;
    return true;
}

static struct call call_shift(struct link *link)
{
    struct call call = link->calls[link->first];

    link->first = (link->first + 1) & (link->capacity - 1);
    link->pending--;
    return call;
}

/* Why is for the log: clients need not know where Redis is. */
static void fail_unavailable(pillion_request *req, const char *what)
{
    pillion_count(pillion_self(req), METRIC_UNAVAILABLE, 1);
    pillion_fail(req, "redis_unavailable", "%s", what);
}

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
    link->watch = link->flush = link->more = link->deadline = 0;
    link->silent = 0;
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

/* The first attempt has come to an end, good or bad. */
static void link_opened(struct link *link)
{
    link->links->opening -= link->opening;
    link->opening = false;
}

/* It is broken, or was never there: those who wait are told, the log is, once, and it is tried
 * again later. */
static void link_lost(struct link *link, const char *why)
{
    struct links *links = link->links;
    char reason[sizeof(links->reason)];

    snprintf(reason, sizeof(reason), "%s", why);
    link_close(link);
    while (link->pending > 0) {
        struct call call = call_shift(link);
        pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
        if (req != NULL)
            fail_unavailable(req, "the connection to Redis broke");
    }
    link_opened(link);
    if (links->opening == 0)
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

/* ---- Sending ---- */

/* Sends what is queued, as far as the socket takes it. */
static void link_flush(struct link *link)
{
    int done = 1;

    if (redisBufferWrite(link->redis, &done) != REDIS_OK)
        link_lost(link, link->redis->errstr);
    else
        pillion_watch_change(link->watch, done ? PILLION_READ : PILLION_READ | PILLION_WRITE);
}

static void flush(pillion_instance *self, void *data)
{
    struct link *link = data;

    link->flush = 0;
    pillion_count(self, METRIC_COMMANDS, link->commands);
    link->commands = 0;
    link_flush(link);
}

/* ---- Replies ---- */

static void link_ready(struct link *link)
{
    struct links *links = link->links;

    link->ready = true;
    link_opened(link);
    pillion_cancel(link->deadline);
    pillion_count(links->self, METRIC_CONNECTED, 1);
    link->backoff_ms = BACKOFF_FIRST_MS;
    if (links->reason[0] != '\0')
        pillion_log(links->self, PILLION_LOG_NOTICE, "%s is there again", links->settings->server);
    links->reason[0] = '\0';
    send_waiting(link);
}

/* Redis's word about the oldest request. False when the connection has ended with it. */
static bool take_reply(struct link *link)
{
    if (link->pending == 0) {
        link_lost(link, "there was a reply that nobody had asked for");
        return false;
    }
    struct call call = call_shift(link);
    pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
    link->replied = true;
    if (req != NULL)
        value_reply(req, &link->value);
    if (link->introductions == 0)
        return true;
    if (value_error(&link->value) != NULL) {
        link_lost(link, value_error(&link->value));
        return false;
    }
    if (--link->introductions == 0)
        link_ready(link);
    return link->redis != NULL;
}

static void take_more(pillion_instance *self, void *data);

/* Replies that have arrived, not too many at once. */
static void take_replies(struct link *link)
{
    void *whole;

    for (unsigned taken = 0; taken < REPLIES_AT_ONCE; taken++) {
        link->value.returns = link->pending == 0 ? 0 : link->calls[link->first].returns;
        if (redisGetReplyFromReader(link->redis, &whole) != REDIS_OK) {
            link_lost(link, link->redis->errstr);
            return;
        }
        if (whole == NULL || !take_reply(link))
            return;
        value_reset(&link->value);
    }
    link->more = pillion_timer(link->links->self, 0, 0, take_more, link);
}

static void take_more(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    link->more = 0;
    take_replies(link);
}

static void ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct link *link = data;

    (void)self;
    (void)fd;
    if (events & PILLION_WRITE)
        link_flush(link);
    if (link->redis == NULL || !(events & (PILLION_READ | PILLION_FAILED)) || link->more != 0)
        return;
    if (redisBufferRead(link->redis) != REDIS_OK)
        link_lost(link, link->redis->errstr);
    else
        take_replies(link);
}

/* ---- Connecting ---- */

static void introduce(struct link *link)
{
    const struct settings *settings = link->links->settings;

    link->introductions = 1 + (settings->password != NULL);
    for (size_t i = 0; i < link->introductions; i++) {
        if (!call_push(link, (struct call){0})) {
            link_lost(link, "out of memory");
            return;
        }
    }
    if (settings->password != NULL)
        redisAppendCommand(link->redis, "AUTH %s", settings->password);
    redisAppendCommand(link->redis, "SELECT %lld", (long long)settings->database);
    link_flush(link);
}

/* connect(2) has come to an end, EINPROGRESS. */
static void connected(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct link *link = data;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0) {
        link_lost(link, strerror(error));
        return;
    }
    pillion_cancel(link->watch);
    link->watch = pillion_watch(self, fd, PILLION_READ, ready, link);
    if (link->watch == 0)
        link_lost(link, strerror(errno));
    else
        introduce(link);
}

static void connect_late(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    link_lost(link, "the server does not answer");
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
    link->watch = pillion_watch(links->self, link->redis->fd, PILLION_WRITE, connected, link);
    link->deadline = pillion_timer(links->self, CONNECT_MS, 0, connect_late, link);
    if (link->watch == 0)
        link_lost(link, strerror(errno));
}

/* A server that has vanished without a word is noticed by its silence. */
static void links_look(pillion_instance *self, void *data)
{
    struct links *links = data;

    (void)self;
    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->links[i];
        link->silent = !link->ready || link->replied || link->pending == 0 ? 0 : link->silent + 1;
        link->replied = false;
        if (link->silent > 3) /* the first look may have been right after the request */
            link_lost(link, "the server has stopped answering");
    }
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
    links->count = links->opening = count;
    waiting_start(&links->waiting);
    address_read(settings->server, links->host, sizeof(links->host), &links->port);
    for (size_t i = 0; i < count; i++) {
        struct link *link = &links->links[i];
        *link = (struct link){.links = links, .opening = true, .backoff_ms = BACKOFF_FIRST_MS};
        /* `pillion -t` starts modules too, and has no turns: it leaves the server alone. */
        if (pillion_timer(self, 0, 0, again, link) == 0) {
            pillion_error(error, "there is no timer to connect with");
            free(links);
            return NULL;
        }
    }
    uint64_t look_ms = settings->timeout_ms > SILENT_MS ? settings->timeout_ms : SILENT_MS;
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
        free(links->links[i].value.text.data);
    }
    fail_waiting(links);
    free(links);
}

/* ---- Commands ---- */

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

/* Sends it, and defers the request for as long; or answers it with an error. */
static void link_send(struct link *link, pillion_request *req, pillion_bytes command, int returns,
                      uint64_t timeout_ms)
{
    struct links *links = link->links;

    if (link->pending >= (size_t)links->settings->max_pending) {
        pillion_fail(req, PILLION_OVERLOADED, "%zu replies of Redis are to come (max_pending)",
                     link->pending);
        return;
    }
    if (sdslen(link->redis->obuf) > links->settings->max_unsent) {
        pillion_fail(req, PILLION_OVERLOADED,
                     "Redis does not read: %zu bytes are to be sent (max_unsent)",
                     sdslen(link->redis->obuf));
        return;
    }
    pillion_token token = pillion_defer(req, timeout_ms);
    if (token == 0)
        return;
    if (!call_push(link, (struct call){.token = token, .returns = returns})) {
        pillion_fail(pillion_resume(token), PILLION_OVERLOADED, "out of memory");
        return;
    }
    if (redisAppendFormattedCommand(link->redis, command.data, command.size) != REDIS_OK) {
        link_lost(link, "out of memory"); /* there is no telling what is in its buffer */
        return;
    }
    link->commands++;
    if (link->flush == 0)
        link->flush = pillion_timer(links->self, 0, 0, flush, link);
}

/* The first connections are being opened. */
static void links_wait(struct links *links, pillion_request *req, pillion_bytes command,
                       int returns)
{
    const struct settings *settings = links->settings;
    struct waiting_line *line = &links->waiting;

    struct waiting_command *place = waiting_place(line, req, sizeof(*place), settings->max_pending,
                                                  settings->max_unsent, "Redis");
    if (place == NULL)
        return;
    place->command = command;
    place->returns = returns;
    waiting_join(line, &place->waiting, req, command.size, settings->timeout_ms);
}

/* What has waited for a connection goes to the first that is ready. */
static void send_waiting(struct link *link)
{
    struct waiting_line *line = &link->links->waiting;

    while (link->ready && line->first != NULL) {
        const struct waiting_command *place = (const struct waiting_command *)line->first;
        pillion_request *req = waiting_take(line);
        if (req != NULL)
            link_send(link, req, place->command, place->returns, waiting_left_ms(&place->waiting));
    }
}

void links_send(struct links *links, pillion_request *req, pillion_bytes command, int returns)
{
    struct link *link = choose(links);

    if (link != NULL)
        link_send(link, req, command, returns, links->settings->timeout_ms);
    else if (links->opening > 0)
        links_wait(links, req, command, returns);
    else
        fail_unavailable(req, "there is no connection to Redis");
}
