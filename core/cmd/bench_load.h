/* Load: many connections that send the same message over and over, and how long replies take.
 *
 * It is one thread with its own epoll descriptor, and spends as little time as it can, since the
 * server is to be measured. A request's time begins when it was sent or, at a fixed rate, when it
 * was due: a stalled server is charged for the requests that could not be sent meanwhile (the
 * mistake of not doing so is known as "coordinated omission"). What comes back is
 * cmd/bench_replies.h's. */
#ifndef PILLION_CMD_BENCH_LOAD_H
#define PILLION_CMD_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"
#include "cmd/bench_replies.h"

#define LOAD_CONNECTIONS_MAX 60000u
#define LOAD_IN_FLIGHT_MAX   4096u

struct load_plan {
    const char *server; /* as address_resolve takes it */
    const struct dialect *dialect;
    struct bytes body; /* of each request */
    uint32_t connections;
    uint32_t in_flight; /* on each connection; with a rate, the most there may be */
    double seconds;
    double
        rate; /* requests a second over all connections; 0: each reply is followed by a request */

    /* Called about once a second while it runs. May be NULL. */
    void (*progress)(uint64_t replies, double seconds);
};

struct load_result {
    uint64_t replies; /* error replies among them */
    struct reply_errors errors;
    uint64_t bytes;          /* of requests and replies */
    uint64_t unanswered;     /* requests that had no reply two seconds after the end */
    uint32_t failed;         /* connections that ended */
    struct error failure;    /* why the first of them did */
    double seconds;          /* from the first request to the last reply */
    struct histogram *times; /* nanoseconds; the caller frees it */
};

/* Runs the plan; SIGINT ends it early. False when it could not begin, with the reason. */
bool load_run(const struct load_plan *plan, struct load_result *result, struct error *error);

#endif
