/* An upstream with max_fails requests in a row without an answer is left out for fail_timeout, or
 * longer each time, and then tried with one request at a time; unless too many of a group would be
 * left out together. See upstream.h. */
#include "upstream.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "../address.h"
#include "../hash.h"

#define SWEEP_MS 100u

/* ---- Health ---- */

void member_leaves_out(struct member *member, enum out why, bool out)
{
    unsigned before = member->out;

    member->out = out ? before | why : before & ~(unsigned)why;
    if ((before == 0) == (member->out == 0) || member->index == NOWHERE)
        return;
    member->group->out += out ? 1 : SIZE_MAX;
    pillion_count(member->upstream->owner.self, METRIC_EJECTED, out ? 1 : -1);
}

static void all_leave_out(struct upstream *upstream, bool out)
{
    for (struct member *m = upstream->members; m != NULL; m = m->next)
        member_leaves_out(m, OUT_FAILING, out);
}

/* Whether it can be asked may have changed. */
static void lost_or_back(struct upstream *upstream, bool was_lost)
{
    struct proxy *proxy = pillion_state(upstream->owner.self);

    if (upstream_is_lost(upstream) != was_lost)
        proxy->mend_groups(proxy);
}

static void connected(struct link_owner *owner)
{
    struct upstream *upstream = (struct upstream *)owner;
    bool was_lost = upstream_is_lost(upstream);

    health_connected(&upstream->health);
    lost_or_back(upstream, was_lost);
}

static void answered(struct link_owner *owner)
{
    struct upstream *upstream = (struct upstream *)owner;
    bool trial = upstream->health.trial, was_lost = upstream_is_lost(upstream);

    health_answered(&upstream->health);
    lost_or_back(upstream, was_lost);
    if (trial)
        all_leave_out(upstream, false);
}

/* Errors that tell of the server, and not of the request. */
static bool failed(const struct reply *reply)
{
    static const char *const codes[] = {
        "internal_error", "module_crashed", "overloaded", "timeout", "unavailable",
    };
    char code[32];

    if (reply->out.size != 7 || memcmp(reply->out.data, "\"error\"", 7) != 0)
        return false;
    pillion_bytes text = pillion_json_member(reply->result, "code");
    if (text.data == NULL || pillion_json_string(text, code, sizeof(code)) < 0)
        return false;
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        if (strcmp(code, codes[i]) == 0)
            return true;
    }
    return false;
}

/* The permanent links decide on the upstream's state: with them it is `lasting`. */
static void broken(struct link_owner *owner, const char *reason, bool lasting)
{
    struct upstream *upstream = (struct upstream *)owner;
    bool was_lost = upstream_is_lost(upstream);

    health_broken(&upstream->health, reason, lasting);
    lost_or_back(upstream, was_lost);
}

/* True when no group of its would have more servers left out than it may. */
static bool may_be_left_out(const struct upstream *upstream, const struct proxy *proxy)
{
    bool may = true;

    for (const struct member *m = upstream->members; m != NULL && may; m = m->next)
        may = m->index == NOWHERE || m->out != 0 ||
              m->group->out < outlier_allowed(m->group->count, proxy->max_ejected);
    return may;
}

static void faulty(struct link_owner *owner, const char *why)
{
    pillion_log(owner->self, PILLION_LOG_ERROR, "%s: %s", ((struct upstream *)owner)->health.name,
                why);
}

static void overdue(struct link_owner *owner, unsigned count)
{
    struct upstream *upstream = (struct upstream *)owner;
    struct health *health = &upstream->health;

    bool was_lost = upstream_is_lost(upstream);

    pillion_count(owner->self, METRIC_OVERDUE, count);
    if (!health_failed(health, count, "had no answer in time",
                       may_be_left_out(upstream, pillion_state(owner->self))))
        return;
    all_leave_out(upstream, true);
    lost_or_back(upstream, was_lost);
    upstream->out = true; /* so that its own requests do not come back to it */
    for (int64_t i = 0; i < upstream->count; i++)
        link_break(upstream->links[i], health->reason, health->pause_ms);
    upstream->out = false;
}

/* ---- Its links ---- */

/* True when `a` is a better choice than `b`, both links of one upstream. */
static bool better(const struct link *a, const struct link *b)
{
    if (b == NULL)
        return true;
    bool held_up = link_held_up(a);
    if (held_up != link_held_up(b))
        return !held_up;
    if (link_state(a) != link_state(b))
        return link_state(a) == LINK_READY;
    if (!held_up && link_is_extra(a) != link_is_extra(b))
        return link_is_extra(b); /* so that extra links fall idle as soon as possible */
    return link_pending(a) < link_pending(b);
}

/* Opens one more permanent link, or one on demand. NULL without memory. */
static struct link *add_permanent(struct upstream *upstream, enum link_kind kind)
{
    struct link *link = link_new(&upstream->owner, kind);

    if (link == NULL)
        return NULL;
    upstream->links[upstream->count++] = upstream->links[upstream->permanent];
    upstream->links[upstream->permanent++] = link;
    return link;
}

/* Links of servers that services name are opened as they are needed: the first one when there is
 * none, and another one when all are in use. Gives the one that a request may be sent over. */
static struct link *link_on_demand(struct upstream *upstream, struct link *best, bool idle)
{
    if (idle || upstream->permanent >= upstream->owner.settings->connections ||
        (best == NULL && upstream->permanent > 0) ||
        (best != NULL && (link_state(best) != LINK_READY || link_pending(best) == 0)))
        return best;
    struct link *link = add_permanent(upstream, LINK_ON_DEMAND);
    return best == NULL && link != NULL && link_state(link) != LINK_CLOSED ? link : best;
}

struct link *upstream_link(struct upstream *upstream, bool *full)
{
    struct link *best = NULL;
    bool connecting = false;

    if (upstream->out || (upstream->health.trial && upstream->owner.pending > 0))
        return NULL;
    for (int64_t i = 0; i < upstream->count; i++) {
        struct link *link = upstream->links[i];
        if (link_state(link) != LINK_READY)
            connecting = true;
        if (link_state(link) == LINK_CLOSED)
            continue;
        if (!link_has_room(link))
            *full = true;
        else if (better(link, best))
            best = link;
    }
    return link_on_demand(upstream, best, connecting || upstream->health.trial);
}

struct link *upstream_add_link(struct upstream *upstream)
{
    const struct settings *settings = upstream->owner.settings;

    if (upstream->count - upstream->permanent >= settings->extra_connections)
        return NULL;
    for (int64_t i = 0; i < upstream->count; i++) {
        if (link_state(upstream->links[i]) != LINK_READY)
            return NULL;
    }
    struct link *link = link_new(&upstream->owner, LINK_EXTRA);
    if (link == NULL)
        return NULL;
    upstream->links[upstream->count++] = link;
    return link_state(link) == LINK_CLOSED ? NULL : link;
}

static void spent(struct link_owner *owner, struct link *link)
{
    struct upstream *upstream = (struct upstream *)owner;
    int64_t at = 0;

    while (upstream->links[at] != link)
        at++;
    if (at < upstream->permanent) {
        upstream->links[at] = upstream->links[--upstream->permanent];
        at = upstream->permanent;
    }
    upstream->links[at] = upstream->links[--upstream->count];
    link_free(link);
}

/* ---- Making and ending ---- */

static bool place_of(const char *address, struct sockaddr_storage *place, socklen_t *size)
{
    struct sockaddr_un *un = (struct sockaddr_un *)place;
    struct sockaddr_in *in = (struct sockaddr_in *)place;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)place;
    char host[sizeof(un->sun_path)];
    int port;

    memset(place, 0, sizeof(*place));
    if (!address_read(address, host, sizeof(host), &port))
        return false;
    if (port == 0) {
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, host, strlen(host));
        *size = sizeof(*un);
    } else if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *size = sizeof(*in);
    } else {
        inet_pton(AF_INET6, host, &in6->sin6_addr);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *size = sizeof(*in6);
    }
    return true;
}

/* The host's address as certificates have it; a Unix socket's host is this one. */
static void host_of(const struct sockaddr_storage *place, char *host, size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)place;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)place;

    if (place->ss_family == AF_UNIX)
        snprintf(host, size, "localhost");
    else if (place->ss_family == AF_INET)
        inet_ntop(AF_INET, &in->sin_addr, host, (socklen_t)size);
    else
        inet_ntop(AF_INET6, &in6->sin6_addr, host, (socklen_t)size);
}

bool upstream_is(const char *address)
{
    struct sockaddr_storage place;
    socklen_t size;

    return place_of(address, &place, &size);
}

static const struct link_events events = {
    .connected = connected,
    .answered = answered,
    .failed = failed,
    .overdue = overdue,
    .broken = broken,
    .faulty = faulty,
    .spent = spent,
};

struct upstream *upstream_known(const struct proxy *proxy, const char *address)
{
    uint64_t hash = hash_bytes(address, strlen(address));
    struct upstream *u = proxy->upstreams[hash % BUCKETS];

    while (u != NULL && (u->hash != hash || strcmp(u->address, address) != 0))
        u = u->next;
    return u;
}

struct upstream *upstream_find(struct proxy *proxy, const char *address)
{
    const struct settings *settings = proxy->settings;
    size_t most = (size_t)(settings->connections + settings->extra_connections);
    uint64_t hash = hash_bytes(address, strlen(address));
    struct upstream **bucket = &proxy->upstreams[hash % BUCKETS];
    struct upstream *upstream = upstream_known(proxy, address);

    if (upstream != NULL || (upstream = pillion_malloc(proxy->self, sizeof(*upstream))) == NULL)
        return upstream;
    *upstream = (struct upstream){
        .owner = {.self = proxy->self, .settings = settings, .events = &events, .leaving = true},
        .health = {.self = proxy->self, .settings = &settings->common, .name = upstream->address},
        .hash = hash,
        .next = *bucket,
        .links = pillion_malloc(proxy->self, most * sizeof(struct link *)),
    };
    snprintf(upstream->address, sizeof(upstream->address), "%s", address);
    if (upstream->links == NULL ||
        !place_of(address, &upstream->owner.place, &upstream->owner.place_size)) {
        pillion_free(proxy->self, upstream->links);
        pillion_free(proxy->self, upstream);
        return NULL;
    }
    upstream->owner.tls = proxy->tls;
    host_of(&upstream->owner.place, upstream->owner.host, sizeof(upstream->owner.host));
    *bucket = upstream;
    return upstream;
}

bool upstream_connect(struct upstream *upstream, int64_t links)
{
    while (upstream->permanent < links) {
        if (add_permanent(upstream, LINK_PERMANENT) == NULL)
            return false;
    }
    return true;
}

static void upstream_free(struct upstream *upstream)
{
    pillion_instance *self = upstream->owner.self;

    for (int64_t i = 0; i < upstream->count; i++)
        link_free(upstream->links[i]);
    for (struct member *m = upstream->members, *next; m != NULL; m = next) {
        next = m->next;
        pillion_free(self, m);
    }
    pillion_free(self, upstream->links);
    pillion_free(self, upstream);
}

static bool is_waited_for(const struct upstream *upstream)
{
    bool waited = false;

    for (int64_t i = 0; i < upstream->count && !waited; i++)
        waited = link_is_waited_for(upstream->links[i]);
    return waited;
}

/* Frees the upstreams that have left and have nothing more to do. */
static void sweep(pillion_instance *self, void *data)
{
    struct proxy *proxy = data;
    bool more = false;

    proxy->sweep = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct upstream **at = &proxy->upstreams[i], *u; (u = *at) != NULL;) {
            if (u->users > 0 || is_waited_for(u)) {
                more = more || u->users == 0;
                at = &u->next;
                continue;
            }
            *at = u->next;
            upstream_free(u);
        }
    }
    if (more)
        proxy->sweep = pillion_timer(self, SWEEP_MS, 0, sweep, proxy);
}

void upstreams_tidy(struct proxy *proxy)
{
    if (proxy->sweep == 0)
        proxy->sweep = pillion_timer(proxy->self, 0, 0, sweep, proxy);
}

void upstream_use(struct upstream *upstream)
{
    if (upstream->users++ > 0)
        return;
    upstream->owner.leaving = false;
    pillion_log(upstream->owner.self, PILLION_LOG_INFO, "%s is asked from now on",
                upstream->address);
    pillion_count(upstream->owner.self, METRIC_SERVERS, 1);
    for (int64_t i = 0; i < upstream->count; i++)
        link_return(upstream->links[i]);
}

void upstream_leave(struct upstream *upstream)
{
    struct proxy *proxy = pillion_state(upstream->owner.self);

    if (--upstream->users > 0)
        return;
    upstream->owner.leaving = true;
    pillion_log(proxy->self, PILLION_LOG_INFO,
                "%s has left: it is asked nothing more, and may finish what it has",
                upstream->address);
    pillion_count(proxy->self, METRIC_SERVERS, -1);
    upstreams_tidy(proxy);
}

void upstreams_close(struct proxy *proxy)
{
    pillion_cancel(proxy->sweep);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct upstream *u = proxy->upstreams[i], *next; u != NULL; u = next) {
            next = u->next;
            upstream_free(u);
        }
    }
}
