/* Replacing the running binary, master included. upgrade.c tells the three steps: rehearse,
 * execute, resume. Master only. */
#ifndef PILLION_MASTER_UPGRADE_H
#define PILLION_MASTER_UPGRADE_H

#include <stdbool.h>

#include "conf/settings.h"

/* Begins to replace the binary, with a rehearsal. Clients that ordered it are answered when it
 * fails. When the rehearsal has gone well but a reload is under way by then, calls `postponed`: the
 * caller begins the upgrade anew after the reload. */
void upgrade_begin(void (*postponed)(void));

/* In the new binary: takes the server over as `state` describes it, and closes `state`. When that
 * fails nothing has changed, so it can be tried again. `settings`, from inherit_configuration,
 * stand for members that an older binary did not write. */
bool upgrade_resume(int state, const struct settings *settings, struct error *error);

#endif
