/* The memory of zones: memory files, and where they are mapped. See zone.h. */
#ifndef PILLION_RPC_ZONE_MEMORY_H
#define PILLION_RPC_ZONE_MEMORY_H

#include <pillion/module.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A zone in a file that is open. */
struct zone_memory {
    int fd;
    uint64_t at;       /* where in the file it begins */
    uint64_t ahead_ms; /* its clock minus this machine's monotonic one, modulo 2^64 */
};

/* The bytes that a zone of `size` has, which may be a little less. */
uint64_t zone_bytes(uint64_t size);

/* Makes a memory file of `size` bytes or a little less. Master only. Returns a close-on-exec
 * descriptor, or -1 with the reason. */
int zone_create(uint64_t size, struct error *error);

/* Writes the header of a zone of `size`, with the lock free, and nothing else: cells that are there
 * stay. False with errno. */
bool zone_lay_out(const struct zone_memory *memory, uint64_t size);

/* True when the memory file holds a zone that this binary can read. */
bool zone_known(int fd);

/* Maps a zone, so that zone_find finds it. `memory->fd` stays the caller's. Its header is not
 * looked at: it may be damaged, and workers that share the zone have gone on all the same. */
bool zone_add(const char *name, const struct zone_memory *memory, struct error *error);

/* NULL when there is none of that name in this process. */
pillion_zone *zone_find(const char *name);

/* No zone is found any more. All stay mapped, for modules that still have a pointer to one. */
void zones_forget(void);

#endif
