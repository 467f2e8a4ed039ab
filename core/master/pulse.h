/* Signs of life of one process, which the master asks for by its channel (MESSAGE_BEAT) and the
 * process's loop answers. Of all processes together: heartbeat.h. Master only.
 *
 * What counts is not time but the master's own turns: a machine that was suspended, or a master
 * that did not run itself, has none. And what the kernel says of the process: one that waits for a
 * processor is not silent, whatever the load. See pulse_weigh for the rest. */
#ifndef PILLION_MASTER_PULSE_H
#define PILLION_MASTER_PULSE_H

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
    uint32_t silence;    /* what has added up; PULSE_SILENT is too much */
    uint64_t heard;      /* the latest question that it has answered */
    uint64_t cpu_ns;     /* at the last turn */
    uint64_t dispatched; /* likewise, of a worker */
};

#define PULSE_TURNS  5u  /* that heartbeat_timeout is divided into */
#define PULSE_FULL   10u /* what a turn weighs in which a process should have answered */
#define PULSE_SILENT (PULSE_TURNS * PULSE_FULL)

/* The number of a new question, to whichever process. */
uint64_t pulse_question(void);

/* What a turn of `pace_ns` without an answer adds to the silence of a process that looks so.
 * `busy`: it is where it may be for long, in a handler, which has a watchdog of its own. */
uint32_t pulse_weigh(const struct pulse *pulse, const struct child_view *view, bool busy,
                     uint64_t pace_ns);

/* A turn of the master, which come every `pace_ns`: of those, `question` is the latest. */
struct pulse_turn {
    uint64_t question, pace_ns;
};

/* One turn of one process; then it is asked again by `channel`. False when it is to be taken for
 * dead, which is said once. `excused`: its silence may be another process's. */
bool pulse_turn(struct pulse *pulse, pid_t pid, int channel, const struct pulse_turn *turn,
                bool busy, bool excused);

/* It has answered the question `serial`. */
void pulse_heard(struct pulse *pulse, uint64_t serial);

/* Asks a process that has just been started the latest question, which it has not heard. */
void pulse_greet(int channel);

#endif
