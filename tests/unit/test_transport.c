/* What every transport promises: see core/net/transport.h. */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "net/transport.h"
#include "sockets.h"

static const struct transport *transport;
static int fds[2];

/* The descriptors wait as a module may leave them: O_NONBLOCK is not set. */
static void open_pair(unsigned index)
{
    transport = transport_of(index);
    tcp_pair(fds);
}

static void close_pair(void)
{
    close(fds[0]);
    close(fds[1]);
}

START_TEST(transport_never_waits)
{
    for (unsigned i = 0; i < TRANSPORTS; i++) {
        char bytes[65536] = {0};

        open_pair(i);
        ck_assert_int_eq(transport->receive(fds[0], bytes, sizeof(bytes)), -1);
        ck_assert_int_eq(errno, EAGAIN);
        while (transport->send(fds[0], bytes, sizeof(bytes)) > 0)
            continue;
        ck_assert_int_eq(errno, EAGAIN);
        close_pair();
    }
}
END_TEST

START_TEST(transport_raises_no_signal_when_the_client_is_gone)
{
    for (unsigned i = 0; i < TRANSPORTS; i++) {
        open_pair(i);
        must(shutdown(fds[0], SHUT_WR) == 0);
        ck_assert_int_eq(transport->send(fds[0], "x", 1), -1);
        ck_assert_int_eq(errno, EPIPE);
        close_pair();
    }
}
END_TEST

START_TEST(transport_counts_the_bytes_that_it_has_moved)
{
    for (unsigned i = 0; i < TRANSPORTS; i++) {
        struct stream_count count = {0};
        char bytes[16];

        open_pair(i);
        must(write(fds[1], "request", 7) == 7);
        struct pollfd readable = {.fd = fds[0], .events = POLLIN};
        must(poll(&readable, 1, 10000) == 1);
        ck_assert_int_eq(transport->receive(fds[0], bytes, 3), 3);
        ck_assert_int_eq(transport->send(fds[0], "reply", 5), 5);
        ck_assert_int_eq(transport->count(fds[0], &count), STREAM_COUNTED);
        ck_assert_uint_eq(count.received, 3);
        ck_assert_uint_eq(count.sent, 5);
        ck_assert(!transport->at_rest(fds[0], 3, 5)); /* four bytes have not been received */
        close_pair();
    }
}
END_TEST

UNIT_MAIN("transport", transport_never_waits, transport_raises_no_signal_when_the_client_is_gone,
          transport_counts_the_bytes_that_it_has_moved)
