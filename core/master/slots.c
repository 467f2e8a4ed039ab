/* Filling slots again. See slots.h. */
#include "master/slots.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/master.h"
#include "master/workers.h"

#define QUICK_NS        NS_PER_S /* a worker that lived for less died quickly */
#define QUICK_FREE      4u       /* quick deaths in a row before the back-off begins */
#define BACKOFF_FIRST   (20 * NS_PER_MS)
#define BACKOFF_LONGEST (2 * NS_PER_S)

struct slot {
    struct timer respawn;
    uint32_t index;
    uint32_t quick_deaths; /* in a row */
};

static struct slot slots[WORKER_PROCESSES_MAX];
static void (*exhausted)(void);

void slots_begin(void (*when_exhausted)(void))
{
    exhausted = when_exhausted;
}

void slots_forget(void)
{
    for (uint32_t i = 0; i < WORKER_PROCESSES_MAX; i++) {
        timer_cancel(&master.loop, &slots[i].respawn);
        slots[i].quick_deaths = 0;
    }
}

static void respawn(struct timer *timer)
{
    struct slot *slot = container_of(timer, struct slot, respawn);
    struct error error;

    if (master.mode != MASTER_RUNNING || slot->index >= generation_current()->slots)
        return;
    if (generation_current()->resumed) {
        handover_redirect(slot->index);
        exhausted();
        return;
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!w->probe && w->slot == slot->index && w->generation == generation_current() &&
            !worker_is_leaving(w))
            return; /* a reload has filled the slot meanwhile */
    }
    if (worker_spawn(generation_current(), slot->index, &error))
        return;
    log_error("%s; another attempt follows in %llu ms", error.text,
              (unsigned long long)(BACKOFF_LONGEST / NS_PER_MS));
    timer_set(&master.loop, &slot->respawn, BACKOFF_LONGEST, respawn);
    handover_redirect(slot->index); /* the slot's sources need not wait */
}

void slot_refill(uint32_t index, uint64_t lived_ns, bool blamed)
{
    struct slot *slot = &slots[index];
    uint64_t longest = blamed ? BACKOFF_FIRST : BACKOFF_LONGEST, delay = 0;

    slot->index = index;
    slot->quick_deaths = lived_ns < QUICK_NS ? slot->quick_deaths + 1 : 0;
    if (slot->quick_deaths > QUICK_FREE) {
        uint32_t doublings = slot->quick_deaths - QUICK_FREE - 1;
        delay = doublings > 7 ? longest : BACKOFF_FIRST << doublings;
        if (delay > longest)
            delay = longest;
        log_warn("worker %u has died %u times in a row; the next one starts in %llu ms", index,
                 slot->quick_deaths, (unsigned long long)(delay / NS_PER_MS));
    }
    if (delay == 0) {
        respawn(&slot->respawn);
        return;
    }
    timer_set(&master.loop, &slot->respawn, delay, respawn);
    handover_redirect(index);
}
