/* The module and request for which each thread of a worker runs: noted before a module's code is
 * called, so that a crash or a hang is put down to the right module and to no other.
 *
 * A handler is noted by rpc/call.h, with two stores; every other call of a module is noted here.
 * The loop's note is in its row of the board, because the watchdog reads it while the loop hangs;
 * the others are the threads' own, and rpc/culprit.h tells the master of the one that the process
 * dies of. */
#ifndef PILLION_RPC_NOTE_H
#define PILLION_RPC_NOTE_H

#include "rpc/board.h"
#include "rpc/forked.h"
#include "rpc/instance.h"
#include "rpc/origin.h"

struct note {
    enum board_duty duty;
    const pillion_instance *instance;
    struct origin origin;
    uint32_t running;  /* of the row, before */
    uint64_t since_ns; /* on the loop, while calls are timed; else 0 */
};

/* The calling thread is the loop's. `row` is this worker's, or NULL outside of workers; a call
 * on the loop may take `allowed_ns` (0: as long as it likes). */
void notes_init(struct board_row *row, uint64_t allowed_ns);

/* From here on calls on the loop are timed, as well as clock_coarse_ns() can, and `told` is told of
 * those that take 1 ms or longer. */
void notes_time(void (*told)(const struct note *note, uint64_t ns));

/* Around a call of module code. note_enter returns the former note, which note_leave restores:
 * calls may nest. */
struct note note_enter(enum board_duty duty, const pillion_instance *self,
                       const struct origin *origin);
void note_leave(const struct note *before);

/* The code that was noted turns out to run for this request. Changes nothing while a handler runs:
 * the time it takes is its method's. */
void note_origin_is(const struct origin *origin);

/* The request and the module for which the calling thread runs: those of the handler, or as noted.
 * A timer or watch that the thread sets up remembers them. */
struct origin note_origin(void);
const pillion_instance *note_instance(void);

/* The same in words, for the log: the names of the module and of the request's method in it. */
struct whose note_whose(void);

/* Logs that the module whose code the calling thread runs has called a function of module.h in a
 * way that does nothing. */
void note_misuse(const char *function, const char *what);

/* The note; its duty is DUTY_NONE where a handler runs, or nothing. Safe in a signal handler.
 */
const struct note *note_current(void);

#endif
