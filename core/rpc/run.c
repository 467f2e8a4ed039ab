/* Running requests. See run.h. */
#include "rpc/run.h"

#include "base/clock.h"
#include "base/log_seldom.h"
#include "rpc/metric.h"
#include "rpc/note.h"
#include "rpc/validate.h"

/* Runs the handler and sees that there is an answer. Params are read and checked here, behind the
 * filters: those that a filter refuses learn nothing of what the method takes. */
static void run_handler(struct pillion_request *req)
{
    if (req->method->declares && !validate_params(req))
        return;
    req->method->handler(req);
    if (req->deferred != NULL)
        return;
    if (!req->answered && req->tree_tried && req->tree == NULL) {
        request_fail(req, PILLION_INVALID_PARAMS,
                     "the params hold text that this method cannot take (\\u0000, or an unpaired "
                     "surrogate), or are too large");
    } else if (!req->answered) {
        log_seldom(LOG_ERROR_LEVEL, req->method, "module %s: \"%s\" returned without an answer%s",
                   req->method->instance->name, req->method->own_name,
                   req->result == NULL ? ""
                                       : "; the result that it has begun lacks its pillion_end");
        request_fail(req, PILLION_INTERNAL_ERROR, "the method gave no answer");
    }
}

/* ---- Filters ---- */

/* True when the request goes on to the next filter, or to the handler. */
static bool run_before(struct pillion_request *req, const struct filter_use *use)
{
    if (use->filter->before == NULL)
        return true;
    req->filter = use;
    pillion_verdict verdict = use->filter->before(req);
    metric_settle_cjson(use->instance);
    req->filter = NULL;
    if (req->answered) {
        if (verdict != PILLION_STOP)
            log_seldom(LOG_ERROR_LEVEL, use,
                       "module %s: the filter \"%s\" answered a request of \"%s\" and let it go "
                       "on; it ends there (return PILLION_STOP)",
                       use->instance->name, use->filter->name, req->method->own_name);
        return false;
    }
    if (verdict == PILLION_NEXT)
        return true;
    log_seldom(LOG_ERROR_LEVEL, use,
               "module %s: the filter \"%s\" stopped a request of \"%s\" without an answer",
               use->instance->name, use->filter->name, req->method->own_name);
    request_fail(req, PILLION_INTERNAL_ERROR, "a filter stopped the request without an answer");
    return false;
}

static void run_after(struct pillion_request *req, const struct filter_use *use)
{
    if (use->filter->after == NULL)
        return;
    req->filter = use;
    use->filter->after(req);
    metric_settle_cjson(use->instance);
    req->filter = NULL;
}

/* Runs `after` outside of a handler: a crash there is put down to the filter. */
static void run_noted(struct pillion_request *req, const struct filter_use *use,
                      const struct origin *origin)
{
    struct note before = note_enter(DUTY_FILTER, use->instance, origin);

    run_after(req, use);
    note_leave(&before);
}

/* Runs the filters around the handler, which answers the request, or defers it. Not inlined:
 * methods without filters would save its registers too. */
__attribute__((noinline)) static void run_filters(struct pillion_request *req)
{
    const struct method *method = req->method;
    size_t seen = 0;
    bool goes_on = true;

    if (req->started_ns == 0)
        req->started_ns = clock_ns();
    while (goes_on && seen < method->filter_count)
        goes_on = run_before(req, &method->filters[seen++]);
    if (goes_on)
        run_handler(req);
    metric_settle_cjson(method->instance);
    if (req->deferred != NULL) /* its answer comes later: filters_after */
        return;
    for (size_t i = method->filter_count; i > 0; i--) {
        if (i <= seen || method->filters[i - 1].filter->unseen)
            run_after(req, &method->filters[i - 1]);
    }
}

/* ---- Requests ---- */

void request_run(struct pillion_request *req)
{
    struct pool *before = request_enter(req);

    if (req->method->filter_count == 0)
        run_handler(req);
    else
        run_filters(req);
    metric_settle_cjson(req->method->instance);
    request_leave(before);
}

void filters_after(struct pillion_request *req)
{
    struct origin origin;

    request_origin(req, &origin);
    for (size_t i = req->method->filter_count; i > 0; i--)
        run_noted(req, &req->method->filters[i - 1], &origin);
}

void request_show(struct pillion_request *req)
{
    const struct method *method = req->method;
    const struct origin origin = {.method = method->index + 1}; /* no index: 0 */

    struct pool *before = request_enter(req);
    for (size_t i = method->filter_count; i > 0; i--) {
        if (method->filters[i - 1].filter->unseen)
            run_noted(req, &method->filters[i - 1], &origin);
    }
    request_leave(before);
}
