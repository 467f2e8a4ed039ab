/* A histogram of durations, or of any other numbers: fixed memory, any range, one percent of error.
 *
 * Buckets are linear within each power of two, 128 of them, as in Gil Tene's HdrHistogram: a value
 * is counted with those that share its eight highest bits. */
#ifndef PILLION_BASE_HISTOGRAM_H
#define PILLION_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_LINEAR_LOG 7u
/* Values from 2^44 on (nanoseconds: five hours) count as the largest. */
#define HISTOGRAM_LOG_MAX 44u
#define HISTOGRAM_BUCKETS ((HISTOGRAM_LOG_MAX - HISTOGRAM_LINEAR_LOG + 1) << HISTOGRAM_LINEAR_LOG)

/* Starts as `{0}`. */
struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts `value` as often as `times` says. */
void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times);

/* How many of the recorded values are at most `most`, by their buckets: those of one that reaches
 * beyond it are not among them. */
uint64_t histogram_count(const struct histogram *histogram, uint64_t most);

void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `share` (0 to 1) of all recorded values do not exceed: the largest that its bucket
 * holds, but never more than the largest that was recorded. 0 when there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);

#endif
