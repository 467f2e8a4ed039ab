/* The bare server: the least that a framed server costs. It has one thread and one epoll set, calls
 * recv(2) once for an event, and answers all whole frames that it got at once.
 *
 * Shared by raw_echo.c and raw_cjson.c, which say how frames are answered. Knows nothing of
 * Pillion. */
#ifndef TESTS_BENCH_BARE_H
#define TESTS_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_HEADER 4u           /* the body's length, little-endian */
#define BODY_MAX     (1u << 20)   /* a connection that asks for more is closed */
#define RECEIVE_SIZE (256u << 10) /* for one recv(2) */

static inline uint32_t frame_length(const char *header)
{
    uint32_t length;

    memcpy(&length, header, sizeof(length));
    return length;
}

/* Answers `size` bytes, one or more whole frames. */
typedef void bare_answer(int fd, char *frames, size_t size);

/* Sends everything; waits for a peer that is slow to read. Data that cannot be sent is dropped: the
 * next recv(2) tells that the peer is gone. */
void bare_send(int fd, const char *data, size_t size);

/* Serves 127.0.0.1:PORT, the first argument, until the process is ended. Returns on errors only. */
int bare_serve(int argc, char **argv, bare_answer *answer);

#endif
