/* Asking for signs of life. See heartbeat.h. */
#include "master/heartbeat.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/generations.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/workers.h"

static struct {
    struct timer timer;
    uint64_t pace_ns;
    uint64_t serial; /* of the last question, to whomever */
} heartbeat;

/* ---- One process ---- */

uint32_t heartbeat_weigh(const struct pulse *pulse, const struct child_view *view, bool busy,
                         uint64_t pace_ns)
{
    switch (view->state) {
    case 'T': /* stopped by a signal: nothing goes on in it, handlers neither */
        return HEARTBEAT_FULL;
    case 'R': /* it has a processor, and spins; or waits for one, which is not its fault */
        return busy || view->cpu_ns - pulse->cpu_ns <= pace_ns / 2 ? 0 : 1;
    case 'D': /* a disk, or memory that was swapped out: slow things, and some never end */
        return busy ? 0 : 1;
    case 'Z':
    case 'X': /* waitpid(2) will tell */
        return 0;
    default: /* it sleeps, or a debugger holds it, with a question unread */
        return busy || view->exiting ? 0 : HEARTBEAT_FULL;
    }
}

void heartbeat_heard(struct pulse *pulse, uint64_t serial)
{
    pulse->answered = true;
    if (serial > pulse->heard && serial <= heartbeat.serial)
        pulse->heard = serial;
}

static void ask(struct pulse *pulse, int channel, uint64_t serial)
{
    /* A channel that is full is one that nobody reads: asked, too. */
    channel_tell(channel, MESSAGE_BEAT, serial, 0);
    pulse->asked = true;
}

bool heartbeat_turn(struct pulse *pulse, pid_t pid, int channel, uint64_t serial, bool busy,
                    bool excused)
{
    if (!pulse->known || pulse->dead)
        return true;
    if (pulse->answered || excused) {
        pulse->silence = 0;
    } else if (pulse->asked) {
        struct child_view view = child_view(pid);
        uint32_t weight = heartbeat_weigh(pulse, &view, busy, heartbeat.pace_ns);
        pulse->silence = weight == 0 && busy ? 0 : pulse->silence + weight;
        pulse->cpu_ns = view.cpu_ns;
    }
    pulse->answered = false;
    if (pulse->silence < HEARTBEAT_SILENT) {
        ask(pulse, channel, serial);
        return true;
    }
    pulse->dead = true;
    return false;
}

/* ---- All of them ---- */

static bool is_watched(const struct worker *worker)
{
    return !worker->probe && worker->served && !worker->released && !worker->died;
}

/* In a handler, or some have ended since the last look. What the row says is the worker's own word:
 * at worst it is believed to be busy, and its handler has a watchdog. */
static bool is_busy(struct worker *worker)
{
    if (worker->row == NULL)
        return false;
    uint64_t dispatched = counter_read(&worker->row->dispatched);
    bool moved = dispatched != worker->pulse.dispatched;

    worker->pulse.dispatched = dispatched;
    return moved || atomic_load_explicit(&worker->row->running, memory_order_acquire) != 0;
}

static void turn(struct timer *timer)
{
    uint64_t serial = ++heartbeat.serial;

    /* A worker may wait for a vault that is silent: that one first. */
    bool excused = vaults_turn(serial);
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!is_watched(w) ||
            heartbeat_turn(&w->pulse, w->pid, w->channel.fd, serial, is_busy(w), excused))
            continue;
        log_error("worker %u (pid %d) gives no sign of life (heartbeat_timeout): it is ended and "
                  "replaced",
                  w->slot, (int)w->pid);
        worker_kill(w);
    }
    timer_set(&master.loop, timer, heartbeat.pace_ns, turn);
    reload_look();
}

void heartbeat_start(void)
{
    uint64_t timeout_ms = generation_current()->settings->heartbeat_timeout_ms;

    heartbeat_stop();
    heartbeat.pace_ns = timeout_ms * NS_PER_MS / HEARTBEAT_TURNS;
    if (timeout_ms != 0)
        timer_set(&master.loop, &heartbeat.timer, heartbeat.pace_ns, turn);
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
               ? worker->state == WORKER_READY
               : worker->state == WORKER_SERVING && worker->generation == generation_current();
}

uint64_t heartbeat_ask(void)
{
    uint64_t serial = ++heartbeat.serial;

    vaults_ask(serial);
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (matters(w))
            channel_tell(w->channel.fd, MESSAGE_BEAT, serial, 0);
    }
    return serial;
}

void heartbeat_greet(int channel)
{
    channel_tell(channel, MESSAGE_BEAT, heartbeat.serial, 0);
}

bool heartbeat_all(uint64_t serial, char *who, size_t size)
{
    uint32_t seat;

    if (!vaults_heard(serial, &seat)) {
        snprintf(who, size, "vault %u", seat);
        return false;
    }
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!matters(w) || w->pulse.heard >= serial)
            continue;
        bool busy = w->row != NULL && w->state == WORKER_SERVING &&
                    atomic_load_explicit(&w->row->running, memory_order_acquire) != 0;
        if (busy && child_view(w->pid).state != 'T')
            continue;
        snprintf(who, size, "worker %u (pid %d, generation %llu)", w->slot, (int)w->pid,
                 (unsigned long long)w->generation->number);
        return false;
    }
    return true;
}
