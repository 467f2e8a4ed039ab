/* Accepting, in a worker: from inherited listeners into the arena.
 *
 * Workers share the listeners' queues (EPOLLEXCLUSIVE wakes one or a few of them). Wake-ups are
 * last-in first-out, so one worker would get nearly all; a worker with clearly more connections
 * than the average stops for a moment instead. It also stops while it is out of descriptors or has
 * `worker_connections`, and never spins.
 *
 * A wake-up is owed to the client it came for: nobody else is woken for that client. So a worker
 * takes what it was woken for first and stops then, and after each stop, and when another worker is
 * gone (which may have been woken and have left), it looks whether something was left waiting. */
#ifndef PILLION_NET_ACCEPTOR_H
#define PILLION_NET_ACCEPTOR_H

#include "net/conn.h"

struct acceptor;

/* One inherited listening socket. */
struct accept_socket {
    struct watch watch;
    struct acceptor *acceptor;
    int fd;
    uint32_t listener;
    const struct conn_policy *policy;
    bool ended; /* it does not listen any more, which was logged */
};

struct acceptor {
    struct conns *conns;
    struct accept_socket *sockets;
    uint32_t count;
    struct timer pause;
    bool paused, stopped;
    bool lacks_room; /* paused because there is no room for another connection */
    bool full_logged;

    /* The average number of open connections over all workers that accept, for fairness. May be
     * NULL. */
    uint32_t (*average)(void *context);
    /* How many new connections may be accepted now. 0 while they had better stay in the queue,
     * where they are safe: `soon` tells whether that is for a moment only. Asked before each batch.
     * May be NULL. */
    uint32_t (*room)(void *context, bool *soon);
    /* No descriptor is left (EMFILE). True when that is mended, and accepting can go on. May be
     * NULL. */
    bool (*more_files)(void);
    /* A batch of new connections, to be started (conn_start) now or later. */
    void (*accepted)(void *context, struct conn **batch, uint32_t count);
    void *context;
};

/* Starts to accept from the acceptor's sockets, whose fd, listener and policy are set. */
void acceptor_start(struct acceptor *acceptor);

/* For good: the sockets stay open in the master, nothing in their queues is lost. */
void acceptor_stop(struct acceptor *acceptor);

/* The same, and closes this process's copies: when the last one does, clients are refused. */
void acceptor_close(struct acceptor *acceptor);

/* Takes a few of what waits in the queues without having been woken for it: after another worker
 * left or died. */
void acceptor_look(struct acceptor *acceptor);

/* The number of connections rose otherwise than by accepting: stops when it has reached its limit,
 * before this worker is woken for a client that it cannot take. */
void acceptor_adjust(struct acceptor *acceptor);

/* A connection was closed: goes on accepting when that is what it waited for. */
void acceptor_room(struct acceptor *acceptor);

#endif
