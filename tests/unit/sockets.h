/* Sockets for unit tests: connected pairs, and free ports outside the range that the system gives
 * out. Loopback only. A function that fails fails the test. */
#ifndef PILLION_TESTS_SOCKETS_H
#define PILLION_TESTS_SOCKETS_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool loopback_bind(int fd, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* A free TCP port, below those that end-to-end tests take, and the system gives to clients. */
static inline uint16_t free_port(void)
{
    static unsigned next;

    for (unsigned tries = 0; tries < 2000; tries++) {
        uint16_t port = (uint16_t)(10000 + ((unsigned)getpid() * 7 + next++) % 2000);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        bool bound = loopback_bind(fd, port);
        close(fd);
        if (bound)
            return port;
    }
    ck_abort_msg("no free port");
    return 0;
}

/* A connected TCP pair: fds[0] is the accepted side, fds[1] the client's. Both block. */
static inline void tcp_pair(int fds[2])
{
    const int on = 1;
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(listener, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    for (unsigned tries = 0; !loopback_bind(listener, free_port()) && tries < 100; tries++)
        continue;
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fds[1], 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&address, size), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
}

static inline void unix_pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

#endif
