/* Taking connections over. See adopt.h. */
#include "worker/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/arena_layout.h"
#include "net/transport.h"
#include "worker/files.h"

#define WAIT_NS   (5 * NS_PER_MS)
#define NEVER_NS  (30 * NS_PER_S) /* after which a seat without news has no vault */
#define GONE_NS   (2 * NS_PER_S)  /* after which a surplus seat gets no vault any more */
#define TRIES_MAX 1000u           /* after which a connection without room is closed */
#define BATCH_MAX CHANNEL_FDS_MAX /* between batches, requests are handled */

static void next_batch(struct adoption *adoption);
static void ask_next(struct adoption *adoption);

/* True when this slot is to take the record over. */
static bool is_ours(const struct adoption *adoption, uint32_t index,
                    const struct conn_record *record)
{
    const struct adopt_rule *rule = &adoption->source.rule;
    uint64_t number = (uint64_t)index * rule->slots + rule->slot;

    return record->id != 0 && record->taken == 0 && (!rule->partial || record->staying == 0) &&
           number % rule->parts == rule->part;
}

/* The connection cannot be taken over. Its record is marked as taken, so that no other worker asks
 * for it. */
static void count_lost(struct adoption *adoption, uint32_t index)
{
    arena_record_take(&adoption->source.arena, index);
    counter_add(&adoption->dispatcher->conns->counters[COUNT_CLOSED], 1);
}

/* Ends a connection that cannot be taken over, and shows it: the client sees the end, log and
 * counters tell of it. */
static void give_up(struct adoption *adoption, const struct adopt_entry *entry, const char *why)
{
    log_warn("connection %llx of worker %llu is closed instead of taken over: %s",
             (unsigned long long)entry->id, (unsigned long long)adoption->source.serial, why);
    count_lost(adoption, entry->record);
    shutdown(entry->fd, SHUT_RDWR);
    close(entry->fd);
    vault_client_drop(&adoption->bank->clients[entry->from], entry->id);
}

/* ---- One connection ---- */

/* Moves the cursors to where the kernel says that the streams are. False with the reason when the
 * record contradicts that. When the client is `gone`, the cursors stay as they are, since no answer
 * is needed. */
static bool correct(struct adoption *adoption, uint32_t index, const struct transport *transport,
                    int fd, struct conn_cursors *cursors, const char **why, bool *gone)
{
    counter *counters = adoption->dispatcher->conns->counters;
    bool in_call = atomic_load_explicit(&adoption->source.arena.header->in_call,
                                        memory_order_relaxed) == index + 1;
    struct stream_count count;

    if (!in_call && transport->at_rest(fd, cursors->received, cursors->sent))
        return true;
    switch (transport->count(fd, &count)) {
    case STREAM_COUNTED:
        break;
    case STREAM_DEAD:
        return *gone = true;
    case STREAM_UNKNOWN:
        *why = "its worker died between reading or writing and recording it, and for such sockets "
               "the kernel keeps no count";
        return !in_call;
    }
#ifdef PILLION_TESTING
    /* Tests the chaos test, which must fail without this correction. */
    if (getenv("PILLION_TEST_NO_CORRECTION") != NULL)
        return true;
#endif
    uint64_t read = count.received - cursors->received;
    uint64_t sent = count.sent - cursors->sent;
    if (read != 0) {
        if (cursors->flags & CONN_DISCARD) {
            cursors->received += read;
        } else {
            if (cursors->in_block == BLOCK_NONE ||
                read > BLOCK_BYTES(cursors->in_order) - cursors->in_end) {
                *why = "its record does not fit the kernel's count of bytes read";
                return false;
            }
            cursors->in_end += (uint32_t)read;
            cursors->received += read;
        }
        counter_add(&counters[COUNT_CORRECTED_IN], 1);
    }
    if (sent != 0) {
        if (sent > cursors->out_end - cursors->out_start) {
            *why = "its record does not fit the kernel's count of bytes sent";
            return false;
        }
        cursors->out_start += (uint32_t)sent;
        cursors->sent += sent;
        counter_add(&counters[COUNT_CORRECTED_OUT], 1);
    }
    return true;
}

/* Takes over a connection whose socket has come. False when there is no room for it now. */
static bool take_over(struct adoption *adoption, const struct adopt_entry *entry)
{
    struct conns *conns = adoption->dispatcher->conns;
    struct conn_record image, *record = &image;
    uint32_t index = entry->record;
    struct death death = adoption->source.death;
    const char *why = NULL;

    arena_record_read(&adoption->source.arena, index, record);
    if (!record_valid(&adoption->source.arena, record)) {
        counter_add(&conns->counters[COUNT_INVALID], 1);
        give_up(adoption, entry, "its record is damaged");
        return true;
    }
    const struct conn_policy *policy = adoption->policy_of(adoption->context, &record->listener);
    bool parts = policy == NULL;
    if (parts)
        policy = adoption->parting;
    struct conn_cursors cursors = *record_cursors(record);
    if (!correct(adoption, index, transport_of(policy->transport), entry->fd, &cursors, &why,
                 &death.gone)) {
        give_up(adoption, entry, why);
        return true;
    }
    struct conn *conn =
        conn_adopt(conns, entry->fd, &adoption->source.arena, index, record, &cursors, policy);
    if (conn == NULL && death.gone) {
        give_up(adoption, entry, "its client is gone, and there is no room for it");
        return true;
    }
    if (conn == NULL)
        return false;
    vault_bank_adopt(adoption->bank, conn, entry->from);
    arena_record_take(&adoption->source.arena, index);
    counter_add(&conns->counters[COUNT_ADOPTED], 1);
    adoption->source.count++;
    adoption->source.parted += parts;
    if (!dispatch_adopted(adoption->dispatcher, conn, &death)) {
        log_warn("connection %llx of worker %llu is closed: its requests are damaged",
                 (unsigned long long)entry->id, (unsigned long long)adoption->source.serial);
        counter_add(&conns->counters[COUNT_INVALID], 1);
        conn_close(conns, conn);
        return true;
    }
    if (death.gone) /* its requests under way have been counted */
        conn_close(conns, conn);
    else if (entry->again)
        vault_bank_again(adoption->bank, conn);
    else
        conn_start(conns, conn);
    return true;
}

/* ---- Batches ---- */

static void map_source(struct adoption *adoption);
static void wait_over(struct timer *timer);

static void wait_a_little(struct adoption *adoption)
{
    timer_set(adoption->dispatcher->conns->loop, &adoption->wait, WAIT_NS, wait_over);
}

/* Counts and logs the connections that no vault has: they end. */
static void count_missing(struct adoption *adoption)
{
    const struct adopt_batch *batch = &adoption->batch;
    uint32_t missing = 0;

    for (uint32_t i = 0; i < batch->size; i++) {
        if (batch->entries[i].fd >= 0)
            continue;
        count_lost(adoption, batch->entries[i].record);
        missing++;
    }
    if (missing > 0)
        log_warn("%u connections of worker process %llu could not be taken over: no vault has "
                 "them, or another worker has",
                 missing, (unsigned long long)adoption->source.serial);
}

/* Takes over the connections whose sockets have come. Sockets that were given but did not arrive
 * are asked for again later. */
static void take_batch(struct adoption *adoption)
{
    struct adopt_batch *batch = &adoption->batch;
    while (batch->taken < batch->size) {
        const struct adopt_entry *entry = &batch->entries[batch->taken];
        if (entry->fd >= 0 && !take_over(adoption, entry)) {
            if (++adoption->source.tries < TRIES_MAX) {
                wait_a_little(adoption);
                return;
            }
            give_up(adoption, entry, "there is no room for it");
        }
        adoption->source.tries = 0;
        batch->taken++;
    }
    next_batch(adoption);
}

/* ---- Asking ---- */

/* The seat to ask for an id in this pass. */
static uint32_t seat_of(const struct adoption *adoption, uint64_t id)
{
    const struct adopt_batch *batch = &adoption->batch;
    uint32_t own = (uint32_t)(id >> CONN_ID_SEAT_SHIFT);

    return ((own < batch->seats ? own : 0) + batch->pass) % batch->seats;
}

/* True when no vault is in the seat and none is expected, as in a seat that this generation does
 * not use. The channel to a vault of this generation may just be late, because the master has no
 * descriptor for it now. */
static bool seat_is_given_up(const struct adoption *adoption, uint32_t seat)
{
    const struct vault_client *client = &adoption->bank->clients[seat];
    uint64_t now = adoption->dispatcher->conns->loop->now;

    if (vault_client_is_open(client))
        return false;
    if (!client->known)
        return seat >= adoption->bank->seats || now - adoption->source.since_ns > NEVER_NS;
    return seat >= adoption->bank->seats && now - client->lost_ns > GONE_NS;
}

/* Asks the next vault for the sockets it may have. False when there are none to ask it for. */
static bool ask(struct adoption *adoption)
{
    const struct adopt_batch *batch = &adoption->batch;
    uint64_t ids[CHANNEL_FDS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->size; i++) {
        if (batch->entries[i].fd < 0 && seat_of(adoption, batch->entries[i].id) == batch->seat)
            ids[count++] = batch->entries[i].id;
    }
    if (count == 0 || seat_is_given_up(adoption, batch->seat))
        return false;
    bool sent = vault_client_take(&adoption->bank->clients[batch->seat], adoption->source.serial,
                                  ids, count);
    adoption->state = sent ? ADOPT_ASKED : ADOPT_ASKING;
    if (!sent)
        wait_a_little(adoption);
    return true;
}

/* All vaults have been asked. */
static void all_asked(struct adoption *adoption)
{
    adoption->state = ADOPT_TAKING;
    if (!adoption->batch.truncated)
        count_missing(adoption);
    take_batch(adoption);
}

/* Goes from one vault to the next, and to the next pass when some are still missing. */
static void ask_next(struct adoption *adoption)
{
    struct adopt_batch *batch = &adoption->batch;
    while (!ask(adoption)) {
        if (++batch->seat < batch->seats)
            continue;
        batch->seat = 0;
        if (++batch->pass >= batch->seats) {
            all_asked(adoption);
            return;
        }
    }
}

static void wait_over(struct timer *timer)
{
    struct adoption *adoption = container_of(timer, struct adoption, wait);

    if (adoption->state == ADOPT_MAPPING)
        map_source(adoption);
    else if (adoption->state == ADOPT_ASKING)
        ask_next(adoption);
    else if (adoption->state == ADOPT_TAKING)
        take_batch(adoption);
}

/* The worker has taken all that it can of this source. */
static void over(struct adoption *adoption)
{
    struct adopt_source *source = &adoption->source;
    adoption->state = ADOPT_IDLE;
    arena_unmap(&source->arena);
    if (source->parted > 0)
        log_notice("%u connections of worker process %llu end when their requests are answered: "
                   "their server block is no longer configured",
                   source->parted, (unsigned long long)source->serial);
}

static void finish(struct adoption *adoption)
{
    over(adoption);
    adoption->done(adoption->context, adoption->source.serial, adoption->source.count);
}

/* Puts the sockets that were given but did not arrive at the head of the next batch. */
static void batch_again(struct adoption *adoption)
{
    struct adopt_batch *batch = &adoption->batch;
    uint32_t kept = 0;

    for (uint32_t i = 0; batch->truncated && i < batch->size; i++) {
        if (batch->entries[i].fd < 0)
            batch->entries[kept++] = batch->entries[i];
    }
    batch->size = kept;
    batch->truncated = false;
}

/* Collects the next ids and asks the vaults for them. */
static void next_batch(struct adoption *adoption)
{
    struct adopt_source *source = &adoption->source;
    struct adopt_batch *batch = &adoption->batch;
    uint32_t open = adoption->dispatcher->conns->open;
    uint32_t room = adoption->most > open ? adoption->most - open : 0;

    batch_again(adoption);
    bool waits = batch->size > 0;
    while (source->next < source->arena.record_count && batch->size < BATCH_MAX) {
        struct conn_record record;
        arena_record_read(&source->arena, source->next, &record);
        if (!is_ours(adoption, source->next, &record)) {
            source->next++;
            continue;
        }
        if (batch->size >= room)
            break;
        batch->entries[batch->size++] =
            (struct adopt_entry){.id = record.id, .record = source->next++, .fd = -1};
    }
    batch->taken = batch->pass = batch->seat = 0;
    batch->seats = adoption->bank->known > adoption->bank->seats ? adoption->bank->known
                                                                 : adoption->bank->seats;
    if (waits) {
        adoption->state = ADOPT_ASKING;
        wait_a_little(adoption);
    } else if (batch->size > 0) {
        ask_next(adoption);
    } else if (source->next < source->arena.record_count) {
        over(adoption);
        adoption->full(adoption->context, source->serial, source->count);
    } else {
        finish(adoption);
    }
}

/* Nobody else takes these connections over: for want of memory it is tried again for some seconds.
 */
static void map_source(struct adoption *adoption)
{
    struct adopt_source *source = &adoption->source;
    struct error error;

    errno = 0;
    bool mapped = arena_map(source->fd, &source->arena, &error);
    if (!mapped && errno != 0 && ++source->tries < TRIES_MAX) {
        adoption->state = ADOPT_MAPPING;
        wait_a_little(adoption);
        return;
    }
    source->tries = 0;
    if (mapped)
        source->arena.record_count = arena_used_records(&source->arena, source->fd);
    close(source->fd);
    if (mapped && (source->rule.parts == 0 || source->rule.slots == 0))
        mapped = error_set(&error, "the master gave no rule");
    if (mapped) {
        next_batch(adoption);
        return;
    }
    log_error("cannot take over the connections of worker %llu: %s",
              (unsigned long long)source->serial, error.text);
    finish(adoption);
}

void adopt_start(struct adoption *adoption, const struct message *message, int fd)
{
    bool named = message->count == ADOPT_IDS;

    adoption->batch = (struct adopt_batch){0};
    adoption->source = (struct adopt_source){
        .fd = fd,
        .serial = message->serial,
        .rule = message->adopt,
        .death = {.hung = message->adopt.hung != 0,
                  .marked = !named,
                  .connection = named ? message->ids[ADOPT_CONNECTION] : 0,
                  .place = named ? message->ids[ADOPT_PLACE] : 0,
                  .from = &adoption->source.arena},
        .since_ns = adoption->dispatcher->conns->loop->now,
    };
    map_source(adoption);
}

/* Some descriptors were given but did not arrive, because this process has none left (MSG_CTRUNC,
 * unix(7)). The vault keeps its duplicates, and gives them to the same worker again. */
static void note_truncated(struct adoption *adoption, uint32_t missing)
{
    if (missing == 0)
        return;
    files_restored();
    if (!adoption->batch.truncated)
        log_error("out of descriptors while taking connections over: %u of them wait; raise "
                  "worker_rlimit_nofile",
                  missing);
    adoption->batch.truncated = true;
}

void adopt_given(struct adoption *adoption, uint32_t seat, const struct message *message,
                 const int *fds, uint32_t fd_count)
{
    struct adopt_batch *batch = &adoption->batch;
    if (adoption->state != ADOPT_ASKED || message->serial != adoption->source.serial ||
        seat != batch->seat) {
        for (uint32_t i = 0; i < fd_count; i++)
            close(fds[i]);
        return;
    }
    /* The answer has the ids in the order of the question, without those that the vault does not
     * have. */
    for (uint32_t i = 0, at = 0; i < fd_count && i < message->count; i++) {
        while (at < batch->size && batch->entries[at].id != message->ids[i])
            at++;
        if (at < batch->size) {
            batch->entries[at].fd = fds[i];
            batch->entries[at].from = (uint8_t)seat;
        } else {
            close(fds[i]);
        }
    }
    if (fd_count < message->count)
        note_truncated(adoption, message->count - fd_count);
    batch->seat++;
    if (batch->seat == batch->seats) {
        batch->seat = 0;
        batch->pass++;
    }
    if (batch->truncated || batch->pass >= batch->seats)
        all_asked(adoption);
    else
        ask_next(adoption);
}

void adopt_stop(struct adoption *adoption)
{
    const struct adopt_batch *batch = &adoption->batch;
    if (adoption->state != ADOPT_IDLE) {
        for (uint32_t i = batch->taken; i < batch->size; i++) {
            if (batch->entries[i].fd >= 0)
                close(batch->entries[i].fd);
        }
    }
    timer_cancel(adoption->dispatcher->conns->loop, &adoption->wait);
    if (adoption->state == ADOPT_MAPPING)
        close(adoption->source.fd);
    else if (adoption->state != ADOPT_IDLE)
        arena_unmap(&adoption->source.arena);
    adoption->state = ADOPT_IDLE;
}

void adopt_again(struct adoption *adoption, uint32_t seat)
{
    struct adopt_batch *batch = &adoption->batch;
    for (uint32_t i = batch->taken; adoption->state != ADOPT_IDLE && i < batch->size; i++)
        batch->entries[i].again |= batch->entries[i].fd >= 0 && batch->entries[i].from == seat;
    if (adoption->state == ADOPT_ASKED && batch->seat == seat) {
        adoption->state = ADOPT_ASKING;
        wait_a_little(adoption);
    }
}
