/* What connections promise as long as the arena has room: see core/net/conn.h. */
#include "conn_fixture.h"
#include "net/socket_age.h"

static struct client c, other;

static bool content(void)
{
    return client_content(&c);
}

static bool received_all(void)
{
    return conn_cursors(&conns, c.conn)->received == c.sent && c.sent == c.out.size;
}

static bool nobody_open(void)
{
    return conns.open == 0;
}

static bool client_saw_end(void)
{
    return c.finished || c.reset;
}

/* ---- Bytes in any portions ---- */

static bool allowance_received(void)
{
    return conn_cursors(&conns, c.conn)->received == c.allowance;
}

START_TEST(conn_requests_may_be_split_at_any_byte)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 64);
        client_open(&c, tcp);
        for (size_t split = 0; split <= 72; split++) {
            text_clear(&c.out);
            text_clear(&c.in);
            text_clear(&c.expected);
            uint64_t before = conn_cursors(&conns, c.conn)->received;
            c.sent = 0;
            client_call(&c, ECHO, 1);
            client_call(&c, ECHO, 40);
            client_call(&c, ECHO, 19);
            must(c.out.size == 72);
            /* `received` counts from the connection's start. */
            char *padding = calloc(1, before + 1);
            struct text whole = {0};
            text_append(&whole, (struct bytes){padding, before});
            text_append(&whole, (struct bytes){c.out.data, c.out.size});
            free(padding);
            text_free(&c.out);
            c.out = whole;
            c.sent = before;
            c.allowance = before + split;
            client_update(&c);
            run_until(allowance_received);
            c.allowance = SIZE_MAX;
            client_update(&c);
            run_until(content);
        }
        client_close(&c);
        run_until(nobody_open);
        server_close();
    }
}
END_TEST

START_TEST(conn_bytes_may_come_and_go_one_by_one)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 64);
        client_open(&c, tcp);
        c.chunk = 1;
        for (size_t size = 1; size < 60; size++)
            client_call(&c, ECHO, size);
        client_update(&c);
        run_until(content);
        client_close(&c);
        server_close();
    }
}
END_TEST

START_TEST(conn_thousands_of_requests_at_once_are_answered_in_order)
{
    server_open(4, 256);
    client_open(&c, true);
    for (unsigned i = 0; i < 5000; i++)
        client_call(&c, ECHO, 1 + random_below(60));
    client_update(&c);
    run_until(content);
    ck_assert_uint_eq(counter_read(&counters[COUNT_BYTES_IN]), c.out.size);
    ck_assert_uint_eq(counter_read(&counters[COUNT_BYTES_OUT]), c.in.size);
    ck_assert_uint_eq(conn_cursors(&conns, c.conn)->received, c.out.size);
    ck_assert_uint_eq(conn_cursors(&conns, c.conn)->sent, c.in.size);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(conn_replies_go_out_however_little_the_client_takes)
{
    static const size_t chunks[] = {97, 1000, 4096, 65536};
    const int small = 4096;

    for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
        server_open(4, 1024);
        policy.max_output = 1 << 20;
        client_open(&c, i % 2);
        ck_assert_int_eq(setsockopt(c.conn->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
                         0);
        c.chunk = chunks[i];
        client_call_big(&c, 200000);
        client_call(&c, ECHO, 5);
        client_call_big(&c, 1);
        client_call_big(&c, 70000);
        client_update(&c);
        run_until(content);
        client_close(&c);
        server_close();
    }
}
END_TEST

/* ---- How much memory ---- */

START_TEST(conn_input_grows_with_the_received_bytes)
{
    const size_t size = 300000;

    server_open(4, 1024);
    client_open(&c, false);
    client_call(&c, ECHO, size);
    for (size_t part = 0; part < size; part += 3001) {
        c.allowance = part;
        client_update(&c);
        run_until(allowance_received);
        must(units_used(&conns) * BLOCK_SIZE <= 16384 + 8 * part);
    }
    c.allowance = SIZE_MAX;
    client_update(&c);
    run_until(content);
    ck_assert_uint_eq(units_used(&conns), 0);
    client_close(&c);
    server_close();
}
END_TEST

#define CROWD 100
static struct client crowd[CROWD];

static bool crowd_received(void)
{
    for (int i = 0; i < CROWD; i++) {
        if (conn_cursors(&conns, crowd[i].conn)->received != crowd[i].out.size)
            return false;
    }
    return true;
}

START_TEST(conn_announcing_much_costs_little)
{
    server_open(CROWD, 4096);
    for (int i = 0; i < CROWD; i++) {
        client_open(&crowd[i], i % 2);
        client_begin(&crowd[i], 1 << 20, (size_t)i * 10);
        client_update(&crowd[i]);
    }
    run_until(crowd_received);
    ck_assert_uint_le(units_used(&conns), CROWD);
    for (int i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    run_until(nobody_open);
    ck_assert_uint_eq(units_used(&conns), 0);
    server_close();
}
END_TEST

START_TEST(conn_gives_large_blocks_back_when_little_is_left_in_them)
{
    server_open(4, 1024);
    client_open(&c, false);
    client_call(&c, ECHO, 100000);
    client_begin(&c, 5000, 100);
    client_update(&c);
    run_until(received_all);
    run_until(content);
    ck_assert_uint_eq(units_used(&conns), 1);
    ck_assert_uint_eq(conn_input(&conns, c.conn).size, 104);
    ck_assert_int_eq(conn_input(&conns, c.conn).data[4], ECHO);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(conn_that_is_idle_has_no_block)
{
    server_open(4, 64);
    client_open(&c, true);
    for (unsigned i = 0; i < 20; i++) {
        client_call(&c, ECHO, 1 + i * 100);
        client_update(&c);
        run_until(content);
        must(units_used(&conns) == 0);
        must(conn_input(&conns, c.conn).size == 0);
    }
    client_close(&c);
    server_close();
}
END_TEST

/* ---- Clients that do not read ---- */

static bool is_paused(void)
{
    return c.conn->paused;
}

START_TEST(conn_that_is_not_read_from_pauses_and_goes_on)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 2048);
        for (unsigned i = 0; i < WORKER_COUNTERS; i++)
            counters[i] = 0;
        client_open(&c, tcp);
        c.silent = true;
        for (unsigned i = 0; i < 2000; i++)
            client_call_big(&c, 5000);
        client_update(&c);
        run_until(is_paused);
        const struct conn_cursors *cursors = conn_cursors(&conns, c.conn);
        uint32_t unsent = cursors->out_end - cursors->out_start;
        ck_assert_uint_ge(unsent, policy.max_output);
        ck_assert_uint_lt(unsent, policy.max_output + 5000);
        ck_assert_uint_eq(counter_read(&counters[COUNT_PAUSED_OUTPUT]), 1);
        ck_assert_uint_eq(c.conn->watch.events, EPOLLOUT);
        c.silent = false;
        client_update(&c);
        run_until(content);
        ck_assert_uint_eq(c.in.size, 2000 * 5000);
        ck_assert(!c.conn->paused);
        client_close(&c);
        server_close();
    }
}
END_TEST

START_TEST(conn_whose_client_leaves_while_paused_is_closed)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 2048);
        client_open(&c, tcp);
        c.silent = true;
        for (unsigned i = 0; i < 2000; i++)
            client_call_big(&c, 5000);
        client_update(&c);
        run_until(is_paused);
        client_close(&c); /* with unread bytes: a reset, on TCP */
        run_until(nobody_open);
        ck_assert_uint_eq(closed_count, 1);
        server_close();
    }
}
END_TEST

/* ---- Ends ---- */

static bool finished(void)
{
    return c.finished || c.reset;
}

static bool all_sent(void)
{
    return c.sent == c.out.size;
}

START_TEST(conn_half_closed_gets_every_reply_first)
{
    const int small = 4096;

    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 256);
        client_open(&c, tcp);
        ck_assert_int_eq(setsockopt(c.conn->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
                         0);
        for (unsigned i = 0; i < 2000; i++)
            client_call(&c, ECHO, 1000);
        c.silent = true;
        client_update(&c);
        run_until(is_paused);
        c.silent = false;
        client_update(&c);
        run_until(all_sent);
        ck_assert_int_eq(shutdown(c.fd, SHUT_WR), 0);
        run_until(finished);
        ck_assert(content());
        ck_assert(!c.reset);
        ck_assert_uint_eq(conns.open, 0);
        client_close(&c);
        server_close();
    }
}
END_TEST

START_TEST(conn_that_ends_within_a_frame_is_closed)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 64);
        client_open(&c, tcp);
        client_call(&c, ECHO, 10);
        client_begin(&c, 100, 50);
        client_update(&c);
        run_until(received_all);
        ck_assert_int_eq(shutdown(c.fd, SHUT_WR), 0);
        run_until(finished);
        ck_assert(content());
        ck_assert_uint_eq(conns.open, 0);
        client_close(&c);
        server_close();
    }
}
END_TEST

START_TEST(conn_end_with_discard_never_loses_the_last_reply)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        server_open(4, 64);
        client_open(&c, tcp);
        c.silent = true;
        client_call(&c, ECHO, 10);
        client_call(&c, LAST, 50);
        size_t answered = c.expected.size;
        for (unsigned i = 0; i < 100; i++)
            client_call(&c, ECHO, 10000); /* never answered: the server has ended */
        c.expected.size = answered;
        client_update(&c);
        run_until(received_all);
        ck_assert_uint_eq(conns.open, 1);
        ck_assert_uint_eq(lingering_count(), 1);
        c.silent = false;
        client_update(&c);
        run_until(finished);
        ck_assert(!c.reset);
        ck_assert(content());
        ck_assert_uint_eq(conns.open, 1); /* it waits for the client's end */
        client_close(&c);
        run_until(nobody_open);
        server_close();
    }
}
END_TEST

START_TEST(conn_end_without_discard_closes_when_all_is_sent)
{
    server_open(4, 1024);
    policy.max_output = 1 << 20;
    client_open(&c, true);
    client_call_big(&c, 1000000);
    client_call(&c, FINAL, 3);
    c.chunk = 5000;
    client_update(&c);
    run_until(finished);
    ck_assert(content());
    ck_assert(!c.reset);
    ck_assert_uint_eq(conns.open, 0);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(conn_that_lingers_too_long_is_closed)
{
    server_open(4, 64);
    client_open(&c, true);
    client_call(&c, LAST, 5);
    client_update(&c);
    run_until(finished);
    ck_assert_uint_eq(lingering_count(), 1);
    c.conn->active -= conn_time(10 * NS_PER_S); /* as if that were ten seconds ago */
    run_until(nobody_open);
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(conn_may_be_closed_by_the_layer_above)
{
    server_open(4, 64);
    for (unsigned round = 0; round < 50; round++) {
        client_open(&c, false);
        client_open(&other, false);
        client_call(&c, CLOSE, round % 2 ? 3 : 16384 - 4); /* a read that fills its block */
        client_call(&other, ECHO, 3);
        client_update(&c);
        client_update(&other);
        run_until(finished);
        run_until_within(content, DEADLINE_NS);
        while (!client_content(&other))
            run_until(received_all);
        ck_assert_uint_eq(conns.open, 1);
        client_close(&other);
        client_close(&c);
        run_until(nobody_open);
    }
    ck_assert_uint_eq(closed_count, 100);
    ck_assert_uint_eq(conns.arena.header->record_high, 2);
    server_close();
}
END_TEST

/* ---- Idle timeouts ---- */

static bool one_open(void)
{
    return conns.open == 1;
}

START_TEST(conn_that_is_idle_too_long_is_closed)
{
    struct conn_policy patient;

    server_open(4, 64);
    client_open(&c, true); /* no timeout */
    patient = policy;
    c.conn->policy = &patient;
    policy.idle_timeout_ns = 50 * NS_PER_MS;
    client_open(&other, true);
    run_until(one_open);
    ck_assert_ptr_eq(c.conn->policy, &patient);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

/* The longest that the configuration allows, and what 32 bits of milliseconds do not hold. */
START_TEST(a_year_of_silence_can_be_waited_for)
{
    const uint64_t day_ns = 86400 * NS_PER_S;

    server_open(4, 64);
    policy.idle_timeout_ns = 365 * day_ns;
    client_open(&c, true);
    client_open(&other, true);
    c.conn->active -= conn_time(364 * day_ns);
    other.conn->active -= conn_time(366 * day_ns);
    run_until(one_open);
    ck_assert_ptr_nonnull(c.conn->policy);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

START_TEST(conn_that_is_used_is_not_idle)
{
    server_open(4, 64);
    policy.idle_timeout_ns = 10 * NS_PER_S;
    client_open(&c, true);
    client_open(&other, true);
    c.conn->active -= conn_time(9900 * NS_PER_MS);
    other.conn->active -= conn_time(9900 * NS_PER_MS);
    client_call(&c, ECHO, 3);
    client_update(&c);
    run_until(content);
    run_until(one_open);
    ck_assert_ptr_nonnull(c.conn->policy);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

/* ---- Age ---- */

static bool parting(void)
{
    return c.conn->parting;
}

static void age_by(struct conn *conn, uint64_t ns)
{
    conns.born[conn_index(&conns, conn)] -= conn_time(ns);
}

START_TEST(conn_that_is_too_old_ends_in_order)
{
    server_open(4, 64);
    policy.max_age_ns = 100 * NS_PER_S;
    client_open(&c, true);
    client_open(&other, true);
    age_by(c.conn, 111 * NS_PER_S);
    age_by(other.conn, 88 * NS_PER_S);
    client_call(&c, ECHO, 3);
    client_update(&c);
    run_until(client_saw_end);
    ck_assert(content());
    ck_assert(!c.reset);
    ck_assert_uint_eq(other.conn->parting, 0);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

START_TEST(conn_that_is_too_old_waits_for_the_rest_of_a_frame)
{
    server_open(4, 64);
    policy.max_age_ns = 100 * NS_PER_S;
    client_open(&c, true);
    c.allowance = 10;
    client_call(&c, ECHO, 20);
    client_update(&c);
    run_until(allowance_received);
    age_by(c.conn, 111 * NS_PER_S);
    run_until(parting);
    ck_assert(!c.finished);
    c.allowance = SIZE_MAX;
    client_update(&c);
    run_until(client_saw_end);
    ck_assert(content());
    client_close(&c);
    server_close();
}
END_TEST

/* Another worker has a duplicate of the socket, and knows it by the same id. The inode may have
 * been another socket's. */
START_TEST(age_is_kept_with_the_socket)
{
    server_open(4, 64);
    client_open(&c, true);
    int fd = c.conn->watch.fd, other_fd = dup(fd);
    socket_age_begin(fd, 7, 5 * NS_PER_S + 1);
    ck_assert_uint_eq(socket_age_since(other_fd, 7, 9 * NS_PER_S), 5 * NS_PER_S + 1);
    ck_assert_uint_eq(socket_age_since(other_fd, 8, 9 * NS_PER_S), 9 * NS_PER_S);
    ck_assert_uint_eq(socket_age_since(fd, 8, 10 * NS_PER_S), 9 * NS_PER_S);
    ck_assert_uint_eq(socket_age_since(fd, 8, 8 * NS_PER_S), 8 * NS_PER_S);
    close(other_fd);
    client_close(&c);
    server_close();
}
END_TEST

/* From nine tenths to eleven, and not all at once. */
START_TEST(the_ages_of_connections_are_spread_around_the_limit)
{
    const uint64_t most = 1000 * NS_PER_S;
    unsigned less = 0;

    for (uint64_t id = 1; id <= 1000; id++) {
        uint64_t limit = socket_age_limit(id << 32 | 1, most);
        ck_assert_uint_ge(limit, 900 * NS_PER_S);
        ck_assert_uint_le(limit, 1100 * NS_PER_S);
        less += limit < most;
    }
    ck_assert_uint_gt(less, 400);
    ck_assert_uint_lt(less, 600);
}
END_TEST

/* ---- Turns ---- */

static void not_now(struct conns *all, struct conn *conn)
{
    (void)all;
    conn_go_on_later(conn);
}

static bool not_read_any_more(void)
{
    return (c.conn->watch.events & EPOLLIN) == 0;
}

START_TEST(conn_that_waits_for_its_turn_is_not_read_without_end)
{
    server_open(4, 4096);
    client_open(&c, false);
    for (unsigned i = 0; i < 2000; i++)
        client_call(&c, ECHO, 1000);
    client_update(&c);
    conns.on_input = not_now;
    run_until(not_read_any_more);
    ck_assert_uint_lt(conn_input(&conns, c.conn).size, 512u << 10);
    conns.on_input = toy_input;
    run_until(content);
    client_close(&c);
    server_close();
}
END_TEST

#define TAKERS 3
static struct client takers[TAKERS];
static unsigned order[30], order_count;

/* Takes a whole turn for one frame. */
static void take_turn(struct conns *all, struct conn *conn)
{
    struct bytes input = conn_input(all, conn);

    if (!conn_may_begin(all)) {
        conn_go_on_later(conn);
        return;
    }
    for (unsigned i = 0; i < TAKERS && order_count < 30; i++) {
        if (takers[i].conn == conn)
            order[order_count++] = i;
    }
    while (conn_may_begin(all))
        ;
    size_t size = 4 + (size_t)number_at(input.data);
    char *room = conn_output_reserve(all, conn, size);
    must(room != NULL);
    memcpy(room, input.data, size);
    conn_advance(all, conn, size, size);
    if (conn_input(all, conn).size > 0)
        conn_go_on_later(conn);
}

static bool takers_content(void)
{
    bool all = true;

    for (unsigned i = 0; i < TAKERS; i++)
        all = client_content(&takers[i]) && all;
    return all;
}

START_TEST(conns_have_their_turns_one_after_the_other)
{
    server_open(4, 4096);
    conns.on_input = take_turn;
    for (unsigned i = 0; i < TAKERS; i++) {
        client_open(&takers[i], false);
        for (unsigned n = 0; n < 10; n++)
            client_call(&takers[i], ECHO, 10);
        client_update(&takers[i]);
    }
    run_until(takers_content);
    ck_assert_uint_eq(order_count, 30);
    for (unsigned i = 6; i < 27; i++) /* once all of them are there */
        must(order[i] != order[i + 1] && order[i] != order[i + 2]);
    for (unsigned i = 0; i < TAKERS; i++)
        client_close(&takers[i]);
    server_close();
}
END_TEST

static uint64_t other_sent; /* when the first one has its turn after the other was read from */

static void wait_or_echo(struct conns *all, struct conn *conn)
{
    if (conn != c.conn) {
        toy_input(all, conn);
        return;
    }
    conn_go_on_later(conn);
    if (other_sent == 0 && conn_cursors(all, other.conn)->received > 0)
        other_sent = 1 + conn_cursors(all, other.conn)->sent;
}

static bool waits_for_its_turn(void)
{
    return c.conn->again == CONN_AGAIN_LATER;
}

static bool other_content(void)
{
    return client_content(&other);
}

START_TEST(conn_that_does_not_wait_is_sent_to_before_others_have_their_turn)
{
    server_open(4, 4096);
    conns.on_input = wait_or_echo;
    client_open(&c, false);
    client_open(&other, false);
    client_call(&c, ECHO, 10);
    client_update(&c);
    run_until(waits_for_its_turn);
    client_call(&other, ECHO, 10);
    client_update(&other);
    run_until(other_content);
    ck_assert_uint_eq(other_sent, 1 + other.in.size);
    conns.on_input = toy_input;
    run_until(content);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

/* ---- All connections ---- */

START_TEST(conn_open_gives_ids_that_never_come_again)
{
    uint64_t last = 0;
    int extra[2];

    server_open(3, 64);
    for (unsigned round = 0; round < 10; round++) {
        struct client clients[3];
        for (unsigned i = 0; i < 3; i++) {
            client_open(&clients[i], false);
            uint64_t id = conn_id(&conns, clients[i].conn);
            must(id > last && id >> 32 == conns.worker);
            must(conn_record_of(&conns, clients[i].conn)->listener == LISTENER_ID);
            must(record_valid(&conns.arena, conn_record_of(&conns, clients[i].conn)));
            last = id;
        }
        unix_pair(extra);
        ck_assert_ptr_null(conn_open(&conns, extra[0], LISTENER_ID, 0, &policy));
        ck_assert_int_eq(write(extra[0], "mine", 4), 4); /* still the caller's */
        close(extra[0]);
        close(extra[1]);
        for (unsigned i = 0; i < 3; i++)
            client_close(&clients[i]);
        run_until(nobody_open);
    }
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 30);
    server_close();
}
END_TEST

START_TEST(conn_peer_is_written_as_an_address)
{
    char text[ADDRESS_TEXT_SIZE];

    server_open(4, 64);
    client_open(&c, true);
    conn_peer(c.conn, text);
    ck_assert_msg(strncmp(text, "127.0.0.1:", 10) == 0, "%s", text);
    client_close(&c);
    client_open(&c, false);
    conn_peer(c.conn, text);
    ck_assert_str_eq(text, "unix:");
    client_close(&c);
    server_close();
}
END_TEST

START_TEST(conn_peer_is_known_after_a_reset)
{
    static const struct {
        int family;
        const char *listen, *begins;
    } cases[] = {{AF_INET, "127.0.0.1:1", "127.0.0.1:"}, {AF_INET6, "[::1]:1", "[::1]:"}};
    const struct linger reset = {.l_onoff = 1};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char before[ADDRESS_TEXT_SIZE], after[ADDRESS_TEXT_SIZE], byte;
        struct address address;
        struct error error;
        must(address_parse(cases[i].listen, NULL, false, &address, &error));
        ((struct sockaddr_in *)&address.socket)->sin_port = 0; /* in its place in both families */
        int listener = socket(cases[i].family, SOCK_STREAM, 0);
        int client = socket(cases[i].family, SOCK_STREAM, 0);
        must(bind(listener, (struct sockaddr *)&address.socket, address.size) == 0 &&
             listen(listener, 1) == 0);
        must(getsockname(listener, (struct sockaddr *)&address.socket, &address.size) == 0);
        must(connect(client, (struct sockaddr *)&address.socket, address.size) == 0);
        const struct conn conn = {.watch.fd = accept(listener, NULL, NULL)};
        conn_peer(&conn, before);
        ck_assert_msg(strncmp(before, cases[i].begins, strlen(cases[i].begins)) == 0, "%s", before);
        setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(client);
        ck_assert_int_eq(recv(conn.watch.fd, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        conn_peer(&conn, after);
        ck_assert_str_eq(after, before);
        close(conn.watch.fd);
        close(listener);
    }
}
END_TEST

static unsigned batches;

static bool some_batches(void)
{
    return batches-- == 0;
}

static void nothing(struct timer *timer)
{
    timer_set(&loop, timer, 0, nothing);
}

START_TEST(conns_release_stops_reading)
{
    struct timer busy = {0};

    server_open(4, 64);
    client_open(&c, true);
    client_begin(&c, 100, 10);
    client_update(&c);
    run_until(received_all);
    conns_release(&conns);
    client_call(&c, ECHO, 10);
    client_update(&c);
    timer_set(&loop, &busy, 0, nothing); /* no wait is long */
    batches = 50;
    run_until(some_batches);
    ck_assert_uint_eq(c.sent, c.out.size);
    ck_assert_uint_eq(conn_cursors(&conns, c.conn)->received, 14);
    timer_cancel(&loop, &busy);
    client_close(&c);
    server_close();
}
END_TEST

static bool other_finished(void)
{
    return other.finished;
}

START_TEST(conns_drain_ends_each_when_it_has_nothing_under_way)
{
    server_open(4, 64);
    client_open(&c, true);
    client_open(&other, true);
    client_call(&c, ECHO, 100);
    c.allowance = 50;
    client_update(&c);
    run_until(allowance_received);
    conns_drain(&conns);
    run_until(other_finished);
    ck_assert_uint_eq(conns.open, 1);
    c.allowance = SIZE_MAX;
    client_update(&c);
    run_until(finished);
    ck_assert(content());
    ck_assert(!c.reset);
    ck_assert_uint_eq(conns.open, 0);
    client_close(&c);
    client_close(&other);
    server_close();
}
END_TEST

/* ---- Connections that nobody serves any more ---- */

/* As it is adopted: of `calls` calls, `arrived` bytes are in the socket when it starts. */
static void part_with(bool tcp, int calls, size_t arrived)
{
    int fds[2];

    server_open(4, 64);
    policy.parting = true;
    (tcp ? tcp_pair : unix_pair)(fds);
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    c = (struct client){.fd = fds[1], .allowance = arrived, .chunk = SIZE_MAX};
    for (int i = 0; i < calls; i++)
        client_call(&c, ECHO, 20);
    while (c.sent < c.out.size && c.sent < arrived)
        client_write(&c);
    c.conn = conn_open(&conns, fds[0], LISTENER_ID, 0, &policy);
    conn_start(&conns, c.conn);
    ck_assert(loop_watch(&loop, &c.watch, c.fd, EPOLLIN, client_ready));
}

static void expect_parted(void)
{
    run_until(client_saw_end);
    ck_assert(!c.reset);
    ck_assert(client_content(&c));
    client_close(&c);
    run_until(nobody_open);
    server_close();
}

START_TEST(conn_that_parts_answers_all_received_frames_and_ends_in_order)
{
    for (int calls = 0; calls < 3; calls++) {
        part_with(false, calls, SIZE_MAX);
        expect_parted();
        part_with(true, calls, SIZE_MAX);
        expect_parted();
    }
}
END_TEST

START_TEST(conn_that_parts_waits_for_the_rest_of_a_frame)
{
    part_with(true, 1, 10);
    run_until(allowance_received);
    c.allowance = SIZE_MAX;
    client_update(&c);
    expect_parted();
}
END_TEST

UNIT_MAIN("conn", conn_that_parts_answers_all_received_frames_and_ends_in_order,
          conn_that_parts_waits_for_the_rest_of_a_frame, conn_requests_may_be_split_at_any_byte,
          conn_bytes_may_come_and_go_one_by_one,
          conn_thousands_of_requests_at_once_are_answered_in_order,
          conn_replies_go_out_however_little_the_client_takes,
          conn_input_grows_with_the_received_bytes, conn_announcing_much_costs_little,
          conn_gives_large_blocks_back_when_little_is_left_in_them, conn_that_is_idle_has_no_block,
          conn_that_is_not_read_from_pauses_and_goes_on,
          conn_whose_client_leaves_while_paused_is_closed, conn_half_closed_gets_every_reply_first,
          conn_that_ends_within_a_frame_is_closed, conn_end_with_discard_never_loses_the_last_reply,
          conn_end_without_discard_closes_when_all_is_sent, conn_that_lingers_too_long_is_closed,
          conn_may_be_closed_by_the_layer_above, conn_that_is_idle_too_long_is_closed,
          conn_that_is_used_is_not_idle, conn_that_is_too_old_ends_in_order,
          conn_that_is_too_old_waits_for_the_rest_of_a_frame, age_is_kept_with_the_socket,
          the_ages_of_connections_are_spread_around_the_limit, a_year_of_silence_can_be_waited_for,
          conn_that_waits_for_its_turn_is_not_read_without_end,
          conns_have_their_turns_one_after_the_other,
          conn_that_does_not_wait_is_sent_to_before_others_have_their_turn,
          conn_open_gives_ids_that_never_come_again, conn_peer_is_written_as_an_address,
          conn_peer_is_known_after_a_reset, conns_release_stops_reading,
          conns_drain_ends_each_when_it_has_nothing_under_way)
