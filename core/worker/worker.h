/* A worker process: its generation's modules, one event loop, and its clients. */
#ifndef PILLION_WORKER_WORKER_H
#define PILLION_WORKER_WORKER_H

#include "process/generation.h"

/* What a worker is started with. The descriptors are inherited. */
struct worker_start {
    struct generation *generation;
    uint32_t slot;
    uint32_t serial; /* unique in the life of the master */
    int arena;
    int channel;       /* to the master */
    const int *vaults; /* to the vaults, by seat; -1 where there is none */
    struct board *board;
    struct board_row *row;
    pid_t master;
    bool rehearses; /* of a probe: calls the `start` hooks too, for `pillion -t` */
};

/* Runs a worker in a child of the master. Says READY or FAILED to the master, serves when told to,
 * and ends the process. */
_Noreturn void worker_main(const struct worker_start *start);

/* Runs a probe: loads the generation's modules, binds its methods, calls the `check` hooks, says
 * READY or FAILED, and ends the process. Only generation, channel, master and `rehearses` of
 * `start` are used. */
_Noreturn void probe_main(const struct worker_start *start);

#endif
