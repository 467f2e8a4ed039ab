/* Worker processes and probes, as the master sees them: their table, starting and reaping them.
 * Master only. */
#ifndef PILLION_MASTER_WORKERS_H
#define PILLION_MASTER_WORKERS_H

#include <sys/types.h>

#include "event/loop.h"
#include "master/pulse.h"
#include "process/channel.h"
#include "process/generation.h"
#include "process/outbox.h"
#include "process/startup.h"

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

#endif
