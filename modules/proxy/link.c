/* A connection to an upstream: opened at the start, kept, and opened again when it breaks, later
 * and later. Requests are pipelined over it, each with an id of the proxy's, so that replies may
 * come in any order. A server that does not know ids replies in the order of the requests.
 *
 * An upstream that is a Pillion begins at most `max_inflight` requests of one connection at the
 * same time, and leaves the rest unread. A link whose upstream is at that limit is held up:
 * requests that are sent over it wait for other clients' slow ones. Extra links stand in for
 * links that are held up. They end when no request was sent over them for a while, and when they
 * break. Links on demand, of servers that come and go, end when they have been idle for long. */
#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"
#include "buffer.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define UNSENT_MAX         16777216u /* unsent bytes beyond which other upstreams are asked */
#define HEADER_SIZE        4u
#define ID_MAX             80u    /* bytes of a frame's beginning, with the id and the deadline */
#define WINDOW             250u   /* requests since the oldest that waits; a Pillion begins 255 */
#define SLOW_US            50000u /* a request without a reply for so long is slow */
#define EXTRA_LOOK_MS      2000u
#define NEVER              UINT64_MAX

struct link {
    struct link_owner *owner;
    enum link_state state;
    int fd;
    pillion_handle watch, again, flush, due, tls;
    unsigned events, backoff_ms;
    enum link_kind kind;
    bool answered; /* a reply has come since it was opened */

    struct buffer in, out;
    uint64_t queued, written; /* bytes since it was opened */
    uint64_t looked;          /* requests in all when `again` last looked */

    struct calls calls;
    uint64_t due_ms; /* when the timer `due` fires */
};

static void link_open(struct link *link);

static pillion_instance *self_of(const struct link *link)
{
    return link->owner->self;
}

static const struct settings *settings_of(const struct link *link)
{
    return link->owner->settings;
}

enum link_state link_state(const struct link *link)
{
    return link->state;
}

struct link_owner *link_owner(const struct link *link)
{
    return link->owner;
}

size_t link_pending(const struct link *link)
{
    return link->calls.count;
}

bool link_has_room(const struct link *link)
{
    return link->calls.count < (size_t)settings_of(link)->max_pending &&
           link->out.end - link->out.start < UNSENT_MAX;
}

bool link_is_extra(const struct link *link)
{
    return link->kind == LINK_EXTRA;
}

bool link_held_up(const struct link *link)
{
    if (link->calls.first == NONE)
        return false;
    const struct call *oldest = &link->calls.items[link->calls.first];
    return link->calls.taken - oldest->number >= WINDOW ||
           (link->calls.count >= (size_t)settings_of(link)->max_inflight &&
            now_us() - oldest->sent_us >= SLOW_US);
}

bool link_is_waited_for(const struct link *link)
{
    uint64_t now = now_ms();
    bool waited = false;

    for (uint32_t i = link->calls.first; i != NONE && !waited; i = link->calls.items[i].after)
        waited = link->calls.items[i].token != 0 && link->calls.items[i].over_ms > now;
    return waited;
}

/* ---- Time ---- */

static void due_fired(pillion_instance *self, void *data);

/* Has due_fired called at `due_ms` or earlier. */
static void due_set(struct link *link, uint64_t due_ms)
{
    uint64_t now = now_ms();

    if (link->due != 0 && link->due_ms <= due_ms)
        return;
    pillion_cancel(link->due);
    link->due_ms = due_ms;
    link->due = pillion_timer(self_of(link), due_ms > now ? due_ms - now : 0, 0, due_fired, link);
}

/* The upstream is late with this call: keeps waiting, asks another upstream, or answers the
 * request. */
static void call_overdue(struct call *call)
{
    struct trip *trip = call->trip;
    pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);
    uint64_t now = now_ms();
    char reason[256];

    outlier_note(&call->share->seen, now * 1000 - call->sent_us, true);
    call->token = 0;
    call->due_ms = NEVER;
    if (req == NULL)
        return;
    snprintf(reason, sizeof(reason), "it did not answer within %llu ms",
             (unsigned long long)trip->tries.try_ms);
    if (now >= trip->tries.deadline_ms)
        tries_failed(req, &trip->tries, false, reason);
    else if (tries_may_repeat(req, &trip->tries))
        tries_repeat(req, &trip->tries);
    else
        call->token = pillion_defer(req, trip->tries.deadline_ms - now);
}

static void due_fired(pillion_instance *self, void *data)
{
    struct link *link = data;
    unsigned overdue = 0;
    uint64_t now = now_ms(), next = NEVER;

    (void)self;
    link->due = 0;
    if (link->state == LINK_CONNECTING) {
        link_break(link,
                   link->tls != 0 ? "it does not take the connection, or not the TLS handshake"
                                  : "it does not take the connection",
                   0);
        return;
    }
    for (uint32_t i = link->calls.first; i != NONE; i = link->calls.items[i].after) {
        uint64_t due_ms = link->calls.items[i].due_ms;
        overdue += due_ms <= now;
        if (due_ms > now && due_ms < next)
            next = due_ms;
    }
    /* `overdue` may break this link, which deals with its calls; then they are not sent over it
     * again. */
    if (overdue > 0)
        link->owner->events->overdue(link->owner, overdue);
    if (link->state == LINK_CLOSED)
        return;
    for (uint32_t i = overdue > 0 ? link->calls.first : NONE, after; i != NONE; i = after) {
        after = link->calls.items[i].after;
        if (link->calls.items[i].due_ms <= now)
            call_overdue(&link->calls.items[i]);
    }
    if (next != NEVER)
        due_set(link, next);
}

/* ---- Breaking ---- */

/* How often a link that is not permanent is looked at, whether it was used. */
static uint64_t look_ms(const struct link *link)
{
    return link->kind == LINK_EXTRA ? EXTRA_LOOK_MS : settings_of(link)->idle_timeout_ms;
}

/* True when the link is of no use any more. `used`: since the last look. */
static bool link_is_spent(const struct link *link, bool used)
{
    if (link->kind == LINK_EXTRA)
        return link->state == LINK_CLOSED || !used;
    return link->kind == LINK_ON_DEMAND && link->state == LINK_READY && !used;
}

/* Opens a link again, or ends it: an extra one if it is closed, and any that is not permanent if it
 * was not used since the last look. */
static void again(pillion_instance *self, void *data)
{
    struct link *link = data;
    bool used = link->calls.count > 0 || link->calls.taken != link->looked;

    link->again = 0;
    link->looked = link->calls.taken;
    if (link_is_spent(link, used))
        link->owner->events->spent(link->owner, link);
    else if (link->state != LINK_CLOSED)
        link->again = pillion_timer(self, look_ms(link), 0, again, link);
    else if (!link->owner->leaving)
        link_open(link);
}

static void cancel(pillion_handle *handle)
{
    pillion_cancel(*handle);
    *handle = 0;
}

static void link_close(struct link *link)
{
    cancel(&link->watch);
    cancel(&link->flush);
    cancel(&link->due);
    cancel(&link->tls);
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    if (link->state == LINK_READY)
        pillion_count(self_of(link), METRIC_CONNECTED, -1);
    link->state = LINK_CLOSED;
    buffer_take(self_of(link), &link->in, link->in.end - link->in.start);
    buffer_take(self_of(link), &link->out, link->out.end - link->out.start);
}

void link_break(struct link *link, const char *reason, uint64_t pause_ms)
{
    bool idle =
        link->answered && link->calls.count == 0; /* it has replied, and no reply is missing */
    uint64_t written = link->written;
    uint64_t wait_ms = idle ? 0 : link->backoff_ms;
    char why[256];

    if (link->state == LINK_CLOSED)
        return;
    snprintf(why, sizeof(why), "%s", reason); /* `reason` may be the owner's own, which changes */
    link_close(link);
    if (pause_ms > 0 || !idle)
        link->owner->events->broken(link->owner, why, pause_ms > 0 || link->kind != LINK_EXTRA);
    cancel(&link->again);
    link->again =
        pillion_timer(self_of(link), wait_ms > pause_ms ? wait_ms : pause_ms, 0, again, link);
    link->backoff_ms *= 2;
    if (link->backoff_ms > BACKOFF_LONGEST_MS)
        link->backoff_ms = BACKOFF_LONGEST_MS;
    while (link->calls.first != NONE) {
        struct call call = link->calls.items[link->calls.first];
        calls_give(&link->calls, link->calls.first);
        pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
        if (call.end <= written && call.due_ms != NEVER)
            outlier_note(&call.share->seen, now_us() - call.sent_us, true);
        if (req != NULL)
            tries_failed(req, &call.trip->tries, call.end > written, why);
    }
}

/* ---- Sending ---- */

static void want(struct link *link, unsigned events)
{
    if (link->events == events)
        return;
    link->events = events;
    pillion_watch_change(link->watch, events);
}

/* How long is left until then, for a frame: 1 where it is less than a millisecond. */
static uint64_t left_until(uint64_t deadline_ms, uint64_t now)
{
    return deadline_ms > now ? deadline_ms - now : 1;
}

/* Frames that have waited for the connection, or for room in it, say how long is left now. That has
 * as many digits as before at most. */
static void deadlines_renew(struct link *link)
{
    uint64_t now = now_ms();
    char digits[24];

    for (uint32_t i = link->calls.last; i != NONE; i = link->calls.items[i].before) {
        const struct call *call = &link->calls.items[i];
        size_t size = (size_t)call->written_size;
        if (call->end <= link->written)
            return;
        if (call->written_at < link->written || size == 0)
            continue;
        snprintf(digits, sizeof(digits), "%*llu", call->written_size,
                 (unsigned long long)left_until(call->deadline_ms, now));
        memcpy(link->out.data + link->out.start + (call->written_at - link->written), digits, size);
    }
}

static void flush(pillion_instance *self, void *data)
{
    struct link *link = data;
    struct buffer *out = &link->out;

    (void)self;
    link->flush = 0;
    while (link->state == LINK_READY && out->start < out->end) {
        ssize_t sent = send(link->fd, out->data + out->start, out->end - out->start,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            link->written += (uint64_t)sent;
            buffer_take(self_of(link), out, (size_t)sent);
        } else if (errno == EAGAIN) {
            want(link, PILLION_READ | PILLION_WRITE);
            return;
        } else if (errno != EINTR) {
            link_break(link, strerror(errno), 0);
            return;
        }
    }
    if (link->state == LINK_READY)
        want(link, PILLION_READ);
}

bool link_send(struct link *link, pillion_request *req, struct trip *trip, struct link_share *share)
{
    struct buffer *out = &link->out;
    uint64_t us = now_us(), now = us / 1000, left_ms = pillion_deadline_ms(req);

    if (!calls_room(&link->calls, self_of(link)) ||
        !buffer_room(self_of(link), out, HEADER_SIZE + ID_MAX + trip->frame.size))
        return false;
    pillion_token token =
        pillion_defer(req, trip->tries.deadline_ms > now ? trip->tries.deadline_ms - now : 1);
    if (token == 0)
        return true;
    struct call *call = calls_take(&link->calls, share);
    uint64_t id = call_id(&link->calls, call);
    char *frame = out->data + out->end, *body = frame + HEADER_SIZE;
    size_t size = (size_t)snprintf(body, ID_MAX, "{\"id\":%llu", (unsigned long long)id);
    if (left_ms != UINT64_MAX) {
        size += (size_t)snprintf(body + size, ID_MAX - size, ",\"deadline\":");
        call->written_at = link->queued + HEADER_SIZE + size;
        call->deadline_ms = now + left_ms;
        call->written_size = snprintf(body + size, ID_MAX - size, "%llu",
                                      (unsigned long long)left_until(call->deadline_ms, now));
        size += (size_t)call->written_size;
    }
    memcpy(body + size, trip->frame.data, trip->frame.size);
    size += trip->frame.size;
    for (unsigned i = 0; i < HEADER_SIZE; i++)
        frame[i] = (char)(size >> (8 * i) & 0xff);
    out->end += HEADER_SIZE + size;
    link->queued += HEADER_SIZE + size;
    call->end = link->queued;
    call->token = token;
    call->trip = trip;
    if (link->state == LINK_CONNECTING)
        pillion_rerunnable(token, true);
    call->sent_us = us;
    call->due_ms = now + trip->tries.try_ms;
    call->over_ms = trip->tries.deadline_ms;
    due_set(link, call->due_ms);
    if (link->flush == 0 && link->state == LINK_READY && link->events == PILLION_READ)
        link->flush = pillion_timer(self_of(link), 0, 0, flush, link);
    pillion_count(self_of(link), METRIC_SENT, 1);
    return true;
}

/* ---- Receiving ---- */

/* Handles one whole body, which has come `now` (us). False when that has broken the connection. */
static bool take_body(struct link *link, pillion_bytes body, uint64_t now)
{
    struct reply reply = {0};
    uint32_t index = NONE;

    if (pillion_json_check(body)) {
        reply.out = pillion_json_member(body, "out");
        reply.result = pillion_json_member(body, "result");
        reply.id = pillion_json_member(body, "id");
        index = calls_find(&link->calls, &reply);
    }
    if (index == NONE) {
        link_break(link, "it sent a body that is no reply to a request of this proxy", 0);
        return false;
    }
    if (reply.result.data == NULL || reply.out.data == NULL || reply.out.data[0] != '"') {
        link_break(link, "it sent a reply without \"out\" and \"result\"", 0);
        return false;
    }
    struct call call = link->calls.items[index];
    calls_give(&link->calls, index);
    link->answered = true;
    link->backoff_ms = BACKOFF_FIRST_MS;
    if (call.due_ms != NEVER) /* otherwise it has been noted as overdue */
        outlier_note(&call.share->seen, now - call.sent_us, link->owner->events->failed(&reply));
    link->owner->events->answered(link->owner);
    pillion_request *req = call.token == 0 ? NULL : pillion_resume(call.token);
    if (req != NULL)
        call.trip->replied(req, call.trip, &reply);
    return link->state == LINK_READY;
}

/* Handles the whole frames that have arrived. False when that has broken the connection. */
static bool take_frames(struct link *link)
{
    struct buffer *in = &link->in;
    uint64_t now = now_us();

    while (in->end - in->start >= HEADER_SIZE) {
        const unsigned char *head = (const unsigned char *)in->data + in->start;
        size_t size =
            head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        if (size > settings_of(link)->max_reply) {
            char reason[128];
            snprintf(reason, sizeof(reason), "it sends a reply of %zu bytes, above max_reply",
                     size);
            link_break(link, reason, 0);
            return false;
        }
        if (in->end - in->start - HEADER_SIZE < size)
            break;
        if (!take_body(link, (pillion_bytes){in->data + in->start + HEADER_SIZE, size}, now))
            return false;
        buffer_take(self_of(link), in, HEADER_SIZE + size);
    }
    return true;
}

static void receive(struct link *link)
{
    struct buffer *in = &link->in;

    if (!buffer_room(self_of(link), in, BUFFER_FIRST)) {
        link_break(link, "there is no memory to receive with", 0);
        return;
    }
    ssize_t got = recv(link->fd, in->data + in->end, in->capacity - in->end, MSG_DONTWAIT);
    if (got > 0) {
        in->end += (size_t)got;
        take_frames(link);
    } else if (got == 0) {
        link_break(link, "it closed the connection", 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        link_break(link, strerror(errno), 0);
    }
}

/* ---- Connecting ---- */

/* The requests that wait for the connection may be sent from here on, so they cannot be run
 * again. */
static void calls_act(const struct link *link)
{
    for (uint32_t i = link->calls.first; i != NONE; i = link->calls.items[i].after)
        pillion_rerunnable(link->calls.items[i].token, false);
}

static void link_established(struct link *link)
{
    link->state = LINK_READY;
    calls_act(link);
    pillion_count(self_of(link), METRIC_CONNECTED, 1);
    cancel(&link->due);
    due_fired(self_of(link), link);
    if (link->kind == LINK_ON_DEMAND && link->again == 0)
        link->again = pillion_timer(self_of(link), look_ms(link), 0, again, link);
    link->owner->events->connected(link->owner);
    deadlines_renew(link);
    flush(self_of(link), link);
}

static void link_connected(struct link *link)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
        link_break(link, strerror(error), 0);
    else
        link_established(link);
}

static void ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct link *link = data;

    (void)fd;
    if (link->state == LINK_CONNECTING) {
        link_connected(link);
        return;
    }
    if (events & PILLION_WRITE) {
        deadlines_renew(link);
        flush(self, link);
    }
    if (link->state == LINK_READY && (events & (PILLION_READ | PILLION_FAILED)))
        receive(link);
}

/* TLS is established, or has failed, now or later. Its words are for the log: they name files and
 * addresses. */
static void tls_told(pillion_instance *self, const char *why, void *data)
{
    static const char own[] = "TLS: ";
    struct link *link = data;
    struct link_owner *owner = link->owner;

    if (why == NULL) {
        owner->fault[0] = '\0';
        link->watch = pillion_watch(self, link->fd, link->events, ready, link);
        if (link->watch == 0)
            link_break(link, strerror(errno), 0);
        else
            link_established(link);
        return;
    }
    if (strncmp(why, own, sizeof(own) - 1) != 0) {
        link_break(link, why, 0);
        return;
    }
    if (strcmp(owner->fault, why) != 0)
        owner->events->faulty(owner, why);
    snprintf(owner->fault, sizeof(owner->fault), "%s", why);
    link_break(link, "TLS with it has failed, for a reason that is in the log", 0);
}

/* The socket that is being connected speaks TLS: the link has the plain end. */
static bool tls_open(struct link *link)
{
    int plain;

    link->tls =
        pillion_tls_connect(link->owner->tls, link->fd, link->owner->host, &plain, tls_told, link);
    if (link->tls != 0)
        link->fd = plain;
    return link->tls != 0;
}

static uint64_t connect_ms(const struct link *link)
{
    const struct upstream_settings *settings = &settings_of(link)->common;
    return settings->try_timeout_ms != 0 ? settings->try_timeout_ms : settings->timeout_ms;
}

static void link_open(struct link *link)
{
    const struct link_owner *owner = link->owner;
    const struct sockaddr *place = (const struct sockaddr *)&owner->place;

    link->answered = false;
    link->calls.ids = IDS_UNKNOWN;
    link->queued = link->written = 0;
    link->state = LINK_CONNECTING;
    link->events = PILLION_READ | PILLION_WRITE;
    link->fd = socket(place->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        link_break(link, strerror(errno), 0);
        return;
    }
    if (place->sa_family != AF_UNIX)
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(link->fd, place, owner->place_size) < 0 && errno != EINPROGRESS) {
        link_break(link, strerror(errno), 0);
        return;
    }
    if (owner->tls == NULL)
        link->watch = pillion_watch(self_of(link), link->fd, link->events, ready, link);
    if (owner->tls == NULL ? link->watch == 0 : !tls_open(link))
        link_break(link, strerror(errno), 0);
    else
        due_set(link, now_ms() + connect_ms(link));
}

struct link *link_new(struct link_owner *owner, enum link_kind kind)
{
    pillion_instance *self = owner->self;
    struct link *link = pillion_malloc(self, sizeof(*link));

    if (link == NULL)
        return NULL;
    *link = (struct link){
        .owner = owner,
        .kind = kind,
        .fd = -1,
        .backoff_ms = BACKOFF_FIRST_MS,
        .calls = calls_none(&owner->pending),
    };
    link_open(link);
    if (kind == LINK_EXTRA && link->again == 0)
        link->again = pillion_timer(self, EXTRA_LOOK_MS, 0, again, link);
    return link;
}

void link_return(struct link *link)
{
    if (link->state == LINK_CLOSED && link->again == 0)
        link_open(link);
}

void link_free(struct link *link)
{
    pillion_instance *self = self_of(link);

    cancel(&link->again);
    link_close(link);
    while (link->calls.first != NONE)
        calls_give(&link->calls, link->calls.first);
    pillion_free(self, link->in.data);
    pillion_free(self, link->out.data);
    pillion_free(self, link->calls.items);
    pillion_free(self, link);
}
