/* The way of connections from the gate to the workers: a queue of sockets, which stands for a
 * listener's queue where the listener has `ssl`. The gate puts each connection in once its
 * handshake is done, and some worker takes it, as it would accept it.
 *
 * The queue is a socket pair of the master's (AF_UNIX, SOCK_SEQPACKET, unix(7)), so what is in it
 * outlives gates and workers. */
#ifndef PILLION_NET_HANDOFF_H
#define PILLION_NET_HANDOFF_H

#include <stdbool.h>

#include "base/error.h"

enum { HANDOFF_OUT, HANDOFF_IN }; /* the workers' end, and the gate's */

/* Makes a queue: both ends close-on-exec and non-blocking. */
bool handoff_open(int ends[2], struct error *error);

/* Puts a socket into the queue. It stays the caller's, who closes it. False with errno: EAGAIN or
 * ETOOMANYREFS when the workers do not keep up, EPIPE when a module has shut the queue down. */
bool handoff_put(int in, int fd);

/* Takes a socket out: close-on-exec, the caller's. -1 with errno: EAGAIN when there is none;
 * ECONNABORTED for one that is lost because this process has no descriptor for it; EINVAL when a
 * module has shut the queue down, as accept(2) says it of a port. */
int handoff_take(int out);

#endif
