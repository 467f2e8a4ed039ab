/* How a new binary finds the server that it replaces. See upgrade.c and resume.c. */
#ifndef PILLION_MASTER_UPGRADE_H
#define PILLION_MASTER_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

#include "conf/settings.h"

#define UPGRADE_VARIABLE      "PILLION_UPGRADE"
#define UPGRADE_REHEARSE      "rehearse:" /* before the number, when that is all */
#define UPGRADE_STATE_VERSION 1

/* The first line that a rehearsal prints, once it has read the state. That it ends with 0 as well
 * is not enough: so does many a program that is no Pillion and knows of no rehearsal. */
#define UPGRADE_REHEARSES "pillion rehearses to take over"

/* The second, of a binary that knows several vaults. */
#define UPGRADE_KNOWS_VAULTS "knows several vaults"

/* ---- In the master that is replaced ---- */

/* Begins to replace the binary: the rehearsal. The clients that asked for it are answered when that
 * fails. Calls `postponed` when a reload is under way by the time that it has gone well: it is to
 * be begun anew after that. */
void upgrade_begin(void (*postponed)(void));

/* True while the new binary rehearses. */
bool upgrade_rehearses(void);

/* The server ends: so does the rehearsal. */
void upgrade_abandon(void);

/* ---- In both ---- */

/* Notes where the binary is. Early, before it may be replaced on disk. */
void upgrade_init(void);

/* It is at `path`, whatever it was executed by. */
void upgrade_set_binary(const char *path);

/* Master: the descriptors that the state names stay open over exec, or do not. */
void upgrade_keep_open(bool keep);

/* True when this process was started by an upgrade: `state` describes the server, and `rehearsing`
 * says that it is only to be seen whether this binary could take over. */
bool upgrade_is_resumed(int *state, bool *rehearsing);

/* What the file `state` says (-1: the one that this process was started with), to be freed with
 * cJSON_Delete; NULL when it cannot be read or there is none. */
cJSON *upgrade_state(int state, struct error *error);

/* Master: takes the server over as `state` describes it, and closes `state`. Nothing has changed
 * when that fails, so it can be tried again. */
bool upgrade_resume(int state, const struct settings *settings, struct error *error);

#endif
