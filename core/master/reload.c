/* From one generation to the next, in two phases. The server's first start is the same, without a
 * generation before it.
 *
 *     idle -> (configuration read, modules sealed, listeners bound)
 *          -> probing -> (the probe says READY)
 *          -> starting -> (every new worker says READY)
 *          -> confirming -> (every process gives a sign of life) -> commit -> idle
 *
 * Whatever goes wrong before the commit ends the new generation only; the old one has not been
 * touched. A reload that is ordered meanwhile begins when this one is done. See reload.h. */
#include "master/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "gate/gate.h"
#include "master/control.h"
#include "master/directory_memory.h"
#include "master/found.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/heartbeat.h"
#include "master/master.h"
#include "master/pid_file.h"
#include "master/quarantine.h"
#include "master/registry.h"
#include "master/report.h"
#include "master/slots.h"
#include "master/starter.h"
#include "master/terminal.h"
#include "master/vault_channels.h"
#include "master/vaults.h"
#include "master/wants.h"
#include "master/watchdog.h"
#include "master/workers.h"
#include "net/passed.h"
#include "process/gateway.h"
#include "process/heirs.h"
#include "process/zones.h"
#include "registry/registry.h"

static struct {
    enum reload_phase phase;
    uint64_t since_ns;
    uint64_t confirm;           /* number of the question that heartbeat_ask has asked */
    uint64_t confirmed_ns;      /* the last time when some process had not answered it yet */
    bool reaching;              /* since then some vault has had no channel to some worker */
    struct timer look, give_up; /* of RELOAD_CONFIRMING */
    void (*ended)(bool good, const char *text);
} reload;

enum reload_phase reload_phase(void)
{
    return reload.phase;
}

static void conclude(bool good, const char *text)
{
    reload.phase = RELOAD_IDLE;
    reload.ended(good, text);
}

/* Zones that only a refused configuration has named: their files are free for another. */
static void drop_zones(void)
{
    if (generation_current() != NULL)
        zones_sweep(generation_current()->settings);
}

/* Ends the next generation's processes, as many as there are. Their messages that have not been
 * read yet count no more, since the processes are leaving. */
static void drop_next(void)
{
    struct generation *dropped = generation_drop();

    timer_cancel(&master.loop, &reload.give_up);
    timer_cancel(&master.loop, &reload.look);
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->generation == dropped && !worker_is_leaving(w))
            worker_tell_end(w, MESSAGE_STOP, 1000);
    }
    generation_unlisten(dropped, &master.listeners);
    generation_unregister(dropped, master.board);
    generation_release(dropped);
    wants_sweep();
    drop_zones();
}

void reload_fail(const char *why)
{
    if (generation_next() == NULL)
        return;
    char *text = must_strdup(why); /* `why` may be part of the generation, which is freed below */
    uint64_t number = generation_next()->number;

    drop_next();
    if (generation_current() != NULL) {
        counter_add(&master.board->reloads_failed, 1);
        report_reason(
            JOURNAL_RELOAD_FAILED, text,
            "reload failed: generation %llu was not put to use, generation %llu serves on",
            (unsigned long long)number, (unsigned long long)generation_current()->number);
    }
    conclude(false, text);
    free(text);
}

void reload_abandon(const char *why)
{
    if (generation_next() != NULL) {
        log_notice("generation %llu is not put to use: %s",
                   (unsigned long long)generation_next()->number, why);
        drop_next();
    }
    reload.phase = RELOAD_IDLE;
}

/* Moves control socket, pid file and log to where the new configuration has them. A file that
 * cannot be moved stays where it was, because a commit cannot fail any more. */
static void move_files(struct generation *now)
{
    const struct settings *settings = now->settings;
    struct error error;

    if (!control_open(settings, &error))
        log_error("%s; the control socket stays as it is at %s", error.text, control_path());
    if ((pid_file_path() == NULL || strcmp(settings->pid, pid_file_path()) != 0) &&
        !pid_file_make(settings->pid, &error))
        log_error("%s; the pid file stays where it was", error.text);
    log_use(&settings->log, now->log);
    now->log = -1; /* the master owns it now */
    if (!vaults_reopen())
        log_warn("a vault keeps the former log: errno %d", errno);
    if (!gates_reopen())
        log_warn("a gate keeps the former log: errno %d", errno);
    if (!registry_reopen())
        log_warn("the registry process keeps the former log: errno %d", errno);
}

/* Makes control socket and pid file anew if they were removed, by a cleaner of temporary files,
 * say. */
static void keep_files(void)
{
    struct error error;

    if (!control_keep(&error))
        log_error("%s; `pillion -s` does not reach this server", error.text);
    if (!pid_file_keep(&error))
        log_error("%s", error.text);
}

/* The first generation serves: logs the addresses, and for a person at the terminal a command to
 * try. */
static void announce(const struct generation *generation)
{
    struct text text = {0};
    bool in_front = !generation->settings->daemon && log_descriptor() == STDERR_FILENO;

    terminal_announce(&text, generation, in_front ? master.options->argv[0] : NULL);
    log_notice("%s", text_string(&text));
    text_free(&text);
}

/* Answers with the generation's advice appended: what the configuration asks for and the machine
 * does not give. */
static void answer_committed(const struct generation *now, const char *text)
{
    struct text answer = {0};

    text_append_string(&answer, text);
    for (const char *line = text_string(&now->advice); *line != '\0';) {
        int size = (int)strcspn(line, "\n");
        log_warn("%.*s", size, line);
        text_printf(&answer, "\nbut beware: %.*s", size, line);
        line += line[size] == '\n' ? size + 1 : size;
    }
    conclude(true, text_string(&answer));
    text_free(&answer);
}

/* ---- Connections to be handed over ---- */

#define HELD_PATIENCE_NS (5 * NS_PER_S)
#define HELD_LOOK_NS     (20 * NS_PER_MS)

/* A worker's own count from the board, at most `most`. */
static uint32_t within(const _Atomic uint32_t *value, uint32_t most)
{
    uint32_t is = atomic_load(value);
    return is < most ? is : most;
}

/* The connections and descriptors that the next generation must have room for. */
static struct generation_load load_now(uint64_t *open)
{
    const struct generation *current = generation_current();
    struct generation_load load = {.slots = current->slots};
    uint64_t others = 0;

    *open = 0;
    load.records = current->capacity.connections;
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!worker_has_served(w) || w->row == NULL)
            continue;
        const struct arena_geometry *most = &w->generation->geometry;
        uint32_t records = within(&w->row->open, most->records);
        uint32_t blocks = within(&w->row->blocks, most->blocks);
        *open += records;
        load.records = records > load.records ? records : load.records;
        load.blocks = blocks > load.blocks ? blocks : load.blocks;
        if (w->generation != current)
            others += records;
    }
    others += handover_open();
    load.records += (uint32_t)(others / load.slots + 1);
    return load;
}

/* How many connections no vault holds, and so could not be handed over. */
static uint32_t unheld_now(void)
{
    uint32_t unheld = 0;

    for (const struct worker *w = workers_first(); w != NULL; w = w->next)
        unheld += w->probe || w->generation == generation_next() ? 0 : w->unheld;
    return unheld;
}

/* True while some vault has no channel to some worker: the vault may lack sockets of the worker's
 * connections, and gives none to the worker. */
static bool unreached_now(void)
{
    bool unreached = false;

    for (const struct worker *w = workers_first(); w != NULL && !unreached; w = w->next)
        unreached = !w->probe && w->life != WORKER_LOST && vaults_unreached(w);
    return unreached;
}

/* False, with an error, when the next generation's workers have not enough descriptors for the
 * connections that are open now. */
static bool can_take_over(const struct generation *next, uint64_t open, struct conf_errors *errors)
{
    uint64_t room = (uint64_t)next->capacity.worker_room * next->slots;

    if (open <= room)
        return true;
    conf_error(errors, NULL,
               "%llu connections are open, and %u workers of the new configuration would have "
               "descriptors for %llu (%u each): a reload would have to close some; raise "
               "worker_processes or the limit on open files (worker_rlimit_nofile)",
               (unsigned long long)open, next->slots, (unsigned long long)room,
               next->capacity.worker_room);
    return false;
}

/* True when connections may still name listeners of generations before the current one: workers of
 * those have not let go of all connections, or the released ones are not taken over yet. */
static bool former_left(void)
{
    const struct generation *current = generation_current();
    /* After an upgrade, workers of all earlier generations count as workers of the current one. */
    bool left = current->former || atomic_load(&master.board->handovers) > 0;

    for (const struct worker *w = workers_first(); w != NULL && !left; w = w->next)
        left = w->generation != current && worker_has_served(w);
    return left;
}

/* ---- The commit ---- */

/* Every new worker is ready: from here on there is no way back, and none is needed. */
static void commit(void)
{
    struct generation *old = generation_commit(), *now = generation_current();
    struct conf_errors errors = {0};
    char text[256];

    timer_cancel(&master.loop, &reload.give_up);
    atomic_store(&master.board->generation, now->number);
    atomic_store(&master.board->workers, now->slots);
    quarantine_clear();
    slots_forget();
    move_files(now);
    generation_accept(now, &errors);
    log_error_lines(text_string(&errors.text));
    conf_errors_free(&errors);

    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->probe)
            continue;
        if (w->generation == now)
            worker_serve(w, handover_expected(w->slot));
        else if (!worker_is_leaving(w))
            worker_tell_end(w, MESSAGE_LEAVE, w->generation->settings->drain_timeout_ms + 1000);
    }
    gates_serve();
    registry_serve();
    atomic_store(&master.board->certificate_expires, now->certificate_expires);
    if (old == NULL)
        starter_serves();
    if (old != NULL) {
        generation_unlisten(old, &master.listeners);
        generation_release(old);
        counter_add(&master.board->reloads, 1);
    }
    handover_replan();
    zones_sweep(generation_current()->settings);
    atomic_store(&master.board->vault_count, now->capacity.vaults);
    atomic_store(&master.board->vault_room, now->capacity.vault_room);
    vaults_sweep();
    watchdog_start();
    heartbeat_start();
    found_serve();
    wants_serve();
    snprintf(text, sizeof(text), "generation %llu serves: %u worker%s, %zu module%s (%llu ms)",
             (unsigned long long)now->number, now->slots, now->slots == 1 ? "" : "s",
             now->module_file_count, now->module_file_count == 1 ? "" : "s",
             (unsigned long long)((clock_ns() - reload.since_ns) / NS_PER_MS));
    report(old == NULL ? JOURNAL_STARTED : JOURNAL_RELOAD, NULL, "%s", text);
    if (old == NULL) {
        announce(now);
        passed_report_unused();
    }
    answer_committed(now, text);
}

static void start_workers(void)
{
    struct error error;

    reload.phase = RELOAD_STARTING;
    if (!vaults_start(generation_next()->capacity.vaults, &error)) {
        reload_fail(error.text);
        return;
    }
    for (uint32_t slot = 0; slot < generation_next()->slots; slot++) {
        if (!worker_spawn(generation_next(), slot, &error)) {
            reload_fail(error.text);
            return;
        }
    }
}

static void confirm_late(struct timer *timer)
{
    char name[128], why[256];

    (void)timer;
    if (heartbeat_all(reload.confirm, name, sizeof(name)))
        return;
    snprintf(why, sizeof(why),
             "%s gives no sign of life: its connections could not be handed over\n", name);
    reload_fail(why);
}

/* Asks every process that hands over, holds or takes connections whether it runs. A silent process
 * is replaced before the commit, so that a reload that succeeds has lost no connection. */
static void confirm(void)
{
    const struct settings *settings = generation_next()->settings;
    uint64_t patience_ms = settings->load_timeout_ms;

    if (generation_current() != NULL)
        patience_ms += 3 * generation_current()->settings->heartbeat_timeout_ms;
    reload.phase = RELOAD_CONFIRMING;
    reload.reaching = false;
    reload.confirm = heartbeat_ask();
    timer_set(&master.loop, &reload.give_up, patience_ms * NS_PER_MS, confirm_late);
}

void reload_ready(struct worker *worker)
{
    uint32_t ready = 0;

    if (reload.phase == RELOAD_PROBING && worker->probe) {
        start_workers();
        return;
    }
    for (struct worker *w = workers_first(); w != NULL; w = w->next)
        ready += w->generation == generation_next() && !w->probe && w->life == WORKER_READY;
    if (reload.phase == RELOAD_STARTING && ready == generation_next()->slots)
        confirm();
}

static void look_again(struct timer *timer)
{
    (void)timer;
    reload_look();
}

void reload_look(void)
{
    char text[256];

    if (reload.phase != RELOAD_CONFIRMING)
        return;
    if (!heartbeat_all(reload.confirm, text, sizeof(text))) {
        reload.confirmed_ns = clock_ns();
        return;
    }
    /* A worker that has had to wait for its channel hands its sockets over when it reads of the
     * channel, and that is before it answers once more. */
    bool unreached = unreached_now(), reached = reload.reaching && !unreached;
    reload.reaching = unreached;
    if (reached) {
        reload.confirm = heartbeat_ask();
        return;
    }
    /* The vaults that this reload has started may have room for connections that no vault held
     * before. */
    uint32_t unheld = unheld_now();
    if (unheld == 0 && !unreached) {
        commit();
    } else if (clock_ns() - reload.confirmed_ns < HELD_PATIENCE_NS) {
        timer_set(&master.loop, &reload.look, HELD_LOOK_NS, look_again);
    } else if (unreached) {
        reload_fail("some vault has no channel to some worker, whose connections could not be "
                    "handed over; the log tells the reason\n");
    } else {
        snprintf(text, sizeof(text),
                 "%u connections are in no vault, because none has room for them, and could not be "
                 "handed over; raise vault_processes or the limit on open files\n",
                 unheld);
        reload_fail(text);
    }
}

static void want(const char *service, void *data)
{
    wants_add(((const struct generation *)data)->number, service);
}

void reload_begin(bool again, void (*ended)(bool good, const char *text))
{
    struct conf_errors errors = {0};
    struct error error;

    reload.ended = ended;
    reload.since_ns = clock_ns();
    reload.phase = RELOAD_PROBING;
    keep_files();
    uint64_t open = 0;
    struct generation_load load = {0};
    if (generation_current() != NULL)
        load = load_now(&open);
    const struct generation_basis basis = {
        .load = generation_current() == NULL ? NULL : &load,
        .again = again ? generation_current() : NULL,
        .directory = directory_memory(),
        .board = master.board,
    };
    struct generation *next =
        generation_build(master.options, generation_last_number() + 1, &basis, &errors);
    bool good = next != NULL && can_take_over(next, open, &errors) && gate_try(next, &errors) &&
                registry_try(next, &errors) && generation_open_log(next, &errors) &&
                generation_listen(next, &master.listeners, &errors) &&
                generation_register(next, master.board, &errors);
    if (next != NULL) {
        if (good && generation_current() != NULL)
            heirs_find(next, generation_current(), former_left());
        generation_try(next);
        gateway_services(next->settings, want, next);
        if (good && probe_spawn(next, &error) == NULL) {
            conf_error(&errors, NULL, "cannot start the probe: %s", error.text);
            good = false;
        }
    }
    if (!good && next != NULL) {
        reload_fail(text_string(&errors.text));
    } else if (!good) {
        drop_zones();
        if (generation_current() != NULL) {
            counter_add(&master.board->reloads_failed, 1);
            report_reason(JOURNAL_RELOAD_FAILED, text_string(&errors.text),
                          "reload failed: the configuration has errors, generation %llu serves on",
                          (unsigned long long)generation_current()->number);
        }
        conclude(false, text_string(&errors.text));
    }
    conf_errors_free(&errors);
}
