/* The watchdog, in the master: kills workers whose handler runs for longer than handler_timeout.
 *
 * Workers read no clock for it. Each worker stores in its row of the board which method runs and
 * how many requests have been handled. The master looks at the rows at a steady pace, and adds up
 * for how long a row has not changed. It counts its own looks, not time: while the machine is
 * suspended, or the master is stopped or has no processor, handlers may not have run either. See
 * watchdog.h. */
#include "master/watchdog.h"

#include "base/clock.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/report.h"
#include "master/workers.h"
#include "process/child.h"

#define PACE_SLOWEST (250 * NS_PER_MS)
#define PACE_FASTEST (5 * NS_PER_MS)

static struct timer timer;
static uint64_t pace;

static void look_at(struct worker *worker)
{
    struct board_row *row = worker->row;
    uint32_t running = atomic_load_explicit(&row->running, memory_order_acquire);
    uint64_t dispatched = counter_read(&row->dispatched);
    uint64_t allowed = atomic_load_explicit(&row->allowed_ns, memory_order_relaxed);

    if (running == 0 || dispatched != worker->seen_dispatched || allowed == 0) {
        worker->seen_dispatched = dispatched;
        worker->unchanged_ns = 0;
        return;
    }
    worker->unchanged_ns += pace;
    if (worker->unchanged_ns < allowed || worker->cause == CAUSE_HUNG ||
        worker->cause == CAUSE_SILENT)
        return;
    bool stopped = child_view(worker->child.pid).state == 'T';
    if (stopped) /* whoever has stopped it is to blame, and not the handler */
        report(JOURNAL_HANG, &(struct report_subject){.pid = worker->child.pid},
               "worker %u (pid %d) is stopped, by a signal, in the middle of a handler "
               "(handler_timeout): it is ended and replaced",
               worker->slot, (int)worker->child.pid);
    worker_kill(worker, stopped ? CAUSE_SILENT : CAUSE_HUNG);
}

static void look(struct timer *due)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (worker_has_clients(w) && w->row != NULL)
            look_at(w);
    }
    timer_set(&master.loop, due, pace, look);
}

void watchdog_start(void)
{
    const struct settings *settings = generation_current()->settings;
    uint64_t shortest =
        settings->handler_timeout_ms == 0 ? UINT64_MAX / NS_PER_MS : settings->handler_timeout_ms;

    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (struct method_settings *m = s->methods; m != NULL; m = m->next) {
            if (m->timeout_ms != 0 && m->timeout_ms < shortest)
                shortest = m->timeout_ms;
        }
    }
    pace = shortest * NS_PER_MS / 4;
    if (pace > PACE_SLOWEST)
        pace = PACE_SLOWEST;
    if (pace < PACE_FASTEST)
        pace = PACE_FASTEST;
    timer_set(&master.loop, &timer, pace, look);
}

void watchdog_stop(void)
{
    timer_cancel(&master.loop, &timer);
}
