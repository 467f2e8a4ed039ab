/* What `pillion top --json` prints. */
#ifndef PILLION_CMD_TOP_JSON_H
#define PILLION_CMD_TOP_JSON_H

#include "base/bytes.h"
#include "cmd/sample.h"

/* Appends the sample, which has been compared with the one before, as a JSON object on one line. */
void top_json_append(struct text *out, const struct sample *sample);

#endif
