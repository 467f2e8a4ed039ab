/* The generation that serves, and the next one, which a reload is trying. This file only keeps the
 * two pointers and the last number; reload.c builds, commits and drops generations. Master only. */
#ifndef PILLION_MASTER_GENERATIONS_H
#define PILLION_MASTER_GENERATIONS_H

#include "process/generation.h"

/* The generation that serves; NULL until the first one does. */
struct generation *generation_current(void);

/* The generation that a reload is trying; NULL when there is none. */
struct generation *generation_next(void);

/* The number of the generation that was made last. */
uint64_t generation_last_number(void);

/* Makes `next` the generation that is tried. Its number follows the last one. */
void generation_try(struct generation *next);

/* Makes the next generation the current one. Returns the former current one (or NULL) to the
 * caller, which owns it. */
struct generation *generation_commit(void);

/* Gives the next generation up. Returns it to the caller, which owns it. */
struct generation *generation_drop(void);

/* After an upgrade: the former binary's generation, and the number that it gave last. */
void generation_resume(struct generation *current, uint64_t last_number);

#endif
