/* Every owner of state that goes from one binary to the next: a row each. Master only. */
#ifndef PILLION_MASTER_OWNERS_H
#define PILLION_MASTER_OWNERS_H

#include <stdbool.h>

#include <cjson/cJSON.h>

/* Adds what all of them have to the state. */
void owners_write(cJSON *state);

/* Each takes up what is its own. The master's board is there already. */
void owners_read(const cJSON *state);

/* The descriptors that the state names stay open over execve(2), or do not. */
void owners_keep_open(bool keep);

#endif
