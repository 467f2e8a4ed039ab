/* The vaults' seats, in the master. See keeper.h. */
#include "master/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/pulse.h"
#include "master/report.h"
#include "master/state.h"
#include "master/workers.h"
#include "process/outbox.h"
#include "vault/vault.h"

#define QUICK_NS   NS_PER_S
#define BACKOFF_NS (100 * NS_PER_MS)
#define FINISH_NS  NS_PER_S

struct vault_seat {
    struct child child; /* its pid is 0 when no process is in the seat */
    struct outbox out;
    struct timer respawn, reach;
    uint32_t quick_deaths;
    uint64_t started_ns; /* names the process in MESSAGE_VAULT */
    uint32_t held;       /* sockets, by the vault's own count */
    uint64_t refused;
    struct pulse pulse;
    bool surplus; /* the vault was told to end when it is empty */
};

static struct vault_seat seats[VAULT_PROCESSES_MAX];
static uint32_t seats_used; /* seats from this number on never had a vault */
static const struct vault_events *vaults_events;

void vaults_begin(const struct vault_events *events)
{
    vaults_events = events;
}

static uint32_t seat_number(const struct vault_seat *seat)
{
    return (uint32_t)(seat - seats);
}

/* The number of seats that need a vault: enough for the current and for the next generation. */
static uint32_t seats_wanted(void)
{
    uint32_t current = generation_current() == NULL ? 0 : generation_current()->capacity.vaults;
    uint32_t next = generation_next() == NULL ? 0 : generation_next()->capacity.vaults;
    return current > next ? current : next;
}

/* ---- A seat's process ---- */

static void show_vault(struct vault_seat *seat, struct worker *worker);
static void vault_respawn(struct timer *timer);

/* Tries again to reach the workers for whose channels the vault had no descriptor. */
static void reach_again(struct timer *timer)
{
    struct vault_seat *seat = container_of(timer, struct vault_seat, reach);

    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->vaults.unreached[seat_number(seat)] && w->life != WORKER_LOST)
            show_vault(seat, w);
    }
}

static void reach_later(struct vault_seat *seat, struct worker *worker)
{
    worker->vaults.unreached[seat_number(seat)] = true;
    if (!timer_is_set(&seat->reach))
        timer_set(&master.loop, &seat->reach, BACKOFF_NS, reach_again);
}

/* The vault has no descriptor left for a worker's channel, or cannot listen to it (errno `number`),
 * so the worker could take over nothing that this vault holds. A next generation with such a worker
 * fails; for a worker that serves already, the vault is asked again later. */
static void unreached(struct vault_seat *seat, uint64_t serial, int number)
{
    struct error error;
    struct worker *worker = workers_first();

    while (worker != NULL && (worker->probe || worker->serial != serial))
        worker = worker->next;
    if (worker == NULL)
        return;
    if (worker->generation == generation_next()) {
        errno = number;
        if (number != 0)
            error_errno(&error, "vault %u cannot listen to another worker", seat_number(seat));
        else
            error_set(&error,
                      "vault %u has no descriptor left for the channel of another worker, which "
                      "could not take over its connections; raise the limit on open files "
                      "(worker_rlimit_nofile) or vault_processes\n",
                      seat_number(seat));
        vaults_events->unreached(error.text);
        return;
    }
    reach_later(seat, worker);
}

/* The vault's channel to a worker is closed, though the master has given the worker no other. If
 * the worker runs, a module has done it: connections that it accepts now would be in no vault, and
 * lost in the next reload. The vault has those that were accepted before. */
static void cut(struct vault_seat *seat, uint64_t serial)
{
    struct worker *worker = workers_first();

    while (worker != NULL && (worker->probe || worker->serial != serial))
        worker = worker->next;
    if (worker == NULL || child_exiting(worker->child.pid))
        return;
    log_error(
        "worker %u (pid %d) is cut off from the vault in seat %u, which only a module can have "
        "done; it is ended and replaced",
        worker->slot, (int)worker->child.pid, seat_number(seat));
    worker_kill(worker, CAUSE_BROKEN);
}

/* The vault reports how many sockets it holds and has refused. */
static void reported(struct vault_seat *seat, const struct message *message)
{
    struct board_vault *shown = &master.board->vaults[seat_number(seat)];

    seat->held = (uint32_t)message->number;
    atomic_store(&shown->held, seat->held);
    if (message->ids[0] > seat->refused)
        counter_add(&shown->refused, message->ids[0] - seat->refused);
    seat->refused = message->ids[0];
}

static void vault_speaks(struct child *child, struct message *message, const int *fds,
                         uint32_t fd_count)
{
    struct vault_seat *seat = container_of(child, struct vault_seat, child);

    for (uint32_t i = 0; i < fd_count; i++)
        descriptor_close(fds[i]);
    if (message->type == MESSAGE_UNREACHED)
        unreached(seat, message->serial, (int)message->number);
    else if (message->type == MESSAGE_CUT)
        cut(seat, message->serial);
    else if (message->type == MESSAGE_HELD && message->count == 1)
        reported(seat, message);
    else if (message->type == MESSAGE_ALIVE)
        pulse_heard(&seat->pulse, message->serial);
}

static void vault_was_heard(struct child *child)
{
    (void)child;
    vaults_events->heard();
}

static void vault_ended(struct child *child, int status);

static const struct child_events child_events = {
    .heard = vault_speaks, .quiet = vault_was_heard, .ended = vault_ended};

/* `beats`: the vault's version answers MESSAGE_BEAT. */
static void seat_fill(struct vault_seat *seat, pid_t pid, int channel, bool beats)
{
    seat->started_ns = clock_ns();
    seat->pulse = (struct pulse){.known = beats};
    seat->surplus = false;
    seat->held = 0;
    seat->refused = 0;
    seat->out = (struct outbox){.loop = &master.loop, .channel = channel};
    if (!child_listen(&seat->child, &master.loop, channel, &child_events))
        log_error("cannot watch the channel of vault %u: errno %d", seat_number(seat), errno);
    child_follow(&seat->child, pid, &child_events);
    if (seat_number(seat) >= seats_used)
        seats_used = seat_number(seat) + 1;
}

static void vault_introduce(struct vault_seat *seat);

static bool vault_spawn(struct vault_seat *seat, struct error *error)
{
    const struct generation *generation =
        generation_current() == NULL ? generation_next() : generation_current();
    struct vault_start start = {
        .seat = seat_number(seat),
        .identity = &generation->identity,
        .files = generation->capacity.vault_files,
        .limit = generation->capacity.vault_room,
        .master = master.pid,
        .locked = generation->settings != NULL && generation->settings->sandbox != SANDBOX_OFF,
    };
    int pair[2];

    if (!channel_pair(pair, error))
        return false;
    start.channel = pair[1];
    pid_t pid = fork();
    if (pid == 0)
        vault_main(&start);
    close(pair[1]);
    if (pid < 0) {
        error_errno(error, "cannot start a vault");
        close(pair[0]);
        return false;
    }
    seat_fill(seat, pid, pair[0], true);
    vault_introduce(seat);
    pulse_greet(seat->child.channel.fd);
    return true;
}

bool vaults_start(uint32_t count, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (seats[i].child.pid == 0 && !timer_is_set(&seats[i].respawn) &&
            !vault_spawn(&seats[i], error)) {
            if (generation_current() != NULL) /* it needs the vault in any case */
                timer_set(&master.loop, &seats[i].respawn, BACKOFF_NS, vault_respawn);
            return false;
        }
        /* Takes the order back, but the vault may be ending already: `surplus` stays true, so that
         * its end is not reported as a crash. */
        if (seats[i].surplus)
            outbox_tell(&seats[i].out, MESSAGE_SURPLUS, 0, 0);
    }
    return true;
}

static void vault_respawn(struct timer *timer)
{
    struct vault_seat *seat = container_of(timer, struct vault_seat, respawn);
    struct error error;

    if (master.mode != MASTER_RUNNING)
        return;
    if (vault_spawn(seat, &error)) {
        vaults_sweep();
        return;
    }
    log_error("%s; trying again", error.text);
    timer_set(&master.loop, &seat->respawn, BACKOFF_NS, vault_respawn);
}

static void vault_ended(struct child *child, int status)
{
    struct vault_seat *seat = container_of(child, struct vault_seat, child);
    char how[64], which[64] = "";

    timer_cancel(&master.loop, &seat->reach);
    outbox_clear(&seat->out);
    child_close(child);
    child->pid = 0;
    atomic_store(&master.board->vaults[seat_number(seat)].held, 0);
    if (master.mode != MASTER_RUNNING)
        return;
    if (seat->surplus && status == 0) {
        log_info("vault %u was not needed any more and has ended", seat_number(seat));
        if (seat_number(seat) < seats_wanted())
            vault_respawn(&seat->respawn);
        return;
    }
    describe_status(status, how, sizeof(how));
    counter_add(&master.board->vault_restarts, 1);
    if (seats_used > 1)
        snprintf(which, sizeof(which), ", number %u of %u", seat_number(seat), seats_used);
    report(JOURNAL_VAULT_RESTARTED, NULL,
           "the vault ended (%s)%s: another is started, and the workers hand their sockets over to "
           "it",
           how, which);
    bool quick = clock_ns() - seat->started_ns < QUICK_NS;
    seat->quick_deaths = quick ? seat->quick_deaths + 1 : 0;
    if (seat->quick_deaths > 2)
        timer_set(&master.loop, &seat->respawn, BACKOFF_NS, vault_respawn);
    else
        vault_respawn(&seat->respawn);
}

bool vault_is(pid_t pid)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (seats[i].child.pid == pid)
            return true;
    }
    return false;
}

void vaults_end(void)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (seats[i].child.pid != 0)
            kill(seats[i].child.pid, SIGKILL);
    }
}

/* ---- Workers and vaults ---- */

/* Gives the vault one end of a channel to the worker, and returns the worker's end, or -1. Takes
 * both. */
static int vault_hand(struct vault_seat *seat, struct worker *worker, const int pair[2])
{
    struct message message = {.type = MESSAGE_WORKER, .serial = worker->serial};

    bool sent = outbox_send(&seat->out, &message, pair[0]);
    close(pair[0]);
    if (sent)
        return pair[1];
    if (errno != EPIPE && errno != ECONNRESET) /* a vault that has ended is noticed by SIGCHLD */
        reach_later(seat, worker);
    close(pair[1]);
    return -1;
}

/* Makes a channel between the vault and the worker. Returns the worker's end, or -1. */
static int vault_connect(struct vault_seat *seat, struct worker *worker)
{
    struct error error;
    int pair[2];

    if (seat->child.pid == 0)
        return -1;
    if (channel_pair(pair, &error))
        return vault_hand(seat, worker, pair);
    log_error("%s; trying again", error.text);
    reach_later(seat, worker);
    return -1;
}

bool vaults_connect(struct worker *worker, int *channels, struct error *error)
{
    int pairs[VAULT_PROCESSES_MAX][2];
    uint32_t made = 0;

    for (; made < seats_used; made++) {
        pairs[made][0] = -1;
        if (seats[made].child.pid != 0 && !channel_pair(pairs[made], error))
            break;
    }
    for (uint32_t i = 0; i < made; i++) {
        if (pairs[i][0] < 0)
            continue;
        if (made == seats_used) {
            channels[i] = vault_hand(&seats[i], worker, pairs[i]);
        } else {
            close(pairs[i][0]);
            close(pairs[i][1]);
        }
    }
    return made == seats_used;
}

bool vaults_unreached(const struct worker *worker)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (worker->vaults.unreached[i] && seats[i].child.pid != 0)
            return true;
    }
    return false;
}

void vaults_tell(enum message_type type, uint32_t serial)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (seats[i].child.pid != 0)
            outbox_tell(&seats[i].out, type, serial, 0);
    }
}

void vaults_released(const struct worker *worker, const struct message *message)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        /* Workers of earlier versions know one seat and name its vault in `serial`; workers of the
         * first version put their own serial there. */
        uint64_t known = i < message->count ? message->ids[i] : i == 0 ? message->serial : 0;
        bool same = worker->vaults.shown[i] == 0 || worker->vaults.shown[i] == known ||
                    (i == 0 && worker->serial == message->serial);
        /* A vault that the worker does not know yet is not told: the worker will first hand its
         * sockets over to it, and then say RELEASED again. */
        if (seats[i].child.pid != 0 && same)
            outbox_tell(&seats[i].out, MESSAGE_DEAD, worker->serial, 0);
    }
}

static void show_vault(struct vault_seat *seat, struct worker *worker)
{
    struct message message = {
        .type = MESSAGE_VAULT, .serial = seat->started_ns, .number = seat_number(seat)};
    /* The worker's version knows one seat: it would take this vault for a new one in seat 0, and
     * hand it all its connections. The vault would then end connections that an adopter has from
     * seat 0. */
    if (worker->vaults.single && seat_number(seat) != 0)
        return;
    worker->vaults.unreached[seat_number(seat)] = false;
    int channel = vault_connect(seat, worker);
    if (channel < 0)
        return;
    if (outbox_send(&worker->out, &message, channel))
        worker->vaults.shown[seat_number(seat)] = message.serial;
    close(channel);
}

/* Shows every worker the way to a new vault; each hands its sockets over again. Workers that leave
 * come first: the vault must know which of them to wait for before an adopter asks it for
 * connections that those workers have let go of. */
static void vault_introduce(struct vault_seat *seat)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->life == WORKER_LEAVING || w->life == WORKER_STAYING ||
            (w->life == WORKER_RELEASED && vaults_events->awaited(w->serial)))
            show_vault(seat, w);
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!w->probe && !worker_is_leaving(w))
            show_vault(seat, w);
    }
}

void vaults_sweep(void)
{
    uint32_t wanted = seats_wanted();

    if (master.mode != MASTER_RUNNING || generation_current() == NULL ||
        generation_current()->resumed)
        return;
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!w->probe && w->generation != generation_current())
            return; /* this worker may use more seats */
    }
    for (uint32_t i = wanted; i < seats_used; i++) {
        if (seats[i].child.pid != 0 && !seats[i].surplus)
            seats[i].surplus = outbox_tell(&seats[i].out, MESSAGE_SURPLUS, 0, 1);
    }
}

bool vaults_reopen(void)
{
    struct message message = {.type = MESSAGE_LOG};
    int fd = log_descriptor();
    bool good = true;

    for (uint32_t i = 0; fd > STDERR_FILENO && i < seats_used; i++) {
        if (seats[i].child.pid != 0 && !outbox_send(&seats[i].out, &message, fd) && errno != EPIPE)
            good = false;
    }
    return good;
}

/* ---- Signs of life ---- */

bool vaults_round(const struct pulse_round *round)
{
    bool silent = false;

    for (uint32_t i = 0; i < seats_used; i++) {
        struct vault_seat *seat = &seats[i];
        if (seat->child.pid == 0) {
            silent |= i < seats_wanted();
            continue;
        }
        if (!pulse_round(&seat->pulse, seat->child.pid, seat->child.channel.fd, round, false,
                         false)) {
            log_error("the vault (pid %d) gives no sign of life (heartbeat_timeout): it is ended "
                      "and replaced",
                      (int)seat->child.pid);
            kill(seat->child.pid, SIGKILL);
        }
        silent |= seat->pulse.silence > 0;
    }
    return silent;
}

void vaults_ask(uint64_t serial)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (seats[i].child.pid != 0 && seats[i].pulse.known)
            channel_tell(seats[i].child.channel.fd, MESSAGE_BEAT, serial, 0);
    }
}

bool vaults_heard(uint64_t serial, uint32_t *seat)
{
    for (*seat = 0; *seat < seats_used || *seat < seats_wanted(); ++*seat) {
        const struct vault_seat *s = &seats[*seat];
        bool missing = s->child.pid == 0 && *seat < seats_wanted();
        if (missing || (s->child.pid != 0 && s->pulse.known && s->pulse.heard < serial))
            return false;
    }
    return true;
}

/* ---- Upgrade ---- */

uint32_t vaults_beyond_first(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 1; i < seats_used; i++) {
        if (seats[i].child.pid != 0)
            sum += seats[i].held;
    }
    return sum;
}

void vaults_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "vaults");

    /* The first seat in the members that every version knows. */
    cJSON_AddNumberToObject(state, "vault",
                            seats[0].child.pid == 0 ? -1 : seats[0].child.channel.fd);
    cJSON_AddNumberToObject(state, "vault_pid", seats[0].child.pid);
    cJSON_AddNumberToObject(state, "vault_held", seats[0].held);
    cJSON_AddNumberToObject(state, "vault_refused", (double)seats[0].refused);
    cJSON_AddBoolToObject(state, "vault_beats", seats[0].pulse.known);
    for (uint32_t i = 1; i < seats_used; i++) {
        if (seats[i].child.pid == 0)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "seat", i);
        cJSON_AddNumberToObject(item, "pid", seats[i].child.pid);
        cJSON_AddNumberToObject(item, "channel", seats[i].child.channel.fd);
        cJSON_AddNumberToObject(item, "held", seats[i].held);
        cJSON_AddNumberToObject(item, "refused", (double)seats[i].refused);
        cJSON_AddBoolToObject(item, "beats", seats[i].pulse.known);
        cJSON_AddBoolToObject(item, "surplus", seats[i].surplus);
        cJSON_AddItemToArray(list, item);
    }
}

/* `held` is kept because the vault reports only changes, and a vault of the first version nothing;
 * `refused`, because it reports how many there were since its start. */
static void seat_resume(struct vault_seat *seat, pid_t pid, int channel, double held,
                        double refused, bool beats)
{
    seat_fill(seat, pid, channel, beats);
    if (held > 0) {
        seat->held = (uint32_t)held;
        atomic_store(&master.board->vaults[seat_number(seat)].held, seat->held);
    }
    seat->refused = refused > 0 ? (uint64_t)refused : 0;
    if (master.board_anew)
        counter_add(&master.board->vaults[seat_number(seat)].refused, seat->refused);
}

void vaults_read(const cJSON *state)
{
    const cJSON *item;

    if (state_number(state, "vault_pid", -1) > 0)
        seat_resume(&seats[0], (pid_t)state_number(state, "vault_pid", -1),
                    (int)state_number(state, "vault", -1), state_number(state, "vault_held", -1),
                    state_number(state, "vault_refused", -1), state_truth(state, "vault_beats"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "vaults"))
    {
        double number = state_number(item, "seat", -1);
        if (number < 1 || number >= VAULT_PROCESSES_MAX || state_number(item, "pid", -1) <= 0)
            continue;
        struct vault_seat *seat = &seats[(uint32_t)number];
        seat_resume(seat, (pid_t)state_number(item, "pid", -1),
                    (int)state_number(item, "channel", -1), state_number(item, "held", -1),
                    state_number(item, "refused", -1), state_truth(item, "beats"));
        seat->surplus = state_truth(item, "surplus");
    }
}

void vaults_write_worker(const struct worker *worker, cJSON *item)
{
    cJSON *list = cJSON_AddArrayToObject(item, "unreached");

    for (uint32_t i = 0; i < seats_used; i++) {
        if (worker->vaults.unreached[i])
            cJSON_AddItemToArray(list, cJSON_CreateNumber(i));
    }
}

void vaults_read_worker(struct worker *worker, const cJSON *item)
{
    const cJSON *seat;

    cJSON_ArrayForEach(seat, cJSON_GetObjectItemCaseSensitive(item, "unreached"))
    {
        if (cJSON_IsNumber(seat) && seat->valuedouble >= 0 && seat->valuedouble < seats_used)
            reach_later(&seats[(uint32_t)seat->valuedouble], worker);
    }
}

void vaults_keep_open(bool keep)
{
    for (uint32_t i = 0; i < seats_used; i++) {
        if (seats[i].child.pid == 0)
            continue;
        if (keep && !outbox_finish(&seats[i].out, FINISH_NS))
            log_warn("vault %u does not read its messages", i);
        state_keep_open(seats[i].child.channel.fd, keep);
    }
}
