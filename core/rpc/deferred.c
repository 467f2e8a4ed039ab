/* Deferring, resuming, timing out. See deferred.h. */
#include "rpc/deferred.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/note.h"
#include "rpc/result.h"
#include "rpc/run.h"

#define DEFERRED_MAX 1000000u /* at the same time, in one worker */

/* ---- Settling ---- */

static void settle_later(struct deferred *deferred)
{
    if (deferred->listed)
        return;
    deferred->listed = true;
    deferred->next = NULL;
    *deferred->all->settling_end = deferred;
    deferred->all->settling_end = &deferred->next;
}

static void tell_cancelled(struct deferred *deferred)
{
    void (*cancelled)(void *) = deferred->cancelled;

    deferred->cancelled = NULL;
    if (deferred->give_up != NULL)
        deferred->give_up(deferred);
    if (cancelled == NULL)
        return;
    struct origin origin;
    request_origin(&deferred->req, &origin);
    struct note before = note_enter(DUTY_CANCEL, deferred->instance, &origin);
    cancelled(deferred->data);
    note_leave(&before);
}

static void settle(struct deferred *deferred)
{
    struct pillion_request *req = &deferred->req;

    if (deferred->state == DEFERRED_WAITING) { /* deferred again since it was resumed */
        deferred->listed = false;
        return;
    }
    if (!req->answered) {
        log_seldom(LOG_ERROR_LEVEL, req->method,
                   "module %s: \"%s\" resumed a request and did not answer it",
                   req->method->instance->name, req->method->own_name);
        request_fail(req, PILLION_INTERNAL_ERROR, "the method gave no answer");
    }
    deferred->state = DEFERRED_ANSWERED; /* its timer ended when it was resumed */
    if (req->method != NULL && req->method->filter_count > 0)
        filters_after(req);
    deferred->listed = false;
    deferred->all->finish(deferred);
}

void deferreds_settle(struct deferreds *all)
{
    all->settled_ns = clock_ns();
    while (all->settling != NULL) {
        struct deferred *deferred = all->settling;
        all->settling = deferred->next;
        if (all->settling == NULL)
            all->settling_end = &all->settling;
        settle(deferred);
    }
}

/* ---- Times ---- */

/* The time since the last change, which ends now. */
static uint64_t time_passed(struct deferred *deferred)
{
    uint64_t now = clock_ns(), passed = now - deferred->times.at_ns;

    deferred->times.at_ns = now;
    return passed;
}

/* Its work waits for a thread no more, or not for this request. */
static void end_pooled(struct deferred *deferred, uint64_t now)
{
    struct deferred_times *times = &deferred->times;
    uint64_t taken = atomic_load_explicit(&times->taken_ns, memory_order_relaxed);

    if (times->added_ns != 0)
        times->pooled_ns += (taken == 0 ? now : taken) - times->added_ns;
    times->added_ns = 0;
}

void deferred_pooled(struct deferred *deferred)
{
    if (!deferred->all->timed)
        return;
    atomic_store_explicit(&deferred->times.taken_ns, 0, memory_order_relaxed);
    deferred->times.added_ns = clock_ns();
}

void deferred_taken(struct deferred *deferred)
{
    if (deferred->all->timed)
        atomic_store_explicit(&deferred->times.taken_ns, clock_ns(), memory_order_relaxed);
}

/* It has waited until now. */
static void time_waited(struct deferred *deferred)
{
    if (!deferred->all->timed)
        return;
    deferred->times.waited_ns += time_passed(deferred);
    end_pooled(deferred, deferred->times.at_ns);
}

/* Its module has had it in hand until now. */
static void time_ran(struct deferred *deferred)
{
    if (deferred->all->timed)
        deferred->times.ran_ns += time_passed(deferred);
}

/* ---- Beginning ---- */

void deferred_exceed(struct deferred *deferred)
{
    deferred_fail(deferred, PILLION_DEADLINE_EXCEEDED,
                  "\"%s\" was not answered within the deadline of its request; what it has begun "
                  "may still be carried out",
                  deferred->req.method->name.data);
}

static uint64_t since_of(const struct pillion_request *req)
{
    return req->started_ns == 0 ? clock_ns() : req->started_ns;
}

uint64_t deferred_due_ns(const struct pillion_request *req)
{
    if (req->deferred != NULL)
        return req->deferred->due_ns;
    if (req->inner != NULL)
        return req->due_ns;
    uint64_t deadline_ns = request_deadline_ns(req);
    return deadline_ns == 0 ? 0 : since_of(req) + deadline_ns;
}

static void timed_out(struct timer *timer)
{
    struct deferred *deferred = container_of(timer, struct deferred, timer);

    if (deferred->by_deadline) {
        deferred_exceed(deferred);
        return;
    }
    deferred->timed_out = true;
    deferred_fail(
        deferred, ERROR_TIMEOUT,
        "\"%s\" did not answer within %llu ms; work that it has begun may still be carried out",
        deferred->req.method->name.data, (unsigned long long)deferred->timeout_ms);
}

/* From `now` on, as clock_ns() tells it. */
static void wait_for_answer(struct deferred *deferred, uint64_t now)
{
    uint64_t at = clock_after(now, deferred->timeout_ms);

    deferred->state = DEFERRED_WAITING;
    deferred->by_deadline = deferred->due_ns != 0 && deferred->due_ns < at;
    timer_set_at(deferred->all->loop, &deferred->timer,
                 deferred->by_deadline ? deferred->due_ns : at, timed_out);
}

static uint64_t refuse(struct pillion_request *req, const char *why)
{
    log_seldom(LOG_ERROR_LEVEL, req->method, "module %s: \"%s\" cannot defer: %s",
               request_instance(req)->name, req->method->own_name, why);
    if (!req->answered)
        request_fail(req, PILLION_INTERNAL_ERROR, "the request could not be deferred");
    return 0;
}

uint64_t deferred_begin(struct pillion_request *req, uint64_t timeout_ms)
{
    struct deferreds *all = req->deferreds;

    if (all == NULL)
        return refuse(req, "nothing can be deferred here");
    if (req->filter != NULL)
        return refuse(req, "filters answer, or let go on, before they return");
    if (req->answered)
        return refuse(req, "the request is answered");
    if (req->deferred != NULL && req->deferred->state == DEFERRED_HANDLER)
        return refuse(req, "the request is deferred already");
    result_keep(req);
    struct deferred *deferred = req->deferred;
    uint64_t timeout = timeout_ms == 0 ? all->timeout_ms : timeout_ms;
    if (deferred != NULL && deferred->state == DEFERRED_RESUMED) { /* once more: another token */
        deferred_renew(deferred);
        deferred->timeout_ms = timeout;
        deferred->cancelled = NULL;
        time_ran(deferred);
        wait_for_answer(deferred, clock_ns());
        return deferred_token(deferred);
    }
    char *copy = request_keep_head(req) ? pool_alloc(req->pool, req->body.size) : NULL;
    uint64_t since_ns = since_of(req), due_ns = deferred_due_ns(req);
    deferred = copy == NULL || all->pending >= DEFERRED_MAX
                   ? NULL
                   : deferred_take(all, DEFERRED_HANDLER, since_ns);
    if (deferred == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory to keep the request");
        return 0;
    }
    deferred->copy = memcpy(copy, req->body.data, req->body.size);
    deferred->home = req;
    deferred->instance = req->method->instance;
    deferred->counted = req->method->index + 1;
    deferred_count_waiting(deferred, 1);
    deferred->timeout_ms = timeout;
    deferred->due_ns = due_ns;
    req->deferred = deferred;
    req->promised = true;
    return deferred_token(deferred);
}

/* The sink of deferred requests: the reply waits for the batch's end. While it is being written it
 * is malloc's. */
static char *extend(struct pillion_request *req, size_t used, size_t *size)
{
    struct deferred *deferred = req->sink;

    (void)used;
    if (*size == 0) {
        deferred_drop_reply(deferred);
        return NULL;
    }
    char *reply = realloc(deferred->reply, *size * 2);
    if (reply == NULL)
        return NULL;
    deferred->reply = reply;
    deferred->reply_malloced = true;
    *size *= 2;
    return reply;
}

static char *reserve(struct pillion_request *req, size_t size)
{
    struct deferred *deferred = req->sink;

    if (deferred->state == DEFERRED_RESUMED)
        time_ran(deferred);
    if (deferred->reply != NULL) {
        result_over(req);
        if (size > 0 && size <= malloc_usable_size(deferred->reply)) {
            settle_later(deferred);
            return deferred->reply;
        }
        deferred_drop_reply(deferred);
    }
    if (size == 0) {
        settle_later(deferred);
        return NULL;
    }
    deferred->reply = pool_alloc(&deferred->pool, size);
    deferred->reply_malloced = deferred->reply == NULL;
    if (deferred->reply == NULL)
        deferred->reply = malloc(size);
    settle_later(deferred);
    return deferred->reply;
}

void deferred_keep(struct deferred *deferred, struct pool *pool)
{
    struct pillion_request *home = deferred->home, *req = &deferred->req;

    home->promised = false;
    *req = *home;
    request_move_body(req, deferred->copy);
    req->room = NULL;
    req->room_size = 0;
    req->reserve = reserve;
    req->extend = extend;
    req->sink = deferred;
    deferred->home = NULL;
    struct pool spare = deferred->pool;
    deferred->pool = *pool;
    req->pool = &deferred->pool;
    *pool = spare;
    pool->limit = deferred->pool.limit;
    deferred->times.at_ns = deferred->since_ns;
    time_ran(deferred);
    wait_for_answer(deferred, deferred->since_ns);
}

static struct deferred *must_take(struct deferreds *all, enum deferred_state state)
{
    struct deferred *deferred = deferred_take(all, state, 0);

    if (deferred == NULL)
        memory_exhausted();
    return deferred;
}

/* Without memory for the reply the worker ends, and the one that comes next gives another. */
struct deferred *deferred_reply(struct deferreds *all, char *reply, size_t size)
{
    struct deferred *deferred = must_take(all, DEFERRED_ANSWERED);

    deferred->reply = reply;
    deferred->reply_malloced = true;
    deferred->req = (struct pillion_request){.size = size, .answered = true};
    return deferred;
}

struct deferred *deferred_stand_in(struct deferreds *all)
{
    struct deferred *deferred = must_take(all, DEFERRED_HANDLER);

    deferred->req = (struct pillion_request){0};
    return deferred;
}

/* ---- Ending ---- */

struct pillion_request *deferred_resume(struct deferreds *all, uint64_t token)
{
    struct deferred *deferred = all == NULL ? NULL : deferred_find(all, token);
    uint32_t serial = (uint32_t)token;

    if (deferred == NULL || serial == 0 || (int32_t)(serial - deferred->serial) > 0) {
        const struct pillion_instance *running = note_instance();
        const struct pillion_request *req = request_current();
        log_seldom(LOG_ERROR_LEVEL, req != NULL ? req->method->instance : running,
                   "module %s: \"%s\" resumed with the token %llx, which never was one",
                   req != NULL       ? req->method->instance->name
                   : running != NULL ? running->name
                                     : "?",
                   req != NULL ? req->method->own_name : "a callback", (unsigned long long)token);
        return NULL;
    }
    bool current = serial == deferred->serial;
    if (current && deferred->state == DEFERRED_HANDLER) {
        struct pillion_request *home = deferred->home;
        home->deferred = NULL;
        home->promised = false;
        deferred->resumed = true;
        deferred->req.method = home->method;
        deferred_free(deferred);
        return home;
    }
    if (current && deferred->state == DEFERRED_WAITING) {
        timer_cancel(all->loop, &deferred->timer);
        deferred_waits(deferred, false);
        time_waited(deferred);
        deferred->state = DEFERRED_RESUMED;
        deferred->resumed = true;
        deferred->cancelled = NULL;
        request_remember(&deferred->req);
        settle_later(deferred);
        if (all->answers != NULL)
            all->answers(deferred);
        if (all->resumed != NULL)
            all->resumed(deferred);
        return &deferred->req;
    }
    /* A request that timed out, or whose client went, is nobody's mistake. */
    const struct method *method = deferred_used_by(deferred, serial);
    if (method != NULL)
        log_seldom(LOG_ERROR_LEVEL, method, "module %s: \"%s\" resumed a request twice",
                   method->instance->name, method->own_name);
    return NULL;
}

/* The request that the token leads to, in whose place nobody has answered; or NULL. */
static struct deferred *find_waiting(const struct deferreds *all, uint64_t token)
{
    struct deferred *deferred = all == NULL ? NULL : deferred_find(all, token);

    if (deferred == NULL || deferred->serial != (uint32_t)token ||
        (deferred->state != DEFERRED_HANDLER && deferred->state != DEFERRED_WAITING))
        return NULL;
    return deferred;
}

bool deferred_on_cancel(struct deferreds *all, uint64_t token, void (*cancelled)(void *data),
                        void *data)
{
    struct deferred *deferred = find_waiting(all, token);

    if (deferred == NULL)
        return false;
    if (deferred->cancelled != NULL && cancelled != NULL &&
        (deferred->cancelled != cancelled || deferred->data != data)) {
        const struct pillion_request *req =
            deferred->home != NULL ? deferred->home : &deferred->req;
        log_seldom(
            LOG_ERROR_LEVEL, req->method,
            "module %s: \"%s\" gives a second pillion_on_cancel for a request: the first will "
            "not be called (where that is meant, take it away with NULL before)",
            deferred->instance->name, req->method->own_name);
    }
    deferred->cancelled = cancelled;
    deferred->data = data;
    return true;
}

void deferred_waits(struct deferred *deferred, bool waits)
{
    if (deferred->waits == waits)
        return;
    deferred->waits = waits;
    if (deferred->state == DEFERRED_WAITING && deferred->all->waiting != NULL)
        deferred->all->waiting(deferred);
}

bool deferred_rerunnable(struct deferreds *all, uint64_t token, bool rerunnable)
{
    struct deferred *deferred = find_waiting(all, token);

    if (deferred == NULL)
        return false;
    deferred_waits(deferred, rerunnable);
    return true;
}

/* The request waits no more, and its module is not who ends that. */
static void wait_no_more(struct deferred *deferred)
{
    timer_cancel(deferred->all->loop, &deferred->timer);
    time_waited(deferred);
    deferred->state = DEFERRED_ANSWERED;
    deferred->over = true;
}

void deferred_fail(struct deferred *deferred, const char *code, const char *format, ...)
{
    char text[512];
    va_list args;

    if (deferred->state != DEFERRED_WAITING)
        return;
    wait_no_more(deferred);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (deferred->all->answers != NULL)
        deferred->all->answers(deferred);
    request_fail(&deferred->req, code, "%s", text);
    tell_cancelled(deferred);
}

void deferred_drop(struct deferred *deferred)
{
    enum deferred_state was = deferred->state;

    deferred->conn = 0;
    if (was == DEFERRED_WAITING) {
        wait_no_more(deferred);
        deferred->req.answered = true;
        deferred->req.failed = true;
        snprintf(deferred->req.code, sizeof(deferred->req.code), "cancelled");
        settle_later(deferred);
        tell_cancelled(deferred);
    } else if (was == DEFERRED_ANSWERED && !deferred->listed) {
        deferred_free(deferred); /* it only waited for room */
    }
}
