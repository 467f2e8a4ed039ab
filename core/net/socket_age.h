/* The age of sockets, for `max_connection_age`: how long ago the client was accepted, whichever
 * worker has its connection by now.
 *
 * The kernel keeps the time with the socket, so that it outlasts every worker, and needs no room in
 * the arena: sockets are inodes, whose times nothing else reads or changes, and which all
 * descriptors of a socket share. The time of modification is CLOCK_MONOTONIC's when the client came
 * (futimens(3)). The time of access is the connection's id: the kernel does not clear an inode that
 * it uses again, and another socket's times are to be told from this one's. */
#ifndef PILLION_NET_SOCKET_AGE_H
#define PILLION_NET_SOCKET_AGE_H

#include <stdint.h>

/* The client of the connection `id` comes at `now`. */
void socket_age_begin(int fd, uint64_t id, uint64_t now);

/* When it came; `now`, from when on its age counts then, if its socket does not tell: the
 * generation before had no limit. */
uint64_t socket_age_since(int fd, uint64_t id, uint64_t now);

/* How old the connection may get: up to a tenth less or more than `max_ns`, always the same for an
 * id, so that clients that came at once do not come again at once. */
uint64_t socket_age_limit(uint64_t id, uint64_t max_ns);

#endif
