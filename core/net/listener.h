/* Listening sockets. The master binds them before it forks and owns them for life; workers inherit
 * them and accept.
 *
 * A reload keeps every listener whose address stays, so that no connection in its queue is lost.
 * With `reuseport` a listener has a socket for each worker slot; sockets are only ever added,
 * because closing one of several resets what waits in its queue. Those that a reload adds listen
 * from its commit on: until then nobody would accept from them. */
#ifndef PILLION_NET_LISTENER_H
#define PILLION_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/place.h"
#include "net/address.h"

struct listener {
    struct address address;
    uint32_t id; /* unique in the life of a master: connection records name it */
    int backlog;
    bool reuseport;     /* more sockets may stand beside these */
    bool reuseport_set; /* so it is for the sockets; ahead of `reuseport` until a commit */
    int *fds;
    uint32_t count;       /* 1, or the most slots there have been under reuseport */
    uint32_t listening;   /* of them; the others wait for the commit */
    struct place_id file; /* of a Unix socket, as it was made */
    bool lost;            /* it cannot be mended, which was logged */
    unsigned server; /* index of the server block that it belongs to, in the newest generation */
    uint32_t users;  /* generations that use it */
    struct listener *next;
};

/* All listeners of a master. Starts as `{0}`. */
struct listeners {
    struct listener *first;
    uint32_t last_id;
};

/* The newest listener of this address, or NULL. */
struct listener *listener_find(const struct listeners *listeners, const struct address *address);

/* True while clients of the address reach it, or would if it were mended: false when a Unix
 * socket's file was removed, when another one is in its place, and when the socket was shut down,
 * after which a Unix socket never listens again. */
bool listener_is_reached(const struct listener *listener);

/* True when one of its sockets listens no more, because it was shut down. In any process. */
bool listener_is_shut_down(int fd);

/* Binds a new listener, with `slots` sockets under reuseport, and adds it. A Unix socket's file
 * that nobody listens on any more is replaced. NULL with the reason. */
struct listener *listener_open(struct listeners *listeners, const struct address *address,
                               int backlog, bool reuseport, uint32_t slots, struct error *error);

/* Binds the sockets that more slots, or reuseport where there was none, need. */
bool listener_prepare(struct listener *listener, bool reuseport, uint32_t slots,
                      struct error *error);

/* Undoes what other processes that have the sockets, workers, have done to them by way of a module:
 * a port that was shut down listens again, and sockets that block do not. What is undone is logged.
 * False, with the reason, when that is not possible. */
bool listener_mend(struct listener *listener, struct error *error);

/* Likewise all of them; what is not possible is logged, once. */
void listeners_mend(struct listeners *listeners);

/* What was prepared is put to use, with this backlog, or taken back. */
bool listener_commit(struct listener *listener, int backlog, bool reuseport, struct error *error);
void listener_revert(struct listener *listener);

/* Closes it, removes a Unix socket's file when `unlink_path` and if it is still its own, and frees
 * it. */
void listener_close(struct listeners *listeners, struct listener *listener, bool unlink_path);

#endif
