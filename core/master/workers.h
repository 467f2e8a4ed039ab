/* Worker processes and probes, as the master sees them: their table, starting them, what they say
 * and how they end. What follows from that is decided by the files that are told of it
 * (worker_events). Master only.
 *
 * Everything may read a worker; members are written here, and by the owners that are named. */
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

/* Where it is in its life. From WORKER_SERVING on it has, or had, connections. */
enum worker_life {
    WORKER_STARTING, /* until READY */
    WORKER_READY,
    WORKER_DROPPED, /* ends, and has never served */
    WORKER_SERVING,
    WORKER_LEAVING,  /* told to end, and has let go of no connection yet */
    WORKER_STAYING,  /* has let go of all but those that wait for an answer */
    WORKER_RELEASED, /* has let go of all */
    WORKER_LOST      /* dead, or as good as dead, before it had */
};

/* Why it ends. */
enum worker_cause {
    CAUSE_ITSELF, /* nobody in the master has ended it */
    CAUSE_ORDER,  /* a reload, or an operator's order */
    CAUSE_LATE,   /* it did not start, or end, in time */
    CAUSE_HUNG,   /* by the watchdog */
    CAUSE_SILENT, /* it gave no sign of life */
    CAUSE_BROKEN  /* by way of its channel it did what no worker does */
};

struct worker {
    struct child child;
    struct timer deadline; /* for starting, and for ending once told to */
    uint32_t slot, slots;
    uint32_t serial;
    bool probe;
    enum worker_life life;
    enum worker_cause cause;
    struct outbox out;
    int arena; /* -1 once it is all the hand-over's */
    struct board_row *row;
    struct generation *generation;
    uint64_t started_ns;
    uint32_t unheld; /* its connections that no vault has room for */
    struct startup startup;
    struct pulse pulse;                      /* heartbeat.c's */
    uint64_t seen_dispatched, seen_since_ns; /* watchdog.c's */
    uint64_t reopening; /* reopen.c's: which MESSAGE_LOG it has not answered yet; 0: none */
    struct {            /* handover.c's */
        uint64_t from;  /* it takes over connections of that worker; 0: of none */
        bool expecting; /* it keeps room for connections that it is to take over */
        bool full;      /* it has no room to take over more */
    } adoption;
    struct {                                 /* keeper.c's */
        uint64_t shown[VAULT_PROCESSES_MAX]; /* by seat, the vault that it was shown last; 0: it
                                                has known no other than its first */
        bool unreached;                      /* some vault could not take its channel */
    } vaults;
    struct worker *next;
};

/* What is told of workers and probes; of a probe only `ready` and `failed`. */
struct worker_events {
    /* Its process is about to be started: `channels` are to be its ends of channels to the vaults,
     * by seat, which the callee gives; -1 where there is none. False when it cannot be started. */
    bool (*connecting)(struct worker *worker, int *channels, struct error *error);
    /* It is READY, and has not been told to end. */
    void (*ready)(struct worker *worker);
    /* It has ended before it served, though it was not told to; `why` says it in words. */
    void (*failed)(struct worker *worker, const char *why);
    /* It leaves and has let go of connections: all but `message->number`. */
    void (*released)(struct worker *worker, const struct message *message);
    /* It has taken `count` connections over of the worker `serial`: all that it was to take; or as
     * many as it has room for. */
    void (*adopted)(struct worker *worker, uint64_t serial, uint32_t count);
    void (*full)(struct worker *worker, uint64_t serial, uint32_t count);
    /* A thread is stuck in work of this method; so many are that it wants to be replaced. */
    void (*stuck)(const struct worker *worker, uint64_t method);
    void (*crippled)(const struct worker *worker);
    /* It has given a sign of life. */
    void (*alive)(void);
    /* It has opened its files anew, but for `failures`. */
    void (*reopened)(struct worker *worker, uint64_t serial, const char *failures);
    /* It is dead or about to be, and has not let go of its connections: touches them no more. */
    void (*lost)(struct worker *worker, bool served_slot);
    /* Likewise, and its process is gone, with `status` of waitpid(2). */
    void (*died)(struct worker *worker, int status);
    /* It has ended when it was told to, and not with exit status 0. */
    void (*disorderly)(const struct worker *worker, int status);
    /* Worker `serial` is gone, however that came. `owing`: nobody takes over what it still had. */
    void (*gone)(uint32_t serial, bool owing);
};

/* Before anything else here. */
void workers_begin(const struct worker_events *events);

/* The first of all workers and probes, or NULL; `next` leads to the others. */
struct worker *workers_first(void);

/* Starts a worker of `generation` in `slot`. False when that failed (logged). */
bool worker_spawn(struct generation *generation, uint32_t slot);

/* Starts a probe of `generation`. NULL with the reason. */
struct worker *probe_spawn(struct generation *generation, struct error *error);

/* The serving worker of a slot of the current generation, or NULL. */
struct worker *worker_of_slot(uint32_t slot);

/* Lets a worker that is READY accept; `expected` connections are still to be taken over by it. */
void worker_serve(struct worker *worker, uint32_t expected);

/* Tells a worker to leave, quit or stop; it is killed when it has not ended `patience_ms` later. */
void worker_tell_end(struct worker *worker, enum message_type how, uint64_t patience_ms);

/* Kills at once. The first cause is the one that counts. */
void worker_kill(struct worker *worker, enum worker_cause cause);

/* It has let go of all its connections, or of those that need not stay. */
void worker_let_go(struct worker *worker, bool all);

/* It has served, or serves. */
bool worker_has_served(const struct worker *worker);

/* It has connections that it has not let go of. */
bool worker_has_clients(const struct worker *worker);

/* It ends, for whatever cause. */
bool worker_is_leaving(const struct worker *worker);

/* ---- Upgrade (workers_upgrade.c) ---- */

/* Those that have served as JSON and back, and whether their descriptors stay open over exec. */
void workers_write(cJSON *state);
void workers_read(const cJSON *state);
void workers_keep_open(bool keep);

/* The number of the last worker process. */
uint32_t workers_last_serial(void);

/* Takes a worker up that the binary before this one has started; `channel` leads to it. */
void worker_resume(struct worker *worker, pid_t pid, int channel);
void workers_resume_serial(uint32_t last_serial);

/* Ends those that do not serve yet: the new master starts its own. */
void workers_drop_unserved(void);

#endif
