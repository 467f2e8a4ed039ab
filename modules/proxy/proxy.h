/* The proxy module's parts: proxy.c (directives, and requests from and to clients), upstream.c (the
 * servers behind, and the choice among them) and link.c (a connection to one of them). */
#ifndef PROXY_H
#define PROXY_H

#include <netinet/in.h>
#include <pillion/module.h>
#include <sys/un.h>

#include "../clock.h"

/* The block of load_module. */
struct settings {
    pillion_list upstreams;
    int64_t connections, extra_connections;
    int64_t max_inflight;
    uint64_t timeout_ms, try_timeout_ms;
    int64_t retries;
    int64_t max_fails;
    uint64_t fail_timeout_ms;
    int64_t max_pending;
    uint64_t max_frame, max_reply;
};

/* The rows of the table of metrics. */
enum metric { METRIC_SENT, METRIC_RETRIED, METRIC_FAILED, METRIC_OVERDUE, METRIC_CONNECTED };

/* A request on its way to upstreams. It is in the request's memory, so it is valid whenever
 * pillion_resume gives the request. */
struct trip {
    struct group *group;
    struct upstream *last; /* the upstream that was asked last, or NULL */
    pillion_bytes frame;   /* the part that follows the id */
    uint64_t deadline_ms;
    uint64_t try_ms; /* how long one upstream may take */
    unsigned tries_left;
    bool idempotent;
    bool seen; /* an upstream that was asked may have carried the request out */
};

/* Sends the request to the best upstream and defers it, or answers it. */
void trip_send(pillion_request *req, struct trip *trip);

/* The upstream has not answered and will not: sends the request to another one, or answers it.
 * `untouched`: the upstream cannot have seen it. */
void trip_failed(pillion_request *req, struct trip *trip, bool untouched, const char *reason);

/* The members of an upstream's reply, as JSON text; {NULL, 0} for a missing one. */
struct reply {
    pillion_bytes out, result, id;
};

/* Answers the request with the reply, which has a result and a string as `out`. */
void trip_reply(pillion_request *req, struct trip *trip, const struct reply *reply);

/* ---- upstream.c ---- */

struct proxy {
    pillion_instance *self;
    const struct settings *settings;
    struct upstream *upstreams; /* each once, even if it is in several groups */
    struct group *groups;
};

struct upstream {
    struct proxy *proxy;
    const char *address; /* as it is in the configuration */
    struct sockaddr_storage place;
    socklen_t place_size;
    size_t pending;   /* replies to come, on all its links */
    unsigned fails;   /* requests in a row that had no answer in time */
    bool out;         /* its links are being broken: it gets no request */
    bool trial;       /* it was left out: it gets one request at a time until one is answered */
    char reason[256]; /* why it cannot be reached; "" while it can */
    uint64_t complained_ms;
    struct upstream *next;
    struct link **links; /* settings->connections permanent ones, then the extra ones */
    int64_t count;
};

/* Upstreams that can stand in for each other. */
struct group {
    struct group *next;
    size_t count, turn;
    struct upstream *members[];
};

struct proxy *proxy_open(pillion_instance *self, const struct settings *settings,
                         pillion_error_text *error);
void proxy_close(struct proxy *proxy);

/* Checks a list of addresses. Returns 0, or as pillion_error. */
int upstreams_check(const pillion_list *addresses, pillion_error_text *error);

/* Finds the group of these addresses, or makes it. NULL with the reason. */
struct group *group_open(struct proxy *proxy, const pillion_list *addresses,
                         pillion_error_text *error);

/* Chooses the connection with the fewest replies to come, of the upstream with the fewest. If it
 * can, it takes another upstream than `last`, and a link that is not held up; if all are held up,
 * it opens an extra link. NULL when no link takes a request: then `*reason` says why, and `*full`
 * is set when that is only because they have too many replies to come. */
struct link *group_choose(struct group *group, const struct upstream *last, const char **reason,
                          bool *full);

/* True when another upstream than `last` is connected and has room. */
bool group_has_other(const struct group *group, const struct upstream *last);

/* Called by links: their upstream has answered, was connected to, was late with `count` requests,
 * or was lost. */
void upstream_answered(struct upstream *upstream);
void upstream_connected(struct upstream *upstream);
void upstream_overdue(struct upstream *upstream, unsigned count);
void upstream_lost(struct upstream *upstream, const char *reason);

/* Ends an extra link. */
void upstream_drop(struct upstream *upstream, struct link *link);

/* Logs something that does not change the upstream's state, at most once a second. */
void upstream_complain(struct upstream *upstream, const char *what);

/* ---- link.c ---- */

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_READY };

struct link *link_new(struct upstream *upstream, bool extra);
void link_free(struct link *link);
enum link_state link_state(const struct link *link);
size_t link_pending(const struct link *link);
struct upstream *link_upstream(const struct link *link);
bool link_has_room(const struct link *link);
bool link_is_extra(const struct link *link);

/* True when a request that is sent over the link now may have to wait for a slow one. */
bool link_held_up(const struct link *link);

/* Defers the request and queues it; it is sent with all others of this batch. False when memory ran
 * out; then nothing was done. A request that cannot be deferred is answered instead of sent. */
bool link_send(struct link *link, pillion_request *req, struct trip *trip);

/* Closes the link; its requests go to other upstreams, or are answered. It is opened again after a
 * while, at least `pause_ms`. */
void link_break(struct link *link, const char *reason, uint64_t pause_ms);

#endif
