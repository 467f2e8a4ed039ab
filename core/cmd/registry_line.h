/* How a server stands with its registry, in a line: for `pillion status` and `pillion top`. */
#ifndef PILLION_CMD_REGISTRY_LINE_H
#define PILLION_CMD_REGISTRY_LINE_H

#include "base/bytes.h"
#include "cmd/sample.h"

/* "registry: connected; 1 of 1 addresses registered; 2 services with 7 servers". */
void registry_line(struct text *out, const struct sample_registry *registry);

#endif
