/* The line of the slow log. slow.h tells what a slow request is. */
#ifndef PILLION_RPC_SLOW_LINE_H
#define PILLION_RPC_SLOW_LINE_H

#include "net/address.h"
#include "rpc/trace.h"

struct slow_request {
    const struct method *method;
    const char *id;       /* of which kind it is; never what it is */
    const char *protocol; /* its name */
    size_t request_bytes, reply_bytes;
    char code[32]; /* "" unless it has failed */
    char trace[TRACEPARENT_SIZE + 1];
    char peer[ADDRESS_TEXT_SIZE];

    uint64_t arrived_ns, answered_ns; /* on clock_ns() */
    uint64_t queued_ns, ran_ns, waited_ns, sending_ns;
    const char *reason; /* what it was queued for; or NULL */
    char behind[256];   /* the code that kept the loop meanwhile, ... */
    uint64_t behind_ns; /* ... so long; 0: none is known */
    bool unsent;        /* its connection ended before the reply was sent */
};

/* Logs it, unless many of its kind were logged just now. */
void slow_line(const struct slow_request *request);

#endif
