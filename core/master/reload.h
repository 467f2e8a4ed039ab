/* From one generation to the next. Master only. */
#ifndef PILLION_MASTER_RELOAD_H
#define PILLION_MASTER_RELOAD_H

#include <stdbool.h>

#include "master/workers.h"

enum reload_phase {
    RELOAD_IDLE,
    RELOAD_PROBING,
    RELOAD_STARTING,
    RELOAD_CONFIRMING /* all are ready, and each is asked whether it still runs */
};

enum reload_phase reload_phase(void);

/* Begins a reload, or the first start. None may be under way. Calls `ended` with a text for
 * people once it is done or has failed, which may be before this returns; never when it is
 * abandoned.
 */
void reload_begin(void (*ended)(bool good, const char *text));

/* The server ends, and this is `why`: the next generation, if there is one, is dropped. */
void reload_abandon(const char *why);

/* A worker or probe of the next generation said READY. */
void reload_ready(struct worker *worker);

/* Some process has given a sign of life, or none for a turn: the reload may wait for that. */
void reload_look(void);

/* A process of the next generation is gone: the whole generation has failed. `why` says it in
 * words. */
void reload_fail(const char *why);

#endif
