/* The configuration of the postgres module, and its metrics. */
#ifndef POSTGRES_SETTINGS_H
#define POSTGRES_SETTINGS_H

#include <pillion/module.h>

/* The block of load_module. */
struct settings {
    const char *conninfo;
    int64_t connections;
    uint64_t timeout_ms;
    int64_t pipeline;
    int64_t max_pending;
    uint64_t max_unsent, max_reply;
    bool prepare;

    /* TLS, which libpq speaks: it reads these files by itself. */
    bool ssl, ssl_verify;
    const char *ssl_name;
    pillion_file ssl_trusted, ssl_certificate, ssl_key;
    int trace;
};

/* How PostgreSQL is told of a request's trace. */
enum trace { TRACE_OFF, TRACE_COMMENT };

/* The rows of the table of metrics. */
enum metric {
    METRIC_QUERIES,
    METRIC_ERRORS,
    METRIC_UNAVAILABLE,
    METRIC_CONNECTED,
    METRIC_CANCELLED,
};

#endif
