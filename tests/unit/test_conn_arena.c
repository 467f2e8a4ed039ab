/* What connections promise when the arena is full: see core/net/conn.h. No connection is dropped
 * for it. */
#include "conn_fixture.h"

static struct client a, b;

static bool a_waits(void)
{
    return a.conn->waiting != 0;
}

static bool b_waits(void)
{
    return b.conn->waiting != 0;
}

static bool a_content(void)
{
    return client_content(&a);
}

static bool b_content(void)
{
    return client_content(&b);
}

static bool nobody_open(void)
{
    return conns.open == 0;
}

/* Blocks that the test holds in the place of other connections: one of each order. */
static uint32_t taken[BLOCK_ORDERS];

static void take_block(unsigned order)
{
    taken[order] = blocks_take(&conns.room.blocks, order);
    ck_assert_uint_ne(taken[order], BLOCK_NONE);
}

static void give_block(unsigned order)
{
    blocks_give(&conns.room.blocks, taken[order], order);
}

static void ends(void)
{
    client_close(&a);
    client_close(&b);
    run_until(nobody_open);
    server_close();
}

/* ---- A full arena ---- */

START_TEST(arena_full_reading_waits_and_goes_on)
{
    server_open(4, 16);
    counters[COUNT_PAUSED_ARENA] = 0;
    client_open(&a, true);
    client_open(&b, true);
    take_block(4);
    client_call(&a, ECHO, 100);
    client_update(&a);
    run_until(a_waits);
    ck_assert_uint_eq(counter_read(&counters[COUNT_PAUSED_ARENA]), 1);
    ck_assert_uint_eq(conns.room.waiting, 1);
    ck_assert_uint_eq(a.conn->watch.events, 0);
    ck_assert_uint_eq(conn_cursors(&conns, a.conn)->received, 0);
    give_block(4);
    run_until(a_content);
    ck_assert_uint_eq(conns.room.waiting, 0);
    ends();
}
END_TEST

START_TEST(arena_full_a_reply_waits_for_room_and_is_sent_later)
{
    server_open(4, 16);
    client_open(&a, true);
    client_open(&b, true);
    take_block(3);
    take_block(2);
    client_call(&a, ECHO, 100);
    client_call(&a, ECHO, 3);
    client_call_big(&a, 9000);
    client_update(&a);
    run_until(a_waits); /* the request has taken the last block, or part of it */
    ck_assert_uint_eq(a.in.size, 0);
    /* The frame is not consumed before its reply is queued. */
    ck_assert_uint_eq(cursors_consumed(conn_cursors(&conns, a.conn)), 0);
    give_block(3);
    give_block(2);
    run_until(a_content);
    ck_assert(!a.conn->waiting);
    ends();
}
END_TEST

START_TEST(arena_full_a_reply_waits_when_the_client_has_ended)
{
    server_open(4, 16);
    client_open(&a, true);
    client_open(&b, true);
    take_block(3);
    take_block(2);
    client_call(&a, ECHO, 100);
    client_update(&a);
    run_until(a_waits);
    ck_assert_int_eq(shutdown(a.fd, SHUT_WR), 0);
    give_block(3);
    give_block(2);
    run_until(a_content);
    ends();
}
END_TEST

START_TEST(arena_full_last_reply_is_sent_before_the_end)
{
    server_open(4, 16);
    client_open(&a, true);
    client_open(&b, true);
    take_block(3);
    take_block(2);
    client_call(&a, LAST, 100);
    client_update(&a);
    run_until(a_waits);
    give_block(3);
    give_block(2);
    run_until(a_content);
    ck_assert_uint_eq(lingering_count(), 1);
    ends();
}
END_TEST

START_TEST(arena_full_a_waiting_connection_may_leave)
{
    for (unsigned whole = 0; whole < 2; whole++) {
        server_open(4, 16);
        client_open(&a, true);
        client_open(&b, true);
        take_block(3);
        take_block(whole ? 2 : 1);
        if (!whole)
            take_block(2);
        client_call(&a, ECHO, whole ? 100 : 9000); /* one that no block of one unit holds */
        client_update(&a);
        run_until(a_waits);
        ck_assert(whole == (conn_input(&conns, a.conn).size == 4 + 100));
        conn_close(&conns, a.conn);
        ck_assert_uint_eq(conns.room.waiting, 0);
        give_block(3);
        give_block(2);
        if (!whole)
            give_block(1);
        ends();
    }
}
END_TEST

static bool both_sent(void)
{
    return counter_read(&counters[COUNT_BYTES_OUT]) == 208;
}

/* Two requests in one batch, and room for one reply at a time. Nobody watches the clients: that the
 * first reply was sent is all that can wake up the second. */
START_TEST(arena_full_sending_makes_room_without_another_event)
{
    server_open(4, 8);
    client_connect(&a, true);
    client_connect(&b, true);
    client_call(&a, ECHO, 100);
    client_call(&b, ECHO, 100);
    client_write(&a);
    client_write(&b);
    counters[COUNT_BYTES_OUT] = 0;
    run_until_within(both_sent, 5 * NS_PER_S);
    ends();
}
END_TEST

/* In one batch blocks come free, and then another connection asks for more than there is: a
 * connection that has waited since more blocks were in use must not be forgotten. */
static struct watch giver;

static void give_some(struct watch *watch, uint32_t events)
{
    (void)events;
    loop_unwatch(&loop, watch);
    give_block(4);
    give_block(3);
    give_block(2);
}

START_TEST(arena_full_an_earlier_waiter_is_not_forgotten)
{
    int fds[2];

    server_open(4, 64);
    client_open(&a, true);
    client_connect(&b, false);
    for (unsigned order = 0; order < 6; order++)
        take_block(order);
    client_call(&a, ECHO, 100);
    client_update(&a);
    run_until(a_waits);
    ck_assert_uint_eq(conns.room.blocks.used, 64);

    unix_pair(fds);
    ck_assert(loop_watch(&loop, &giver, fds[0], EPOLLIN, give_some));
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    client_begin(&b, 200000, 16380); /* fills a block of four units, and wants sixteen */
    client_write(&b);
    run_until_within(a_content, 5 * NS_PER_S);
    ck_assert_uint_eq(conn_cursors(&conns, b.conn)->received, 16384);

    give_block(5);
    give_block(1);
    give_block(0);
    close(fds[0]);
    close(fds[1]);
    ends();
}
END_TEST

START_TEST(arena_full_small_replies_do_not_wait_for_a_large_one)
{
    server_open(4, 64);
    client_open(&a, true); /* the first in the arena */
    client_open(&b, true);
    take_block(5);
    take_block(3);
    client_call_big(&a, 100000);
    client_update(&a);
    run_until(a_waits);
    take_block(4);
    take_block(2);
    client_call(&b, ECHO, 100);
    client_update(&b);
    run_until_within(b_waits, 5 * NS_PER_S);
    give_block(2);
    give_block(3);
    run_until_within(b_content, 5 * NS_PER_S);
    ck_assert(a.conn->waiting);
    give_block(4);
    give_block(5);
    run_until(a_content);
    ends();
}
END_TEST

/* ---- Output that is written as it grows ---- */

static char *grown;
static size_t written;

static void write_pattern(size_t to)
{
    for (; written < to; written++)
        grown[written] = pattern(written);
}

/* Writes all that there is room for. False when there is no more; then nothing has moved. */
static bool grow(void)
{
    size_t room = written + 1;
    char *place = conn_output_extend(&conns, a.conn, written, &room);

    if (place == NULL)
        return false;
    must(room > written);
    grown = place;
    write_pattern(room);
    return true;
}

/* Behind output that is queued, which moves with it. */
START_TEST(arena_full_what_is_written_grows_as_far_as_there_is_room)
{
    static const char queued[] = "queued";

    server_open(4, 64);
    client_open(&a, true);
    client_open(&b, true);
    memcpy(conn_output_reserve(&conns, a.conn, sizeof(queued)), queued, sizeof(queued));
    conn_advance(&conns, a.conn, 0, sizeof(queued));
    written = 0;
    ck_assert(grow());
    ck_assert_uint_eq(units_used(&conns), 4); /* the block that it had has room */
    take_block(5);
    ck_assert(grow());
    ck_assert_uint_eq(units_used(&conns), 32 + 16);
    ck_assert(!grow());
    ck_assert(!grow());
    ck_assert_uint_eq(written, 16 * BLOCK_SIZE - sizeof(queued));
    give_block(5);
    conn_output_trim(&conns, a.conn, 5 * BLOCK_SIZE);
    ck_assert_uint_eq(units_used(&conns), 8);
    conn_output_trim(&conns, a.conn, 5 * BLOCK_SIZE);
    ck_assert_uint_eq(units_used(&conns), 8);
    conn_advance(&conns, a.conn, 0, 5 * BLOCK_SIZE);
    text_append(&a.expected, (struct bytes){queued, sizeof(queued)});
    for (size_t i = 0; i < 5 * BLOCK_SIZE; i++)
        text_append_char(&a.expected, pattern(i));
    run_until(a_content);
    ends();
}
END_TEST

/* Little of it is copied, and what is left behind is given back. */
START_TEST(arena_what_is_written_moves_seldom_and_is_cut_to_its_size)
{
    unsigned moves = 0;

    server_open(4, 65536);
    client_open(&a, true);
    client_open(&b, true);
    written = 0;
    for (; written < 10u << 20; moves++)
        ck_assert(grow());
    ck_assert_uint_le(moves, 5);
    conn_output_trim(&conns, a.conn, 9u << 20);
    ck_assert_uint_eq(units_used(&conns), (16u << 20) / BLOCK_SIZE);
    conn_output_trim(&conns, a.conn, 0);
    ck_assert_uint_eq(units_used(&conns), 4);
    ck_assert_ptr_nonnull(conn_output_reserve(&conns, a.conn, 100));
    conn_advance(&conns, a.conn, 0, 100);
    for (size_t i = 0; i < 100; i++)
        text_append_char(&a.expected, pattern(i));
    run_until(a_content);
    ends();
}
END_TEST

/* ---- Many clients, an arena that is much too small ---- */

#define STORM 24
static struct client storm[STORM];
static unsigned storm_calls;

/* Clients send more as long as there is more to send; some leave in the middle and others come. */
static bool storm_over(void)
{
    bool over = true;

    for (unsigned i = 0; i < STORM; i++) {
        struct client *client = &storm[i];
        bool content = client_content(client) && client->sent == client->out.size;
        if (content && storm_calls > 0) {
            unsigned more = 1 + random_below(5);
            text_clear(&client->in);
            text_clear(&client->out);
            text_clear(&client->expected);
            client->sent = 0;
            for (; more > 0 && storm_calls > 0; more--, storm_calls--) {
                if (random_below(4) == 0)
                    client_call_big(client, 1 + random_below(30000));
                else
                    client_call(client, ECHO, 1 + random_below(3000));
            }
            client->chunk = random_below(3) ? 1 + random_below(6000) : SIZE_MAX;
            client_update(client);
            content = false;
        } else if (!content && storm_calls > 0 && random_below(500) == 0) {
            client_close(client);
            client_open(client, i % 2);
            content = false;
        }
        over = over && content;
    }
    return over && storm_calls == 0;
}

START_TEST(arena_full_of_many_answers_everybody)
{
    server_open(2 * STORM, 64);
    policy.max_output = 20000;
    counters[COUNT_PAUSED_ARENA] = 0;
    for (unsigned i = 0; i < STORM; i++)
        client_open(&storm[i], i % 2);
    storm_calls = 5000;
    run_until(storm_over);
    ck_assert_uint_gt(counter_read(&counters[COUNT_PAUSED_ARENA]), 10);
    for (unsigned i = 0; i < STORM; i++)
        client_close(&storm[i]);
    run_until(nobody_open);
    server_close();
}
END_TEST

/* ---- The reserve ---- */

static bool storm_content(void)
{
    bool content = true;

    for (unsigned i = 0; i < STORM; i++)
        content = content && client_content(&storm[i]);
    return content;
}

static size_t storm_part;

static bool all_have_a_part_or_wait(void)
{
    bool have = true;

    for (unsigned i = 0; i < STORM; i++)
        have = have && (storm[i].conn->waiting ||
                        conn_cursors(&conns, storm[i].conn)->received == storm_part);
    return have;
}

static void storm_may_send(size_t allowance)
{
    for (unsigned i = 0; i < STORM; i++) {
        storm[i].allowance = allowance;
        client_update(&storm[i]);
    }
}

/* Parts of frames fill all that frames may have, and each lacks more than there is room for. */
static void storm_of_parts(void)
{
    server_open(2 * STORM, 512); /* the reserves are of 64 units */
    ck_assert_uint_eq(conns.room.reserve_order, 6);
    for (unsigned i = 0; i < STORM; i++) {
        client_open(&storm[i], i % 2);
        client_call(&storm[i], ECHO, 250000);
    }
    /* What blocks of 4 units have, and of 16; the next larger ones have 64. */
    for (storm_part = 16000; storm_part <= 60000; storm_part += 44000) {
        storm_may_send(storm_part);
        run_until(all_have_a_part_or_wait);
    }
    ck_assert(!storm_content());
}

static void storm_ends(void)
{
    for (unsigned i = 0; i < STORM; i++)
        client_close(&storm[i]);
    run_until(nobody_open);
    server_close();
}

START_TEST(arena_full_of_parts_of_frames_makes_them_whole_one_by_one)
{
    storm_of_parts();
    storm_may_send(SIZE_MAX);
    run_until(storm_content);
    storm_ends();
}
END_TEST

/* Who has the reserve may go before its frame is whole. */
START_TEST(arena_full_reserve_goes_on_to_another_one)
{
    unsigned gone = 0;

    storm_of_parts();
    ck_assert(conns.room.input.used);
    for (unsigned i = 0; i < STORM; i++) {
        if (conn_cursors(&conns, storm[i].conn)->in_block != conns.room.input.block)
            continue;
        client_close(&storm[i]);
        client_open(&storm[i], true);
        gone++;
        break;
    }
    ck_assert_uint_eq(gone, 1);
    storm_may_send(SIZE_MAX);
    run_until(storm_content);
    storm_ends();
}
END_TEST

/* Pipelined frames, so that each reserve is asked for again and again; small ones between. */
START_TEST(arena_full_reserve_serves_everybody_in_turn)
{
    storm_of_parts();
    for (unsigned i = 0; i < STORM; i++) {
        for (unsigned n = 0; n < 4; n++)
            client_call(&storm[i], ECHO, n % 2 == 0 ? 100 : 200000);
    }
    storm_may_send(SIZE_MAX);
    run_until(storm_content);
    storm_ends();
}
END_TEST

UNIT_MAIN("conn_arena", arena_full_reading_waits_and_goes_on,
          arena_full_a_reply_waits_for_room_and_is_sent_later,
          arena_full_a_reply_waits_when_the_client_has_ended,
          arena_full_last_reply_is_sent_before_the_end, arena_full_a_waiting_connection_may_leave,
          arena_full_sending_makes_room_without_another_event,
          arena_full_an_earlier_waiter_is_not_forgotten,
          arena_full_small_replies_do_not_wait_for_a_large_one,
          arena_full_what_is_written_grows_as_far_as_there_is_room,
          arena_what_is_written_moves_seldom_and_is_cut_to_its_size,
          arena_full_of_many_answers_everybody,
          arena_full_of_parts_of_frames_makes_them_whole_one_by_one,
          arena_full_reserve_goes_on_to_another_one, arena_full_reserve_serves_everybody_in_turn)
