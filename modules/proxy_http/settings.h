/* The configuration of the proxy_http module. */
#ifndef PROXY_HTTP_SETTINGS_H
#define PROXY_HTTP_SETTINGS_H

#include "../upstream_settings.h"

/* What stands in the block of load_module, and may stand in a method's instead. */
struct target {
    pillion_list upstreams; /* URLs */
    pillion_list headers;   /* "Name: value", sent with every request */
    pillion_list pass;      /* names of the client's header fields that are handed on */
};

/* The block of load_module. */
struct settings {
    struct target target;
    struct upstream_settings common;
    int64_t connections;
    uint64_t keepalive_ms;
    int64_t max_pending;
    uint64_t max_unsent, max_reply;
    pillion_file ca, certificate, key;
    bool verify;
};

#endif
