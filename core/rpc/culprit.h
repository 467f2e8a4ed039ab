/* Which thread a worker dies of: told to the master in the worker's row of the board.
 *
 * A fatal signal's handler runs on the thread that it struck, on a stack of its own, so that a
 * stack overflow is told of too. A thread that ends the process by exit(3) or _exit(2) is told of
 * as well. The first thread is the culprit. A signal that another process has sent is blamed on no
 * module. Threads that modules make are seen by way of module/threads.c; a module that installs
 * handlers of its own for these signals is asked to call the one before it. */
#ifndef PILLION_RPC_CULPRIT_H
#define PILLION_RPC_CULPRIT_H

#include "rpc/board.h"

/* From here on. Once in each worker, on the loop's thread, after notes_init. */
void culprit_begin(struct board_row *row);

/* False before that. */
bool culprit_has_begun(void);

/* In every other thread of a worker, before it runs a module's code and after that: the signal
 * stack, and a mask that lets the fatal signals through. */
void *culprit_thread_begin(void);
void culprit_thread_end(void *stack);

/* The calling thread ends the process. Safe in a signal handler. */
void culprit_tell(void);

#endif
