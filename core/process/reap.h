/* Waiting for children's ends: the only file that calls waitpid(2).
 *
 * A stop is no end. A child that has made this process its tracer (PTRACE_TRACEME, ptrace(2)), as
 * any code of a module can, stops at its next signal, and waitpid(2) reports that as well; nothing
 * here would ever let the child go on. */
#ifndef PILLION_PROCESS_REAP_H
#define PILLION_PROCESS_REAP_H

#include <sys/types.h>

/* Reaps the child `pid` (-1: any) if it has ended; 0 if it has not. `status` is waitpid(2)'s. -1:
 * there is no such child. Kills, and logs, each child that has stopped. */
pid_t reap_ended(pid_t pid, int *status);

/* Waits until the child `pid` has ended, and reaps it. Returns its status. */
int reap_wait(pid_t pid);

#endif
