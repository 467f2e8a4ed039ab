/* What a worker's death is put down to: what the log says, what is counted, and what the quarantine
 * hears. Master only. */
#ifndef PILLION_MASTER_BLAME_H
#define PILLION_MASTER_BLAME_H

#include "master/workers.h"

/* What was under way when the worker died, by its row of the board. */
void worker_blame(const struct worker *worker, struct blame *blame);

#define DEATH_WORDS_MAX 512u

/* The worker is dead, with `status` of waitpid(2): counts that, logs the cause, and tells the
 * quarantine. `how` becomes what the log says of the worker: "died while it ran …". */
void blame_death(const struct worker *worker, int status, char how[DEATH_WORDS_MAX]);

/* The worker has ended when it was told to, but not in order: logs the cause. */
void blame_disorder(const struct worker *worker, int status);

/* Logs where its core dump is, if there is one. */
void blame_core_dump(const struct worker *worker, int status);

#endif
