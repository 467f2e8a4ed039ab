/* Asking for signs of life. See heartbeat.h. */
#include "master/heartbeat.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/registry.h"
#include "master/report.h"
#include "master/vaults.h"
#include "master/workers.h"

static struct {
    struct timer timer;
    uint64_t pace_ns;
    void (*round_over)(void);
} heartbeat;

/* True when the worker runs a handler, or has run some since the last look. The worker writes the
 * row itself, so it may be wrong: at worst the worker counts as busy, and then the watchdog looks
 * after it. */
static bool is_busy(struct worker *worker)
{
    if (worker->row == NULL)
        return false;
    uint64_t dispatched = counter_read(&worker->row->dispatched);
    bool moved = dispatched != worker->pulse.dispatched;

    worker->pulse.dispatched = dispatched;
    return moved || atomic_load_explicit(&worker->row->running, memory_order_acquire) != 0;
}

static void next_round(struct timer *timer)
{
    const struct pulse_round now = {pulse_question(), heartbeat.pace_ns};

    /* Vaults first: a worker may be silent only because it waits for a silent vault. */
    bool excused = vaults_round(&now);
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!worker_has_clients(w) ||
            pulse_round(&w->pulse, w->child.pid, w->child.channel.fd, &now, is_busy(w), excused))
            continue;
        report(JOURNAL_HANG, &(struct report_subject){.pid = w->child.pid},
               "worker %u (pid %d) gives no sign of life (heartbeat_timeout): it is ended and "
               "replaced",
               w->slot, (int)w->child.pid);
        worker_kill(w, CAUSE_SILENT);
    }
    gates_round(&now);
    registry_round(&now);
    timer_set(&master.loop, timer, heartbeat.pace_ns, next_round);
    heartbeat.round_over();
}

void heartbeat_begin(void (*round_over)(void))
{
    heartbeat.round_over = round_over;
}

void heartbeat_start(void)
{
    uint64_t timeout_ms = generation_current()->settings->heartbeat_timeout_ms;

    heartbeat_stop();
    heartbeat.pace_ns = timeout_ms * NS_PER_MS / PULSE_ROUNDS;
    if (timeout_ms != 0)
        timer_set(&master.loop, &heartbeat.timer, heartbeat.pace_ns, next_round);
}

void heartbeat_stop(void)
{
    timer_cancel(&master.loop, &heartbeat.timer);
}

/* ---- Before a reload ---- */

static bool matters(const struct worker *worker)
{
    if (worker->probe || !worker->pulse.known || worker->pulse.dead)
        return false;
    return worker->generation == generation_next()
               ? worker->life == WORKER_READY
               : worker->life == WORKER_SERVING && worker->generation == generation_current();
}

uint64_t heartbeat_ask(void)
{
    uint64_t serial = pulse_question();

    vaults_ask(serial);
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (matters(w))
            channel_tell(w->child.channel.fd, MESSAGE_BEAT, serial, 0);
    }
    return serial;
}

bool heartbeat_all(uint64_t serial, char *name, size_t size)
{
    uint32_t seat;

    if (!vaults_heard(serial, &seat)) {
        snprintf(name, size, "vault %u", seat);
        return false;
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!matters(w) || w->pulse.heard >= serial)
            continue;
        bool busy = w->row != NULL && w->life == WORKER_SERVING &&
                    atomic_load_explicit(&w->row->running, memory_order_acquire) != 0;
        if (busy && child_view(w->child.pid).state != 'T')
            continue;
        snprintf(name, size, "worker %u (pid %d, generation %llu)", w->slot, (int)w->child.pid,
                 (unsigned long long)w->generation->number);
        return false;
    }
    return true;
}
