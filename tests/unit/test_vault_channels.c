/* How the master keeps vaults and workers together: the channel between each of them and each
 * worker (core/master/vault_channels.c), the ends of workers, and the vaults' signs of life. */
#include "vaults_fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- Workers ---- */

START_TEST(a_new_vault_is_shown_to_every_worker_with_connections_the_leaving_ones_first)
{
    serve(1);
    struct worker *serving = table_add(&now, WORKER_SERVING),
                  *starting = table_add(&now, WORKER_STARTING);
    struct worker *leaving = table_add(&before, WORKER_LEAVING),
                  *staying = table_add(&before, WORKER_STAYING);
    struct worker *owing = table_add(&before, WORKER_RELEASED),
                  *done = table_add(&before, WORKER_RELEASED);
    struct worker *lost = table_add(&before, WORKER_LOST),
                  *probe = table_add(&now, WORKER_STARTING);
    const struct worker *order[5] = {leaving, staying, owing, serving, starting};
    uint32_t shown = 0;

    probe->probe = true;
    awaited = owing->serial;
    crash(0);
    for (uint32_t i = 0; i < told_count; i++) {
        if (told[i].type != MESSAGE_VAULT)
            continue;
        ck_assert_uint_lt(shown, 5);
        ck_assert_ptr_eq(told[i].worker, order[shown]);
        ck_assert_uint_eq(told[i].number, 0);
        ck_assert_uint_eq(told[i].serial, order[shown++]->vaults.shown[0]);
        /* The vault has the other end already. */
        ck_assert_uint_eq(told[i - 1].type, MESSAGE_WORKER);
        ck_assert_int_eq(told[i - 1].pid, vault(1));
        ck_assert_uint_eq(told[i - 1].serial, told[i].worker->serial);
    }
    ck_assert_uint_eq(shown, 5);
    ck_assert_uint_eq(done->vaults.shown[0], 0);
    ck_assert_uint_eq(lost->vaults.shown[0], 0);
}
END_TEST

START_TEST(the_master_keeps_no_end_of_a_channel_between_vault_and_worker)
{
    serve(1);
    struct worker *worker = table_add(&now, WORKER_SERVING);

    crash(0);
    send_error = EMFILE;
    vault_tells(1, MESSAGE_UNREACHED, worker->serial, 0);
    fire(latest.timer);
    ck_assert_uint_eq(pair_count, 4); /* two vaults' own, one that was shown, one that failed */
    for (size_t i = 2; i < 4; i++) {
        ck_assert(!is_open(pairs[i].master_end));
        ck_assert(!is_open(pairs[i].given));
    }
}
END_TEST

START_TEST(each_vault_of_a_seat_is_shown_by_a_name_of_its_own)
{
    serve(1);
    struct worker *worker = table_add(&now, WORKER_SERVING);

    crash(0);
    uint64_t name = worker->vaults.shown[0];
    ck_assert_uint_ne(name, 0);
    crash(1);
    ck_assert_uint_ne(worker->vaults.shown[0], name);
}
END_TEST

START_TEST(a_worker_of_a_single_vault_version_is_shown_seat_0_only)
{
    serve(2);
    struct worker *old = table_add(&before, WORKER_SERVING),
                  *other = table_add(&now, WORKER_SERVING);

    old->vaults.single = true;
    crash(1);
    ck_assert_uint_eq(count(MESSAGE_VAULT, other, 0), 1);
    ck_assert_uint_eq(count(MESSAGE_VAULT, old, 0), 0);
    crash(0);
    ck_assert_uint_eq(count(MESSAGE_VAULT, other, 0), 2);
    ck_assert_uint_eq(count(MESSAGE_VAULT, old, 0), 1);
}
END_TEST

START_TEST(a_worker_without_a_channel_is_tried_again_for_that_seat_only)
{
    serve(3);
    struct worker *first = table_add(&now, WORKER_SERVING),
                  *second = table_add(&now, WORKER_SERVING);

    pairs_left = 2; /* the vault's own, and the first worker's */
    crash(1);
    ck_assert_uint_eq(count(MESSAGE_VAULT, first, 0), 1);
    ck_assert_uint_eq(count(MESSAGE_VAULT, second, 0), 0);
    ck_assert(!vaults_unreached(first));
    ck_assert(vaults_unreached(second));
    ck_assert(second->vaults.unreached[1]);
    pairs_left = 0;
    fire(latest.timer); /* in vain */
    ck_assert(vaults_unreached(second));
    fire(latest.timer);
    ck_assert(!vaults_unreached(second));
    ck_assert_uint_eq(count(MESSAGE_VAULT, first, 0), 1);
    ck_assert_uint_eq(count(MESSAGE_VAULT, second, 0), 1);
    ck_assert_uint_eq(told[told_count - 1].number, 1); /* the seat */
}
END_TEST

START_TEST(a_worker_is_not_tried_again_for_a_vault_that_is_ending)
{
    serve(1);
    struct worker *worker = table_add(&now, WORKER_SERVING);

    send_error = EPIPE;
    crash(0);
    ck_assert_uint_eq(count(MESSAGE_VAULT, worker, 0), 0);
    ck_assert(!vaults_unreached(worker));
    ck_assert_ptr_null(latest.timer);
    send_error = EMFILE; /* it lives */
    crash(1);
    ck_assert(vaults_unreached(worker));
    ck_assert(timer_is_set(latest.timer));
}
END_TEST

START_TEST(a_serving_worker_that_the_vault_has_no_descriptor_for_is_tried_again)
{
    serve(2);
    struct worker *worker = table_add(&now, WORKER_SERVING);

    vault_tells(1, MESSAGE_UNREACHED, worker->serial, 0);
    ck_assert(vaults_unreached(worker));
    ck_assert_uint_eq(failures, 0);
    fire(latest.timer);
    ck_assert(!vaults_unreached(worker));
    ck_assert_uint_eq(count(MESSAGE_WORKER, NULL, vault(1)), 1);
    ck_assert_uint_eq(count(MESSAGE_WORKER, NULL, vault(0)), 0);
}
END_TEST

/* Its next vault hears of all workers when it starts. */
START_TEST(a_worker_is_not_tried_again_once_the_vault_has_ended)
{
    serve(1);
    vault_tells(0, MESSAGE_UNREACHED, table_add(&now, WORKER_SERVING)->serial, 0);
    struct timer *reach = latest.timer;
    ck_assert(timer_is_set(reach));
    no_process = true;
    crash(0);
    ck_assert(!timer_is_set(reach));
}
END_TEST

START_TEST(a_next_generation_that_a_vault_cannot_reach_fails)
{
    serve(1);
    has_coming = true;
    struct worker *worker = table_add(&coming, WORKER_READY);

    vault_tells(0, MESSAGE_UNREACHED, worker->serial + 1, 0); /* no worker */
    ck_assert_uint_eq(failures, 0);
    vault_tells(0, MESSAGE_UNREACHED, worker->serial, 0);
    ck_assert_uint_eq(failures, 1);
    ck_assert_ptr_nonnull(strstr(failure, "vault 0 has no descriptor left"));
    ck_assert(!vaults_unreached(worker));
    vault_tells(0, MESSAGE_UNREACHED, worker->serial, ENOMEM);
    ck_assert_uint_eq(failures, 2);
    ck_assert_str_eq(failure, "vault 0 cannot listen to another worker: Cannot allocate memory "
                              "(ENOMEM)");
}
END_TEST

START_TEST(a_worker_that_has_cut_its_channel_is_ended_unless_it_ends_already)
{
    serve(1);
    table_add(&now, WORKER_SERVING);
    struct worker *worker = table_add(&now, WORKER_SERVING);

    exiting = true;
    vault_tells(0, MESSAGE_CUT, worker->serial, 0);
    ck_assert_ptr_null(killed_worker);
    exiting = false;
    vault_tells(0, MESSAGE_CUT, worker->serial, 0);
    ck_assert_ptr_eq(killed_worker, worker);
    ck_assert_int_eq(killed_cause, CAUSE_BROKEN);
}
END_TEST

START_TEST(a_starting_worker_gets_a_channel_to_every_vault_or_to_none)
{
    int channels[VAULT_PROCESSES_MAX];
    struct error error = {0};

    serve(3);
    struct worker *worker = table_add(&now, WORKER_STARTING);
    memset(channels, -1, sizeof(channels));
    pairs_left = 2;
    ck_assert(!vaults_connect(worker, channels, &error));
    ck_assert_str_ne(error.text, "");
    ck_assert_uint_eq(told_count, 0);
    ck_assert_int_lt(fcntl(pairs[pair_count - 1].master_end, F_GETFD), 0); /* closed */
    ck_assert_int_lt(fcntl(pairs[pair_count - 1].given, F_GETFD), 0);
    ck_assert(vaults_connect(worker, channels, &error));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_ge(fcntl(channels[i], F_GETFD), 0);
        ck_assert_uint_eq(count(MESSAGE_WORKER, NULL, vault(i)), 1);
    }
    ck_assert_int_eq(channels[3], -1);
}
END_TEST

START_TEST(a_message_to_the_vaults_reaches_each_that_is_there)
{
    serve(3);
    no_process = true;
    crash(1);
    told_count = 0;
    vaults_tell(MESSAGE_RETIRE, 7);
    ck_assert_uint_eq(told_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(told[i].pid, vault(2 * i));
        ck_assert_uint_eq(told[i].type, MESSAGE_RETIRE);
        ck_assert_uint_eq(told[i].serial, 7);
    }
}
END_TEST

START_TEST(only_vaults_that_the_released_worker_names_may_hand_its_connections_out)
{
    serve(3);
    struct worker *worker = table_add(&before, WORKER_LEAVING);

    crash(0);
    crash(1); /* of which the worker has not heard when it says RELEASED */
    told_count = 0;
    struct message message = {.type = MESSAGE_RELEASED, .count = 3};
    message.ids[0] = worker->vaults.shown[0];
    message.ids[1] = 1; /* the former one */
    message.ids[2] = 0; /* seat 2 has its first vault, which was never shown */
    vaults_released(worker, &message);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(3)), 1);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(4)), 0);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(2)), 1);
    ck_assert_uint_eq(told[0].serial, worker->serial);
    message.ids[1] = worker->vaults.shown[1];
    vaults_released(worker, &message);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(4)), 1);
}
END_TEST

START_TEST(a_released_worker_of_an_earlier_version_names_seat_0_in_its_serial)
{
    serve(1);
    struct worker *worker = table_add(&before, WORKER_LEAVING);

    crash(0);
    told_count = 0;
    struct message message = {.type = MESSAGE_RELEASED, .serial = worker->vaults.shown[0] - 1};
    vaults_released(worker, &message);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, 0), 0);
    message.serial = worker->vaults.shown[0];
    vaults_released(worker, &message);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(1)), 1);
    message.serial = worker->serial; /* of the first version */
    vaults_released(worker, &message);
    ck_assert_uint_eq(count(MESSAGE_DEAD, NULL, vault(1)), 2);
}
END_TEST

/* ---- Signs of life ---- */

static struct pulse_round next_round(void)
{
    return (struct pulse_round){.question = pulse_question(), .pace_ns = NS_PER_S};
}

START_TEST(a_vault_that_is_silent_for_all_rounds_is_ended)
{
    serve(2);
    for (uint32_t i = 0; i < PULSE_ROUNDS; i++) {
        struct pulse_round round = next_round();
        ck_assert_int_eq(vaults_round(&round), i > 0);
        ck_assert(!fakes[0].killed);
        vault_tells(1, MESSAGE_ALIVE, round.question, 0);
    }
    struct pulse_round round = next_round();
    ck_assert(vaults_round(&round));
    ck_assert(fakes[0].killed);
    ck_assert(!fakes[1].killed);
    ck_assert_uint_eq(heard_count, PULSE_ROUNDS);
    crash(0);
    ck_assert(vault_is(vault(2)));
}
END_TEST

START_TEST(one_answer_ends_the_silence_of_a_vault)
{
    serve(1);
    for (uint32_t i = 0; i < 3 * PULSE_ROUNDS; i++) {
        struct pulse_round round = next_round();
        bool silent = vaults_round(&round);
        ck_assert(i % 3 != 0 || !silent);
        if (i % 3 == 2)
            vault_tells(0, MESSAGE_ALIVE, round.question, 0);
    }
    ck_assert(!fakes[0].killed);
}
END_TEST

START_TEST(a_wanted_vault_that_is_missing_is_silent)
{
    uint32_t seat;

    serve(2);
    no_process = true;
    crash(1);
    struct pulse_round round = next_round();
    ck_assert(vaults_round(&round));
    vault_tells(0, MESSAGE_ALIVE, round.question, 0);
    ck_assert(!vaults_heard(round.question, &seat));
    ck_assert_uint_eq(seat, 1);
    now.capacity.vaults = 1; /* not wanted */
    ck_assert(vaults_heard(round.question, &seat));
    ck_assert(!vaults_round(&round));
}
END_TEST

START_TEST(a_question_is_heard_once_every_vault_has_answered_it_or_a_later_one)
{
    uint32_t seat;

    serve(2);
    uint64_t question = pulse_question(), later = pulse_question();
    vaults_ask(question);
    ck_assert(!vaults_heard(question, &seat));
    ck_assert_uint_eq(seat, 0);
    vault_tells(0, MESSAGE_ALIVE, later, 0);
    ck_assert(!vaults_heard(question, &seat));
    ck_assert_uint_eq(seat, 1);
    vault_tells(1, MESSAGE_ALIVE, question, 0);
    ck_assert(vaults_heard(question, &seat));
    ck_assert(!vaults_heard(later, &seat));
    crash(0); /* the new vault has answered nothing */
    ck_assert(!vaults_heard(question, &seat));
    ck_assert_uint_eq(seat, 0);
}
END_TEST

/* Their version does not answer. */
START_TEST(a_vault_of_a_version_without_beats_is_never_taken_for_silent)
{
    uint32_t seat;
    char text[128];

    begin(1);
    snprintf(text, sizeof(text), "{\"vault\":%d,\"vault_pid\":%d}", new_channel(), vault(20));
    cJSON *state = cJSON_Parse(text);
    vaults_read(state);
    cJSON_Delete(state);
    for (uint32_t i = 0; i < 2 * PULSE_ROUNDS; i++) {
        struct pulse_round round = next_round();
        ck_assert(!vaults_round(&round));
        ck_assert(vaults_heard(round.question, &seat));
    }
    ck_assert(!fakes[20].killed);
}
END_TEST

UNIT_MAIN("vault_channels",
          a_new_vault_is_shown_to_every_worker_with_connections_the_leaving_ones_first,
          the_master_keeps_no_end_of_a_channel_between_vault_and_worker,
          each_vault_of_a_seat_is_shown_by_a_name_of_its_own,
          a_worker_of_a_single_vault_version_is_shown_seat_0_only,
          a_worker_without_a_channel_is_tried_again_for_that_seat_only,
          a_worker_is_not_tried_again_for_a_vault_that_is_ending,
          a_serving_worker_that_the_vault_has_no_descriptor_for_is_tried_again,
          a_worker_is_not_tried_again_once_the_vault_has_ended,
          a_next_generation_that_a_vault_cannot_reach_fails,
          a_worker_that_has_cut_its_channel_is_ended_unless_it_ends_already,
          a_starting_worker_gets_a_channel_to_every_vault_or_to_none,
          a_message_to_the_vaults_reaches_each_that_is_there,
          only_vaults_that_the_released_worker_names_may_hand_its_connections_out,
          a_released_worker_of_an_earlier_version_names_seat_0_in_its_serial,
          a_vault_that_is_silent_for_all_rounds_is_ended, one_answer_ends_the_silence_of_a_vault,
          a_wanted_vault_that_is_missing_is_silent,
          a_question_is_heard_once_every_vault_has_answered_it_or_a_later_one,
          a_vault_of_a_version_without_beats_is_never_taken_for_silent)
