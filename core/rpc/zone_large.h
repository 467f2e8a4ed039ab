/* Values of a zone that do not fit into their key's cell: they lie in parts, a cell each.
 *
 * Part i is in the i-th set after the key's, and carries a mark made of the value's version and of
 * i; the one before it says which of the set's sixteen cells it is. Parts do not change once they
 * are written. The key's cell names the version, with one store, when all parts are there: a
 * process that dies before leaves the former value, and parts to which nothing leads, which make
 * room for others as all cells do that nobody uses. A value of which a part is missing, because it
 * had to make room or was written over, is not there.
 *
 * So a reader needs no lock for all of the value at once: the functions here hold it for 64 parts
 * at a time, unless their caller says that it is `held`. */
#ifndef PILLION_RPC_ZONE_LARGE_H
#define PILLION_RPC_ZONE_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/zone_cells.h"

/* An eighth of the zone. */
size_t large_max(const pillion_zone *zone);

struct large_times {
    uint64_t expires_ms, used_ms;
};

/* Where a value's parts are, and who holds the lock. */
struct large_place {
    pillion_zone *zone;
    uint64_t hash; /* the key's */
    bool held;
};

/* Writes a value that is larger than a cell has room for. `former`: the version that stays as it is
 * meanwhile, or 0. Returns the version, or 0 when the lock cannot be taken. */
uint64_t large_write(const struct large_place *place, uint64_t former, const void *value,
                     size_t size, struct large_times times);

/* Copies `room` bytes at most. Returns the value's size, or -1 when it is not all there. `used_ms`
 * not 0: the value is used now. */
long large_read(const struct large_place *place, uint64_t version, void *value, size_t room,
                uint64_t used_ms);

/* Frees the parts, all that are there. */
void large_free(const struct large_place *place, uint64_t version);

/* Which cells large_write with this version has written: for struct kept_cells. */
uint32_t large_tag(uint64_t version);

#endif
