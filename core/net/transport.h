/* How bytes move between a connection's descriptor and its client: the one place of net/ and of the
 * adopter that knows it.
 *
 * A row of `transports` receives, sends and counts. Neither receive nor send waits, and no signal
 * is raised; both return what recv(2) and send(2) do, with errno set. The counts are of the bytes
 * that have passed through the two, for an adopter whose record may lack the last call. So whatever
 * a transport does with bytes, each must be counted somewhere that outlives the worker: a plain
 * socket is counted by the kernel.
 *
 * Rows are only ever appended. */
#ifndef PILLION_NET_TRANSPORT_H
#define PILLION_NET_TRANSPORT_H

#include <sys/socket.h>
#include <sys/types.h>

#include "net/stream_count.h"

struct transport {
    const char *name;
    ssize_t (*receive)(int fd, void *to, size_t room);
    ssize_t (*send)(int fd, const void *from, size_t size);
    enum stream_status (*count)(int fd, struct stream_count *count);
    bool (*at_rest)(int fd, uint64_t received, uint64_t sent); /* see stream_at_rest */
};

/* ---- Plain: bytes are what the socket carries ---- */

static inline ssize_t plain_receive(int fd, void *to, size_t room)
{
    return recv(fd, to, room, MSG_DONTWAIT);
}

static inline ssize_t plain_send(int fd, const void *from, size_t size)
{
    return send(fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum { TRANSPORT_PLAIN };

static const struct transport transports[] = {
    [TRANSPORT_PLAIN] = {"plain", plain_receive, plain_send, stream_count, stream_at_rest},
};

#define TRANSPORTS (sizeof(transports) / sizeof(*transports))

/* While there is only one row, the compiler knows it whatever the index, so that the choice costs a
 * connection nothing. */
static inline const struct transport *transport_of(unsigned index)
{
    return &transports[TRANSPORTS == 1 ? 0 : index];
}

#endif
