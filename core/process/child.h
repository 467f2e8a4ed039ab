/* What every child of the master does first: forget the master. */
#ifndef PILLION_PROCESS_CHILD_H
#define PILLION_PROCESS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the child: signals back to normal, except that what a terminal or a service manager sends to
 * the whole group is left to the master; and every descriptor closed but 0 to 2, the log's, and the
 * `count` ones in `keep` (-1 is skipped). */
void child_begin(const int *keep, size_t count);

/* A process as the kernel sees it, by proc_pid_stat(5). */
struct child_view {
    char state;      /* R S D T t Z X; '?' when it cannot be looked at */
    bool exiting;    /* PF_EXITING */
    uint64_t cpu_ns; /* that it has used */
};
struct child_view child_view(pid_t pid);

/* True when the process has begun to exit: once its end of a channel is closed, it has no memory
 * and runs no code any more (the kernel takes its memory before its descriptors), though closing
 * thousands of them may take it many milliseconds more, before waitpid(2) tells. */
bool child_exiting(pid_t pid);

#endif
