/* Looking at the worker's requests and memory. See wear.h. */
#include "worker/wear.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process_memory.h"

#define LOOK_NS NS_PER_S

static struct {
    struct loop *loop;
    struct timer timer;
    uint64_t requests, memory; /* at most; 0: any */
    const struct board_row *row;
    void (*worn)(void);
    bool told;
} wear;

static void look(struct timer *timer)
{
    struct process_memory memory = {0};
    uint64_t requests = counter_read(&wear.row->counters[COUNT_FRAMES]);
    bool used = wear.requests != 0 && requests >= wear.requests;
    bool large =
        wear.memory != 0 && process_memory((int32_t)getpid(), &memory) && memory.own >= wear.memory;

    timer_set(wear.loop, timer, LOOK_NS, look);
    if (!used && !large)
        return;
    if (!wear.told)
        log_notice("%s (%llu requests, %llu bytes of memory): it asks for another in its place",
                   used ? "it has had worker_max_requests" : "it has worker_max_memory",
                   (unsigned long long)requests, (unsigned long long)memory.own);
    wear.told = true;
    wear.worn();
}

void wear_watch(struct loop *loop, const struct settings *settings, const struct board_row *row,
                void (*worn)(void))
{
    struct process_memory memory;

    wear.loop = loop;
    wear.requests = (uint64_t)settings->worker_max_requests;
    wear.memory = settings->worker_max_memory;
    wear.row = row;
    wear.worn = worn;
    if (wear.memory != 0 && process_memory((int32_t)getpid(), &memory) &&
        memory.own >= wear.memory) {
        log_error("it begins with %llu bytes of memory of its own, and worker_max_memory allows "
                  "%llu: the limit is not heeded; raise it",
                  (unsigned long long)memory.own, (unsigned long long)wear.memory);
        wear.memory = 0;
    }
    if (wear.requests != 0 || wear.memory != 0)
        timer_set(loop, &wear.timer, LOOK_NS, look);
}
