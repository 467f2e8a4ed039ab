/* Blaming a worker's death on the method or module that its row of the board names; rpc/note.h and
 * rpc/culprit.h tell how the name gets there. See blame.h. */
#include "master/blame.h"

#include <stdio.h>

#include "base/log.h"
#include "master/master.h"
#include "master/quarantine.h"
#include "master/report.h"
#include "process/core_dump.h"

#define WORDS_MAX (BOARD_NAME_MAX + BOARD_MODULE_NAME_MAX + 64u)

/* Nothing is known of a worker that has no row, or that writes to the former binary's board. */
void worker_blame(const struct worker *worker, struct blame *blame)
{
    if (worker->row != NULL)
        board_blame(master.board, worker->row, worker->cause == CAUSE_HUNG, blame);
    else
        *blame = (struct blame){.method = BOARD_NO_METHOD, .marked = true};
}

/* What a worker was doing, in an operator's words; " of module NAME" follows. */
static const char *const duties[DUTIES] = {
    [DUTY_NONE] = "code",
    [DUTY_HANDLER] = "",
    [DUTY_FILTER] = "a filter",
    [DUTY_WORK] = "work in a thread",
    [DUTY_DONE] = "the callback after work in a thread",
    [DUTY_TIMER] = "a timer",
    [DUTY_WATCH] = "a watch",
    [DUTY_CANCEL] = "an on_cancel",
    [DUTY_POSTED] = "a posted call",
    [DUTY_HOOK] = "a hook",
    [DUTY_THREAD] = "a thread",
    [DUTY_END] = "an on_end",
    [DUTY_CALL] = "a call by another method",
    [DUTY_CONN] = "the end of a connection's value",
};

/* `"kv.get"`, `a timer of module redis`, `"kv.get" (a timer of module redis)`. */
static void describe(const struct blame *blame, char text[WORDS_MAX])
{
    const char *of = blame->module[0] == '\0' ? "a module" : "module ";
    char duty[BOARD_MODULE_NAME_MAX + 64];

    snprintf(duty, sizeof(duty), "%s of %s%s", duties[blame->duty], of, blame->module);
    if (blame->method == BOARD_NO_METHOD)
        snprintf(text, WORDS_MAX, "%s", blame->duty == DUTY_HANDLER ? "a handler" : duty);
    else if (blame->duty == DUTY_HANDLER)
        snprintf(text, WORDS_MAX, "\"%s\"", master.board->names[blame->method]);
    else
        snprintf(text, WORDS_MAX, "\"%s\" (%s)", master.board->names[blame->method], duty);
}

/* "died while it ran a timer of module redis: SIGSEGV". */
static void describe_death(const struct worker *worker, int status, const struct blame *blame,
                           char text[DEATH_WORDS_MAX])
{
    bool hung = worker->cause == CAUSE_HUNG;
    char how[STATUS_WORDS_MAX], what[WORDS_MAX];

    startup_status(&worker->startup, status, how);
    describe(blame, what);
    if (worker->cause == CAUSE_SILENT)
        snprintf(text, DEATH_WORDS_MAX, "gave no sign of life, and was ended");
    else if (hung)
        snprintf(text, DEATH_WORDS_MAX,
                 "was ended: %s ran for longer than it may (handler_timeout)", what);
    else if (blame->duty == DUTY_NONE)
        snprintf(text, DEATH_WORDS_MAX, "died with no method running: %s", how);
    else
        snprintf(text, DEATH_WORDS_MAX, "died while it ran %s: %s", what, how);
}

static struct report_subject subject_of(const struct worker *worker, const struct blame *blame)
{
    return (struct report_subject){
        .method = blame->method == BOARD_NO_METHOD ? NULL : master.board->names[blame->method],
        .module = blame->module,
        .pid = worker->child.pid,
    };
}

void blame_death(const struct worker *worker, int status, char how[DEATH_WORDS_MAX])
{
    bool hung = worker->cause == CAUSE_HUNG, silent = worker->cause == CAUSE_SILENT;
    struct blame blame;

    worker_blame(worker, &blame);
    describe_death(worker, status, &blame, how);
    counter_add(hung || silent ? &master.board->hangs : &master.board->crashes, 1);
    if (silent) /* it was logged already; the process that stopped the worker is to blame */
        return;
    const struct report_subject subject = subject_of(worker, &blame);
    report(hung ? JOURNAL_HANG : JOURNAL_CRASH, &subject, "worker %u (pid %d) %s", worker->slot,
           (int)worker->child.pid, how);
    if (blame.method != BOARD_NO_METHOD && (blame.duty != DUTY_NONE || hung))
        quarantine_count(blame.method, blame.duty == DUTY_FILTER);
}

void blame_disorder(const struct worker *worker, int status)
{
    struct blame blame;
    char how[STATUS_WORDS_MAX], what[WORDS_MAX];

    worker_blame(worker, &blame);
    startup_status(&worker->startup, status, how);
    describe(&blame, what);
    const struct report_subject subject = subject_of(worker, &blame);
    report(JOURNAL_DISORDER, &subject, "worker %u (pid %d) did not end in order: %s%s%s",
           worker->slot, (int)worker->child.pid, how,
           blame.duty == DUTY_NONE ? "" : ", while it ran ", blame.duty == DUTY_NONE ? "" : what);
}

void blame_core_dump(const struct worker *worker, int status)
{
    struct text said = {0};

    core_dump_describe(worker->generation, worker->child.pid, status, &said);
    if (said.size > 0)
        log_notice("worker %u (pid %d): %s", worker->slot, (int)worker->child.pid,
                   text_string(&said));
    text_free(&said);
}
