/* From one generation to the next. Master only. */
#ifndef PILLION_MASTER_RELOAD_H
#define PILLION_MASTER_RELOAD_H

#include <stdint.h>

#include "master/workers.h"

enum reload_phase {
    RELOAD_IDLE,
    RELOAD_PROBING,
    RELOAD_STARTING,
    RELOAD_CONFIRMING /* everybody is ready, and is asked whether it still runs */
};

/* Begins a reload, or the first start. None may be under way. */
void reload_begin(void);

/* The server ends: the next generation, if there is one, is dropped, and those who wait for a
 * reload are answered with `why`. */
void reload_abandon(const char *why);

/* A worker or probe of the next generation said READY. */
void reload_ready(struct worker *worker);

/* Somebody has given a sign of life, or none for a turn: the reload may wait for that. */
void reload_look(void);

/* One of the next generation is gone: the whole generation has failed. `why` says it in words. */
void reload_fail(const char *why);

#endif
