/* A connection to an upstream: requests go out over it, and it tells its owner how the
 * server does. */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <sys/socket.h>

#include "settings.h"
#include "trip.h"

struct link;
struct link_owner;

/* What a link tells its owner. */
struct link_events {
    /* The server has taken the connection; it has answered a request. */
    void (*connected)(struct link_owner *owner);
    void (*answered)(struct link_owner *owner);
    /* So many requests had no answer in time. May call link_break. */
    void (*overdue)(struct link_owner *owner, unsigned count);
    /* The link broke. `lasting`: that is the server's state, and not only this link's. */
    void (*broken)(struct link_owner *owner, const char *reason, bool lasting);
    /* An extra link has ended: frees it. */
    void (*spent)(struct link_owner *owner, struct link *link);
};

/* The server that several links lead to; it outlives them. */
struct link_owner {
    pillion_instance *self;
    const struct settings *settings;
    const struct link_events *events;
    struct sockaddr_storage place;
    socklen_t place_size;
    size_t pending; /* replies to come, on all its links */
};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_READY };

/* An extra link stands in for links that are held up, and ends when it is of no use any more. */
struct link *link_new(struct link_owner *owner, bool extra);
void link_free(struct link *link);
enum link_state link_state(const struct link *link);
size_t link_pending(const struct link *link);
struct link_owner *link_owner(const struct link *link);
bool link_has_room(const struct link *link);
bool link_is_extra(const struct link *link);

/* True when a request that is sent over the link now may have to wait for a slow one. */
bool link_held_up(const struct link *link);

/* Defers the request of this trip and queues it; it is sent with all others of this batch. False
 * when memory ran out; then nothing was done. A request that cannot be deferred is answered instead
 * of sent. */
bool link_send(struct link *link, pillion_request *req, struct trip *trip);

/* Closes the link; its requests go to other upstreams, or are answered. It is opened again after a
 * while, at least `pause_ms`. */
void link_break(struct link *link, const char *reason, uint64_t pause_ms);

#endif
