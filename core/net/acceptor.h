/* Accepting, in a worker: from inherited listeners into the arena.
 *
 * Workers share the listeners' queues (EPOLLEXCLUSIVE wakes one or a few of them). Wake-ups are
 * last-in first-out, so one worker would get nearly all connections; a worker with clearly more
 * than the average pauses for a moment instead. It also pauses while it is out of descriptors or
 * has `worker_connections`, and never spins.
 *
 * The kernel wakes no other worker for the client that this one was woken for. So a worker accepts
 * that client first and pauses only then. After each pause it looks whether clients were left
 * waiting; likewise when another worker has left or died, which may have been woken before. */
#ifndef PILLION_NET_ACCEPTOR_H
#define PILLION_NET_ACCEPTOR_H

#include "net/conn.h"
#include "net/farewell.h"

struct acceptor;

/* One inherited listening socket. */
struct accept_socket {
    struct watch watch;
    struct acceptor *acceptor;
    int fd;
    uint32_t listener; /* its id */
    uint8_t protocol;  /* of its connections */
    const struct conn_policy *policy;
    bool handed; /* it is no listening socket but a queue of the gate's (net/handoff.h) */
    bool ended;  /* it does not listen any more, which was logged */
};

struct acceptor {
    struct conns *conns;
    struct accept_socket *sockets;
    uint32_t count;
    struct timer pause;
    bool paused, stopped;
    bool lacks_room; /* paused because there is no room for another connection */
    bool full_logged;
    struct farewells farewells; /* clients that are refused, and told so */

    /* The average number of open connections over all workers that accept, for fairness. May be
     * NULL. */
    uint32_t (*average)(void *context);
    /* How many connections may be accepted now; asked before each batch. 0 while clients are safer
     * in the listener's queue, where no death of a worker hurts them; `soon` becomes true when that
     * is for a moment only. May be NULL. */
    uint32_t (*room)(void *context, bool *soon);
    /* No descriptor is left (EMFILE). True when that is mended, and accepting can go on. May be
     * NULL. */
    bool (*more_files)(void);
    /* Is given a batch of new connections, and starts them (conn_start) now or later. */
    void (*accepted)(void *context, struct conn **batch, uint32_t count);
    void *context;
};

/* Starts to accept from the acceptor's sockets, whose fd, listener and policy are set. */
void acceptor_start(struct acceptor *acceptor);

/* Stops accepting for good. The sockets stay open in the master: no client in their queues is lost.
 */
void acceptor_stop(struct acceptor *acceptor);

/* Stops accepting and closes this process's descriptors of the sockets. When the last process has
 * closed them, clients are refused. */
void acceptor_close(struct acceptor *acceptor);

/* Accepts a few clients for which no worker was woken: after another worker has left or died. */
void acceptor_look(struct acceptor *acceptor);

/* The number of connections rose otherwise than by accepting. Pauses when it has reached the limit,
 * before this worker is woken for a client that it cannot accept. */
void acceptor_adjust(struct acceptor *acceptor);

/* A connection was closed. Accepts again when the acceptor has paused for lack of room. */
void acceptor_room(struct acceptor *acceptor);

#endif
