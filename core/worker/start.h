/* How workers and probes start: what they are given, leaving the master behind, and modules from
 * sealed copies to method tables. */
#ifndef PILLION_WORKER_START_H
#define PILLION_WORKER_START_H

#include "module/loader.h"
#include "process/generation.h"
#include "rpc/dispatch.h"
#include "rpc/offload.h"

/* What a worker or a probe is started with. The descriptors are inherited. A probe uses generation,
 * channel, board, master and `rehearses` only. */
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

/* What comes of it. */
struct started {
    const struct worker_start *start;
    struct board_row *row; /* the only part of the board that can be written to; NULL in a probe */
    struct module_set modules;
    struct conf_errors errors;
    struct rpc_server *servers; /* by their index in the configuration */
};

/* Says to the master why there will be no worker, and ends the process. */
_Noreturn void start_fail(const struct worker_start *start, const char *text);

/* The process has nothing of the master's any more but the `count` descriptors in `keep`, and is
 * its generation's user. Fills in `row`. Ends the process when that fails. */
void start_leave_master(struct started *started, const int *keep, size_t count);

/* Loads the generation's modules and binds its methods. `slot`: -1 in a probe. False after an
 * error, which is in `errors`; the master has been told what was being done. */
bool start_load(struct started *started, int slot);

/* Prepares the pool of threads that wakes `loop`; `limits` says what is not in the configuration.
 * Ends the process when that fails. */
void start_threads(const struct started *started, struct loop *loop, struct offload_limits limits);

#endif
