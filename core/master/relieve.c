/* Workers that ask to be replaced, in the master. A thread cannot be ended from outside, and a hard
 * limit cannot be raised again. So a worker whose thread pool is of no use any more, or that has no
 * descriptors for new clients, or that is worn out (worker/wear.h), asks for another worker in its
 * slot, and meanwhile answers the requests that it can. When the other worker is ready, the first
 * one hands its connections over and ends, as at a reload. See relieve.h. */
#include "master/relieve.h"

#include "base/log.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/quarantine.h"
#include "master/report.h"
#include "master/workers.h"

void relieve_stuck(const struct worker *worker, uint64_t method)
{
    if (!worker_has_served(worker) || method >= board_methods_known(master.board))
        return;
    counter_add(&master.board->hangs, 1);
    const struct report_subject subject = {.method = master.board->names[method],
                                           .pid = worker->child.pid};
    report(JOURNAL_HANG, &subject,
           "worker %u (pid %d): a thread that works for \"%s\" does not come back", worker->slot,
           (int)subject.pid, subject.method);
    quarantine_count((uint32_t)method, false);
}

/* True when another worker is starting in the slot already: asked for earlier, or by a reload. */
static bool is_coming(const struct worker *worker)
{
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w != worker && !w->probe && w->slot == worker->slot &&
            w->generation == worker->generation && !worker_is_leaving(w))
            return true;
    }
    return false;
}

void relieve_begin(const struct worker *worker, uint64_t why)
{
    struct error error;

    if (master.mode != MASTER_RUNNING || worker->life != WORKER_SERVING ||
        worker->generation != generation_current() || generation_current()->resumed ||
        is_coming(worker))
        return;
    report(why == RELIEF_WORN ? JOURNAL_WORKER_WORN : JOURNAL_WORKER_CRIPPLED,
           &(struct report_subject){.pid = worker->child.pid},
           "worker %u (pid %d) %s: another one takes its place", worker->slot,
           (int)worker->child.pid,
           why == RELIEF_FILES  ? "may open no more files"
           : why == RELIEF_WORN ? "is worn out (worker_max_requests, worker_max_memory)"
                                : "has too many threads that are stuck");
    if (!worker_spawn(generation_current(), worker->slot, &error))
        log_error("%s; the worker asks again", error.text);
}

void relieve_ready(const struct worker *worker)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w != worker && !w->probe && w->slot == worker->slot &&
            w->generation == worker->generation && w->life == WORKER_SERVING)
            worker_tell_end(w, MESSAGE_LEAVE, w->generation->settings->drain_timeout_ms + 1000);
    }
}
