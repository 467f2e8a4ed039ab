/* What each thread of a worker runs for: noted before a module's code is called, so that a crash or
 * a hang is put down to whatever caused it, wherever it happens, and to nobody else.
 *
 * A handler is noted by dispatch.c, with two stores; everything else a module is called for is
 * noted here. The loop's note is in its row of the board, because the watchdog reads it while the
 * loop hangs; the others are the threads' own, and rpc/culprit.h tells the master of the one that
 * the process dies of. */
#ifndef PILLION_RPC_NOTE_H
#define PILLION_RPC_NOTE_H

#include "rpc/board.h"
#include "rpc/instance.h"
#include "rpc/origin.h"

struct note {
    enum board_duty duty;
    const pillion_instance *instance;
    struct origin origin;
    uint32_t running; /* what the row said */
};

/* The calling thread is the loop's. `row` is this worker's, or NULL outside of workers; what is
 * called on the loop may take `allowed_ns` (0: as long as it likes). */
void notes_init(struct board_row *row, uint64_t allowed_ns);

/* Around a call of module code. The former gives what the latter puts back: calls may nest. */
struct note note_enter(enum board_duty duty, const pillion_instance *self,
                       const struct origin *origin);
void note_leave(const struct note *before);

/* The code that was noted turns out to run for this request. Changes nothing while a handler runs:
 * the time it takes is its method's. */
void note_origin_is(const struct origin *origin);

/* What the calling thread runs for, and for which module: a handler's request, or what was noted.
 * For what it sets up, that will be called later. */
struct origin note_origin(void);
const pillion_instance *note_instance(void);

/* The same in words, for the log: the names of the module, or "?", and of the request's method in
 * it, or "a callback" or "a thread". */
void note_whose(const char **module, const char **method);

/* What was noted; its duty is DUTY_NONE where a handler runs, or nothing. Safe in a signal handler.
 */
const struct note *note_current(void);

#endif
