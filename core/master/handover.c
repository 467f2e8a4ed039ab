/* Connections on their way from workers that are gone to workers that serve. See handover.h.
 *
 * A source is the arena of a worker that touches it no more, because the worker left for a reload
 * or died. A worker that left may keep some connections until their requests are answered; the
 * source is gone through again when they follow. Each slot of the current generation takes its part
 * of every source (adopt_rule in channel.h says which records those are), one source at a time, the
 * newest first. A worker that dies while it adopts becomes a source itself; its part of the former
 * source stays pending for its slot, and the records that it had taken are marked as taken. When
 * every slot has had its part, the vaults close the connections that no worker has taken. */
#include "master/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "master/blame.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/report.h"
#include "master/state.h"
#include "master/vaults.h"
#include "master/workers.h"

#define FULL_NS (100 * NS_PER_MS) /* pause before a worker that had no room is asked again */

/* The connections of one worker that is gone, or leaves, on their way to other workers. */
struct source {
    uint32_t serial;
    int arena;
    uint32_t slot, slots; /* the worker's slot, of how many */
    bool hung, silent;    /* it was ended because of that */
    struct blame blame;   /* for the worker's death, once it is dead */
    bool partial;         /* the worker still has connections, which will follow */
    bool again;           /* they have followed: go through the source again after this pass */
    bool pending[WORKER_PROCESSES_MAX]; /* slots that have not taken their part yet */
    uint32_t pending_count;
    bool whole; /* not split: the first pending slot takes all of it */
    uint32_t taken;
    uint32_t open; /* connections, by the worker's own count */
    uint64_t since_ns;
    struct source *next; /* older */
};

static struct {
    struct source *sources; /* newest first */
    uint32_t *retired;      /* serials of workers whose remaining sockets the vaults are to close */
    size_t retired_count;
    struct timer again; /* set when a worker had no room */
    uint64_t corrected; /* what corrections_now was when they were last told of */
} handover;

/* Decides which slots are to take a part. */
static void plan(struct source *source)
{
    uint32_t slots = generation_current()->slots;

    source->whole = false;
    source->pending_count = 0;
    for (uint32_t slot = 0; slot < WORKER_PROCESSES_MAX; slot++) {
        source->pending[slot] = slot < slots && (source->slots != slots || source->slot == slot);
        source->pending_count += source->pending[slot];
    }
}

/* The worker's own count of its connections, from the board: at most as many as it can have. */
static uint32_t worker_open(const struct worker *worker)
{
    uint32_t open = worker->row == NULL ? 0 : atomic_load(&worker->row->open);
    uint32_t most = worker->generation->geometry.records;
    return open < most ? open : most;
}

uint32_t handover_expected(uint32_t slot)
{
    uint32_t slots = generation_current()->slots;
    uint64_t expected = 0;

    for (const struct source *s = handover.sources; s != NULL; s = s->next) {
        if (s->pending[slot])
            expected += s->pending_count == 1 ? s->open : s->open / slots + 1;
    }
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if ((w->life != WORKER_SERVING && w->life != WORKER_LEAVING) ||
            w->generation == generation_current())
            continue;
        if (w->slots != slots)
            expected += worker_open(w) / slots + 1;
        else if (w->slot == slot)
            expected += worker_open(w);
    }
    return expected < UINT32_MAX ? (uint32_t)expected : UINT32_MAX;
}

/* Once nothing is left to be handed over, workers need not keep room for it any more. */
static void expect_nothing(void)
{
    if (handover.sources != NULL)
        return;
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if ((w->life == WORKER_SERVING || w->life == WORKER_LEAVING) &&
            w->generation != generation_current())
            return;
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->adoption.expecting && w->life == WORKER_SERVING)
            outbox_tell(&w->out, MESSAGE_SERVE, 0, 0);
        w->adoption.expecting = w->adoption.full = false;
    }
}

/* Shows on the board how many sources there are: an operator or a test that is about to end a vault
 * waits until there is none. */
static void show_pending(void)
{
    uint32_t count = 0;

    for (const struct source *s = handover.sources; s != NULL; s = s->next)
        count++;
    atomic_store_explicit(&master.board->handovers, count, memory_order_relaxed);
}

static struct source *source_find(uint32_t serial)
{
    struct source *source = handover.sources;
    while (source != NULL && source->serial != serial)
        source = source->next;
    return source;
}

/* Gives the source the worker's arena: the worker's own descriptor if it has let go of all,
 * otherwise a duplicate. False when there is no descriptor for that; until there is one, the source
 * is not offered. */
static bool take_arena(struct source *source, struct worker *worker)
{
    if (source->arena < 0) {
        source->arena = source->partial ? fcntl(worker->arena, F_DUPFD_CLOEXEC, 0) : worker->arena;
        if (source->arena < 0)
            return false;
        if (!worker->generation->former) /* the former binary's arenas may have another layout */
            arena_mend(source->arena, &worker->generation->geometry, worker->serial);
    } else if (!source->partial) {
        close(worker->arena);
    }
    if (!source->partial)
        worker->arena = -1;
    return true;
}

/* Adoptions whose count of bytes a worker has corrected from the kernel's. */
static uint64_t corrections_now(void)
{
    return board_sum(master.board, COUNT_CORRECTED_IN) +
           board_sum(master.board, COUNT_CORRECTED_OUT);
}

static void tell_corrections(const struct source *source)
{
    uint64_t now = corrections_now(),
             more = now > handover.corrected ? now - handover.corrected : 0;

    handover.corrected = now;
    if (more > 0)
        report(JOURNAL_CORRECTION, NULL,
               "%llu counts of bytes that worker %u had left were corrected from the kernel's",
               (unsigned long long)more, source->slot);
}

static struct source *source_new(struct worker *worker)
{
    struct source *source = must_zalloc(sizeof(*source));

    if (handover.sources == NULL)
        handover.corrected = corrections_now();
    source->serial = worker->serial;
    source->arena = -1;
    source->slot = worker->slot;
    source->slots = worker->slots;
    source->open = worker_open(worker);
    source->since_ns = clock_ns();
    source->next = handover.sources;
    handover.sources = source;
    show_pending();
    plan(source);
    return source;
}

static void look_again(struct timer *timer);

void handover_add(struct worker *worker, bool all)
{
    struct source *source = source_find(worker->serial);
    struct error error;

    if (source == NULL)
        source = source_new(worker);
    else
        source->again = true; /* some slots may have gone through it already */
    source->hung = worker->cause == CAUSE_HUNG || worker->cause == CAUSE_SILENT;
    source->silent = worker->cause == CAUSE_SILENT;
    worker_blame(worker, &source->blame);
    source->partial = !all;
    worker_let_go(worker, all);
    if (!take_arena(source, worker)) {
        error_errno(&error, "the connections of worker %u wait for a descriptor of its arena",
                    worker->slot);
        log_warn("%s", error.text);
        timer_set(&master.loop, &handover.again, FULL_NS, look_again);
    }
    log_debug("worker process %u has let go of %s (slot %u of %u)", source->serial,
              all ? "all" : "a part", source->slot, source->slots);
    handover_advance();
}

bool handover_awaits(uint32_t serial)
{
    return source_find(serial) != NULL;
}

void handover_again(const struct worker *worker)
{
    if (handover_awaits(worker->serial))
        handover_advance();
    else
        handover_retire(worker->serial);
}

/* A serving worker in another slot, or NULL. */
static struct worker *other_worker(uint32_t slot)
{
    for (uint32_t other = 0; other < generation_current()->slots; other++) {
        struct worker *worker = other == slot ? NULL : worker_of_slot(other);
        if (worker != NULL)
            return worker;
    }
    return NULL;
}

void handover_redirect(uint32_t slot)
{
    struct worker *other = other_worker(slot);

    if (other == NULL)
        return;
    for (struct source *s = handover.sources; s != NULL; s = s->next) {
        /* Only sources that go to one slot as a whole. The parts of a split source stay with their
         * slots. */
        if (s->slots != generation_current()->slots || !s->pending[slot])
            continue;
        s->pending[slot] = false;
        s->pending[other->slot] = true;
        s->whole = true;
    }
    handover_advance();
}

void handover_retire(uint32_t serial)
{
    handover.retired =
        must_realloc(handover.retired, (handover.retired_count + 1) * sizeof(*handover.retired));
    handover.retired[handover.retired_count++] = serial;
    /* A worker that died while it adopted is, for the vault, the owner of sockets whose records are
     * still in another source. So no socket may be closed before every source is finished. */
    if (handover.sources != NULL)
        return;
    for (size_t i = 0; i < handover.retired_count; i++)
        vaults_tell(MESSAGE_RETIRE, handover.retired[i]);
    handover.retired_count = 0;
}

/* Tells the worker `serial`, if it has left and still runs, that its connections have been taken:
 * it keeps their descriptors until then. */
static void tell_taken(uint32_t serial)
{
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->serial == serial && !w->probe && w->life != WORKER_LOST)
            channel_tell(w->child.channel.fd, MESSAGE_TAKEN, serial, 0);
    }
}

static void source_finish(struct source *source)
{
    if (source->again) {
        source->again = false;
        plan(source);
        return;
    }
    for (struct source **at = &handover.sources; *at != NULL; at = &(*at)->next) {
        if (*at == source) {
            *at = source->next;
            break;
        }
    }
    show_pending();
    log_debug("worker process %u has nothing left to take over%s", source->serial,
              source->partial ? " for now" : "");
    if (!source->partial) {
        tell_taken(source->serial);
        handover_retire(source->serial);
    }
    if (source->taken > 0)
        log_info("%u connections of worker %u were taken over in %.1f ms", source->taken,
                 source->slot, (double)(clock_ns() - source->since_ns) / (double)NS_PER_MS);
    tell_corrections(source);
    close(source->arena);
    free(source);
}

/* True while a worker that was told to leave, but is not gone, is still taking records over from
 * the source: until it lets go, the records that it has taken are not final. */
static bool still_adopted(const struct source *source)
{
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->adoption.from == source->serial && w->life == WORKER_LEAVING)
            return true;
    }
    return false;
}

/* True while a worker takes records over from the source. */
static bool is_adopted(const struct source *source)
{
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->adoption.from == source->serial && w->life != WORKER_LOST)
            return true;
    }
    return false;
}

/* Offers the newest pending source to a slot. A whole source is offered to one slot at a time. */
static void offer(struct worker *worker)
{
    for (struct source *s = handover.sources; s != NULL; s = s->next) {
        if (s->arena < 0 || !s->pending[worker->slot] || still_adopted(s) ||
            (s->whole && is_adopted(s)))
            continue;
        struct message message = {
            .type = MESSAGE_ADOPT,
            .serial = s->serial,
            .adopt = {.slot = s->slot,
                      .slots = s->slots,
                      .part = worker->slot,
                      .parts = generation_current()->slots},
        };
        if (s->whole)
            message.adopt = (struct adopt_rule){.slots = 1, .parts = 1};
        message.adopt.partial = s->partial;
        message.adopt.hung = s->silent ? 2 : s->hung;
        if (!s->blame.marked) {
            message.count = ADOPT_IDS;
            message.ids[ADOPT_CONNECTION] = s->blame.connection;
            message.ids[ADOPT_PLACE] = s->blame.place;
        }
        if (outbox_send(&worker->out, &message, s->arena)) {
            worker->adoption.from = s->serial;
            log_debug("worker process %u adopts from %u", worker->serial, s->serial);
        }
        return;
    }
}

void handover_advance(void)
{
    if (generation_current() == NULL)
        return;
    expect_nothing();
    if (handover.sources == NULL)
        return;
    for (uint32_t slot = 0; slot < generation_current()->slots; slot++) {
        struct worker *worker = worker_of_slot(slot);
        if (worker != NULL && worker->adoption.from == 0 && !worker->adoption.full)
            offer(worker);
    }
}

void handover_done(struct worker *worker, uint64_t serial, uint32_t count)
{
    worker->adoption.from = 0;
    log_debug("worker process %u has adopted %u from %llu", worker->serial, count,
              (unsigned long long)serial);
    for (struct source *s = handover.sources; s != NULL; s = s->next) {
        if (s->serial != serial)
            continue;
        s->taken += count;
        /* A worker that was told to leave meanwhile took as many as it could; the new generation's
         * plan does not count on it. */
        if (worker->life == WORKER_SERVING && s->pending[worker->slot]) {
            s->pending[worker->slot] = false;
            s->pending_count--;
        }
        if (s->pending_count == 0)
            source_finish(s);
        break;
    }
    handover_advance();
}

/* Lets the workers that had no room try again, and sources that have no arena yet. */
static void look_again(struct timer *timer)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        struct source *source = w->probe ? NULL : source_find(w->serial);
        w->adoption.full = false;
        if (source != NULL && source->arena < 0 && !take_arena(source, w))
            timer_set(&master.loop, timer, FULL_NS, look_again);
    }
    handover_advance();
}

void handover_full(struct worker *worker, uint64_t serial, uint32_t count)
{
    struct source *source = source_find((uint32_t)serial);

    worker->adoption.from = 0;
    worker->adoption.full = true;
    if (source != NULL) {
        source->taken += count;
        /* The rest goes to any worker with room, this worker's part included. */
        for (uint32_t slot = 0; slot < generation_current()->slots; slot++) {
            const struct worker *other = worker_of_slot(slot);
            if (source->pending[slot] || other == NULL || other->adoption.full)
                continue;
            source->pending[slot] = true;
            source->pending_count++;
        }
        source->whole = true;
    }
    timer_set(&master.loop, &handover.again, FULL_NS, look_again);
    handover_advance();
}

void handover_replan(void)
{
    for (struct source *s = handover.sources; s != NULL; s = s->next)
        plan(s);
    show_pending();
    handover_advance();
}

uint64_t handover_open(void)
{
    uint64_t open = 0;

    for (const struct source *s = handover.sources; s != NULL; s = s->next)
        open += s->open;
    return open;
}

/* ---- Upgrade ---- */

static void write_sources(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "sources");

    for (struct source *s = handover.sources; s != NULL; s = s->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "serial", s->serial);
        cJSON_AddNumberToObject(item, "arena", s->arena);
        cJSON_AddNumberToObject(item, "slot", s->slot);
        cJSON_AddNumberToObject(item, "slots", s->slots);
        cJSON_AddBoolToObject(item, "hung", s->hung);
        cJSON_AddBoolToObject(item, "silent", s->silent);
        cJSON_AddBoolToObject(item, "unmarked", !s->blame.marked);
        cJSON_AddNumberToObject(item, "connection", (double)s->blame.connection);
        cJSON_AddNumberToObject(item, "place", (double)s->blame.place);
        cJSON_AddBoolToObject(item, "partial", s->partial);
        cJSON_AddBoolToObject(item, "again", s->again);
        cJSON_AddItemToArray(list, item);
    }
}

static void write_retired(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "retired");

    for (size_t i = 0; i < handover.retired_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(handover.retired[i]));
}

void handover_write(cJSON *state)
{
    write_sources(state);
    write_retired(state);
}

static void read_source(const cJSON *item)
{
    struct source *source = must_zalloc(sizeof(*source)), **at = &handover.sources;

    source->serial = (uint32_t)state_number(item, "serial", 0);
    source->arena = (int)state_number(item, "arena", -1);
    source->slot = (uint32_t)state_number(item, "slot", 0);
    source->slots = (uint32_t)state_number(item, "slots", 1);
    source->hung = state_truth(item, "hung");
    source->silent = state_truth(item, "silent");
    source->blame = (struct blame){.method = BOARD_NO_METHOD,
                                   .marked = !state_truth(item, "unmarked"),
                                   .connection = (uint64_t)state_number(item, "connection", 0),
                                   .place = (uint64_t)state_number(item, "place", 0)};
    source->partial = state_truth(item, "partial");
    source->again = state_truth(item, "again");
    source->since_ns = clock_ns();
    state_keep_open(source->arena, false);
    if (source->arena < 0)
        timer_set(&master.loop, &handover.again, FULL_NS, look_again);
    while (*at != NULL) /* keeps the order in which they were written, newest first */
        at = &(*at)->next;
    *at = source;
}

void handover_read(const cJSON *state)
{
    const cJSON *item;

    handover.corrected = corrections_now();
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "sources")) read_source(item);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "retired"))
    {
        handover_retire((uint32_t)item->valuedouble);
    }
}

void handover_keep_open(bool keep)
{
    for (const struct source *s = handover.sources; s != NULL; s = s->next)
        state_keep_open(s->arena, keep);
}
