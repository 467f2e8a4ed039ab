/* Workers that are of little use any more, because threads of theirs are stuck or their limit on
 * open files was lowered: another worker takes over the slot of each. Master only. */
#ifndef PILLION_MASTER_RELIEVE_H
#define PILLION_MASTER_RELIEVE_H

#include "master/workers.h"

/* The worker says that one of its threads is stuck in work of this method. */
void relieve_stuck(const struct worker *worker, uint64_t method);

/* The worker asks to be replaced, for the reason `why`, an enum relief: starts another worker in
 * its slot. */
void relieve_begin(const struct worker *worker, uint64_t why);

/* `worker` is ready to serve: tells the worker that it relieves in its slot, if there is one, to
 * leave. */
void relieve_ready(const struct worker *worker);

#endif
