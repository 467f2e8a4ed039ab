/* See upstream.h. An upstream that cannot be connected to is left out for a while that grows from
 * 50 ms to two seconds; one that fails in another way, max_fails times in a row, is left out for
 * fail_timeout, and is then on trial (health.h). */
#include "upstream.h"

#include <string.h>

#include "../choose.h"
#include "../health.h"
#include "../waiting.h"
#include "url.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define NAME_SIZE          300u
#define KEPT_MOST          1024

struct upstream {
    struct proxy *proxy;
    struct upstream *next;
    struct health health;
    struct location location; /* its URL is as it is in the configuration */
    char name[NAME_SIZE];     /* for the log */
    int64_t pending;          /* requests under way */
    uint64_t out_until_ms;    /* it is not asked before then */
    unsigned backoff_ms;
};

struct group {
    struct group *next;
    struct waiting_line line;
    size_t count;
    struct proxy *proxy;
    struct upstream *members[];
};

struct proxy {
    pillion_instance *self;
    const struct settings *settings;
    struct exchanges *exchanges;
    struct exchange_events events;
    struct upstream *upstreams; /* each once, even if it is in several groups */
    struct group *groups;
    pillion_handle wake; /* sends what waits in line */
    uint64_t last_id;
    struct budget budget;
    struct dice dice;
};

/* A request in line, in its own memory. */
struct waiting_trip {
    struct waiting waiting; /* first */
    struct trip *trip;
};

/* ---- Health ---- */

static bool is_out(const struct upstream *upstream)
{
    return now_ms() < upstream->out_until_ms || (upstream->health.trial && upstream->pending > 0);
}

/* Requests that were under way together fail together; they count as one. */
static void refused(struct upstream *upstream, const struct answer *answer)
{
    uint64_t now = now_ms();

    if (strcmp(upstream->health.reason, answer->reason) != 0 && answer->detail[0] != '\0')
        health_complain(&upstream->health, COMPLAINT_BROKEN, answer->detail);
    health_broken(&upstream->health, answer->reason, true);
    if (now < upstream->out_until_ms)
        return;
    upstream->out_until_ms = now + upstream->backoff_ms;
    upstream->backoff_ms *= 2;
    if (upstream->backoff_ms > BACKOFF_LONGEST_MS)
        upstream->backoff_ms = BACKOFF_LONGEST_MS;
}

static void failed(struct upstream *upstream, const char *how)
{
    if (health_failed(&upstream->health, 1, how, true))
        upstream->out_until_ms = now_ms() + upstream->health.pause_ms;
}

static void judge(struct upstream *upstream, const struct answer *answer)
{
    struct health *health = &upstream->health;

    if (answer->status != 0) {
        health_connected(health);
        upstream->backoff_ms = BACKOFF_FIRST_MS;
    }
    switch (answer->verdict) {
    case ANSWER_RESULT:
    case ANSWER_ERROR:
        health_answered(health);
        return;
    case ANSWER_LARGE:
        health_answered(health);
        health_complain(health, COMPLAINT_REPLY, answer->reason);
        return;
    case ANSWER_BAD:
    case ANSWER_NONE:
        health_complain(health, COMPLAINT_REPLY,
                        answer->is_detailed ? answer->detail : answer->reason);
        if (answer_is_failure(answer))
            failed(upstream, "had no good answer");
        else
            health_answered(health);
        return;
    case ANSWER_REFUSED:
        refused(upstream, answer);
        return;
    case ANSWER_LATE:
        pillion_count(health->self, METRIC_OVERDUE, 1);
        failed(upstream, "had no answer in time");
        return;
    case ANSWER_GIVEN_UP:
        return;
    }
}

/* ---- The line ---- */

struct choice {
    const struct upstream *last; /* which has been asked before */
    struct upstream *upstream;
    const char *reason;
    bool full;
};

static void consider(struct choice *choice, struct upstream *upstream)
{
    struct upstream *chosen = choice->upstream;

    if (is_out(upstream)) {
        choice->reason = upstream->health.reason[0] == '\0' ? "it is being tried again"
                                                            : upstream->health.reason;
    } else if (upstream->pending >= upstream->proxy->settings->connections) {
        choice->full = true;
    } else if (chosen == NULL || (chosen == choice->last && upstream != chosen) ||
               (upstream != choice->last && upstream->pending < chosen->pending)) {
        choice->upstream = upstream;
    }
}

/* The member that is asked next: of two that are drawn, the one with fewer under way; where neither
 * will do, of all. NULL when none can be: then `*reason` says why, and `*full` is set when one has
 * as many requests under way as it may, and can be asked when it has answered one. */
static struct upstream *group_choose(struct group *group, const struct upstream *last,
                                     const char **reason, bool *full)
{
    struct choice choice = {.last = last, .reason = ""};
    struct dice *dice = &group->proxy->dice;
    size_t count = group->count, from = dice_below(dice, (uint32_t)count);

    consider(&choice, group->members[from]);
    if (count > 1)
        consider(&choice,
                 group->members[(from + 1 + dice_below(dice, (uint32_t)count - 1)) % count]);
    for (size_t i = 0; i < count && (choice.upstream == NULL || choice.upstream == last); i++)
        consider(&choice, group->members[(from + i) % count]);
    *full = choice.full;
    *reason = choice.reason;
    return choice.upstream;
}

static void upstream_send(struct upstream *upstream, pillion_request *req, struct trip *trip)
{
    struct proxy *proxy = upstream->proxy;

    trip->last = upstream;
    upstream->pending++;
    if (!exchange_start(proxy->exchanges, upstream, &upstream->location, req, trip))
        upstream->pending--;
}

/* Defers the request until an upstream has room; or answers it. */
static void line_join(struct group *group, pillion_request *req, struct trip *trip)
{
    const struct settings *settings = pillion_config(pillion_self(req));
    uint64_t now = now_ms(), deadline_ms = trip->tries.deadline_ms;
    struct waiting_trip *place =
        waiting_place(&group->line, req, sizeof(*place), settings->max_pending,
                      settings->max_unsent, "the servers behind");

    if (place == NULL)
        return;
    place->trip = trip;
    waiting_join(&group->line, &place->waiting, req, trip->body.size,
                 deadline_ms > now ? deadline_ms - now : 1);
}

/* Sends what waits in line, as far as there is room. */
static void line_go_on(struct group *group)
{
    const char *reason;
    bool full;

    while (group->line.first != NULL) {
        struct trip *trip = ((struct waiting_trip *)group->line.first)->trip;
        struct upstream *upstream = group_choose(group, trip->last, &reason, &full);
        if (upstream == NULL && full)
            return;
        pillion_request *req = waiting_take(&group->line);
        if (req != NULL && upstream != NULL)
            upstream_send(upstream, req, trip);
        else if (req != NULL)
            tries_unserved(req, &trip->tries, reason);
    }
}

static void lines_go_on(pillion_instance *self, void *data)
{
    struct proxy *proxy = data;

    (void)self;
    proxy->wake = 0;
    for (struct group *group = proxy->groups; group != NULL; group = group->next)
        line_go_on(group);
}

/* Not at once: the request of which this tells is not dealt with yet. */
static void upstream_over(struct upstream *upstream, const struct answer *answer)
{
    struct proxy *proxy = upstream->proxy;

    upstream->pending--;
    judge(upstream, answer);
    for (struct group *group = proxy->groups; group != NULL && proxy->wake == 0;
         group = group->next) {
        if (group->line.first != NULL)
            proxy->wake = pillion_timer(proxy->self, 0, 0, lines_go_on, proxy);
    }
}

void group_send(pillion_request *req, struct tries *tries)
{
    struct trip *trip = (struct trip *)tries;
    struct group *group = trip->group;
    const char *reason = "";
    bool full = true;

    if (!tries_in_time(req, tries))
        return;
    struct upstream *upstream =
        group->line.first == NULL ? group_choose(group, trip->last, &reason, &full) : NULL;
    if (upstream != NULL)
        upstream_send(upstream, req, trip);
    else if (full)
        line_join(group, req, trip);
    else
        tries_unserved(req, tries, reason);
}

bool group_has_other(const struct trip *trip)
{
    const struct group *group = trip->group;
    bool found = false;

    for (size_t i = 0; i < group->count && !found; i++) {
        const struct upstream *upstream = group->members[i];
        found = upstream != trip->last && !is_out(upstream) &&
                upstream->pending < upstream->proxy->settings->connections;
    }
    return found;
}

/* ---- Making and ending ---- */

static struct upstream *upstream_open(struct proxy *proxy, const char *url)
{
    for (struct upstream *u = proxy->upstreams; u != NULL; u = u->next) {
        if (strcmp(u->location.url, url) == 0)
            return u;
    }
    struct upstream *upstream = pillion_malloc(proxy->self, sizeof(*upstream));
    if (upstream == NULL)
        return NULL;
    *upstream = (struct upstream){
        .proxy = proxy,
        .next = proxy->upstreams,
        .location = {.url = url, .named = url_is_named(url)},
        .backoff_ms = BACKOFF_FIRST_MS,
        .health = {.self = proxy->self,
                   .settings = &proxy->settings->common,
                   .name = upstream->name},
    };
    if (!url_name(url, upstream->name, sizeof(upstream->name))) {
        pillion_free(proxy->self, upstream);
        return NULL;
    }
    proxy->upstreams = upstream;
    return upstream;
}

static bool group_is(const struct group *group, const pillion_list *urls)
{
    bool same = group->count == urls->count;

    for (size_t i = 0; same && i < group->count; i++)
        same = strcmp(group->members[i]->location.url, urls->items[i]) == 0;
    return same;
}

struct group *group_open(struct proxy *proxy, const pillion_list *urls, pillion_error_text *error)
{
    if (urls_check(urls, error) != 0)
        return NULL;
    for (struct group *g = proxy->groups; g != NULL; g = g->next) {
        if (group_is(g, urls))
            return g;
    }
    struct group *group =
        pillion_malloc(proxy->self, sizeof(*group) + urls->count * sizeof(group->members[0]));
    if (group == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *group = (struct group){.next = proxy->groups, .proxy = proxy};
    waiting_start(&group->line);
    proxy->groups = group;
    for (size_t i = 0; i < urls->count; i++) {
        group->members[i] = upstream_open(proxy, urls->items[i]);
        if (group->members[i] == NULL) {
            pillion_error(error, "out of memory");
            return NULL;
        }
        group->count++;
    }
    return group;
}

struct budget *proxy_budget(struct proxy *proxy)
{
    return &proxy->budget;
}

uint64_t proxy_next_id(struct proxy *proxy)
{
    return ++proxy->last_id;
}

struct proxy *proxy_open(pillion_instance *self, const struct settings *settings,
                         void (*answered)(pillion_request *req, struct trip *trip,
                                          const struct answer *answer),
                         pillion_error_text *error)
{
    struct proxy *proxy = pillion_malloc(self, sizeof(*proxy));

    if (proxy == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *proxy = (struct proxy){
        .self = self,
        .settings = settings,
        .events = {.over = upstream_over, .answered = answered},
        .budget = budget_of(&settings->common),
        .dice = dice_new(),
    };
    proxy->exchanges = exchanges_open(self, settings, KEPT_MOST, &proxy->events, error);
    if (proxy->exchanges != NULL)
        return proxy;
    pillion_free(self, proxy);
    return NULL;
}

void proxy_close(struct proxy *proxy)
{
    exchanges_close(proxy->exchanges);
    pillion_cancel(proxy->wake);
    for (struct upstream *u = proxy->upstreams, *next; u != NULL; u = next) {
        next = u->next;
        pillion_free(proxy->self, u);
    }
    for (struct group *g = proxy->groups, *next; g != NULL; g = next) {
        next = g->next;
        pillion_free(proxy->self, g);
    }
    pillion_free(proxy->self, proxy);
}
