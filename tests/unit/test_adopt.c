/* What becomes of one connection that is taken over (core/worker/adopt.c): whether its record is
 * this worker's to take, its correction by the kernel's counts, and its end where it cannot go on.
 */
#include "adopt_fixture.h"

/* ---- Which connections ---- */

START_TEST(a_connection_that_was_taken_is_never_asked_for)
{
    begin(4, 1);
    source_add(0, 0, 0)->taken = 1;
    source_add(1, 0, 0);
    start_all();
    expect_question(0, 0, 1, 1);
    vaults_answer();
    expect_done(1);
    ck_assert_uint_eq(source.records[1].taken, 1);
    end();
}
END_TEST

START_TEST(a_connection_is_taken_once_however_often_its_source_is_gone_through)
{
    begin(4, 1);
    source_add(0, 0, 0);
    start_all();
    vaults_answer();
    start_all();
    ck_assert_uint_eq(question_count, 1);
    ck_assert_uint_eq(table[0].given, 1);
    ck_assert_uint_eq(said.done, 2);
    ck_assert_uint_eq(said.count, 0);
    ck_assert_uint_eq(conns.open, 1);
    end();
}
END_TEST

START_TEST(with_other_numbers_of_slots_each_connection_has_one_adopter)
{
    enum { RECORDS = 12, PARTS = 5, SLOTS = 2 };
    uint32_t takers[RECORDS][SLOTS] = {0};

    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        for (uint32_t part = 0; part < PARTS; part++) {
            begin(4, 1);
            for (uint32_t i = 0; i < RECORDS; i++)
                source_add(i, 0, 0);
            struct message message = order_to_adopt();
            message.adopt =
                (struct adopt_rule){.slot = slot, .slots = SLOTS, .part = part, .parts = PARTS};
            start(&message);
            for (uint32_t i = 0; i < questions[0].count; i++)
                takers[(uint32_t)questions[0].ids[i] - 1][slot]++;
            adopt_stop(&adoption);
            end();
        }
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            ck_assert_uint_eq(takers[i][slot], 1);
    }
}
END_TEST

START_TEST(with_as_many_slots_each_connection_stays_in_its_slot)
{
    for (uint32_t part = 0; part < 3; part++) {
        begin(8, 1);
        for (uint32_t i = 0; i < 4; i++)
            source_add(i, 0, 0);
        struct message message = order_to_adopt();
        message.adopt = (struct adopt_rule){.slot = 2, .slots = 3, .part = part, .parts = 3};
        start(&message);
        vaults_answer();
        expect_done(part == 2 ? 4 : 0);
        end();
    }
}
END_TEST

START_TEST(a_source_that_lives_keeps_the_connections_that_stay_with_it)
{
    begin(4, 1);
    source_add(0, 0, 0)->staying = 1;
    source_add(1, 0, 0);
    struct message message = order_to_adopt();
    message.adopt.partial = 1;
    start(&message);
    vaults_answer();
    expect_done(1);
    ck_assert_uint_eq(source.records[0].taken, 0);
    ck_assert_uint_eq(order[0], table[1].id);
    end();
}
END_TEST

START_TEST(a_source_that_is_dead_keeps_no_connection)
{
    begin(4, 1);
    source_add(0, 0, 0)->staying = 1;
    start_all();
    vaults_answer();
    expect_done(1);
    end();
}
END_TEST

START_TEST(without_a_rule_nothing_is_taken)
{
    for (uint32_t which = 0; which < 2; which++) {
        begin(4, 1);
        source_add(0, 0, 0);
        struct message message = order_to_adopt();
        *(which == 0 ? &message.adopt.parts : &message.adopt.slots) = 0;
        int fd = start(&message);
        expect_done(0);
        ck_assert_uint_eq(question_count, 0);
        ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
        end();
    }
}
END_TEST

/* ---- Records that make no sense ---- */

START_TEST(a_damaged_record_ends_its_connection_and_no_other)
{
    begin(4, 1);
    struct conn_record *damaged = source_add(0, 0, 0);
    damaged->cursors[0].in_block = damaged->cursors[1].in_block = source.block_count;
    source_add(1, 0, 0);
    start_all();
    vaults_answer();
    expect_done(1);
    ck_assert(!client_is_connected(0));
    ck_assert(client_is_connected(1));
    ck_assert_uint_eq(damaged->taken, 1); /* no other worker tries the same */
    ck_assert_uint_eq(dropped_count, 1);
    ck_assert_uint_eq(dropped[0], table[0].id);
    ck_assert_uint_eq(counter_read(&counters[COUNT_INVALID]), 1);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 1);
    end();
}
END_TEST

START_TEST(a_connection_whose_requests_are_damaged_is_closed)
{
    begin(4, 1);
    source_add(0, 0, 0);
    requests_damaged = true;
    start_all();
    vaults_answer();
    expect_done(1);
    ck_assert_uint_eq(conns.open, 0);
    ck_assert_uint_eq(closed_count, 1);
    ck_assert_uint_eq(counter_read(&counters[COUNT_INVALID]), 1);
    end();
}
END_TEST

START_TEST(a_damaged_arena_is_given_up_at_once)
{
    begin(4, 1);
    source_add(0, 0, 0);
    source.header->magic ^= 1;
    start_all();
    expect_done(0);
    ck_assert_uint_eq(question_count, 0);
    end();
}
END_TEST

/* ---- The kernel's counts ---- */

/* A connection with 10 bytes received and 50 to send, of which the kernel counts more. */
static struct conn_record *unrecorded(uint32_t received, uint32_t sent)
{
    const uint32_t announced = 1000;
    struct conn_record *record = source_add(0, 0, 0);

    memcpy(arena_block(&source, 1), &announced, sizeof(announced));
    record->cursors[0] = (struct conn_cursors){
        .in_block = 1, .in_end = 10, .received = 100, .out_block = 2, .out_end = 50, .sent = 200};
    kernel.moved = true;
    kernel.count = (struct stream_count){.received = 100 + received, .sent = 200 + sent};
    return record;
}

static void expect_correction(uint32_t in, uint32_t out)
{
    start_all();
    vaults_answer();
    ck_assert_uint_eq(counter_read(&counters[COUNT_CORRECTED_IN]), in);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CORRECTED_OUT]), out);
}

/* Bytes that the cursors describe; where they lie is the adopter's to choose. */
static void expect_cursors(uint64_t received, uint32_t input, uint64_t sent, uint32_t output)
{
    expect_done(1);
    ck_assert_uint_eq(cursors.received, received);
    ck_assert_uint_eq(cursors.in_end - cursors.in_start, input);
    ck_assert_uint_eq(cursors.sent, sent);
    ck_assert_uint_eq(cursors.out_end - cursors.out_start, output);
}

START_TEST(bytes_that_were_read_and_not_recorded_are_input)
{
    begin(4, 1);
    unrecorded(15, 0);
    expect_correction(1, 0);
    expect_cursors(115, 25, 200, 50);
    end();
}
END_TEST

START_TEST(bytes_that_were_sent_and_not_recorded_are_not_sent_again)
{
    begin(4, 1);
    unrecorded(0, 20);
    expect_correction(0, 1);
    expect_cursors(100, 10, 220, 30);
    char replies[64];
    conns_flush(&conns);
    ck_assert_int_eq(recv(table[0].client, replies, sizeof(replies), 0), 30);
    end();
}
END_TEST

START_TEST(bytes_that_were_dropped_and_not_recorded_become_no_input)
{
    begin(4, 1);
    unrecorded(15, 0)->cursors[0].flags = CONN_DISCARD | CONN_ENDING;
    expect_correction(1, 0);
    expect_cursors(115, 10, 200, 50);
    end();
}
END_TEST

START_TEST(a_record_that_is_complete_stays_as_it_is)
{
    begin(4, 1);
    unrecorded(0, 0);
    expect_correction(0, 0);
    expect_cursors(100, 10, 200, 50);
    end();
}
END_TEST

START_TEST(a_connection_with_empty_buffers_needs_no_count)
{
    begin(4, 1);
    unrecorded(15, 20);
    kernel.moved = false;
    expect_correction(0, 0);
    expect_cursors(100, 10, 200, 50);
    end();
}
END_TEST

/* Bytes that were sent and are not acknowledged yet look like bytes that were never sent. */
START_TEST(a_connection_that_its_worker_died_at_is_counted_although_its_buffers_are_empty)
{
    begin(4, 1);
    unrecorded(0, 20);
    kernel.moved = false;
    source.header->in_call = 1;
    expect_correction(0, 1);
    expect_cursors(100, 10, 220, 30);
    end();
}
END_TEST

static void expect_contradiction(void)
{
    expect_correction(0, 0);
    expect_done(0);
    ck_assert(!client_is_connected(0));
    ck_assert_uint_eq(source.records[0].taken, 1);
    ck_assert_uint_eq(counter_read(&counters[COUNT_CLOSED]), 1);
    end();
}

START_TEST(a_record_without_space_for_the_bytes_that_were_read_ends_its_connection)
{
    begin(4, 1);
    unrecorded((uint32_t)BLOCK_BYTES(0) - 10 + 1, 0);
    expect_contradiction();
}
END_TEST

START_TEST(a_record_without_a_block_for_the_bytes_that_were_read_ends_its_connection)
{
    begin(4, 1);
    struct conn_cursors *there = &unrecorded(1, 0)->cursors[0];
    there->in_block = BLOCK_NONE;
    there->in_end = 0;
    expect_contradiction();
}
END_TEST

START_TEST(a_record_with_less_to_send_than_was_sent_ends_its_connection)
{
    begin(4, 1);
    unrecorded(0, 51);
    expect_contradiction();
}
END_TEST

/* A record that is ahead of the kernel, too: the difference is a very large number. */
START_TEST(a_record_with_more_than_was_ever_read_ends_its_connection)
{
    begin(4, 1);
    unrecorded(0, 0);
    kernel.count.received--;
    expect_contradiction();
}
END_TEST

START_TEST(without_a_count_a_connection_that_its_worker_died_at_ends)
{
    begin(4, 1);
    unrecorded(0, 0);
    kernel.status = STREAM_UNKNOWN;
    source.header->in_call = 1;
    expect_contradiction();
}
END_TEST

START_TEST(without_a_count_every_other_connection_goes_on)
{
    begin(4, 1);
    unrecorded(0, 0);
    kernel.status = STREAM_UNKNOWN;
    source.header->in_call = 2;
    expect_correction(0, 0);
    expect_cursors(100, 10, 200, 50);
    end();
}
END_TEST

START_TEST(requests_of_a_client_that_is_gone_are_counted_and_its_connection_is_closed)
{
    begin(4, 1);
    unrecorded(15, 20);
    kernel.status = STREAM_DEAD;
    expect_correction(0, 0);
    expect_done(1);
    ck_assert(death.gone);
    ck_assert_uint_eq(conns.open, 0);
    end();
}
END_TEST

START_TEST(a_client_that_is_gone_keeps_nobody_waiting_for_room)
{
    begin(1, 1);
    source_add(0, 0, 0);
    kernel.moved = true;
    kernel.status = STREAM_DEAD;
    take_the_only_record();
    start_all();
    vaults_answer();
    expect_done(0);
    ck_assert_uint_eq(dropped_count, 1);
    end();
}
END_TEST

/* ---- Requests and server blocks ---- */

START_TEST(the_request_that_a_record_marks_is_the_guilty_one_when_none_is_named)
{
    begin(4, 1);
    source_add(0, 0, 0);
    start_all();
    vaults_answer();
    ck_assert(death.marked && !death.hung && !death.gone);
    ck_assert_ptr_eq(death.from, &adoption.from_arena);
    end();
}
END_TEST

START_TEST(the_request_that_the_master_names_is_the_guilty_one)
{
    begin(4, 1);
    source_add(0, 0, 0);
    struct message message = order_to_adopt();
    message.adopt.hung = 1;
    message.count = ADOPT_IDS;
    message.ids[ADOPT_CONNECTION] = table[0].id;
    message.ids[ADOPT_PLACE] = 77;
    start(&message);
    vaults_answer();
    ck_assert(!death.marked && death.hung);
    ck_assert_uint_eq(death.connection, table[0].id);
    ck_assert_uint_eq(death.place, 77);
    end();
}
END_TEST

START_TEST(a_connection_becomes_one_of_the_heir_of_its_listener)
{
    begin(4, 1);
    source_add(0, 0, 0);
    heir_listener = LISTENER_ID + 1;
    start_all();
    vaults_answer();
    ck_assert_uint_eq(listener, heir_listener);
    end();
}
END_TEST

START_TEST(a_connection_without_a_server_block_is_one_of_those_that_part)
{
    begin(4, 1);
    source_add(0, 0, 0);
    configured = false;
    start_all();
    vaults_answer();
    expect_done(1);
    ck_assert_ptr_eq(its_policy, &parting);
    end();
}
END_TEST

UNIT_MAIN("adopt", a_connection_that_was_taken_is_never_asked_for,
          a_connection_is_taken_once_however_often_its_source_is_gone_through,
          with_other_numbers_of_slots_each_connection_has_one_adopter,
          with_as_many_slots_each_connection_stays_in_its_slot,
          a_source_that_lives_keeps_the_connections_that_stay_with_it,
          a_source_that_is_dead_keeps_no_connection, without_a_rule_nothing_is_taken,
          a_damaged_record_ends_its_connection_and_no_other,
          a_connection_whose_requests_are_damaged_is_closed, a_damaged_arena_is_given_up_at_once,
          bytes_that_were_read_and_not_recorded_are_input,
          bytes_that_were_sent_and_not_recorded_are_not_sent_again,
          bytes_that_were_dropped_and_not_recorded_become_no_input,
          a_record_that_is_complete_stays_as_it_is, a_connection_with_empty_buffers_needs_no_count,
          a_connection_that_its_worker_died_at_is_counted_although_its_buffers_are_empty,
          a_record_without_space_for_the_bytes_that_were_read_ends_its_connection,
          a_record_without_a_block_for_the_bytes_that_were_read_ends_its_connection,
          a_record_with_less_to_send_than_was_sent_ends_its_connection,
          a_record_with_more_than_was_ever_read_ends_its_connection,
          without_a_count_a_connection_that_its_worker_died_at_ends,
          without_a_count_every_other_connection_goes_on,
          requests_of_a_client_that_is_gone_are_counted_and_its_connection_is_closed,
          a_client_that_is_gone_keeps_nobody_waiting_for_room,
          the_request_that_a_record_marks_is_the_guilty_one_when_none_is_named,
          the_request_that_the_master_names_is_the_guilty_one,
          a_connection_becomes_one_of_the_heir_of_its_listener,
          a_connection_without_a_server_block_is_one_of_those_that_part)
