/* Signs of life of one process. The master asks for them by the channel (MESSAGE_BEAT), and the
 * process's loop answers. heartbeat.h does it for all processes. Master only.
 *
 * The master counts its own rounds, not time: while the machine is suspended, or the master itself
 * does not run, there are no rounds. It also looks at the kernel's view of the process: a process
 * that waits for a processor is not silent, whatever the load. pulse_weigh has the rest. */
#ifndef PILLION_MASTER_PULSE_H
#define PILLION_MASTER_PULSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/child.h"

/* What the master knows of a watched process. Starts as `{.known = true}`. */
struct pulse {
    bool known;        /* its version answers MESSAGE_BEAT, which older binaries do not know */
    bool dead;         /* it was found silent and is being killed */
    bool asked;        /* in the last round or an earlier one */
    bool answered;     /* since the last round */
    uint32_t silence;  /* the sum of pulse_weigh; from PULSE_SILENT on the process is dead */
    uint64_t heard;    /* number of the latest question that it has answered */
    uint64_t question; /* number of the one asked in the last round, at asked_ns */
    uint64_t asked_ns, lag_ns; /* how long its loop took to answer it */
    uint64_t cpu_ns;           /* the process's processor time, at the last round it was weighed */
    uint64_t dispatched;       /* a worker's count of handled requests, at the last round */
};

#define PULSE_ROUNDS 5u  /* rounds in a heartbeat_timeout */
#define PULSE_FULL   10u /* weight of a round without an answer that was due */
#define PULSE_SILENT (PULSE_ROUNDS * PULSE_FULL)

/* Returns the number of a new question. Processes share the numbers. */
uint64_t pulse_question(void);

/* How much a round of `pace_ns` without an answer adds to the silence of a process that the kernel
 * describes as `view`. `busy`: a worker runs a handler, which may take long and has its own
 * watchdog. */
uint32_t pulse_weigh(const struct pulse *pulse, const struct child_view *view, bool busy,
                     uint64_t pace_ns);

/* A round of the master, every `pace_ns`; `question` is the number of the one to ask. */
struct pulse_round {
    uint64_t question, pace_ns;
};

/* Judges one process in a round, and asks it again by `channel`. False, once, when it is to be
 * taken for dead. `excused`: it may be silent only because it waits for another process. */
bool pulse_round(struct pulse *pulse, pid_t pid, int channel, const struct pulse_round *round,
                 bool busy, bool excused);

/* The process has answered the question `serial`. */
void pulse_heard(struct pulse *pulse, uint64_t serial);

/* Asks the latest question of a process that was started after it had been asked. */
void pulse_greet(int channel);

#endif
