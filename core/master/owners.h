/* The owners of state that an upgrade hands from one binary to the next: a row for each in a table,
 * in the order in which the new binary reads them. A new owner of state needs a row there and
 * nothing else here. Master only. */
#ifndef PILLION_MASTER_OWNERS_H
#define PILLION_MASTER_OWNERS_H

#include <stdbool.h>

#include <cjson/cJSON.h>

/* Adds the members of every owner to the state. */
void owners_write(cJSON *state);

/* Has every owner read its members. The master's board is there already. */
void owners_read(const cJSON *state);

/* Sets whether the descriptors that the state names stay open over execve(2). */
void owners_keep_open(bool keep);

#endif
