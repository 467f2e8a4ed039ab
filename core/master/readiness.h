/* Whether this server should be found by others, by what its workers say on the board: not while
 * none of them serves, and with little weight while all of them are full. A change has to last, so
 * that a worker that dies, and is replaced in milliseconds, never shows. `GET /readyz` and
 * HAProxy's agent-check cannot be asked where no worker serves, and answer in the same way where
 * one does: the agent gives a full server the least weight, too. Master only. */
#ifndef PILLION_MASTER_READINESS_H
#define PILLION_MASTER_READINESS_H

#include "process/channel.h"

/* Calls `tell` whenever that changes from now on, for the first time when it is not `now`. */
void readiness_watch(enum offer now, void (*tell)(enum offer how));
void readiness_stop(void);

#endif
