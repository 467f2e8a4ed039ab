/* Signs of life, as a matter of rounds: see core/master/pulse.h. What the kernel says of a
 * process is made up here (child_view is wrapped, tests.mk). */
#include "unit.h"

#include "base/clock.h"
#include "master/pulse.h"
#include "process/channel.h"

#define PACE NS_PER_S

static struct child_view view;
static struct pulse pulse;
static int ends[2];
static struct pulse_round now;

struct child_view __wrap_child_view(pid_t pid);
struct child_view __wrap_child_view(pid_t pid)
{
    (void)pid;
    return view;
}

static void start(char state)
{
    struct error error;

    view = (struct child_view){.state = state};
    pulse = (struct pulse){.known = true};
    now = (struct pulse_round){.pace_ns = PACE};
    ck_assert(channel_pair(ends, &error));
}

/* Rounds until it is taken for dead, `most` at most. */
static uint32_t rounds(uint32_t most, bool busy, bool excused)
{
    for (uint32_t i = 1; i <= most; i++) {
        now.question = pulse_question();
        if (!pulse_round(&pulse, 1, ends[0], &now, busy, excused))
            return i;
    }
    return 0;
}

static void expect_asked(uint64_t questions)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    while (channel_receive(ends[1], &message, fds, &fd_count) == CHANNEL_MESSAGE) {
        ck_assert_uint_eq(message.type, MESSAGE_BEAT);
        questions--;
    }
    ck_assert_uint_eq(questions, 0);
}

START_TEST(silence_is_found_after_five_rounds_in_which_it_should_have_answered)
{
    static const struct {
        char state;
        uint32_t rounds;
    } rows[] = {{'T', PULSE_ROUNDS},
                {'t', PULSE_ROUNDS},
                {'S', PULSE_ROUNDS},
                {'?', PULSE_SILENT}}; /* without /proc nobody can tell */

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        start(rows[i].state);
        /* The first round asks; nothing can have been answered before. */
        ck_assert_uint_eq(rounds(100, false, false), 1 + rows[i].rounds);
        expect_asked(rows[i].rounds);
        ck_assert_uint_eq(rounds(100, false, false), 0); /* once */
    }
}
END_TEST

START_TEST(an_answer_however_late_is_a_sign_of_life)
{
    start('S');
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(rounds(PULSE_ROUNDS, false, false), 0);
        pulse_heard(&pulse, now.question);
    }
    ck_assert_uint_gt(rounds(100, false, false), 0);
}
END_TEST

/* However loaded the machine is: it gets no processor, and uses none. */
START_TEST(a_process_that_waits_for_a_processor_is_not_silent)
{
    start('R');
    ck_assert_uint_eq(rounds(100000, false, false), 0);
}
END_TEST

START_TEST(a_process_that_spins_is_found_later)
{
    uint32_t found = 0, i = 0;

    start('R');
    for (; found == 0 && i < 1000; i++) {
        view.cpu_ns += PACE;
        found = rounds(1, false, false);
    }
    ck_assert_uint_eq(i, 1 + PULSE_SILENT);
}
END_TEST

START_TEST(a_process_that_waits_for_a_disk_is_found_later)
{
    start('D');
    ck_assert_uint_eq(rounds(1000, false, false), 1 + PULSE_SILENT);
}
END_TEST

START_TEST(a_handler_has_a_watchdog_of_its_own)
{
    static const char states[] = "RSDt";

    for (size_t i = 0; i < sizeof(states) - 1; i++) {
        start(states[i]);
        view.cpu_ns += PACE;
        ck_assert_uint_eq(rounds(1000, true, false), 0);
    }
    start('T'); /* stopped: the handler does not go on either */
    ck_assert_uint_eq(rounds(1000, true, false), 1 + PULSE_ROUNDS);
}
END_TEST

START_TEST(a_handler_between_two_rounds_begins_the_count_anew)
{
    start('S');
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(rounds(PULSE_ROUNDS - 1, false, false), 0);
        ck_assert_uint_eq(rounds(1, true, false), 0);
    }
}
END_TEST

START_TEST(the_silence_of_another_process_is_an_excuse)
{
    start('S');
    ck_assert_uint_eq(rounds(1000, false, true), 0);
    ck_assert_uint_eq(rounds(1000, false, false), PULSE_ROUNDS);
}
END_TEST

START_TEST(a_process_being_reaped_is_not_silent)
{
    start('Z');
    ck_assert_uint_eq(rounds(1000, false, false), 0);
    start('S');
    view.exiting = true;
    ck_assert_uint_eq(rounds(1000, false, false), 0);
}
END_TEST

START_TEST(processes_of_older_binaries_are_not_asked)
{
    start('S');
    pulse.known = false;
    ck_assert_uint_eq(rounds(1000, false, false), 0);
    expect_asked(0);
}
END_TEST

UNIT_MAIN("heartbeat", silence_is_found_after_five_rounds_in_which_it_should_have_answered,
          an_answer_however_late_is_a_sign_of_life,
          a_process_that_waits_for_a_processor_is_not_silent, a_process_that_spins_is_found_later,
          a_process_that_waits_for_a_disk_is_found_later, a_handler_has_a_watchdog_of_its_own,
          a_handler_between_two_rounds_begins_the_count_anew,
          the_silence_of_another_process_is_an_excuse, a_process_being_reaped_is_not_silent,
          processes_of_older_binaries_are_not_asked)
