/* How far a socket's two streams have come, by the kernel's own count.
 *
 * A worker that is killed between recv(2) or send(2) and the record's update leaves a record that
 * is behind by one call. The kernel has kept count of both streams, so whoever adopts the
 * connection can tell by how much. */
#ifndef PILLION_NET_STREAM_COUNT_H
#define PILLION_NET_STREAM_COUNT_H

#include <stdbool.h>
#include <stdint.h>

struct stream_count {
    uint64_t received; /* bytes that were read from the socket */
    uint64_t sent;     /* bytes that were written to it */
};

enum stream_status {
    STREAM_COUNTED,
    STREAM_UNKNOWN, /* no such count is kept (Unix sockets) */
    STREAM_DEAD     /* the connection is over */
};

enum stream_status stream_count(int fd, struct stream_count *count);

/* One system call instead of four: true when the kernel has received and delivered just this many
 * bytes, so that nothing waits in either direction. What was sent and is not acknowledged yet is
 * not seen: not for a socket whose record may be behind. */
bool stream_at_rest(int fd, uint64_t received, uint64_t sent);

#endif
