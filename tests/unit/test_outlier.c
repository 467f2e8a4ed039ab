/* Servers that do much worse than others, simulated: see modules/outlier.h. */
#include "unit.h"

#include <stdio.h>

#include "../../modules/choose.h"
#include "../../modules/outlier.h"

enum { SERVERS = 10, BAD = 3, REQUESTS = 20000, MOST_US = 1 << 20 };

START_TEST(logarithms_are_right_within_a_sixteenth)
{
    ck_assert_uint_eq(outlier_log(0), 0);
    ck_assert_uint_eq(outlier_log(1), 0);
    for (uint64_t us = 1; us < UINT64_C(1) << 40; us += us / 7 + 1) {
        uint64_t back = outlier_time(outlier_log(us));
        ck_assert_msg(back <= us && us - back <= us / 16, "%lu: %lu", us, back);
    }
}
END_TEST

START_TEST(a_few_slow_answers_are_not_typical)
{
    struct outlier_seen seen = {0};

    for (int i = 0; i < 97; i++)
        outlier_note(&seen, 1000, false);
    for (int i = 0; i < 3; i++)
        outlier_note(&seen, 60000000, false);
    ck_assert_uint_lt(outlier_typical_us(&seen), 1500);
}
END_TEST

/* `count` answers of this time, of which `errors` are none. */
static struct outlier_seen seen_of(uint32_t count, uint32_t errors)
{
    return (struct outlier_seen){.answers = count, .errors = errors};
}

static bool fails(struct outlier_seen seen, struct outlier_seen others, unsigned percent)
{
    struct outlier_sum sum = {seen.answers + others.answers, seen.errors + others.errors};
    return outlier_fails(&seen, &sum, percent);
}

START_TEST(a_server_is_compared_with_the_others)
{
    ck_assert(fails(seen_of(20, 10), seen_of(100, 1), 30));
    ck_assert(!fails(seen_of(20, 5), seen_of(100, 1), 30));
    ck_assert(!fails(seen_of(20, 20), seen_of(100, 80), 30));   /* all fail: it is not to blame */
    ck_assert(!fails(seen_of(19, 19), seen_of(100, 0), 30));    /* too few to tell */
    ck_assert(!fails(seen_of(100, 100), seen_of(19, 0), 30));   /* nobody to compare it with */
    ck_assert(!fails(seen_of(100, 100), seen_of(100, 0), 100)); /* off */

    const uint64_t times[] = {900, 1000, 1100, 20000};
    ck_assert_uint_eq(outlier_others_us(times, 4, 20000), 1000);
    ck_assert_uint_eq(outlier_others_us(times, 4, 900), 1100);
    ck_assert_uint_eq(outlier_others_us(times, 2, 900), 1000);
    ck_assert_uint_eq(outlier_others_us(times, 2, 1000), 900);
    ck_assert(outlier_is_slow(20000, 1000, 10));
    ck_assert(!outlier_is_slow(9000, 1000, 10));
    ck_assert(!outlier_is_slow(20000, 1000, 0));
    ck_assert(!outlier_is_slow(5000, 100, 10)); /* much longer, and still not long */
}
END_TEST

START_TEST(a_share_may_be_left_out_and_one_always)
{
    ck_assert_uint_eq(outlier_allowed(1, 50), 1);
    ck_assert_uint_eq(outlier_allowed(3, 50), 1);
    ck_assert_uint_eq(outlier_allowed(10, 50), 5);
    ck_assert_uint_eq(outlier_allowed(10, 0), 1);
}
END_TEST

START_TEST(each_time_is_longer_until_it_has_done_well_for_long)
{
    struct ejection ejection = {0};
    uint64_t now = 1000000;

    ck_assert_uint_eq(ejection_begin(&ejection, now, 5000, 60000), 5000);
    ck_assert_uint_eq(ejection_begin(&ejection, now += 6000, 5000, 60000), 10000);
    ck_assert_uint_eq(ejection_begin(&ejection, now += 10000, 5000, 60000), 20000);
    ck_assert_uint_eq(ejection_begin(&ejection, now += 20000, 5000, 60000), 40000);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(ejection_begin(&ejection, now += 60000, 5000, 60000), 60000);
    ck_assert_uint_eq(ejection_begin(&ejection, now + 120001, 5000, 60000), 5000);

    struct ejection short_limit = {0};
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(ejection_begin(&short_limit, now, 5000, 100), 5000);
}
END_TEST

/* Ten servers of which one has become slow, a request every 100 us, and a look each second: gives
 * the time in which 99 of 100 are answered, by what the proxy module does with an outlier or
 * without that. */
static uint64_t p99(bool ejects)
{
    struct outlier_seen seen[SERVERS] = {0};
    static unsigned times[MOST_US / 64];
    struct dice dice = dice_of(7);
    bool out[SERVERS] = {false};

    for (size_t i = 0; i < MOST_US / 64; i++)
        times[i] = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        size_t server;
        do
            server = dice_below(&dice, SERVERS);
        while (out[server]);
        uint64_t us = (server == BAD ? 100000 : 1000) + dice_below(&dice, 1000);
        outlier_note(&seen[server], us, false);
        if (i >= REQUESTS / 2) /* once it is known */
            times[us / 64]++;
        if (i % 10000 != 9999)
            continue;
        uint64_t sorted[SERVERS];
        for (size_t s = 0; s < SERVERS; s++) /* the good ones first */
            sorted[s] = outlier_typical_us(&seen[s == SERVERS - 1 ? BAD : s < BAD ? s : s + 1]);
        for (size_t s = 0; s < SERVERS; s++) {
            uint64_t own = outlier_typical_us(&seen[s]);
            out[s] = ejects && outlier_is_slow(own, outlier_others_us(sorted, SERVERS, own), 10);
        }
    }
    unsigned slower = 0;
    size_t at = MOST_US / 64;
    while (slower < REQUESTS / 2 / 100)
        slower += times[--at];
    return at * 64;
}

START_TEST(one_bad_server_does_not_decide_the_slowest_of_a_hundred)
{
    ck_assert_uint_gt(p99(false), 100000);
    ck_assert_uint_lt(p99(true), 2100);
}
END_TEST

UNIT_MAIN("outlier", logarithms_are_right_within_a_sixteenth, a_few_slow_answers_are_not_typical,
          a_server_is_compared_with_the_others, a_share_may_be_left_out_and_one_always,
          each_time_is_longer_until_it_has_done_well_for_long,
          one_bad_server_does_not_decide_the_slowest_of_a_hundred)
