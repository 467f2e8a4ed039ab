/* The counters of a server as tables for people, 80 columns wide: `pillion status`. */
#ifndef PILLION_CMD_VIEW_H
#define PILLION_CMD_VIEW_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

/* Appends the sums, a row for each worker, and a row for each method that was called or is out of
 * service. `stats` is what rpc.stats gives. */
void view_append(struct text *out, const cJSON *stats);

#endif
