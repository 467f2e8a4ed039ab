/* The table of workers and probes. See workers.h. */
#include "master/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "master/directory_memory.h"
#include "master/found.h"
#include "master/generations.h"
#include "master/master.h"
#include "process/child.h"
#include "process/zones.h"
#include "rpc/metric.h"
#include "worker/probe.h"
#include "worker/worker.h"

static struct {
    struct worker *first;
    uint32_t last_serial;
    const struct worker_events *events;
} workers;

static const struct child_events child_events;

static void end_late(struct timer *timer);
static void expect_end(struct worker *worker);

void workers_begin(const struct worker_events *events)
{
    workers.events = events;
}

struct worker *workers_first(void)
{
    return workers.first;
}

void worker_let_go(struct worker *worker, bool all)
{
    if (worker->life != WORKER_LOST)
        worker->life = all ? WORKER_RELEASED : WORKER_STAYING;
}

bool worker_has_served(const struct worker *worker)
{
    return worker->life >= WORKER_SERVING;
}

bool worker_has_clients(const struct worker *worker)
{
    return worker->life >= WORKER_SERVING && worker->life <= WORKER_STAYING;
}

bool worker_is_leaving(const struct worker *worker)
{
    return worker->life == WORKER_DROPPED || worker->life > WORKER_SERVING;
}

/* ---- Spawning ---- */

static void start_late(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, deadline);

    worker_kill(worker, CAUSE_LATE);
}

static void retire_row(const struct worker *worker)
{
    uint32_t damaged = board_retire_row(master.board, worker->row);

    if (damaged > 0)
        log_warn("%u counters of worker %u (pid %d) were damaged, by one of its modules as a rule; "
                 "the statistics leave them out",
                 damaged, worker->slot, (int)worker->child.pid);
}

/* Shows the worker's state to all processes, on the board. */
static void show_state(const struct worker *worker, enum board_state state)
{
    if (worker->row == NULL)
        return;
    struct board_head *head = board_head(master.board, worker->row);
    if (atomic_load(&head->state) != state)
        atomic_store(&head->state_since_ns, clock_ns());
    atomic_store(&head->state, state);
}

/* Frees what the master holds for a worker that has no process (any more). */
static void worker_free(struct worker *worker)
{
    for (struct worker **at = &workers.first; *at != NULL; at = &(*at)->next) {
        if (*at == worker) {
            *at = worker->next;
            break;
        }
    }
    timer_cancel(&master.loop, &worker->deadline);
    outbox_clear(&worker->out);
    child_close(&worker->child);
    if (worker->arena >= 0)
        close(worker->arena);
    if (worker->row != NULL)
        retire_row(worker);
    generation_release(worker->generation);
    free(worker);
}

/* Makes a worker with everything but its process. NULL with the reason. */
static struct worker *worker_new(struct generation *generation, uint32_t slot, bool probe,
                                 int *child_end, struct error *error)
{
    int pair[2];

    if (master.mode != MASTER_RUNNING) {
        error_set(error, "the server is ending");
        return NULL;
    }
    if (!zones_mend(error))
        return NULL;
    struct worker *worker = must_zalloc(sizeof(*worker));
    worker->slot = slot;
    worker->slots = generation->slots;
    worker->probe = probe;
    worker->generation = generation;
    worker->arena = -1;
    worker->pulse.known = true;
    generation->users++;
    worker->next = workers.first;
    workers.first = worker;
    if (!channel_pair(pair, error)) {
        worker_free(worker);
        return NULL;
    }
    *child_end = pair[1];
    descriptors_refuse(pair[0]);
    if (!child_listen(&worker->child, &master.loop, pair[0], &child_events)) {
        error_errno(error, "cannot watch a channel");
        close(pair[1]);
        worker_free(worker);
        return NULL;
    }
    worker->out = (struct outbox){.loop = &master.loop, .channel = pair[0]};
    if (probe)
        return worker;
    worker->serial = ++workers.last_serial;
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

/* Starts the worker's process; `channel` is its end, which the master closes here. */
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
        .directory = directory_memory(),
        .services_known_ns = found_known_ns(),
        .master = master.pid,
    };

    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++)
        vaults[i] = -1;
    if (!worker->probe && !workers.events->connecting(worker, vaults, error)) {
        close(channel);
        worker_free(worker);
        return false;
    }
    worker->started_ns = clock_ns();
    pid_t pid = fork();
    if (pid == 0) {
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
    if (pid < 0) {
        error_errno(error, "cannot start a process");
        worker_free(worker);
        return false;
    }
    child_follow(&worker->child, pid, &child_events);
    if (worker->row != NULL)
        atomic_store(&board_head(master.board, worker->row)->pid, pid);
    timer_set(&master.loop, &worker->deadline,
              worker->generation->settings->load_timeout_ms * NS_PER_MS, start_late);
    return true;
}

bool worker_spawn(struct generation *generation, uint32_t slot, struct error *error)
{
    int channel;
    struct worker *worker = worker_new(generation, slot, false, &channel, error);

    if (worker != NULL && worker_fork(worker, channel, error))
        return true;
    return error_prefix(error, "cannot start worker %u", slot);
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
    for (struct worker *w = workers.first; w != NULL; w = w->next) {
        if (!w->probe && w->slot == slot && w->life == WORKER_SERVING &&
            w->generation == generation_current())
            return w;
    }
    return NULL;
}

void worker_serve(struct worker *worker, uint32_t expected)
{
    worker->life = WORKER_SERVING;
    show_state(worker, ROW_SERVING);
    worker->adoption.expecting = true;
    channel_tell(worker->child.channel.fd, MESSAGE_SERVE, 0, expected);
}

/* ---- Messages ---- */

/* The worker is dead, or as good as dead: other workers take its connections over. */
static void give_up(struct worker *worker)
{
    bool served_slot = worker->life == WORKER_SERVING && worker->generation == generation_current();

    worker->life = WORKER_LOST;
    workers.events->lost(worker, served_slot);
}

static void ready(struct worker *worker)
{
    /* A worker that was told to end may have sent READY before it read that. */
    if (worker->life != WORKER_STARTING)
        return;
    timer_cancel(&master.loop, &worker->deadline);
    worker->life = WORKER_READY;
    show_state(worker, ROW_READY);
    workers.events->ready(worker);
}

static void worker_message(struct worker *worker, struct message *message)
{
    const struct worker_events *events = workers.events;

    switch (message->type) {
    case MESSAGE_STAGE:
    case MESSAGE_FAILED:
    case MESSAGE_SANDBOXED:
        startup_note(&worker->startup, message);
        break;
    case MESSAGE_METRICS:
        if (worker->probe && !metrics_declare(master.board, message->text))
            log_warn("the modules have more metrics than the %u that are counted",
                     BOARD_METRICS_MAX);
        break;
    case MESSAGE_METHODS:
        if (worker->probe)
            events->offered(worker, message);
        break;
    case MESSAGE_READY:
        ready(worker);
        break;
    case MESSAGE_RELEASED:
        if (worker->life >= WORKER_LEAVING && worker->life <= WORKER_RELEASED)
            events->released(worker, message);
        break;
    case MESSAGE_ADOPTED:
        events->adopted(worker, message->serial, (uint32_t)message->number);
        break;
    case MESSAGE_STUCK:
        events->stuck(worker, message->number);
        break;
    case MESSAGE_RELIEVE:
        events->crippled(worker, message->number);
        break;
    case MESSAGE_FULL:
        events->full(worker, message->serial, (uint32_t)message->number);
        break;
    case MESSAGE_UNHELD:
        worker->unheld = (uint32_t)message->number;
        break;
    case MESSAGE_ALIVE:
        pulse_heard(&worker->pulse, message->serial);
        if (worker->row != NULL)
            atomic_store(&board_head(master.board, worker->row)->lag_ns, worker->pulse.lag_ns);
        events->alive();
        break;
    case MESSAGE_OFFLINE:
        worker->offline = true;
        break;
    case MESSAGE_WANTS:
        if (!worker->probe)
            events->wants(worker, message->text);
        break;
    case MESSAGE_REOPENED:
        events->reopened(worker, message->serial, message->text);
        break;
    default:
        break;
    }
}

/* The worker's own code never sends the master a descriptor, so a module has done it, perhaps to
 * hold the master up. */
static void sent_descriptors(struct worker *worker, const int *fds, uint32_t count)
{
    log_error("worker %u (pid %d) has sent its master %u descriptors, which only a module can have "
              "done; it is ended",
              worker->slot, (int)worker->child.pid, count);
    worker_kill(worker, CAUSE_BROKEN);
    descriptors_close(fds, count);
}

static void heard(struct child *child, struct message *message, const int *fds, uint32_t fd_count)
{
    struct worker *worker = container_of(child, struct worker, child);

    if (fd_count > 0)
        sent_descriptors(worker, fds, fd_count);
    worker_message(worker, message);
}

/* The worker has closed its channel, as a rule because it is ending. SIGCHLD comes only when the
 * kernel has closed the last of the worker's sockets; its connections need not wait for that. */
static void closed(struct child *child)
{
    struct worker *worker = container_of(child, struct worker, child);

    if (!child_exiting(worker->child.pid)) { /* the worker cannot be told to end */
        log_error(
            "worker %u (pid %d) has closed its channel to the master, which only a module can "
            "have done; it is ended",
            worker->slot, (int)worker->child.pid);
        worker_kill(worker, CAUSE_BROKEN);
    } else if (worker_has_clients(worker) && master.mode == MASTER_RUNNING) {
        give_up(worker);
        expect_end(worker);
    }
}

/* ---- Ending ---- */

void worker_kill(struct worker *worker, enum worker_cause cause)
{
    if (worker->cause <= CAUSE_ORDER)
        worker->cause = cause;
    kill(worker->child.pid, SIGKILL);
    expect_end(worker);
}

static void end_late(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, deadline);

    log_warn("worker %u (pid %d, generation %llu) did not end when it was told to; it is killed",
             worker->slot, (int)worker->child.pid, (unsigned long long)worker->generation->number);
    worker_kill(worker, CAUSE_LATE);
}

void worker_tell_end(struct worker *worker, enum message_type how, uint64_t patience_ms)
{
    bool serving = worker->life == WORKER_SERVING;

    worker->life = serving ? WORKER_LEAVING : WORKER_DROPPED;
    if (worker->cause == CAUSE_ITSELF)
        worker->cause = CAUSE_ORDER;
    show_state(worker, ROW_LEAVING);
    timer_set(&master.loop, &worker->deadline, patience_ms * NS_PER_MS, end_late);
    /* A worker that is still loading reads no messages, and has no connection that could be
     * lost. */
    if (!serving || !channel_tell(worker->child.channel.fd, how, 0,
                                  worker->generation->settings->drain_timeout_ms))
        worker_kill(worker, CAUSE_ORDER);
}

/* Describes, for an operator, why a worker or probe that was starting is gone. */
static void describe_failure(struct worker *worker, int status, char *text, size_t size)
{
    struct blame blame = {.duty = DUTY_NONE};

    /* A step of one module is no reason to blame it for a thread of another. */
    if (worker->row != NULL)
        board_blame(master.board, worker->row, false, &blame);
    if (blame.duty == DUTY_THREAD)
        snprintf(worker->startup.culprit, sizeof(worker->startup.culprit), "a thread of %s%s",
                 blame.module[0] == '\0' ? "a module" : "module ", blame.module);
    startup_describe(&worker->startup, worker->probe ? "the probe" : "a worker", status,
                     worker->cause == CAUSE_LATE, worker->generation->settings->load_timeout_ms,
                     text, size);
}

/* The worker has ended before it served. */
static void start_failed(struct worker *worker, int status)
{
    char why[CHANNEL_TEXT_MAX + 512];

    describe_failure(worker, status, why, sizeof(why));
    worker->life = WORKER_DROPPED;
    workers.events->failed(worker, why);
}

/* The worker was told to end, and has done so. */
static void told_and_ended(const struct worker *worker, int status)
{
    if (status != 0 && worker->cause != CAUSE_LATE) /* end_late has logged it */
        workers.events->disorderly(worker, status);
}

/* The worker has ended before it let go of its connections. */
static void died(struct worker *worker, int status)
{
    if (worker->life != WORKER_LOST)
        give_up(worker);
    workers.events->died(worker, status);
}

/* The worker's process is gone. What follows depends on how far the worker had come in its life. */
static void worker_gone(struct worker *worker, int status)
{
    bool ending = master.mode != MASTER_RUNNING; /* then nothing is taken over */

    switch (worker->life) {
    case WORKER_STARTING:
        start_failed(worker, status);
        break;
    case WORKER_READY: /* for a probe, that is success */
        if (!worker->probe)
            start_failed(worker, status);
        break;
    case WORKER_DROPPED:
        break;
    case WORKER_SERVING:
    case WORKER_LEAVING:
    case WORKER_STAYING:
    case WORKER_LOST:
        if (ending)
            told_and_ended(worker, status);
        else
            died(worker, status);
        break;
    case WORKER_RELEASED:
        told_and_ended(worker, status);
        break;
    }
}

/* The worker was killed, and the kernel has not reported its end. The server's end does not wait
 * for that, nor does a reload, but the worker's row and arena do. */
static void unreaped(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, deadline);

    if (master.mode != MASTER_RUNNING) {
        log_error("%s (pid %d, slot %u) was killed, and %d s later the kernel has not reported "
                  "its end, as while another process traces it (ptrace(2)) or it waits for a "
                  "device: the server ends, and leaves it behind",
                  worker->probe ? "the probe" : "a worker", (int)worker->child.pid, worker->slot,
                  UNREAPED_MS / 1000);
        worker->left_behind = true;
        workers.events->left_behind();
        return;
    }
    expect_end(worker);
    if (worker->life == WORKER_STARTING || (worker->life == WORKER_READY && !worker->probe))
        start_failed(worker, SIGKILL);
}

static void expect_end(struct worker *worker)
{
    timer_set(&master.loop, &worker->deadline, UNREAPED_MS * NS_PER_MS, unreaped);
}

bool workers_awaited(void)
{
    for (const struct worker *w = workers.first; w != NULL; w = w->next) {
        if (!w->left_behind)
            return true;
    }
    return false;
}

static void ended(struct child *child, int status)
{
    struct worker *worker = container_of(child, struct worker, child);
    uint32_t serial = worker->serial;

    child_hear(child);
    worker_gone(worker, status);
    bool owing = worker->arena >= 0;
    worker_free(worker);
    workers.events->gone(serial, owing);
}

static const struct child_events child_events = {.heard = heard, .closed = closed, .ended = ended};

/* ---- Upgrade ---- */

uint32_t workers_last_serial(void)
{
    return workers.last_serial;
}

void workers_resume_serial(uint32_t last_serial)
{
    workers.last_serial = last_serial;
}

void worker_resume(struct worker *worker, pid_t pid, int channel)
{
    worker->next = workers.first;
    workers.first = worker;
    descriptors_refuse(channel);
    worker->out = (struct outbox){.loop = &master.loop, .channel = channel};
    if (!child_listen(&worker->child, &master.loop, channel, &child_events))
        log_error("cannot watch the channel of worker %u: errno %d", worker->slot, errno);
    child_follow(&worker->child, pid, &child_events);
    if (worker_is_leaving(worker))
        timer_set(&master.loop, &worker->deadline,
                  worker->generation->settings->drain_timeout_ms * NS_PER_MS, end_late);
}

void workers_drop_unserved(void)
{
    for (struct worker *w = workers.first; w != NULL; w = w->next) {
        if (worker_has_served(w))
            continue;
        worker_kill(w, CAUSE_ORDER);
        if (w->row != NULL)
            board_retire_row(master.board, w->row);
        w->row = NULL; /* if exec fails, another worker may get the row */
    }
}
