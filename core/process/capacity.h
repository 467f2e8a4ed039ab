/* How many clients a configuration can have on this machine: what worker_connections asks for, and
 * what the limits on open files of workers and vaults leave of it. docs/scale.md has the arithmetic
 * for people.
 *
 * A client takes one descriptor in its worker and one in a vault. A reload has two generations of
 * workers at once, but each process has a limit of its own: what a new worker takes over has to fit
 * its own. */
#ifndef PILLION_PROCESS_CAPACITY_H
#define PILLION_PROCESS_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* What is known of a generation before its capacity is. */
struct capacity_plan {
    uint32_t workers;
    uint32_t connections;  /* worker_connections */
    uint32_t vaults;       /* vault_processes; 0: as many as are needed */
    uint32_t descriptors;  /* that each worker has for listeners and modules, and the master too */
    uint64_t worker_files; /* the limits on open files that workers and vaults can get */
    uint64_t vault_files;
    uint64_t master_files;
};

struct capacity {
    uint32_t vaults;      /* seats that are used */
    uint32_t vault_room;  /* sockets that each vault can hold */
    uint32_t share;       /* of those, for each worker */
    uint32_t worker_room; /* clients for which a worker has descriptors */
    uint32_t connections; /* clients that each worker accepts */
    uint64_t vault_files; /* for limit_open_files */
};

void capacity_find(const struct capacity_plan *plan, struct capacity *capacity);

/* Says, a line for each, what keeps a configuration from having as many clients as it names.
 * `files_max` is what the system as a whole can have (fs.file-max); 0: not known. */
void capacity_explain(const struct capacity_plan *plan, const struct capacity *capacity,
                      uint64_t files_max, struct text *out);

/* fs.file-max, or 0. */
uint64_t capacity_system_files(void);

#endif
