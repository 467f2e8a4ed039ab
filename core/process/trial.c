/* A child that reads what a configuration names. See trial.h. */
#include "process/trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/reap.h"

static _Noreturn void read_in_child(trial_reader reader, const void *subject, int channel)
{
    struct message message = {.type = MESSAGE_READY};
    struct error error;
    int64_t found = 0;

    child_begin(&channel, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (reader(subject, &found, &error)) {
        message.number = (uint64_t)found;
        channel_insist(channel, &message, false);
    } else {
        channel_say(channel, MESSAGE_FAILED, error.text);
    }
    _exit(0);
}

/* True when the child has said READY; otherwise with the reason. */
static bool hear(int channel, const char *what, uint64_t limit_ms, int64_t *found,
                 struct error *error)
{
    struct pollfd readable = {.fd = channel, .events = POLLIN};
    uint64_t deadline = clock_ns() + limit_ms * NS_PER_MS, now;
    struct message message;
    int fds[CHANNEL_FDS_MAX], waited = 0;
    uint32_t fd_count;

    while ((now = clock_ns()) < deadline &&
           (waited = poll(&readable, 1, (int)((deadline - now) / NS_PER_MS) + 1)) < 0 &&
           errno == EINTR)
        continue;
    if (waited <= 0)
        return error_set(error, "%s could not be read within %llu ms (load_timeout)", what,
                         (unsigned long long)limit_ms);
    if (channel_receive(channel, &message, fds, &fd_count) != CHANNEL_MESSAGE)
        return error_set(error, "the process that reads %s has died", what);
    if (found != NULL)
        *found = (int64_t)message.number;
    return message.type == MESSAGE_READY || error_set(error, "%s", message.text);
}

bool trial_run(trial_reader reader, const void *subject, const char *what, uint64_t limit_ms,
               int64_t *found, struct error *error)
{
    int pair[2];

    if (!channel_pair(pair, error))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        read_in_child(reader, subject, pair[1]);
    close(pair[1]);
    if (pid < 0)
        error_errno(error, "cannot start a process that reads %s", what);
    bool good = pid > 0 && hear(pair[0], what, limit_ms, found, error);
    close(pair[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        reap_wait(pid);
    }
    return good;
}
