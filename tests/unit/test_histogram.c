/* What histograms promise: see core/base/histogram.h. */
#include "unit.h"

#include <stdlib.h>

#include "base/histogram.h"

#define VALUES 20000

static struct histogram histogram, other;

static void clear(void)
{
    histogram = (struct histogram){0};
    other = (struct histogram){0};
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Numbers of all sizes, the same in each run. */
static uint64_t next_value(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 20) >> (state % 43);
}

START_TEST(percentiles_are_those_of_the_sorted_values_within_a_percent)
{
    static const double shares[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    static uint64_t values[VALUES];

    clear();
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = next_value();
        histogram_record(i % 2 == 0 ? &histogram : &other, values[i], 1);
    }
    histogram_merge(&histogram, &other);
    qsort(values, VALUES, sizeof(*values), compare);
    ck_assert_uint_eq(histogram.count, VALUES);
    ck_assert_uint_eq(histogram.max, values[VALUES - 1]);
    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
        uint64_t exact = values[(size_t)(shares[i] * VALUES) - 1];
        uint64_t found = histogram_percentile(&histogram, shares[i]);
        ck_assert_uint_ge(found, exact);
        ck_assert_uint_le(found, exact + exact / 100);
    }
}
END_TEST

START_TEST(small_values_are_exact)
{
    for (uint64_t value = 0; value < 256; value++) {
        clear();
        histogram_record(&histogram, value, 3);
        histogram_record(&histogram, 1000, 1);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0.5), value);
        ck_assert_uint_eq(histogram.sum, 3 * value + 1000);
    }
}
END_TEST

START_TEST(extremes_are_counted_and_nothing_is_read_where_nothing_is)
{
    clear();
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.5), 0);
    histogram_record(&histogram, UINT64_MAX, 1);
    ck_assert_uint_eq(histogram_percentile(&histogram, 0), UINT64_MAX);
    ck_assert_uint_eq(histogram_percentile(&histogram, 1), UINT64_MAX);
    histogram_record(&histogram, 0, 9);
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.9), 0);
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.91), UINT64_MAX);
}
END_TEST

START_TEST(values_up_to_a_bound_are_counted)
{
    clear();
    ck_assert_uint_eq(histogram_count(&histogram, UINT64_MAX), 0);
    histogram_record(&histogram, 5, 2);
    histogram_record(&histogram, 1000, 3);
    histogram_record(&histogram, UINT64_MAX, 4);
    ck_assert_uint_eq(histogram_count(&histogram, 4), 0);
    ck_assert_uint_eq(histogram_count(&histogram, 5), 2);
    ck_assert_uint_eq(histogram_count(&histogram, 999), 2);
    ck_assert_uint_eq(histogram_count(&histogram, 1010), 5);
    ck_assert_uint_eq(histogram_count(&histogram, UINT64_MAX), 9);
}
END_TEST

UNIT_MAIN("histogram", values_up_to_a_bound_are_counted,
          percentiles_are_those_of_the_sorted_values_within_a_percent, small_values_are_exact,
          extremes_are_counted_and_nothing_is_read_where_nothing_is)
