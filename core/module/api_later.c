/* The functions of <pillion/module.h> for answering later, threads, timers and descriptors. See
 * api.c. */
#include <errno.h>
#include <pillion/module.h>

#include "module/api.h"
#include "module/api_loop.h"
#include "rpc/belongings.h"
#include "rpc/callback.h"
#include "rpc/inner.h"
#include "rpc/note.h"

/* True with a function to call. Without one the module has made a mistake, which would crash the
 * worker later, where nobody could tell whose it was. */
static bool has_call(const char *function, bool given)
{
    if (!given)
        note_misuse(function, "without a function to call");
    return given;
}

/* ---- Answering later ---- */

/* This process's deferred requests: functions that take a token have no other way to them. */
static struct deferreds *deferreds;

void api_start(struct deferreds *all)
{
    deferreds = all;
}

PILLION_EXPORT pillion_token pillion_defer(pillion_request *req, uint64_t timeout_ms)
{
    if (!on_loop(__func__))
        return 0;
    return deferred_begin(req, timeout_ms);
}

PILLION_EXPORT pillion_request *pillion_resume(pillion_token token)
{
    return on_loop(__func__) ? deferred_resume(deferreds, token) : NULL;
}

PILLION_EXPORT bool pillion_on_cancel(pillion_token token, void (*cancelled)(void *data),
                                      void *data)
{
    return on_loop(__func__) && deferred_on_cancel(deferreds, token, cancelled, data);
}

PILLION_EXPORT bool pillion_on_end(pillion_request *req, void (*ended)(void *data), void *data)
{
    return on_loop(__func__) && has_call(__func__, ended != NULL) &&
           request_on_end(req, ended, data);
}

PILLION_EXPORT bool pillion_end_with(pillion_request *req, pillion_handle handle)
{
    return on_loop(__func__) && request_end_with(req, handle);
}

PILLION_EXPORT bool pillion_work_cancelled(void)
{
    return offload_cancelled();
}

PILLION_EXPORT bool pillion_rerunnable(pillion_token token, bool rerunnable)
{
    return on_loop(__func__) && deferred_rerunnable(deferreds, token, rerunnable);
}

PILLION_EXPORT void pillion_offload(pillion_request *req, uint64_t timeout_ms,
                                    void (*work)(void *data),
                                    void (*done)(pillion_request *req, void *data), void *data)
{
    if (!on_loop(__func__))
        return;
    if (has_call(__func__, work != NULL && done != NULL))
        offload_request(req, timeout_ms, work, done, data);
    else
        request_fail(req, PILLION_INTERNAL_ERROR, "the method could not begin its work");
}

struct called {
    void (*done)(pillion_request *req, const char *code, pillion_bytes result, void *data);
    void *data;
};

static void called_back(pillion_request *req, const char *code, struct bytes result, void *data)
{
    const struct called *called = data;
    called->done(req, code, (pillion_bytes){result.data, result.size}, called->data);
}

PILLION_EXPORT void pillion_call(pillion_request *req, const char *method, pillion_bytes params,
                                 void (*done)(pillion_request *req, const char *code,
                                              pillion_bytes result, void *data),
                                 void *data)
{
    if (!on_loop(__func__))
        return;
    if (!has_call(__func__, method != NULL && done != NULL)) {
        request_fail(req, PILLION_INTERNAL_ERROR, "the method could not call another one");
        return;
    }
    struct called *called = pool_alloc(req->pool, sizeof(*called));
    if (called == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory to call \"%s\"", method);
        return;
    }
    *called = (struct called){done, data};
    inner_call(req, method, (struct bytes){params.data, params.size}, called_back, called);
}

PILLION_EXPORT bool pillion_run(pillion_instance *self, void (*work)(void *data),
                                void (*done)(pillion_instance *self, void *data), void *data)
{
    return on_loop(__func__) && has_call(__func__, work != NULL) &&
           offload_run(self, work, done, data);
}

PILLION_EXPORT bool pillion_post(pillion_instance *self,
                                 void (*callback)(pillion_instance *self, void *data), void *data)
{
    if (callback == NULL)
        note_misuse(__func__, "without a function to call");
    return callback != NULL && offload_post(self, callback, data);
}

PILLION_EXPORT pillion_handle pillion_timer(pillion_instance *self, uint64_t after_ms,
                                            uint64_t every_ms,
                                            void (*callback)(pillion_instance *self, void *data),
                                            void *data)
{
    if (!on_loop(__func__) || !has_call(__func__, callback != NULL))
        return 0;
    return callback_timer(self, after_ms, every_ms, callback, data);
}

PILLION_EXPORT pillion_handle pillion_server_timer(pillion_instance *self, uint64_t every_ms,
                                                   void (*callback)(pillion_instance *self,
                                                                    void *data),
                                                   void *data)
{
    return on_loop(__func__) && has_call(__func__, callback != NULL)
               ? callback_server_timer(self, every_ms, callback, data)
               : 0;
}

PILLION_EXPORT pillion_handle pillion_watch(pillion_instance *self, int fd, unsigned events,
                                            void (*callback)(pillion_instance *self, int fd,
                                                             unsigned events, void *data),
                                            void *data)
{
    if (!on_loop(__func__) || !has_call(__func__, callback != NULL)) {
        errno = EINVAL;
        return 0;
    }
    return callback_watch(self, fd, events, callback, data);
}

PILLION_EXPORT bool pillion_watch_change(pillion_handle handle, unsigned events)
{
    return on_loop(__func__) && callback_change(handle, events);
}

PILLION_EXPORT void pillion_cancel(pillion_handle handle)
{
    if (on_loop(__func__))
        callback_cancel(handle);
}
