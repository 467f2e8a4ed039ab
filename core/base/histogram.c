/* Counting by logarithmic buckets. See histogram.h. */
#include "base/histogram.h"

#define LINEAR (1u << HISTOGRAM_LINEAR_LOG)

/* Values below 256 have a bucket each; above, the eight highest bits decide. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < LINEAR)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_LINEAR_LOG;
    if (shift + HISTOGRAM_LINEAR_LOG >= HISTOGRAM_LOG_MAX)
        return HISTOGRAM_BUCKETS - 1;
    return (shift << HISTOGRAM_LINEAR_LOG) + (uint32_t)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t limit_of(uint32_t bucket)
{
    if (bucket < 2 * LINEAR)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_LINEAR_LOG) - 1;
    uint64_t high = bucket - (shift << HISTOGRAM_LINEAR_LOG);
    return ((high + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times)
{
    histogram->count += times;
    histogram->sum += value * times;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket_of(value)] += times;
}

uint64_t histogram_count(const struct histogram *histogram, uint64_t most)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && limit_of(i) <= most; i++)
        count += histogram->buckets[i];
    return count;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (histogram->buckets[i] == 0 || (double)seen < wanted)
            continue;
        uint64_t limit = limit_of(i);
        return limit > histogram->max || i == HISTOGRAM_BUCKETS - 1 ? histogram->max : limit;
    }
    return histogram->max;
}
