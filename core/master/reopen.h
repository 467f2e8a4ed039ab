/* Log files are opened anew, by the master and by every worker. Master only. */
#ifndef PILLION_MASTER_REOPEN_H
#define PILLION_MASTER_REOPEN_H

#include <stdint.h>

#include "master/workers.h"

/* Has every process open its log files anew. Clients of the control socket that asked for it are
 * answered when all processes have. */
void reopen_begin(void);

/* A worker has; `failures` is "", or says what it could not open. */
void reopen_answered(struct worker *worker, uint64_t serial, const char *failures);

/* The worker has died, and not as it was told to: `how` as blame_death says it. */
void reopen_died(struct worker *worker, const char *how);

/* Called whenever a worker is gone: no answer comes from it any more. */
void reopen_check(void);

#endif
