/* Signs of life, in the master: of the workers that serve and of the vaults. A process that gives
 * none is ended, and then replaced as any that dies.
 *
 * At a steady pace the master asks each by its channel (MESSAGE_BEAT), and its loop answers. What
 * counts is not time but the master's own turns: a machine that was suspended, or a master that did
 * not run itself, has none. And what the kernel says of the process: one that waits for a processor
 * is not silent, whatever the load. See heartbeat_weigh for the rest. */
#ifndef PILLION_MASTER_HEARTBEAT_H
#define PILLION_MASTER_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/child.h"

/* A process that is watched. Starts as `{.known = true}`. */
struct pulse {
    bool known;          /* it answers: processes of older binaries know no MESSAGE_BEAT */
    bool dead;           /* it was found silent, and is being ended */
    bool asked;          /* since the last turn, or before that */
    bool answered;       /* since then */
    uint32_t silence;    /* what has added up; HEARTBEAT_SILENT is too much */
    uint64_t heard;      /* the latest question that it has answered */
    uint64_t cpu_ns;     /* at the last turn */
    uint64_t dispatched; /* likewise, of a worker */
};

#define HEARTBEAT_TURNS  5u  /* that heartbeat_timeout is divided into */
#define HEARTBEAT_FULL   10u /* what a turn weighs in which a process should have answered */
#define HEARTBEAT_SILENT (HEARTBEAT_TURNS * HEARTBEAT_FULL)

/* What a turn of `pace_ns` without an answer adds to the silence of a process that looks so.
 * `busy`: it is where it may be for long, in a handler, which has a watchdog of its own. */
uint32_t heartbeat_weigh(const struct pulse *pulse, const struct child_view *view, bool busy,
                         uint64_t pace_ns);

/* One turn of one process; then it is asked again with `serial`, by `channel`. False when it is to
 * be taken for dead, which is said once. `excused`: its silence may be another one's. */
bool heartbeat_turn(struct pulse *pulse, pid_t pid, int channel, uint64_t serial, bool busy,
                    bool excused);

/* It has answered the question `serial`. */
void heartbeat_heard(struct pulse *pulse, uint64_t serial);

/* Master: begins, or goes on at the pace of the generation that serves; ends. */
void heartbeat_start(void);
void heartbeat_stop(void);

/* Asks every process now, those of the next generation included. What to give to heartbeat_all. */
uint64_t heartbeat_ask(void);

/* Asks a process that has just been started, so that it, too, answers what heartbeat_ask has put.
 */
void heartbeat_greet(int channel);

/* True when all that matter for a reload have answered that question or a later one: the vaults,
 * the workers of the next generation, and those that serve and are not busy. Otherwise `who`, of
 * `size`, names one that has not. */
bool heartbeat_all(uint64_t serial, char *who, size_t size);

#endif
