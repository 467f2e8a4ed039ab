/* What has come of sending a request to an upstream. This file reads replies; it sends nothing and
 * answers nobody. */
#ifndef PROXY_HTTP_ANSWER_H
#define PROXY_HTTP_ANSWER_H

#include <pillion/module.h>

enum verdict {
    ANSWER_RESULT,  /* `value` is the result */
    ANSWER_ERROR,   /* `value` is the error: an object of JSON-RPC's */
    ANSWER_LARGE,   /* the reply is larger than max_reply */
    ANSWER_BAD,     /* it is a response of HTTP, and no reply of JSON-RPC's to this request */
    ANSWER_NONE,    /* the connection broke */
    ANSWER_REFUSED, /* there was no connection */
    ANSWER_LATE,
    ANSWER_GIVEN_UP /* nobody waits for it any more */
};

struct answer {
    enum verdict verdict;
    long status; /* of HTTP; 0: none has come */
    pillion_bytes value;
    bool untouched;     /* the upstream cannot have seen the whole request */
    uint64_t retry_ms;  /* from Retry-After; 0: none */
    char reason[192];   /* what is wrong, for clients: without an address */
    const char *detail; /* more of it, for the log; "": none */
    bool is_detailed;   /* it says more than `reason`, which clients are told */
};

/* Reads the body of a response; sets `verdict`, `value` and `reason`. `status` is given. */
void answer_read(struct answer *answer, pillion_bytes body, uint64_t id);

/* True when another upstream may do better: the response is no fault of the request's, nor of the
 * configuration's. */
bool answer_is_failure(const struct answer *answer);

#endif
