/* Writing the slow log. See slow_line.h. */
#include "rpc/slow_line.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log_seldom.h"

#define FIELDS 20u

/* The values of a line, and the text of its numbers. */
struct line {
    struct log_field fields[FIELDS + 1];
    char texts[FIELDS][24];
    size_t count;
};

static void put_text(struct line *line, const char *name, struct bytes text)
{
    if (line->count < FIELDS)
        line->fields[line->count++] = (struct log_field){.name = name, .text = text};
}

static void put_number(struct line *line, const char *name, uint64_t number)
{
    if (line->count < FIELDS)
        line->fields[line->count++] = (struct log_field){.name = name, .number = (int64_t)number};
}

/* Milliseconds, with three digits behind the point. */
static void put_time(struct line *line, const char *name, uint64_t ns)
{
    char *text = line->texts[line->count % FIELDS];

    snprintf(text, sizeof(line->texts[0]), "%.3f", (double)ns / NS_PER_MS);
    if (line->count < FIELDS)
        line->fields[line->count++] =
            (struct log_field){.name = name, .text = bytes_of(text), .is_json = true};
}

static const char *message_of(const struct slow_request *request)
{
    const struct {
        uint64_t ns;
        const char *message;
    } parts[] = {
        {request->queued_ns, "slow request, most of its time queued"},
        {request->ran_ns, "slow request, most of its time in its handler"},
        {request->waited_ns, "slow request, most of its time waiting"},
        {request->sending_ns, "slow request, most of its time sending the reply"},
    };
    size_t most = 0;

    for (size_t i = 1; i < sizeof(parts) / sizeof(*parts); i++)
        most = parts[i].ns > parts[most].ns ? i : most;
    return parts[most].message;
}

/* What it was queued for, or behind which code. */
static void put_behind(struct line *line, const struct slow_request *request)
{
    if (request->reason != NULL) {
        put_text(line, "queued_for", bytes_of(request->reason));
    } else if (request->behind_ns != 0 && request->queued_ns >= NS_PER_MS) {
        put_text(line, "behind", bytes_of(request->behind));
        put_time(line, "behind_ms", request->behind_ns);
    }
}

void slow_line(const struct slow_request *request)
{
    struct line line = {.count = 0};

    put_text(&line, "method", request->method->name);
    put_time(&line, "total_ms",
             request->queued_ns + request->ran_ns + request->waited_ns + request->sending_ns);
    put_time(&line, "queued_ms", request->queued_ns);
    put_time(&line, "handler_ms", request->ran_ns);
    put_time(&line, "waiting_ms", request->waited_ns);
    put_time(&line, "sending_ms", request->sending_ns);
    put_behind(&line, request);
    put_text(&line, "peer", bytes_of(request->peer));
    put_text(&line, "protocol", bytes_of(request->protocol));
    put_text(&line, "id", bytes_of(request->id));
    put_number(&line, "request_bytes", request->request_bytes);
    put_number(&line, "reply_bytes", request->reply_bytes);
    if (request->code[0] != '\0')
        put_text(&line, "code", bytes_of(request->code));
    if (request->unsent)
        put_text(&line, "sent", BYTES("no"));
    if (request->trace[0] != '\0') {
        put_text(&line, "trace_id", traceparent_trace(request->trace));
        put_text(&line, "span_id", traceparent_span(request->trace));
    }
    log_seldom_fields(LOG_WARN_LEVEL, request->method, line.fields, message_of(request));
}
