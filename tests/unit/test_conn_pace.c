/* What slow clients are given, and when their time is over: see core/net/conn_pace.c. Time passes
 * only as the tests say. */
#include "unit.h"

#include "net/conn_private.h" /* before the fixture's `conns` */

#include "conn_fixture.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#define REPLY 4000000u
#define A_S   100u /* of conn_time */

static struct client a, b;

static bool a_blocks(void)
{
    return a.conn->blocked != 0;
}

static bool a_has_begun(void)
{
    return conn_input(&conns, a.conn).size > 0;
}

static bool nobody_open(void)
{
    return conns.open == 0;
}

static void begin(uint32_t blocks, uint64_t timeout_ns, uint32_t rate)
{
    server_open(4, blocks);
    policy.max_output = 1 << 30;
    policy.send_timeout_ns = policy.receive_timeout_ns = timeout_ns;
    policy.least_rate = rate;
    memset(counters, 0, sizeof(counters));
}

/* A client that has asked for a long reply and does not read; its time begins. */
static void begin_unread(uint32_t blocks, uint32_t rate)
{
    const int small = 16384; /* its kernel does not read in its place */

    begin(blocks, 60 * NS_PER_S, rate);
    client_open(&a, true);
    ck_assert_int_eq(setsockopt(a.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    a.silent = true;
    client_update(&a);
    client_call_big(&a, REPLY);
    client_update(&a);
    run_until(a_blocks);
    ck_assert(conn_pace_sending(&conns, a.conn, 0));
}

static void end(void)
{
    client_close(&a);
    run_until(nobody_open);
    server_close();
}

/* Reads something, and waits until the server's kernel knows. */
static void read_some(void)
{
    static char buffer[1 << 16];
    int before, now;

    ck_assert_int_eq(ioctl(a.conn->watch.fd, SIOCOUTQ, &before), 0);
    do {
        if (recv(a.fd, buffer, sizeof(buffer), 0) < 0)
            ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(ioctl(a.conn->watch.fd, SIOCOUTQ, &now), 0);
    } while (now == before);
}

/* After its last read, what the kernels had under way comes to rest, and then its time is over. */
static void expect_end(void)
{
    for (int i = 0; conn_pace_sending(&conns, a.conn, 61 * A_S); i++)
        ck_assert_int_lt(i, 1000);
    ck_assert_uint_eq(closed_count, 1);
}

START_TEST(a_client_that_does_not_read_has_its_time)
{
    begin_unread(8192, 1000);
    ck_assert(conn_pace_sending(&conns, a.conn, 60 * A_S));
    ck_assert(!conn_pace_sending(&conns, a.conn, 1));
    ck_assert_uint_eq(closed_count, 1);
    ck_assert_uint_eq(counter_read(&counters[COUNT_ENDED_SEND]), 1);
    end();
}
END_TEST

START_TEST(reading_gives_more_time_and_never_more_than_that)
{
    begin_unread(8192, 10);
    for (int i = 0; i < 3; i++) {
        ck_assert(conn_pace_sending(&conns, a.conn, 50 * A_S));
        read_some();
        ck_assert(conn_pace_sending(&conns, a.conn, 0));
        ck_assert_uint_le(conns.sendings[conn_index(&conns, a.conn)].left, 60 * A_S + 1);
    }
    expect_end();
    end();
}
END_TEST

START_TEST(reading_too_slowly_gives_as_good_as_none)
{
    begin_unread(8192, 1 << 30);
    ck_assert(conn_pace_sending(&conns, a.conn, 59 * A_S));
    read_some();
    ck_assert(!conn_pace_sending(&conns, a.conn, 2 * A_S));
    end();
}
END_TEST

START_TEST(without_a_rate_any_byte_gives_the_whole_time)
{
    begin_unread(8192, 0);
    ck_assert(conn_pace_sending(&conns, a.conn, 59 * A_S));
    read_some();
    ck_assert(conn_pace_sending(&conns, a.conn, 59 * A_S));
    ck_assert(conn_pace_sending(&conns, a.conn, 59 * A_S));
    expect_end();
    end();
}
END_TEST

/* More than half of the arena is in use: by this client alone. */
START_TEST(while_room_is_short_a_client_that_does_not_read_has_a_second)
{
    begin_unread(2560, 1000);
    ck_assert(room_is_pressed(&conns.room));
    ck_assert(conn_pace_sending(&conns, a.conn, A_S));
    ck_assert(!conn_pace_sending(&conns, a.conn, 1));
    end();
}
END_TEST

static bool b_is_paused(void)
{
    return b.conn->paused;
}

static bool b_is_answered(void)
{
    return client_content(&b);
}

static bool one_open(void)
{
    return conns.open == 1;
}

static uint32_t b_unsent(void)
{
    const struct conn_cursors *cursors = conn_cursors(&conns, b.conn);
    return cursors->out_end - cursors->out_start;
}

/* What it leaves unread so is a small block's worth of replies; its other requests are answered
 * when room is not short any more, and it reads. */
START_TEST(while_room_is_short_a_client_that_does_not_read_is_answered_little)
{
    begin_unread(2560, 1000);
    policy.max_output = 1 << 20;
    client_open(&b, true);
    b.silent = true;
    for (unsigned i = 0; i < 2000; i++)
        client_call_big(&b, 5000);
    client_update(&b);
    run_until(b_is_paused);
    ck_assert_uint_ge(b_unsent(), 16384);
    ck_assert_uint_lt(b_unsent(), 16384 + 5000);
    client_close(&a);
    run_until(one_open);
    ck_assert(!room_is_pressed(&conns.room));
    b.silent = false;
    client_update(&b);
    run_until(b_is_answered);
    client_close(&b);
    run_until(nobody_open);
    server_close();
}
END_TEST

/* A drop now and then gives little, and the rest of a second is not lost. */
START_TEST(a_message_that_drips_has_its_time)
{
    begin(8192, 10 * NS_PER_S, 1000);
    client_open(&a, true);
    client_begin(&a, 100000, 2000);
    client_update(&a);
    run_until(a_has_begun);
    ck_assert(conn_arrives(&conns, a.conn, 0));
    ck_assert(conn_pace_arrival(&conns, a.conn, 11 * A_S)); /* 2,004 bytes: two seconds more */
    for (int i = 0; i < 4; i++)
        ck_assert(conn_pace_arrival(&conns, a.conn, 20));
    ck_assert(conn_arrives(&conns, a.conn, 0));
    ck_assert(conn_pace_arrival(&conns, a.conn, 10 * A_S));
    ck_assert(!conn_arrives(&conns, a.conn, 0));
    end();
}
END_TEST

UNIT_MAIN("conn_pace", a_client_that_does_not_read_has_its_time,
          reading_gives_more_time_and_never_more_than_that,
          reading_too_slowly_gives_as_good_as_none, without_a_rate_any_byte_gives_the_whole_time,
          while_room_is_short_a_client_that_does_not_read_has_a_second,
          while_room_is_short_a_client_that_does_not_read_is_answered_little,
          a_message_that_drips_has_its_time)
