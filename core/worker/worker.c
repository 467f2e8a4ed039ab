/* A worker's life. See worker.h. */
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shared_lock.h"
#include "module/api.h"
#include "module/close_guard.h"
#include "net/acceptor.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/core_dump.h"
#include "process/title.h"
#include "process/zones.h"
#include "rpc/callback.h"
#include "rpc/culprit.h"
#include "rpc/forked.h"
#include "rpc/note.h"
#include "rpc/offload.h"
#include "vault/vault_bank.h"
#include "worker/adopt.h"

#define THREADS_END_MS 1000u /* how long a worker that ends waits for its threads */
#define TAKEN_MS       500u  /* and for others to take its connections over, at least */

/* The one worker of this process. */
static struct {
    const struct worker_start *start;
    struct board_row *row; /* the only part of the board that can be written to */
    struct loop loop;
    struct watch master;
    struct conns conns;
    struct dispatcher dispatcher;
    struct rpc_server *servers; /* by their index in the configuration */
    struct acceptor acceptor;
    struct vault_bank bank;
    struct adoption adoption;
    struct module_set modules;
    struct conf_errors errors;
    struct timer drain;
    bool draining;
    bool leaving;      /* what is left is finished; others take over what is not in `staying` */
    uint64_t leave_ns; /* when it ends at the latest, on clock_ns() */
    uint32_t *staying; /* connections, by their index */
    uint32_t staying_count;
    uint64_t vaults[VAULT_PROCESSES_MAX]; /* by seat, the serial of the last MESSAGE_VAULT */
} worker;

/* ---- Starting ---- */

/* Says why there will be no worker, and ends. */
static _Noreturn void fail(int channel, const char *text)
{
    channel_say(channel, MESSAGE_FAILED, text);
    _exit(1);
}

static void say_stage(void *context, const char *label, const char *doing)
{
    const struct worker_start *start = context;
    char text[512];

    snprintf(text, sizeof(text), "%s\n%s", label, doing);
    channel_say(start->channel, MESSAGE_STAGE, text);
}

/* The part that probes and workers share: modules from sealed copies to method tables. */
static bool load(const struct worker_start *start, int slot)
{
    const struct generation *generation = start->generation;
    const struct settings *settings = generation->settings;
    bool good = true;

    worker.modules = (struct module_set){
        .tree = generation->tree,
        .errors = &worker.errors,
        .stage = say_stage,
        .stage_context = (void *)(uintptr_t)start,
    };
    request_install_cjson_hooks();
    if (!module_set_load(&worker.modules, generation->sources, generation->source_count, slot,
                         (int)generation->slots, generation->number))
        return false;
    size_t count = 0;
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next)
        count++;
    worker.servers = must_zalloc(count * sizeof(*worker.servers));
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next)
        good = module_set_bind(&worker.modules, s, settings->handler_timeout_ms,
                               &worker.servers[s->index].methods) &&
               good;
    return good;
}

static void become_child(const struct worker_start *start, const int *keep, size_t count)
{
    struct error error;

    if (!zones_map(start->generation->settings, &error))
        fail(start->channel, error.text);
    worker.row = start->row;
    log_count_lost(NULL); /* not where the master counts */
    if (start->board != NULL &&
        !board_enter(start->board, start->row == NULL ? NULL : &worker.row, &error))
        fail(start->channel, error.text);
    log_use(&start->generation->settings->log, start->generation->log);
    child_begin(keep, count);
    core_dump_limit(start->generation->settings);
    if (worker.row != NULL)
        log_count_lost(&worker.row->counters[COUNT_LOG_LOST]);
    if (!privilege_drop(&start->generation->identity, start->master, &error) ||
        !core_dump_enter(start->generation->settings, &error))
        fail(start->channel, error.text);
}

/* By its place on the board the master knows the method. */
static void thread_stuck(const struct method *method)
{
    channel_tell(worker.start->channel, MESSAGE_STUCK, 0, method->index);
}

static void pool_useless(void)
{
    static uint64_t told_ns;

    if (worker.leaving || (told_ns != 0 && clock_ns() - told_ns < NS_PER_S))
        return;
    told_ns = clock_ns();
    channel_tell(worker.start->channel, MESSAGE_RELIEVE, 0, 0);
}

static void prepare_threads(const struct worker_start *start)
{
    const struct settings *settings = start->generation->settings;

    const struct offload_limits limits = {
        .threads = (uint32_t)settings->pool_threads,
        .queue = (uint32_t)settings->pool_queue,
        .row = worker.row,
        .arena = worker.conns.arena.header == NULL ? NULL : &worker.conns.arena,
        .stuck = thread_stuck,
        .useless = pool_useless,
    };

    if (!offload_init(&worker.loop, &limits))
        fail(start->channel, "cannot make what threads wake the worker with (eventfd)");
}

/* As a worker would start, with a loop that never runs: what would keep one from serving is found
 * here. A reload has its workers for that, and need not. */
static bool rehearse(const struct worker_start *start)
{
    struct error error;

    if (!loop_init(&worker.loop, &error))
        fail(start->channel, error.text);
    notes_init(NULL, 0);
    callbacks_init(&worker.loop);
    prepare_threads(start);
    module_set_place(&worker.modules, 0);
    bool good = module_set_start(&worker.modules);
    if (good)
        module_set_stop(&worker.modules);
    return good;
}

/* Tells the master the names of the modules' metrics, in messages of whole lines. */
static void say_metrics(const struct worker_start *start)
{
    struct text list = {0};
    char part[CHANNEL_TEXT_MAX] = "";

    module_set_describe_metrics(&worker.modules, &list);
    for (const char *line = text_string(&list), *end; *line != '\0'; line = end + 1) {
        size_t used = strlen(part), size = (size_t)((end = strchr(line, '\n')) + 1 - line);
        if (used + size >= sizeof(part)) {
            channel_say(start->channel, MESSAGE_METRICS, part);
            used = 0;
        }
        memcpy(part + used, line, size);
        part[used + size] = '\0';
    }
    if (part[0] != '\0')
        channel_say(start->channel, MESSAGE_METRICS, part);
    text_free(&list);
}

_Noreturn void probe_main(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    int *keep = must_alloc((generation->source_count + 1) * sizeof(*keep));
    size_t count = 0;

    log_identity("probe");
    title_set("probe (generation %llu)", (unsigned long long)generation->number);
    keep[count++] = start->channel;
    for (size_t i = 0; i < generation->source_count; i++)
        keep[count++] = generation->sources[i].fd;
    become_child(start, keep, count);
    forked_watch(NULL, keep, count);
    free(keep);

    bool good = load(start, -1);
    if (good)
        good = module_set_check(&worker.modules);
    if (good && start->rehearses)
        good = rehearse(start);
    if (!good)
        fail(start->channel, text_string(&worker.errors.text));
    if (start->board != NULL)
        say_metrics(start);
    channel_say(start->channel, MESSAGE_READY, "");
    _exit(0);
}

/* ---- Serving ---- */

static const struct conn_owner *owner_of(void *context, uint32_t listener)
{
    const struct generation *generation = context;

    for (size_t i = 0; i < generation->listener_count; i++) {
        if (generation->listeners[i].listener->id == listener)
            return &worker.servers[generation->listeners[i].server->index].owner;
    }
    return NULL;
}

static void update_open(void)
{
    atomic_store_explicit(&worker.row->open, worker.conns.open, memory_order_relaxed);
    atomic_store_explicit(&worker.row->blocks, worker.conns.blocks.used, memory_order_relaxed);
}

static void connection_closed(struct conns *conns, struct conn *conn)
{
    (void)conns;
    dispatch_closed(&worker.dispatcher, conn);
    vault_bank_drop(&worker.bank, conn);
    if (worker.acceptor.paused)
        acceptor_room(&worker.acceptor);
}

static void connections_accepted(void *context, struct conn **batch, uint32_t count)
{
    (void)context;
    vault_bank_hold(&worker.bank, batch, count);
    update_open();
}

/* What waits for the vault would end with this worker; what waits in the listening socket's queue
 * would not. */
static uint32_t room_in_vaults(void *context, bool *soon)
{
    (void)context;
    return vault_bank_room(&worker.bank, soon);
}

/* Open connections of a worker of this generation, on average. */
static uint32_t average_open(void *context)
{
    const struct board *board = context;
    uint64_t generation = worker.start->generation->number;
    uint32_t most = (uint32_t)worker.start->generation->settings->worker_connections;
    uint64_t sum = 0;
    uint32_t workers = 0;

    if (worker.start->generation->slots == 1)
        return UINT32_MAX / 2;
    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_seat *seat = &board->seats[i];
        if (atomic_load_explicit(&seat->state, memory_order_relaxed) != ROW_SERVING ||
            atomic_load_explicit(&seat->generation, memory_order_relaxed) != generation)
            continue;
        uint32_t open = &board->rows[i] == worker.start->row
                            ? worker.conns.open
                            : atomic_load_explicit(&board->rows[i].open, memory_order_relaxed);
        sum += open < most ? open : most; /* another worker's word */
        workers++;
    }
    return workers < 2 ? UINT32_MAX / 2 : (uint32_t)(sum / workers);
}

/* Answers what was resumed, runs what waited for that, and sends. */
static void flush(void)
{
    dispatch_settle(&worker.dispatcher);
    conns_flush(&worker.conns);
    /* What ran in the flush may have resumed others: theirs is the next turn. */
    if (worker.dispatcher.deferreds.settling != NULL)
        conns_go_on_soon(&worker.conns);
}

static void let_go_of_finished(void);

static void batch_done(struct loop *loop, void *context)
{
    (void)context;
    flush();
    vault_bank_flush(&worker.bank);
    if (worker.leaving) {
        let_go_of_finished();
        return;
    }
    update_open();
    acceptor_adjust(&worker.acceptor);
    atomic_store_explicit(&worker.row->crowded, worker.acceptor.lacks_room, memory_order_relaxed);
    if (worker.draining && worker.conns.open == 0)
        loop_stop(loop);
}

static void vault_given(void *context, uint32_t seat, const struct message *message, const int *fds,
                        uint32_t fd_count)
{
    adopt_given(context, seat, message, fds, fd_count);
}

static void vault_lost(void *context, uint32_t seat)
{
    adopt_again(context, seat);
}

/* The vaults have room again, or have none; some connections are in none of them. */
static void vaults_changed(const struct vault_bank *bank)
{
    struct board_row *row = worker.row;

    if (atomic_exchange_explicit(&row->unheld, bank->unheld, memory_order_relaxed) != bank->unheld)
        channel_tell(worker.start->channel, MESSAGE_UNHELD, 0, bank->unheld);
    if (!bank->crowded && worker.acceptor.paused)
        acceptor_room(&worker.acceptor);
}

static void adopted(void *context, uint64_t serial, uint32_t count)
{
    struct message message = {.type = MESSAGE_ADOPTED, .serial = serial, .number = count};

    (void)context;
    channel_send(worker.start->channel, &message, false, NULL, 0);
}

static void adopted_full(void *context, uint64_t serial, uint32_t count)
{
    static uint64_t logged;

    (void)context;
    if (logged != serial)
        log_error("%u connections: there are descriptors for no more, and others are to take over "
                  "what is left of worker process %llu; raise worker_rlimit_nofile",
                  worker.conns.open, (unsigned long long)serial);
    logged = serial;
    channel_tell(worker.start->channel, MESSAGE_FULL, serial, count);
}

/* ---- Ending ---- */

/* The loop has ended in order: modules may tidy up. */
static _Noreturn void end(void)
{
    if (!offload_finish(THREADS_END_MS)) {
        log_warn("%u calls in threads do not end; modules are not stopped", offload_pending());
        _exit(0);
    }
    module_set_stop(&worker.modules);
    exit(0);
}

static void not_taken(struct timer *timer)
{
    (void)timer;
    log_warn("its connections have not been taken over yet; the vault alone has them now "
             "(drain_timeout)");
    loop_stop(&worker.loop);
}

/* Others may take over what does not stay. Until they have, this worker keeps its descriptors, so
 * that it can hand them to another vault. */
static void released(void)
{
    struct message message = {.type = MESSAGE_RELEASED,
                              .serial = worker.vaults[0],
                              .number = worker.staying_count,
                              .count = VAULT_PROCESSES_MAX};

    memcpy(message.ids, worker.vaults, sizeof(worker.vaults));
    channel_send(worker.start->channel, &message, true, NULL, 0);
    if (worker.staying_count > 0)
        return;
    uint64_t soonest = clock_ns() + TAKEN_MS * NS_PER_MS;
    timer_set_at(&worker.loop, &worker.drain, worker.leave_ns < soonest ? soonest : worker.leave_ns,
                 not_taken);
}

/* Of the connections that stayed, those that have had their answers are others' now. */
static void let_go_of_finished(void)
{
    uint32_t before = worker.staying_count;

    for (uint32_t i = 0; i < worker.staying_count;) {
        struct conn *conn = &worker.conns.conns[worker.staying[i]];
        if (conn->owner != NULL && conn_must_stay(conn)) {
            i++;
            continue;
        }
        if (conn->owner != NULL)
            conn_let_go(&worker.conns, conn);
        worker.staying[i] = worker.staying[--worker.staying_count];
    }
    update_open();
    if (worker.staying_count < before)
        released();
}

static void answers_late(struct timer *timer)
{
    (void)timer;
    log_warn("%u connections still wait for an answer after drain_timeout; they are answered "
             "`timeout`",
             worker.staying_count);
    dispatch_give_up(&worker.dispatcher, "the server was reloaded while this request waited "
                                         "(drain_timeout)");
}

/* Others take the connections over; those that wait for an answer stay until they have it. */
static void leave(uint64_t timeout_ms)
{
    uint32_t high =
        atomic_load_explicit(&worker.conns.arena.header->record_high, memory_order_relaxed);

    acceptor_close(&worker.acceptor);
    adopt_stop(&worker.adoption);
    flush();
    if (offload_useless())
        offload_withdraw(dispatch_let_go);
    vault_bank_finish(&worker.bank);
    conns_release(&worker.conns);
    worker.leaving = true;
    worker.leave_ns = clock_ns() + timeout_ms * NS_PER_MS;
    worker.staying = must_alloc((worker.dispatcher.deferreds.pending + worker.conns.waiting_count) *
                                sizeof(*worker.staying));
    for (uint32_t i = 0; i < high; i++) {
        struct conn *conn = &worker.conns.conns[i];
        if (conn->owner == NULL)
            continue;
        if (conn_must_stay(conn)) {
            conn_stay(&worker.conns, conn);
            worker.staying[worker.staying_count++] = i;
        } else {
            conn_let_go(&worker.conns, conn);
        }
    }
    update_open();
    timer_set_at(&worker.loop, &worker.drain, worker.leave_ns, answers_late);
    released();
}

static void drain_over(struct timer *timer)
{
    (void)timer;
    log_warn("%u connections still had something under way after drain_timeout; they are cut off",
             worker.conns.open);
    loop_stop(&worker.loop);
}

static void quit(uint64_t timeout_ms)
{
    acceptor_close(&worker.acceptor);
    conns_drain(&worker.conns);
    worker.draining = true;
    timer_set(&worker.loop, &worker.drain, timeout_ms * NS_PER_MS, drain_over);
}

/* ---- What the master says ---- */

/* There is another vault. One that leaves hands over what it has let go of, too, for as long as
 * nobody has taken that over: this says again that it may be. */
static void open_vault(uint64_t serial, uint64_t seat, int channel)
{
    if (seat >= VAULT_PROCESSES_MAX) {
        close(channel);
        return;
    }
    vault_bank_open(&worker.bank, (uint32_t)seat, channel);
    worker.vaults[seat] = serial;
    if (!worker.leaving)
        return;
    if (vault_bank_finish(&worker.bank))
        released();
}

/* Also said later, when another number of connections is still to be taken over. */
static void begin_to_serve(uint64_t expected)
{
    worker.conns.expected = expected < UINT32_MAX ? (uint32_t)expected : UINT32_MAX;
    if (worker.acceptor.stopped)
        acceptor_start(&worker.acceptor);
    else
        acceptor_room(&worker.acceptor);
}

static void reopen(uint64_t serial)
{
    struct message answer = {.type = MESSAGE_REOPENED, .serial = serial};
    struct text failures = {0};

    module_set_reopen(&worker.modules, &failures);
    snprintf(answer.text, sizeof(answer.text), "%s", text_string(&failures));
    log_error_lines(answer.text);
    channel_send(worker.start->channel, &answer, false, NULL, 0);
    text_free(&failures);
}

static void master_message(const struct message *message, int *fds, uint32_t fd_count)
{
    switch (message->type) {
    case MESSAGE_SERVE:
        begin_to_serve(message->number);
        break;
    case MESSAGE_LEAVE:
        leave(message->number);
        break;
    case MESSAGE_QUIT:
        quit(message->number);
        break;
    case MESSAGE_STOP:
        loop_stop(&worker.loop);
        break;
    case MESSAGE_LOG:
        if (fd_count == 1) {
            log_adopt(fds[0]);
            fds[0] = -1;
        }
        reopen(message->serial);
        break;
    case MESSAGE_VAULT:
        if (fd_count == 1) {
            open_vault(message->serial, message->number, fds[0]);
            fds[0] = -1;
        }
        break;
    case MESSAGE_TAKEN:
        loop_stop(&worker.loop);
        break;
    case MESSAGE_BEAT:
        channel_tell(worker.start->channel, MESSAGE_ALIVE, message->serial, 0);
        break;
    case MESSAGE_ADOPT:
        if (fd_count == 1) {
            acceptor_look(&worker.acceptor);
            adopt_start(&worker.adoption, message, fds[0]);
            fds[0] = -1;
        }
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < fd_count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

static void master_ready(struct watch *watch, uint32_t events)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    (void)events;
    while (!worker.loop.stopping) {
        switch (channel_receive(watch->fd, &message, fds, &fd_count)) {
        case CHANNEL_MESSAGE:
            master_message(&message, fds, fd_count);
            break;
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_CLOSED: /* the master is gone: so is the server */
            _exit(0);
        }
    }
}

/* ---- The whole ---- */

static void prepare_acceptor(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    struct acceptor *acceptor = &worker.acceptor;
    uint32_t count = 0;

    for (size_t i = 0; i < generation->listener_count; i++)
        count += generation->listeners[i].count;
    *acceptor = (struct acceptor){
        .conns = &worker.conns,
        .sources = must_zalloc(count * sizeof(*acceptor->sources)),
        .average = average_open,
        .room = room_in_vaults,
        .accepted = connections_accepted,
        .context = start->board,
        .paused = true,
        .stopped = true,
    };
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        const struct listener *listener = heard->listener;
        for (uint32_t n = 0; n < heard->count; n++) {
            /* Under reuseport each slot has sockets of its own; those of slots that are no more
             * go to the others, because what waits in their queues must be served too. */
            if (heard->reuseport && n % generation->slots != start->slot)
                continue;
            acceptor->sources[acceptor->count++] = (struct accept_source){
                .fd = listener->fds[n],
                .listener = listener->id,
                .owner = owner_of(start->generation, listener->id),
            };
        }
    }
}

/* Whose word counts, where workers share a lock. */
static bool is_worker(int32_t pid)
{
    const struct board *board = worker.start->board;

    for (uint32_t i = 0; i < board->row_high; i++) {
        if (atomic_load_explicit(&board->seats[i].pid, memory_order_relaxed) == pid &&
            atomic_load_explicit(&board->seats[i].state, memory_order_relaxed) != ROW_FREE)
            return true;
    }
    return false;
}

static void prepare(const struct worker_start *start)
{
    const struct settings *settings = start->generation->settings;
    const struct capacity *capacity = &start->generation->capacity;
    struct error error;

    if (!loop_init(&worker.loop, &error) ||
        !conns_init(&worker.conns, &worker.loop, start->arena, start->serial, capacity->connections,
                    worker.row->counters, &error))
        fail(start->channel, error.text);
    forked_protect(worker.conns.arena.header, worker.conns.arena.size);
    forked_protect(worker.row, sizeof(*worker.row));
    worker.loop.after_batch = batch_done;
    worker.conns.on_input = dispatch_input;
    worker.conns.on_close = connection_closed;
    worker.conns.context = &worker.dispatcher;
    worker.dispatcher =
        (struct dispatcher){.conns = &worker.conns, .board = start->board, .row = worker.row};
    dispatcher_init(&worker.dispatcher, settings->defer_timeout_ms);
    api_start(&worker.dispatcher.deferreds);
    notes_init(worker.row, settings->handler_timeout_ms * NS_PER_MS);
    culprit_watch(worker.row);
    callbacks_init(&worker.loop);
    shared_lock_owners(is_worker);
    prepare_threads(start);
    worker.bank.conns = &worker.conns;
    worker.bank.given = vault_given;
    worker.bank.lost = vault_lost;
    worker.bank.context = &worker.adoption;
    worker.bank.changed = vaults_changed;
    if (!vault_bank_init(&worker.bank, capacity->vaults, capacity->share, &error))
        fail(start->channel, error.text);
    worker.adoption = (struct adoption){
        .dispatcher = &worker.dispatcher,
        .bank = &worker.bank,
        .owner_of = owner_of,
        .done = adopted,
        .full = adopted_full,
        .context = start->generation,
        .most = capacity->worker_room < worker.conns.arena.record_count
                    ? capacity->worker_room
                    : worker.conns.arena.record_count,
    };
}

static void keep_descriptors(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    size_t count = 2 + VAULT_PROCESSES_MAX, at = 0;

    for (size_t i = 0; i < generation->listener_count; i++)
        count += generation->listeners[i].count;
    int *keep = must_alloc((count + generation->source_count) * sizeof(*keep));
    keep[at++] = start->arena;
    keep[at++] = start->channel;
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++)
        keep[at++] = start->vaults[i];
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        for (uint32_t n = 0; n < heard->count; n++)
            keep[at++] = heard->listener->fds[n];
    }
    for (size_t i = 0; i < generation->source_count; i++)
        keep[at++] = generation->sources[i].fd;
    become_child(start, keep, at);
    forked_watch(&worker.loop, keep, at);
    free(keep);
}

_Noreturn void worker_main(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    const struct settings *settings = generation->settings;
    struct error error;
    char name[32];

    worker.start = start;
    snprintf(name, sizeof(name), "worker %u", start->slot);
    log_identity(name);
    title_set("worker %u (generation %llu)", start->slot, (unsigned long long)generation->number);
    limit_open_files((uint64_t)settings->worker_rlimit_nofile);
    if (!affinity_apply(&settings->worker_cpu_affinity, start->slot, &error))
        fail(start->channel, error.text);
    keep_descriptors(start);

    prepare(start);
    if (!load(start, (int)start->slot))
        fail(start->channel, text_string(&worker.errors.text));
    module_set_attach(&worker.modules, start->board, worker.row);
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        rpc_server_init(&worker.servers[s->index], s, &worker.dispatcher, generation->number);
        rpc_server_count(&worker.servers[s->index]);
    }
    prepare_acceptor(start);
    if (!module_set_start(&worker.modules))
        fail(start->channel, text_string(&worker.errors.text));
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++) {
        if (start->vaults[i] >= 0)
            vault_bank_open(&worker.bank, i, start->vaults[i]);
    }
    if (!loop_watch(&worker.loop, &worker.master, start->channel, EPOLLIN, master_ready))
        fail(start->channel, "cannot watch the master's channel");
    guard_start(&worker.loop);
    channel_say(start->channel, MESSAGE_READY, "");
    loop_run(&worker.loop);
    end();
}
