/* The configuration of the proxy module, and its metrics. */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include <pillion/module.h>

/* The block of load_module. */
struct settings {
    pillion_list upstreams;
    int64_t connections, extra_connections;
    int64_t max_inflight;
    uint64_t timeout_ms, try_timeout_ms;
    int64_t retries;
    int64_t max_fails;
    uint64_t fail_timeout_ms;
    int64_t max_pending;
    uint64_t max_frame, max_reply;
};

/* The rows of the table of metrics. */
enum metric { METRIC_SENT, METRIC_RETRIED, METRIC_FAILED, METRIC_OVERDUE, METRIC_CONNECTED };

#endif
