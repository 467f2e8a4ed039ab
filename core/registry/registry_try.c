/* Trying a configuration's registry in a child. See registry.h.
 *
 * The child reads the password and the keys, so the master does not. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/reap.h"
#include "registry/etcd.h"
#include "registry/login.h"
#include "registry/plugin.h"
#include "registry/registry.h"

static bool try_all(const struct registry_settings *settings, struct error *error)
{
    static struct login login;
    static struct loop loop;
    const struct registry_plugin *plugin = registry_plugin_load(error);
    const struct etcd_events none = {0};

    if (plugin == NULL || !login_read(settings, &login, error) || !loop_init(&loop, error))
        return false;
    return etcd_open(&loop, plugin->http, &login.etcd, &none, NULL, error) != NULL;
}

static _Noreturn void try_in_child(const struct registry_settings *settings, int channel)
{
    struct error error;

    child_begin(&channel, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (try_all(settings, &error))
        channel_say(channel, MESSAGE_READY, "");
    else
        channel_say(channel, MESSAGE_FAILED, error.text);
    _exit(0);
}

/* True when the child has said READY; otherwise with the reason. */
static bool hear(int channel, uint64_t limit_ms, struct error *error)
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
        return error_set(error,
                         "the registry's files could not be read within %llu ms "
                         "(load_timeout)",
                         (unsigned long long)limit_ms);
    if (channel_receive(channel, &message, fds, &fd_count) != CHANNEL_MESSAGE)
        return error_set(error, "the process that reads the registry's files has died");
    return message.type == MESSAGE_READY || error_set(error, "%s", message.text);
}

static bool try_and_wait(const struct settings *settings, struct error *error)
{
    int pair[2];

    if (!channel_pair(pair, error))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        try_in_child(settings->registry, pair[1]);
    close(pair[1]);
    if (pid < 0)
        error_errno(error, "cannot start a process that reads the registry's files");
    bool good = pid > 0 && hear(pair[0], settings->load_timeout_ms, error);
    close(pair[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        reap_wait(pid);
    }
    return good;
}

bool registry_try(const struct generation *generation, struct conf_errors *errors)
{
    const struct settings *settings = generation->settings;
    struct error error;

    if (settings->registry == NULL || try_and_wait(settings, &error))
        return true;
    conf_error(errors, &settings->registry->place, "%s", error.text);
    return false;
}
