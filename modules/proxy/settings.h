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
    uint64_t max_frame, max_reply;
};

#endif
