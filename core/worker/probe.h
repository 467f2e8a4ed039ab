/* A probe: a short-lived process that tries a new generation, so that a module that crashes, hangs
 * or refuses its configuration fails the reload and no worker. The master reads its messages
 * (process/startup.h). */
#ifndef PILLION_WORKER_PROBE_H
#define PILLION_WORKER_PROBE_H

#include "worker/start.h"

/* Runs a probe in a child of the master: loads the generation's modules, binds its methods, calls
 * the `check` hooks, says READY or FAILED, and ends the process. */
_Noreturn void probe_main(const struct worker_start *start);

#endif
