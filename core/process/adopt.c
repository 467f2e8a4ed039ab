/* Taking connections over. See adopt.h. */
#include "process/adopt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/arena_layout.h"
#include "net/stream_count.h"

#define WAIT_NS   (5 * NS_PER_MS)
#define TRIES_MAX 1000u           /* then a connection for which there is no room must go */
#define BATCH_MAX CHANNEL_FDS_MAX /* between batches, requests have their turn */

static void next_batch(struct adoption *adoption);

/* Whether this slot is to take the record over. */
static bool is_ours(const struct adoption *adoption, uint32_t index,
                    const struct conn_record *record)
{
    const struct adopt_rule *rule = &adoption->rule;
    uint64_t place = (uint64_t)index * rule->slots + rule->slot;

    return record->id != 0 && record->taken == 0 && (!rule->partial || record->staying == 0) &&
           place % rule->parts == rule->part;
}

/* The connection will be nobody's: it is closed, and no later look at the source asks for it. */
static void count_lost(struct adoption *adoption, uint32_t index)
{
    arena_record_take(&adoption->from, index);
    counter_add(&adoption->dispatcher->conns->counters[COUNT_CLOSED], 1);
}

/* What must end here ends visibly: the client sees the end of its connection, the log and the
 * counters tell. */
static void give_up(struct adoption *adoption, uint32_t index, uint64_t id, int fd, const char *why)
{
    log_warn("connection %llx of worker %llu is closed instead of taken over: %s",
             (unsigned long long)id, (unsigned long long)adoption->serial, why);
    count_lost(adoption, index);
    shutdown(fd, SHUT_RDWR);
    close(fd);
    vault_client_drop(adoption->vault, id);
}

/* ---- One connection ---- */

/* Moves the cursors to where the kernel says that the streams are. False with the reason when they
 * cannot be there. */
static bool correct(struct adoption *adoption, uint32_t index, int fd, struct conn_cursors *cursors,
                    const char **why)
{
    counter *counters = adoption->dispatcher->conns->counters;
    bool in_call =
        atomic_load_explicit(&adoption->from.header->in_call, memory_order_relaxed) == index + 1;
    struct stream_count count;

    if (!in_call && stream_at_rest(fd, cursors->received, cursors->sent))
        return true;
    switch (stream_count(fd, &count)) {
    case STREAM_COUNTED:
        break;
    case STREAM_DEAD:
        *why = "the client is gone";
        return false;
    case STREAM_UNKNOWN:
        *why = "its worker died between reading or writing and recording it, and for such sockets "
               "the kernel keeps no count";
        return !in_call;
    }
#ifdef PILLION_TESTING
    /* The test of the chaos test: without this correction it must fail. */
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
                *why = "its record does not fit what the kernel has counted as read";
                return false;
            }
            cursors->in_end += (uint32_t)read;
            cursors->received += read;
        }
        counter_add(&counters[COUNT_CORRECTED_IN], 1);
    }
    if (sent != 0) {
        if (sent > cursors->out_end - cursors->out_start) {
            *why = "its record does not fit what the kernel has counted as sent";
            return false;
        }
        cursors->out_start += (uint32_t)sent;
        cursors->sent += sent;
        counter_add(&counters[COUNT_CORRECTED_OUT], 1);
    }
    return true;
}

/* Takes one record over. False when there is no room for it now. */
static bool take_over(struct adoption *adoption, uint32_t index, uint64_t id, int fd)
{
    struct conns *conns = adoption->dispatcher->conns;
    struct conn_record image, *record = &image;
    const char *why = NULL;

    arena_record_read(&adoption->from, index, record);
    if (!record_valid(&adoption->from, record)) {
        counter_add(&conns->counters[COUNT_INVALID], 1);
        give_up(adoption, index, id, fd, "its record is damaged");
        return true;
    }
    const struct conn_owner *owner = adoption->owner_of(adoption->context, record->listener);
    if (owner == NULL) {
        give_up(adoption, index, id, fd, "its listen address is no longer configured");
        return true;
    }
    struct conn_cursors cursors = *record_cursors(record);
    if (!correct(adoption, index, fd, &cursors, &why)) {
        give_up(adoption, index, id, fd, why);
        return true;
    }
    struct conn *conn = conn_adopt(conns, fd, &adoption->from, record, &cursors, owner);
    if (conn == NULL)
        return false;
    arena_record_take(&adoption->from, index);
    counter_add(&conns->counters[COUNT_ADOPTED], 1);
    adoption->count++;
    if (!dispatch_adopted(adoption->dispatcher, conn, &adoption->death)) {
        log_warn("connection %llx of worker %llu is closed: its requests are damaged",
                 (unsigned long long)id, (unsigned long long)adoption->serial);
        counter_add(&conns->counters[COUNT_INVALID], 1);
        conn_close(conns, conn);
        return true;
    }
    if (adoption->unheld)
        vault_client_hold(adoption->vault, &conn, 1);
    else
        conn_start(conns, conn);
    return true;
}

/* ---- Batches ---- */

static void wait_over(struct timer *timer);

static void wait_a_little(struct adoption *adoption)
{
    timer_set(adoption->dispatcher->conns->loop, &adoption->wait, WAIT_NS, wait_over);
}

static void place_batch(struct adoption *adoption)
{
    while (adoption->placed < adoption->batch) {
        uint32_t i = adoption->placed;
        if (adoption->fds[i] < 0) {
            count_lost(adoption, adoption->records[i]);
        } else if (!take_over(adoption, adoption->records[i], adoption->ids[i], adoption->fds[i])) {
            if (++adoption->tries < TRIES_MAX) {
                wait_a_little(adoption);
                return;
            }
            give_up(adoption, adoption->records[i], adoption->ids[i], adoption->fds[i],
                    "there is no room for it");
        }
        adoption->tries = 0;
        adoption->placed++;
    }
    next_batch(adoption);
}

static void ask(struct adoption *adoption)
{
    bool sent =
        vault_client_take(adoption->vault, adoption->serial, adoption->ids, adoption->batch);

    adoption->state = sent ? ADOPT_ASKED : ADOPT_ASKING;
    adoption->unheld = false;
    if (!sent)
        wait_a_little(adoption);
}

static void wait_over(struct timer *timer)
{
    struct adoption *adoption = container_of(timer, struct adoption, wait);

    if (adoption->state == ADOPT_ASKING)
        ask(adoption);
    else if (adoption->state == ADOPT_PLACING)
        place_batch(adoption);
}

static void finish(struct adoption *adoption)
{
    adoption->state = ADOPT_IDLE;
    arena_unmap(&adoption->from);
    adoption->done(adoption->context, adoption->serial, adoption->count);
}

/* Collects the next ids and asks the vault for them. */
static void next_batch(struct adoption *adoption)
{
    adoption->batch = adoption->placed = 0;
    while (adoption->next < adoption->from.record_count && adoption->batch < BATCH_MAX) {
        uint32_t index = adoption->next++;
        struct conn_record record;
        arena_record_read(&adoption->from, index, &record);
        if (!is_ours(adoption, index, &record))
            continue;
        adoption->records[adoption->batch] = index;
        adoption->fds[adoption->batch] = -1;
        adoption->ids[adoption->batch++] = record.id;
    }
    if (adoption->batch == 0)
        finish(adoption);
    else
        ask(adoption);
}

void adopt_start(struct adoption *adoption, const struct message *message, int fd)
{
    struct error error;
    bool mapped = arena_map(fd, &adoption->from, &error);

    if (mapped)
        adoption->from.record_count = arena_used_records(&adoption->from, fd);
    close(fd);
    adoption->serial = message->serial;
    adoption->rule = message->adopt;
    adoption->death = (struct death){.hung = message->adopt.hung != 0, .marked = true};
    if (message->count == ADOPT_IDS) {
        adoption->death.marked = false;
        adoption->death.connection = message->ids[ADOPT_CONNECTION];
        adoption->death.place = message->ids[ADOPT_PLACE];
    }
    adoption->next = adoption->count = 0;
    if (mapped && (adoption->rule.parts == 0 || adoption->rule.slots == 0))
        mapped = error_set(&error, "the master gave no rule");
    if (!mapped) {
        log_error("cannot take over the connections of worker %llu: %s",
                  (unsigned long long)adoption->serial, error.text);
        finish(adoption);
        return;
    }
    next_batch(adoption);
}

void adopt_given(struct adoption *adoption, const struct message *message, const int *fds,
                 uint32_t fd_count)
{
    if (adoption->state != ADOPT_ASKED || message->serial != adoption->serial) {
        for (uint32_t i = 0; i < fd_count; i++)
            close(fds[i]);
        return;
    }
    /* The answer has the ids in the order of the question, some left out. */
    for (uint32_t i = 0, at = 0; i < fd_count && i < message->count; i++) {
        while (at < adoption->batch && adoption->ids[at] != message->ids[i])
            at++;
        if (at < adoption->batch)
            adoption->fds[at] = fds[i];
        else
            close(fds[i]);
    }
    for (uint32_t i = fd_count; i < message->count; i++)
        vault_client_drop(adoption->vault, message->ids[i]);
    if (fd_count < message->count)
        log_error("out of descriptors while taking connections over: %u are lost; raise "
                  "worker_rlimit_nofile",
                  message->count - fd_count);
    if (message->number > 0)
        log_warn("%u connections of worker process %llu could not be taken over: the vault does "
                 "not have them, or another worker has",
                 (uint32_t)message->number, (unsigned long long)adoption->serial);
    adoption->state = ADOPT_PLACING;
    place_batch(adoption);
}

void adopt_stop(struct adoption *adoption)
{
    if (adoption->state == ADOPT_PLACING) {
        for (uint32_t i = adoption->placed; i < adoption->batch; i++) {
            if (adoption->fds[i] >= 0)
                close(adoption->fds[i]);
        }
    }
    timer_cancel(adoption->dispatcher->conns->loop, &adoption->wait);
    if (adoption->state != ADOPT_IDLE)
        arena_unmap(&adoption->from);
    adoption->state = ADOPT_IDLE;
}

void adopt_again(struct adoption *adoption)
{
    if (adoption->state == ADOPT_ASKED) {
        adoption->state = ADOPT_ASKING;
        wait_a_little(adoption);
    }
    adoption->unheld = adoption->state == ADOPT_PLACING;
}
