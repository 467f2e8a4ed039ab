/* Heirs: the listeners that inherit the connections of a listen address that is no longer
 * configured.
 *
 * A connection belongs to a server block, and its record names the listener that accepted it. A
 * reload may remove that listener and keep the block: then the connection goes on under another
 * listener of the block. When the block is gone too, no listener inherits the connection, and it
 * ends once its requests are answered. */
#ifndef PILLION_PROCESS_HEIRS_H
#define PILLION_PROCESS_HEIRS_H

#include "process/generation.h"

/* Finds the heirs, in `next`, of the listeners that `current` has (or has heirs for) and `next`
 * does not have. Both generations' listeners are known. With `former`, there may be connections
 * that still name listeners of generations before `current`. Master only. */
void heirs_find(struct generation *next, const struct generation *current, bool former);

/* The listener under which connections of listener `id` are served in this generation: itself, its
 * heir, or NULL. */
const struct generation_listener *heir_of(const struct generation *generation, uint32_t id);

#endif
