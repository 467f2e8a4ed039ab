/* The first steps of every child of the master: giving up the master's descriptors and signals.
 * Also a view of a child by /proc, for the master, which judges by it whether a child still
 * runs. */
#ifndef PILLION_PROCESS_CHILD_H
#define PILLION_PROCESS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the child: makes it a process group of its own (setpgid(2)), so that what a terminal sends to
 * the server's group, and a module to its own, stays there. Leaves the terminal, which could stop
 * it for what it prints; /dev/null takes the place of a terminal on standard input. Resets signals,
 * except that those which the master acts on are left to it: a service manager may send them to
 * everybody. Closes every descriptor but 0 to 2, the log's, and the `count` ones in `keep` (-1 is
 * skipped). */
void child_begin(const int *keep, size_t count);

/* A process as the kernel sees it, by proc_pid_stat(5). */
struct child_view {
    char state;      /* R S D T t Z X; '?' when it cannot be looked at */
    bool exiting;    /* PF_EXITING */
    uint64_t cpu_ns; /* processor time that it has used */
};
struct child_view child_view(pid_t pid);

/* True when the process has begun to exit. If its end of a channel is closed, too, it has no memory
 * and runs no code any more, because the kernel takes the memory before the descriptors. Closing
 * thousands of descriptors may take many more milliseconds, until waitpid(2) tells. */
bool child_exiting(pid_t pid);

#endif
