/* An upstream with max_fails requests in a row without an answer is left out
 * for fail_timeout, and then tried with one request at a time. See upstream.h. */
#include "upstream.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "../address.h"

struct upstream *upstream_of(const struct link *link)
{
    return (struct upstream *)link_owner(link);
}

/* ---- Health ---- */

static void connected(struct link_owner *owner)
{
    health_connected(&((struct upstream *)owner)->health);
}

static void answered(struct link_owner *owner)
{
    health_answered(&((struct upstream *)owner)->health);
}

/* The permanent links decide on the upstream's state: with them it is `lasting`. */
static void broken(struct link_owner *owner, const char *reason, bool lasting)
{
    health_broken(&((struct upstream *)owner)->health, reason, lasting);
}

static void overdue(struct link_owner *owner, unsigned count)
{
    struct upstream *upstream = (struct upstream *)owner;

    pillion_count(owner->self, METRIC_OVERDUE, count);
    if (!health_failed(&upstream->health, count, "had no answer in time"))
        return;
    upstream->out = true; /* so that its own requests do not come back to it */
    for (int64_t i = 0; i < upstream->count; i++)
        link_break(upstream->links[i], upstream->health.reason,
                   owner->settings->common.fail_timeout_ms);
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

struct link *upstream_link(const struct upstream *upstream, bool *full)
{
    struct link *best = NULL;

    if (upstream->out || (upstream->health.trial && upstream->owner.pending > 0))
        return NULL;
    for (int64_t i = 0; i < upstream->count; i++) {
        struct link *link = upstream->links[i];
        if (link_state(link) == LINK_CLOSED)
            continue;
        if (!link_has_room(link))
            *full = true;
        else if (better(link, best))
            best = link;
    }
    return best;
}

struct link *upstream_add_link(struct upstream *upstream)
{
    const struct settings *settings = upstream->owner.settings;

    if (upstream->count == settings->connections + settings->extra_connections)
        return NULL;
    for (int64_t i = 0; i < upstream->count; i++) {
        if (link_state(upstream->links[i]) != LINK_READY)
            return NULL;
    }
    struct link *link = link_new(&upstream->owner, true);
    if (link == NULL)
        return NULL;
    upstream->links[upstream->count++] = link;
    return link_state(link) == LINK_CLOSED ? NULL : link;
}

static void spent(struct link_owner *owner, struct link *link)
{
    struct upstream *upstream = (struct upstream *)owner;
    int64_t at = owner->settings->connections;

    while (upstream->links[at] != link)
        at++;
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

bool upstream_is(const char *address)
{
    struct sockaddr_storage place;
    socklen_t size;

    return place_of(address, &place, &size);
}

static void upstream_free(struct upstream *upstream)
{
    pillion_instance *self = upstream->owner.self;

    for (int64_t i = 0; i < upstream->count; i++)
        link_free(upstream->links[i]);
    pillion_free(self, upstream->links);
    pillion_free(self, upstream);
}

static const struct link_events events = {
    .connected = connected,
    .answered = answered,
    .overdue = overdue,
    .broken = broken,
    .spent = spent,
};

struct upstream *upstream_open(struct proxy *proxy, const char *address)
{
    const struct settings *settings = proxy->settings;
    size_t most = (size_t)(settings->connections + settings->extra_connections);

    for (struct upstream *u = proxy->upstreams; u != NULL; u = u->next) {
        if (strcmp(u->health.name, address) == 0)
            return u;
    }
    struct upstream *upstream = pillion_malloc(proxy->self, sizeof(*upstream));
    if (upstream == NULL)
        return NULL;
    *upstream = (struct upstream){
        .owner = {.self = proxy->self, .settings = settings, .events = &events},
        .health = {.self = proxy->self, .settings = &settings->common, .name = address},
    };
    upstream->links = pillion_malloc(proxy->self, most * sizeof(struct link *));
    if (upstream->links == NULL) {
        pillion_free(proxy->self, upstream);
        return NULL;
    }
    place_of(address, &upstream->owner.place, &upstream->owner.place_size);
    while (upstream->count < settings->connections) {
        struct link *link = link_new(&upstream->owner, false);
        if (link == NULL) {
            upstream_free(upstream);
            return NULL;
        }
        upstream->links[upstream->count++] = link;
    }
    upstream->next = proxy->upstreams;
    proxy->upstreams = upstream;
    return upstream;
}

void upstreams_close(struct proxy *proxy)
{
    for (struct upstream *u = proxy->upstreams, *next; u != NULL; u = next) {
        next = u->next;
        upstream_free(u);
    }
}
