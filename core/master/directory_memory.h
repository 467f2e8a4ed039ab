/* The directory of services (net/directory.h), as the master keeps it: made once, handed on to the
 * binary that takes this one's place, and mapped for reading before workers are forked, which
 * inherit the mapping. Master only. */
#ifndef PILLION_MASTER_DIRECTORY_MEMORY_H
#define PILLION_MASTER_DIRECTORY_MEMORY_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "net/directory.h"

/* Makes it, empty. */
bool directory_memory_make(struct error *error);

/* The master's mapping, for itself and for its children, or NULL when it lacks the memory for one:
 * it is tried again each time. */
const struct directory *directory_memory(void);

/* For the process that writes it: map it with directory_map. -1 when there is none. It stays the
 * same for the server's life, unless a new binary cannot read what the former one has left: then it
 * is another one after the upgrade, and the former one's writer writes where nobody looks. */
int directory_memory_descriptor(void);

/* For an upgrade: its descriptor as JSON and back, and whether it stays open over exec. */
void directory_memory_write(cJSON *state);
void directory_memory_read(const cJSON *state);
void directory_memory_keep_open(bool keep);

#endif
