/* How a server behind does, as the requests that were sent to it show, and what the log tells of
 * it. A server that leaves max_fails requests in a row unanswered is left out for fail_timeout, and
 * for twice as long each further time; after that it is on trial: it gets one request at a time,
 * until it answers one. */
#ifndef PILLION_MODULES_HEALTH_H
#define PILLION_MODULES_HEALTH_H

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "outlier.h"
#include "upstream_settings.h"

/* What the log tells of a server whose state it does not change. */
enum complaint {
    COMPLAINT_BROKEN,
    COMPLAINT_OVERDUE,
    COMPLAINT_REPLY,
    COMPLAINT_OUTLIER,
    COMPLAINTS
};

struct health {
    pillion_instance *self;
    const struct upstream_settings *settings;
    const char *name;                   /* as the log gives it */
    unsigned fails;                     /* requests in a row that had no answer in time */
    bool trial;                         /* it was left out, and has answered nothing since */
    struct ejection ejection;           /* for how long it is left out */
    uint64_t pause_ms;                  /* likewise, the last time */
    char reason[256];                   /* why it cannot be asked; "" while it can */
    uint64_t complained_ms[COMPLAINTS]; /* when each was logged last; 0: never */
};

/* It has taken a connection. */
static inline void health_connected(struct health *health)
{
    if (health->trial || health->reason[0] == '\0')
        return;
    pillion_log(health->self, PILLION_LOG_NOTICE, "%s is there again", health->name);
    health->reason[0] = '\0';
}

/* It has answered a request. */
static inline void health_answered(struct health *health)
{
    health->fails = 0;
    if (!health->trial)
        return;
    health->trial = false;
    health_connected(health);
}

/* Logs something that does not change its state: each complaint at most once a second, so that a
 * frequent one hides no other. */
static inline void health_complain(struct health *health, enum complaint complaint,
                                   const char *what)
{
    uint64_t now = now_ms(), *last = &health->complained_ms[complaint];

    if (*last != 0 && now - *last < 1000)
        return;
    *last = now;
    pillion_log(health->self, PILLION_LOG_WARN, "%s: %s", health->name, what);
}

/* A connection to it broke, or was not taken. `lasting`: it cannot be asked for now. */
static inline void health_broken(struct health *health, const char *reason, bool lasting)
{
    if (!lasting) {
        health_complain(health, COMPLAINT_BROKEN, reason);
        return;
    }
    if (health->trial || strcmp(health->reason, reason) == 0)
        return;
    snprintf(health->reason, sizeof(health->reason), "%s", reason);
    pillion_log(health->self, PILLION_LOG_ERROR, "%s: %s; it is tried again", health->name, reason);
}

/* So many requests have failed: `how`, "had no answer in time". True when it is to be left out, for
 * pause_ms; never if it may not. */
static inline bool health_failed(struct health *health, unsigned count, const char *how, bool may)
{
    const struct upstream_settings *settings = health->settings;
    char what[64];

    health->fails += count;
    if (settings->max_fails == 0 || !may ||
        (health->fails < (unsigned)settings->max_fails && !health->trial)) {
        snprintf(what, sizeof(what), "a request %s", how);
        health_complain(health, COMPLAINT_OVERDUE, what);
        return false;
    }
    health->pause_ms = ejection_begin(&health->ejection, now_ms(), settings->fail_timeout_ms,
                                      settings->max_fail_timeout_ms);
    if (!health->trial) {
        snprintf(health->reason, sizeof(health->reason), "%u requests in a row %s", health->fails,
                 how);
        pillion_log(health->self, PILLION_LOG_ERROR,
                    "%s: %s; it is left out for %llu ms, and longer if it fails again",
                    health->name, health->reason, (unsigned long long)health->pause_ms);
    }
    health->trial = true;
    health->fails = 0;
    return true;
}

#endif
