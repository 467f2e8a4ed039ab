/* A worker's life. See worker.h. */
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/shared_lock.h"
#include "module/api.h"
#include "module/hooks.h"
#include "process/channel.h"
#include "process/heirs.h"
#include "process/title.h"
#include "rpc/callback.h"
#include "rpc/culprit.h"
#include "rpc/dispatcher_values.h"
#include "rpc/forked.h"
#include "rpc/note.h"
#include "rpc/offload.h"
#include "rpc/slow.h"
#include "vault/vault_bank.h"
#include "worker/accept.h"
#include "worker/adopt.h"
#include "worker/complete.h"
#include "worker/files.h"
#include "worker/inherited.h"
#include "worker/lead.h"
#include "worker/leave.h"
#include "worker/wear.h"

#define THREADS_END_MS 1000u /* how long a worker that ends waits for its threads */

/* The one worker of this process. */
static struct {
    struct started started;
    struct loop loop;
    struct watch master;
    struct conns conns;
    struct dispatcher dispatcher;
    struct acceptance acceptance;
    struct acceptor acceptor;
    struct vault_bank bank;
    struct adoption adoption;
    struct rpc_server parting;
    struct leave leave;
    bool asked; /* the MESSAGE_BEAT `question` is not answered yet */
    uint64_t question;
    bool draining; /* the worker ends with its last connection, at `drain` at the latest */
    struct timer drain;
} worker;

/* ---- Threads ---- */

/* The master knows the method by its index on the board. */
static void thread_stuck(const struct method *method)
{
    channel_tell(worker.started.start->channel, MESSAGE_STUCK, 0, method->index);
}

/* Asks for another worker in this one's place. */
static void ask_relief(enum relief why)
{
    static uint64_t told_ns;

    if (worker.leave.begun || (told_ns != 0 && clock_ns() - told_ns < NS_PER_S))
        return;
    told_ns = clock_ns();
    channel_tell(worker.started.start->channel, MESSAGE_RELIEVE, 0, why);
}

static void pool_useless(void)
{
    ask_relief(RELIEF_THREADS);
}

static void files_useless(void)
{
    ask_relief(RELIEF_FILES);
}

static void worn_out(void)
{
    ask_relief(RELIEF_WORN);
}

/* ---- Serving ---- */

static const struct conn_policy *policy_of(void *context, uint32_t *listener)
{
    const struct generation_listener *found = heir_of(context, *listener);

    if (found == NULL)
        return NULL;
    *listener = found->listener->id;
    return &worker.started.servers[found->server->index].policy;
}

static void update_open(void)
{
    atomic_store_explicit(&worker.started.row->open, worker.conns.open, memory_order_relaxed);
    atomic_store_explicit(&worker.started.row->blocks, worker.conns.room.blocks.used,
                          memory_order_relaxed);
}

static void connection_closed(struct conns *conns, struct conn *conn)
{
    (void)conns;
    dispatch_closed(&worker.dispatcher, conn);
    vault_bank_drop(&worker.bank, conn);
    if (worker.acceptor.paused)
        acceptor_room(&worker.acceptor);
}

/* Answers resumed requests, runs the requests that waited for them, and sends the replies. */
static void flush(void)
{
    dispatch_settle(&worker.dispatcher);
    conns_flush(&worker.conns);
    /* Handlers that ran in the flush may have resumed other requests: those are answered in the
     * next iteration. */
    if (worker.dispatcher.deferreds.settling != NULL)
        conns_go_on_soon(&worker.conns);
}

/* Answers the master's MESSAGE_BEAT. Not where it is read, because the answer means that the whole
 * loop runs. */
static void answer_beat(void)
{
    if (!worker.asked)
        return;
    worker.asked = false;
    channel_tell(worker.started.start->channel, MESSAGE_ALIVE, worker.question, 0);
}

static void batch_done(struct loop *loop, void *context)
{
    (void)context;
    flush();
    answer_beat();
    vault_bank_flush(&worker.bank);
    if (worker.leave.begun) {
        leave_go_on(&worker.leave);
        update_open();
        return;
    }
    update_open();
    acceptor_adjust(&worker.acceptor);
    atomic_store_explicit(&worker.started.row->crowded, worker.acceptor.lacks_room,
                          memory_order_relaxed);
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

/* The vaults have room again, or none any more, or the number of unheld connections has changed. */
static void vaults_changed(const struct vault_bank *bank)
{
    struct board_row *row = worker.started.row;

    if (atomic_exchange_explicit(&row->unheld, bank->unheld, memory_order_relaxed) != bank->unheld)
        channel_tell(worker.started.start->channel, MESSAGE_UNHELD, 0, bank->unheld);
    if (!bank->crowded && worker.acceptor.paused)
        acceptor_room(&worker.acceptor);
}

static void adopted(void *context, uint64_t serial, uint32_t count)
{
    struct message message = {.type = MESSAGE_ADOPTED, .serial = serial, .number = count};

    (void)context;
    channel_insist(worker.started.start->channel, &message, false);
}

static void adopted_full(void *context, uint64_t serial, uint32_t count)
{
    static uint64_t logged;

    (void)context;
    if (logged != serial)
        log_error(
            "%u connections: there are descriptors for no more, and other workers are to take over "
            "the remaining ones of worker process %llu; raise worker_rlimit_nofile",
            worker.conns.open, (unsigned long long)serial);
    logged = serial;
    channel_tell(worker.started.start->channel, MESSAGE_FULL, serial, count);
}

/* ---- Ending ---- */

/* Ends the process after the loop has ended in order: modules may tidy up. */
static _Noreturn void end(void)
{
    offload_stop();
    dispatch_end(&worker.dispatcher);
    if (!offload_finish(THREADS_END_MS)) {
        log_warn("%u calls in threads do not end; modules are not stopped", offload_pending());
        _exit(0);
    }
    dispatcher_stops(&worker.dispatcher);
    module_set_stop(&worker.started.modules);
    exit(0);
}

static void leave(uint64_t timeout_ms)
{
    acceptor_close(&worker.acceptor);
    adopt_stop(&worker.adoption);
    flush();
    leave_begin(&worker.leave, timeout_ms);
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

/* ---- Messages of the master ---- */

static void open_vault(uint64_t serial, uint64_t seat, int channel)
{
    if (seat >= VAULT_PROCESSES_MAX) {
        close(channel);
        return;
    }
    vault_bank_open(&worker.bank, (uint32_t)seat, channel);
    leave_vault(&worker.leave, (uint32_t)seat, serial);
}

/* The master says it again when the number of connections to be taken over has changed. */
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

    module_set_reopen(&worker.started.modules, &failures);
    snprintf(answer.text, sizeof(answer.text), "%s", text_string(&failures));
    log_error_lines(answer.text);
    channel_insist(worker.started.start->channel, &answer, false);
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
    case MESSAGE_UNREADY:
        worker.dispatcher.unready = true;
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
        descriptors_fill(); /* a module may have closed some, and no client came since */
        worker.asked = true;
        worker.question = message->serial;
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
        case CHANNEL_CLOSED: /* the master is gone, and with it the server */
            _exit(0);
        }
    }
}

/* ---- The whole ---- */

/* True for the pid of a worker of this server: a pid in a shared lock counts only if it is one. */
static bool is_worker(int32_t pid)
{
    const struct board *board = worker.started.start->board;

    for (uint32_t i = 0; i < board->row_high; i++) {
        if (atomic_load_explicit(&board->heads[i].pid, memory_order_relaxed) == pid &&
            atomic_load_explicit(&board->heads[i].state, memory_order_relaxed) != ROW_FREE)
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
                    worker.started.row->counters, &error))
        start_fail(start, error.text);
    forked_protect(worker.conns.arena.header, worker.conns.arena.size);
    forked_protect(worker.started.row, sizeof(*worker.started.row));
    worker.loop.after_batch = batch_done;
    worker.conns.on_input = dispatch_input;
    worker.conns.on_close = connection_closed;
    worker.conns.only_waits = dispatch_only_waits;
    worker.conns.context = &worker.dispatcher;
    worker.conns.crowd = (struct crowd){.own = &worker.started.row->crowd,
                                        .seed = start->board->secret,
                                        .next = board_next_crowd,
                                        .context = start->board};
    worker.dispatcher = (struct dispatcher){
        .conns = &worker.conns,
        .board = start->board,
        .row = worker.started.row,
        .sample_ns = settings->status_interval_ms * NS_PER_MS,
    };
    dispatcher_init(&worker.dispatcher, settings->defer_timeout_ms);
    api_start(&worker.dispatcher.deferreds);
    notes_init(worker.started.row, settings->handler_timeout_ms * NS_PER_MS);
    culprit_begin(worker.started.row);
    callbacks_init(&worker.loop);
    lead_begin(start->board, start->row);
    shared_lock_owners(is_worker);
    start_threads(&worker.started, &worker.loop,
                  (struct offload_limits){.arena = &worker.conns.arena,
                                          .stuck = thread_stuck,
                                          .useless = pool_useless});
    worker.bank.conns = &worker.conns;
    worker.bank.given = vault_given;
    worker.bank.lost = vault_lost;
    worker.bank.context = &worker.adoption;
    worker.bank.changed = vaults_changed;
    if (!vault_bank_init(&worker.bank, capacity->vaults, capacity->share, &error))
        start_fail(start, error.text);
    worker.acceptance = (struct acceptance){
        .started = &worker.started,
        .conns = &worker.conns,
        .bank = &worker.bank,
        .show = update_open,
    };
    worker.adoption = (struct adoption){
        .dispatcher = &worker.dispatcher,
        .bank = &worker.bank,
        .policy_of = policy_of,
        .parting = &worker.parting.policy,
        .done = adopted,
        .full = adopted_full,
        .context = start->generation,
        .most = capacity->worker_room < worker.conns.arena.record_count
                    ? capacity->worker_room
                    : worker.conns.arena.record_count,
    };
    worker.leave = (struct leave){
        .loop = &worker.loop,
        .conns = &worker.conns,
        .dispatcher = &worker.dispatcher,
        .bank = &worker.bank,
        .channel = start->channel,
        .show = update_open,
    };
}

_Noreturn void worker_main(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    const struct settings *settings = generation->settings;
    struct error error;
    char name[32];

    worker.started.start = start;
    snprintf(name, sizeof(name), "worker %u", start->slot);
    start_begin(start, name);
    title_set("worker %u (generation %llu)", start->slot, (unsigned long long)generation->number);
    files_watch(limit_open_files((uint64_t)settings->worker_rlimit_nofile), files_useless);
    if (!affinity_apply(&settings->worker_cpu_affinity, start->slot, &error))
        start_fail(start, error.text);
    inherited_keep(&worker.started, &worker.loop);

    prepare(start);
    if (!start_load(&worker.started, (int)start->slot))
        start_fail(start, text_string(&worker.started.errors.text));
    module_set_attach(&worker.started.modules, start->board, worker.started.row);
    offload_attach(start->board, worker.started.row);
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        rpc_server_init(&worker.started.servers[s->index], s, &worker.dispatcher,
                        generation->number);
        rpc_server_count(&worker.started.servers[s->index]);
        if (worker.started.servers[s->index].slow)
            slow_start(&worker.dispatcher);
    }
    worker.dispatcher.servers = worker.started.servers;
    worker.dispatcher.server_count = worker.started.server_count;
    complete_begin(&worker.loop, &worker.dispatcher, worker.started.start);
    rpc_server_part(&worker.parting, settings->servers, &worker.dispatcher, generation->number,
                    settings->drain_timeout_ms > 0 ? settings->drain_timeout_ms : 1);
    accept_prepare(&worker.acceptor, &worker.acceptance);
    inherited_guard(start, &worker.loop);
    if (!module_set_start(&worker.started.modules))
        start_fail(start, text_string(&worker.started.errors.text));
    descriptors_fill();
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++) {
        if (start->vaults[i] >= 0)
            vault_bank_open(&worker.bank, i, start->vaults[i]);
    }
    if (!loop_watch(&worker.loop, &worker.master, start->channel, EPOLLIN, master_ready)) {
        error_errno(&error, "cannot watch the master's channel");
        start_fail(start, error.text);
    }
    wear_watch(&worker.loop, settings, worker.started.row, worn_out);
    channel_say(start->channel, MESSAGE_READY, "");
    loop_run(&worker.loop);
    end();
}
