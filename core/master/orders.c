/* What an order does while another one is under way: a table of stages and orders, and the code
 * that carries its outcome out. docs/operations.md has the same table in words; test_orders drives
 * every pair. See orders.h. */
#include "master/orders.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/control.h"
#include "master/gates.h"
#include "master/generations.h"
#include "master/heartbeat.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/registry.h"
#include "master/rehearsal.h"
#include "master/reload.h"
#include "master/reopen.h"
#include "master/report.h"
#include "master/starter.h"
#include "master/upgrade.h"
#include "master/watchdog.h"
#include "master/workers.h"
#include "process/title.h"

#define STOP_PATIENCE_MS 1000 /* time for workers to stop at once */
#define QUIT_MARGIN_MS   2000 /* time for workers to tidy up, after drain_timeout */

/* The server's state when an order comes. Where several are true, the last of them counts. */
enum stage {
    STAGE_SERVING,
    STAGE_REHEARSING, /* an upgrade's new binary rehearses */
    STAGE_RELOADING,  /* until the commit; also the reload that ends an upgrade */
    STAGE_STARTING,   /* likewise, for the first generation */
    STAGE_QUITTING,
    STAGE_STOPPING,
    STAGES
};

enum outcome {
    OUTCOME_BEGIN,  /* begins at once, beside whatever is under way */
    OUTCOME_FOLLOW, /* begins when the reload under way is done; several orders that wait are one */
    OUTCOME_JOIN,   /* is answered when the same order, which is under way, is done */
    OUTCOME_REFUSE  /* the server is ending */
};

static const enum outcome outcomes[STAGES][ORDERS] = {
    [STAGE_SERVING] = {[ORDER_STOP] = OUTCOME_BEGIN,
                       [ORDER_QUIT] = OUTCOME_BEGIN,
                       [ORDER_RELOAD] = OUTCOME_BEGIN,
                       [ORDER_UPGRADE] = OUTCOME_BEGIN,
                       [ORDER_REOPEN] = OUTCOME_BEGIN},
    /* The rehearsal has read a configuration that a reload replaces: the upgrade rehearses anew
     * after it. */
    [STAGE_REHEARSING] = {[ORDER_STOP] = OUTCOME_BEGIN,
                          [ORDER_QUIT] = OUTCOME_BEGIN,
                          [ORDER_RELOAD] = OUTCOME_BEGIN,
                          [ORDER_UPGRADE] = OUTCOME_JOIN,
                          [ORDER_REOPEN] = OUTCOME_BEGIN},
    [STAGE_RELOADING] = {[ORDER_STOP] = OUTCOME_BEGIN,
                         [ORDER_QUIT] = OUTCOME_BEGIN,
                         [ORDER_RELOAD] = OUTCOME_FOLLOW,
                         [ORDER_UPGRADE] = OUTCOME_FOLLOW,
                         [ORDER_REOPEN] = OUTCOME_BEGIN},
    [STAGE_STARTING] = {[ORDER_STOP] = OUTCOME_BEGIN,
                        [ORDER_QUIT] = OUTCOME_BEGIN,
                        [ORDER_RELOAD] = OUTCOME_FOLLOW,
                        [ORDER_UPGRADE] = OUTCOME_FOLLOW,
                        [ORDER_REOPEN] = OUTCOME_BEGIN},
    [STAGE_QUITTING] = {[ORDER_STOP] = OUTCOME_BEGIN,
                        [ORDER_QUIT] = OUTCOME_JOIN,
                        [ORDER_RELOAD] = OUTCOME_REFUSE,
                        [ORDER_UPGRADE] = OUTCOME_REFUSE,
                        [ORDER_REOPEN] = OUTCOME_BEGIN},
    [STAGE_STOPPING] = {[ORDER_STOP] = OUTCOME_JOIN,
                        [ORDER_QUIT] = OUTCOME_JOIN,
                        [ORDER_RELOAD] = OUTCOME_REFUSE,
                        [ORDER_UPGRADE] = OUTCOME_REFUSE,
                        [ORDER_REOPEN] = OUTCOME_BEGIN},
};

static const char ending[] = "the server is ending";

/* Orders that came while a reload was under way, and begin after it. */
static struct {
    bool reload, upgrade;
} follows;

/* The server is to quit, and serves on until `delay` is over. */
static struct {
    struct timer delay;
    uint64_t least_ns; /* it is not over before, by clock_ns() */
} quitting;

static enum stage stage_now(void)
{
    if (master.mode != MASTER_RUNNING)
        return master.mode == MASTER_QUITTING ? STAGE_QUITTING : STAGE_STOPPING;
    if (timer_is_set(&quitting.delay))
        return STAGE_QUITTING;
    if (reload_phase() != RELOAD_IDLE)
        return generation_current() == NULL ? STAGE_STARTING : STAGE_RELOADING;
    return rehearsal_is_under_way() ? STAGE_REHEARSING : STAGE_SERVING;
}

/* ---- Ending ---- */

static void end_workers(enum message_type how, uint64_t patience_ms)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        bool asked_harder = how == MESSAGE_STOP && worker_is_leaving(w);
        if (asked_harder)
            worker_kill(w, CAUSE_ORDER);
        else if (!worker_is_leaving(w))
            worker_tell_end(w, how, patience_ms);
        else if (w->life == WORKER_RELEASED)
            channel_tell(w->child.channel.fd, MESSAGE_TAKEN, w->serial, 0);
    }
}

void master_check_end(void)
{
    if (master.mode != MASTER_RUNNING && !workers_awaited() &&
        (master.mode == MASTER_STOPPING || gates_finish()) && registry_finish())
        loop_stop(&master.loop);
}

/* No reload or upgrade follows any more: clients that wait for one are answered now. */
static void end_orders(void)
{
    follows.reload = follows.upgrade = false;
    reload_abandon(ending);
    control_answer(ORDER_RELOAD, true, false, ending);
    rehearsal_end();
    control_answer(ORDER_UPGRADE, true, false, ending);
}

void master_end(enum master_mode mode)
{
    uint64_t drain_ms =
        generation_current() == NULL ? 0 : generation_current()->settings->drain_timeout_ms;

    if (mode <= master.mode)
        return;
    timer_cancel(&master.loop, &quitting.delay);
    master.mode = mode;
    if (generation_current() != NULL)
        report(JOURNAL_STOPPING, NULL, "%s",
               mode == MASTER_QUITTING ? "the server ends, as soon as its requests are answered"
                                       : "the server ends");
    notify_stopping(mode == MASTER_QUITTING ? drain_ms + QUIT_MARGIN_MS : STOP_PATIENCE_MS);
    watchdog_stop();
    heartbeat_stop();
    title_set("master (ending)");
    end_orders();
    gates_leave();
    registry_finish(); /* begins to take addresses back, where that was not done before */
    if (mode == MASTER_QUITTING)
        end_workers(MESSAGE_QUIT, drain_ms + QUIT_MARGIN_MS);
    else
        end_workers(MESSAGE_STOP, STOP_PATIENCE_MS);
    /* New connections are refused from here on, so that clients can go to another server. */
    while (master.listeners.first != NULL)
        listener_close(&master.listeners, master.listeners.first, true);
    master_check_end();
}

static void delay_over(struct timer *timer)
{
    (void)timer;
    master_end(MASTER_QUITTING);
}

bool master_is_to_quit(void)
{
    return timer_is_set(&quitting.delay);
}

/* Those that watch a registry have gone elsewhere. */
static void withdrawn(void)
{
    uint64_t now = clock_ns();

    if (timer_is_set(&quitting.delay))
        timer_set(&master.loop, &quitting.delay,
                  quitting.least_ns > now ? quitting.least_ns - now : 0, delay_over);
}

/* Quits, once balancers, and those that watch the registry, have had the time to see that. Workers
 * that begin to serve meanwhile are told as they do. */
static void quit(void)
{
    const struct generation *current = generation_current();
    uint64_t delay_ms = current == NULL ? 0 : current->settings->quit_delay_ms, most_ms = 0;
    bool registered = current != NULL && registry_withdraw(withdrawn, &most_ms);

    if (delay_ms == 0 && !registered) {
        master_end(MASTER_QUITTING);
        return;
    }
    quitting.least_ns = clock_ns() + delay_ms * NS_PER_MS;
    most_ms = most_ms > delay_ms ? most_ms : delay_ms;
    timer_set(&master.loop, &quitting.delay, most_ms * NS_PER_MS, delay_over);
    if (registered)
        log_notice("not ready any more; the server serves on until its addresses are out of the "
                   "registry, and for %llu ms at least (quit_delay)",
                   (unsigned long long)delay_ms);
    else
        log_notice("not ready any more; the server serves on for %llu ms (quit_delay)",
                   (unsigned long long)delay_ms);
    notify_stopping(most_ms + current->settings->drain_timeout_ms + QUIT_MARGIN_MS);
    end_orders();
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (w->life == WORKER_SERVING)
            channel_tell(w->child.channel.fd, MESSAGE_UNREADY, 0, 0);
    }
}

void master_fail(const char *why)
{
    if (master.status == 0)
        starter_fails(why);
    master.status = 1;
    master_end(MASTER_STOPPING);
}

/* ---- Orders ---- */

static void begin(enum order order);

static void answer_reload(bool good, const char *text)
{
    const struct generation *current = generation_current();
    struct text answer = {0};

    if (!good && current != NULL && current->former) /* after an upgrade */
        text_printf(&answer,
                    "the new binary has taken over, and generation %llu of the former one serves "
                    "on: the configuration was not put to use\n",
                    (unsigned long long)current->number);
    text_append_string(&answer, text);
    control_answer(ORDER_RELOAD, false, good, text_string(&answer));
    text_free(&answer);
}

static void reload_ended(bool good, const char *text)
{
    char status[512];

    atomic_store(&master.board->reload_failed, !good);
    atomic_store(&master.board->reloaded_at, (int64_t)time(NULL));
    answer_reload(good, text);
    if (!good && generation_current() == NULL) {
        master_fail(text);
        return;
    }
    snprintf(status, sizeof(status), "%s%s", good ? "" : "the last reload failed: ", text);
    notify_serving(status);
    if (master.mode != MASTER_RUNNING)
        return;
    if (follows.reload)
        begin(ORDER_RELOAD);
    else if (follows.upgrade)
        begin(ORDER_UPGRADE);
}

/* A reload began during the rehearsal, so the configuration that the new binary has rehearsed with
 * is about to be replaced: rehearse again after it. */
static void upgrade_after_reload(void)
{
    follows.upgrade = true;
}

static void begin(enum order order)
{
    switch (order) {
    case ORDER_STOP:
        master_end(MASTER_STOPPING);
        break;
    case ORDER_QUIT:
        quit();
        break;
    case ORDER_RELOAD:
        follows.reload = false;
        control_advance(); /* a reload ordered from now on is the next one */
        if (generation_current() != NULL)
            notify_reloading();
        reload_begin(false, reload_ended);
        break;
    case ORDER_REOPEN:
        reopen_begin();
        break;
    case ORDER_UPGRADE:
        follows.upgrade = false;
        upgrade_begin(upgrade_after_reload);
        break;
    case ORDER_NONE:
    case ORDERS:
        break;
    }
}

bool master_reload_again(void)
{
    if (stage_now() != STAGE_SERVING)
        return false;
    control_advance();
    notify_reloading();
    reload_begin(true, reload_ended);
    return true;
}

enum order sigterm_order(void)
{
    const struct generation *current = generation_current();
    int chosen = current == NULL ? SIGTERM_AUTO : current->settings->sigterm;
    bool quits = chosen == SIGTERM_QUIT || (chosen == SIGTERM_AUTO && master.pid == 1);

    return quits && stage_now() != STAGE_QUITTING ? ORDER_QUIT : ORDER_STOP;
}

void master_order(enum order order, struct control_client *client)
{
    control_wait(client, false);
    switch (outcomes[stage_now()][order]) {
    case OUTCOME_BEGIN:
        begin(order);
        break;
    case OUTCOME_FOLLOW:
        if (order == ORDER_RELOAD)
            follows.reload = true;
        else
            follows.upgrade = true;
        control_wait(client, true);
        break;
    case OUTCOME_JOIN:
        break;
    case OUTCOME_REFUSE:
        log_warn("%s: the order is refused", ending);
        control_answer(order, true, false, ending);
        break;
    }
}
