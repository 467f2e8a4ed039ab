/* How far a socket's two streams have come, by the kernel's own count.
 *
 * A worker that is killed between recv(2) or send(2) and the record's update leaves a record that
 * lacks one call. The kernel counts both streams, so the adopter can tell how many bytes it lacks.
 */
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

/* True when the client has sent exactly `received` bytes and has acknowledged exactly `sent`: the
 * socket's buffers are empty in both directions, and stream_count has nothing to correct. One
 * system call instead of four. Bytes that were sent and are not acknowledged yet are not noticed,
 * so it is not for a socket whose record may lack a call. */
bool stream_at_rest(int fd, uint64_t received, uint64_t sent);

#endif
