/* Histograms of modules, as the board has them: a counter for each bucket, "shop.wait le 0.5" and
 * "shop.wait le inf", and the sum of all values, "shop.wait sum". */
#ifndef PILLION_RPC_METRIC_SHOWN_H
#define PILLION_RPC_METRIC_SHOWN_H

#include "rpc/board.h"

#define METRIC_SUM " sum"

/* Writes a bound in the fewest digits that are that bound's alone. */
#define METRIC_BOUND_SIZE 32u
void metric_bound(char text[METRIC_BOUND_SIZE], double bound);

/* Writes the name of a bucket. */
void metric_bucket_name(char name[BOARD_NAME_MAX], const char *module, const char *metric,
                        double bound);

/* Of a name in the board the part that is its histogram's, "shop.wait"; data NULL: it is none's. */
struct bytes metric_histogram_name(const char *full);

/* A number of a histogram, summed over all workers. */
struct histogram_part {
    bool is_sum;
    double bound; /* of a bucket; the last one's is infinite */
    int64_t count;
    double sum;
};

/* Walks the numbers of the histogram with this name: false after the last. `*i` begins at 0. After
 * a reload that has changed the bounds there are buckets of both. */
bool metric_part_next(const struct board *board, struct bytes name, uint32_t *i,
                      struct histogram_part *part);

#endif
