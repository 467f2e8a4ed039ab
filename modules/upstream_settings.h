/* What modules that send requests to servers behind have in common: their directives and their
 * metrics. */
#ifndef PILLION_MODULES_UPSTREAM_SETTINGS_H
#define PILLION_MODULES_UPSTREAM_SETTINGS_H

#include <pillion/module.h>
#include <stddef.h>

#include "budget.h"
#include "percent.h"

/* A member of the structure of load_module's block. */
struct upstream_settings {
    uint64_t timeout_ms, try_timeout_ms;
    int64_t retries;
    const char *retry_budget; /* a share of requests, see percent.h */
    int64_t retry_floor;
    int64_t max_fails;
    uint64_t fail_timeout_ms, max_fail_timeout_ms;
};

static inline int retry_budget_check(const void *value, pillion_error_text *error)
{
    return percent_check(value, 1000, error);
}

_Static_assert(PERCENT_OFF == BUDGET_UNLIMITED, "`retry_budget off` bounds nothing");

static inline struct budget budget_of(const struct upstream_settings *settings)
{
    return (struct budget){.percent = percent_of(settings->retry_budget),
                           .floor = (uint32_t)settings->retry_floor};
}

/* The rows for the member `member` of the structure `type`. */
#define UPSTREAM_DIRECTIVES(type_, member)                                                         \
    {.name = "timeout",                                                                            \
     .type = PILLION_TIME,                                                                         \
     .offset = offsetof(type_, member.timeout_ms),                                                 \
     .fallback = "5s",                                                                             \
     .min = 1,                                                                                     \
     .max = 3600000,                                                                               \
     .summary = "How long a request waits for its reply, all tries together; then it is answered " \
                "`timeout`."},                                                                     \
        {.name = "try_timeout",                                                                    \
         .type = PILLION_TIME,                                                                     \
         .offset = offsetof(type_, member.try_timeout_ms),                                         \
         .min = 0,                                                                                 \
         .max = 3600000,                                                                           \
         .summary = "How long one upstream may take before that counts as its failure, and "       \
                    "before an idempotent request goes to another one as well. Without it, as "    \
                    "long as `timeout`."},                                                         \
        {.name = "retries",                                                                        \
         .type = PILLION_INTEGER,                                                                  \
         .offset = offsetof(type_, member.retries),                                                \
         .fallback = "1",                                                                          \
         .min = 0,                                                                                 \
         .max = 100,                                                                               \
         .summary = "How many more upstreams a request is sent to when one fails: an idempotent "  \
                    "one, or one that the first cannot have seen."},                               \
        {.name = "retry_budget",                                                                   \
         .type = PILLION_STRING,                                                                   \
         .offset = offsetof(type_, member.retry_budget),                                           \
         .fallback = "10%",                                                                        \
         .check = retry_budget_check,                                                              \
         .summary = "How many of a worker's requests of the last ten seconds may be sent again "   \
                    "after an upstream may have seen them; `off`: all."},                          \
        {.name = "retry_floor",                                                                    \
         .type = PILLION_INTEGER,                                                                  \
         .offset = offsetof(type_, member.retry_floor),                                            \
         .fallback = "10",                                                                         \
         .min = 0,                                                                                 \
         .max = 1000000,                                                                           \
         .summary = "So many a second may be besides, so that little traffic can be."},            \
        {.name = "max_fails",                                                                      \
         .type = PILLION_INTEGER,                                                                  \
         .offset = offsetof(type_, member.max_fails),                                              \
         .fallback = "3",                                                                          \
         .min = 0,                                                                                 \
         .max = 1000000,                                                                           \
         .summary = "After so many requests in a row without an answer in time an upstream is "    \
                    "left out; `0`: never."},                                                      \
        {.name = "fail_timeout",                                                                   \
         .type = PILLION_TIME,                                                                     \
         .offset = offsetof(type_, member.fail_timeout_ms),                                        \
         .fallback = "5s",                                                                         \
         .min = 1,                                                                                 \
         .max = 3600000,                                                                           \
         .summary = "How long it is left out; then it gets one request at a time until it "        \
                    "answers one. Each further time it is twice as long."},                        \
    {                                                                                              \
        .name = "max_fail_timeout", .type = PILLION_TIME,                                          \
        .offset = offsetof(type_, member.max_fail_timeout_ms), .fallback = "1m", .min = 1,         \
        .max = 86400000,                                                                           \
        .summary = "How long that is at most. One that does well for so long begins anew."         \
    }

/* The rows of the table of metrics. */
enum metric {
    METRIC_SENT,
    METRIC_RETRIED,
    METRIC_FAILED,
    METRIC_OVERDUE,
    METRIC_CONNECTED,
    METRIC_UNRETRIED,

    /* Of the module proxy alone. */
    METRIC_EJECTED,
    METRIC_SERVERS
};

#define UPSTREAM_METRICS                                                                      \
    [METRIC_SENT] = {.name = "sent",                                                          \
                     .type = PILLION_COUNTER,                                                 \
                     .summary = "Requests sent to upstreams, each try counted."},             \
    [METRIC_RETRIED] = {.name = "retried",                                                    \
                        .type = PILLION_COUNTER,                                              \
                        .summary = "Requests sent to upstreams, without their first tries."}, \
    [METRIC_FAILED] = {.name = "failed",                                                      \
                       .type = PILLION_COUNTER,                                               \
                       .summary = "Requests answered `upstream_unavailable`."},               \
    [METRIC_OVERDUE] = {.name = "overdue",                                                    \
                        .type = PILLION_COUNTER,                                              \
                        .summary = "Tries without an answer within try_timeout."},            \
    [METRIC_CONNECTED] = {.name = "connected",                                                \
                          .type = PILLION_GAUGE,                                              \
                          .summary = "Connections to upstreams."},                            \
    [METRIC_UNRETRIED] = {.name = "unretried",                                                \
                          .type = PILLION_COUNTER,                                            \
                          .summary =                                                          \
                              "Requests that were not sent again, because of retry_budget."}

#endif
