/* How connections are taken over one batch after the other (core/worker/adopt.c): which vault is
 * asked for which of them, in which order, and what happens while a vault, memory or a record is
 * missing, or when the worker is stopped. */
#include "adopt_fixture.h"

static void add(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        source_add(i, 0, 0);
}

/* ---- Order ---- */

START_TEST(connections_come_in_the_order_of_their_records)
{
    const uint32_t all = CHANNEL_FDS_MAX + 2;

    begin(RECORDS_MAX, 1);
    add(0, all);
    start_all();
    expect_question(0, 0, CHANNEL_FDS_MAX, 0);
    vault_answers(CHANNEL_FDS_MAX);
    ck_assert_uint_eq(came, CHANNEL_FDS_MAX);
    expect_question(1, 0, 2, CHANNEL_FDS_MAX);
    vault_answers(CHANNEL_FDS_MAX);
    expect_done(all);
    for (uint32_t i = 0; i < all; i++)
        ck_assert_uint_eq(order[i], table[i].id);
    end();
}
END_TEST

START_TEST(sockets_that_did_not_arrive_are_asked_for_before_all_further_ones)
{
    const uint32_t all = CHANNEL_FDS_MAX + 2;

    begin(RECORDS_MAX, 1);
    add(0, all);
    start_all();
    vault_answers(CHANNEL_FDS_MAX - 3);
    ck_assert_uint_eq(limit_looked_at, 1);
    ck_assert_uint_eq(came, CHANNEL_FDS_MAX - 3);
    ck_assert_uint_eq(question_count, 1); /* not at once: descriptors must become free */
    wait_is_over();
    expect_question(1, 0, 5, CHANNEL_FDS_MAX - 3);
    vault_answers(CHANNEL_FDS_MAX);
    expect_done(all);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 0);
    end();
}
END_TEST

START_TEST(sockets_that_did_not_arrive_are_asked_of_no_other_vault)
{
    begin(4, 2);
    add(0, 2);
    start_all();
    vault_answers(1);
    wait_is_over();
    ck_assert_uint_eq(question_count, 2);
    expect_question(1, 0, 1, 1);
    vaults_answer();
    expect_done(2);
    end();
}
END_TEST

/* ---- Seats ---- */

START_TEST(each_vault_is_asked_for_its_own_connections_before_any_other_is)
{
    begin(4, 3);
    source_add(0, 2, 2);
    source_add(1, 0, 0);
    source_add(2, 2, 2);
    start_all();
    vaults_answer();
    ck_assert_uint_eq(question_count, 2);
    expect_question(0, 0, 1, 1);
    expect_question(1, 2, 2, 0);
    for (uint32_t i = 0; i < came; i++)
        ck_assert_uint_eq(order[i], table[i].id);
    ck_assert_uint_eq(seat_noted[0], 2);
    ck_assert_uint_eq(seat_noted[1], 0);
    expect_done(3);
    end();
}
END_TEST

START_TEST(a_connection_that_its_vault_refused_is_found_in_every_other)
{
    for (uint32_t holder = 0; holder < 3; holder++) {
        begin(4, 3);
        source_add(0, 1, holder);
        start_all();
        vaults_answer();
        expect_question(0, 1, 1, 0);
        expect_done(1);
        ck_assert_uint_eq(seat_noted[0], holder);
        end();
    }
}
END_TEST

START_TEST(a_seat_that_this_generation_does_not_use_is_asked_too)
{
    begin(4, 1);
    bank.known = 2;
    bank.clients[1].known = true;
    source_add(0, 1, 1);
    start_all();
    vaults_answer();
    expect_question(0, 1, 1, 0);
    expect_done(1);
    end();
}
END_TEST

START_TEST(an_id_of_a_seat_beyond_all_is_asked_of_the_first)
{
    begin(4, 2);
    source_add(0, 201, 0);
    start_all();
    expect_question(0, 0, 1, 0);
    vaults_answer();
    expect_done(1);
    end();
}
END_TEST

/* Another worker may have it, so nothing is done to its socket. */
START_TEST(a_connection_that_no_vault_has_counts_as_closed_and_keeps_no_other_waiting)
{
    begin(4, 2);
    source_add(0, 0, NOWHERE);
    source_add(1, 0, 0);
    start_all();
    vaults_answer();
    expect_done(1);
    ck_assert_uint_eq(question_count, 2); /* both vaults were asked for it */
    ck_assert_uint_eq(order[0], table[1].id);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 1);
    ck_assert_uint_eq(source.records[0].taken, 1);
    ck_assert_uint_eq(dropped_count, 0);
    ck_assert(client_is_connected(0));
    end();
}
END_TEST

/* ---- Vaults that are missing ---- */

START_TEST(a_vault_that_is_missing_for_a_moment_is_waited_for)
{
    begin(4, 1);
    add(0, 1);
    vault_missing[0] = true;
    bank.clients[0].lost_ns = loop.now;
    start_all();
    loop.now += 3600 * NS_PER_S; /* its seat is in use: the master makes another one */
    wait_is_over();
    ck_assert_uint_eq(question_count, 0);
    vault_missing[0] = false;
    wait_is_over();
    vaults_answer();
    expect_done(1);
    end();
}
END_TEST

START_TEST(a_seat_without_any_news_is_waited_for_half_a_minute)
{
    begin(4, 1);
    add(0, 1);
    vault_missing[0] = true;
    bank.clients[0].known = false;
    loop.now += 3600 * NS_PER_S; /* of the worker's life before there was anything to take over */
    start_all();
    loop.now += 30 * NS_PER_S;
    wait_is_over();
    ck_assert_int_eq(adoption.state, ADOPT_ASKING);
    loop.now += 1;
    wait_is_over();
    expect_done(0);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 1);
    end();
}
END_TEST

START_TEST(a_surplus_seat_is_waited_for_two_seconds_after_its_vault)
{
    begin(4, 1);
    bank.known = 2;
    bank.clients[1].known = true;
    source_add(0, 1, NOWHERE);
    vault_missing[1] = true;
    bank.clients[1].lost_ns = loop.now;
    start_all();
    loop.now += 2 * NS_PER_S;
    wait_is_over();
    ck_assert_uint_eq(question_count, 0);
    loop.now += 1;
    wait_is_over();
    expect_question(0, 0, 1, 0);
    vaults_answer();
    expect_done(0);
    end();
}
END_TEST

START_TEST(a_vault_that_ends_before_its_answer_is_asked_again)
{
    begin(4, 1);
    add(0, 2);
    start_all();
    vault_missing[0] = true;
    adopt_again(&adoption, 0);
    wait_is_over();
    ck_assert_uint_eq(question_count, 1);
    vault_missing[0] = false;
    wait_is_over();
    expect_question(1, 0, 2, 0);
    vaults_answer();
    expect_done(2);
    end();
}
END_TEST

START_TEST(the_end_of_a_vault_that_was_not_asked_changes_nothing)
{
    begin(4, 2);
    add(0, 1);
    adopt_again(&adoption, 0); /* nothing is being taken over */
    ck_assert_ptr_null(waiting);
    start_all();
    adopt_again(&adoption, 1);
    ck_assert_ptr_null(waiting);
    vaults_answer();
    expect_done(1);
    ck_assert_uint_eq(handed_on, 0);
    end();
}
END_TEST

/* The next vault in the seat knows nothing of it. */
START_TEST(a_connection_that_waits_for_room_while_its_vault_ends_is_handed_to_the_next)
{
    for (uint32_t ended = 0; ended < 2; ended++) {
        begin(1, 2);
        source_add(0, 0, 0);
        struct conn *own = take_the_only_record();
        start_all();
        vaults_answer();
        adopt_again(&adoption, ended);
        conn_close(&conns, own);
        conns_flush(&conns);
        wait_is_over();
        expect_done(1);
        ck_assert_uint_eq(handed_on, ended == 0);
        end();
    }
}
END_TEST

/* ---- Answers ---- */

/* A socket that the worker has no use for. */
static void answer(uint32_t seat, uint64_t serial, uint64_t id)
{
    struct message message = {
        .type = MESSAGE_GIVE, .serial = serial, .count = 1, .ids = {[0] = id}};
    int fd = fcntl(table[0].kept, F_DUPFD_CLOEXEC, 0);

    adopt_given(&adoption, seat, &message, &fd, 1);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}

START_TEST(an_answer_to_no_question_is_closed_and_ends_no_connection)
{
    begin(4, 2);
    add(0, 1);
    answer(0, SOURCE, table[0].id); /* nothing is being taken over */
    start_all();
    answer(0, SOURCE + 1, table[0].id); /* of another source */
    answer(1, SOURCE, table[0].id);     /* of a vault that was not asked */
    ck_assert_int_eq(adoption.state, ADOPT_ASKED);
    ck_assert(client_is_connected(0));
    vaults_answer();
    expect_done(1);
    end();
}
END_TEST

START_TEST(a_socket_that_was_not_asked_for_is_closed)
{
    begin(4, 1);
    add(0, 1);
    table[0].holder = NOWHERE;
    start_all();
    answer(0, SOURCE, id_of(3, 0));
    expect_done(0);
    end();
}
END_TEST

/* ---- Room ---- */

START_TEST(an_adopter_takes_what_it_has_room_for_and_leaves_the_rest_to_others)
{
    begin(8, 1);
    add(0, 5);
    adoption.most = 2;
    start_all();
    vaults_answer();
    ck_assert_int_eq(adoption.state, ADOPT_IDLE);
    ck_assert_uint_eq(said.full, 1);
    ck_assert_uint_eq(said.done, 0);
    ck_assert_uint_eq(said.count, 2);
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_uint_eq(source.records[i].taken, i < 2);
    end();
}
END_TEST

START_TEST(an_adopter_without_room_for_any_asks_no_vault)
{
    begin(8, 1);
    add(0, 1);
    adoption.most = 0;
    start_all();
    ck_assert_uint_eq(question_count, 0);
    ck_assert_uint_eq(said.full, 1);
    ck_assert_uint_eq(said.count, 0);
    end();
}
END_TEST

START_TEST(an_adopter_with_exactly_enough_room_is_not_full)
{
    begin(8, 1);
    add(0, 2);
    adoption.most = 2;
    start_all();
    vaults_answer();
    expect_done(2);
    end();
}
END_TEST

START_TEST(a_connection_waits_until_a_record_is_free)
{
    begin(1, 1);
    add(0, 1);
    struct conn *own = take_the_only_record();
    start_all();
    vaults_answer();
    for (uint32_t i = 0; i < 10; i++)
        wait_is_over();
    ck_assert_int_eq(adoption.state, ADOPT_TAKING);
    conn_close(&conns, own);
    conns_flush(&conns);
    wait_is_over();
    expect_done(1);
    end();
}
END_TEST

/* The thousand tries are of each connection, not of all together. */
START_TEST(a_connection_that_finds_no_room_in_a_thousand_tries_is_closed)
{
    begin(1, 1);
    add(0, 2);
    take_the_only_record();
    start_all();
    vaults_answer();
    for (uint32_t which = 0; which < 2; which++) {
        for (uint32_t tries = 1; tries < 1000; tries++) {
            ck_assert_uint_eq(dropped_count, which);
            wait_is_over();
        }
        ck_assert(!client_is_connected(which));
    }
    expect_done(0);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 2);
    end();
}
END_TEST

START_TEST(an_arena_that_cannot_be_mapped_for_want_of_memory_is_tried_again)
{
    begin(4, 1);
    add(0, 1);
    no_memory = true;
    start_all();
    wait_is_over();
    ck_assert_int_eq(adoption.state, ADOPT_MAPPING);
    no_memory = false;
    wait_is_over();
    vaults_answer();
    expect_done(1);
    end();
}
END_TEST

START_TEST(an_arena_that_cannot_be_mapped_in_a_thousand_tries_is_given_up)
{
    begin(4, 1);
    add(0, 1);
    no_memory = true;
    struct message message = order_to_adopt();
    int fd = start(&message);
    for (uint32_t tries = 1; tries < 1000; tries++)
        wait_is_over();
    expect_done(0);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    end();
}
END_TEST

/* ---- The end ---- */

START_TEST(a_stop_closes_the_sockets_that_wait_and_ends_no_connection)
{
    begin(1, 2);
    source_add(0, 0, 0);
    source_add(1, 1, 1);
    start_all();
    vault_answers(CHANNEL_FDS_MAX); /* the first one's has come; the second vault is being asked */
    adopt_stop(&adoption);
    answer(1, SOURCE, table[1].id);
    ck_assert_uint_eq(came, 0);
    ck_assert_uint_eq(said.done + said.full, 0);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert(client_is_connected(i));
        ck_assert_uint_eq(source.records[i].taken, 0);
        close(table[i].kept); /* the last duplicate: the worker's is closed */
        ck_assert(!client_is_connected(i));
        table[i].kept = -1;
    }
    end();
}
END_TEST

START_TEST(a_stop_leaves_what_was_taken_and_waits_for_nothing_more)
{
    begin(1, 1);
    add(0, 2);
    start_all();
    vaults_answer(); /* the second one waits for room */
    adopt_stop(&adoption);
    ck_assert_ptr_null(waiting);
    ck_assert_uint_eq(conns.open, 1);
    ck_assert_uint_eq(source.records[0].taken, 1);
    ck_assert_uint_eq(source.records[1].taken, 0);
    ck_assert(client_is_connected(0));
    ck_assert(client_is_connected(1));
    end();
}
END_TEST

START_TEST(a_stop_before_the_arena_is_mapped_closes_it)
{
    begin(4, 1);
    add(0, 1);
    no_memory = true;
    struct message message = order_to_adopt();
    int fd = start(&message);
    adopt_stop(&adoption);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    ck_assert_ptr_null(waiting);
    end();
}
END_TEST

START_TEST(a_source_after_a_stop_begins_with_none_of_the_former_batch)
{
    begin(1, 1);
    add(0, 3);
    start_all();
    vault_answers(2); /* one has not arrived, and one waits for room */
    adopt_stop(&adoption);
    for (uint32_t i = 0; i < 3; i++)
        source.records[i].taken = 1; /* by others */
    source_add(3, 0, 0);
    conn_close(&conns, &conns.conns[0]);
    conns_flush(&conns);
    start_all();
    expect_question(1, 0, 1, 3);
    vaults_answer();
    ck_assert_uint_eq(said.count, 1);
    ck_assert_uint_eq(order[came - 1], table[3].id);
    ck_assert_int_eq(adoption.state, ADOPT_IDLE);
    end();
}
END_TEST

/* It would close descriptors that others have by now. */
START_TEST(a_second_stop_closes_no_socket_of_the_former_batch)
{
    begin(1, 1);
    add(0, 2);
    start_all();
    vaults_answer();
    adopt_stop(&adoption);
    int others = fcntl(table[1].kept, F_DUPFD_CLOEXEC, 0); /* the number that was free */
    no_memory = true;
    start_all();
    adopt_stop(&adoption);
    ck_assert_int_ge(fcntl(others, F_GETFD), 0);
    close(others);
    end();
}
END_TEST

UNIT_MAIN("adopt_batch", connections_come_in_the_order_of_their_records,
          sockets_that_did_not_arrive_are_asked_for_before_all_further_ones,
          sockets_that_did_not_arrive_are_asked_of_no_other_vault,
          each_vault_is_asked_for_its_own_connections_before_any_other_is,
          a_connection_that_its_vault_refused_is_found_in_every_other,
          a_seat_that_this_generation_does_not_use_is_asked_too,
          an_id_of_a_seat_beyond_all_is_asked_of_the_first,
          a_connection_that_no_vault_has_counts_as_closed_and_keeps_no_other_waiting,
          a_vault_that_is_missing_for_a_moment_is_waited_for,
          a_seat_without_any_news_is_waited_for_half_a_minute,
          a_surplus_seat_is_waited_for_two_seconds_after_its_vault,
          a_vault_that_ends_before_its_answer_is_asked_again,
          the_end_of_a_vault_that_was_not_asked_changes_nothing,
          a_connection_that_waits_for_room_while_its_vault_ends_is_handed_to_the_next,
          an_answer_to_no_question_is_closed_and_ends_no_connection,
          a_socket_that_was_not_asked_for_is_closed,
          an_adopter_takes_what_it_has_room_for_and_leaves_the_rest_to_others,
          an_adopter_without_room_for_any_asks_no_vault,
          an_adopter_with_exactly_enough_room_is_not_full,
          a_connection_waits_until_a_record_is_free,
          a_connection_that_finds_no_room_in_a_thousand_tries_is_closed,
          an_arena_that_cannot_be_mapped_for_want_of_memory_is_tried_again,
          an_arena_that_cannot_be_mapped_in_a_thousand_tries_is_given_up,
          a_stop_closes_the_sockets_that_wait_and_ends_no_connection,
          a_stop_leaves_what_was_taken_and_waits_for_nothing_more,
          a_stop_before_the_arena_is_mapped_closes_it,
          a_source_after_a_stop_begins_with_none_of_the_former_batch,
          a_second_stop_closes_no_socket_of_the_former_batch)
