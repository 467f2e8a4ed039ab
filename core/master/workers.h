/* Worker processes and probes, as the master sees them: their table, their start, their messages
 * and their end. The master's other files are told of these by worker_events, and decide what
 * follows. Master only.
 *
 * Any file may read a worker's members. They are written in workers.c, except those that name
 * another file as their owner. */
#ifndef PILLION_MASTER_WORKERS_H
#define PILLION_MASTER_WORKERS_H

#include <cjson/cJSON.h>

#include "event/loop.h"
#include "master/pulse.h"
#include "process/channel.h"
#include "process/children.h"
#include "process/generation.h"
#include "process/outbox.h"
#include "process/startup.h"

/* Where a worker is in its life. From WORKER_SERVING on it has, or had, connections. */
enum worker_life {
    WORKER_STARTING, /* has not said READY yet */
    WORKER_READY,
    WORKER_DROPPED, /* told to end, and has never served */
    WORKER_SERVING,
    WORKER_LEAVING,  /* told to end, and has let go of no connection yet */
    WORKER_STAYING,  /* has let go of all connections but those that wait for an answer */
    WORKER_RELEASED, /* has let go of all connections */
    WORKER_LOST      /* dead, or as good as dead, before it let go of all */
};

/* Why a worker ends. */
enum worker_cause {
    CAUSE_ITSELF, /* the master has not ended it */
    CAUSE_ORDER,  /* a reload, or an operator's order */
    CAUSE_LATE,   /* it did not start, or end, in time */
    CAUSE_HUNG,   /* a handler ran too long (watchdog.c) */
    CAUSE_SILENT, /* it gave no sign of life (heartbeat.c), or was stopped (watchdog.c) */
    CAUSE_BROKEN  /* it misused its channel, as only a module does */
};

struct worker {
    struct child child;
    struct timer deadline; /* for its start, and for its end once it was told to end */
    uint32_t slot, slots;
    uint32_t serial;
    bool probe;
    bool left_behind; /* the server's end does not wait for its process any more */
    enum worker_life life;
    enum worker_cause cause;
    struct outbox out;
    int arena; /* -1 once the hand-over owns it */
    struct board_row *row;
    struct generation *generation;
    uint64_t started_ns;
    bool offline;    /* it has no need of the network */
    uint32_t unheld; /* number of its connections that no vault has room for */
    struct startup startup;
    struct pulse pulse;                     /* heartbeat.c's */
    uint64_t seen_dispatched, unchanged_ns; /* watchdog.c's */
    uint64_t reopening; /* reopen.c's: the MESSAGE_LOG that it has not answered yet */
    struct {            /* handover.c's */
        uint64_t from;  /* serial of the worker whose connections it is taking over; 0: none */
        bool expecting; /* it keeps room for connections that it is to take over */
        bool full;      /* it has no room to take over more */
    } adoption;
    struct {                                 /* vault_channels.c's */
        uint64_t shown[VAULT_PROCESSES_MAX]; /* by seat: the vault shown to it last; 0: its first */
        bool unreached[VAULT_PROCESSES_MAX]; /* by seat: the vault lacks a channel to it */
        bool single;                         /* its version knows one vault, that of seat 0 */
    } vaults;
    struct worker *next;
};

/* Callbacks about workers; for probes, only `ready`, `failed` and `offered` are called. */
struct worker_events {
    /* The worker's process is about to be started. The callee fills `channels` with the worker's
     * ends of channels to the vaults, by seat; -1 where there is no vault. False when the worker
     * cannot be started. */
    bool (*connecting)(struct worker *worker, int *channels, struct error *error);
    /* The worker is READY, and has not been told to end. */
    void (*ready)(struct worker *worker);
    /* The worker has ended before it served, without being told to; `why` is the reason in
     * words. */
    void (*failed)(struct worker *worker, const char *why);
    /* The worker leaves and has let go of all its connections but `message->number`. */
    void (*released)(struct worker *worker, const struct message *message);
    /* The worker has taken over `count` connections of the worker `serial`: all of its part
     * (`adopted`), or as many as it has room for (`full`). */
    void (*adopted)(struct worker *worker, uint64_t serial, uint32_t count);
    void (*full)(struct worker *worker, uint64_t serial, uint32_t count);
    /* A thread of the worker is stuck in work of this method (`stuck`); the worker asks to be
     * replaced (`crippled`), for the reason `why`, an enum relief. */
    void (*stuck)(const struct worker *worker, uint64_t method);
    void (*crippled)(const struct worker *worker, uint64_t why);
    /* A module of the worker has opened a service. */
    void (*wants)(const struct worker *worker, const char *service);
    /* A probe tells a part of what its server blocks offer (MESSAGE_METHODS). */
    void (*offered)(const struct worker *probe, const struct message *message);
    /* Some worker has given a sign of life. */
    void (*alive)(void);
    /* The worker has opened its files anew; `failures` names those that it could not open. */
    void (*reopened)(struct worker *worker, uint64_t serial, const char *failures);
    /* The worker is dead or about to be, and has not let go of its connections. It touches them no
     * more. */
    void (*lost)(struct worker *worker, bool served_slot);
    /* Follows `lost`: the worker's process is gone, with `status` of waitpid(2). */
    void (*died)(struct worker *worker, int status);
    /* The worker has ended when it was told to, but not with exit status 0. */
    void (*disorderly)(const struct worker *worker, int status);
    /* The server is ending, and waits for some worker no longer: it was killed, and the kernel does
     * not report its end. */
    void (*left_behind)(void);
    /* The worker `serial` is gone, in whatever way. `owing`: no other worker takes over the
     * connections that it still had. */
    void (*gone)(uint32_t serial, bool owing);
};

/* Call this before anything else here. */
void workers_begin(const struct worker_events *events);

/* The first of all workers and probes, or NULL; `next` leads to the others. */
struct worker *workers_first(void);

/* True while the server's end waits for some worker or probe. */
bool workers_awaited(void);

/* Starts a worker of `generation` in `slot`. False when that failed (logged). */
bool worker_spawn(struct generation *generation, uint32_t slot, struct error *error);

/* Starts a probe of `generation`. NULL with the reason. */
struct worker *probe_spawn(struct generation *generation, struct error *error);

/* The serving worker of a slot of the current generation, or NULL. */
struct worker *worker_of_slot(uint32_t slot);

/* Lets a worker that is READY accept connections; it is still to take over `expected` others. */
void worker_serve(struct worker *worker, uint32_t expected);

/* Tells a worker to leave, quit or stop; it is killed when it has not ended `patience_ms` later. */
void worker_tell_end(struct worker *worker, enum message_type how, uint64_t patience_ms);

/* Kills the worker at once. Only the first `cause` is kept, except that an order gives way to any
 * other. */
void worker_kill(struct worker *worker, enum worker_cause cause);

/* The worker has let go of all its connections, or (not `all`) of all but those that wait for an
 * answer. */
void worker_let_go(struct worker *worker, bool all);

/* True when the worker has served, or serves. */
bool worker_has_served(const struct worker *worker);

/* True when the worker may have connections that it has not let go of. */
bool worker_has_clients(const struct worker *worker);

/* True when the worker is ending or has ended, for whatever cause. */
bool worker_is_leaving(const struct worker *worker);

/* ---- Upgrade (workers_upgrade.c) ---- */

/* The workers that have served, as JSON and back, and whether their descriptors stay open over
 * exec. */
void workers_write(cJSON *state);
void workers_read(const cJSON *state);
void workers_keep_open(bool keep);

/* The serial of the worker process that was started last. */
uint32_t workers_last_serial(void);

/* Takes up a worker that the former binary has started; `channel` leads to it. */
void worker_resume(struct worker *worker, pid_t pid, int channel);
void workers_resume_serial(uint32_t last_serial);

/* Kills the workers that have not served yet: the new binary starts its own. */
void workers_drop_unserved(void);

#endif
