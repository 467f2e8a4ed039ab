/* The counters of a gate. They stand in its row of the board (rpc/board.h), which outlives it. */
#ifndef PILLION_NET_TLS_COUNTERS_H
#define PILLION_NET_TLS_COUNTERS_H

#include "base/counter.h"

enum tls_counter {
    TLS_BEGUN, /* handshakes that were begun; those that are neither done nor failed are under way
                */

    /* Those that are done, by version; of them, those that went on with a ticket; and the
     * connections of these that have ended. */
    TLS_MET,
    TLS_MET_1_2 = TLS_MET,
    TLS_MET_1_3,
    TLS_RESUMED,
    TLS_RESUMED_1_2 = TLS_RESUMED,
    TLS_RESUMED_1_3,
    TLS_ENDED,
    TLS_ENDED_1_2 = TLS_ENDED,
    TLS_ENDED_1_3,

    /* Those that have failed, by reason. */
    TLS_FAILED,
    TLS_FAILED_TIMEOUT = TLS_FAILED, /* ssl_handshake_timeout */
    TLS_FAILED_PROTOCOL,             /* no version, cipher or protocol in common, or no TLS */
    TLS_FAILED_CERTIFICATE,          /* one side does not take the other's */
    TLS_FAILED_HTTP,                 /* a request of HTTP without TLS */
    TLS_FAILED_CLOSED,               /* the client has gone */
    TLS_FAILED_UNKNOWN,              /* the library's trouble, or the end of the gate */
    TLS_FAILED_END,

    /* Clients that got no handshake, by the directive that says so. */
    TLS_REFUSED = TLS_FAILED_END,
    TLS_REFUSED_DENY = TLS_REFUSED,
    TLS_REFUSED_PROXY_FROM,
    TLS_REFUSED_CONN,       /* limit_conn */
    TLS_REFUSED_RATE,       /* likewise */
    TLS_REFUSED_HEADER,     /* proxy_timeout, or no PROXY header */
    TLS_REFUSED_HANDSHAKES, /* ssl_handshakes */
    TLS_COUNTERS
};

#define TLS_VERSIONS 2u

/* "TLSv1.2" and "TLSv1.3". */
const char *tls_version_name(unsigned version);

/* The reason that a counter from TLS_FAILED on is about: "timeout", "deny". */
const char *tls_counter_name(enum tls_counter which);

#endif
