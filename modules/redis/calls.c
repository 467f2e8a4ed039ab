/* Commands on their way to Redis, and replies back. Commands are pipelined: each goes to the
 * connection with the fewest replies to come, and the commands of one iteration of the worker's
 * loop are sent together. A command that no connection takes waits in line, in its request's
 * memory; one that times out there is never sent. */
#include "calls.h"

#include <errno.h>
#include <hiredis/sds.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REPLIES_AT_ONCE 128u    /* of a connection in one turn; then other connections go on */
#define BYTES_AT_ONCE   131072L /* of a large reply, in one turn */
#define DROPS_AT_ONCE   8u      /* reads of bytes to be dropped, in one turn */
#define QUEUED_MOST     65536u  /* bytes queued on a connection; beyond that it takes no more */

static void link_lost(struct link *link, const char *why)
{
    link->links->events->lost(link, why);
}

void fail_unavailable(pillion_request *req, const char *what)
{
    pillion_count(pillion_self(req), METRIC_UNAVAILABLE, 1);
    pillion_fail(req, "redis_unavailable", "%s", what);
}

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

/* The last one, which was not sent. */
static struct call call_pop(struct link *link)
{
    return link->calls[(link->first + --link->pending) & (link->capacity - 1)];
}

void calls_fail(struct link *link)
{
    while (link->pending > 0) {
        struct call call = call_shift(link);
        pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
        if (req != NULL)
            fail_unavailable(req, "the connection to Redis broke; the command may have been "
                                  "carried out");
    }
}

/* ---- Waiting in line ---- */

/* A waiting request and its command, in the request's memory. */
struct waiting_command {
    struct waiting waiting;
    pillion_bytes command;
    int returns;
    uint64_t due_ms;
};

/* Defers the request and puts it at the end of the line; at the start when it has been taken back
 * from a connection. On failure the request is answered with an error. */
static void wait_in_line(struct links *links, pillion_request *req, const struct call *call,
                         bool first)
{
    const struct settings *settings = links->settings;
    struct waiting_line *line = &links->waiting;
    uint64_t now = now_ms();

    struct waiting_command *place = waiting_place(line, req, sizeof(*place), settings->max_pending,
                                                  settings->max_unsent, "Redis");
    if (place == NULL)
        return;
    place->command = call->command;
    place->returns = call->returns;
    place->due_ms = call->due_ms;
    if (waiting_join(line, &place->waiting, req, call->command.size,
                     call->due_ms > now ? call->due_ms - now : 1) &&
        first)
        waiting_first(&place->waiting);
}

/* The socket is full: commands of which no byte was sent go back into the line. */
static void take_back(struct link *link)
{
    sds queued = link->redis->obuf;
    size_t left = sdslen(queued), keep = left;

    link->blocked = true;
    while (link->pending > 0) {
        const struct call *last =
            &link->calls[(link->first + link->pending - 1) & (link->capacity - 1)];
        if (last->token == 0 || last->command.size > keep)
            break;
        keep -= last->command.size;
        struct call call = call_pop(link);
        pillion_request *req = pillion_resume(call.token);
        if (req != NULL)
            wait_in_line(link->links, req, &call, true);
        link->commands--;
    }
    if (keep == 0)
        sdsclear(queued);
    else if (keep < left)
        sdsrange(queued, 0, (int)keep - 1);
}

/* ---- Sending ---- */

/* Sends the queued commands, as far as the socket takes them. False when the connection has
 * ended. */
static bool link_write(struct link *link)
{
    int done = 1;

    if (redisBufferWrite(link->redis, &done) != REDIS_OK) {
        link_lost(link, link->redis->errstr);
        return false;
    }
    link->blocked = false;
    if (!done)
        take_back(link);
    pillion_watch_change(link->watch, done ? PILLION_READ : PILLION_READ | PILLION_WRITE);
    return true;
}

static void flush(pillion_instance *self, void *data)
{
    struct link *link = data;

    link->flush = 0;
    bool good = link_write(link);
    pillion_count(self, METRIC_COMMANDS, link->commands);
    link->commands = 0;
    if (good && !link->blocked)
        calls_send_waiting(link->links);
}

static bool link_takes(const struct link *link)
{
    return link->ready && !link->retiring && !link->blocked &&
           sdslen(link->redis->obuf) < QUEUED_MOST;
}

/* The connection with the fewest replies to come, of those that take commands. */
static struct link *choose(struct links *links)
{
    struct link *best = NULL;

    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->links[i];
        if (link_takes(link) && (best == NULL || link->pending < best->pending))
            best = link;
    }
    return best;
}

/* Queues the command and defers its request; or answers the request with an error. */
static void link_send(struct link *link, pillion_request *req, const struct call *asked)
{
    struct links *links = link->links;
    struct call call = *asked;
    uint64_t now = now_ms();

    call.token = pillion_defer(req, call.due_ms > now ? call.due_ms - now : 1);
    if (call.token == 0)
        return;
    if (link->pending == 0)
        link->heard_ms = now;
    if (!call_push(link, call)) {
        pillion_fail(pillion_resume(call.token), PILLION_OVERLOADED, "out of memory");
        return;
    }
    if (redisAppendFormattedCommand(link->redis, call.command.data, call.command.size) !=
        REDIS_OK) {
        link_lost(link, "out of memory"); /* its buffer may have part of the command */
        return;
    }
    link->commands++;
    if (link->flush == 0)
        link->flush = pillion_timer(links->self, 0, 0, flush, link);
}

void calls_send_waiting(struct links *links)
{
    struct waiting_line *line = &links->waiting;
    struct link *link;

    while (line->first != NULL && (link = choose(links)) != NULL &&
           link->pending < (size_t)links->settings->max_pending) {
        const struct waiting_command *place = (const struct waiting_command *)line->first;
        pillion_request *req = waiting_take(line);
        if (req != NULL)
            link_send(link, req,
                      &(struct call){.returns = place->returns,
                                     .due_ms = place->due_ms,
                                     .command = place->command});
    }
}

bool links_any(const struct links *links)
{
    for (size_t i = 0; i < links->count; i++) {
        if (links->links[i].ready)
            return true;
    }
    return links->opening > 0;
}

void links_send(struct links *links, pillion_request *req, pillion_bytes command, int returns)
{
    struct link *link = links->waiting.first == NULL ? choose(links) : NULL;
    struct call call = {
        .returns = returns, .due_ms = now_ms() + links->settings->timeout_ms, .command = command};

    if (link != NULL && link->pending >= (size_t)links->settings->max_pending)
        pillion_fail(req, PILLION_OVERLOADED, "%zu replies of Redis are to come (max_pending)",
                     link->pending);
    else if (link != NULL)
        link_send(link, req, &call);
    else if (links_any(links))
        wait_in_line(links, req, &call, false);
    else
        fail_unavailable(req, "there is no connection to Redis");
}

void calls_introduce(struct link *link)
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
    link_write(link);
}

/* ---- Replies ---- */

/* Handles Redis's reply to the oldest request. False when the connection has ended with it. */
static bool take_reply(struct link *link)
{
    struct call call = call_shift(link);
    pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
    const char *error = value_error(&link->value);

    link->heard_ms = now_ms();
    if (req != NULL)
        value_reply(req, &link->value);
    if (error != NULL && strncmp(error, "READONLY ", 9) == 0)
        link->links->events->read_only(link->links);
    if (link->introductions == 0)
        return true;
    if (error != NULL) {
        link_lost(link, error);
        return false;
    }
    if (--link->introductions == 0)
        link->links->events->ready(link);
    return link->redis != NULL;
}

/* Handles replies that have arrived, up to a limit. Sets `*more` when there may be others. False
 * when the connection has ended. */
static bool take_some(struct link *link, bool *more)
{
    long bytes = BYTES_AT_ONCE;
    void *whole;

    for (unsigned taken = 0; taken < REPLIES_AT_ONCE && bytes > 0; taken++) {
        if (!link->value.whole) {
            link->value.returns = link->pending == 0 ? 0 : link->calls[link->first].returns;
            if (redisGetReplyFromReader(link->redis, &whole) != REDIS_OK) {
                link_lost(link, link->redis->errstr);
                return false;
            }
            if (whole == NULL && link->skip == 0 &&
                (link->skip = value_skip(&link->value, link->redis->reader)) > 0)
                continue;
            if (whole == NULL)
                return true;
            if (link->pending == 0) {
                link_lost(link, "there was a reply that nobody had asked for");
                return false;
            }
            link->value.whole = true;
        }
        if (!value_step(&link->value, &bytes))
            break;
        if (!take_reply(link))
            return false;
        value_reset(&link->value);
    }
    *more = true;
    return true;
}

static void take_more(pillion_instance *self, void *data);

static void take_replies(struct link *link)
{
    struct links *links = link->links;
    bool more = false;

    if (!take_some(link, &more))
        return;
    if (more)
        link->more = pillion_timer(links->self, 0, 0, take_more, link);
    links->events->replied(link);
    calls_send_waiting(links);
}

static void take_more(pillion_instance *self, void *data)
{
    struct link *link = data;

    (void)self;
    link->more = 0;
    take_replies(link);
}

/* Reads and drops some of the bytes that are to be skipped. */
static void drop_some(struct link *link)
{
    char dropped[16384];

    for (unsigned n = 0; n < DROPS_AT_ONCE && link->skip > 0; n++) {
        ssize_t got = recv(link->redis->fd, dropped,
                           link->skip < sizeof(dropped) ? link->skip : sizeof(dropped), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0) {
            link_lost(link, got == 0 ? "Server closed the connection" : strerror(errno));
            return;
        }
        link->skip -= (size_t)got;
    }
    link->heard_ms = now_ms();
}

void calls_go_on(struct link *link, unsigned events)
{
    if ((events & PILLION_WRITE) && link_write(link) && !link->blocked)
        calls_send_waiting(link->links);
    if (link->redis == NULL || !(events & (PILLION_READ | PILLION_FAILED)) || link->more != 0)
        return;
    if (link->skip > 0)
        drop_some(link);
    else if (redisBufferRead(link->redis) != REDIS_OK)
        link_lost(link, link->redis->errstr);
    else
        take_replies(link);
}
