/* The counters of a worker, other than those of its methods' calls. They stand in its row of the
 * board. */
#ifndef PILLION_NET_COUNTERS_H
#define PILLION_NET_COUNTERS_H

#include "base/counter.h"

enum worker_counter {
    COUNT_ACCEPTED,  /* connections accepted */
    COUNT_CLOSED,    /* connections closed, by the client or by the server */
    COUNT_BYTES_IN,  /* read from clients */
    COUNT_BYTES_OUT, /* written to clients */
    COUNT_FRAMES,    /* frames handled, refused ones included */
    COUNT_REFUSED,   /* answered with an error before any handler: bad JSON, no such method … */
    COUNT_PAUSED_OUTPUT, /* times a client was paused because it did not read */
    COUNT_PAUSED_ARENA,  /* times a client was paused because the arena was full */
    COUNT_ADOPTED,       /* connections taken over from another worker */
    COUNT_CORRECTED_IN,  /* adoptions whose count of bytes read was corrected from the kernel's */
    COUNT_CORRECTED_OUT, /* adoptions whose count of bytes written was */
    COUNT_GUILTY,        /* requests answered for a worker that died of them */
    COUNT_INVALID,       /* connection records found damaged, and closed */
    COUNT_QUARANTINED,   /* calls refused because their method is quarantined */
    COUNT_PAUSED_ACCEPT, /* times accepting was paused because there was no room for another one */
    COUNT_DEFERRED,      /* requests that their handlers deferred */
    COUNT_TIMEOUTS,      /* deferred requests answered `timeout` */
    COUNT_CANCELLED,     /* deferred requests given up because their client was gone */
    COUNT_RETRIED,       /* requests of idempotent methods run once more after a crash */
    COUNT_ORPHANED,      /* requests answered for a worker that died, but not of them */
    COUNT_SLOW,          /* requests that took as long as their slow_threshold */
    COUNT_LOG_LOST,      /* lines of the log that could not be written */

    /* Connections that the server has ended, by the directive that says so. */
    COUNT_ENDED,
    COUNT_ENDED_DENY = COUNT_ENDED, /* refused for its address */
    COUNT_ENDED_PROXY_FROM,         /* it came past the balancers */
    COUNT_ENDED_CONN,               /* limit_conn: too many of one address */
    COUNT_ENDED_RATE,               /* the same: too many of one address at once */
    COUNT_ENDED_HEADER,             /* proxy_timeout, or no PROXY header */
    COUNT_ENDED_RECEIVE,            /* receive_timeout: a message that does not come */
    COUNT_ENDED_SEND,               /* send_timeout: replies that are not read */
    COUNT_ENDED_IDLE,               /* idle_timeout */
    COUNT_ENDED_AGE,                /* max_connection_age */
    COUNT_ENDED_REQUESTS,           /* keepalive_requests */
    WORKER_COUNTERS
};

/* The name of a counter, as rpc.stats shows it; of those from COUNT_ENDED on, the reason. */
const char *worker_counter_name(enum worker_counter which);

#endif
