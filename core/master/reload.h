/* From one generation to the next. Master only. */
#ifndef PILLION_MASTER_RELOAD_H
#define PILLION_MASTER_RELOAD_H

#include <stdbool.h>

#include "master/workers.h"

enum reload_phase {
    RELOAD_IDLE,
    RELOAD_PROBING,
    RELOAD_STARTING,
    RELOAD_CONFIRMING /* all workers are ready; every process is asked whether it still runs */
};

enum reload_phase reload_phase(void);

/* Begins a reload, or the first start; none may be under way. `again`: with the configuration and
 * the modules that are in use, for what is found elsewhere (found.h). Calls `ended` with a text for
 * people when it is done or has failed, which may be before this returns; never when it is
 * abandoned. */
void reload_begin(bool again, void (*ended)(bool good, const char *text));

/* The server ends, for the reason `why`: drops the next generation, if there is one. */
void reload_abandon(const char *why);

/* A worker or probe of the next generation said READY. */
void reload_ready(struct worker *worker);

/* Some process has answered, or was silent for a round: looks whether the reload can go on. */
void reload_look(void);

/* The next generation has failed, since a process of it is gone, say; `why` is the reason in
 * words. */
void reload_fail(const char *why);

#endif
