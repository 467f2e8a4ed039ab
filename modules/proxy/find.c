/* See find.h. */
#include "find.h"

#include <stdlib.h>
#include <string.h>

#include "servers.h"
#include "subset.h"

/* All servers of services, in the order of this host. */
struct places {
    const struct proxy *proxy;
    struct subset_server *items;
    size_t count, room;
    bool failed;
};

/* What a look at services is for: see found_server. */
struct look {
    struct found *found;
    const struct subset *subset;
};

static void found_add(struct found *found, const char *address, uint32_t weight, uint64_t age_ms,
                      bool fixed)
{
    struct proxy *proxy = found->group->proxy;
    struct upstream *upstream = upstream_find(proxy, address);

    if (upstream != NULL && upstream->mark == proxy->marks)
        return; /* in two services, or also in the configuration */
    if (upstream != NULL && found->count == found->room) {
        size_t room = found->room == 0 ? 16 : found->room * 2;
        struct upstream **items =
            pillion_realloc(proxy->self, found->items, room * sizeof(struct upstream *));
        if (items != NULL) {
            found->items = items;
            found->room = room;
        }
    }
    if (upstream == NULL || found->count == found->room) {
        found->failed = true;
        return;
    }
    upstream->mark = proxy->marks;
    upstream->weight = weight;
    upstream->age_ms = age_ms;
    upstream->fixed = fixed;
    upstream->member = NULL;
    found->items[found->count++] = upstream;
}

/* An address that is none is passed over: one bad entry of a registry costs nobody else. */
static bool found_server(const pillion_service_server *server, void *data)
{
    const struct look *look = data;
    struct found *found = look->found;
    const char *address = server->address;

    if (found->count < 1u << RING_INDEX_BITS && upstream_is(address) &&
        (found->whole ||
         subset_has(look->subset, subset_place(address, found->group->proxy->host))))
        found_add(found, address, server->weight, server->age_ms, false);
    return !found->failed;
}

/* ---- The part of a worker ---- */

static bool place_server(const pillion_service_server *server, void *data)
{
    struct places *places = data;
    pillion_instance *self = places->proxy->self;

    if (places->count == places->room) {
        size_t room = places->room == 0 ? 128 : places->room * 2;
        struct subset_server *items = pillion_realloc(self, places->items, room * sizeof(*items));
        places->failed = items == NULL;
        if (places->failed)
            return false;
        places->items = items;
        places->room = room;
    }
    const struct upstream *upstream = upstream_known(places->proxy, server->address);
    places->items[places->count++] =
        (struct subset_server){.place = subset_place(server->address, places->proxy->host),
                               .lost = upstream != NULL && upstream_is_lost(upstream)};
    return true;
}

static int by_place(const void *a, const void *b)
{
    uint64_t first = ((const struct subset_server *)a)->place;
    uint64_t second = ((const struct subset_server *)b)->place;

    return first < second ? -1 : first > second;
}

static void each_server(const struct group *group,
                        bool (*each)(const pillion_service_server *server, void *data), void *data)
{
    for (size_t i = 0; i < group->source_count; i++)
        pillion_service_each(group->sources[i].service, group->method, each, data);
}

/* Finds the part of this worker, if there are more servers than it is to ask. */
static struct subset part_of(struct found *found)
{
    const struct group *group = found->group;
    const struct proxy *proxy = group->proxy;
    struct places places = {.proxy = proxy};
    struct subset subset = {0};

    found->whole = group->hashes || group->source_count == 0;
    if (found->whole)
        return subset;
    each_server(group, place_server, &places);
    found->failed = places.failed;
    found->whole = places.count <= (size_t)proxy->settings->subset;
    if (!found->whole) {
        qsort(places.items, places.count, sizeof(*places.items), by_place);
        subset = subset_of(places.items, places.count, (size_t)proxy->settings->subset,
                           (unsigned)pillion_worker(proxy->self));
    }
    pillion_free(proxy->self, places.items);
    return subset;
}

bool servers_find(struct found *found)
{
    const struct group *group = found->group;
    const pillion_list *servers = group->servers;
    const struct subset subset = part_of(found);
    struct look look = {found, &subset};

    group->proxy->marks++;
    for (size_t i = 0; i < servers->count && !found->failed; i++) {
        if (upstream_is(servers->items[i]))
            found_add(found, servers->items[i], server_weight(servers, i), UINT64_MAX, true);
    }
    if (!found->failed)
        each_server(group, found_server, &look);
    return !found->failed;
}
