/* The names of the counters. See counters.h. */
#include "net/counters.h"

static const char *const names[WORKER_COUNTERS] = {
    [COUNT_ACCEPTED] = "accepted",
    [COUNT_CLOSED] = "closed",
    [COUNT_BYTES_IN] = "bytes_in",
    [COUNT_BYTES_OUT] = "bytes_out",
    [COUNT_FRAMES] = "frames",
    [COUNT_REFUSED] = "refused",
    [COUNT_PAUSED_OUTPUT] = "paused_output",
    [COUNT_PAUSED_ARENA] = "paused_arena",
    [COUNT_ADOPTED] = "adopted",
    [COUNT_CORRECTED_IN] = "corrected_in",
    [COUNT_CORRECTED_OUT] = "corrected_out",
    [COUNT_GUILTY] = "guilty",
    [COUNT_INVALID] = "invalid_records",
    [COUNT_QUARANTINED] = "quarantined",
    [COUNT_PAUSED_ACCEPT] = "paused_accept",
    [COUNT_DEFERRED] = "deferred",
    [COUNT_TIMEOUTS] = "timeouts",
    [COUNT_CANCELLED] = "cancelled",
    [COUNT_RETRIED] = "retried",
    [COUNT_ORPHANED] = "orphaned",
    [COUNT_SLOW] = "slow",
    [COUNT_LOG_LOST] = "log_lines_lost",
    [COUNT_ENDED_DENY] = "deny",
    [COUNT_ENDED_PROXY_FROM] = "proxy_from",
    [COUNT_ENDED_CONN] = "limit_conn",
    [COUNT_ENDED_RATE] = "limit_conn_rate",
    [COUNT_ENDED_HEADER] = "proxy_timeout",
    [COUNT_ENDED_RECEIVE] = "receive_timeout",
    [COUNT_ENDED_SEND] = "send_timeout",
    [COUNT_ENDED_IDLE] = "idle_timeout",
    [COUNT_ENDED_AGE] = "max_connection_age",
    [COUNT_ENDED_REQUESTS] = "keepalive_requests",
};

const char *worker_counter_name(enum worker_counter which)
{
    return names[which];
}
