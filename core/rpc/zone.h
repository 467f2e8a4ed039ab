/* Zones: named memory that all workers share, and that outlives them and their configuration.
 *
 * A zone is a file that the master makes and keeps (zone_memory.h, zone_file.h). It holds cells of
 * a fixed size in sets (zone_cells.h). Values that are too large for one lie in several
 * (zone_large.h).
 *
 * There are no links that a worker could leave half set: one that dies in the middle of a change
 * leaves a cell free, or a small value as far as it had got, or the former large value, and the
 * next one takes its lock (base/shared_lock.h). A module may write anything over a zone: sizes are
 * checked at each use, and the places of cells are computed, not read from it.
 */
#ifndef PILLION_RPC_ZONE_H
#define PILLION_RPC_ZONE_H

#include <pillion/module.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What pillion_zone_update, pillion_zone_get, pillion_zone_set and pillion_zone_delete do. Any
 * thread may call them. */
bool zone_update(pillion_zone *zone, const void *key, size_t key_size, uint64_t ttl_ms,
                 size_t value_size, void (*update)(void *value, bool fresh, void *data),
                 void *data);
long zone_get(pillion_zone *zone, const void *key, size_t key_size, void *value, size_t room);
bool zone_set(pillion_zone *zone, const void *key, size_t key_size, const void *value,
              size_t value_size, uint64_t ttl_ms);
void zone_delete(pillion_zone *zone, const void *key, size_t key_size);

/* What pillion_zone_each does: sixteen cells at a time are copied under the lock, and a large value
 * as zone_get does. */
typedef bool (*zone_visitor)(pillion_bytes key, const void *value, size_t value_size, void *data);
void zone_each(pillion_zone *zone, zone_visitor each, void *data);

#endif
