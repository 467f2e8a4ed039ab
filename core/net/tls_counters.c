/* The names of a gate's counters. See tls_counters.h. */
#include "net/tls_counters.h"

const char *tls_version_name(unsigned version)
{
    return version == 0 ? "TLSv1.2" : "TLSv1.3";
}

const char *tls_counter_name(enum tls_counter which)
{
    static const char *const names[TLS_COUNTERS] = {
        [TLS_FAILED_TIMEOUT] = "timeout",
        [TLS_FAILED_PROTOCOL] = "protocol",
        [TLS_FAILED_CERTIFICATE] = "certificate",
        [TLS_FAILED_HTTP] = "http",
        [TLS_FAILED_CLOSED] = "closed",
        [TLS_FAILED_UNKNOWN] = "unknown",
        [TLS_REFUSED_DENY] = "deny",
        [TLS_REFUSED_PROXY_FROM] = "proxy_from",
        [TLS_REFUSED_CONN] = "limit_conn",
        [TLS_REFUSED_RATE] = "limit_conn_rate",
        [TLS_REFUSED_HEADER] = "proxy_timeout",
        [TLS_REFUSED_HANDSHAKES] = "ssl_handshakes",
    };
    return names[which];
}
