/* What modules have counted, for tests of them: those functions of <pillion/test.h>. See
 * test_metrics.h. */
#include "module/test_metrics.h"

#include <pillion/module.h>
#include <pillion/test.h>
#include <stdio.h>

#include "rpc/metric_shown.h"

static const struct board *board;

void test_metrics_of(const struct board *trials)
{
    board = trials;
}

PILLION_EXPORT int64_t pillion_test_metric(const char *module, const char *name)
{
    char full[BOARD_NAME_MAX];

    for (unsigned i = 0; board != NULL && i < 2; i++) {
        snprintf(full, sizeof(full), i == 0 ? "%s.%s" : "%s %s", module, name);
        uint32_t index = board_find_metric(board, bytes_of(full));
        if (index != BOARD_NO_METRIC)
            return board_sum_metric(board, index);
    }
    return -1;
}

PILLION_EXPORT int64_t pillion_test_histogram(const char *module, const char *name, double bound,
                                              double *sum)
{
    char full[BOARD_NAME_MAX];
    struct histogram_part part;
    int64_t count = -1;

    snprintf(full, sizeof(full), "%s.%s", module, name);
    for (uint32_t i = 0; board != NULL && metric_part_next(board, bytes_of(full), &i, &part);) {
        if (count < 0)
            count = 0;
        if (part.is_sum && sum != NULL)
            *sum = part.sum;
        if (!part.is_sum && part.bound <= bound)
            count += part.count;
    }
    return count;
}
