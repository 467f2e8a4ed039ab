/* Taking connections over. See adopt.h. */
#include "worker/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_seldom.h"
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
    const struct adopt_rule *rule = &adoption->rule;
    uint64_t number = (uint64_t)index * rule->slots + rule->slot;

    return record->id != 0 && record->taken == 0 && (!rule->partial || record->staying == 0) &&
           number % rule->parts == rule->part;
}

/* The connection cannot be taken over. Its record is marked as taken, so that no other worker asks
 * for it. */
static void count_lost(struct adoption *adoption, uint32_t index)
{
    arena_record_take(&adoption->from_arena, index);
    counter_add(&adoption->dispatcher->conns->counters[COUNT_CLOSED], 1);
}

/* Ends a connection that cannot be taken over, and shows it: the client sees the end, log and
 * counters tell of it. `at` is its index in the batch. */
static void give_up(struct adoption *adoption, uint32_t at, const char *why)
{
    log_seldom(LOG_WARN_LEVEL, NULL,
               "connection %llx of worker %llu is closed instead of taken over: %s",
               (unsigned long long)adoption->ids[at], (unsigned long long)adoption->serial, why);
    count_lost(adoption, adoption->records[at]);
    shutdown(adoption->fds[at], SHUT_RDWR);
    close(adoption->fds[at]);
    vault_client_drop(&adoption->bank->clients[adoption->from[at]], adoption->ids[at]);
}

/* ---- One connection ---- */

/* Moves the cursors to where the kernel says that the streams are. False with the reason when the
 * record contradicts that. When the client is `gone`, the cursors stay as they are, since no answer
 * is needed. */
static bool correct(struct adoption *adoption, uint32_t index, const struct transport *transport,
                    int fd, struct conn_cursors *cursors, const char **why, bool *gone)
{
    counter *counters = adoption->dispatcher->conns->counters;
    bool in_call = atomic_load_explicit(&adoption->from_arena.header->in_call,
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

/* Takes over the record at this index of the batch. False when there is no room for it now. */
static bool take_over(struct adoption *adoption, uint32_t at)
{
    struct conns *conns = adoption->dispatcher->conns;
    struct conn_record image, *record = &image;
    uint32_t index = adoption->records[at];
    struct death death = adoption->death;
    const char *why = NULL;

    arena_record_read(&adoption->from_arena, index, record);
    if (!record_valid(&adoption->from_arena, record)) {
        counter_add(&conns->counters[COUNT_INVALID], 1);
        give_up(adoption, at, "its record is damaged");
        return true;
    }
    const struct conn_policy *policy = adoption->policy_of(adoption->context, &record->listener);
    bool parts = policy == NULL;
    if (parts)
        policy = adoption->parting;
    struct conn_cursors cursors = *record_cursors(record);
    if (!correct(adoption, index, transport_of(policy->transport), adoption->fds[at], &cursors,
                 &why, &death.gone)) {
        give_up(adoption, at, why);
        return true;
    }
    struct conn *conn = conn_adopt(conns, adoption->fds[at], &adoption->from_arena, index, record,
                                   &cursors, policy);
    if (conn == NULL && death.gone) {
        give_up(adoption, at, "its client is gone, and there is no room for it");
        return true;
    }
    if (conn == NULL)
        return false;
    vault_bank_adopt(adoption->bank, conn, adoption->from[at]);
    arena_record_take(&adoption->from_arena, index);
    counter_add(&conns->counters[COUNT_ADOPTED], 1);
    adoption->count++;
    adoption->parted += parts;
    /* Before its header no request has begun, whatever a damaged record says. */
    if (!(cursors.flags & CONN_HEADER) && !dispatch_adopted(adoption->dispatcher, conn, &death)) {
        log_seldom(LOG_WARN_LEVEL, NULL,
                   "connection %llx of worker %llu is closed: its requests are damaged",
                   (unsigned long long)adoption->ids[at], (unsigned long long)adoption->serial);
        counter_add(&conns->counters[COUNT_INVALID], 1);
        conn_close(conns, conn);
        return true;
    }
    if (death.gone) /* its requests under way have been counted */
        conn_close(conns, conn);
    else if (adoption->again[at])
        vault_bank_again(adoption->bank, conn);
    else
        conn_start(conns, conn);
    return true;
}

/* The same, with all the answers that its worker has kept for it, from the moment on when it is
 * taken over. */
static bool take_over_kept(struct adoption *adoption, uint32_t at)
{
    struct kept *inherited =
        kept_inherit(adoption->dispatcher->conns, &adoption->kept, adoption->ids[at]);
    bool done = take_over(adoption, at);

    kept_settle(inherited);
    return done;
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
    uint32_t missing = 0;

    for (uint32_t i = 0; i < adoption->batch; i++) {
        if (adoption->fds[i] >= 0)
            continue;
        count_lost(adoption, adoption->records[i]);
        missing++;
    }
    if (missing > 0)
        log_warn("%u connections of worker process %llu could not be taken over: no vault has "
                 "them, or another worker has",
                 missing, (unsigned long long)adoption->serial);
}

/* Takes over the connections whose sockets have come. Sockets that were given but did not arrive
 * are asked for again later. */
static void take_batch(struct adoption *adoption)
{
    while (adoption->taken < adoption->batch) {
        uint32_t i = adoption->taken;
        if (adoption->fds[i] >= 0 && !take_over_kept(adoption, i)) {
            if (++adoption->tries < TRIES_MAX) {
                wait_a_little(adoption);
                return;
            }
            give_up(adoption, i, "there is no room for it");
        }
        adoption->tries = 0;
        adoption->taken++;
    }
    next_batch(adoption);
}

/* ---- Asking ---- */

/* The seat to ask for an id in this pass. */
static uint32_t seat_of(const struct adoption *adoption, uint64_t id)
{
    uint32_t own = (uint32_t)(id >> CONN_ID_SEAT_SHIFT);

    return ((own < adoption->seats ? own : 0) + adoption->pass) % adoption->seats;
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
        return seat >= adoption->bank->seats || now - adoption->since_ns > NEVER_NS;
    return seat >= adoption->bank->seats && now - client->lost_ns > GONE_NS;
}

/* Asks the next vault for the sockets it may have. False when there are none to ask it for. */
static bool ask(struct adoption *adoption)
{
    uint64_t ids[CHANNEL_FDS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < adoption->batch; i++) {
        if (adoption->fds[i] < 0 && seat_of(adoption, adoption->ids[i]) == adoption->seat)
            ids[count++] = adoption->ids[i];
    }
    if (count == 0 || seat_is_given_up(adoption, adoption->seat))
        return false;
    bool sent =
        vault_client_take(&adoption->bank->clients[adoption->seat], adoption->serial, ids, count);
    adoption->state = sent ? ADOPT_ASKED : ADOPT_ASKING;
    if (!sent)
        wait_a_little(adoption);
    return true;
}

/* All vaults have been asked. */
static void all_asked(struct adoption *adoption)
{
    adoption->state = ADOPT_TAKING;
    if (!adoption->truncated)
        count_missing(adoption);
    take_batch(adoption);
}

/* Goes from one vault to the next, and to the next pass when some are still missing. */
static void ask_next(struct adoption *adoption)
{
    while (!ask(adoption)) {
        if (++adoption->seat < adoption->seats)
            continue;
        adoption->seat = 0;
        if (++adoption->pass >= adoption->seats) {
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
    adoption->state = ADOPT_IDLE;
    kept_index_free(&adoption->kept);
    arena_unmap(&adoption->from_arena);
    if (adoption->parted > 0)
        log_notice("%u connections of worker process %llu end when their requests are answered: "
                   "their server block is no longer configured",
                   adoption->parted, (unsigned long long)adoption->serial);
}

static void finish(struct adoption *adoption)
{
    over(adoption);
    adoption->done(adoption->context, adoption->serial, adoption->count);
}

/* Puts the sockets that were given but did not arrive at the head of the next batch. */
static void batch_again(struct adoption *adoption)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; adoption->truncated && i < adoption->batch; i++) {
        if (adoption->fds[i] >= 0)
            continue;
        adoption->records[kept] = adoption->records[i];
        adoption->ids[kept++] = adoption->ids[i];
    }
    adoption->batch = kept;
    adoption->truncated = false;
}

/* Collects the next ids and asks the vaults for them. */
static void next_batch(struct adoption *adoption)
{
    uint32_t open = adoption->dispatcher->conns->open;
    uint32_t room = adoption->most > open ? adoption->most - open : 0;

    batch_again(adoption);
    bool waits = adoption->batch > 0;
    while (adoption->next < adoption->from_arena.record_count && adoption->batch < BATCH_MAX) {
        struct conn_record record;
        arena_record_read(&adoption->from_arena, adoption->next, &record);
        if (!is_ours(adoption, adoption->next, &record)) {
            adoption->next++;
            continue;
        }
        if (adoption->batch >= room)
            break;
        adoption->records[adoption->batch] = adoption->next++;
        adoption->ids[adoption->batch++] = record.id;
    }
    for (uint32_t i = 0; i < adoption->batch; i++) {
        adoption->fds[i] = -1;
        adoption->again[i] = false;
    }
    adoption->taken = adoption->pass = adoption->seat = 0;
    adoption->seats = adoption->bank->known > adoption->bank->seats ? adoption->bank->known
                                                                    : adoption->bank->seats;
    if (waits) {
        adoption->state = ADOPT_ASKING;
        wait_a_little(adoption);
    } else if (adoption->batch > 0) {
        ask_next(adoption);
    } else if (adoption->next < adoption->from_arena.record_count) {
        over(adoption);
        adoption->full(adoption->context, adoption->serial, adoption->count);
    } else {
        finish(adoption);
    }
}

/* Nobody else takes these connections over: for want of memory it is tried again for some seconds.
 */
static void map_source(struct adoption *adoption)
{
    struct error error;

    errno = 0;
    bool mapped = arena_map(adoption->from_fd, &adoption->from_arena, &error);
    if (!mapped && errno != 0 && ++adoption->tries < TRIES_MAX) {
        adoption->state = ADOPT_MAPPING;
        wait_a_little(adoption);
        return;
    }
    adoption->tries = 0;
    if (mapped)
        adoption->from_arena.record_count =
            arena_used_records(&adoption->from_arena, adoption->from_fd);
    close(adoption->from_fd);
    if (mapped && (adoption->rule.parts == 0 || adoption->rule.slots == 0))
        mapped = error_set(&error, "the master gave no rule");
    if (mapped) {
        kept_index_read(&adoption->kept, &adoption->from_arena);
        next_batch(adoption);
        return;
    }
    log_error("cannot take over the connections of worker %llu: %s",
              (unsigned long long)adoption->serial, error.text);
    finish(adoption);
}

void adopt_start(struct adoption *adoption, const struct message *message, int fd)
{
    adoption->from_fd = fd;
    adoption->serial = message->serial;
    adoption->rule = message->adopt;
    adoption->death = (struct death){.hung = message->adopt.hung != 0,
                                     .silent = message->adopt.hung == 2,
                                     .marked = true,
                                     .from = &adoption->from_arena,
                                     .kept = &adoption->kept};
    if (message->count == ADOPT_IDS) {
        adoption->death.marked = false;
        adoption->death.connection = message->ids[ADOPT_CONNECTION];
        adoption->death.place = message->ids[ADOPT_PLACE];
    }
    adoption->next = adoption->count = adoption->parted = 0;
    adoption->batch = adoption->taken = adoption->tries = 0; /* a stop leaves them as they are */
    adoption->truncated = false;
    adoption->since_ns = adoption->dispatcher->conns->loop->now;
    map_source(adoption);
}

/* Some descriptors were given but did not arrive, because this process has none left (MSG_CTRUNC,
 * unix(7)). The vault keeps its duplicates, and gives them to the same worker again. */
static void note_truncated(struct adoption *adoption, uint32_t missing)
{
    if (missing == 0)
        return;
    files_restored();
    if (!adoption->truncated)
        log_error("out of descriptors while taking connections over: %u of them wait; raise "
                  "worker_rlimit_nofile",
                  missing);
    adoption->truncated = true;
}

void adopt_given(struct adoption *adoption, uint32_t seat, const struct message *message,
                 const int *fds, uint32_t fd_count)
{
    if (adoption->state != ADOPT_ASKED || message->serial != adoption->serial ||
        seat != adoption->seat) {
        for (uint32_t i = 0; i < fd_count; i++)
            close(fds[i]);
        return;
    }
    /* The answer has the ids in the order of the question, without those that the vault does not
     * have. */
    for (uint32_t i = 0, at = 0; i < fd_count && i < message->count; i++) {
        while (at < adoption->batch && adoption->ids[at] != message->ids[i])
            at++;
        if (at < adoption->batch) {
            adoption->fds[at] = fds[i];
            adoption->from[at] = (uint8_t)seat;
        } else {
            close(fds[i]);
        }
    }
    if (fd_count < message->count)
        note_truncated(adoption, message->count - fd_count);
    adoption->seat++;
    if (adoption->seat == adoption->seats) {
        adoption->seat = 0;
        adoption->pass++;
    }
    if (adoption->truncated || adoption->pass >= adoption->seats)
        all_asked(adoption);
    else
        ask_next(adoption);
}

void adopt_stop(struct adoption *adoption)
{
    if (adoption->state != ADOPT_IDLE) {
        for (uint32_t i = adoption->taken; i < adoption->batch; i++) {
            if (adoption->fds[i] >= 0)
                close(adoption->fds[i]);
        }
    }
    timer_cancel(adoption->dispatcher->conns->loop, &adoption->wait);
    kept_index_free(&adoption->kept);
    if (adoption->state == ADOPT_MAPPING)
        close(adoption->from_fd);
    else if (adoption->state != ADOPT_IDLE)
        arena_unmap(&adoption->from_arena);
    adoption->state = ADOPT_IDLE;
}

void adopt_again(struct adoption *adoption, uint32_t seat)
{
    for (uint32_t i = adoption->taken; adoption->state != ADOPT_IDLE && i < adoption->batch; i++)
        adoption->again[i] |= adoption->fds[i] >= 0 && adoption->from[i] == seat;
    if (adoption->state == ADOPT_ASKED && adoption->seat == seat) {
        adoption->state = ADOPT_ASKING;
        wait_a_little(adoption);
    }
}
