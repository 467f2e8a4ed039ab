/* The configuration of the redis module, and its metrics. */
#ifndef REDIS_SETTINGS_H
#define REDIS_SETTINGS_H

#include <pillion/module.h>

/* The block of load_module. */
struct settings {
    const char *server; /* "127.0.0.1:6379" or "unix:PATH" */
    int64_t connections;
    uint64_t timeout_ms;
    const char *password;
    int64_t database;
    int64_t max_pending;
    uint64_t max_unsent, max_reply;
    pillion_tls_settings ssl;
};

/* The rows of the table of metrics. */
enum metric { METRIC_COMMANDS, METRIC_ERRORS, METRIC_UNAVAILABLE, METRIC_CONNECTED };

#endif
