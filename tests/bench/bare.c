/* The bare server's loop: see bare.h. A connection has no memory of its own until a frame comes in
 * parts; from then on it receives into a buffer that holds the largest frame. */
#include "bare.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 65536
#define EVENTS    256
#define BACKLOG   4096

/* A frame in parts, by descriptor. */
struct peer {
    char *buffer;
    size_t size;
};

static struct peer peers[PEERS_MAX];
static char shared[RECEIVE_SIZE];

void bare_send(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void peer_close(int fd)
{
    free(peers[fd].buffer);
    peers[fd] = (struct peer){0};
    close(fd);
}

/* How many of the bytes belong to whole frames; SIZE_MAX when a frame is too large. */
static size_t whole_frames(const char *data, size_t size)
{
    size_t whole = 0;

    while (size - whole >= FRAME_HEADER) {
        size_t length = frame_length(data + whole);
        if (length > BODY_MAX)
            return SIZE_MAX;
        if (size - whole - FRAME_HEADER < length)
            break;
        whole += FRAME_HEADER + length;
    }
    return whole;
}

/* Keeps the bytes that are not answered yet for the next event. */
static bool peer_keep(struct peer *peer, const char *rest, size_t size)
{
    if (size > 0 && peer->buffer == NULL) {
        peer->buffer = malloc(FRAME_HEADER + BODY_MAX);
        if (peer->buffer == NULL)
            return false;
    }
    if (size > 0 && rest != peer->buffer)
        memmove(peer->buffer, rest, size);
    peer->size = size;
    return true;
}

static void peer_receive(int fd, bare_answer *answer)
{
    struct peer *peer = &peers[fd];
    char *buffer = peer->buffer == NULL ? shared : peer->buffer;
    size_t room = peer->buffer == NULL ? sizeof(shared) : FRAME_HEADER + BODY_MAX;

    ssize_t received = recv(fd, buffer + peer->size, room - peer->size, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received <= 0) {
        peer_close(fd);
        return;
    }
    size_t size = peer->size + (size_t)received, whole = whole_frames(buffer, size);
    if (whole == SIZE_MAX) {
        peer_close(fd);
        return;
    }
    if (whole > 0)
        answer(fd, buffer, whole);
    if (!peer_keep(peer, buffer + whole, size - whole))
        peer_close(fd);
}

static void peers_accept(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (fd >= PEERS_MAX || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            close(fd);
    }
}

static int listener_open(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0) {
        fprintf(stderr, "cannot listen on port %s: %s\n", port, strerror(errno));
        return -1;
    }
    return fd;
}

int bare_serve(int argc, char **argv, bare_answer *answer)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return EXIT_FAILURE;
    }
    int listener = listener_open(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    if (listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events) != 0)
        return EXIT_FAILURE;
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            return EXIT_FAILURE;
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                peers_accept(epoll, listener);
            else
                peer_receive(events[i].data.fd, answer);
        }
    }
}
