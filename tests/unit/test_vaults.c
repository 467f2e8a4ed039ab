/* The rules of the vaults' seats (core/master/vaults.c): when a vault is started in a seat, and
 * when it is told to end; the counts on the board; and the seats' way through an upgrade. */
#include "vaults_fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- Starting ---- */

START_TEST(each_wanted_seat_has_one_vault)
{
    struct error error;

    serve(3);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert(vault_is(vault(i)));
    ck_assert(!vault_is(vault(3)));
    ck_assert(vaults_start(3, &error));
    ck_assert_uint_eq(child_count, 3);
    ck_assert(vaults_start(4, &error));
    ck_assert_uint_eq(child_count, 4);
    vaults_end();
    for (uint32_t i = 0; i < 4; i++)
        ck_assert(fakes[i].killed);
}
END_TEST

START_TEST(a_first_start_that_lacks_a_vault_fails_and_tries_no_more)
{
    struct error error = {0};

    begin(0);
    has_now = false;
    has_coming = true;
    coming.capacity.vaults = 2;
    pairs_left = 1;
    ck_assert(!vaults_start(2, &error));
    ck_assert_str_ne(error.text, "");
    ck_assert(vault_is(vault(0)));
    ck_assert_ptr_null(latest.timer);
}
END_TEST

START_TEST(a_server_that_lacks_a_vault_starts_it_later)
{
    struct error error;

    begin(2);
    no_process = true;
    ck_assert(!vaults_start(2, &error));
    ck_assert_uint_eq(child_count, 0);
    no_process = false;
    ck_assert(vaults_start(1, &error)); /* not before its time */
    ck_assert_uint_eq(child_count, 0);
    fire(latest.timer);
    ck_assert_uint_eq(child_count, 1);
}
END_TEST

START_TEST(the_master_keeps_its_own_end_of_a_vaults_channel_only)
{
    struct error error = {0};

    serve(1);
    ck_assert(is_open(pairs[0].master_end));
    ck_assert(!is_open(pairs[0].given));
    no_process = true;
    ck_assert(!vaults_start(2, &error));
    ck_assert_uint_eq(pair_count, 2);
    ck_assert(!is_open(pairs[1].master_end));
    ck_assert(!is_open(pairs[1].given));
    ck_assert_ptr_nonnull(strstr(error.text, "cannot start a vault: "));
}
END_TEST

START_TEST(a_new_vault_is_asked_for_a_sign_of_life)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    serve(1);
    ck_assert_int_eq(channel_receive(pairs[0].child_end, &message, fds, &fd_count),
                     CHANNEL_MESSAGE);
    ck_assert_uint_eq(message.type, MESSAGE_BEAT);
}
END_TEST

/* The number that the next descriptor gets. */
static int next_descriptor(void)
{
    int fd = fcntl(pairs[0].child_end, F_DUPFD_CLOEXEC, 0);

    close(fd);
    return fd;
}

START_TEST(descriptors_that_a_vault_sends_are_closed)
{
    struct message message = {.type = MESSAGE_ALIVE};

    serve(1);
    int next = next_descriptor();
    ck_assert(channel_send(pairs[0].child_end, &message, false, &pairs[0].child_end, 1));
    ck_assert(master_reads(pairs[0].master_end));
    ck_assert_uint_eq(heard_count, 1);
    ck_assert_int_eq(next_descriptor(), next);
}
END_TEST

/* ---- Dying ---- */

START_TEST(a_vault_that_dies_is_started_again_at_once)
{
    serve(2);
    crash(1);
    ck_assert_uint_eq(child_count, 3);
    ck_assert(vault_is(vault(2)));
    ck_assert(!vault_is(vault(1)));
    ck_assert_uint_eq(restarts(), 1);
}
END_TEST

START_TEST(the_third_quick_death_of_a_vault_delays_the_next_start)
{
    serve(1);
    crash(0);
    crash(1);
    ck_assert_uint_eq(child_count, 3);
    crash(2);
    ck_assert_uint_eq(child_count, 3);
    ck_assert_uint_gt(latest.ns, 0);
    fire(latest.timer);
    ck_assert_uint_eq(child_count, 4);
    ck_assert_uint_eq(restarts(), 3);
}
END_TEST

START_TEST(a_vault_that_has_lived_for_a_while_is_started_again_at_once)
{
    serve(1);
    crash(0);
    crash(1);
    now_ns += 2 * NS_PER_S;
    crash(2);
    ck_assert_uint_eq(child_count, 4);
    crash(3); /* the quick ones are counted anew */
    crash(4);
    ck_assert_uint_eq(child_count, 6);
}
END_TEST

START_TEST(quick_deaths_of_vaults_are_counted_by_seat)
{
    serve(3);
    for (uint32_t i = 0; i < 3; i++)
        crash(i);
    ck_assert_uint_eq(child_count, 6);
    ck_assert_ptr_null(latest.timer);
}
END_TEST

START_TEST(a_vault_that_cannot_be_started_is_tried_again_until_it_starts)
{
    serve(1);
    no_process = true;
    crash(0);
    ck_assert(!is_open(pairs[0].master_end));
    fire(latest.timer);
    ck_assert_uint_eq(child_count, 1);
    no_process = false;
    fire(latest.timer);
    ck_assert_uint_eq(child_count, 2);
    ck_assert(vault_is(vault(1)));
}
END_TEST

START_TEST(a_server_that_ends_starts_no_vault)
{
    serve(2);
    no_process = true;
    crash(0);
    no_process = false;
    master.mode = MASTER_QUITTING;
    fire(latest.timer);
    crash(1);
    ck_assert_uint_eq(child_count, 2);
}
END_TEST

/* ---- Surplus seats ---- */

START_TEST(a_seat_is_surplus_only_when_no_worker_may_use_it)
{
    serve(3);
    struct worker *worker = table_add(&before, WORKER_LEAVING),
                  *probe = table_add(&before, WORKER_STARTING);

    probe->probe = true; /* it has no connections */
    now.capacity.vaults = 1;
    vaults_sweep();
    ck_assert_uint_eq(told_count, 0);
    worker->generation = &now;
    now.resumed = true; /* what its workers use is not known */
    vaults_sweep();
    ck_assert_uint_eq(told_count, 0);
    now.resumed = false;
    has_coming = true;
    coming.capacity.vaults = 2;
    vaults_sweep();
    ck_assert_uint_eq(told_count, 1);
    ck_assert_int_eq(told[0].pid, vault(2));
    has_coming = false;
    vaults_sweep();
    ck_assert_uint_eq(told_count, 2); /* each once */
    ck_assert_int_eq(told[1].pid, vault(1));
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(told[i].type, MESSAGE_SURPLUS);
        ck_assert_uint_eq(told[i].number, 1);
    }
}
END_TEST

START_TEST(a_surplus_vault_that_ends_is_not_started_again)
{
    serve(2);
    now.capacity.vaults = 1;
    vaults_sweep();
    end_vault(1, 0);
    ck_assert_uint_eq(child_count, 2);
    ck_assert(!vault_is(vault(1)));
    ck_assert_uint_eq(restarts(), 0);
}
END_TEST

START_TEST(a_surplus_seat_that_is_wanted_again_keeps_its_vault_or_gets_another)
{
    struct error error;

    serve(2);
    now.capacity.vaults = 1;
    vaults_sweep();
    told_count = 0;
    now.capacity.vaults = 2;
    ck_assert(vaults_start(2, &error));
    ck_assert_uint_eq(child_count, 2);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_int_eq(told[0].pid, vault(1));
    ck_assert_uint_eq(told[0].type, MESSAGE_SURPLUS);
    ck_assert_uint_eq(told[0].number, 0);
    end_vault(1, 0); /* it had ended before it read that: no crash */
    ck_assert_uint_eq(child_count, 3);
    ck_assert(vault_is(vault(2)));
    ck_assert_uint_eq(restarts(), 0);
}
END_TEST

/* Workers have connections there, which they hand over again. */
START_TEST(a_surplus_vault_that_crashes_is_started_again_and_told_again)
{
    serve(2);
    now.capacity.vaults = 1;
    vaults_sweep();
    crash(1);
    ck_assert_uint_eq(restarts(), 1);
    ck_assert(vault_is(vault(2)));
    ck_assert_uint_eq(count(MESSAGE_SURPLUS, NULL, vault(2)), 1);
}
END_TEST

/* ---- Counts ---- */

START_TEST(the_board_counts_the_sockets_that_each_seat_holds_and_has_refused)
{
    serve(3);
    vault_holds(0, 7, 1);
    vault_holds(1, 5, 2);
    vault_holds(1, 4, 6);
    vault_holds(2, 3, 0);
    ck_assert_uint_eq(atomic_load(&master.board->vaults[0].held), 7);
    ck_assert_uint_eq(atomic_load(&master.board->vaults[1].held), 4);
    ck_assert_uint_eq(counter_read(&master.board->vaults[1].refused), 6);
    ck_assert_uint_eq(vaults_beyond_first(), 7);
    vault_tells(1, MESSAGE_HELD, 0, 9); /* no report: it lacks a number */
    ck_assert_uint_eq(vaults_beyond_first(), 7);
    crash(1);
    ck_assert_uint_eq(atomic_load(&master.board->vaults[1].held), 0);
    ck_assert_uint_eq(vaults_beyond_first(), 3);
    vault_holds(3, 1, 2); /* the seat's next process counts from 0 */
    ck_assert_uint_eq(counter_read(&master.board->vaults[1].refused), 8);
}
END_TEST

/* ---- Upgrade ---- */

START_TEST(an_upgrade_keeps_the_vault_of_each_seat)
{
    struct message refused = {.type = MESSAGE_HELD, .number = 9, .count = 1, .ids = {7}};
    struct error error;
    char text[512];
    int pair[2];

    begin(3);
    ck_assert(channel_pair(pair, &error));
    int first = new_channel(), third = pair[0];
    snprintf(text, sizeof(text),
             "{\"vaults\":[{\"seat\":2,\"pid\":%d,\"channel\":%d,\"held\":9,\"refused\":5,"
             "\"beats\":true,\"surplus\":true}],\"vault\":%d,\"vault_pid\":%d,\"vault_held\":4,"
             "\"vault_refused\":0,\"vault_beats\":true}",
             vault(21), third, first, vault(20));
    cJSON *state = cJSON_Parse(text), *written = cJSON_CreateObject();
    ck_assert_ptr_nonnull(state);
    vaults_read(state);
    ck_assert(vault_is(vault(20)));
    ck_assert(vault_is(vault(21)));
    ck_assert_uint_eq(atomic_load(&master.board->vaults[0].held), 4);
    ck_assert_uint_eq(vaults_beyond_first(), 9);
    vaults_write(written);
    ck_assert(cJSON_Compare(state, written, true));
    cJSON_Delete(state);
    cJSON_Delete(written);

    /* It counts on. */
    ck_assert(channel_send(pair[1], &refused, true, NULL, 0));
    ck_assert(master_reads(third));
    ck_assert_uint_eq(counter_read(&master.board->vaults[2].refused), 2);

    ck_assert(vaults_start(3, &error)); /* only the seat between them is free */
    ck_assert_uint_eq(child_count, 1);
    ck_assert_uint_eq(count(MESSAGE_SURPLUS, NULL, 0), 1); /* it is to stay */
}
END_TEST

START_TEST(missing_and_unknown_members_of_the_handed_on_state_change_nothing)
{
    static const char *const states[] = {
        "{}",
        "{\"vaults\":7,\"vault_pid\":\"x\"}",
        "{\"vault_pid\":-1,\"vault\":-1,\"vaults\":[]}",
        "{\"vaults\":[{\"pid\":5000020},{\"seat\":1},{\"seat\":0,\"pid\":5000020},3,null]}",
        "{\"vaults\":[{\"seat\":128,\"pid\":5000020},{\"seat\":-1,\"pid\":5000020}]}",
    };
    char text[512];

    begin(1);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        cJSON *state = cJSON_Parse(states[i]);
        ck_assert_ptr_nonnull(state);
        vaults_read(state);
        ck_assert(!vault_is(vault(20)));
        cJSON_Delete(state);
    }
    snprintf(text, sizeof(text),
             "{\"vault\":%d,\"vault_pid\":%d,\"new\":{},\"vaults\":[{\"new\":1,\"seat\":1,"
             "\"pid\":%d,\"channel\":%d}]}",
             new_channel(), vault(20), vault(21), new_channel());
    cJSON *state = cJSON_Parse(text);
    vaults_read(state);
    cJSON_Delete(state);
    ck_assert(vault_is(vault(20)));
    ck_assert(vault_is(vault(21)));
    ck_assert_uint_eq(vaults_beyond_first(), 0);
}
END_TEST

START_TEST(the_channels_to_vaults_stay_open_over_an_upgrade_only)
{
    serve(2);
    no_process = true;
    crash(1);
    vaults_keep_open(true);
    ck_assert_int_eq(fcntl(pairs[fakes[0].pair].master_end, F_GETFD), 0);
    vaults_keep_open(false);
    ck_assert_int_eq(fcntl(pairs[fakes[0].pair].master_end, F_GETFD), FD_CLOEXEC);
}
END_TEST

UNIT_MAIN("vaults", each_wanted_seat_has_one_vault,
          a_first_start_that_lacks_a_vault_fails_and_tries_no_more,
          a_server_that_lacks_a_vault_starts_it_later,
          the_master_keeps_its_own_end_of_a_vaults_channel_only,
          a_new_vault_is_asked_for_a_sign_of_life, descriptors_that_a_vault_sends_are_closed,
          a_vault_that_dies_is_started_again_at_once,
          the_third_quick_death_of_a_vault_delays_the_next_start,
          a_vault_that_has_lived_for_a_while_is_started_again_at_once,
          quick_deaths_of_vaults_are_counted_by_seat,
          a_vault_that_cannot_be_started_is_tried_again_until_it_starts,
          a_server_that_ends_starts_no_vault, a_seat_is_surplus_only_when_no_worker_may_use_it,
          a_surplus_vault_that_ends_is_not_started_again,
          a_surplus_seat_that_is_wanted_again_keeps_its_vault_or_gets_another,
          a_surplus_vault_that_crashes_is_started_again_and_told_again,
          the_board_counts_the_sockets_that_each_seat_holds_and_has_refused,
          an_upgrade_keeps_the_vault_of_each_seat,
          missing_and_unknown_members_of_the_handed_on_state_change_nothing,
          the_channels_to_vaults_stay_open_over_an_upgrade_only)
