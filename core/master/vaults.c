/* The vaults' processes, in the master. See vaults.h. */
#include "master/vaults.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/report.h"
#include "master/state.h"
#include "master/vault_channels.h"
#include "master/workers.h"
#include "process/outbox.h"
#include "vault/vault.h"

#define QUICK_NS   NS_PER_S
#define BACKOFF_NS (100 * NS_PER_MS)
#define FINISH_NS  NS_PER_S

static const struct vault_events *vaults_events;

void vaults_begin(const struct vault_events *events)
{
    vaults_events = events;
}

/* The number of seats that need a vault: enough for the current and for the next generation. */
static uint32_t seats_wanted(void)
{
    uint32_t current = generation_current() == NULL ? 0 : generation_current()->capacity.vaults;
    uint32_t next = generation_next() == NULL ? 0 : generation_next()->capacity.vaults;
    return current > next ? current : next;
}

/* ---- A seat's process ---- */

static void vault_respawn(struct timer *timer);

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

/* A next generation with a worker that some vault cannot reach fails. */
static void unreached(struct vault_seat *seat, const struct message *message)
{
    struct error error;

    if (!vault_reach_later(seat, message->serial, (int)message->number, &error))
        vaults_events->unreached(error.text);
}

static void vault_speaks(struct child *child, struct message *message, const int *fds,
                         uint32_t fd_count)
{
    struct vault_seat *seat = container_of(child, struct vault_seat, child);

    descriptors_close(fds, fd_count);
    if (message->type == MESSAGE_UNREACHED)
        unreached(seat, message);
    else if (message->type == MESSAGE_CUT)
        vault_cut_off(seat, message->serial);
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
    if (seat_number(seat) >= vault_seats_used)
        vault_seats_used = seat_number(seat) + 1;
}

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
    vault_introduce(seat, vaults_events->awaited);
    pulse_greet(seat->child.channel.fd);
    return true;
}

bool vaults_start(uint32_t count, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (vault_seats[i].child.pid == 0 && !timer_is_set(&vault_seats[i].respawn) &&
            !vault_spawn(&vault_seats[i], error)) {
            if (generation_current() != NULL) /* it needs the vault in any case */
                timer_set(&master.loop, &vault_seats[i].respawn, BACKOFF_NS, vault_respawn);
            return false;
        }
        /* Takes the order back, but the vault may be ending already: `surplus` stays true, so that
         * its end is not reported as a crash. */
        if (vault_seats[i].surplus)
            outbox_tell(&vault_seats[i].out, MESSAGE_SURPLUS, 0, 0);
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
    if (vault_seats_used > 1)
        snprintf(which, sizeof(which), ", number %u of %u", seat_number(seat), vault_seats_used);
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
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid == pid)
            return true;
    }
    return false;
}

void vaults_end(void)
{
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0)
            kill(vault_seats[i].child.pid, SIGKILL);
    }
}

void vaults_tell(enum message_type type, uint32_t serial)
{
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0)
            outbox_tell(&vault_seats[i].out, type, serial, 0);
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
    for (uint32_t i = wanted; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0 && !vault_seats[i].surplus)
            vault_seats[i].surplus = outbox_tell(&vault_seats[i].out, MESSAGE_SURPLUS, 0, 1);
    }
}

bool vaults_reopen(void)
{
    struct message message = {.type = MESSAGE_LOG};
    int fd = log_descriptor();
    bool good = true;

    for (uint32_t i = 0; fd > STDERR_FILENO && i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0 && !outbox_send(&vault_seats[i].out, &message, fd) &&
            errno != EPIPE)
            good = false;
    }
    return good;
}

/* ---- Signs of life ---- */

bool vaults_round(const struct pulse_round *round)
{
    bool silent = false;

    for (uint32_t i = 0; i < vault_seats_used; i++) {
        struct vault_seat *seat = &vault_seats[i];
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
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0 && vault_seats[i].pulse.known)
            channel_tell(vault_seats[i].child.channel.fd, MESSAGE_BEAT, serial, 0);
    }
}

bool vaults_heard(uint64_t serial, uint32_t *seat)
{
    for (*seat = 0; *seat < vault_seats_used || *seat < seats_wanted(); ++*seat) {
        const struct vault_seat *s = &vault_seats[*seat];
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

    for (uint32_t i = 1; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid != 0)
            sum += vault_seats[i].held;
    }
    return sum;
}

void vaults_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "vaults");

    /* The first seat in the members that every version knows. */
    cJSON_AddNumberToObject(state, "vault",
                            vault_seats[0].child.pid == 0 ? -1 : vault_seats[0].child.channel.fd);
    cJSON_AddNumberToObject(state, "vault_pid", vault_seats[0].child.pid);
    cJSON_AddNumberToObject(state, "vault_held", vault_seats[0].held);
    cJSON_AddNumberToObject(state, "vault_refused", (double)vault_seats[0].refused);
    cJSON_AddBoolToObject(state, "vault_beats", vault_seats[0].pulse.known);
    for (uint32_t i = 1; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid == 0)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "seat", i);
        cJSON_AddNumberToObject(item, "pid", vault_seats[i].child.pid);
        cJSON_AddNumberToObject(item, "channel", vault_seats[i].child.channel.fd);
        cJSON_AddNumberToObject(item, "held", vault_seats[i].held);
        cJSON_AddNumberToObject(item, "refused", (double)vault_seats[i].refused);
        cJSON_AddBoolToObject(item, "beats", vault_seats[i].pulse.known);
        cJSON_AddBoolToObject(item, "surplus", vault_seats[i].surplus);
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
        seat_resume(&vault_seats[0], (pid_t)state_number(state, "vault_pid", -1),
                    (int)state_number(state, "vault", -1), state_number(state, "vault_held", -1),
                    state_number(state, "vault_refused", -1), state_truth(state, "vault_beats"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "vaults"))
    {
        double number = state_number(item, "seat", -1);
        if (number < 1 || number >= VAULT_PROCESSES_MAX || state_number(item, "pid", -1) <= 0)
            continue;
        struct vault_seat *seat = &vault_seats[(uint32_t)number];
        seat_resume(seat, (pid_t)state_number(item, "pid", -1),
                    (int)state_number(item, "channel", -1), state_number(item, "held", -1),
                    state_number(item, "refused", -1), state_truth(item, "beats"));
        seat->surplus = state_truth(item, "surplus");
    }
}

void vaults_keep_open(bool keep)
{
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (vault_seats[i].child.pid == 0)
            continue;
        if (keep && !outbox_finish(&vault_seats[i].out, FINISH_NS))
            log_warn("vault %u does not read its messages", i);
        state_keep_open(vault_seats[i].child.channel.fd, keep);
    }
}
