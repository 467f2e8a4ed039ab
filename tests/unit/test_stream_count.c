/* What the kernel's count of a socket's streams says: see core/net/stream_count.h. The accepted
 * side of a TCP connection is counted, as in a server; segments need a moment, so each figure is
 * waited for. */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "must.h"
#include "net/stream_count.h"
#include "sockets.h"

static int server, client;

static void connect_pair(void)
{
    int fds[2];
    tcp_pair(fds);
    server = fds[0];
    client = fds[1];
    set_nonblocking(client);
    set_nonblocking(server);
}

static void close_pair(void)
{
    close(server);
    close(client);
}

static struct stream_count counted(void)
{
    struct stream_count count = {0};
    ck_assert_int_eq(stream_count(server, &count), STREAM_COUNTED);
    return count;
}

static void expect(uint64_t received, uint64_t sent)
{
    struct stream_count count = counted();
    ck_assert_uint_eq(count.received, received);
    ck_assert_uint_eq(count.sent, sent);
}

/* Until the other side's end of file, or so many bytes, have come. */
static void await_bytes(int fd, int bytes)
{
    uint64_t deadline = clock_ns() + 10 * NS_PER_S;
    int there = 0;

    do {
        must(clock_ns() < deadline);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        poll(&readable, 1, 10);
        must(ioctl(fd, FIONREAD, &there) == 0);
    } while (there < bytes);
}

static void await_end(int fd)
{
    struct pollfd over = {.fd = fd, .events = POLLRDHUP};
    ck_assert_int_eq(poll(&over, 1, 10000), 1);
    ck_assert_int_ne(over.revents & POLLRDHUP, 0);
}

static char bytes[1 << 16];

static void transfer(int from, int to, size_t size)
{
    ck_assert_int_eq(send(from, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    for (size_t got = 0; got < size;) {
        await_bytes(to, 1);
        ssize_t more = recv(to, bytes, size - got, 0);
        ck_assert_int_gt(more, 0);
        got += (size_t)more;
    }
}

START_TEST(count_of_a_fresh_connection_is_zero)
{
    connect_pair();
    expect(0, 0);
    close_pair();
}
END_TEST

START_TEST(count_received_is_of_bytes_read_not_of_bytes_arrived)
{
    connect_pair();
    ck_assert_int_eq(send(client, bytes, 1000, 0), 1000);
    await_bytes(server, 1000);
    expect(0, 0);
    for (unsigned read = 100; read <= 1000; read += 100) {
        ck_assert_int_eq(recv(server, bytes, 100, 0), 100);
        expect(read, 0);
    }
    ck_assert_int_eq(recv(server, bytes, 100, MSG_PEEK), -1);
    expect(1000, 0);
    close_pair();
}
END_TEST

START_TEST(count_sent_is_of_bytes_written_not_of_bytes_delivered)
{
    uint64_t sent = 0;

    connect_pair();
    for (;;) {
        ssize_t put = send(server, bytes, sizeof(bytes), MSG_NOSIGNAL);
        if (put < 0)
            break;
        sent += (uint64_t)put;
        expect(0, sent); /* on its way, acknowledged or not yet sent at all */
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_gt(sent, sizeof(bytes));
    for (uint64_t got = 0; got < sent;) {
        await_bytes(client, 1);
        ssize_t more = recv(client, bytes, sizeof(bytes), 0);
        ck_assert_int_gt(more, 0);
        got += (uint64_t)more;
        expect(0, sent);
    }
    close_pair();
}
END_TEST

START_TEST(count_goes_on_over_many_exchanges)
{
    uint64_t received = 0, sent = 0;

    connect_pair();
    for (unsigned i = 0; i < 300; i++) {
        size_t request = 1 + random_below(20000), reply = 1 + random_below(20000);
        transfer(client, server, request);
        received += request;
        expect(received, sent);
        transfer(server, client, reply);
        sent += reply;
        expect(received, sent);
    }
    close_pair();
}
END_TEST

START_TEST(count_leaves_out_a_received_end)
{
    connect_pair();
    ck_assert_int_eq(send(client, bytes, 10, 0), 10);
    ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
    await_end(server);
    expect(0, 0);
    ck_assert_int_eq(recv(server, bytes, 4, 0), 4);
    expect(4, 0);
    ck_assert_int_eq(recv(server, bytes, 100, 0), 6);
    expect(10, 0);
    ck_assert_int_eq(recv(server, bytes, 100, 0), 0);
    expect(10, 0);
    transfer(server, client, 7); /* half closed: the reply still goes out */
    expect(10, 7);
    close_pair();
}
END_TEST

START_TEST(count_leaves_out_a_sent_end)
{
    connect_pair();
    transfer(client, server, 3);
    ck_assert_int_eq(send(server, bytes, 5, 0), 5);
    ck_assert_int_eq(shutdown(server, SHUT_WR), 0);
    expect(3, 5);
    await_end(client);
    expect(3, 5);
    transfer(client, server, 11);
    expect(14, 5);
    /* The end itself is acknowledged after a while. */
    uint64_t deadline = clock_ns() + 10 * NS_PER_S;
    int unacknowledged = 1;
    while (unacknowledged > 0) {
        must(clock_ns() < deadline);
        must(ioctl(server, TIOCOUTQ, &unacknowledged) == 0);
    }
    expect(14, 5);
    close_pair();
}
END_TEST

START_TEST(count_leaves_out_an_end_that_waits_behind_bytes)
{
    uint64_t sent = 0;
    ssize_t put;

    connect_pair();
    while ((put = send(server, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0)
        sent += (uint64_t)put;
    ck_assert_int_eq(shutdown(server, SHUT_WR), 0);
    expect(0, sent);
    close_pair();
}
END_TEST

START_TEST(count_with_both_ends_is_right_until_the_connection_is_over)
{
    uint64_t sent = 0;
    ssize_t put;

    connect_pair();
    transfer(client, server, 9);
    while ((put = send(server, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0)
        sent += (uint64_t)put;
    ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
    await_end(server);
    ck_assert_int_eq(shutdown(server, SHUT_WR), 0); /* unsent bytes hold it back */
    expect(9, sent);
    /* The client reads all: both ends are acknowledged. */
    struct stream_count count;
    uint64_t deadline = clock_ns() + 10 * NS_PER_S;
    enum stream_status status;
    do {
        must(clock_ns() < deadline);
        struct pollfd readable = {.fd = client, .events = POLLIN};
        poll(&readable, 1, 10);
        while (recv(client, bytes, sizeof(bytes), 0) > 0)
            continue;
        status = stream_count(server, &count);
        must(status != STREAM_UNKNOWN);
        must(status == STREAM_DEAD || (count.received == 9 && count.sent == sent));
    } while (status != STREAM_DEAD);
    close_pair();
}
END_TEST

START_TEST(count_of_a_reset_connection_is_none)
{
    struct linger at_once = {.l_onoff = 1};
    struct stream_count count;
    struct pollfd over;

    connect_pair();
    ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(client);
    over = (struct pollfd){.fd = server, .events = POLLIN};
    ck_assert_int_eq(poll(&over, 1, 10000), 1);
    ck_assert_int_eq(stream_count(server, &count), STREAM_DEAD);
    close(server);
}
END_TEST

START_TEST(count_may_be_read_through_a_duplicate)
{
    connect_pair();
    transfer(client, server, 100);
    int duplicate = dup(server);
    close(server);
    server = duplicate;
    expect(100, 0);
    close_pair();
}
END_TEST

START_TEST(count_of_a_socket_other_than_tcp_is_unknown)
{
    struct stream_count count;
    int fds[2];

    unix_pair(fds);
    ck_assert_int_eq(stream_count(fds[0], &count), STREAM_UNKNOWN);
    ck_assert_int_eq(send(fds[1], "x", 1, 0), 1);
    ck_assert_int_eq(stream_count(fds[0], &count), STREAM_UNKNOWN);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(stream_count(fds[0], &count), STREAM_UNKNOWN);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(stream_count(-1, &count), STREAM_UNKNOWN);
}
END_TEST

UNIT_MAIN("stream_count", count_of_a_fresh_connection_is_zero,
          count_received_is_of_bytes_read_not_of_bytes_arrived,
          count_sent_is_of_bytes_written_not_of_bytes_delivered, count_goes_on_over_many_exchanges,
          count_leaves_out_a_received_end, count_leaves_out_a_sent_end,
          count_leaves_out_an_end_that_waits_behind_bytes,
          count_with_both_ends_is_right_until_the_connection_is_over,
          count_of_a_reset_connection_is_none, count_may_be_read_through_a_duplicate,
          count_of_a_socket_other_than_tcp_is_unknown)
