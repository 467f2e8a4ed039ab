/* The master's own view of the server. Shared by the files that make up the master, and by nobody
 * else: master.c (life and signals), orders.c
 * (what is asked of it), workers.c (spawning and reaping), reload.c (from one
 * generation to the next), handover.c (connections between workers), reopen.c (log files),
 * watchdog.c, keeper.c (the vaults, see keeper.h), and control.c (the control socket).
 *
 * The master runs no module and reads no byte that a client sent. */
#ifndef PILLION_MASTER_MASTER_H
#define PILLION_MASTER_MASTER_H

#include <sys/types.h>

#include "base/place.h"
#include "event/loop.h"
#include "master/heartbeat.h"
#include "process/channel.h"
#include "process/generation.h"
#include "process/outbox.h"
#include "process/signals.h"
#include "process/startup.h"

/* ---- A worker process, or a probe, as the master sees it ---- */

enum worker_state {
    WORKER_STARTING, /* until READY */
    WORKER_READY,    /* of the next generation, before it serves */
    WORKER_SERVING,
    WORKER_LEAVING /* told to end */
};

struct worker {
    struct watch channel;
    struct timer deadline; /* for starting, and for ending once told to */
    pid_t pid;
    uint32_t slot, slots;
    uint32_t serial;
    enum worker_state state;
    bool probe;
    bool served;        /* has been told to accept */
    bool released;      /* its connections are in the hand-over already */
    bool staying;       /* only some of them: others wait for an answer with it */
    bool died;          /* not in order, and given up */
    bool reaped;        /* its pid may be another process's by now */
    bool hung;          /* ended by the watchdog */
    bool late;          /* ended because it did not start or end in time */
    uint64_t reopening; /* which MESSAGE_LOG it has not answered yet; 0: none */
    bool adopting;
    uint64_t adopting_serial;
    struct outbox out;
    uint64_t vaults[VAULT_PROCESSES_MAX]; /* by seat, the one that it was shown last; 0: it has
                                             known no other than its first */
    uint32_t unheld;                      /* its connections that no vault has room for */
    bool unreached;                       /* some vault could not take its channel */
    bool expecting; /* it keeps room for connections that it is to take over */
    bool full;      /* it has no room to take over more */
    int arena;
    struct board_row *row;
    struct generation *generation;
    uint64_t started_ns;
    uint64_t seen_dispatched, seen_since_ns; /* the watchdog's */
    struct pulse pulse;
    struct startup startup;
    struct worker *next;
};

/* A slot's memory of its workers: for the back-off. */
struct slot {
    struct timer respawn;
    uint32_t index;
    uint32_t quick_deaths; /* in a row, of workers that lived for less than a second */
};

/* Connections of a worker that is gone, or leaves, on their way to others. */
struct source {
    uint32_t serial;
    int arena;
    uint32_t slot, slots; /* where the worker was, of how many */
    bool hung;
    struct blame blame; /* what of, once the worker is dead */
    bool partial;       /* the worker still has some, which will follow */
    bool again;         /* they have: when every slot has taken its part, it is to look once more */
    bool pending[WORKER_PROCESSES_MAX]; /* slots that have not taken their part yet */
    uint32_t pending_count;
    bool whole; /* whoever is pending takes all of it */
    uint32_t taken;
    uint32_t open; /* connections, as far as its worker has said */
    uint64_t since_ns;
    struct source *next; /* older */
};

/* Somebody who asked by the control socket, and waits for the answer. */
struct control_client {
    struct watch watch;
    char line[64];
    size_t size;
    enum order order; /* ORDER_NONE until the line is whole */
    bool joined_next; /* a reload that came while another was under way */
    struct control_client *next;
};

enum reload_phase {
    RELOAD_IDLE,
    RELOAD_PROBING,
    RELOAD_STARTING,
    RELOAD_CONFIRMING /* everybody is ready, and is asked whether it still runs */
};

enum master_mode { MASTER_RUNNING, MASTER_QUITTING, MASTER_STOPPING };

struct master {
    const struct serve_options *options;
    pid_t pid;
    struct loop loop;
    struct watch signals; /* signalfd(2) */
    struct board *board;
    struct listeners listeners;
    enum master_mode mode;
    int status; /* the exit status */
    int report; /* see master_run.h */
    struct timer ending;

    struct generation *current; /* NULL until the first one serves */
    struct generation *next;    /* being tried */
    uint64_t last_number;
    enum reload_phase phase;
    bool reload_again;  /* asked for while one was under way */
    bool upgrade_again; /* likewise, an upgrade */
    uint64_t reload_since_ns;
    uint64_t ready_since_ns; /* everybody has given a sign of life */
    struct timer reload_wait;
    uint64_t confirm; /* what heartbeat_ask gave */
    struct timer confirm_late;

    struct worker *workers; /* all processes but the vaults */
    uint32_t last_serial;
    struct slot slots[WORKER_PROCESSES_MAX];
    struct source *sources; /* newest first */
    uint32_t *retired;      /* workers of which the vaults are to close what is left */
    size_t retired_count;
    struct timer handover_again; /* some worker had no room */

    struct timer watchdog;

    struct watch control;
    struct control_client *clients;
    char *control_path;           /* as it was made; NULL: there is none */
    struct place_id control_file; /* removed at the end, if it is still there */
};

/* There is one master in a process; timers and watches find it here. */
extern struct master master;

/* ---- orders.c ---- */

/* Carries an order out, as far as the stage of what is under way allows it. `client` (or NULL) is
 * answered when it is done. */
void master_order(enum order order, struct control_client *client);

/* Begins to end, or ends harder: what was to come next is abandoned, workers are told, listeners
 * are closed. */
void master_end(enum master_mode mode);

/* ---- master.c ---- */

/* Ends the server: the first generation could not be started, say. */
void master_fail(const char *why);

/* The first generation serves: whoever waits for that is told. */
void master_serving(void);

/* Called whenever a process is gone: ends the loop when the server was ending and it was the last.
 */
void master_check_end(void);

/* ---- workers.c ---- */

/* Starts a worker of `generation` in `slot`. False when that failed (logged). */
bool worker_spawn(struct generation *generation, uint32_t slot);

/* Starts a probe of `generation`. NULL with the reason. */
struct worker *probe_spawn(struct generation *generation, struct error *error);

/* Reaps every child that has ended. */
void workers_reap(void);

/* Takes up a worker of the binary that this one replaces; `channel` leads to it. */
void worker_resume(struct worker *worker, int channel);

/* The serving worker of a slot of the current generation, or NULL. */
struct worker *worker_of_slot(uint32_t slot);

/* Lets a worker that is READY accept. */
void worker_serve(struct worker *worker);

/* Tells a worker to leave, quit or stop; it is killed when it has not ended `patience_ms` later. */
void worker_tell_end(struct worker *worker, enum message_type how, uint64_t patience_ms);

/* Kills at once. */
void worker_kill(struct worker *worker);

/* ---- blame.c ---- */

/* Whom the worker's death is put down to. */
void worker_blame(const struct worker *worker, struct blame *blame);

/* It is dead: counts that, says of what, and tells the quarantine. */
void blame_death(const struct worker *worker, int status);

/* ---- relieve.c ---- */

/* A thread of the worker is stuck in work of this method, by its word. */
void relieve_stuck(const struct worker *worker, uint64_t method);

/* Too many are: another worker is started in its slot. */
void relieve_begin(const struct worker *worker);

/* A worker is ready to serve in its slot: who asked to be relieved there leaves. */
void relieve_ready(const struct worker *worker);

/* ---- reload.c ---- */

/* Begins a reload, or the first start. None may be under way. */
void reload_begin(void);

/* The server ends: the next generation, if there is one, is dropped, and those who wait for a
 * reload are answered with `why`. */
void reload_abandon(const char *why);

/* A worker or probe of the next generation said READY. */
void reload_ready(struct worker *worker);

/* Somebody has given a sign of life, or none for a turn: the reload may wait for that. */
void reload_look(void);

/* One of the next generation is gone: the whole generation has failed. `why` says it in words. */
void reload_fail(const char *why);

/* ---- reopen.c ---- */

/* Has every process open its log files anew. Whoever asked for that by the control socket is
 * answered when all have. */
void reopen_begin(void);

/* A worker has; `failures` is "", or says what it could not open. */
void reopen_answered(struct worker *worker, uint64_t serial, const char *failures);

/* Called whenever a worker is gone: it answers no more. */
void reopen_check(void);

/* ---- upgrade.c; resume.c has its other half ---- */

/* Begins to replace the binary: the rehearsal. Answers those who asked when that fails. */
void upgrade_begin(void);

/* True while the new binary rehearses. */
bool upgrade_rehearses(void);

/* The server ends: the rehearsal does too, and those who wait for an upgrade are answered with
 * `why`. */
void upgrade_abandon(const char *why);

/* True when the child `pid` was the rehearsal. */
bool upgrade_reaped(pid_t pid, int status);

/* ---- handover.c ---- */

/* The connections of `worker`, which touches them no more, go to the workers of the current
 * generation: all of them, or all but those that stay for now. Takes its arena when it is all. */
void handover_add(struct worker *worker, bool all);

/* A worker that has let go of all says so again: it has handed over to another vault what nobody
 * has taken over yet. */
void handover_again(const struct worker *worker);

/* True while there is something to be taken over of the worker `serial`. */
bool handover_awaits(uint32_t serial);

/* Gives work to whoever can adopt. */
void handover_advance(void);

/* The slot will have no worker for a while: others take what it was to take. */
void handover_redirect(uint32_t slot);

/* `worker` has taken its part of the source `serial`. */
void handover_done(struct worker *worker, uint64_t serial, uint32_t count);

/* It has taken some of it, and has no room for more: others are to take the rest. */
void handover_full(struct worker *worker, uint64_t serial, uint32_t count);

/* How many connections the worker of a slot will have to take over, as far as is known. */
uint32_t handover_expected(uint32_t slot);

/* Nothing more will be taken over of the worker `serial`: the vault closes what it still had, as
 * soon as no hand-over is under way. */
void handover_retire(uint32_t serial);

/* There is another current generation: who takes what is decided anew. */
void handover_replan(void);

/* ---- quarantine.c ---- */

/* The method with this index on the board has ended its worker. */
void quarantine_count(uint32_t method, bool filter);

/* All methods may run again: there is a new generation. */
void quarantine_clear(void);

/* ---- watchdog.c ---- */

/* Sets the watchdog's pace for the current generation. */
void watchdog_start(void);

/* ---- control.c ---- */

/* Listens at `path`, and no more at a former one. On failure all stays as it was. */
bool control_open(const char *path, struct error *error);

/* Listens anew if the socket's file was removed, or another one is there. */
bool control_keep(struct error *error);

/* Gives its place up, and then tells those who wait for the end: another server may come at once.
 */
void control_close(void);

/* Takes up the control socket of the binary that this one replaces, and its clients: those who wait
 * for the upgrade's outcome (`said` is NULL), and the others with what they have said. */
void control_resume(int fd, const char *path, struct place_id file);
void control_resume_client(int fd, const char *said);

/* Answers everybody who waits for `order` (of those that `joined_next`, only when `all`). */
void control_answer(enum order order, bool all, bool good, const char *text);

#endif
