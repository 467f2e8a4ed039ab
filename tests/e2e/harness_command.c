/* Running commands, and checking their outcome. See harness.h. */
#include "harness_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads the bytes that are there. False at the end. */
static bool drain(int fd, struct buffer *to)
{
    char piece[4096];
    ssize_t size = read(fd, piece, sizeof(piece));

    if (size > 0)
        buffer_add(to, piece, (size_t)size);
    return size > 0 || (size < 0 && errno == EINTR);
}

static int decode(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct run run_command(const char *const argv[], const char *input, int64_t ms)
{
    struct buffer texts[2] = {{0}, {0}};
    int64_t deadline = deadline_in(ms);
    int pipes[2][2], open_count = 2, status;
    FILE *in = input == NULL ? NULL : tmpfile();

    if (in != NULL) {
        fputs(input, in);
        rewind(in);
    }
    for (int i = 0; i < 2; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            fail_test("cannot create a pipe: %s", strerror(errno));
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        fail_test("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (in == NULL)
            open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
        else
            dup2(fileno(in), STDIN_FILENO);
        dup2(pipes[0][1], STDOUT_FILENO);
        dup2(pipes[1][1], STDERR_FILENO);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    struct pollfd pollers[2] = {{.fd = pipes[0][0], .events = POLLIN},
                                {.fd = pipes[1][0], .events = POLLIN}};
    close(pipes[0][1]);
    close(pipes[1][1]);
    while (open_count > 0) {
        int64_t left = deadline - now_ms();
        if (left <= 0 || poll(pollers, 2, (int)left) == 0) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_test("%s %s did not end within %lld ms; it printed:\n%.*s%.*s", argv[0],
                      argv[1] == NULL ? "" : argv[1], (long long)ms, (int)texts[0].size,
                      texts[0].data, (int)texts[1].size, texts[1].data);
        }
        for (int i = 0; i < 2; i++) {
            if (pollers[i].revents == 0 || drain(pollers[i].fd, &texts[i]))
                continue;
            close(pollers[i].fd);
            pollers[i].fd = -1;
            open_count--;
        }
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (in != NULL)
        fclose(in);
    buffer_add(&texts[0], "", 1);
    buffer_add(&texts[1], "", 1);
    return (struct run){decode(status), keep(texts[0].data), keep(texts[1].data)};
}

pid_t daemon_start(const char *const argv[], const char *log)
{
    const char *path = log == NULL ? "/dev/null" : log;
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (out < 0)
        fail_test("cannot open %s: %s", path, strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        fail_test("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_DFL);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out);
    return pid;
}

void daemon_end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

const char *binary_alone(const struct server *server, const char *plugin)
{
    const char *alone = server_path(server, "alone/pillion");

    if (access(keep_printf("/usr/local/lib/pillion/%s", plugin), F_OK) == 0)
        return NULL;
    mkdir(server_path(server, "alone"), 0755);
    file_copy(pillion_binary(), alone);
    return alone;
}

bool terminals_exist(void)
{
    int terminal, other;

    if (openpty(&terminal, &other, NULL, NULL, NULL) < 0) {
        fprintf(stderr, "left out: there are no pseudoterminals here: %s\n", strerror(errno));
        return false;
    }
    close(terminal);
    close(other);
    return true;
}

bool command_exists(const char *name)
{
    struct run run = run_command(
        (const char *const[]){"/bin/sh", "-c", "command -v \"$0\"", name, NULL}, NULL, PATIENCE_MS);
    const char *path = getenv("SKIPPED"); /* tests.mk */
    FILE *skipped = run.status == 0 || path == NULL ? NULL : fopen(path, "a");

    if (run.status != 0)
        fprintf(stderr, "left out: there is no %s here\n", name);
    if (skipped != NULL) {
        fprintf(skipped, "what needs %s\n", name);
        fclose(skipped);
    }
    return run.status == 0;
}

struct run server_ask(const struct server *server, const char *verb)
{
    return pillion("-s", verb, "-p", server->prefix);
}

struct run server_order(const struct server *server, const char *verb)
{
    struct run run = server_ask(server, verb);

    expect_status(&run, 0);
    return run;
}

void server_reload(const struct server *server)
{
    expect_part(server_order(server, "reload").out, "serves");
}

void server_reload_refused(const struct server *server, const char *words)
{
    struct run run = server_ask(server, "reload");

    if (run.status != 1)
        fail_test("a reload that \"%s\" should refuse has status %d:\n%s%s", words, run.status,
                  run.out, run.err);
    expect_part(run.err, words);
}

void expect_status(const struct run *run, int status)
{
    if (run->status != status)
        fail_test("exit status %d, not %d; standard output:\n%s\nstandard error:\n%s", run->status,
                  status, run->out, run->err);
}

void expect_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_test("there is no \"%s\" in:\n%.3000s", part, text);
}

void expect_text(const char *text, const char *whole)
{
    if (strcmp(text, whole) != 0)
        fail_test("this was printed:\n%s\nand not\n%s", text, whole);
}
