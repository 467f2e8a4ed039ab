/* A connection to an upstream: requests go out over it, and it tells its owner how the
 * server does. */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <sys/socket.h>

#include "calls.h"
#include "settings.h"

struct link;
struct link_owner;

/* What a link tells its owner. */
struct link_events {
    /* The server has taken the connection; it has answered a request: `failed` says whether by an
     * error that is its own fault and not the client's. */
    void (*connected)(struct link_owner *owner);
    void (*answered)(struct link_owner *owner);
    bool (*failed)(const struct reply *reply);
    /* So many requests had no answer in time. May call link_break. */
    void (*overdue)(struct link_owner *owner, unsigned count);
    /* The link broke. `lasting`: that is the server's state, and not only this link's. */
    void (*broken)(struct link_owner *owner, const char *reason, bool lasting);
    /* TLS with the server has failed in another way than before. */
    void (*faulty)(struct link_owner *owner, const char *why);
    /* A link that is no permanent one has ended: frees it. */
    void (*spent)(struct link_owner *owner, struct link *link);
};

/* The server that several links lead to; it outlives them. */
struct link_owner {
    pillion_instance *self;
    const struct settings *settings;
    const struct link_events *events;
    pillion_tls *tls; /* NULL: plain */
    char host[64];    /* the name by which TLS asks for it */
    char fault[320];  /* what TLS has told last, which the log has */
    struct sockaddr_storage place;
    socklen_t place_size;
    size_t pending; /* replies to come, on all its links */
    bool leaving;   /* the server gets no more requests, and its links are not opened again */
};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_READY };

/* A permanent link is opened at once, and again whenever it breaks. One on demand is opened when it
 * is needed, and ends when it has had no request for `idle_timeout`. An extra link stands in for
 * links that are held up, and ends when it is of no use any more. */
enum link_kind { LINK_PERMANENT, LINK_ON_DEMAND, LINK_EXTRA };

/* NULL without memory. */
struct link *link_new(struct link_owner *owner, enum link_kind kind);
void link_free(struct link *link);

/* Opens a link again that was not, because the server was leaving. */
void link_return(struct link *link);
enum link_state link_state(const struct link *link);
size_t link_pending(const struct link *link);
struct link_owner *link_owner(const struct link *link);
bool link_has_room(const struct link *link);
bool link_is_extra(const struct link *link);

/* True when a request that is sent over the link now may have to wait for a slow one. */
bool link_held_up(const struct link *link);

/* True while requests that are not over yet wait for replies over this link. */
bool link_is_waited_for(const struct link *link);

/* Defers the request of this trip and queues it; it is sent with all others of this batch. False
 * when memory ran out; then nothing was done. A request that cannot be deferred is answered instead
 * of sent. It is counted in `share`. */
bool link_send(struct link *link, pillion_request *req, struct trip *trip,
               struct link_share *share);

/* Closes the link; its requests go to other upstreams, or are answered. It is opened again after a
 * while, at least `pause_ms`. */
void link_break(struct link *link, const char *reason, uint64_t pause_ms);

#endif
