/* A worker process: its generation's modules, one event loop, and its clients. worker.c joins the
 * parts: connections and arena (net), dispatch (rpc), the vaults, adoption and leaving; each of
 * these has a file of its own. */
#ifndef PILLION_WORKER_WORKER_H
#define PILLION_WORKER_WORKER_H

#include "worker/start.h"

/* Runs a worker in a child of the master. Says READY or FAILED to the master, serves when told to,
 * and ends the process. */
_Noreturn void worker_main(const struct worker_start *start);

#endif
