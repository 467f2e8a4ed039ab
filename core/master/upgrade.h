/* Replacing the running binary, master included. Master only. */
#ifndef PILLION_MASTER_UPGRADE_H
#define PILLION_MASTER_UPGRADE_H

#include <stdbool.h>

#include "conf/settings.h"

/* Begins to replace the binary: the rehearsal. The clients that asked for it are answered when that
 * fails. Calls `postponed` when a reload is under way by the time that it has gone well: it is to
 * be begun anew after that. */
void upgrade_begin(void (*postponed)(void));

/* In the new binary: takes the server over as `state` describes it, and closes `state`. Nothing has
 * changed when that fails, so it can be tried again. `settings`, of inherit_configuration, say what
 * an older binary has left out. */
bool upgrade_resume(int state, const struct settings *settings, struct error *error);

#endif
