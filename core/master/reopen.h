/* Log files are opened anew, by the master and by every worker. Master only. */
#ifndef PILLION_MASTER_REOPEN_H
#define PILLION_MASTER_REOPEN_H

#include <stdint.h>

#include "master/workers.h"

/* Has every process open its log files anew. Clients that ordered it are answered when all have
 * done so. */
void reopen_begin(void);

/* The worker has opened its files anew; `failures` is "", or names those it could not open. */
void reopen_answered(struct worker *worker, uint64_t serial, const char *failures);

/* The worker has died of a module's hook; `how` is blame_death's text. */
void reopen_crashed(struct worker *worker, const char *how);

/* Call this whenever a worker is gone: it answers no more. */
void reopen_check(void);

#endif
