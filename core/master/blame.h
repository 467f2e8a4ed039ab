/* What a worker's death is put down to: what the log says, what is counted, and what the quarantine
 * hears. Master only. */
#ifndef PILLION_MASTER_BLAME_H
#define PILLION_MASTER_BLAME_H

#include "master/workers.h"

/* What was under way when the worker died, by its row of the board. */
void worker_blame(const struct worker *worker, struct blame *blame);

/* The worker is dead, with `status` of waitpid(2): counts that, logs the cause, and tells the
 * quarantine. */
void blame_death(const struct worker *worker, int status);

/* Logs where its core dump is, if there is one. */
void blame_core_dump(const struct worker *worker, int status);

#endif
