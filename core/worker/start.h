/* How workers and probes start: what the master gives them, how they shed the master's descriptors
 * and rights, and how modules are loaded and their methods bound. */
#ifndef PILLION_WORKER_START_H
#define PILLION_WORKER_START_H

#include "module/loader.h"
#include "net/directory.h"
#include "process/generation.h"
#include "rpc/dispatch.h"
#include "rpc/offload.h"

/* What the master starts a worker or a probe with. The descriptors are inherited. A probe uses only
 * generation, channel, board, master and `rehearses`. */
struct worker_start {
    struct generation *generation;
    uint32_t slot;
    uint32_t serial; /* unique in the life of the master */
    int arena;
    int channel;       /* to the master */
    const int *vaults; /* to the vaults, by seat; -1 where there is none */
    struct board *board;
    struct board_row *row;
    const struct directory *directory; /* of services; NULL: there is none */
    uint64_t services_known_ns;        /* since when those of `proxy_all` are known; 0: not yet */
    pid_t master;
    bool rehearses; /* for probes: also call the `start` hooks, for `pillion -t` */
};

/* What the start results in. */
struct started {
    const struct worker_start *start;
    struct board_row *row; /* its own row, the only writable part of the board; NULL in a probe */
    struct module_set modules;
    struct conf_errors errors;
    struct rpc_server *servers; /* by their index in the configuration ... */
    size_t server_count;
};

/* Before anything else: takes the name, and has the master told when memory is exhausted, which
 * start_fail could not. */
void start_begin(const struct worker_start *start, const char *name);

/* Tells the master why the start failed, and ends the process. */
_Noreturn void start_fail(const struct worker_start *start, const char *text);

/* Closes the master's descriptors but the `count` ones in `keep`, becomes the generation's user,
 * and fills in `row`. Ends the process when that fails. */
void start_leave_master(struct started *started, const int *keep, size_t count);

/* Locks the process down, loads the generation's modules and binds its methods. `slot`: -1 in a
 * probe. False after an error, which is in `errors`; the master has been told the stage. */
bool start_load(struct started *started, int slot);

/* Prepares the pool of threads, which wakes `loop`; `limits` has the values that are not in the
 * configuration. Ends the process when that fails. */
void start_threads(const struct started *started, struct loop *loop, struct offload_limits limits);

#endif
