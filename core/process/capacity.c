/* The arithmetic of capacity. See capacity.h. */
#include "process/capacity.h"

#include <stdio.h>

#include "conf/settings.h"

#define WORKER_OWN 16u /* standard streams, log, loop, own and adopted arena, channel, threads */
#define VAULT_OWN  8u  /* standard streams, log, loop, channel */
/* A vault has a channel to each worker of the current generation, of the one that leaves, and of
 * replacements. Where requests wait for long, workers of several generations are leaving: up to an
 * eighth of the vault's descriptors is for channels. */
#define VAULT_PER_WORKER   3u
#define VAULT_CHANNELS_MAX 288u /* BOARD_ROWS_MAX of rpc/board.h: there are no more workers */
/* The master has the channel and the arena of each worker, of two generations during a reload, and
 * the arenas of workers that are gone. */
#define MASTER_OWN        32u
#define MASTER_PER_WORKER 6u
#define SPARE_MOST        64u /* most descriptors left to modules; at most an eighth of the limit */

static uint32_t rest(uint64_t files, uint64_t taken)
{
    uint64_t left = files > taken ? files - taken : 1;
    return left > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)left;
}

static uint32_t least(uint32_t one, uint32_t other)
{
    return one < other ? one : other;
}

static uint32_t worker_room(const struct capacity_plan *plan, uint32_t vaults)
{
    uint64_t spare = plan->worker_files / 8 < SPARE_MOST ? plan->worker_files / 8 : SPARE_MOST;
    return rest(plan->worker_files, WORKER_OWN + plan->descriptors + vaults + spare);
}

void capacity_find(const struct capacity_plan *plan, struct capacity *capacity)
{
    uint32_t wanted = least(plan->connections, worker_room(plan, 1));
    uint32_t vaults = plan->vaults;

    uint64_t channels = plan->vault_files / 8;
    if (channels > VAULT_CHANNELS_MAX)
        channels = VAULT_CHANNELS_MAX;
    if (channels < (uint64_t)VAULT_PER_WORKER * plan->workers)
        channels = (uint64_t)VAULT_PER_WORKER * plan->workers;
    capacity->vault_room = rest(plan->vault_files, VAULT_OWN + channels);
    capacity->share = capacity->vault_room / plan->workers;
    if (capacity->share == 0)
        capacity->share = 1;
    if (vaults == 0)
        vaults = (wanted + capacity->share - 1) / capacity->share;
    capacity->vaults = vaults > VAULT_PROCESSES_MAX ? VAULT_PROCESSES_MAX : vaults;
    capacity->worker_room = worker_room(plan, capacity->vaults);
    uint64_t held = (uint64_t)capacity->share * capacity->vaults;
    capacity->connections = least(plan->connections, capacity->worker_room);
    if (capacity->connections > held)
        capacity->connections = (uint32_t)held;
}

void capacity_explain(const struct capacity_plan *plan, const struct capacity *capacity,
                      uint64_t files_max, struct text *out)
{
    uint64_t held = (uint64_t)capacity->share * capacity->vaults;

    if (plan->connections > capacity->worker_room)
        text_printf(
            out,
            "worker_connections is %u, but a worker has descriptors for %u clients: its "
            "limit on open files is %llu; raise that (ulimit -n, LimitNOFILE, or "
            "worker_rlimit_nofile as root) to %llu, or have more workers\n",
            plan->connections, capacity->worker_room, (unsigned long long)plan->worker_files,
            (unsigned long long)(plan->worker_files - capacity->worker_room + plan->connections));
    if (least(plan->connections, capacity->worker_room) > held)
        text_printf(
            out,
            "%u workers with %u clients each are %llu, but %u vault%s of %u sockets %s "
            "%llu: no more are accepted; raise vault_processes (or leave it at auto), or "
            "the limit on open files\n",
            plan->workers, least(plan->connections, capacity->worker_room),
            (unsigned long long)plan->workers * least(plan->connections, capacity->worker_room),
            capacity->vaults, capacity->vaults == 1 ? "" : "s", capacity->vault_room,
            capacity->vaults == 1 ? "holds" : "hold", (unsigned long long)held * plan->workers);
    uint64_t master = MASTER_OWN + (uint64_t)MASTER_PER_WORKER * plan->workers + capacity->vaults +
                      2 * (uint64_t)plan->descriptors;
    if (master > plan->master_files)
        text_printf(out,
                    "a reload has two generations of %u workers at once, for which the master "
                    "needs %llu descriptors: its limit on open files is %llu; raise that (ulimit "
                    "-n, LimitNOFILE)\n",
                    plan->workers, (unsigned long long)master,
                    (unsigned long long)plan->master_files);
    /* A client is one open file, however many descriptors lead to it. A channel is two files, and
     * each worker has one to each vault. During a reload there are two generations of workers. */
    uint64_t files = (uint64_t)capacity->connections * plan->workers +
                     2 * (uint64_t)plan->workers * (WORKER_OWN + 2 * (uint64_t)capacity->vaults);
    if (files_max != 0 && files > files_max)
        text_printf(out,
                    "%u workers with %u clients each are %llu open files during a reload, and the "
                    "system allows %llu; raise fs.file-max (sysctl)\n",
                    plan->workers, capacity->connections, (unsigned long long)files,
                    (unsigned long long)files_max);
}

uint64_t capacity_system_files(void)
{
    unsigned long long most = 0;
    FILE *file = fopen("/proc/sys/fs/file-max", "re");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &most) != 1)
        most = 0;
    fclose(file);
    return most;
}
