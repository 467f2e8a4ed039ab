/* Spawning and reaping worker processes and probes, in the master. See workers.h. */
#include "master/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "master/blame.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/orders.h"
#include "master/relieve.h"
#include "master/reload.h"
#include "master/reopen.h"
#include "master/upgrade.h"
#include "process/child.h"
#include "process/core_dump.h"
#include "rpc/metric.h"
#include "worker/probe.h"
#include "worker/worker.h"

#define QUICK_NS        NS_PER_S /* a worker that lived for less died quickly */
#define QUICK_FREE      4u       /* quick deaths in a row before the back-off begins */
#define BACKOFF_FIRST   (20 * NS_PER_MS)
#define BACKOFF_LONGEST (2 * NS_PER_S)

static void channel_ready(struct watch *watch, uint32_t events);
static void end_late(struct timer *timer);

/* ---- Spawning ---- */

static void start_late(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, deadline);

    worker->late = true;
    worker_kill(worker);
}

static void retire_row(const struct worker *worker)
{
    uint32_t damaged = board_retire_row(master.board, worker->row);

    if (damaged > 0)
        log_warn("%u counters of worker %u (pid %d) were damaged, by one of its modules as a rule; "
                 "the statistics leave them out",
                 damaged, worker->slot, (int)worker->pid);
}

/* What all processes see of it. */
static void show_state(const struct worker *worker, enum board_state state)
{
    if (worker->row != NULL)
        atomic_store(&board_seat(master.board, worker->row)->state, state);
}

/* Frees what the master holds for a worker that has no process (any more). */
static void worker_free(struct worker *worker)
{
    for (struct worker **at = &master.workers; *at != NULL; at = &(*at)->next) {
        if (*at == worker) {
            *at = worker->next;
            break;
        }
    }
    timer_cancel(&master.loop, &worker->deadline);
    outbox_clear(&worker->out);
    if (worker->channel.fd > 0) {
        loop_unwatch(&master.loop, &worker->channel);
        close(worker->channel.fd);
    }
    if (worker->arena >= 0)
        close(worker->arena);
    if (worker->row != NULL)
        retire_row(worker);
    generation_release(worker->generation);
    free(worker);
    reopen_check();
}

/* Everything but the process. NULL with the reason. */
static struct worker *worker_new(struct generation *generation, uint32_t slot, bool probe,
                                 int *child_end, struct error *error)
{
    int pair[2];

    if (master.mode != MASTER_RUNNING) {
        error_set(error, "the server is ending");
        return NULL;
    }
    struct worker *worker = must_zalloc(sizeof(*worker));
    worker->slot = slot;
    worker->slots = generation->slots;
    worker->probe = probe;
    worker->generation = generation;
    worker->arena = -1;
    worker->pulse.known = true;
    generation->users++;
    worker->next = master.workers;
    master.workers = worker;
    if (!channel_pair(pair, error)) {
        worker_free(worker);
        return NULL;
    }
    *child_end = pair[1];
    descriptors_refuse(pair[0]);
    if (!loop_watch(&master.loop, &worker->channel, pair[0], EPOLLIN, channel_ready)) {
        error_errno(error, "cannot watch a channel");
        close(pair[0]);
        close(pair[1]);
        worker->channel.fd = 0;
        worker_free(worker);
        return NULL;
    }
    worker->out = (struct outbox){.loop = &master.loop, .channel = pair[0]};
    if (probe)
        return worker;
    worker->serial = ++master.last_serial;
    worker->row = board_take_row(master.board, slot, generation->number);
    worker->arena = arena_create(&generation->geometry, worker->serial, error);
    if (worker->row == NULL)
        error_set(error, "there are %u worker processes already", BOARD_ROWS_MAX);
    if (worker->row == NULL || worker->arena < 0) {
        close(*child_end);
        worker_free(worker);
        return NULL;
    }
    return worker;
}

/* Starts the process; `channel` is its end and is closed here. */
static bool worker_fork(struct worker *worker, int channel, struct error *error)
{
    int vaults[VAULT_PROCESSES_MAX];
    struct worker_start start = {
        .generation = worker->generation,
        .slot = worker->slot,
        .serial = worker->serial,
        .arena = worker->arena,
        .channel = channel,
        .vaults = vaults,
        .board = master.board,
        .row = worker->row,
        .master = master.pid,
    };

    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++)
        vaults[i] = -1;
    if (!worker->probe)
        vaults_connect(worker, vaults);
    worker->started_ns = clock_ns();
    worker->pid = fork();
    if (worker->pid == 0) {
        if (worker->probe)
            probe_main(&start);
        worker_main(&start);
    }
    int number = errno;
    close(channel);
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++) {
        if (vaults[i] >= 0)
            close(vaults[i]);
    }
    errno = number;
    if (worker->pid < 0) {
        error_errno(error, "cannot start a process");
        worker_free(worker);
        return false;
    }
    if (worker->row != NULL)
        atomic_store(&board_seat(master.board, worker->row)->pid, worker->pid);
    timer_set(&master.loop, &worker->deadline,
              worker->generation->settings->load_timeout_ms * NS_PER_MS, start_late);
    return true;
}

void worker_resume(struct worker *worker, int channel)
{
    worker->next = master.workers;
    master.workers = worker;
    descriptors_refuse(channel);
    worker->out = (struct outbox){.loop = &master.loop, .channel = channel};
    if (!loop_watch(&master.loop, &worker->channel, channel, EPOLLIN, channel_ready))
        log_error("cannot watch the channel of worker %u: errno %d", worker->slot, errno);
    if (worker->state == WORKER_LEAVING)
        timer_set(&master.loop, &worker->deadline,
                  worker->generation->settings->drain_timeout_ms * NS_PER_MS, end_late);
}

bool worker_spawn(struct generation *generation, uint32_t slot)
{
    struct error error;
    int channel;
    struct worker *worker = worker_new(generation, slot, false, &channel, &error);

    if (worker != NULL && worker_fork(worker, channel, &error))
        return true;
    log_error("cannot start worker %u: %s", slot, error.text);
    return false;
}

struct worker *probe_spawn(struct generation *generation, struct error *error)
{
    int channel;
    struct worker *probe = worker_new(generation, 0, true, &channel, error);

    if (probe == NULL || !worker_fork(probe, channel, error))
        return NULL;
    return probe;
}

struct worker *worker_of_slot(uint32_t slot)
{
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->probe && w->slot == slot && w->state == WORKER_SERVING &&
            w->generation == generation_current())
            return w;
    }
    return NULL;
}

/* ---- Replacing ---- */

static void respawn(struct timer *timer)
{
    struct slot *slot = container_of(timer, struct slot, respawn);

    if (master.mode != MASTER_RUNNING || slot->index >= generation_current()->slots)
        return;
    if (generation_current()->resumed) { /* only another generation has workers to take its place */
        handover_redirect(slot->index);
        if (reload_phase() == RELOAD_IDLE)
            master_order(ORDER_RELOAD, NULL);
        return;
    }
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->probe && w->slot == slot->index && w->generation == generation_current() &&
            w->state != WORKER_LEAVING)
            return; /* a reload has filled the slot meanwhile */
    }
    if (!worker_spawn(generation_current(), slot->index))
        timer_set(&master.loop, &slot->respawn, BACKOFF_LONGEST, respawn);
}

/* Fills a slot again: at once, or later when its workers die again and again. Deaths for which a
 * method is to blame are quarantine's business: they never keep a slot empty for long. */
static void replace(uint32_t index, uint64_t lived_ns, bool blamed)
{
    struct slot *slot = &master.slots[index];
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

void worker_serve(struct worker *worker)
{
    worker->state = WORKER_SERVING;
    worker->served = true;
    show_state(worker, ROW_SERVING);
    worker->expecting = true;
    channel_tell(worker->channel.fd, MESSAGE_SERVE, 0, handover_expected(worker->slot));
}

/* ---- Dying ---- */

/* A worker that serves is dead: others take its connections over, another one takes its place. */
static void give_up(struct worker *worker)
{
    bool serving = worker->state == WORKER_SERVING && worker->generation == generation_current();
    struct blame blame;

    worker_blame(worker, &blame);
    worker->died = true;
    worker->state = WORKER_LEAVING; /* it does not fill its slot any more */
    vaults_tell(MESSAGE_DEAD, worker->serial);
    handover_add(worker, true);
    if (serving)
        replace(worker->slot, clock_ns() - worker->started_ns, blame.method != BOARD_NO_METHOD);
}

/* ---- Messages ---- */

static void ready(struct worker *worker)
{
    /* One that is told to end meanwhile may have said so before it heard of that. */
    if (worker->state != WORKER_STARTING)
        return;
    timer_cancel(&master.loop, &worker->deadline);
    if (worker->generation == generation_next()) {
        worker->state = WORKER_READY;
        show_state(worker, ROW_READY);
        reload_ready(worker);
        return;
    }
    if (worker->probe || worker->generation != generation_current())
        return;
    /* A replacement in a generation that serves. */
    relieve_ready(worker);
    worker_serve(worker);
    handover_advance();
}

/* The worker has let go of all but `message->number` connections. */
static void released(struct worker *worker, const struct message *message)
{
    bool all = message->number == 0;

    if (worker->state != WORKER_LEAVING)
        return;
    if (master.mode != MASTER_RUNNING) { /* nobody takes anything over any more */
        if (all)
            channel_tell(worker->channel.fd, MESSAGE_TAKEN, worker->serial, 0);
        return;
    }
    vaults_released(worker, message);
    if (worker->released)
        handover_again(worker);
    else
        handover_add(worker, all);
}

static void worker_message(struct worker *worker, struct message *message)
{
    switch (message->type) {
    case MESSAGE_STAGE:
    case MESSAGE_FAILED:
        startup_note(&worker->startup, message);
        break;
    case MESSAGE_METRICS:
        if (worker->probe && !metrics_declare(master.board, message->text))
            log_warn("the modules have more metrics than the %u that are counted",
                     BOARD_METRICS_MAX);
        break;
    case MESSAGE_READY:
        ready(worker);
        break;
    case MESSAGE_RELEASED:
        released(worker, message);
        break;
    case MESSAGE_ADOPTED:
        handover_done(worker, message->serial, (uint32_t)message->number);
        break;
    case MESSAGE_STUCK:
        relieve_stuck(worker, message->number);
        break;
    case MESSAGE_RELIEVE:
        relieve_begin(worker);
        break;
    case MESSAGE_FULL:
        handover_full(worker, message->serial, (uint32_t)message->number);
        break;
    case MESSAGE_UNHELD:
        worker->unheld = (uint32_t)message->number;
        break;
    case MESSAGE_ALIVE:
        pulse_heard(&worker->pulse, message->serial);
        reload_look();
        break;
    case MESSAGE_REOPENED:
        reopen_answered(worker, message->serial, message->text);
        break;
    default:
        break;
    }
}

/* The worker has closed its channel: because it is ending, as a rule. SIGCHLD tells how, but only
 * when the kernel has closed the last of its sockets; others need not wait for that. */
static void deaf(struct worker *worker)
{
    if (worker->reaped)
        return;
    if (!child_exiting(worker->pid))
        worker_kill(worker); /* a module closed it: nobody could ever tell this worker to end */
    else if (worker->served && !worker->released && master.mode == MASTER_RUNNING)
        give_up(worker);
}

/* No worker of ours sends the master a descriptor: some module does, and what it sent may be meant
 * to hold the master up. */
static void sent_descriptors(struct worker *worker, const int *fds, uint32_t count)
{
    log_error("worker %u (pid %d) has sent its master %u descriptors, which only a module can have "
              "done; it is ended",
              worker->slot, (int)worker->pid, count);
    worker_kill(worker);
    descriptors_close(fds, count);
}

/* Reads all that a worker has said. */
static void channel_drain(struct worker *worker)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    while (worker->channel.index != 0) {
        switch (channel_receive(worker->channel.fd, &message, fds, &fd_count)) {
        case CHANNEL_MESSAGE:
            if (fd_count > 0)
                sent_descriptors(worker, fds, fd_count);
            worker_message(worker, &message);
            break;
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_CLOSED:
            loop_unwatch(&master.loop, &worker->channel);
            deaf(worker);
            return;
        }
    }
}

static void channel_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    channel_drain(container_of(watch, struct worker, channel));
}

/* ---- Ending ---- */

void worker_kill(struct worker *worker)
{
    kill(worker->pid, SIGKILL);
}

static void end_late(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, deadline);

    log_warn("worker %u (pid %d, generation %llu) did not end when it was told to; it is killed",
             worker->slot, (int)worker->pid, (unsigned long long)worker->generation->number);
    worker->late = true;
    worker_kill(worker);
}

void worker_tell_end(struct worker *worker, enum message_type how, uint64_t patience_ms)
{
    bool serving = worker->state == WORKER_SERVING;

    worker->state = WORKER_LEAVING;
    show_state(worker, ROW_LEAVING);
    timer_set(&master.loop, &worker->deadline, patience_ms * NS_PER_MS, end_late);
    /* One that is still loading reads no messages, and has nothing that could be lost. */
    if (!serving || worker->probe ||
        !channel_tell(worker->channel.fd, how, 0, worker->generation->settings->drain_timeout_ms))
        worker_kill(worker);
}

/* Why a worker or probe that was starting is gone, in words for an operator. */
static void describe_failure(const struct worker *worker, int status, char *text, size_t size)
{
    startup_describe(&worker->startup, worker->probe ? "the probe" : "a worker", status,
                     worker->late, worker->generation->settings->load_timeout_ms, text, size);
}

static void tell_core_dump(const struct worker *worker, int status)
{
    struct text said = {0};

    core_dump_describe(worker->generation, worker->pid, status, &said);
    if (said.size > 0)
        log_notice("worker %u (pid %d): %s", worker->slot, (int)worker->pid, text_string(&said));
    text_free(&said);
}

static void worker_gone(struct worker *worker, int status)
{
    char text[CHANNEL_TEXT_MAX + 512];

    worker->reaped = true;
    channel_drain(worker);
    bool asked = worker->state == WORKER_LEAVING;

    if (worker->generation == generation_next() && !asked) {
        /* A probe that has said READY has done all that it was for. */
        describe_failure(worker, status, text, sizeof(text));
        if (!worker->probe || worker->state != WORKER_READY)
            reload_fail(text);
    } else if (!worker->served) {
        if (!asked && !worker->probe && worker->generation == generation_current()) {
            describe_failure(worker, status, text, sizeof(text));
            log_error("worker %u could not be replaced: %s", worker->slot, text);
            worker->state = WORKER_LEAVING;
            replace(worker->slot, clock_ns() - worker->started_ns, false);
        }
    } else if (master.mode == MASTER_RUNNING && (worker->died || !worker->released)) {
        if (!worker->died)
            give_up(worker);
        blame_death(worker, status);
        tell_core_dump(worker, status);
    } else if (status != 0 && !worker->late) {
        describe_status(status, text, sizeof(text));
        log_warn("worker %u (pid %d) did not end in order: %s", worker->slot, (int)worker->pid,
                 text);
    }
    if (worker->arena >= 0) /* nobody takes anything over from it */
        handover_retire(worker->serial);
    worker_free(worker);
    if (master.mode == MASTER_RUNNING)
        handover_advance();
    vaults_sweep();
}

void workers_reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (vault_reaped(pid, status) || upgrade_reaped(pid, status))
            continue;
        for (struct worker *w = master.workers; w != NULL; w = w->next) {
            if (w->pid == pid) {
                worker_gone(w, status);
                break;
            }
        }
    }
}
