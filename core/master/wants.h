/* The services that generations want: which of them a module of a worker has opened, or a
 * configuration names. The registry process is told of each change (registry.h); a service that no
 * generation wants any more is forgotten. Master only. */
#ifndef PILLION_MASTER_WANTS_H
#define PILLION_MASTER_WANTS_H

#include <stdint.h>

#include <cjson/cJSON.h>

/* The generation wants a service. A name that is none, as a damaged worker may send, is logged. */
void wants_add(uint64_t generation, const char *service);

/* Forgets what only generations want that are gone: neither the current nor the next one, and
 * without a process. */
void wants_sweep(void);

/* Another generation is the current one: where there is no room for all, what it wants comes first.
 */
void wants_serve(void);

/* For an upgrade: as JSON and back. */
void wants_write(cJSON *state);
void wants_read(const cJSON *state);

#endif
