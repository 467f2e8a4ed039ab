/* The functions of <pillion/module.h>, which modules call. Their documentation is there.
 *
 * Each is a thin layer over rpc/; exports.list names them for the linker. Here are those of
 * requests and replies, and of the server; api_later.c has those of answering later, api_module.c
 * those of the module in its process, api_zone.c those of zones. */
#include <pillion/module.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_escape.h"
#include "base/log_seldom.h"
#include "module/api_loop.h"
#include "rpc/belongings.h"
#include "rpc/conn_values.h"
#include "rpc/introspect.h"
#include "rpc/openrpc.h"
#include "rpc/param_write.h"
#include "rpc/request.h"
#include "rpc/result.h"
#include "rpc/trace.h"
#include "rpc/validate.h"
#include "wire/json_read.h"
#include "wire/number.h"

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

PILLION_EXPORT const void *pillion_args(const pillion_request *req)
{
    return on_loop(__func__) ? req->args : NULL;
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

PILLION_EXPORT const char *pillion_traceparent(const pillion_request *req)
{
    char parent[TRACEPARENT_SIZE + 1];

    if (!on_loop(__func__) || !trace_parent(req, parent))
        return NULL;
    char *copy = pool_alloc(req->pool, sizeof(parent));
    return copy == NULL ? NULL : memcpy(copy, parent, sizeof(parent));
}

PILLION_EXPORT const char *pillion_tracestate(const pillion_request *req)
{
    return on_loop(__func__) ? trace_state(req) : NULL;
}

PILLION_EXPORT pillion_instance *pillion_self(const pillion_request *req)
{
    if (!on_loop(__func__))
        return NULL;
    return request_instance(req);
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

PILLION_EXPORT bool pillion_set_value(pillion_request *req, const char *key, void *value)
{
    return on_loop(__func__) && request_set_value(req, key, value);
}

PILLION_EXPORT void *pillion_value(const pillion_request *req, const char *key)
{
    return on_loop(__func__) ? request_value(req, key) : NULL;
}

PILLION_EXPORT bool pillion_conn_set(pillion_request *req, const char *key, void *value,
                                     void (*ended)(pillion_instance *self, void *value,
                                                   pillion_conn_end why))
{
    return on_loop(__func__) && conn_values_set(req, key, value, ended);
}

PILLION_EXPORT void *pillion_conn_get(const pillion_request *req, const char *key)
{
    return on_loop(__func__) ? conn_values_get(req, key) : NULL;
}

PILLION_EXPORT bool pillion_conn_moved(const pillion_request *req)
{
    return on_loop(__func__) && conn_values_connection(req).moved;
}

PILLION_EXPORT uint64_t pillion_conn_id(const pillion_request *req)
{
    return on_loop(__func__) ? conn_values_connection(req).id : 0;
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
    else if (check_result(req, bytes_of(text)) && validate_result(req, bytes_of(text)))
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

    if ((own || check_result(req, bytes)) && validate_result(req, bytes))
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

/* ---- The reply, written as it goes ---- */

PILLION_EXPORT void pillion_begin_object(pillion_request *req, const char *name)
{
    if (on_loop(__func__))
        result_begin(req, name, false);
}

PILLION_EXPORT void pillion_begin_array(pillion_request *req, const char *name)
{
    if (on_loop(__func__))
        result_begin(req, name, true);
}

PILLION_EXPORT void pillion_end(pillion_request *req)
{
    if (on_loop(__func__))
        result_end(req);
}

PILLION_EXPORT void pillion_put_string(pillion_request *req, const char *name, const char *value)
{
    if (on_loop(__func__))
        result_put_text(req, name, value == NULL ? (struct bytes){NULL, 0} : bytes_of(value));
}

PILLION_EXPORT void pillion_put_text(pillion_request *req, const char *name, pillion_bytes value)
{
    if (on_loop(__func__))
        result_put_text(req, name, (struct bytes){value.data, value.size});
}

PILLION_EXPORT void pillion_put_bytes(pillion_request *req, const char *name, pillion_bytes value)
{
    if (on_loop(__func__))
        result_put_base64(req, name, (struct bytes){value.data, value.size});
}

PILLION_EXPORT void pillion_put_integer(pillion_request *req, const char *name, int64_t value)
{
    if (on_loop(__func__))
        result_put_integer(req, name, value);
}

PILLION_EXPORT void pillion_put_number(pillion_request *req, const char *name, double value)
{
    if (on_loop(__func__))
        result_put_number(req, name, value);
}

PILLION_EXPORT void pillion_put_flag(pillion_request *req, const char *name, bool value)
{
    if (on_loop(__func__))
        result_put_json(req, name, value ? BYTES("true") : BYTES("false"));
}

PILLION_EXPORT void pillion_put_null(pillion_request *req, const char *name)
{
    if (on_loop(__func__))
        result_put_json(req, name, BYTES("null"));
}

PILLION_EXPORT void pillion_put_json(pillion_request *req, const char *name, pillion_bytes value)
{
    if (!on_loop(__func__))
        return;
    if (!pillion_json_check(value))
        result_wrong(req, "what pillion_put_json was given is not valid JSON");
    result_put_json(req, name, (struct bytes){value.data, value.size});
}

PILLION_EXPORT void pillion_put_struct(pillion_request *req, const char *name,
                                       const pillion_param *table, const void *structure)
{
    if (on_loop(__func__))
        param_put(req, name, table, structure);
}

PILLION_EXPORT void pillion_reply_struct(pillion_request *req, const char *out,
                                         const void *structure)
{
    if (on_loop(__func__))
        param_reply(req, out, structure);
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

/* ---- JSON text ---- */

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

PILLION_EXPORT long pillion_json_quote(pillion_bytes text, char *to, size_t room)
{
    struct bytes bytes = {text.data, text.size};
    size_t size = json_escape(bytes, NULL, SIZE_MAX);

    if (room < size + 3)
        return -1;
    to[0] = '"';
    json_escape(bytes, to + 1, size);
    memcpy(to + 1 + size, "\"", 2);
    return (long)size + 2;
}

PILLION_EXPORT bool pillion_json_integer(pillion_bytes text, int64_t *value)
{
    const char *end = text.data + text.size;

    if (!pillion_json_check(text))
        return false;
    const char *number = json_read_space(text.data), *past = number_end(number, end);
    return past > number &&
           number_integer((struct bytes){number, (size_t)(past - number)}, value) == NUMBER_WHOLE;
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
