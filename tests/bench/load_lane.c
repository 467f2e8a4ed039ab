/* A connection of the bare client: connecting, sending requests, counting replies. It handles parts
 * of frames and partial sends. See load.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define RECEIVE_SIZE (1u << 20)

/* Connections come from many addresses of the loopback net: one alone has too few ports when each
 * is used once and then rests in TIME_WAIT for a minute. */
#define SOURCES 200u

static char received[RECEIVE_SIZE];

static int lane_connect(void)
{
    static unsigned turn;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn++ % SOURCES)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        load_fail("cannot make a socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        load_fail("cannot bind");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(plan.port);
    /* Over loopback the handshake is done when connect(2) returns, so there is no need to wait. */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        load_fail("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static void lane_watch(struct lane *lane, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = lane};

    if (epoll_ctl(epoll, operation, lane->fd, &event) != 0)
        load_fail("epoll_ctl");
}

void lane_open(struct lane *lane)
{
    *lane = (struct lane){.fd = lane_connect()};
    lane_watch(lane, EPOLL_CTL_ADD, EPOLLIN);
}

void lane_ask(struct lane *lane, uint64_t count)
{
    uint64_t unsent;

    lane->asked += count;
    while ((unsent = lane->asked * plan.request_size - lane->sent) > 0) {
        size_t from = (size_t)(lane->sent % plan.request_size);
        size_t size = plan.batch_size - from < unsent ? plan.batch_size - from : (size_t)unsent;
        ssize_t sent = send(lane->fd, plan.batch + from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            lane->sent += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            load_fail("cannot send");
    }
    if ((unsent > 0) != lane->waits_to_send)
        lane_watch(lane, EPOLL_CTL_MOD, unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    lane->waits_to_send = unsent > 0;
}

/* How many bytes follow the beginning of a reply. */
static size_t reply_length(const void *header)
{
    uint32_t length;

    memcpy(&length, header, sizeof(length));
    errno = 0;
    if (length + FRAME_HEADER != plan.reply_size)
        load_fail("a reply is not as long as the first one");
    return length;
}

static void lane_count_frames(struct lane *lane, const char *data, size_t size)
{
    const char *end = data + size;

    while (data < end) {
        if (lane->missing == 0 && lane->header_size == 0 && end - data >= (ptrdiff_t)FRAME_HEADER) {
            lane->missing = reply_length(data);
            data += FRAME_HEADER;
        } else if (lane->missing == 0) {
            lane->header[lane->header_size++] = (unsigned char)*data++;
            if (lane->header_size < FRAME_HEADER)
                continue;
            lane->header_size = 0;
            lane->missing = reply_length(lane->header);
        }
        size_t part = (size_t)(end - data) < lane->missing ? (size_t)(end - data) : lane->missing;
        data += part;
        lane->missing -= part;
        lane->replies += lane->missing == 0;
    }
}

static void lane_count_raw(struct lane *lane, size_t size)
{
    lane->missing += size;
    lane->replies += lane->missing / plan.reply_size;
    lane->missing %= plan.reply_size;
}

void lane_receive(struct lane *lane)
{
    ssize_t size = recv(lane->fd, received, sizeof(received), MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        errno = size == 0 ? 0 : errno;
        load_fail("the server has closed a connection");
    }
    if (plan.framed)
        lane_count_frames(lane, received, (size_t)size);
    else
        lane_count_raw(lane, (size_t)size);
    errno = 0;
    if (lane->replies > lane->asked)
        load_fail("there are more replies than requests");
}

void first_call(void)
{
    int fd = lane_connect();
    size_t size = 0, whole = plan.framed ? FRAME_HEADER : plan.reply_size;

    for (size_t sent = 0; sent < plan.request_size;) {
        ssize_t part = send(fd, plan.batch + sent, plan.request_size - sent, MSG_NOSIGNAL);
        if (part <= 0)
            load_fail("cannot send the first request");
        sent += (size_t)part;
    }
    while (size < whole) {
        if (whole >= sizeof(received))
            load_fail("the first reply is too long");
        ssize_t part = recv(fd, received + size, whole - size, 0);
        if (part <= 0)
            load_fail("the first request was not answered");
        size += (size_t)part;
        if (plan.framed && size == FRAME_HEADER) {
            uint32_t length;
            memcpy(&length, received, sizeof(length));
            whole = plan.reply_size = FRAME_HEADER + length;
        }
    }
    close(fd);
    received[size] = '\0';
    errno = 0;
    if (plan.framed && strstr(received + FRAME_HEADER, "\"out\":\"error\"") != NULL)
        load_fail(received + FRAME_HEADER);
}
