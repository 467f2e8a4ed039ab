/* What a worker has of the master's descriptors: which of them it keeps, and that module code can
 * close none that it serves with. */
#ifndef PILLION_WORKER_INHERITED_H
#define PILLION_WORKER_INHERITED_H

#include "worker/start.h"

/* Does start_leave_master, with the descriptors that a worker needs. Processes that modules fork
 * close them. */
void inherited_keep(struct started *started, struct loop *loop);

/* Marks the descriptors that the loop does not watch yet, and the sockets of other slots, as the
 * server's. */
void inherited_guard(const struct worker_start *start, struct loop *loop);

#endif
