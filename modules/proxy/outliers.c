/* See outliers.h. Each group is judged by itself, because servers can be compared only by what they
 * all do: a method that is slow everywhere is no fault of those that offer it. */
#include "outliers.h"

#include <stdio.h>
#include <stdlib.h>

#define JUDGE_MS 1000u
#define KEEP     10u /* rounds after which too few answers are forgotten */

/* What all servers of a group have done. */
struct view {
    struct outlier_sum sum;
    uint64_t *times; /* the typical time of each that is judged, in ascending order */
    size_t count;
};

static int by_time(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return first < second ? -1 : first > second;
}

/* False without memory. */
static bool view_of(const struct group *group, struct view *view)
{
    *view = (struct view){
        .times = pillion_malloc(group->proxy->self, group->count * sizeof(*view->times))};
    if (view->times == NULL)
        return false;
    for (size_t i = 0; i < group->count; i++) {
        const struct outlier_seen *seen = &group->members[i]->share.seen;
        view->sum.answers += seen->answers;
        view->sum.errors += seen->errors;
        if (outlier_is_judged(seen))
            view->times[view->count++] = outlier_typical_us(seen);
    }
    qsort(view->times, view->count, sizeof(*view->times), by_time);
    return true;
}

static void leave_out(struct member *member, const char *how)
{
    struct group *group = member->group;
    const struct upstream_settings *settings = &group->proxy->settings->common;

    if (group->out >= outlier_allowed(group->count, group->proxy->max_ejected)) {
        health_complain(&member->upstream->health, COMPLAINT_OUTLIER, how);
        return;
    }
    uint64_t ms = ejection_begin(&member->ejection, now_ms(), settings->fail_timeout_ms,
                                 settings->max_fail_timeout_ms);
    pillion_log(group->proxy->self, PILLION_LOG_WARN, "%s: %s; it is left out for %llu ms",
                member->upstream->address, how, (unsigned long long)ms);
    member_leaves_out(member, OUT_OUTLIER, true);
}

static void judge(struct member *member, const struct view *view)
{
    const struct proxy *proxy = member->group->proxy;
    const struct outlier_seen *seen = &member->share.seen;
    char how[160];

    if (!outlier_is_judged(seen) || member->out != 0)
        return;
    if (outlier_fails(seen, &view->sum, proxy->outlier_errors)) {
        snprintf(how, sizeof(how), "it failed %u of %u requests, and others far fewer",
                 seen->errors, seen->answers);
        leave_out(member, how);
        return;
    }
    if (view->count < 2)
        return;
    uint64_t own = outlier_typical_us(seen);
    uint64_t others = outlier_others_us(view->times, view->count, own);
    if (outlier_is_slow(own, others, (unsigned)proxy->settings->outlier_latency)) {
        snprintf(how, sizeof(how), "it takes %llu us for a request, and others %llu",
                 (unsigned long long)own, (unsigned long long)others);
        leave_out(member, how);
    }
}

/* Its time is over: it begins anew, slowly if new servers do. */
static void come_back(struct member *member, uint64_t now)
{
    struct group *group = member->group;
    uint64_t slow_ms = group->proxy->settings->slow_start_ms;

    member_leaves_out(member, OUT_OUTLIER, false);
    pillion_log(group->proxy->self, PILLION_LOG_NOTICE, "%s is asked again",
                member->upstream->address);
    if (slow_ms == 0)
        return;
    member->new_ms = now;
    if (group->slow_ms < now + slow_ms)
        group->slow_ms = now + slow_ms;
}

/* Ends what is over by now. True when servers are left out. */
static bool group_tick(struct group *group, uint64_t now)
{
    bool out = false;

    for (size_t i = 0; i < group->count && group->out > 0; i++) {
        struct member *member = group->members[i];
        if ((member->out & OUT_OUTLIER) != 0 && now >= member->ejection.until_ms)
            come_back(member, now);
        out = out || (member->out & OUT_OUTLIER) != 0;
    }
    if (group->slow_ms == 0 || now < group->slow_ms)
        return out || group->slow_ms != 0;
    group->slow_ms = 0;
    for (size_t i = 0; i < group->count; i++)
        group->members[i]->new_ms = 0;
    return out;
}

/* What has been judged is forgotten, and what is too little to be judged after a while. */
static void forget(const struct group *group, bool all)
{
    for (size_t i = 0; i < group->count; i++) {
        struct outlier_seen *seen = &group->members[i]->share.seen;
        if (all || outlier_is_judged(seen))
            *seen = (struct outlier_seen){0};
    }
}

/* True when the group has to be looked at again. */
static bool group_judge(struct group *group, uint64_t now, bool all)
{
    struct view view;
    bool again = group_tick(group, now);

    if (group->count > 1 && view_of(group, &view)) {
        for (size_t i = 0; i < group->count; i++)
            judge(group->members[i], &view);
        pillion_free(group->proxy->self, view.times);
        again = again || view.sum.answers > 0;
    }
    forget(group, all);
    return again;
}

static void judge_all(pillion_instance *self, void *data)
{
    struct proxy *proxy = data;
    uint64_t now = now_ms();
    bool again = false, all = ++proxy->rounds % KEEP == 0;

    proxy->judge = 0;
    for (struct group *group = proxy->groups; group != NULL; group = group->next)
        again = group_judge(group, now, all) || again;
    if (again)
        proxy->judge = pillion_timer(self, JUDGE_MS, 0, judge_all, proxy);
}

void outliers_watch(struct proxy *proxy)
{
    if (proxy->judge == 0)
        proxy->judge = pillion_timer(proxy->self, JUDGE_MS, 0, judge_all, proxy);
}
