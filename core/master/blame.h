/* Blaming a worker's death on a method or module: the log's words, the counters, and the report to
 * the quarantine. The code that ran is read from the worker's row of the board, which the worker
 * may have damaged: nothing there is trusted without a check. Master only. */
#ifndef PILLION_MASTER_BLAME_H
#define PILLION_MASTER_BLAME_H

#include "master/workers.h"

/* Reads from the worker's row of the board which code ran when it died. */
void worker_blame(const struct worker *worker, struct blame *blame);

#define DEATH_WORDS_MAX 1024u

/* The worker is dead, with `status` of waitpid(2): counts the death, logs its cause, and tells the
 * quarantine. `how` is filled with the log's words: "died while it ran …". */
void blame_death(const struct worker *worker, int status, char how[DEATH_WORDS_MAX]);

/* The worker has ended when it was told to, but not with exit status 0: logs the cause. */
void blame_disorder(const struct worker *worker, int status);

/* Logs where the worker's core dump is, if there is one. */
void blame_core_dump(const struct worker *worker, int status);

#endif
