/* The master's life: from the first generation to the last process's end, and the signals between.
 * See master_run.h. */
#include "master/master_run.h"

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
#include "master/control.h"
#include "master/directory_memory.h"
#include "master/events.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/orders.h"
#include "master/pid_file.h"
#include "master/registry.h"
#include "master/starter.h"
#include "master/terminal.h"
#include "master/upgrade.h"
#include "master/vaults.h"
#include "master/workers.h"
#include "process/children.h"
#include "process/title.h"

#define AGAIN_US 100000

static struct watch signals; /* signalfd(2) */

/* ---- Signals ---- */

static void signals_ready(struct watch *watch, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD) {
            children_reap();
            master_check_end();
            continue;
        }
        const struct signal_row *row = signal_by_number(number);
        if (row == NULL)
            continue;
        enum terminal_hangup hangup = number == SIGHUP ? terminal_hangup(&info) : HANGUP_NONE;
        if (hangup == HANGUP_IGNORED)
            continue;
        if (hangup == HANGUP_ENDS) {
            log_notice("the terminal that the server was started from is closed: stop");
            master_order(ORDER_STOP, NULL);
            continue;
        }
        enum order order = number == SIGTERM ? sigterm_order() : row->order;
        log_notice("SIG%s from process %u: %s", sigabbrev_np(number), info.ssi_pid,
                   order == ORDER_QUIT ? "quit" : row->verb);
        master_order(order, NULL);
    }
}

static bool signals_open(struct error *error)
{
    sigset_t set;

    signals_blocked(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || !loop_watch(&master.loop, &signals, fd, EPOLLIN, signals_ready))
        return error_errno(error, "cannot receive signals");
    return true;
}

/* ---- The end ---- */

/* Only a server that has served logs its end. */
static void tidy_up(void)
{
    gates_end();
    registry_end();
    vaults_end();
    pid_file_remove();
    if (generation_current() != NULL)
        log_notice("the server has ended");
    control_close();
}

/* ---- The whole ---- */

static bool prepare(const struct settings *settings, struct error *error)
{
    return loop_init(&master.loop, error) && control_open(settings, error) &&
           pid_file_make(settings->pid, error) && signals_open(error) &&
           (master.board = board_new(error)) != NULL && directory_memory_make(error);
}

static void until_it_works(const struct error *error)
{
    log_error("%s; the new binary tries again", error->text);
    usleep(AGAIN_US);
}

/* Like `prepare`, after an upgrade. There is no way back, and the workers serve on meanwhile. A
 * step fails only for want of memory or descriptors, which passes: it is tried again. */
static void take_over(int state, const struct settings *settings)
{
    struct error error;

    while (!loop_init(&master.loop, &error))
        until_it_works(&error);
    while (!upgrade_resume(state, settings, &error))
        until_it_works(&error);
    while (!signals_open(&error))
        until_it_works(&error);
}

int master_run(const struct serve_options *options, const struct settings *settings, int report,
               int state)
{
    struct error error;

    master.options = options;
    starter_begin(report);
    master.pid = getpid();
    events_begin();
    log_identity("master");
    title_set("master");
    limit_open_files(0);
    if (state >= 0) {
        take_over(state, settings);
    } else if (!prepare(settings, &error)) {
        starter_fails(error.text);
        tidy_up();
        return 1;
    }
    log_count_lost(&master.board->log_lost);
    notify_begin();
    terminal_begin();
    if (state < 0)
        log_notice("pillion %s starts (pid %d)", PILLION_VERSION, (int)master.pid);
    /* Children may have ended before the signals were watched. */
    children_reap();
    master_order(ORDER_RELOAD, NULL);
    /* A vault may have died while this binary took over. */
    if (generation_current() != NULL &&
        !vaults_start(generation_current()->capacity.vaults, &error))
        log_error("%s", error.text);
    if (master.mode == MASTER_RUNNING || workers_first() != NULL)
        loop_run(&master.loop);
    tidy_up();
    return master.status;
}
