/* The file of a zone that is kept over a restart of the server: `zone NAME SIZE file=PATH;`.
 *
 * The file is a page that only the master reads and writes, and the zone as it is in memory, which
 * workers map, but not the page before it. So whatever a module writes over the zone, the next
 * server can tell what the file is. The master holds a lock on the file (F_OFD_SETLK, fcntl(2)),
 * and so do, by their mappings, all processes that still use it: no other server takes it before
 * the last of them has ended. Times in the zone are those of a clock of its own, which goes on from
 * one start of the machine to the next. */
#ifndef PILLION_RPC_ZONE_FILE_H
#define PILLION_RPC_ZONE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rpc/zone_memory.h"

/* Opens the file, or makes it with all of its space on disk. A file that another server uses, that
 * is no zone's, or that has another size, stays as it is; then false with the reason. Waits two
 * seconds at most for the processes of a server that was killed. Master only. */
bool zone_file_open(const char *path, uint64_t size, struct zone_memory *memory,
                    struct error *error);

/* Whether zone_file_open would find a file that it can use, or make one, as far as can be told
 * without writing. A server may use it. */
bool zone_file_check(const char *path, uint64_t size, struct error *error);

/* Gives an open file that was cut, or has grown, its size and header again. What was cut off is
 * empty then. `*mended`: it was amiss, and `*was` the size that it had. Master only. */
bool zone_file_mend(const struct zone_memory *memory, uint64_t size, bool *mended, uint64_t *was,
                    struct error *error);

/* True when the open file, of this or another binary's making, is one that this binary can use. */
bool zone_file_known(const struct zone_memory *memory);

#endif
