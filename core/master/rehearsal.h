/* The rehearsal of an upgrade: the new binary is started beside the server with a copy of the
 * state. It reads that and the configuration, runs a probe over the modules, exactly as it will,
 * and says that it does. Master only. */
#ifndef PILLION_MASTER_REHEARSAL_H
#define PILLION_MASTER_REHEARSAL_H

#include <stdbool.h>

#include "base/error.h"

/* The first line that a rehearsal prints, once it has read the state. That it ends with 0 as well
 * is not enough: so does many a program that is no Pillion and knows of no rehearsal. */
#define REHEARSAL_BEGINS "pillion rehearses to take over"

/* The second, of a binary that knows several vaults. */
#define REHEARSAL_KNOWS_VAULTS "knows several vaults"

struct rehearsal_outcome {
    int status;        /* of waitpid(2) */
    bool known;        /* it has said that it rehearses */
    bool knows_vaults; /* and that it knows several */
    const char *said;  /* what else it has printed */
};

/* Starts the file that binary.h has open, with the file `state`. Calls `done` when it has ended.
 * False with the reason. */
bool rehearsal_begin(int state, void (*done)(const struct rehearsal_outcome *outcome),
                     struct error *error);

bool rehearsal_is_under_way(void);

/* Ends it, if one is under way. */
void rehearsal_end(void);

#endif
