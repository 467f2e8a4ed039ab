/* `pillion dev [DIR]`: a server for the module that is being written in DIR.
 *
 * Its children are that server, and one job at a time: make, or the order to reload. A change of
 * the sources starts make; a change of make's products or of the configuration starts a reload. If
 * either fails, the server goes on with the code that it has. When this process ends, all its
 * children end. */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cmd/changes.h"
#include "cmd/commands.h"
#include "cmd/signal.h"
#include "process/reap.h"

#define QUIET_NS   (80 * NS_PER_MS) /* changes come in bursts: this long after the last, */
#define PATIENT_NS NS_PER_S         /* and at most this long after the first */
#define END_NS     (10 * NS_PER_S)  /* time for the server to end */
#define START_NS   (10 * NS_PER_S)  /* time for it to be reachable */
#define TOLD_MAX   64u              /* most changed files that make is told of */

/* Whose make runs in a directory trusts those who may write there. */
#define OWN_DIRECTIVES "daemon off; strict_modes off;"

static const struct option_row options[] = {
    {'c', "conf", "FILE", "the configuration, below DIR; by default the only *.conf there"},
    {0, NULL, NULL, NULL},
};

struct dev {
    const struct command *command;
    struct serve_options serve;
    char directory[PATH_MAX]; /* absolute; also the server's prefix */
    char conf[PATH_MAX];

    int signals, changes;
    sigset_t inherited; /* the signal mask before */

    pid_t server; /* 0: none */
    pid_t job;    /* 0: none */
    void (*job_ended)(struct dev *dev, bool good);

    struct changes_prints used;         /* sources that make saw, products that the server saw */
    uint64_t first_change, last_change; /* clock_ns; 0: nothing has changed */
    /* When the last make, and failed ones before it, ran, by the files' clock. */
    struct timespec make_from, make_to;
    bool made;       /* the last make has not failed */
    uint64_t end_by; /* 0: it goes on */
    int status;
};

/* ---- messages ---- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("pillion dev: ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    fflush(stdout);
}

/* ---- children ---- */

/* Forks. Returns 0 in the child, which dies with this process; -1 with a message. */
static pid_t spawn(struct dev *dev)
{
    pid_t parent = getpid();

    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        command_failed_errno(dev->command, -1, "cannot fork");
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    sigprocmask(SIG_SETMASK, &dev->inherited, NULL);
    close(dev->changes);
    close(dev->signals);
    return 0;
}

static void start_server(struct dev *dev)
{
    const char *argv[] = {"pillion", "-p", dev->directory, "-c",
                          dev->conf, "-g", OWN_DIRECTIVES, NULL};

    say("serving %s/%s", dev->directory, dev->conf);
    pid_t pid = spawn(dev);
    if (pid == 0) {
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
        _exit(command_failed_errno(dev->command, 127, "cannot run the server"));
    }
    dev->server = pid > 0 ? pid : 0;
}

static void make_ended(struct dev *dev, bool good);
static void reload_ended(struct dev *dev, bool good);

/* Runs in a process of its own. A source that changed while the previous make ran may have been
 * read before the change, yet is older than the file made from it: make must be told that it
 * changed. */
static void run_make(const struct dev *dev)
{
    char *changed[TOLD_MAX];
    char *argv[2 * TOLD_MAX + 2] = {"make"};
    size_t count = changes_list(dev->directory, &dev->make_from, &dev->make_to, changed, TOLD_MAX);

    for (size_t i = 0; i < count; i++) {
        argv[2 * i + 1] = "-W";
        argv[2 * i + 2] = changed[i];
    }
    /* These come from a make that started `pillion dev` itself, and must not reach the make that is
     * run here. */
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    unsetenv("MFLAGS");
    if (chdir(dev->directory) == 0)
        execvp("make", argv);
    _exit(command_failed_errno(dev->command, 127, "cannot run make"));
}

static void start_make(struct dev *dev)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    dev->used.sources = changes_look(dev->directory).sources;
    say("make");
    pid_t pid = spawn(dev);
    if (pid == 0)
        run_make(dev);
    if (dev->made || dev->make_from.tv_sec == 0)
        dev->make_from = now;
    dev->job = pid > 0 ? pid : 0;
    dev->job_ended = make_ended;
}

/* The server may have been started a moment ago. */
static int reload(const struct dev *dev)
{
    uint64_t deadline = clock_ns() + START_NS;

    while (!signal_reaches(dev->command, &dev->serve) && clock_ns() < deadline &&
           kill(dev->server, 0) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    return signal_send(dev->command, &dev->serve, "reload", true);
}

static void start_reload(struct dev *dev)
{
    pid_t pid = spawn(dev);

    if (pid == 0)
        exit(reload(dev));
    dev->job = pid > 0 ? pid : 0;
    dev->job_ended = reload_ended;
}

/* Asks the server to reload. */
static void use_products(struct dev *dev)
{
    dev->used.products = changes_look(dev->directory).products;
    if (dev->server == 0)
        start_server(dev);
    else
        start_reload(dev);
}

static void make_ended(struct dev *dev, bool good)
{
    clock_gettime(CLOCK_REALTIME, &dev->make_to);
    dev->made = good;
    if (!good && dev->server == 0)
        say("make has failed; the server starts when it succeeds");
    else if (!good)
        say("make has failed; the code from before keeps serving");
    else if (dev->server == 0 || changes_look(dev->directory).products != dev->used.products)
        use_products(dev);
    else
        say("every *.so is byte for byte as before; nothing is reloaded");
}

static void reload_ended(struct dev *dev, bool good)
{
    (void)dev;
    say(good ? "reloaded" : "not put to use; the code from before keeps serving");
}

static void server_ended(struct dev *dev, int status)
{
    dev->server = 0;
    if (dev->end_by != 0)
        return;
    if (WIFSIGNALED(status))
        say("the server was ended by signal %d; it starts again after the next change",
            WTERMSIG(status));
    else
        say("the server has ended, with status %d; it starts again after the next change",
            WEXITSTATUS(status));
}

static void reap(struct dev *dev)
{
    int status;
    pid_t pid;

    while ((pid = reap_ended(-1, &status)) > 0) {
        if (pid == dev->server)
            server_ended(dev, status);
        if (pid != dev->job)
            continue;
        dev->job = 0;
        if (dev->end_by == 0)
            dev->job_ended(dev, WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* ---- the loop ---- */

static void end_all(struct dev *dev)
{
    if (dev->end_by == 0)
        dev->end_by = clock_ns() + END_NS;
    if (dev->server != 0)
        kill(dev->server, SIGTERM);
    if (dev->job != 0)
        kill(dev->job, SIGTERM);
}

static void take_signals(struct dev *dev)
{
    struct signalfd_siginfo info;

    while (read(dev->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(dev);
        else
            end_all(dev);
    }
}

static void take_changes(struct dev *dev)
{
    dev->last_change = clock_ns();
    if (dev->first_change == 0)
        dev->first_change = dev->last_change;
    if (changes_take(dev->changes))
        return;
    say("%s is gone", dev->directory);
    dev->status = EXIT_FAILURE;
    end_all(dev);
}

/* When to act on the changes that were noticed: clock_ns(). */
static uint64_t settled_at(const struct dev *dev)
{
    uint64_t quiet = dev->last_change + QUIET_NS, patient = dev->first_change + PATIENT_NS;

    return quiet < patient ? quiet : patient;
}

static void look(struct dev *dev)
{
    struct changes_prints now = changes_look(dev->directory);

    dev->first_change = 0;
    if (now.sources != dev->used.sources)
        start_make(dev);
    else if (now.products != dev->used.products)
        use_products(dev);
}

/* Milliseconds to wait for at most, as poll(2) takes them. */
static int time_left(const struct dev *dev)
{
    uint64_t now = clock_ns(), until = dev->end_by;

    if (until == 0 && dev->job == 0 && dev->first_change != 0)
        until = settled_at(dev);
    if (until == 0)
        return -1;
    return until <= now ? 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static void watch_over(struct dev *dev)
{
    start_make(dev);
    while (dev->end_by == 0 || dev->server != 0 || dev->job != 0) {
        struct pollfd fds[] = {{.fd = dev->signals, .events = POLLIN},
                               {.fd = dev->end_by == 0 ? dev->changes : -1, .events = POLLIN}};
        poll(fds, 2, time_left(dev));
        if (fds[0].revents != 0)
            take_signals(dev);
        if (fds[1].revents != 0)
            take_changes(dev);
        if (dev->end_by == 0 && dev->job == 0 && dev->first_change != 0 &&
            clock_ns() >= settled_at(dev))
            look(dev);
        if (dev->end_by == 0 || clock_ns() < dev->end_by)
            continue;
        if (dev->server != 0)
            kill(dev->server, SIGKILL);
        if (dev->job != 0)
            kill(dev->job, SIGKILL);
        dev->end_by = clock_ns() + END_NS;
    }
}

/* ---- the command ---- */

/* The only *.conf of the directory. */
static bool find_conf(struct dev *dev, struct error *error)
{
    DIR *folder = opendir(dev->directory);
    const struct dirent *entry;
    bool good = true;

    if (folder == NULL)
        return error_errno(error, "cannot read %s", dev->directory);
    while (good && (entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || dot == entry->d_name || strcmp(dot, ".conf") != 0)
            continue;
        if (dev->conf[0] != '\0')
            good = error_set(error, "%s holds several configurations, such as %s and %s; say -c",
                             dev->directory, dev->conf, entry->d_name);
        else
            snprintf(dev->conf, sizeof(dev->conf), "%s", entry->d_name);
    }
    closedir(folder);
    if (good && dev->conf[0] == '\0')
        return error_set(error,
                         "%s holds no *.conf to serve; `pillion new` writes one, and -c names "
                         "one elsewhere",
                         dev->directory);
    return good;
}

static bool open_all(struct dev *dev, struct error *error)
{
    sigset_t taken;

    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGHUP);
    dev->changes = changes_open(dev->directory, error);
    if (dev->changes < 0)
        return false;
    sigprocmask(SIG_BLOCK, &taken, &dev->inherited);
    dev->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return dev->signals >= 0 || error_errno(error, "cannot wait for signals");
}

static int take_option(struct args *args, int id, void *data)
{
    struct dev *dev = data;

    (void)id;
    if (strlen(args->value) >= sizeof(dev->conf))
        return command_misused(args->command, "the path after -c is too long");
    snprintf(dev->conf, sizeof(dev->conf), "%s", args->value);
    return 0;
}

/* 0, or the exit status. */
static int read_line(struct args *args, struct dev *dev)
{
    const struct command *self = args->command;
    const char *directory;

    int status = args_read(args, take_option, dev, &directory, 1);
    if (status != 0)
        return status;
    if (directory == NULL)
        directory = ".";
    if (realpath(directory, dev->directory) == NULL)
        return command_failed_errno(self, EXIT_FAILURE, "cannot use the directory \"%s\"",
                                    directory);
    return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};
    struct dev dev = {.command = self};
    struct error error;

    int status = read_line(&args, &dev);
    if (status != 0)
        return status == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : status;
    if ((dev.conf[0] == '\0' && !find_conf(&dev, &error)) || !open_all(&dev, &error))
        return command_failed(self, EXIT_FAILURE, "%s", error.text);
    dev.serve = (struct serve_options){.conf = dev.conf, .prefix = dev.directory};
    watch_over(&dev);
    close(dev.changes);
    close(dev.signals);
    return dev.status;
}

const struct command dev_command = {
    .name = "dev",
    .run = run,
    .usage = "[-c FILE] [DIR]",
    .summary = "Serves the module in DIR; rebuilds and reloads it when its files change.",
    .options = options,
    .notes =
        "Runs make in DIR, which is the current directory when it is left out, whenever a source\n"
        "in C, C++ or Rust, a header, a Makefile or *.mk there changes; and reloads when that\n"
        "changes the bytes of a *.so, or when a *.conf changes. What does not compile or load is "
        "shown,\n"
        "and the code from before keeps serving. Ctrl-C ends it all.\n",
};
