/* Trying a configuration's certificates in a child. See gate.h.
 *
 * OpenSSL reads them, so the master does not: it never has a key in its memory. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "gate/gate.h"
#include "gate/gate_ports.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/reap.h"

static _Noreturn void try_in_child(const struct generation *generation, int channel)
{
    struct message message = {.type = MESSAGE_READY};
    struct error error;
    int64_t expires;

    child_begin(&channel, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (gate_ports_try(&generation->hearing, &expires, &error)) {
        message.number = (uint64_t)expires;
        channel_insist(channel, &message, false);
    } else {
        channel_say(channel, MESSAGE_FAILED, error.text);
    }
    _exit(0);
}

/* True when the child has said READY; otherwise with the reason. */
static bool hear(int channel, uint64_t limit_ms, int64_t *expires, struct error *error)
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
        return error_set(error, "the certificates could not be read within %llu ms (load_timeout)",
                         (unsigned long long)limit_ms);
    if (channel_receive(channel, &message, fds, &fd_count) != CHANNEL_MESSAGE)
        return error_set(error, "the process that reads the certificates has died");
    *expires = (int64_t)message.number;
    return message.type == MESSAGE_READY || error_set(error, "%s", message.text);
}

static bool has_ssl(const struct generation *generation)
{
    bool found = false;

    for (size_t i = 0; i < generation->hearing.count; i++)
        found = found || generation->hearing.items[i].listen->ssl;
    return found;
}

static bool try_and_wait(struct generation *generation, struct error *error)
{
    int pair[2];

    if (!channel_pair(pair, error))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        try_in_child(generation, pair[1]);
    close(pair[1]);
    if (pid < 0)
        error_errno(error, "cannot start a process that reads the certificates");
    bool good = pid > 0 && hear(pair[0], generation->settings->load_timeout_ms,
                                &generation->certificate_expires, error);
    close(pair[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        reap_wait(pid);
    }
    return good;
}

bool gate_try(struct generation *generation, struct conf_errors *errors)
{
    struct error error;

    if (!has_ssl(generation) || try_and_wait(generation, &error))
        return true;
    conf_error(errors, NULL, "%s", error.text);
    return false;
}
