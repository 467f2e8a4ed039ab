/* A request that one of several servers behind is to answer: for how long and how often it is
 * tried, and what its client is told when none answers. A request that is not idempotent is sent
 * again only when no server can have seen it. Messages never name a server's address: that is for
 * the log. */
#ifndef PILLION_MODULES_TRIES_H
#define PILLION_MODULES_TRIES_H

#include <string.h>

#include "clock.h"
#include "upstream_settings.h"

/* In the request's memory, so it is valid whenever pillion_resume gives the request. */
struct tries {
    /* Sends the request to the best server and defers it, or answers it. */
    void (*send)(pillion_request *req, struct tries *tries);

    struct budget *budget; /* the worker's */
    uint64_t deadline_ms;
    uint64_t try_ms; /* how long one server may take */
    unsigned left;
    bool idempotent;
    bool seen;   /* a server that was asked may have carried the request out */
    bool barred; /* it is not sent again, because too many are */
};

/* `timeout_ms` is the method's own, or 0. */
static inline struct tries tries_of(const pillion_request *req,
                                    const struct upstream_settings *settings, struct budget *budget,
                                    uint64_t timeout_ms,
                                    void (*send)(pillion_request *req, struct tries *tries))
{
    uint64_t now = now_ms();

    if (timeout_ms == 0)
        timeout_ms = settings->timeout_ms;
    budget_call(budget, now);
    return (struct tries){
        .send = send,
        .budget = budget,
        .deadline_ms = now + timeout_ms,
        .try_ms = settings->try_timeout_ms != 0 ? settings->try_timeout_ms : timeout_ms,
        .left = (unsigned)settings->retries,
        .idempotent = pillion_idempotent(req),
    };
}

/* The end of an error message, about the earlier tries. */
static inline const char *tries_earlier(const struct tries *tries)
{
    return tries->seen ? "; an earlier try may have been carried out or not" : "";
}

/* False when the client waits no longer: then the request is answered. */
static inline bool tries_in_time(pillion_request *req, const struct tries *tries)
{
    if (pillion_deadline_ms(req) > 0)
        return true;
    pillion_fail(req, PILLION_DEADLINE_EXCEEDED, "there is no time left to send the request on%s",
                 tries_earlier(tries));
    return false;
}

/* Answers a request that no server can be asked. */
static inline void tries_unserved(pillion_request *req, const struct tries *tries,
                                  const char *reason)
{
    pillion_count(pillion_self(req), METRIC_FAILED, 1);
    pillion_fail(req, "upstream_unavailable", "no server behind \"%s\" can be asked: %s%s",
                 pillion_method_name(req), reason, tries_earlier(tries));
}

static inline bool tries_may_go_on(const struct tries *tries)
{
    return tries->left > 0 && now_ms() < tries->deadline_ms;
}

/* True when a request that a server may have seen is sent to another one: it may be run twice,
 * there is time for it, and the budget has leave for it, which is taken. */
static inline bool tries_may_repeat(const pillion_request *req, struct tries *tries)
{
    if (!tries->idempotent || !tries_may_go_on(tries))
        return false;
    tries->barred = !budget_take(tries->budget, now_ms());
    if (tries->barred)
        pillion_count(pillion_self(req), METRIC_UNRETRIED, 1);
    return !tries->barred;
}

static inline void tries_again(pillion_request *req, struct tries *tries)
{
    tries->left--;
    pillion_count(pillion_self(req), METRIC_RETRIED, 1);
    tries->send(req, tries);
}

/* A server that may have seen the request is late, and another one is asked as well: see
 * tries_may_repeat. */
static inline void tries_repeat(pillion_request *req, struct tries *tries)
{
    tries->seen = true;
    tries_again(req, tries);
}

/* The server has not answered and will not: sends the request to another one, or answers it.
 * `untouched`: the server cannot have seen it. */
static inline void tries_failed(pillion_request *req, struct tries *tries, bool untouched,
                                const char *reason)
{
    const char *name = pillion_method_name(req);

    tries->seen = tries->seen || !untouched;
    if (untouched ? tries_may_go_on(tries) : tries_may_repeat(req, tries)) {
        tries_again(req, tries);
        return;
    }
    if (now_ms() >= tries->deadline_ms) {
        pillion_fail(req, "timeout", "a server behind \"%s\": %s", name, reason);
        return;
    }
    pillion_count(pillion_self(req), METRIC_FAILED, 1);
    if (untouched)
        pillion_fail(req, "upstream_unavailable",
                     "a server behind \"%s\": %s; it has not seen the request%s", name, reason,
                     tries_earlier(tries));
    else
        pillion_fail(req, "upstream_unavailable",
                     "a server behind \"%s\": %s; it may have carried the request out or not%s",
                     name, reason,
                     tries->barred ? "; many requests have been sent again (retry_budget)" : "");
}

/* A JSON string as a C string, in the request's memory; NULL when it is no string, or holds a NUL
 * or half of a surrogate pair. */
static inline const char *tries_text(pillion_request *req, pillion_bytes json)
{
    if (json.data == NULL || json.data[0] != '"')
        return NULL;
    char *text = pillion_alloc(req, json.size);
    long size = text == NULL ? -1 : pillion_json_string(json, text, json.size);
    return size < 0 || strlen(text) != (size_t)size ? NULL : text;
}

/* The server has answered with an error, which is Pillion's own: hands it on. A request that is
 * idempotent is sent to another server instead, if one `other` can be asked, when this one says
 * that it has too much to do. */
static inline void tries_error(pillion_request *req, struct tries *tries, const char *code,
                               pillion_bytes result, bool other)
{
    if (code != NULL && strcmp(code, PILLION_OVERLOADED) == 0 && other &&
        tries_may_repeat(req, tries)) {
        tries->seen = true;
        tries_again(req, tries);
        return;
    }
    pillion_fail_raw(req, code != NULL ? code : "upstream_error", result);
}

#endif
