/* Listening sockets. The master binds them before it forks and owns them for life; workers inherit
 * them and accept.
 *
 * A reload keeps every listener whose address stays, so that no connection in its queue is lost.
 * With `reuseport` a listener has a socket for each worker slot; sockets are only ever added,
 * because closing one of several resets what waits in its queue. */
#ifndef PILLION_NET_LISTENER_H
#define PILLION_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/address.h"

struct listener {
    struct address address;
    uint32_t id; /* unique in the life of a master: connection records name it */
    int backlog;
    bool reuseport;
    int *fds;
    uint32_t count;  /* 1, or the most slots there have been */
    unsigned server; /* index of the server block that it belongs to, in the newest generation */
    uint32_t users;  /* generations that use it */
    struct listener *next;
};

/* All listeners of a master. Starts as `{0}`. */
struct listeners {
    struct listener *first;
    uint32_t last_id;
};

/* The listener of this address, or NULL. */
struct listener *listener_find(const struct listeners *listeners, const struct address *address);

/* Binds a new listener, with `slots` sockets under reuseport, and adds it. A Unix socket's file
 * that nobody listens on any more is replaced. NULL with the reason. */
struct listener *listener_open(struct listeners *listeners, const struct address *address,
                               int backlog, bool reuseport, uint32_t slots, struct error *error);

/* Applies a changed backlog, and adds the sockets that more slots need. */
bool listener_update(struct listener *listener, int backlog, uint32_t slots, struct error *error);

/* Closes it, removes a Unix socket's file when `unlink_path`, and frees it. */
void listener_close(struct listeners *listeners, struct listener *listener, bool unlink_path);

#endif
