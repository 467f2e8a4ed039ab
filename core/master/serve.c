/* Starting a server, in the foreground or behind it, and testing a configuration. See serve.h. */
#include "master/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_file.h"
#include "base/printable.h"
#include "base/sink.h"
#include "conf/settings_table.h"
#include "gate/gate.h"
#include "master/binary.h"
#include "master/inherit.h"
#include "master/master_run.h"
#include "master/rehearsal.h"
#include "master/starter.h"
#include "master/state.h"
#include "net/passed.h"
#include "process/channel.h"
#include "process/generation.h"
#include "process/preflight.h"
#include "process/reap.h"
#include "process/signals.h"
#include "process/startup.h"
#include "process/title.h"
#include "process/zones.h"
#include "registry/registry.h"
#include "worker/probe.h"

/* ---- -t ---- */

/* Reads the probe's messages until it is READY, fails or ends, or until `deadline`, which sets
 * `late`. True when it was READY. */
static bool probe_listen(int channel, uint64_t deadline, struct startup *startup, bool *late)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    for (;;) {
        uint64_t now = clock_ns();
        struct pollfd readable = {.fd = channel, .events = POLLIN};
        *late = now >= deadline || poll(&readable, 1, (int)((deadline - now) / NS_PER_MS) + 1) == 0;
        if (*late)
            return false;
        enum channel_status status = channel_receive(channel, &message, fds, &fd_count);
        if (status == CHANNEL_EMPTY)
            continue;
        if (status == CHANNEL_CLOSED)
            return false;
        if (message.type == MESSAGE_READY)
            return true;
        startup_note(startup, &message);
        if (startup->failed)
            return false;
    }
}

/* Waits for the probe that was forked, and prints what is wrong. */
static bool probe_follow(pid_t pid, int channel, uint64_t limit_ms)
{
    struct startup startup = {0};
    char text[CHANNEL_TEXT_MAX + 512];
    bool late;

    bool good = probe_listen(channel, clock_ns() + limit_ms * NS_PER_MS, &startup, &late);
    if (!good)
        kill(pid, SIGKILL);
    close(channel);
    int status = reap_wait(pid);
    if (!good) {
        startup_describe(&startup, "the probe", status, late, limit_ms, text, sizeof(text));
        printable_print(stderr, bytes_of(text));
    }
    return good;
}

/* Runs a probe and waits for it. */
static bool probe_run(struct generation *generation)
{
    struct error error;
    int pair[2];

    /* The probe's messages go to the terminal, wherever the configuration has the log. */
    generation->settings->log = (struct log_target){"stderr", LOG_WARN_LEVEL, LOG_FORMAT_TEXT};
    if (!channel_pair(pair, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return false;
    }
    struct worker_start start = {
        .generation = generation,
        .channel = pair[1],
        .master = getpid(),
        .rehearses = true,
    };
    pid_t pid = fork();
    if (pid == 0)
        probe_main(&start);
    close(pair[1]);
    if (pid < 0) {
        fprintf(stderr, "cannot start the probe: %s\n", strerror(errno));
        close(pair[0]);
        return false;
    }
    return probe_follow(pid, pair[0], generation->settings->load_timeout_ms);
}

int serve_test(const struct serve_options *options, bool quiet)
{
    struct conf_errors errors = {0};

    signals_by_errno();
    zones_rehearse();
    struct generation *generation =
        generation_build(options, 1, &(struct generation_basis){0}, &errors);

    bool good =
        generation != NULL && preflight_files(generation->tree, generation->settings, &errors) &&
        gate_try(generation, &errors) && registry_try(generation, &errors) && probe_run(generation);
    printable_print(stderr, bytes_of(text_string(&errors.text)));
    if (!good)
        fprintf(stderr, "configuration file %s is not good\n", options->conf);
    else if (!quiet)
        fprintf(stderr, "configuration file %s is good\n", options->conf);
    if (good && generation->advice.size > 0)
        fprintf(stderr, "but beware:\n%s", text_string(&generation->advice));
    if (generation != NULL)
        generation_release(generation);
    conf_errors_free(&errors);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Serving ---- */

/* The process that the operator has started waits until the daemon serves, so that its exit status
 * tells whether it does. */
static int wait_for_daemon(int report)
{
    char text[CHANNEL_TEXT_MAX];
    size_t size = 0;
    ssize_t got;

    while (size < sizeof(text) && (got = read(report, text + size, sizeof(text) - size)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    if (size == 1 && text[0] == STARTER_SERVING)
        return EXIT_SUCCESS;
    printable_print(stderr, size == 0 ? BYTES("the server ended before it served\n")
                                      : (struct bytes){text, size});
    return EXIT_FAILURE;
}

/* Closes descriptors that the starter has left open, of a lock, say. The server's own ones are all
 * close-on-exec; inherited ones are not. */
static void close_inherited(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name);
        int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : -1;
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            close(fd);
    }
    if (folder != NULL)
        closedir(folder);
}

/* Leaves the terminal. Standard error stays when the log goes there. */
static void leave_terminal(const struct settings *settings)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (strcmp(settings->log.path, "stderr") != 0)
        dup2(null, STDERR_FILENO);
    close(null);
}

static int serve_behind(const struct serve_options *options, const struct settings *settings)
{
    int report[2];

    if (pipe2(report, O_CLOEXEC) < 0) {
        fprintf(stderr, "cannot create a pipe: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "cannot start a process: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    if (pid > 0) {
        close(report[1]);
        signals_unblock();
        return wait_for_daemon(report[0]);
    }
    close(report[0]);
    close_inherited();
    leave_terminal(settings);
    return master_run(options, settings, report[1], -1);
}

/* `pillion` as a rehearsal for an upgrade: checks whether this binary could take over. */
static int serve_rehearsal(const struct serve_options *options, int state)
{
    struct error error;
    cJSON *said = state_read(state, &error);

    if (said == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    cJSON_Delete(said);
    fputs(REHEARSAL_BEGINS "\n" REHEARSAL_KNOWS_VAULTS "\n", stderr);
    return serve_test(options, true);
}

/* `pillion` after an upgrade, in place of the former binary: no file on disk can keep it from going
 * on. */
static int serve_on(const struct serve_options *options, int state)
{
    struct settings *settings;
    struct error error;
    cJSON *said = state_read(state, &error);

    struct conf_tree *tree = inherit_configuration(said, options, &settings);
    cJSON_Delete(said);
    title_init(options->argc, options->argv);
    int status = master_run(options, settings, -1, state);
    conf_tree_free(tree);
    return status;
}

int serve(const struct serve_options *options)
{
    struct conf_errors errors = {0};
    bool rehearsing = false;
    int state = -1;

    struct settings *settings;
    struct identity identity;
    struct error error;

    binary_init();
    if (!signals_begin(&error)) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    if (state_is_given(&state, &rehearsing))
        return rehearsing ? serve_rehearsal(options, state) : serve_on(options, state);

    if (!passed_take(&error)) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    struct conf_tree *tree = generation_configure(options, &settings, &errors);
    bool good = tree != NULL && preflight_writers(tree, settings, &errors) &&
                preflight_files(tree, settings, &errors);
    if (good) {
        sink_own(STDOUT_FILENO);
        sink_own(STDERR_FILENO);
        if (identity_resolve(settings, &identity, &error))
            log_file_distrust(identity.user);
    }
    if (good && !log_open(&settings->log, &error)) {
        const struct conf_place place = settings_place(tree, "error_log");
        conf_error(&errors, &place, "%s", error.text);
        good = false;
    }
    printable_print(stderr, bytes_of(text_string(&errors.text)));
    conf_errors_free(&errors);
    if (!good) {
        conf_tree_free(tree);
        return EXIT_FAILURE;
    }
    title_init(options->argc, options->argv);
    int status =
        settings->daemon ? serve_behind(options, settings) : master_run(options, settings, -1, -1);
    conf_tree_free(tree);
    return status;
}
