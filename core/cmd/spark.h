/* Sparklines: the last values of a number, a character for each. */
#ifndef PILLION_CMD_SPARK_H
#define PILLION_CMD_SPARK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define SPARK_VALUES 256u

/* A ring of values. Starts zeroed. */
struct spark {
    double values[SPARK_VALUES];
    size_t count; /* of all that were ever added */
};

void spark_add(struct spark *spark, double value);

/* Appends `width` columns: the last values, the latest at the right end, from 0 to the largest of
 * those that are shown. Blocks of Unicode, or ASCII. */
void spark_append(struct text *out, const struct spark *spark, int width, bool utf8);

#endif
