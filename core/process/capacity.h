/* How many clients a configuration can have on this machine: worker_connections, or less if the
 * limits on open files of workers and vaults do not allow as many. docs/scale.md explains the
 * arithmetic.
 *
 * A client takes one descriptor in its worker and one in a vault. During a reload there are two
 * generations of workers, but each process has a limit of its own: the connections that a new
 * worker takes over have to fit within the new worker's limit. */
#ifndef PILLION_PROCESS_CAPACITY_H
#define PILLION_PROCESS_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* The numbers of a generation that its capacity is computed from. */
struct capacity_plan {
    uint32_t workers;
    uint32_t connections;  /* worker_connections */
    uint32_t vaults;       /* vault_processes; 0: as many as are needed */
    uint32_t descriptors;  /* for listeners and modules, in each worker and in the master */
    uint64_t worker_files; /* limits on open files that these processes can get */
    uint64_t vault_files;
    uint64_t master_files;
};

struct capacity {
    uint32_t vaults;      /* seats that are used */
    uint32_t vault_room;  /* sockets that each vault can hold */
    uint32_t share;       /* of vault_room, for each worker */
    uint32_t worker_room; /* clients for which a worker has descriptors */
    uint32_t connections; /* clients that each worker accepts */
    uint64_t vault_files; /* for limit_open_files */
};

void capacity_find(const struct capacity_plan *plan, struct capacity *capacity);

/* Writes a line for each reason why the configuration cannot have as many clients as it asks for.
 * `files_max` is the limit of the whole system (fs.file-max); 0: not known. */
void capacity_explain(const struct capacity_plan *plan, const struct capacity *capacity,
                      uint64_t files_max, struct text *out);

/* fs.file-max, or 0. */
uint64_t capacity_system_files(void);

#endif
