/* Histograms in the board. See metric_shown.h. */
#include "rpc/metric_shown.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET " le "

/* 0.1 is 0.1, and not 0.10000000000000001, which is the same double. */
void metric_bound(char text[METRIC_BOUND_SIZE], double bound)
{
    snprintf(text, METRIC_BOUND_SIZE, "%.15g", bound);
    if (strtod(text, NULL) != bound)
        snprintf(text, METRIC_BOUND_SIZE, "%.17g", bound);
}

void metric_bucket_name(char name[BOARD_NAME_MAX], const char *module, const char *metric,
                        double bound)
{
    char text[METRIC_BOUND_SIZE];

    metric_bound(text, bound);
    snprintf(name, BOARD_NAME_MAX, "%s.%s" BUCKET "%s", module, metric, text);
}

struct bytes metric_histogram_name(const char *full)
{
    const char *dot = strchr(full, '.'), *space = strchr(full, ' ');

    if (dot == NULL || space == NULL || space < dot ||
        (strcmp(space, METRIC_SUM) != 0 && strncmp(space, BUCKET, strlen(BUCKET)) != 0))
        return (struct bytes){NULL, 0};
    return (struct bytes){full, (size_t)(space - full)};
}

bool metric_part_next(const struct board *board, struct bytes name, uint32_t *i,
                      struct histogram_part *part)
{
    while (*i < board_metrics_known(board)) {
        uint32_t index = (*i)++;
        const char *full = board->metric_names[index];
        struct bytes own = metric_histogram_name(full);
        if (own.data == NULL || !bytes_equal(own, name))
            continue;
        *part = (struct histogram_part){.is_sum = board->metric_kind[index] == BOARD_SUM};
        if (part->is_sum) {
            part->sum = board_sum_real(board, index);
            return true;
        }
        /* The names come from processes that have run modules. */
        char *end;
        part->bound = strtod(full + own.size + strlen(BUCKET), &end);
        part->count = board_sum_metric(board, index);
        if (*end == '\0' && !isnan(part->bound) && part->count >= 0)
            return true;
    }
    return false;
}
