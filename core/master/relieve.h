/* Workers whose threads are stuck: another worker takes the slot of each. Master only. */
#ifndef PILLION_MASTER_RELIEVE_H
#define PILLION_MASTER_RELIEVE_H

#include "master/workers.h"

/* A thread of the worker is stuck in work of this method, by its word. */
void relieve_stuck(const struct worker *worker, uint64_t method);

/* So many of its threads are stuck that another worker is started in its slot. */
void relieve_begin(const struct worker *worker);

/* `worker` is ready to serve in its slot: the one that it relieves there is told to leave. */
void relieve_ready(const struct worker *worker);

#endif
