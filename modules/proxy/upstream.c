/* The servers behind. An upstream with max_fails requests in a row without an answer is left out
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

/* ---- Choosing ---- */

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

static struct link *link_choose(const struct upstream *upstream, bool *full)
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

/* Opens an extra link. NULL when there are enough, or another link is still connecting. */
static struct link *link_add(struct upstream *upstream)
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

struct link *group_choose(struct group *group, const struct upstream *last, const char **reason,
                          bool *full)
{
    struct upstream *from = NULL;
    struct link *best = NULL;

    *full = false;
    *reason = "";
    group->turn++;
    for (size_t i = 0; i < group->count; i++) {
        struct upstream *upstream = group->members[(group->turn + i) % group->count];
        struct link *link = link_choose(upstream, full);
        if (link == NULL) {
            *reason = upstream->health.reason[0] == '\0' ? "it is being tried again"
                                                         : upstream->health.reason;
            continue;
        }
        bool wins = best == NULL;
        if (!wins && (from == last) != (upstream == last))
            wins = from == last;
        else if (!wins && link_held_up(link) != link_held_up(best))
            wins = link_held_up(best);
        else if (!wins && link_state(link) != link_state(best))
            wins = link_state(link) == LINK_READY;
        else if (!wins)
            wins = upstream->owner.pending < from->owner.pending;
        if (wins) {
            best = link;
            from = upstream;
        }
    }
    if (best != NULL && link_held_up(best)) {
        struct link *more = link_add(from);
        return more != NULL ? more : best;
    }
    return best;
}

bool group_has_other(const struct group *group, const struct upstream *last)
{
    bool full, found = false;

    for (size_t i = 0; i < group->count && !found; i++) {
        const struct link *link =
            group->members[i] == last ? NULL : link_choose(group->members[i], &full);
        found = link != NULL && link_state(link) == LINK_READY;
    }
    return found;
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

int upstreams_check(const pillion_list *addresses, pillion_error_text *error)
{
    struct sockaddr_storage place;
    socklen_t size;

    for (size_t i = 0; i < addresses->count; i++) {
        if (!place_of(addresses->items[i], &place, &size))
            return pillion_error(error,
                                 "\"%s\" is no address of a server: write 127.0.0.1:8080, "
                                 "[::1]:8080 or unix:PATH (at most 107 bytes)",
                                 addresses->items[i]);
        for (size_t before = 0; before < i; before++) {
            if (strcmp(addresses->items[before], addresses->items[i]) == 0)
                return pillion_error(error, "the upstream \"%s\" appears twice",
                                     addresses->items[i]);
        }
    }
    return 0;
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

static struct upstream *upstream_open(struct proxy *proxy, const char *address)
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

static bool group_is(const struct group *group, const pillion_list *addresses)
{
    bool same = group->count == addresses->count;

    for (size_t i = 0; same && i < group->count; i++)
        same = strcmp(group->members[i]->health.name, addresses->items[i]) == 0;
    return same;
}

struct group *group_open(struct proxy *proxy, const pillion_list *addresses,
                         pillion_error_text *error)
{
    if (upstreams_check(addresses, error) != 0)
        return NULL;
    for (struct group *g = proxy->groups; g != NULL; g = g->next) {
        if (group_is(g, addresses))
            return g;
    }
    struct group *group =
        pillion_malloc(proxy->self, sizeof(*group) + addresses->count * sizeof(group->members[0]));
    if (group == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *group = (struct group){.next = proxy->groups};
    proxy->groups = group;
    for (size_t i = 0; i < addresses->count; i++) {
        group->members[i] = upstream_open(proxy, addresses->items[i]);
        if (group->members[i] == NULL) {
            pillion_error(error, "out of memory");
            return NULL;
        }
        group->count++;
    }
    return group;
}

struct proxy *proxy_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error)
{
    struct proxy *proxy = pillion_malloc(self, sizeof(*proxy));

    if (proxy == NULL)
        pillion_error(error, "out of memory");
    else
        *proxy = (struct proxy){.self = self, .settings = settings};
    return proxy;
}

void proxy_close(struct proxy *proxy)
{
    for (struct upstream *u = proxy->upstreams, *next; u != NULL; u = next) {
        next = u->next;
        upstream_free(u);
    }
    for (struct group *g = proxy->groups, *next; g != NULL; g = next) {
        next = g->next;
        pillion_free(proxy->self, g);
    }
    pillion_free(proxy->self, proxy);
}
