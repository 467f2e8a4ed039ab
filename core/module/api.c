/* The functions of <pillion/module.h>, which modules call. Their documentation is there.
 *
 * Each is a thin layer over rpc/; exports.list names them for the linker. */
#include <pillion/module.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/printable.h"
#include "base/sink.h"
#include "module/api.h"
#include "module/hook_error.h"
#include "rpc/callback.h"
#include "rpc/introspect.h"
#include "rpc/metric.h"
#include "rpc/offload.h"
#include "rpc/openrpc.h"
#include "rpc/request.h"
#include "rpc/zone.h"

/* True on the loop's thread. Functions that take a request, a token or a handle may be called only
 * there, since a handler's request is on the loop's stack: on other threads they do nothing, return
 * nothing, and are logged. */
static inline bool on_loop(const char *function)
{
    return offload_loop_thread || offload_on_loop(function);
}

/* ---- The request ---- */

PILLION_EXPORT pillion_bytes pillion_params_raw(const pillion_request *req)
{
    if (!on_loop(__func__))
        return (pillion_bytes){NULL, 0};
    return (pillion_bytes){req->params.data, req->params.size};
}

PILLION_EXPORT const cJSON *pillion_params(pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return request_params(req);
}

PILLION_EXPORT void *pillion_method_config(const pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return req->method->config;
}

PILLION_EXPORT bool pillion_idempotent(const pillion_request *req)
{
    if (!on_loop(__func__))
        return false;
    return req->method->idempotent;
}

PILLION_EXPORT const char *pillion_method_name(const pillion_request *req)
{
    if (!on_loop(__func__))
        return "";
    return req->method->name.data;
}

PILLION_EXPORT pillion_bytes pillion_member(const pillion_request *req, const char *name)
{
    if (!on_loop(__func__))
        return (pillion_bytes){NULL, 0};
    if (req->format == ENVELOPE_BARE) /* its body is its params */
        return (pillion_bytes){NULL, 0};
    struct bytes value = envelope_member(req->body, bytes_of(name));
    return (pillion_bytes){value.data, value.size};
}

PILLION_EXPORT pillion_bytes pillion_header(const pillion_request *req, const char *name)
{
    if (!on_loop(__func__))
        return (pillion_bytes){NULL, 0};
    struct bytes value = http_find(req->head, name);
    return (pillion_bytes){value.data, value.size};
}

PILLION_EXPORT pillion_bytes pillion_body(const pillion_request *req)
{
    if (!on_loop(__func__))
        return (pillion_bytes){NULL, 0};
    return (pillion_bytes){req->body.data, req->body.size};
}

PILLION_EXPORT pillion_bytes pillion_request_id(const pillion_request *req)
{
    if (!on_loop(__func__))
        return (pillion_bytes){NULL, 0};
    return (pillion_bytes){req->id.data, req->id.size};
}

PILLION_EXPORT const char *pillion_peer(const pillion_request *req)
{
    if (!on_loop(__func__))
        return "";
    return request_peer((pillion_request *)(uintptr_t)req);
}

PILLION_EXPORT const char *pillion_peer_name(const pillion_request *req, const char *what)
{
    return on_loop(__func__) ? request_peer_name(req, what) : NULL;
}

PILLION_EXPORT pillion_instance *pillion_self(const pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return req->filter != NULL ? req->filter->instance : req->method->instance;
}

PILLION_EXPORT uint64_t pillion_deadline_ms(const pillion_request *req)
{
    if (!on_loop(__func__))
        return 0;
    uint64_t due_ns = deferred_due_ns(req), now_ns = clock_ns();
    if (due_ns == 0)
        return UINT64_MAX;
    return due_ns > now_ns ? (due_ns - now_ns) / NS_PER_MS : 0;
}

PILLION_EXPORT void *pillion_alloc(pillion_request *req, size_t size)
{
    return on_loop(__func__) ? pool_alloc(req->pool, size) : NULL;
}

/* ---- The reply ---- */

/* Replies must be strict JSON. The limits on requests do not apply to them. */
static const struct json_limits reply_limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};

static bool check_result(pillion_request *req, struct bytes result)
{
    struct json_error error = {.reason = "there are no bytes"};

    if (result.data != NULL && json_check(result, &reply_limits, &error))
        return true;
    log_seldom(LOG_ERROR_LEVEL, req->method,
               "module %s: \"%s\" replied with bytes that are not valid JSON: %s, at byte %zu",
               pillion_self(req)->name, req->method->own_name, error.reason, error.offset);
    request_fail(req, PILLION_INTERNAL_ERROR,
                 "\"%s\" replied with invalid JSON (module %s): %s, at byte %zu of the result",
                 req->method->own_name, pillion_self(req)->name, error.reason, error.offset);
    return false;
}

PILLION_EXPORT void pillion_reply(pillion_request *req, const char *out, cJSON *result)
{
    if (!on_loop(__func__))
        return;
    char *text = result == NULL ? NULL : cJSON_PrintUnformatted(result);

    if (text == NULL)
        request_fail(req, PILLION_INTERNAL_ERROR, "no memory to build the reply");
    else if (check_result(req, bytes_of(text)))
        request_reply(req, out, bytes_of(text));
    cJSON_free(text);
    cJSON_Delete(result);
}

PILLION_EXPORT void pillion_reply_raw(pillion_request *req, const char *out, pillion_bytes result)
{
    struct bytes bytes = {result.data, result.size};

    if (!on_loop(__func__))
        return;
    /* The request's own params were checked when they came. */
    bool own = bytes.data == req->params.data && bytes.size == req->params.size;

    if (own || check_result(req, bytes))
        request_reply(req, out, bytes);
}

PILLION_EXPORT void pillion_fail(pillion_request *req, const char *code, const char *format, ...)
{
    va_list args;

    if (!on_loop(__func__))
        return;
    va_start(args, format);
    request_fail_v(req, code == NULL ? PILLION_INTERNAL_ERROR : code, format, args);
    va_end(args);
}

PILLION_EXPORT void pillion_fail_retry(pillion_request *req, const char *code, uint64_t retry_ms,
                                       const char *format, ...)
{
    va_list args;

    if (!on_loop(__func__))
        return;
    va_start(args, format);
    request_fail_retry(req, code == NULL ? PILLION_INTERNAL_ERROR : code, retry_ms, format, args);
    va_end(args);
}

PILLION_EXPORT void pillion_fail_raw(pillion_request *req, const char *code, pillion_bytes result)
{
    struct bytes bytes = {result.data, result.size};

    if (on_loop(__func__) && check_result(req, bytes))
        request_fail_raw(req, code == NULL ? PILLION_INTERNAL_ERROR : code, bytes);
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

PILLION_EXPORT bool pillion_rerunnable(pillion_token token, bool rerunnable)
{
    return on_loop(__func__) && deferred_rerunnable(deferreds, token, rerunnable);
}

PILLION_EXPORT void pillion_offload(pillion_request *req, uint64_t timeout_ms,
                                    void (*work)(void *data),
                                    void (*done)(pillion_request *req, void *data), void *data)
{
    if (on_loop(__func__))
        offload_request(req, timeout_ms, work, done, data);
}

PILLION_EXPORT bool pillion_post(pillion_instance *self,
                                 void (*callback)(pillion_instance *self, void *data), void *data)
{
    return offload_post(self, callback, data);
}

PILLION_EXPORT pillion_handle pillion_timer(pillion_instance *self, uint64_t after_ms,
                                            uint64_t every_ms,
                                            void (*callback)(pillion_instance *self, void *data),
                                            void *data)
{
    if (!on_loop(__func__))
        return 0;
    return callback_timer(self, after_ms, every_ms, callback, data);
}

PILLION_EXPORT pillion_handle pillion_watch(pillion_instance *self, int fd, unsigned events,
                                            void (*callback)(pillion_instance *self, int fd,
                                                             unsigned events, void *data),
                                            void *data)
{
    if (!on_loop(__func__))
        return 0;
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

/* ---- Filters ---- */

PILLION_EXPORT void *pillion_filter_config(const pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return req->filter == NULL ? NULL : req->filter->config;
}

PILLION_EXPORT const char *pillion_error_code(const pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return req->failed ? req->code : NULL;
}

PILLION_EXPORT size_t pillion_reply_size(const pillion_request *req)
{
    if (!on_loop(__func__))
        return 0;
    return req->size;
}

PILLION_EXPORT uint64_t pillion_elapsed_ns(const pillion_request *req)
{
    if (!on_loop(__func__))
        return 0;
    return req->started_ns == 0 ? 0 : clock_ns() - req->started_ns;
}

/* ---- The module ---- */

PILLION_EXPORT const void *pillion_config(const pillion_instance *self)
{
    return self->config;
}

PILLION_EXPORT void pillion_set_state(pillion_instance *self, void *state)
{
    self->state = state;
}

PILLION_EXPORT void *pillion_state(const pillion_instance *self)
{
    return self->state;
}

PILLION_EXPORT int pillion_worker(const pillion_instance *self)
{
    return self->worker;
}

PILLION_EXPORT int pillion_worker_count(const pillion_instance *self)
{
    return self->worker_count;
}

PILLION_EXPORT uint64_t pillion_generation(const pillion_instance *self)
{
    return self->generation;
}

PILLION_EXPORT int pillion_error(pillion_error_text *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return -1;
}

static enum log_level own_level(pillion_log_level level)
{
    return level <= PILLION_LOG_DEBUG ? (enum log_level)level : LOG_INFO_LEVEL;
}

PILLION_EXPORT void pillion_log(const pillion_instance *self, pillion_log_level level,
                                const char *format, ...)
{
    enum log_level own = own_level(level);
    char text[4096];
    va_list args;

    if (!log_enabled(own))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_write(own, "%s: %s", self->name, text);
}

PILLION_EXPORT void pillion_log_request(const pillion_request *req, pillion_log_level level,
                                        const pillion_log_field *fields, const char *format, ...)
{
    enum log_level own = own_level(level);
    struct log_field all[LOG_FIELDS_MAX + 4];
    struct text message = {0};
    size_t count = 0;
    va_list args;

    if (!on_loop(__func__) || !log_enabled(own))
        return;
    text_printf(&message, "%s: ", pillion_self(req)->name);
    va_start(args, format);
    text_vprintf(&message, format, args);
    va_end(args);
    all[count++] = (struct log_field){.name = "method", .text = req->method->name};
    all[count++] = (struct log_field){.name = "peer", .text = bytes_of(pillion_peer(req))};
    if (req->id.data != NULL)
        all[count++] = (struct log_field){.name = "id", .text = req->id, .is_json = true};
    for (size_t i = 0; fields != NULL && fields[i].name != NULL && i < LOG_FIELDS_MAX; i++)
        all[count++] = (struct log_field){.name = fields[i].name,
                                          .text = fields[i].text == NULL ? (struct bytes){NULL, 0}
                                                                         : bytes_of(fields[i].text),
                                          .number = fields[i].number};
    all[count] = (struct log_field){.name = NULL};
    log_write_fields(own, all, text_string(&message));
    text_free(&message);
}

PILLION_EXPORT long pillion_write_now(int fd, const void *data, size_t size)
{
    return sink_write(fd, sink_manner_of(fd), data, size);
}

PILLION_EXPORT size_t pillion_printable(pillion_bytes text, char *to, size_t room)
{
    struct bytes rest = {text.data, text.size};
    char shown[PRINTABLE_SIZE];
    size_t used = 0;

    while (rest.size > 0) {
        size_t size = printable_next(rest, shown);
        struct bytes next = shown[0] == '\0' ? (struct bytes){rest.data, size} : bytes_of(shown);
        if (next.size > room - used)
            break;
        memcpy(to + used, next.data, next.size);
        used += next.size;
        rest = (struct bytes){rest.data + size, rest.size - size};
    }
    return used;
}

/* ---- Metrics, memory, JSON ---- */

PILLION_EXPORT void pillion_count(pillion_instance *self, unsigned metric, int64_t amount)
{
    if (metric >= self->cell_count - MODULE_METRICS)
        log_seldom(LOG_ERROR_LEVEL, self,
                   "module %s counts in a metric that it does not have: row %u", self->name,
                   metric);
    else
        metric_add(self, MODULE_METRICS + metric, amount);
}

PILLION_EXPORT void *pillion_malloc(pillion_instance *self, size_t size)
{
    return metric_realloc(self, NULL, size);
}

PILLION_EXPORT void *pillion_realloc(pillion_instance *self, void *block, size_t size)
{
    return metric_realloc(self, block, size);
}

PILLION_EXPORT void pillion_free(pillion_instance *self, void *block)
{
    metric_free(self, block);
}

PILLION_EXPORT bool pillion_json_check(pillion_bytes text)
{
    struct json_error error;
    return text.data != NULL &&
           json_check((struct bytes){text.data, text.size}, &reply_limits, &error);
}

PILLION_EXPORT pillion_bytes pillion_json_member(pillion_bytes object, const char *name)
{
    struct bytes value = envelope_member((struct bytes){object.data, object.size}, bytes_of(name));
    return (pillion_bytes){value.data, value.size};
}

PILLION_EXPORT long pillion_json_string(pillion_bytes text, char *to, size_t room)
{
    long size = room == 0 || !pillion_json_check(text)
                    ? -1
                    : json_string_text((struct bytes){text.data, text.size}, to, room - 1);

    if (size >= 0)
        to[size] = '\0';
    return size;
}

/* ---- Zones ---- */

PILLION_EXPORT pillion_zone *pillion_zone_open(pillion_instance *self, const char *name)
{
    (void)self;
    return zone_find(name);
}

PILLION_EXPORT bool pillion_zone_update(pillion_zone *zone, const void *key, size_t key_size,
                                        uint64_t ttl_ms, size_t value_size,
                                        void (*update)(void *value, bool fresh, void *data),
                                        void *data)
{
    return zone_update(zone, key, key_size, ttl_ms, value_size, update, data);
}

PILLION_EXPORT long pillion_zone_get(pillion_zone *zone, const void *key, size_t key_size,
                                     void *value, size_t room)
{
    return zone_get(zone, key, key_size, value, room);
}

PILLION_EXPORT bool pillion_zone_set(pillion_zone *zone, const void *key, size_t key_size,
                                     const void *value, size_t value_size, uint64_t ttl_ms)
{
    return zone_set(zone, key, key_size, value, value_size, ttl_ms);
}

static void add_to(void *value, bool fresh, void *data)
{
    int64_t *sum = value, *delta = data;

    (void)fresh;
    *sum += *delta;
    *delta = *sum;
}

PILLION_EXPORT int64_t pillion_zone_add(pillion_zone *zone, const void *key, size_t key_size,
                                        int64_t delta, uint64_t ttl_ms)
{
    return zone_update(zone, key, key_size, ttl_ms, sizeof(delta), add_to, &delta) ? delta : 0;
}

PILLION_EXPORT void pillion_zone_delete(pillion_zone *zone, const void *key, size_t key_size)
{
    zone_delete(zone, key, key_size);
}

/* ---- The server ---- */

PILLION_EXPORT cJSON *pillion_server_methods(pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return introspect_methods(req->introspect);
}

PILLION_EXPORT cJSON *pillion_server_describe(pillion_request *req, const char *method)
{
    if (!on_loop(__func__))
        return NULL;
    return introspect_describe(req->introspect, method);
}

PILLION_EXPORT cJSON *pillion_server_health(pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return introspect_health(req->introspect);
}

PILLION_EXPORT cJSON *pillion_server_openrpc(pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return openrpc_document(req->introspect, http_find(req->head, "host"));
}

PILLION_EXPORT cJSON *pillion_server_stats(pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return introspect_stats(req->introspect);
}
