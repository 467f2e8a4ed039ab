/* The configuration of the proxy module. */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include "../upstream_settings.h"

/* The block of load_module. */
struct settings {
    pillion_list upstreams;
    int64_t connections, extra_connections;
    int64_t max_inflight;
    struct upstream_settings common;
    int64_t max_pending;
    int64_t subset;
    uint64_t idle_timeout_ms;
    uint64_t slow_start_ms;
    const char *max_ejected, *outlier_errors, *hash_load; /* shares, see percent.h */
    int64_t outlier_latency;
    uint64_t max_frame, max_reply;
    pillion_tls_settings ssl;
};

#endif
