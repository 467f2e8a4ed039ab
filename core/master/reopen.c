/* Opening log files anew. See reopen.h.
 *
 * The master opens the server's log and hands it on, because workers may have no right to open it.
 * Modules open their own files anew, and each worker answers with REOPENED. A worker that ends
 * before it has answered has no file to be opened, and its replacement opens its own; a worker that
 * dies of a module's hook has failed. */
#include "master/reopen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/blame.h"
#include "master/control.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/registry.h"
#include "master/vaults.h"
#include "master/workers.h"

#define PATIENCE (10 * NS_PER_S) /* a worker may be running a handler */

static struct {
    uint64_t serial; /* of the latest reopening; see `reopening` in workers.h */
    struct timer late;
    struct text failures; /* a line each */
    uint32_t alike;       /* workers with the same failure as another one */
    uint32_t workers;     /* number of workers that have opened their files */
    bool under_way;
} reopening;

static void add_failure(const char *name, const char *why)
{
    if (reopening.failures.size > 0 && strstr(text_string(&reopening.failures), why) != NULL)
        reopening.alike++;
    else
        text_printf(&reopening.failures, "%s: %s%s", name, why,
                    why[0] == '\0' || why[strlen(why) - 1] != '\n' ? "\n" : "");
}

static void add_failure_of(const struct worker *worker, const char *why)
{
    char name[64];

    snprintf(name, sizeof(name), "worker %u (pid %d)", worker->slot, (int)worker->child.pid);
    add_failure(name, why);
}

static void conclude(void)
{
    struct text *failures = &reopening.failures;
    bool good = failures->size == 0;

    reopening.under_way = false;
    timer_cancel(&master.loop, &reopening.late);
    if (good)
        text_printf(failures, "log files are opened anew: by the master and %u worker%s",
                    reopening.workers, reopening.workers == 1 ? "" : "s");
    else if (reopening.alike > 0)
        text_printf(failures, "%u more worker%s said the same\n", reopening.alike,
                    reopening.alike == 1 ? "" : "s");
    control_answer(ORDER_REOPEN, true, good, text_string(failures));
    text_free(failures);
}

void reopen_check(void)
{
    if (!reopening.under_way)
        return;
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->reopening == reopening.serial)
            return;
    }
    conclude();
}

static void answers_late(struct timer *timer)
{
    (void)timer;
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->reopening != reopening.serial)
            continue;
        w->reopening = 0;
        add_failure_of(w, "it has not answered within 10 s; it opens its files when the call "
                          "under way has returned");
    }
    reopen_check();
}

void reopen_answered(struct worker *worker, uint64_t serial, const char *failures)
{
    if (worker->reopening != serial)
        return;
    worker->reopening = 0;
    if (failures[0] != '\0')
        add_failure_of(worker, failures);
    else
        reopening.workers++;
    reopen_check();
}

void reopen_crashed(struct worker *worker, const char *how)
{
    char why[DEATH_WORDS_MAX + 64];

    if (!reopening.under_way || worker->reopening != reopening.serial)
        return;
    worker->reopening = 0;
    snprintf(why, sizeof(why), "it %s, before it had opened its files anew", how);
    add_failure_of(worker, why);
}

/* A generation that is being tried has opened a log of its own a moment ago, which may have been
 * moved away since. */
static void open_next_log(void)
{
    struct conf_errors errors = {0};

    if (generation_next() == NULL || generation_open_log(generation_next(), &errors))
        return;
    log_error_lines(text_string(&errors.text));
    add_failure("the next generation", text_string(&errors.text));
    conf_errors_free(&errors);
}

/* Opens the server's log anew. Returns it, or -1 when there is nothing to hand on. */
static int open_log(void)
{
    struct error error;
    int fd = -1;

    if (!log_reopen(&error)) {
        error_prefix(&error, "the log stays where it was");
        log_error("%s", error.text);
        add_failure("master", error.text);
    } else if (log_descriptor() > STDERR_FILENO) {
        fd = log_descriptor();
        log_notice("the log was opened anew");
    }
    return fd;
}

void reopen_begin(void)
{
    struct message message = {.type = MESSAGE_LOG};

    /* Earlier clients that still wait get the result of this reopening. */
    text_free(&reopening.failures);
    reopening.alike = reopening.workers = 0;
    reopening.under_way = true;
    /* The serial is the clock, not a counter, so that a late answer to the binary before this one
     * never matches. */
    message.serial = reopening.serial = clock_ns();
    int fd = open_log();
    open_next_log();
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->probe)
            continue;
        w->reopening = reopening.serial;
        int log = w->generation == generation_next() ? generation_next()->log : fd;
        if (channel_send(w->child.channel.fd, &message, false, &log, log >= 0) || errno == EPIPE)
            continue;
        w->reopening = 0;
        add_failure_of(w, strerror(errno));
    }
    if (fd >= 0 && !vaults_reopen())
        add_failure("vault", strerror(errno));
    if (fd >= 0 && !gates_reopen())
        add_failure("gate", strerror(errno));
    if (fd >= 0 && !registry_reopen())
        add_failure("registry process", strerror(errno));
    timer_set(&master.loop, &reopening.late, PATIENCE, answers_late);
    reopen_check();
}
