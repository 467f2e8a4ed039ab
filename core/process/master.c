/* The master's life: from the first generation to the last process's end, and the signals between.
 * See master.h. */
#include "process/master.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "process/master_run.h"
#include "process/title.h"
#include "process/upgrade.h"

#define STOP_PATIENCE_MS 1000 /* for workers that are told to stop at once */
#define QUIT_MARGIN_MS   2000 /* for workers to tidy up after drain_timeout */

struct master master;

/* ---- Orders ---- */

static void end_workers(enum message_type how, uint64_t patience_ms)
{
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        bool asked_harder = how == MESSAGE_STOP && w->state == WORKER_LEAVING;
        if (asked_harder)
            worker_kill(w);
        else if (w->state != WORKER_LEAVING)
            worker_tell_end(w, how, patience_ms);
        else if (w->released)
            channel_tell(w->channel.fd, MESSAGE_TAKEN, w->serial, 0);
    }
}

static void begin_end(enum master_mode mode)
{
    uint64_t drain_ms = master.current == NULL ? 0 : master.current->settings->drain_timeout_ms;

    if (mode <= master.mode)
        return;
    master.mode = mode;
    timer_cancel(&master.loop, &master.watchdog);
    title_set("master (ending)");
    if (mode == MASTER_QUITTING)
        end_workers(MESSAGE_QUIT, drain_ms + QUIT_MARGIN_MS);
    else
        end_workers(MESSAGE_STOP, STOP_PATIENCE_MS);
    /* From here on clients are refused, so that they can go elsewhere. */
    while (master.listeners.first != NULL)
        listener_close(&master.listeners, master.listeners.first, true);
    master_check_end();
}

void master_order(enum order order, struct control_client *client)
{
    switch (order) {
    case ORDER_STOP:
        begin_end(MASTER_STOPPING);
        break;
    case ORDER_QUIT:
        begin_end(MASTER_QUITTING);
        break;
    case ORDER_RELOAD:
        if (master.mode != MASTER_RUNNING) {
            control_answer(ORDER_RELOAD, true, false, "the server is ending");
            break;
        }
        if (client != NULL)
            client->joined_next = master.phase != RELOAD_IDLE;
        reload_begin();
        break;
    case ORDER_REOPEN:
        reopen_begin();
        break;
    case ORDER_UPGRADE:
        upgrade_begin();
        break;
    case ORDER_NONE:
        break;
    }
}

/* ---- Signals ---- */

static void signals_ready(struct watch *watch, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD) {
            workers_reap();
            continue;
        }
        const struct signal_row *row = signal_by_number(number);
        if (row == NULL)
            continue;
        log_notice("SIG%s from process %u: %s", sigabbrev_np(number), info.ssi_pid, row->verb);
        master_order(row->order, NULL);
    }
}

static bool signals_open(struct error *error)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (const struct signal_row *row = signal_table; row->number != 0; row++)
        sigaddset(&set, row->number);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_errno(error, "cannot block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || !loop_watch(&master.loop, &master.signals, fd, EPOLLIN, signals_ready))
        return error_errno(error, "cannot receive signals");
    return true;
}

/* ---- The end ---- */

/* Tells the person who started the server why it does not run. */
static void tell_starter(const char *why)
{
    size_t size = strlen(why);
    int fd = master.report >= 0 ? master.report : STDERR_FILENO;

    dprintf(fd, "%s%s", why, size > 0 && why[size - 1] == '\n' ? "" : "\n");
}

void master_serving(void)
{
    static const char serving = MASTER_REPORT_SERVING;

    if (master.report < 0)
        return;
    if (write(master.report, &serving, 1) < 0)
        log_debug("nobody waits for the server to serve");
    close(master.report);
    master.report = -1;
}

void master_fail(const char *why)
{
    if (master.status == 0) {
        tell_starter(why);
        log_error("the server could not be started");
        if (log_descriptor() != STDERR_FILENO) /* where it has been said */
            log_error_lines(why);
    }
    master.status = 1;
    begin_end(MASTER_STOPPING);
}

void master_check_end(void)
{
    if (master.mode != MASTER_RUNNING && master.workers == NULL)
        loop_stop(&master.loop);
}

static void tidy_up(void)
{
    if (master.vault_pid != 0)
        kill(master.vault_pid, SIGKILL);
    if (master.pid_path != NULL)
        unlink(master.pid_path);
    log_notice("the server has ended");
    control_close();
}

/* ---- The whole ---- */

static bool pid_file_write(const char *path, struct error *error)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return error_errno(error, "cannot write the pid file %s", path);
    fprintf(file, "%d\n", (int)getpid());
    if (fclose(file) != 0)
        return error_errno(error, "cannot write the pid file %s", path);
    master.pid_path = must_strdup(path);
    return true;
}

static bool prepare(const struct settings *settings, struct error *error)
{
    return loop_init(&master.loop, error) && control_open(settings->control, error) &&
           pid_file_write(settings->pid, error) && signals_open(error) &&
           (master.board = board_new(error)) != NULL;
}

/* The same in the place of another binary, whose process this was. */
static bool take_over(int state, const struct settings *settings, struct error *error)
{
    return loop_init(&master.loop, error) && upgrade_resume(state, settings, error) &&
           pid_file_write(settings->pid, error) && signals_open(error);
}

int master_run(const struct serve_options *options, const struct settings *settings, int report,
               int state)
{
    struct error error;

    master.options = options;
    master.report = report;
    master.pid = getpid();
    log_identity("master");
    title_set("master");
    limit_open_files(0);
    if (!(state < 0 ? prepare(settings, &error) : take_over(state, settings, &error))) {
        tell_starter(error.text);
        log_error("the server could not be started: %s", error.text);
        tidy_up();
        return 1;
    }
    if (state < 0)
        log_notice("pillion %s starts (pid %d)", PILLION_VERSION, (int)master.pid);
    /* Children that ended while nobody was here to be told. */
    workers_reap();
    reload_begin();
    if (master.vault_pid == 0 && master.next != NULL && !vault_spawn(&error))
        master_fail(error.text);
    if (master.mode == MASTER_RUNNING || master.workers != NULL)
        loop_run(&master.loop);
    tidy_up();
    return master.status;
}
