/* Time slices: see core/net/slice.h. The clock is the test's own (the linker wraps clock_ns). */
#include "unit.h"

#include "must.h"
#include "net/slice.h"

static uint64_t now_ns, looks;

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    looks++;
    return now_ns;
}

static struct slice slice;

static void slice_is_new(void)
{
    slice = (struct slice){0};
    now_ns = 1000000;
    looks = 0;
}

/* ---- Time ---- */

START_TEST(slice_starts_with_the_first_request_and_lasts_25_us)
{
    slice_is_new();
    for (unsigned i = 0; i < 100; i++) {
        must(slice_may_begin(&slice));
        now_ns += 249; /* 24.9 us after the last one */
    }
    ck_assert_uint_eq(slice.begun, 100);
    now_ns = 1000000 + SLICE_NS - 1;
    ck_assert(slice_lasts(&slice));
    now_ns++;
    ck_assert(!slice_lasts(&slice));
    ck_assert(!slice_may_begin(&slice)); /* the 101st looks at the clock */
    ck_assert_uint_eq(slice.begun, 100);
    ck_assert_uint_eq(slice.seen_ns, now_ns);
}
END_TEST

START_TEST(slice_looks_at_the_clock_for_every_fourth_request)
{
    slice_is_new();
    for (unsigned i = 0; i < 64; i++)
        must(slice_may_begin(&slice));
    ck_assert_uint_eq(looks, 16);
    /* So a slice overruns by three requests at most. */
    ck_assert(slice_may_begin(&slice));
    now_ns += SLICE_NS;
    for (unsigned i = 0; i < 3; i++)
        ck_assert(slice_may_begin(&slice));
    ck_assert(!slice_may_begin(&slice));
}
END_TEST

START_TEST(slice_that_ended_is_followed_by_a_whole_one)
{
    slice_is_new();
    ck_assert(slice_may_begin(&slice));
    now_ns += 10 * SLICE_NS;
    ck_assert(!slice_lasts(&slice));
    slice_end(&slice);
    now_ns += 10 * SLICE_NS; /* nothing asks for time: the slice has not started */
    ck_assert(slice_may_begin(&slice));
    ck_assert_uint_eq(slice.begun, 1);
    now_ns += SLICE_NS - 1;
    ck_assert(slice_lasts(&slice));
    now_ns++;
    ck_assert(!slice_lasts(&slice));
}
END_TEST

/* ---- Waiters ---- */

#define WAITERS 5u
static struct slice_waiter waiters[WAITERS];

/* The waiters that slice_take gives, as digits of a number, the first one as the highest. */
static unsigned taken(void)
{
    unsigned digits = 0;

    for (const struct slice_waiter *w = slice_take(&slice); w != NULL; w = w->next)
        digits = digits * 10 + 1 + (unsigned)(w - waiters);
    return digits;
}

START_TEST(slice_serves_waiters_in_the_order_in_which_they_came)
{
    slice_is_new();
    ck_assert(!slice_is_awaited(&slice));
    ck_assert(!slice_order(&slice));
    for (unsigned i = 0; i < WAITERS; i++)
        slice_wait(&slice, &waiters[i], false);
    ck_assert(slice_order(&slice));
    ck_assert(slice_is_awaited(&slice));
    ck_assert_uint_eq(taken(), 12345);
    ck_assert(!slice_is_awaited(&slice));
    ck_assert_uint_eq(taken(), 0);
}
END_TEST

START_TEST(slice_serves_waiters_without_progress_first)
{
    slice_is_new();
    for (unsigned i = 0; i < WAITERS; i++)
        slice_wait(&slice, &waiters[i], i % 2 == 0); /* 1, 3 and 5 have made progress */
    ck_assert(slice_order(&slice));
    ck_assert_uint_eq(taken(), 24135);

    slice_wait(&slice, &waiters[2], true);
    ck_assert(slice_order(&slice)); /* also when all of them have made progress */
    ck_assert_uint_eq(taken(), 3);
}
END_TEST

/* Two connections are served in each round, and the others come too late for it: none is passed
 * by. */
START_TEST(slice_serves_every_waiter_before_it_serves_one_again)
{
    static const unsigned orders[] = {12345, 34512, 51234, 23451};

    slice_is_new();
    for (unsigned i = 0; i < WAITERS; i++)
        slice_wait(&slice, &waiters[i], true);
    for (size_t round = 0; round < sizeof(orders) / sizeof(*orders); round++) {
        unsigned digits = 0, count = 0;
        slice_order(&slice);
        for (struct slice_waiter *next, *w = slice_take(&slice); w != NULL; w = next) {
            next = w->next;
            digits = digits * 10 + 1 + (unsigned)(w - waiters);
            slice_wait(&slice, w, count++ < 2);
        }
        ck_assert_uint_eq(digits, orders[round]);
    }
}
END_TEST

UNIT_MAIN("slice", slice_starts_with_the_first_request_and_lasts_25_us,
          slice_looks_at_the_clock_for_every_fourth_request,
          slice_that_ended_is_followed_by_a_whole_one,
          slice_serves_waiters_in_the_order_in_which_they_came,
          slice_serves_waiters_without_progress_first,
          slice_serves_every_waiter_before_it_serves_one_again)
