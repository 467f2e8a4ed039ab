/* Which generation serves, and which one is being tried to follow it. Master only. */
#ifndef PILLION_MASTER_GENERATIONS_H
#define PILLION_MASTER_GENERATIONS_H

#include "process/generation.h"

/* The one that serves; NULL until the first one does. */
struct generation *generation_current(void);

/* The one that is being tried; NULL when there is none. */
struct generation *generation_next(void);

/* The number of the generation that was made last. */
uint64_t generation_last_number(void);

/* `next`, which has the number after the last one, is tried from now on. */
void generation_try(struct generation *next);

/* The one that is tried is put to use. Returns the former one, or NULL; it is the caller's. */
struct generation *generation_commit(void);

/* The one that is tried is given up. Returns it; it is the caller's. */
struct generation *generation_drop(void);

/* After an upgrade: what was made by the binary before this one. */
void generation_resume(struct generation *current, uint64_t last_number);

#endif
