/* The process that rehearses an upgrade. See rehearsal.h. */
#include "master/rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/binary.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/state.h"
#include "process/child.h"
#include "process/children.h"

#define MARGIN_MS 10000u /* time for steps without a limit of their own, as copying modules */
#define TEXT_MAX  4096u

static struct {
    struct child child; /* its pid is 0 when no rehearsal is under way */
    struct watch output;
    struct timer limit;
    uint64_t limit_ms;
    bool late;
    char text[TEXT_MAX];
    size_t size;
    void (*done)(const struct rehearsal_outcome *outcome);
} rehearsal;

static void ended(struct child *child, int status);

/* It was killed, and the kernel does not report its end, as while another process traces it. */
static void unreaped(struct timer *timer)
{
    (void)timer;
    log_error("the rehearsal (pid %d) was killed, and %d s later the kernel has not reported its "
              "end, as while another process traces it (ptrace(2)): it is left behind",
              (int)rehearsal.child.pid, UNREAPED_MS / 1000);
    child_forget(&rehearsal.child);
    ended(&rehearsal.child, SIGKILL);
}

static void late(struct timer *timer)
{
    rehearsal.late = true;
    kill(rehearsal.child.pid, SIGKILL);
    timer_set(&master.loop, timer, UNREAPED_MS * NS_PER_MS, unreaped);
}

/* How long the rehearsal may take, by the configuration in use: the master does not know the new
 * one. */
static uint64_t limit_ms(void)
{
    const struct settings *settings = generation_current()->settings;

    return settings->lookup_timeout_ms + settings->load_timeout_ms + MARGIN_MS;
}

static void output_ready(struct watch *watch, uint32_t events)
{
    struct error error;

    (void)events;
    ssize_t got = read(watch->fd, rehearsal.text + rehearsal.size,
                       sizeof(rehearsal.text) - 1 - rehearsal.size);
    if (got > 0) {
        rehearsal.size += (size_t)got;
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) { /* the error stands in for the output */
        error_errno(&error, "cannot read the rehearsal's output");
        rehearsal.size =
            (size_t)snprintf(rehearsal.text, sizeof(rehearsal.text), "%s\n", error.text);
    }
    loop_unwatch(&master.loop, watch);
}

/* Skips `line` at the beginning of `text`. False when `text` begins with another line. */
static bool skip_line(const char **text, const char *line)
{
    size_t size = strlen(line);

    if (strncmp(*text, line, size) != 0 || (*text)[size] != '\n')
        return false;
    *text += size + 1;
    return true;
}

static void ended(struct child *child, int status)
{
    struct rehearsal_outcome outcome = {
        .status = status,
        .late_ms = rehearsal.late ? rehearsal.limit_ms : 0,
        .said = rehearsal.text,
    };

    child->pid = 0;
    timer_cancel(&master.loop, &rehearsal.limit);
    while (rehearsal.size < sizeof(rehearsal.text) - 1) {
        size_t before = rehearsal.size;
        output_ready(&rehearsal.output, 0);
        if (rehearsal.size == before)
            break;
    }
    loop_unwatch(&master.loop, &rehearsal.output);
    close(rehearsal.output.fd);
    rehearsal.text[rehearsal.size] = '\0';
    outcome.known = skip_line(&outcome.said, REHEARSAL_BEGINS);
    outcome.knows_vaults = outcome.known && skip_line(&outcome.said, REHEARSAL_KNOWS_VAULTS);
    rehearsal.done(&outcome);
}

/* In the child: executes the new binary with the server's own arguments. */
static _Noreturn void rehearse(int output, int state)
{
    child_begin((const int[]){output, state, binary_descriptor()}, 3);
    struct error error;

    binary_keep_open(true);
    if (dup2(output, STDERR_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0) {
        error_errno(&error, "cannot connect the rehearsal with the master");
    } else if (state_give(state, true, &error)) {
        fexecve(binary_descriptor(), master.options->argv, environ);
        error_errno(&error, "cannot execute %s", binary_path());
    }
    dprintf(output, "%s\n", error.text);
    _exit(1);
}

bool rehearsal_begin(int state, void (*done)(const struct rehearsal_outcome *outcome),
                     struct error *error)
{
    static const struct child_events events = {.ended = ended};
    int output[2];

    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(error, "cannot create a pipe for the rehearsal");
    pid_t pid = fork();
    if (pid == 0)
        rehearse(output[1], state);
    if (pid < 0)
        error_errno(error, "cannot start a process for the rehearsal");
    close(output[1]);
    if (pid < 0) {
        close(output[0]);
        return false;
    }
    rehearsal.size = 0;
    rehearsal.done = done;
    child_follow(&rehearsal.child, pid, &events);
    /* One that cannot be watched is read at the end. */
    if (!loop_watch(&master.loop, &rehearsal.output, output[0], EPOLLIN, output_ready))
        rehearsal.output.fd = output[0];
    rehearsal.late = false;
    rehearsal.limit_ms = limit_ms();
    timer_set(&master.loop, &rehearsal.limit, rehearsal.limit_ms * NS_PER_MS, late);
    return true;
}

bool rehearsal_is_under_way(void)
{
    return rehearsal.child.pid != 0;
}

void rehearsal_end(void)
{
    if (rehearsal.child.pid != 0)
        kill(rehearsal.child.pid, SIGKILL);
}
