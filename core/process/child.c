/* A child's first steps, and looking at a child by /proc. See child.h. */
#include "process/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "process/signals.h"

#define FLAG_EXITING 0x4u /* PF_EXITING of the kernel's include/linux/sched.h */

/* A handler that does nothing. SIG_IGN would be inherited by programs that a module starts
 * (execve(2)). */
static void leave_to_master(int number)
{
    (void)number;
}

static int compare(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return left < right ? -1 : left > right;
}

/* Does the work of close_range(2), which kernels before 5.9 lack and sandboxes may refuse, by the
 * list in /proc. False when there is no /proc either. */
static bool close_listed(unsigned first, unsigned last)
{
    DIR *list = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (list == NULL)
        return false;
    while ((entry = readdir(list)) != NULL) {
        char *end;
        unsigned long fd = strtoul(entry->d_name, &end, 10);
        if (end != entry->d_name && fd >= first && fd <= last && (int)fd != dirfd(list))
            close((int)fd);
    }
    closedir(list);
    return true;
}

/* Closes all descriptors but those to keep. A child that cannot do that ends, because it would have
 * the master's descriptors. */
static void close_others(const int *keep, size_t count)
{
    int *sorted = must_alloc((count + 2) * sizeof(*sorted));
    size_t kept = 0;

    sorted[kept++] = STDERR_FILENO;
    if (log_descriptor() > STDERR_FILENO)
        sorted[kept++] = log_descriptor();
    for (size_t i = 0; i < count; i++) {
        if (keep[i] > STDERR_FILENO)
            sorted[kept++] = keep[i];
    }
    qsort(sorted, kept, sizeof(*sorted), compare);
    for (size_t i = 0; i < kept; i++) {
        unsigned first = (unsigned)sorted[i] + 1;
        unsigned last = i + 1 < kept ? (unsigned)sorted[i + 1] - 1 : UINT_MAX;
        if (sorted[i] == (i + 1 < kept ? sorted[i + 1] : -1) || first > last)
            continue;
        if (close_range(first, last, 0) < 0 && !close_listed(first, last)) {
            log_error("cannot close the master's descriptors: close_range(2) fails and /proc is "
                      "not there");
            _exit(1);
        }
    }
    free(sorted);
}

/* Gives up the controlling terminal. The kernel stops a background process only for a call on its
 * own controlling terminal (termios(3)): a worker that prints under `stty tostop`, or a module that
 * reads from the terminal. SIG_IGN for these signals would be inherited by programs that a module
 * starts, and a handler ends the call with EINTR, again and again. */
static void leave_terminal(void)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (terminal >= 0) {
        ioctl(terminal, TIOCNOTTY);
        close(terminal);
    }
    if (!isatty(STDIN_FILENO))
        return;
    /* Typed input belongs to the master's terminal, or to the shell. */
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
}

void child_begin(const int *keep, size_t count)
{
    struct sigaction action = {.sa_handler = leave_to_master, .sa_flags = SA_RESTART};
    sigset_t none;

    /* `kill(0, …)` in a module, or in a program that it starts, reaches its own worker. */
    setpgid(0, 0);
    leave_terminal();
    for (const struct signal_row *row = signal_table; row->number != 0; row++)
        sigaction(row->number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The master speaks to the service manager, for all processes (sd_notify(3)). */
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    log_in_child();
    close_others(keep, count);
}

struct child_view child_view(pid_t pid)
{
    struct child_view view = {.state = '?'};
    unsigned long user = 0, system = 0;
    char path[32], line[512];
    unsigned flags = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return view;
    const char *name_end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
    fclose(file);
    /* After the name follow state, ppid, pgrp, session, tty_nr, tpgid, flags, four counts of page
     * faults, utime, stime. */
    if (name_end == NULL || sscanf(name_end, ") %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %lu %lu",
                                   &view.state, &flags, &user, &system) != 4)
        return (struct child_view){.state = '?'};
    view.exiting = (flags & FLAG_EXITING) != 0;
    view.cpu_ns = (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    return view;
}

bool child_exiting(pid_t pid)
{
    return child_view(pid).exiting;
}
