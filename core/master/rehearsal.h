/* The rehearsal of an upgrade: the new binary is started beside the server with a copy of the
 * state. It reads the state and the configuration, runs a probe over the modules as it would after
 * the upgrade, and says so in its output. It may take as long as the
 * configuration in use allows for looking up names and for loading modules, and ten seconds more.
 * Master only. */
#ifndef PILLION_MASTER_REHEARSAL_H
#define PILLION_MASTER_REHEARSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The first line that a rehearsal prints, once it has read the state. Exit status 0 alone proves
 * nothing: many a program that is not Pillion ends with 0, too. */
#define REHEARSAL_BEGINS "pillion rehearses to take over"

/* The second line, printed by a binary that knows several vaults. */
#define REHEARSAL_KNOWS_VAULTS "knows several vaults"

struct rehearsal_outcome {
    int status;        /* of waitpid(2) */
    uint64_t late_ms;  /* not 0: it was killed, because it took longer than this */
    bool known;        /* it has printed REHEARSAL_BEGINS */
    bool knows_vaults; /* and REHEARSAL_KNOWS_VAULTS */
    const char *said;  /* the rest of its output */
};

/* Starts the binary that binary_open has opened, with the state's file `state`. Calls `done` when
 * it has ended. False with the reason. */
bool rehearsal_begin(int state, void (*done)(const struct rehearsal_outcome *outcome),
                     struct error *error);

bool rehearsal_is_under_way(void);

/* Kills the rehearsal, if one is under way. */
void rehearsal_end(void);

#endif
