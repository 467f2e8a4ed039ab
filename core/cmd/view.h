/* The counters of a server as tables for people, 80 columns wide. */
#ifndef PILLION_CMD_VIEW_H
#define PILLION_CMD_VIEW_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

/* Appends the sums, a row for each worker, and a row for each method that was called or is out of
 * service. `stats` is what rpc.stats gives. */
void view_append(struct text *out, const cJSON *stats);

/* "12", "3.4k", "5.6M": at most five characters below 10^15. */
void view_count(struct text *out, double count, int width);

/* "850 ns", "12 us", "3.4 ms", "1.2 s" of microseconds; "-" of 0. */
void view_time(struct text *out, double us, int width);

/* "3s", "12m", "5h", "9d". */
void view_age(struct text *out, double seconds, int width);

#endif
