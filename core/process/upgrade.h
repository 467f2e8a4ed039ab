/* How a new binary finds the server that it replaces. See upgrade.c. */
#ifndef PILLION_PROCESS_UPGRADE_H
#define PILLION_PROCESS_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include "conf/settings.h"

#define UPGRADE_VARIABLE "PILLION_UPGRADE"

/* The first line that a rehearsal prints, once it has read the state. That it ends with 0 as well
 * is not enough: so does many a program that is no Pillion and knows of no rehearsal. */
#define UPGRADE_REHEARSES "pillion rehearses to take over"

/* Notes where the binary is. Early, before it may be replaced on disk. */
void upgrade_init(void);

/* True when this process was started by an upgrade: `state` describes the server, and `rehearsing`
 * says that it is only to be seen whether this binary could take over. */
bool upgrade_is_resumed(int *state, bool *rehearsing);

/* For a rehearsal: whether the state can be read. */
bool upgrade_check(int state, struct error *error);

/* Master: takes the server over as `state` describes it, and closes `state`. */
bool upgrade_resume(int state, const struct settings *settings, struct error *error);

#endif
