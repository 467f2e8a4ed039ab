/* What the master does when a process says something or ends. See events.h. */
#include "master/events.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_seldom.h"
#include "master/blame.h"
#include "master/control.h"
#include "master/found.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/heartbeat.h"
#include "master/master.h"
#include "master/offers.h"
#include "master/orders.h"
#include "master/pulse.h"
#include "master/registry.h"
#include "master/relieve.h"
#include "master/reload.h"
#include "master/reopen.h"
#include "master/report.h"
#include "master/slots.h"
#include "master/vault_channels.h"
#include "master/vaults.h"
#include "master/wants.h"
#include "master/workers.h"
#include "rpc/exposition.h"
#include "rpc/introspect.h"

/* ---- Workers ---- */

static void ready(struct worker *worker)
{
    if (worker->generation == generation_next()) {
        reload_ready(worker);
        return;
    }
    if (worker->probe || worker->generation != generation_current())
        return;
    /* The worker replaces one that died or has stuck threads, in the generation that serves. */
    relieve_ready(worker);
    worker_serve(worker, handover_expected(worker->slot));
    if (master_is_to_quit())
        channel_tell(worker->child.channel.fd, MESSAGE_UNREADY, 0, 0);
    pulse_greet(worker->child.channel.fd); /* a reload may wait for its sign of life */
    handover_advance();
}

static uint64_t lifetime_ns(const struct worker *worker)
{
    return clock_ns() - worker->started_ns;
}

static void failed(struct worker *worker, const char *why)
{
    if (worker->generation == generation_next()) {
        reload_fail(why);
    } else if (!worker->probe && worker->generation == generation_current()) {
        report(JOURNAL_NOT_REPLACED, NULL, "worker %u could not be replaced: %s", worker->slot,
               why);
        slot_refill(worker->slot, lifetime_ns(worker), false);
    }
}

static void released(struct worker *worker, const struct message *message)
{
    bool all = message->number == 0;

    if (master.mode != MASTER_RUNNING) { /* the server is ending: no worker adopts any more */
        if (all)
            channel_tell(worker->child.channel.fd, MESSAGE_TAKEN, worker->serial, 0);
        return;
    }
    vaults_released(worker, message);
    if (worker->life == WORKER_RELEASED)
        handover_again(worker);
    else
        handover_add(worker, all);
}

static void lost(struct worker *worker, bool served_slot)
{
    struct blame blame;

    worker_blame(worker, &blame);
    vaults_tell(MESSAGE_DEAD, worker->serial);
    handover_add(worker, true);
    if (served_slot)
        slot_refill(worker->slot, lifetime_ns(worker), blame.method != BOARD_NO_METHOD);
}

static void died(struct worker *worker, int status)
{
    char how[DEATH_WORDS_MAX];
    struct blame blame;

    worker_blame(worker, &blame);
    blame_death(worker, status, how);
    blame_core_dump(worker, status);
    if (blame.duty == DUTY_HOOK)
        reopen_crashed(worker, how);
}

/* Names of DNS are looked up by asking strangers, so a name tells them something. */
static void wants(const struct worker *worker, const char *service)
{
    if (worker->offline) {
        log_seldom(LOG_ERROR_LEVEL, NULL,
                   "worker %u wants the service \"%s\", but none of its modules needs the network "
                   "(PILLION_NEEDS_NETWORK, or needs=network of load_module): nobody looks for it",
                   worker->slot, service);
        return;
    }
    wants_add(worker->generation->number, service);
}

static void offered(const struct worker *probe, const struct message *message)
{
    offers_told(probe->generation->number, message);
}

static void gone(uint32_t serial, bool owing)
{
    reopen_check();
    wants_sweep();
    if (owing)
        handover_retire(serial);
    if (master.mode == MASTER_RUNNING)
        handover_advance();
    vaults_sweep();
}

static const struct worker_events worker_events = {
    .connecting = vaults_connect,
    .ready = ready,
    .failed = failed,
    .released = released,
    .adopted = handover_done,
    .full = handover_full,
    .stuck = relieve_stuck,
    .crippled = relieve_begin,
    .wants = wants,
    .offered = offered,
    .alive = reload_look,
    .reopened = reopen_answered,
    .lost = lost,
    .died = died,
    .disorderly = blame_disorder,
    .left_behind = master_check_end,
    .gone = gone,
};

/* ---- The rest ---- */

static const struct vault_events vault_events = {
    .heard = reload_look,
    .unreached = reload_fail,
    .awaited = handover_awaits,
};

/* Called after each round of heartbeats. Also mends listeners that a module has broken, which are
 * broken for all workers. */
static void round_over(void)
{
    listeners_mend(&master.listeners);
    reload_look();
}

/* A slot is empty that only a reload can fill: the former binary's generation starts no workers. */
static void exhausted(void)
{
    if (reload_phase() == RELOAD_IDLE)
        master_order(ORDER_RELOAD, NULL);
}

static void show_stats(struct text *out)
{
    const struct introspect server = {.board = master.board,
                                      .generation = atomic_load(&master.board->generation)};
    cJSON *stats = introspect_stats(&server);
    char *text = cJSON_PrintUnformatted(stats);
    text_append_string(out, text == NULL ? "{}" : text);
    text_append_char(out, '\n');
    cJSON_free(text);
    cJSON_Delete(stats);
}

/* The events after the one that `from`, " ID" or "", names. */
static enum control_shown show_events(const char *from, struct text *out)
{
    char *end;
    uint64_t id = strtoul(from, &end, 10);
    struct journal_event event;

    if (*end != '\0' || (*from != '\0' && *from != ' '))
        return CONTROL_UNKNOWN;
    size_t before = out->size;
    for (; journal_next(&master.board->journal, id, &event); id = event.id)
        journal_append(&event, out);
    return out->size == before && *from != '\0' ? CONTROL_LATER : CONTROL_SHOWN;
}

/* For the control socket: see control.h. */
static enum control_shown show(const char *word, struct text *out)
{
    if (strncmp(word, CONTROL_EVENTS, strlen(CONTROL_EVENTS)) == 0)
        return show_events(word + strlen(CONTROL_EVENTS), out);
    if (strcmp(word, CONTROL_METRICS) == 0)
        exposition_write(master.board, out);
    else if (strcmp(word, CONTROL_STATS) == 0)
        show_stats(out);
    else
        return CONTROL_UNKNOWN;
    return CONTROL_SHOWN;
}

void events_begin(void)
{
    workers_begin(&worker_events);
    vaults_begin(&vault_events);
    gates_begin(master_check_end);
    found_begin(master_reload_again);
    registry_begin(master_check_end);
    heartbeat_begin(round_over);
    slots_begin(exhausted);
    control_begin(master_order, show);
}
