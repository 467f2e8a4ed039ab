/* Channels between vaults and workers. See vault_channels.h. */
#include "master/vault_channels.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/generations.h"
#include "master/master.h"

#define AGAIN_NS (100 * NS_PER_MS)

/* ---- One channel ---- */

static void show_vault(struct vault_seat *seat, struct worker *worker);

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
        timer_set(&master.loop, &seat->reach, AGAIN_NS, reach_again);
}

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

/* ---- All channels of a vault ---- */

/* Workers that leave come first: the vault must know which of them to wait for before an adopter
 * asks it for connections that those workers have let go of. */
void vault_introduce(struct vault_seat *seat, bool (*awaited)(uint32_t serial))
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->life == WORKER_LEAVING || w->life == WORKER_STAYING ||
            (w->life == WORKER_RELEASED && awaited(w->serial)))
            show_vault(seat, w);
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!w->probe && !worker_is_leaving(w))
            show_vault(seat, w);
    }
}

/* The worker with this serial, or NULL when it is gone. */
static struct worker *worker_named(uint64_t serial)
{
    struct worker *worker = workers_first();

    while (worker != NULL && (worker->probe || worker->serial != serial))
        worker = worker->next;
    return worker;
}

bool vault_reach_later(struct vault_seat *seat, uint64_t serial, int number, struct error *error)
{
    struct worker *worker = worker_named(serial);

    if (worker == NULL)
        return true;
    if (worker->generation != generation_next()) {
        reach_later(seat, worker);
        return true;
    }
    errno = number;
    if (number != 0)
        return error_errno(error, "vault %u cannot listen to another worker", seat_number(seat));
    return error_set(error,
                     "vault %u has no descriptor left for the channel of another worker, which "
                     "could not take over its connections; raise the limit on open files "
                     "(worker_rlimit_nofile) or vault_processes\n",
                     seat_number(seat));
}

void vault_cut_off(const struct vault_seat *seat, uint64_t serial)
{
    struct worker *worker = worker_named(serial);

    if (worker == NULL || child_exiting(worker->child.pid))
        return;
    log_error(
        "worker %u (pid %d) is cut off from the vault in seat %u, which only a module can have "
        "done; it is ended and replaced",
        worker->slot, (int)worker->child.pid, seat_number(seat));
    worker_kill(worker, CAUSE_BROKEN);
}

/* ---- All channels of a worker ---- */

bool vaults_connect(struct worker *worker, int *channels, struct error *error)
{
    int pairs[VAULT_PROCESSES_MAX][2];
    uint32_t made = 0;

    for (; made < vault_seats_used; made++) {
        pairs[made][0] = -1;
        if (vault_seats[made].child.pid != 0 && !channel_pair(pairs[made], error))
            break;
    }
    for (uint32_t i = 0; i < made; i++) {
        if (pairs[i][0] < 0)
            continue;
        if (made == vault_seats_used) {
            channels[i] = vault_hand(&vault_seats[i], worker, pairs[i]);
        } else {
            close(pairs[i][0]);
            close(pairs[i][1]);
        }
    }
    return made == vault_seats_used;
}

bool vaults_unreached(const struct worker *worker)
{
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (worker->vaults.unreached[i] && vault_seats[i].child.pid != 0)
            return true;
    }
    return false;
}

void vaults_released(const struct worker *worker, const struct message *message)
{
    for (uint32_t i = 0; i < vault_seats_used; i++) {
        /* Workers of earlier versions know one seat and name its vault in `serial`; workers of the
         * first version put their own serial there. */
        uint64_t known = i < message->count ? message->ids[i] : i == 0 ? message->serial : 0;
        bool same = worker->vaults.shown[i] == 0 || worker->vaults.shown[i] == known ||
                    (i == 0 && worker->serial == message->serial);
        /* A vault that the worker does not know yet is not told: the worker will first hand its
         * sockets over to it, and then say RELEASED again. */
        if (vault_seats[i].child.pid != 0 && same)
            outbox_tell(&vault_seats[i].out, MESSAGE_DEAD, worker->serial, 0);
    }
}

/* ---- Upgrade ---- */

void vaults_write_worker(const struct worker *worker, cJSON *item)
{
    cJSON *list = cJSON_AddArrayToObject(item, "unreached");

    for (uint32_t i = 0; i < vault_seats_used; i++) {
        if (worker->vaults.unreached[i])
            cJSON_AddItemToArray(list, cJSON_CreateNumber(i));
    }
}

void vaults_read_worker(struct worker *worker, const cJSON *item)
{
    const cJSON *seat;

    cJSON_ArrayForEach(seat, cJSON_GetObjectItemCaseSensitive(item, "unreached"))
    {
        if (cJSON_IsNumber(seat) && seat->valuedouble >= 0 && seat->valuedouble < vault_seats_used)
            reach_later(&vault_seats[(uint32_t)seat->valuedouble], worker);
    }
}
