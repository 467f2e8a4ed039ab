/* A filter that writes a line for each request: as JSON, or by a format of one's own.
 *
 *     server {
 *         filter access_log { path logs/access.log; }
 *         …
 *     }
 *
 * Lines are collected and written together. Each write is of whole lines, so lines of several
 * workers never mix. A file that logrotate has moved away is opened anew on SIGUSR1, or when the
 * move is noticed (output.h). */
#include <assert.h>
#include <errno.h>
#include <pillion/module.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../errno_text.h"
#include "output.h"

#define LINE_MAX_SIZE 8192u /* a longer line of a custom format is cut */
#define TEXT_MAX      256u  /* bytes of one text that are shown */

/* The ids in a `traceparent`. */
enum { TRACE_ID_AT = 3, TRACE_ID_SIZE = 32, SPAN_ID_AT = 36, SPAN_ID_SIZE = 16 };

/* A `filter access_log { … }` statement. */
struct log {
    const char *path;
    const char *format;
    uint64_t buffer_size, flush_ms;
    int64_t sample;
    uint64_t slow_ms;

    pillion_instance *self;
    struct output output;
    char *buffer;
    size_t used;
    pillion_handle flush; /* set while the buffer is not empty */
    uint64_t seen;        /* requests without an error */
    struct log *next;     /* of this worker's statements */
};

static const pillion_directive directives[] = {
    {.name = "path",
     .type = PILLION_PATH,
     .offset = offsetof(struct log, path),
     .required = true,
     .summary =
         "The file. It is created, and opened anew after it was moved away. It may be a FIFO or "
         "/dev/stdout: lines that its reader has no room for are lost, and counted in the "
         "server's log."},
    {.name = "format",
     .type = PILLION_STRING,
     .offset = offsetof(struct log, format),
     .fallback = "json",
     .summary =
         "`json`, or a line with $time, $peer, $method, $id, $status, $bytes_in, $bytes_out, "
         "$us, $worker and $generation in it, what a balancer tells of the client, $sni, $alpn and "
         "$cn, the $user that the filter `auth` has found, or the caller's trace, $trace_id and "
         "$span_id; $$ is a dollar."},
    {.name = "buffer",
     .type = PILLION_SIZE,
     .offset = offsetof(struct log, buffer_size),
     .fallback = "32k",
     .min = 0,
     .max = 16 << 20,
     .summary = "How much is collected before it is written; 0 writes every line at once."},
    {.name = "flush",
     .type = PILLION_TIME,
     .offset = offsetof(struct log, flush_ms),
     .fallback = "1s",
     .min = 1,
     .max = 3600000,
     .summary = "How long a line waits at most."},
    {.name = "sample",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct log, sample),
     .fallback = "1",
     .min = 1,
     .max = 1000000000,
     .summary = "One of so many requests is logged; those with errors always are."},
    {.name = "slow",
     .type = PILLION_TIME,
     .offset = offsetof(struct log, slow_ms),
     .fallback = "0",
     .min = 0,
     .max = 3600000,
     .summary = "Requests that took this long are logged whatever `sample` says; 0: none."},
    {0},
};

/* ---- Lines ---- */

struct line {
    char data[LINE_MAX_SIZE];
    size_t size;
};

static void put(struct line *line, const char *data, size_t size)
{
    size_t room = sizeof(line->data) - 1 - line->size; /* one byte is for the line's end */

    if (size > room)
        size = room;
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

__attribute__((format(printf, 2, 3))) static void putf(struct line *line, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(line, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

#define CUT "\xe2\x80\xa6" /* an ellipsis: there was more */

/* How many bytes of a text are shown: whole characters. */
static size_t shown(const char *text, size_t size)
{
    if (size <= TEXT_MAX)
        return size;
    size = TEXT_MAX;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

/* Appends text in the form that a log may hold (pillion_printable). */
static void put_printable(struct line *line, const char *text, size_t size)
{
    size_t room = sizeof(line->data) - 1 - line->size;

    line->size += pillion_printable((pillion_bytes){text, size}, line->data + line->size, room);
}

/* Appends a client's text. It is escaped, so that it cannot end its quotes or its line, and cut, so
 * that the fields behind it have room. */
static void put_escaped(struct line *line, const char *text, size_t size)
{
    size_t end = shown(text, size), start = 0;

    for (size_t i = 0; i < end; i++) {
        if (text[i] != '"' && text[i] != '\\')
            continue;
        put_printable(line, text + start, i - start);
        putf(line, "\\u%04x", (unsigned char)text[i]);
        start = i + 1;
    }
    put_printable(line, text + start, end - start);
    if (end < size)
        put(line, CUT, strlen(CUT));
}

struct variable {
    const char *name;
    bool is_text; /* quoted in JSON */
    void (*put)(struct line *line, pillion_request *req);
};

static void put_time(struct line *line, pillion_request *req)
{
    struct timespec now;
    struct tm utc;
    char text[32];

    (void)req;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    putf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void put_peer(struct line *line, pillion_request *req)
{
    const char *peer = pillion_peer(req);
    put_escaped(line, peer, strlen(peer));
}

/* Only in formats, where a word stands for nothing. */
static void put_told(struct line *line, pillion_request *req, const char *what)
{
    const char *name = pillion_peer_name(req, what);
    put_escaped(line, name == NULL ? "-" : name, name == NULL ? 1 : strlen(name));
}

static void put_sni(struct line *line, pillion_request *req)
{
    put_told(line, req, "sni");
}

static void put_alpn(struct line *line, pillion_request *req)
{
    put_told(line, req, "alpn");
}

static void put_cn(struct line *line, pillion_request *req)
{
    put_told(line, req, "cn");
}

/* The user that the filter `auth` has found. */
static void put_user(struct line *line, pillion_request *req)
{
    const char *user = pillion_value(req, "auth.user");
    put_escaped(line, user == NULL ? "-" : user, user == NULL ? 1 : strlen(user));
}

static void put_method(struct line *line, pillion_request *req)
{
    const char *name = pillion_method_name(req);
    put_escaped(line, name, strlen(name));
}

/* The size of the character or the escape that begins a piece of a JSON string. The two halves of a
 * surrogate pair are one. */
static size_t unit_size(const char *text)
{
    unsigned char c = (unsigned char)text[0];

    if (c == '\\' && text[1] == 'u')
        return (text[2] | 0x20) == 'd' && strchr("89abAB", text[3]) != NULL && text[6] == '\\' &&
                       text[7] == 'u'
                   ? 12
                   : 6;
    return c == '\\' ? 2 : c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Appends the request's id, a string or a number, as JSON that has been checked. A long one is cut
 * to a string that tells its length. */
static void put_id(struct line *line, pillion_request *req)
{
    pillion_bytes id = pillion_request_id(req);
    size_t end = 0, next;

    if (id.data == NULL) {
        put(line, "null", 4);
        return;
    }
    if (id.size <= TEXT_MAX) {
        put_printable(line, id.data, id.size);
        return;
    }
    const char *text = id.data + (id.data[0] == '"');
    while ((next = end + unit_size(text + end)) < TEXT_MAX)
        end = next;
    put(line, "\"", 1);
    put_printable(line, text, end);
    putf(line, CUT " (%zu bytes)\"", id.size);
}

static void put_status(struct line *line, pillion_request *req)
{
    const char *code = pillion_error_code(req);
    put_escaped(line, code == NULL ? "ok" : code, strlen(code == NULL ? "ok" : code));
}

static void put_bytes_in(struct line *line, pillion_request *req)
{
    putf(line, "%zu", pillion_body(req).size);
}

static void put_bytes_out(struct line *line, pillion_request *req)
{
    putf(line, "%zu", pillion_reply_size(req));
}

static void put_us(struct line *line, pillion_request *req)
{
    putf(line, "%llu", (unsigned long long)(pillion_elapsed_ns(req) / 1000));
}

static void put_worker(struct line *line, pillion_request *req)
{
    putf(line, "%d", pillion_worker(pillion_self(req)));
}

static void put_generation(struct line *line, pillion_request *req)
{
    putf(line, "%llu", (unsigned long long)pillion_generation(pillion_self(req)));
}

/* One of the ids in a `traceparent`. */
static void put_trace_part(struct line *line, pillion_request *req, size_t at, size_t size)
{
    const char *parent = pillion_traceparent(req);
    put(line, parent == NULL ? "-" : parent + at, parent == NULL ? 1 : size);
}

static void put_trace_id(struct line *line, pillion_request *req)
{
    put_trace_part(line, req, TRACE_ID_AT, TRACE_ID_SIZE);
}

static void put_span_id(struct line *line, pillion_request *req)
{
    put_trace_part(line, req, SPAN_ID_AT, SPAN_ID_SIZE);
}

/* In the order of the members in a JSON line. */
static const struct variable variables[] = {
    {"time", true, put_time},
    {"peer", true, put_peer},
    {"method", true, put_method},
    {"id", false, put_id},
    {"status", true, put_status},
    {"bytes_in", false, put_bytes_in},
    {"bytes_out", false, put_bytes_out},
    {"us", false, put_us},
    {"worker", false, put_worker},
    {"generation", false, put_generation},
#define IN_JSON 10u /* the others are for formats alone */
    {"sni", true, put_sni},
    {"alpn", true, put_alpn},
    {"cn", true, put_cn},
    {"trace_id", true, put_trace_id},
    {"span_id", true, put_span_id},
    {"user", true, put_user},
    {0},
};

/* The variable with the longest name that `text` begins with, or NULL. */
static const struct variable *variable_at(const char *text)
{
    const struct variable *found = NULL;

    for (const struct variable *v = variables; v->name != NULL; v++) {
        size_t size = strlen(v->name);
        if (strncmp(text, v->name, size) == 0 && (found == NULL || size > strlen(found->name)))
            found = v;
    }
    return found;
}

/* Each text has at most TEXT_MAX bytes, and each byte becomes at most six, as in \u0000: escapes of
 * longer characters take fewer for each byte. Everything else in a line takes at most 512. */
static_assert(4 * 6 * TEXT_MAX + 512 < LINE_MAX_SIZE, "a line of JSON is whole");

/* A trace has names that viewers of logs know: those of OpenTelemetry's "Trace Context in non-OTLP
 * Log Formats". */
static void put_trace(struct line *line, const char *parent)
{
    putf(line, ",\"trace_id\":\"%.*s\",\"span_id\":\"%.*s\"", TRACE_ID_SIZE, parent + TRACE_ID_AT,
         SPAN_ID_SIZE, parent + SPAN_ID_AT);
}

static void put_json(struct line *line, pillion_request *req)
{
    for (const struct variable *v = variables; v < variables + IN_JSON; v++) {
        putf(line, "%s\"%s\":%s", v == variables ? "{" : ",", v->name, v->is_text ? "\"" : "");
        v->put(line, req);
        if (v->is_text)
            put(line, "\"", 1);
    }
    const char *parent = pillion_traceparent(req);
    if (parent != NULL)
        put_trace(line, parent);
    put(line, "}", 1);
}

static void put_format(struct line *line, pillion_request *req, const char *format)
{
    for (const char *p = format; *p != '\0'; p++) {
        const struct variable *variable = *p == '$' ? variable_at(p + 1) : NULL;
        if (variable != NULL) {
            variable->put(line, req);
            p += strlen(variable->name);
        } else {
            put(line, p, 1);
            p += p[0] == '$' && p[1] == '$';
        }
    }
}

static int check_format(const char *format, pillion_error_text *error)
{
    for (const char *p = format; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20)
            return pillion_error(error, "the format holds a control character");
        if (*p != '$')
            continue;
        const struct variable *variable = variable_at(p + 1);
        if (variable == NULL && p[1] != '$')
            return pillion_error(
                error,
                "the format has an unknown variable at \"%.20s\"; there are $time, "
                "$peer, $method, $id, $status, $bytes_in, $bytes_out, $us, $worker, "
                "$generation, $sni, $alpn, $cn, $trace_id, $span_id, and $$ for a dollar",
                p);
        p += variable == NULL ? 1 : strlen(variable->name);
    }
    return 0;
}

/* ---- The buffer ---- */

static void flush(struct log *log)
{
    pillion_cancel(log->flush);
    log->flush = 0;
    if (log->used > 0)
        output_write(&log->output, log->buffer, log->used);
    log->used = 0;
}

static void flush_due(pillion_instance *self, void *data)
{
    (void)self;
    flush(data);
}

static void add_line(struct log *log, struct line *line)
{
    if (log->used + line->size > log->buffer_size)
        flush(log);
    if (line->size > log->buffer_size) {
        output_write(&log->output, line->data, line->size);
        return;
    }
    memcpy(log->buffer + log->used, line->data, line->size);
    log->used += line->size;
    if (log->flush == 0)
        log->flush = pillion_timer(log->self, log->flush_ms, 0, flush_due, log);
}

/* ---- The filter ---- */

static bool is_wanted(struct log *log, pillion_request *req)
{
    if (pillion_error_code(req) != NULL)
        return true;
    if (log->slow_ms != 0 && pillion_elapsed_ns(req) / 1000000 >= log->slow_ms)
        return true;
    return log->seen++ % (uint64_t)log->sample == 0;
}

static void after(pillion_request *req)
{
    struct log *log = pillion_filter_config(req);
    struct line line; /* not zeroed: it is large */

    line.size = 0;
    if (!is_wanted(log, req))
        return;
    if (strcmp(log->format, "json") == 0)
        put_json(&line, req);
    else
        put_format(&line, req, log->format);
    line.data[line.size++] = '\n';
    add_line(log, &line);
}

static int start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct log *log = config;

    log->self = self;
    if (strcmp(log->format, "json") != 0 && check_format(log->format, error) != 0)
        return -1;
    if (!output_open(&log->output, self, log->path))
        return pillion_error(error, "cannot open %s: %s", log->path, errno_text(errno).text);
    log->next = pillion_state(self);
    pillion_set_state(self, log);
    log->buffer = malloc(log->buffer_size == 0 ? 1 : log->buffer_size);
    return log->buffer == NULL ? pillion_error(error, "out of memory") : 0;
}

static void stop(pillion_instance *self, void *config)
{
    struct log *log = config;

    (void)self;
    flush(log);
    output_close(&log->output);
    free(log->buffer);
}

static int reopen(pillion_instance *self, pillion_error_text *error)
{
    int status = 0;

    for (struct log *log = pillion_state(self); log != NULL; log = log->next) {
        flush(log);
        if (output_open_anew(&log->output))
            continue;
        /* The first error goes to the caller, which logs it; later ones are logged here. */
        if (status == 0)
            status = pillion_error(error, CANNOT_REOPEN, log->path, errno_text(errno).text);
        else
            pillion_log(self, PILLION_LOG_ERROR, CANNOT_REOPEN, log->path, errno_text(errno).text);
    }
    return status;
}

static const pillion_filter filters[] = {
    {.name = "access_log",
     .after = after,
     .start = start,
     .stop = stop,
     .summary = "Writes a line for each request.",
     .directives = directives,
     .config_size = sizeof(struct log),
     .unseen = true},
    {0},
};

PILLION_MODULE(.name = "access_log", .version = "1.0.0",
               .summary = "A filter that writes a line for each request.", .filters = filters,
               .reopen = reopen, .needs = PILLION_NEEDS_FILES);
