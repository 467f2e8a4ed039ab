/* The functions of <pillion/module.h> for the module in its process: its configuration, log,
 * metrics and memory. See api.c. */
#include <math.h>
#include <pillion/module.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log_seldom.h"
#include "base/printable.h"
#include "base/sink.h"
#include "module/api_loop.h"
#include "module/hook_error.h"
#include "rpc/metric.h"
#include "rpc/request.h"
#include "rpc/trace.h"

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

PILLION_EXPORT int pillion_error_at(pillion_error_text *error, const char *directive,
                                    const char *format, ...)
{
    va_list args;

    snprintf(error->at, sizeof(error->at), "%s", directive);
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
    struct log_field all[LOG_FIELDS_MAX + 6];
    char trace[TRACEPARENT_SIZE + 1];
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
    if (trace_parent(req, trace)) {
        all[count++] = (struct log_field){.name = "trace_id", .text = traceparent_trace(trace)};
        all[count++] = (struct log_field){.name = "span_id", .text = traceparent_span(trace)};
    }
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

/* ---- Metrics and memory ---- */

PILLION_EXPORT void pillion_count(pillion_instance *self, unsigned metric, int64_t amount)
{
    if (metric >= self->metric_count)
        log_seldom(LOG_ERROR_LEVEL, self,
                   "module %s counts in a metric that it does not have: row %u", self->name,
                   metric);
    else if (metric_histogram_of(self, metric) != NULL)
        log_seldom(LOG_ERROR_LEVEL, self,
                   "module %s counts in a histogram, which takes values by pillion_observe: row %u",
                   self->name, metric);
    else
        metric_add(self, MODULE_METRICS + metric, amount);
}

PILLION_EXPORT void pillion_observe(pillion_instance *self, unsigned metric, double value)
{
    if (metric_histogram_of(self, metric) == NULL)
        log_seldom(LOG_ERROR_LEVEL, self,
                   "module %s observes in a metric that is no histogram of its own: row %u",
                   self->name, metric);
    else if (!isfinite(value))
        log_seldom(LOG_ERROR_LEVEL, self,
                   "module %s observes %g in row %u of its metrics: no finite number", self->name,
                   value, metric);
    else
        metric_observe(self, metric, value);
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
