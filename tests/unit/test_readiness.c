/* When the registry is told that this server is not ready, or full: core/master/readiness.c, with a
 * board, a clock and a timer that are the test's (tests.mk). */
#include "master/readiness.h"

#include "base/clock.h"
#include "event/loop.h"
#include "rpc/overview.h"

#include "unit.h"

static uint64_t now = NS_PER_S;
static uint32_t serving, crowded;
static struct timer *set;
static timer_callback callback;
static uint64_t due;
static int told; /* enum offer; -1: nothing */

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    return now;
}

uint32_t __wrap_overview_serving(const struct board *board);
uint32_t __wrap_overview_serving(const struct board *board)
{
    (void)board;
    return serving;
}

struct holdings __wrap_overview_holdings(const struct board *board);
struct holdings __wrap_overview_holdings(const struct board *board)
{
    (void)board;
    return (struct holdings){.crowded = crowded};
}

void __wrap_timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback call);
void __wrap_timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback call)
{
    (void)loop;
    set = timer;
    due = now + ns;
    callback = call;
}

void __wrap_timer_cancel(struct loop *loop, struct timer *timer);
void __wrap_timer_cancel(struct loop *loop, struct timer *timer)
{
    (void)loop;
    (void)timer;
    set = NULL;
}

static void tell(enum offer how)
{
    told = (int)how;
}

static void begin(enum offer how)
{
    serving = 2;
    told = -1;
    readiness_watch(how, tell);
}

/* Lets so many milliseconds go by. Returns what was told meanwhile. */
static int pass(uint64_t ms)
{
    uint64_t end = now + ms * NS_PER_MS;

    told = -1;
    while (set != NULL && due <= end) {
        now = due;
        callback(set);
    }
    now = end;
    return told;
}

START_TEST(a_worker_that_is_replaced_in_time_is_not_told)
{
    begin(OFFER_WHOLE);
    for (int i = 0; i < 10; i++) {
        serving = 0;
        ck_assert_int_eq(pass(1500), -1);
        serving = 1;
        ck_assert_int_eq(pass(500), -1);
    }
}
END_TEST

START_TEST(a_server_without_workers_is_taken_out_and_put_back)
{
    begin(OFFER_WHOLE);
    ck_assert_int_eq(pass(10000), -1);
    serving = 0;
    ck_assert_int_eq(pass(2500), OFFER_NONE);
    ck_assert_int_eq(pass(10000), -1);
    serving = 1;
    ck_assert_int_eq(pass(750), -1);
    ck_assert_int_eq(pass(1000), OFFER_WHOLE);
}
END_TEST

START_TEST(a_full_server_gets_the_least_weight)
{
    begin(OFFER_WHOLE);
    crowded = 1; /* of two workers: there is room in the other one */
    ck_assert_int_eq(pass(10000), -1);
    crowded = 2;
    ck_assert_int_eq(pass(2500), OFFER_LITTLE);
    serving = 0;
    ck_assert_int_eq(pass(2500), OFFER_NONE);
    serving = 2;
    ck_assert_int_eq(pass(1500), OFFER_LITTLE);
    crowded = 0;
    ck_assert_int_eq(pass(1500), OFFER_WHOLE);
}
END_TEST

/* Another process goes on with what the one before it was told. */
START_TEST(what_was_told_before_is_not_told_again)
{
    begin(OFFER_NONE);
    serving = 0;
    ck_assert_int_eq(pass(10000), -1);
    serving = 1;
    ck_assert_int_eq(pass(1500), OFFER_WHOLE);
    readiness_stop();
    serving = 0;
    ck_assert_int_eq(pass(10000), -1);
}
END_TEST

UNIT_MAIN("readiness", a_worker_that_is_replaced_in_time_is_not_told,
          a_server_without_workers_is_taken_out_and_put_back, a_full_server_gets_the_least_weight,
          what_was_told_before_is_not_told_again)
