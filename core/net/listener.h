/* Listening sockets. The master binds them before it forks and keeps them open for its whole life;
 * workers inherit them and accept.
 *
 * A reload keeps every listener whose address stays, so that no client in its queue is lost. With
 * `reuseport` a listener has a socket for each worker slot. Sockets are only ever added, because
 * closing one of several resets the clients in its queue. Sockets that a reload adds begin to
 * listen at its commit: before it no worker accepts from them. */
#ifndef PILLION_NET_LISTENER_H
#define PILLION_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/own_file.h"
#include "conf/settings.h"
#include "net/address.h"

struct listener {
    struct address address;
    uint32_t id; /* unique in the life of a master: connection records name it */
    int backlog;
    bool reuseport;     /* as committed: it has a socket for each slot */
    bool reuseport_set; /* SO_REUSEPORT is set on the sockets; before `reuseport`, until a commit */
    int *fds;
    uint32_t count;      /* of fds: 1, or the highest number of slots so far under reuseport */
    uint32_t listening;  /* how many of them listen; the others wait for the commit */
    struct file_id file; /* of a Unix socket: the file that it was bound to */
    bool lost;           /* it cannot be mended, which was logged */
    bool passed;         /* the server was started with it (net/passed.h), file and all */
    bool hands_over;     /* it had `ssl` once: it has a queue from the gate to the workers */
    int handoff[2];      /* that queue (net/handoff.h) */
    bool handoff_lost;   /* it was shut down, which was logged */
    uint32_t users;      /* generations that use it */
    struct listener *next;
};

/* All listeners of a master. Starts as `{0}`. */
struct listeners {
    struct listener *first;
    uint32_t last_id;
};

/* The newest listener of this address, or NULL. */
struct listener *listener_find(const struct listeners *listeners, const struct address *address);

/* True while clients that connect to the address reach this listener, or would if it were mended:
 * false when a Unix socket's file was removed or replaced, and when the socket was shut down, after
 * which a Unix socket never listens again. */
bool listener_is_reached(const struct listener *listener);

/* True when this listening socket was shut down, in whatever process. */
bool listener_is_shut_down(int fd);

/* Binds a new listener, with `slots` sockets under reuseport, and adds it. The file of a Unix
 * socket on which no process listens any more is replaced. NULL with the reason. */
struct listener *listener_open(struct listeners *listeners, const struct address *address,
                               const struct listen_settings *settings, uint32_t slots,
                               struct error *error);

/* For a reload: binds the sockets that the listener lacks for this many slots. */
bool listener_prepare(struct listener *listener, bool reuseport, uint32_t slots,
                      struct error *error);

/* For an address with `ssl`: makes the queue from the gate to the workers, if there is none yet or
 * a module has shut it down. */
bool listener_hand_over(struct listener *listener, struct error *error);

/* Undoes what a module has done to the sockets in a worker: a port that was shut down listens
 * again, and a socket that blocks does not. Each is logged. False, with the reason, when that is
 * not possible. */
bool listener_mend(struct listener *listener, struct error *error);

/* Mends every listener; one that cannot be mended is logged, once. */
void listeners_mend(struct listeners *listeners);

/* The reload commits: the prepared sockets listen, and all are as the settings say. Or it fails:
 * the prepared sockets are closed. */
bool listener_commit(struct listener *listener, const struct listen_settings *settings,
                     struct error *error);
void listener_revert(struct listener *listener);

/* For a port that no configuration has any more, before listener_close: its sockets listen no more
 * in any process. One that hangs, and so does not close them, keeps nobody from listening there
 * (SO_REUSEADDR is set on them, and that is enough for sockets that do not listen: socket(7)). A
 * socket that the server was started with is its starter's. */
void listener_retire(const struct listener *listener);

/* True when that was done to this socket: no module has. */
bool listener_is_retired(int fd);

/* Closes and frees the listener. With `unlink_path`, a Unix socket's file is removed, if it is
 * still the one that the listener was bound to. */
void listener_close(struct listeners *listeners, struct listener *listener, bool unlink_path);

#endif
