/* The budget for retries, simulated: see modules/budget.h. */
#include "unit.h"

#include "../../modules/budget.h"

/* So many calls a second for so many seconds from `from_ms` on, each of which asks to be sent again
 * up to three times. Gives how many were. */
static unsigned outage(struct budget *budget, uint64_t from_ms, unsigned seconds, unsigned calls)
{
    unsigned again = 0;

    for (unsigned i = 0; i < seconds * calls; i++) {
        uint64_t now_ms = from_ms + (uint64_t)i * 1000 / calls;
        budget_call(budget, now_ms);
        for (int try = 0; try < 3; try++)
            again += budget_take(budget, now_ms);
    }
    return again;
}

START_TEST(an_outage_does_not_multiply_the_load)
{
    struct budget bounded = {.percent = 10, .floor = 10}, free = {.percent = BUDGET_UNLIMITED};

    unsigned again = outage(&bounded, 5000, 60, 1000);
    ck_assert_msg(again >= 6000 && again <= 6800, "%u more, of 60000", again);
    ck_assert_uint_eq(outage(&free, 5000, 60, 1000), 180000); /* four times the load */
}
END_TEST

START_TEST(little_traffic_can_be_sent_again)
{
    struct budget budget = {.percent = 10, .floor = 10};

    ck_assert_uint_eq(outage(&budget, 0, 60, 2), 2 * 60 * 3);
}
END_TEST

START_TEST(calls_of_more_than_ten_seconds_ago_count_no_more)
{
    struct budget budget = {.percent = 10};

    for (int i = 0; i < 1000; i++)
        budget_call(&budget, 1000);
    for (int i = 0; i < 50; i++)
        ck_assert(budget_take(&budget, 10999));
    ck_assert(!budget_take(&budget, 11000));
    ck_assert_uint_eq(budget.call_sum, 0);
    budget_call(&budget, 1000000);
    ck_assert_uint_eq(budget.call_sum, 1);
    ck_assert_uint_eq(budget.retry_sum, 0);
    ck_assert(budget_take(&budget, 1000000));
    ck_assert(!budget_take(&budget, 1000000));
}
END_TEST

START_TEST(a_budget_of_nothing_allows_nothing)
{
    struct budget budget = {.percent = 0, .floor = 0};

    ck_assert_uint_eq(outage(&budget, 0, 10, 100), 0);
}
END_TEST

UNIT_MAIN("budget", an_outage_does_not_multiply_the_load, little_traffic_can_be_sent_again,
          calls_of_more_than_ten_seconds_ago_count_no_more, a_budget_of_nothing_allows_nothing)
