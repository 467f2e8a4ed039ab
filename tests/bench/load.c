/* The bare client: a closed loop that sends the same request over and over, as fast as one core
 * can. Each connection has a batch of requests in flight, and sends the next batch when every reply
 * of the last one is there. Its counterpart for users is `pillion bench`.
 *
 *     load PORT CONNECTIONS IN_FLIGHT SECONDS [OPTION VALUE]...
 *         --request JSON       the body of each frame (a ping of about 40 bytes)
 *         --body BYTES         a ping whose params are a string, the whole body BYTES long
 *         --raw-request TEXT   bytes instead of a frame; needs --reply-size
 *         --reply-size BYTES   of one reply to them
 *         --connect yes        each connection is closed after one batch, and made anew
 *         --warm-up SECONDS    before the measurement begins (0.2)
 *         --cpu-of PID,PID...  whose CPU time is measured too
 *
 * Prints one line of JSON: requests, seconds, microseconds of a batch, the servers' nanoseconds of
 * CPU. Every frame that comes back must be as long as the first one, which must not be an error.
 * Knows nothing of Pillion. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS       256
#define RECEIVE_SIZE (1u << 20)
#define WAIT_MS      5000 /* a server that is silent for so long has failed */

/* Connections come from many addresses of the loopback net: one alone has too few ports when each
 * is used once and then rests in TIME_WAIT for a minute. */
#define SOURCES 200u

/* One connection: how much of its batch is sent, and which replies are there. */
struct lane {
    int fd;
    bool waits_to_send;
    size_t sent;
    unsigned replies;     /* of this batch */
    unsigned header_size; /* bytes of the next reply's header that are there */
    unsigned char header[FRAME_HEADER];
    size_t missing; /* bytes of a reply that has begun */
    uint64_t began_ns;
};

static struct plan plan;
static struct result result;
static int epoll;
static char received[RECEIVE_SIZE];

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void load_fail(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(EXIT_FAILURE);
}

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
    /* Over loopback the handshake is done when connect(2) returns: nothing is waited for. */
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

/* Sends what is left of the batch, as much as goes. */
static void lane_send(struct lane *lane)
{
    while (lane->sent < plan.batch_size) {
        ssize_t sent = send(lane->fd, plan.batch + lane->sent, plan.batch_size - lane->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            lane->sent += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            load_fail("cannot send");
    }
    bool waits = lane->sent < plan.batch_size;
    if (waits != lane->waits_to_send)
        lane_watch(lane, EPOLL_CTL_MOD, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    lane->waits_to_send = waits;
}

static void lane_begin(struct lane *lane, uint64_t now)
{
    lane->sent = 0;
    lane->replies = 0;
    lane->began_ns = now;
    lane_send(lane);
}

static void lane_open(struct lane *lane)
{
    *lane = (struct lane){.fd = lane_connect()};
    lane_watch(lane, EPOLL_CTL_ADD, EPOLLIN);
}

/* The beginning of a reply: how many bytes follow. */
static size_t reply_length(const void *header)
{
    uint32_t length;

    memcpy(&length, header, sizeof(length));
    if (length + FRAME_HEADER != plan.reply_size)
        load_fail("a reply is not as long as the first one");
    return length;
}

/* The bytes of `data` that end replies are counted; the rest of the last one is remembered. */
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

/* Replies without a length in front of them. `missing` counts up here. */
static void lane_count_raw(struct lane *lane, size_t size)
{
    lane->missing += size;
    lane->replies += (unsigned)(lane->missing / plan.reply_size);
    lane->missing %= plan.reply_size;
}

static void lane_receive(struct lane *lane)
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
    if (lane->replies < plan.in_flight)
        return;
    if (lane->replies > plan.in_flight)
        load_fail("there are more replies than requests");

    uint64_t now = clock_ns();
    result.requests += plan.in_flight;
    latency_add(&result, now - lane->began_ns);
    if (plan.reconnects) {
        close(lane->fd);
        lane_open(lane);
        now = clock_ns();
    }
    lane_begin(lane, now);
}

/* One request before all others: what a reply looks like. */
static void first_call(void)
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
            plan.reply_size = FRAME_HEADER + *(uint32_t *)(void *)received;
            whole = plan.reply_size;
        }
    }
    close(fd);
    received[size] = '\0';
    errno = 0;
    if (plan.framed && strstr(received + FRAME_HEADER, "\"out\":\"error\"") != NULL)
        load_fail(received + FRAME_HEADER);
}

/* The loop, until `end`. */
static void run_until(uint64_t end)
{
    struct epoll_event events[EVENTS];

    do {
        int count = epoll_wait(epoll, events, EVENTS, WAIT_MS);
        if (count == 0) {
            errno = 0;
            load_fail("the server has not answered for 5 seconds");
        }
        for (int i = 0; i < count; i++) {
            if (events[i].events & EPOLLOUT)
                lane_send(events[i].data.ptr);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                lane_receive(events[i].data.ptr);
        }
    } while (clock_ns() < end);
}

int main(int argc, char **argv)
{
    plan_read(&plan, argc, argv);
    struct lane *lanes = calloc(plan.connections, sizeof(*lanes));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lanes == NULL || epoll < 0)
        load_fail("cannot begin");
    first_call();
    for (unsigned i = 0; i < plan.connections; i++)
        lane_open(&lanes[i]);
    for (unsigned i = 0; i < plan.connections; i++)
        lane_begin(&lanes[i], clock_ns());

    run_until(clock_ns() + plan.warm_up_ns);
    uint64_t cpu = cpu_of(plan.cpu_of), start = clock_ns();
    result = (struct result){0};
    run_until(start + plan.measured_ns);
    result.elapsed_ns = clock_ns() - start;
    result.server_cpu_ns = cpu_of(plan.cpu_of) - cpu;
    result_print(&result);
    return EXIT_SUCCESS;
}
