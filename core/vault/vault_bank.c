/* Deciding which connection goes into which vault. See vault_bank.h. */
#include "vault/vault_bank.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define FINISH_NS (5 * NS_PER_S)

static struct vault_bank *bank_of(const struct vault_client *client)
{
    return container_of(client - client->seat, struct vault_bank, clients);
}

static void tell_changes(struct vault_bank *bank, bool crowded)
{
    if (bank->unheld == bank->told && crowded == bank->crowded)
        return;
    if (crowded && !bank->crowded)
        log_warn("no vault has room for another connection: accepting pauses until one is closed; "
                 "raise vault_processes or the limit on open files (worker_rlimit_nofile)");
    bank->crowded = crowded;
    bank->told = bank->unheld;
    bank->changed(bank);
}

bool vault_bank_has_socket(const struct vault_bank *bank, uint32_t index)
{
    const struct conns *conns = bank->conns;
    const struct conn_record *record = &conns->arena.records[index];

    return atomic_load_explicit(&record->id, memory_order_relaxed) != 0 &&
           (conns->conns[index].policy != NULL ||
            atomic_load_explicit(&record->taken, memory_order_acquire) == 0);
}

/* ---- Seats of connections ---- */

static void put_in(struct vault_bank *bank, uint32_t index, uint32_t seat)
{
    bank->seat_of[index] = (uint8_t)seat;
    if (seat == VAULT_NONE)
        bank->unheld++;
    else
        bank->clients[seat].held++;
}

static void take_out(struct vault_bank *bank, uint32_t index)
{
    uint32_t seat = bank->seat_of[index];

    if (seat == VAULT_NONE)
        bank->unheld--;
    else
        bank->clients[seat].held--;
}

uint32_t vault_bank_room(struct vault_bank *bank, bool *soon)
{
    bool missing = false, behind = false;

    for (uint32_t seat = 0; seat < bank->seats; seat++) {
        const struct vault_client *client = &bank->clients[seat];
        if (client->full || client->held >= bank->share)
            continue;
        if (!vault_client_is_open(client)) {
            missing = true;
        } else if (client->room == 0 || !vault_client_keeps_up(client)) {
            behind = true;
        } else {
            bank->conns->seat = seat;
            tell_changes(bank, false);
            uint32_t share = bank->share - client->held;
            return share < client->room ? share : client->room;
        }
    }
    *soon = missing || behind;
    if (missing && !behind) { /* serve without a vault rather than not at all: the seat's next vault
                                 gets them */
        uint32_t seat = 0;
        while (vault_client_is_open(&bank->clients[seat]) ||
               bank->clients[seat].held >= bank->share)
            seat++;
        bank->conns->seat = seat;
        return bank->share - bank->clients[seat].held;
    }
    if (!behind)
        tell_changes(bank, true);
    return 0;
}

static void hand_over(struct vault_bank *bank, struct conn *conn)
{
    struct vault_client *client = &bank->clients[bank->seat_of[conn_index(bank->conns, conn)]];

    if (vault_client_is_open(client))
        vault_client_hold(client, conn);
    else if (conn->watch.index == 0)
        conn_start(bank->conns, conn);
}

static void hold(struct vault_bank *bank, struct conn *conn, uint32_t seat)
{
    put_in(bank, conn_index(bank->conns, conn), seat);
    hand_over(bank, conn);
}

void vault_bank_hold(struct vault_bank *bank, struct conn **batch, uint32_t count)
{
    uint32_t seat = bank->conns->seat;

    for (uint32_t i = 0; i < count; i++)
        hold(bank, batch[i], seat);
    vault_client_send(&bank->clients[seat]);
}

void vault_bank_adopt(struct vault_bank *bank, const struct conn *conn, uint32_t seat)
{
    put_in(bank, conn_index(bank->conns, conn), seat);
}

void vault_bank_again(struct vault_bank *bank, struct conn *conn)
{
    uint32_t seat = bank->seat_of[conn_index(bank->conns, conn)];

    hand_over(bank, conn);
    vault_client_send(&bank->clients[seat]);
}

void vault_bank_drop(struct vault_bank *bank, const struct conn *conn)
{
    uint32_t index = conn_index(bank->conns, conn);
    uint32_t seat = bank->seat_of[index];

    take_out(bank, index);
    if (seat != VAULT_NONE)
        vault_client_drop(&bank->clients[seat], conn_id(bank->conns, conn));
}

/* Finds a vault for each connection that no vault holds. */
static void hold_unheld(struct vault_bank *bank)
{
    struct conns *conns = bank->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
    uint32_t seat = 0;

    for (uint32_t i = 0; i < high && bank->unheld > 0; i++) {
        struct conn *conn = &conns->conns[i];
        if (bank->seat_of[i] != VAULT_NONE || !vault_bank_has_socket(bank, i))
            continue;
        /* Seats beyond bank->seats, which the next generation has added, may be used, too. */
        while (seat < bank->known &&
               (bank->clients[seat].full || !vault_client_is_open(&bank->clients[seat])))
            seat++;
        if (seat == bank->known)
            break;
        take_out(bank, i);
        hold(bank, conn, seat);
    }
    for (seat = 0; seat < bank->known; seat++)
        vault_client_send(&bank->clients[seat]);
}

/* ---- Messages of vaults ---- */

static void refused(struct vault_bank *bank, const struct vault_client *client,
                    const struct message *message)
{
    const struct conns *conns = bank->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
    uint32_t seat = client->seat, left = message->count;

    for (uint32_t i = 0; i < high && left > 0; i++) {
        const struct conn *conn = &conns->conns[i];
        if (bank->seat_of[i] != seat || !vault_bank_has_socket(bank, i))
            continue;
        uint64_t id = conn_id(conns, conn);
        uint32_t at = 0;
        while (at < message->count && message->ids[at] != id)
            at++;
        if (at == message->count)
            continue;
        take_out(bank, i);
        put_in(bank, i, VAULT_NONE);
        left--;
    }
}

/* Notes how much room the vault has. Sockets that are still under way to it are subtracted. */
static void told_room(struct vault_client *client, uint64_t room)
{
    uint64_t under_way = client->sent - client->received;

    client->full = room == 0;
    room = room > under_way ? room - under_way : 0;
    client->room = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

static void told(struct vault_client *client, const struct message *message, const int *fds,
                 uint32_t fd_count)
{
    struct vault_bank *bank = bank_of(client);

    switch (message->type) {
    case MESSAGE_GIVE:
        bank->given(bank->context, client->seat, message, fds, fd_count);
        return;
    case MESSAGE_REFUSED:
        client->full = true;
        refused(bank, client, message);
        hold_unheld(bank);
        break;
    case MESSAGE_HELD:
        client->answers = true;
        client->received = message->number;
        if (message->count == 1)
            told_room(client, message->ids[0]);
        if (!client->full && bank->unheld > 0)
            hold_unheld(bank);
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < fd_count; i++)
        close(fds[i]);
    tell_changes(bank, bank->crowded && client->full);
}

static void lost(struct vault_client *client)
{
    struct vault_bank *bank = bank_of(client);
    struct conns *conns = bank->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);
    uint32_t seat = client->seat;

    /* A surplus seat may never have a vault again: its connections go to other seats. */
    for (uint32_t i = 0; seat >= bank->seats && !conns->leaving && i < high; i++) {
        if (conns->conns[i].policy == NULL || bank->seat_of[i] != seat)
            continue;
        take_out(bank, i);
        put_in(bank, i, VAULT_NONE);
    }
    if (bank->unheld > 0)
        hold_unheld(bank);
    bank->lost(bank->context, seat);
}

static bool answers_for(const struct vault_client *client, uint32_t index)
{
    const struct vault_bank *bank = bank_of(client);
    return bank->seat_of[index] == client->seat && vault_bank_has_socket(bank, index);
}

static const struct vault_client_events events = {
    .answers_for = answers_for, .lost = lost, .told = told};

/* ---- Together ---- */

bool vault_bank_init(struct vault_bank *bank, uint32_t seats, uint32_t share, struct error *error)
{
    uint32_t records = bank->conns->arena.record_count;
    void *memory = mmap(NULL, records, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return error_errno(error, "no memory for the seats of %u connections", records);
    bank->seat_of = memory;
    bank->seats = seats;
    bank->share = share;
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++) {
        struct vault_client *client = &bank->clients[i];
        client->events = &events;
        client->conns = bank->conns;
        client->seat = i;
    }
    return true;
}

void vault_bank_open(struct vault_bank *bank, uint32_t seat, int channel)
{
    if (seat >= VAULT_PROCESSES_MAX) {
        close(channel);
        return;
    }
    if (seat >= bank->known)
        bank->known = seat + 1;
    vault_client_open(&bank->clients[seat], channel);
}

void vault_bank_flush(struct vault_bank *bank)
{
    for (uint32_t seat = 0; seat < bank->known; seat++) {
        if (bank->clients[seat].drop.count > 0)
            vault_client_flush(&bank->clients[seat]);
    }
    tell_changes(bank, bank->crowded);
}

/* True when a seat in use has no vault now: its next vault is handed the connections. */
static bool is_any_missing(const struct vault_bank *bank)
{
    for (uint32_t seat = 0; seat < bank->known && seat < bank->seats; seat++) {
        if (bank->clients[seat].known && !vault_client_is_open(&bank->clients[seat]))
            return true;
    }
    return false;
}

static bool is_finished(const struct vault_bank *bank, const struct vault_client *client)
{
    if (!vault_client_is_open(client))
        return !client->known || client->seat >= bank->seats;
    return vault_client_has_all(client);
}

static void log_left(const struct vault_bank *bank)
{
    for (uint32_t seat = 0; seat < bank->known; seat++) {
        const struct vault_client *client = &bank->clients[seat];
        if (vault_client_is_open(client) && !vault_client_has_all(client))
            log_error("vault %u did not take %u connections: they end with this worker", seat,
                      client->queue_size + (uint32_t)(client->sent - client->received));
    }
}

bool vault_bank_finish(struct vault_bank *bank)
{
    uint64_t deadline = clock_ns() + FINISH_NS;
    bool good;

    do { /* connections that one vault refuses go to another */
        for (uint32_t seat = 0; seat < bank->known; seat++)
            vault_client_finish(&bank->clients[seat], deadline);
        good = true;
        for (uint32_t seat = 0; seat < bank->known; seat++)
            good = is_finished(bank, &bank->clients[seat]) && good;
    } while (!good && !is_any_missing(bank) && clock_ns() < deadline);
    log_left(bank);
    if (bank->unheld > 0)
        log_error("no vault has room for %u connections: they end with this worker", bank->unheld);
    return good;
}
