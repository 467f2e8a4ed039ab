/* A connection of the bare client: connecting, sending requests, counting replies. It handles parts
 * of frames and partial sends. See load.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define RECEIVE_SIZE (1u << 20)
#define ALIKE        16u /* bytes at the start of every reply: "HTTP/1.1 200 OK\r" */

/* Connections come from many addresses of the loopback net: one alone has too few ports when each
 * is used once and then rests in TIME_WAIT for a minute. */
#define SOURCES 200u

static char received[RECEIVE_SIZE];

int lane_connect(void)
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
    lane->tls = tls_on(lane->fd);
    lane_watch(lane, EPOLL_CTL_ADD, EPOLLIN);
}

void lane_ask(struct lane *lane, uint64_t count)
{
    uint64_t unsent;

    lane->asked += count;
    while ((unsent = lane->asked * plan.request_size - lane->sent) > 0) {
        size_t from = (size_t)(lane->sent % plan.request_size);
        size_t size = plan.batch_size - from < unsent ? plan.batch_size - from : (size_t)unsent;
        ssize_t sent = tls_send(lane->tls, lane->fd, plan.batch + from, size);
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

/* Replies that are as long as the first one. Those that have come in one piece begin and end as it
 * does: the dates between may differ. */
static void lane_count_alike(struct lane *lane, const char *data, size_t size)
{
    size_t checked = plan.reply_size < ALIKE ? plan.reply_size : ALIKE;

    errno = 0;
    for (size_t at = (plan.reply_size - lane->missing) % plan.reply_size;
         at + plan.reply_size <= size; at += plan.reply_size) {
        if (memcmp(data + at, plan.reply, checked) != 0 ||
            data[at + plan.reply_size - 1] != plan.reply[plan.reply_size - 1])
            load_fail("a reply is not like the first one");
    }
    lane->missing += size;
    lane->replies += lane->missing / plan.reply_size;
    lane->missing %= plan.reply_size;
}

/* Receives once; false when there is nothing. */
static bool receive_some(struct lane *lane)
{
    ssize_t size = tls_recv(lane->tls, lane->fd, received, sizeof(received));

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (size <= 0) {
        errno = size == 0 ? 0 : errno;
        load_fail("the server has closed a connection");
    }
    if (plan.wrap == FRAME)
        lane_count_frames(lane, received, (size_t)size);
    else
        lane_count_alike(lane, received, (size_t)size);
    errno = 0;
    if (lane->replies > lane->asked)
        load_fail("there are more replies than requests");
    return true;
}

void lane_receive(struct lane *lane)
{
    /* Records that OpenSSL has read already wake nobody. */
    while (receive_some(lane) && lane->tls != NULL)
        continue;
}

/* The size of the reply that begins with `text`, or 0 while that cannot be told. */
static size_t whole_size(const char *text, size_t size)
{
    static const char length[] = "\r\nContent-Length:";
    const char *end = NULL, *field;
    uint32_t body;

    if (plan.wrap == FRAME && size >= FRAME_HEADER) {
        memcpy(&body, text, sizeof(body));
        return FRAME_HEADER + body;
    }
    if (plan.wrap == LINE && (end = strchr(text, '\n')) != NULL)
        return (size_t)(end + 1 - text);
    if (plan.wrap == HTTP && (end = strstr(text, "\r\n\r\n")) != NULL) {
        field = strcasestr(text, length);
        if (field == NULL || field > end)
            load_fail("the first reply has no Content-Length");
        return (size_t)(end + 4 - text) + strtoul(field + sizeof(length) - 1, NULL, 10);
    }
    return plan.reply_size; /* it is 0 until it is known */
}

/* An error of any protocol. What is raw is not understood. */
static bool is_error(const char *reply)
{
    return plan.wrap != RAW && (strstr(reply, "\"error\"") != NULL ||
                                (plan.wrap == HTTP && strncmp(reply, "HTTP/1.1 200", 12) != 0));
}

void first_call(void)
{
    int fd = lane_connect();
    void *tls = tls_on(fd);
    size_t size = 0;

    for (size_t sent = 0; sent < plan.request_size;) {
        ssize_t part = tls_send(tls, fd, plan.batch + sent, plan.request_size - sent);
        if (part <= 0)
            load_fail("cannot send the first request");
        sent += (size_t)part;
    }
    while (plan.reply_size == 0 || size < plan.reply_size) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ssize_t part = tls_recv(tls, fd, received + size, sizeof(received) - 1 - size);
        if (part < 0 && errno == EAGAIN && poll(&readable, 1, 5000) == 1)
            continue;
        if (part <= 0)
            load_fail("the first request was not answered, or its reply is too long");
        size += (size_t)part;
        received[size] = '\0';
        plan.reply_size = whole_size(received, size);
    }
    tls_off(tls);
    close(fd);
    const size_t header = plan.wrap == FRAME ? FRAME_HEADER : 0;
    errno = 0;
    if (size != plan.reply_size)
        load_fail("the first request has more than one reply");
    if (is_error(received + header))
        load_fail(received + header);
    plan.reply = strdup(received);
}
