/* Waiting for children's ends. See reap.h. */
#include "process/reap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"

/* SIGKILL ends a process even in a stop of ptrace(2). `pid` may be a thread that has asked to be
 * traced: kill(2) means its process. */
static void end_stopped(pid_t pid, int status)
{
    const char *name = sigabbrev_np(WSTOPSIG(status) & 0x7f);

    log_error(
        "process or thread %d has stopped (SIG%s), traced by its parent, as it asked for with "
        "PTRACE_TRACEME (ptrace(2)), which only a module does; its process is killed",
        (int)pid, name == NULL ? "?" : name);
    kill(pid, SIGKILL);
}

static pid_t reap(pid_t pid, int *status, int options)
{
    for (;;) {
        pid_t found = waitpid(pid, status, options);
        if (found > 0 && WIFSTOPPED(*status))
            end_stopped(found, *status);
        else if (found >= 0 || errno != EINTR)
            return found;
    }
}

pid_t reap_ended(pid_t pid, int *status)
{
    return reap(pid, status, WNOHANG);
}

int reap_wait(pid_t pid)
{
    int status = 0;

    reap(pid, &status, 0);
    return status;
}
