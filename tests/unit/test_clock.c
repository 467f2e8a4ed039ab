/* Times that modules give: see core/base/clock.h. */
#include "unit.h"

#include "base/clock.h"

START_TEST(no_time_is_so_long_that_it_is_over_at_once)
{
    const uint64_t now = clock_ns(), most = UINT64_MAX / NS_PER_MS;
    static const uint64_t ends[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, INT64_MAX};

    ck_assert_uint_eq(clock_after(now, 0), now);
    ck_assert_uint_eq(clock_after(now, 1), now + NS_PER_MS);
    ck_assert_uint_eq(clock_after(0, most), most * NS_PER_MS);
    ck_assert_uint_eq(clock_after(0, most + 1), UINT64_MAX);
    ck_assert_uint_eq(clock_after(NS_PER_MS, most), UINT64_MAX);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        ck_assert_uint_eq(clock_after(now, ends[i]), UINT64_MAX);
    ck_assert_uint_eq(clock_after(UINT64_MAX, 0), UINT64_MAX);
    ck_assert_uint_eq(clock_after(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}
END_TEST

UNIT_MAIN("clock", no_time_is_so_long_that_it_is_over_at_once)
