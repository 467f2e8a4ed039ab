/* See follow.h. A group is filled anew as a whole with what is found (find.h); members that were
 * there before stay as they are. */
#include "follow.h"

#include <string.h>

#include "find.h"
#include "servers.h"

#define RETRY_MS 100u /* after memory ran out */
#define MEND_MS  100u /* servers that are lost together are replaced together */

/* A request that waits until servers are known, in its own memory. */
struct waiting_trip {
    struct waiting waiting; /* first */
    struct trip *trip;
};

/* ---- Filling ---- */

static struct member *member_find(struct upstream *upstream, struct group *group)
{
    struct member *member = upstream->member; /* of before */

    if (member != NULL)
        return member;
    for (member = upstream->members; member != NULL; member = member->next) {
        if (member->group == group)
            return member;
    }
    member = pillion_malloc(group->proxy->self, sizeof(*member));
    if (member == NULL)
        return NULL;
    *member = (struct member){
        .upstream = upstream,
        .next = upstream->members,
        .group = group,
        .index = NOWHERE,
        .out = upstream->health.trial ? OUT_FAILING : 0,
        .share = {.all = &group->pending},
    };
    upstream->members = member;
    return member;
}

/* How many links an upstream has at once; more are opened as they are needed. */
static int64_t links_at_once(const struct found *found, const struct upstream *upstream)
{
    const struct settings *settings = found->group->proxy->settings;

    if (upstream->fixed)
        return settings->connections;
    return found->whole && found->count > (size_t)settings->subset ? 0 : 1;
}

/* A member whose server is known for less than `slow_start` is slowly given requests. */
static void member_is_new(struct member *member, uint64_t age_ms)
{
    uint64_t now = now_ms(), slow_ms = member->group->proxy->settings->slow_start_ms;

    if (age_ms >= slow_ms)
        return;
    member->new_ms = now - age_ms;
    if (member->group->slow_ms < member->new_ms + slow_ms)
        member->group->slow_ms = member->new_ms + slow_ms;
}

static void member_join(struct member *member, uint32_t index)
{
    struct upstream *upstream = member->upstream;

    member->weight = upstream->weight;
    if (member->index == NOWHERE) {
        upstream_use(upstream);
        member_is_new(member, upstream->age_ms);
        pillion_count(upstream->owner.self, METRIC_EJECTED, member->out != 0);
        member->group->out += member->out != 0;
    }
    member->index = index;
}

static void member_leave(struct member *member)
{
    struct upstream *upstream = member->upstream;

    pillion_count(upstream->owner.self, METRIC_EJECTED, -(member->out != 0));
    member->group->out -= member->out != 0;
    member->index = NOWHERE;
    upstream_leave(upstream);
}

/* What a group has, made anew. */
struct filling {
    struct member **members;
    uint32_t *sums;
    struct ring ring;
};

/* False without memory. */
static bool fill_ring(const struct found *found, struct filling *filling)
{
    pillion_instance *self = found->group->proxy->self;
    size_t count = 0;

    for (size_t i = 0; i < found->count; i++)
        count += ring_share(found->items[i]->weight);
    if (count == 0)
        return true;
    filling->ring.points = pillion_malloc(self, count * sizeof(uint64_t));
    uint64_t *scratch = pillion_malloc(self, count * sizeof(uint64_t));
    if (filling->ring.points == NULL || scratch == NULL) {
        pillion_free(self, scratch);
        return false;
    }
    for (size_t i = 0; i < found->count; i++)
        ring_add(&filling->ring, found->items[i]->hash, found->items[i]->weight, (uint32_t)i);
    ring_sort(&filling->ring, scratch);
    pillion_free(self, scratch);
    return true;
}

/* False without memory; then nothing has changed. */
static bool fill(const struct found *found, struct filling *filling)
{
    struct group *group = found->group;
    pillion_instance *self = group->proxy->self;

    *filling = (struct filling){0};
    if (found->count > 0) {
        filling->members = pillion_malloc(self, found->count * sizeof(struct member *));
        filling->sums = pillion_malloc(self, found->count * sizeof(uint32_t));
        if (filling->members == NULL || filling->sums == NULL)
            return false;
    }
    for (size_t i = 0; i < group->count; i++)
        group->members[i]->upstream->member = group->members[i];
    for (size_t i = 0; i < found->count; i++) {
        struct upstream *upstream = found->items[i];
        filling->members[i] = member_find(upstream, group);
        if (filling->members[i] == NULL ||
            !upstream_connect(upstream, links_at_once(found, upstream)))
            return false;
        filling->sums[i] = upstream->weight + (i == 0 ? 0 : filling->sums[i - 1]);
    }
    return !group->hashes || fill_ring(found, filling);
}

static void filling_free(struct filling *filling, pillion_instance *self)
{
    pillion_free(self, filling->members);
    pillion_free(self, filling->sums);
    pillion_free(self, filling->ring.points);
}

static size_t lost_members(const struct group *group)
{
    size_t lost = 0;

    for (size_t i = 0; i < group->count; i++)
        lost += upstream_is_lost(group->members[i]->upstream);
    return lost;
}

/* Those that are found become the group's members. */
static void take_over(const struct found *found, struct filling *filling)
{
    struct group *group = found->group;
    uint64_t mark = group->proxy->marks;
    struct filling before = {group->members, group->sums, group->ring};

    for (size_t i = 0; i < group->count; i++) {
        if (group->members[i]->upstream->mark != mark)
            member_leave(group->members[i]);
    }
    for (size_t i = 0; i < found->count; i++)
        member_join(filling->members[i], (uint32_t)i);
    group->members = filling->members;
    group->sums = filling->sums;
    group->ring = filling->ring;
    group->count = found->count;
    group->is_part = !found->whole;
    group->lost = lost_members(group);
    filling_free(&before, group->proxy->self);
}

/* False without memory; then the group has the members that it had. */
static bool refill(struct group *group)
{
    struct found found = {.group = group};
    struct filling filling = {0};

    bool filled = servers_find(&found) && fill(&found, &filling);
    if (filled)
        take_over(&found, &filling);
    else
        filling_free(&filling, group->proxy->self);
    pillion_free(group->proxy->self, found.items);
    if (!filled)
        upstreams_tidy(group->proxy);
    return filled;
}

/* ---- Following ---- */

static bool is_current(const struct group *group)
{
    bool current = true;

    for (size_t i = 0; i < group->source_count && current; i++)
        current = pillion_service_version(group->sources[i].service) == group->sources[i].version;
    return current;
}

/* Sends what has waited for servers to be known. */
static void send_waiting(struct group *group)
{
    for (size_t left = group->line.count; left > 0 && group->line.count > 0; left--) {
        struct trip *trip = ((struct waiting_trip *)group->line.first)->trip;
        pillion_request *req = waiting_take(&group->line);
        if (req != NULL)
            trip->tries.send(req, &trip->tries);
    }
}

static void follow_next(pillion_instance *self, void *data);

/* Not within the request that asks for it. */
static void follow_later(struct proxy *proxy, uint64_t ms)
{
    if (proxy->follow == 0)
        proxy->follow = pillion_timer(proxy->self, ms, 0, follow_next, proxy);
}

/* Has one group follow its services, and then the next, a fifth of the time at most: so that
 * requests go on where there are many methods of many servers that change often. Those that are
 * asked follow at once. */
static void follow_next(pillion_instance *self, void *data)
{
    struct proxy *proxy = data;
    struct group *group = proxy->groups;
    uint64_t from = now_us();

    (void)self;
    proxy->follow = 0;
    while (group != NULL && is_current(group) && (group->line.count == 0 || !group_is_known(group)))
        group = group->next;
    if (group == NULL)
        return;
    group_follow(group);
    if (group_is_known(group))
        send_waiting(group);
    follow_later(proxy, is_current(group) ? (now_us() - from) * 4 / 1000 : RETRY_MS);
}

static void changed(pillion_instance *self, void *data)
{
    (void)self;
    follow_later(data, 0);
}

/* Groups whose part is another now follow their services as if those had changed. */
static void mend(pillion_instance *self, void *data)
{
    struct proxy *proxy = data;

    (void)self;
    proxy->mend = 0;
    for (struct group *group = proxy->groups; group != NULL; group = group->next) {
        if (group->is_part && lost_members(group) != group->lost)
            group->sources[0].version = 0;
    }
    follow_later(proxy, 0);
}

void groups_mend(struct proxy *proxy)
{
    if (proxy->mend == 0)
        proxy->mend = pillion_timer(proxy->self, MEND_MS, 0, mend, proxy);
}

void group_follow(struct group *group)
{
    bool known = true;

    if (is_current(group))
        return;
    for (size_t i = 0; i < group->source_count; i++) {
        group->sources[i].version = pillion_service_version(group->sources[i].service);
        known = known && group->sources[i].version != 0;
    }
    group->known = known;
    if (!refill(group))
        group->sources[0].version = 0; /* once more when it is asked next */
    if (group->line.count > 0)
        follow_later(group->proxy, 0);
}

void group_serves(struct group *group, const char *method)
{
    size_t size = strlen(method) + 1;

    group->name = pillion_malloc(group->proxy->self, size);
    if (group->name == NULL)
        return; /* any server will do */
    group->method = memcpy(group->name, method, size);
    if (group->source_count > 0)
        refill(group);
}

void group_wait(struct group *group, pillion_request *req, struct trip *trip)
{
    uint64_t now = now_ms(), deadline_ms = trip->tries.deadline_ms;
    struct waiting_trip *place =
        waiting_place(&group->line, req, sizeof(*place), group->proxy->settings->max_pending,
                      UINT64_MAX, "a server whose address is not known yet");

    if (place == NULL)
        return;
    place->trip = trip;
    waiting_join(&group->line, &place->waiting, req, trip->frame.size,
                 deadline_ms > now ? deadline_ms - now : 1);
}

/* ---- Making and ending ---- */

/* A service that groups follow: opened once, however many there are. */
struct service {
    struct service *next;
    const char *name;
    pillion_service *service;
};

/* NULL with the reason. */
static pillion_service *service_of(struct proxy *proxy, const char *name, pillion_error_text *error)
{
    for (struct service *s = proxy->services; s != NULL; s = s->next) {
        if (strcmp(s->name, name) == 0)
            return s->service;
    }
    struct service *service = pillion_malloc(proxy->self, sizeof(*service));
    if (service == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *service = (struct service){
        .next = proxy->services,
        .name = name,
        .service = pillion_service_open(proxy->self, name, changed, proxy, error),
    };
    if (service->service == NULL) {
        pillion_free(proxy->self, service);
        return NULL;
    }
    proxy->services = service;
    return service->service;
}

static struct source *sources_open(struct group *group, pillion_error_text *error)
{
    const pillion_list *servers = group->servers;
    pillion_instance *self = group->proxy->self;
    struct source *sources = pillion_malloc(self, servers->count * sizeof(*sources));

    if (sources == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < servers->count; i++) {
        if (!pillion_service_is(servers->items[i]))
            continue;
        pillion_service *service = service_of(group->proxy, servers->items[i], error);
        if (service == NULL) {
            pillion_free(self, sources);
            return NULL;
        }
        sources[group->source_count++] = (struct source){.service = service};
    }
    return sources;
}

static void group_free(struct group *group)
{
    pillion_instance *self = group->proxy->self;
    struct filling all = {group->members, group->sums, group->ring};

    filling_free(&all, self);
    pillion_free(self, group->sources);
    pillion_free(self, group->name);
    pillion_free(self, group);
}

struct group *group_open(struct proxy *proxy, const pillion_list *servers, const char *method,
                         bool hashes, pillion_error_text *error)
{
    if (servers_check(servers, error) != 0)
        return NULL;
    struct group *group = pillion_malloc(proxy->self, sizeof(*group));
    if (group == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *group = (struct group){
        .proxy = proxy, .servers = servers, .method = method, .hashes = hashes, .known = true};
    waiting_start(&group->line);
    group->sources = sources_open(group, error);
    if (group->sources == NULL) {
        group_free(group);
        return NULL;
    }
    group->next = proxy->groups;
    proxy->groups = group;
    for (size_t i = 0; i < group->source_count; i++) {
        group->sources[i].version = pillion_service_version(group->sources[i].service);
        group->known = group->known && group->sources[i].version != 0;
    }
    if (refill(group))
        return group;
    pillion_error(error, "out of memory");
    return NULL;
}

void groups_close(struct proxy *proxy)
{
    pillion_cancel(proxy->follow);
    pillion_cancel(proxy->mend);
    for (struct group *g = proxy->groups, *next; g != NULL; g = next) {
        next = g->next;
        group_free(g);
    }
    for (struct service *s = proxy->services, *next; s != NULL; s = next) {
        next = s->next;
        pillion_free(proxy->self, s);
    }
}
