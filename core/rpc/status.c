/* Answering people and programs that watch. See status.h. */
#include "rpc/status.h"

#include "base/json_escape.h"
#include "rpc/call.h"
#include "rpc/exposition.h"
#include "rpc/introspect.h"
#include "rpc/overview.h"
#include "rpc/page.h"
#include "rpc/stream.h"
#include "wire/http_reply.h"

#define PATH_METRICS BYTES("/metrics")
#define PATH_PAGE    BYTES("/")
#define PATH_EVENTS  BYTES("/status/events")
#define PATH_METHODS BYTES("/status/methods")

bool status_is_metrics(struct bytes path)
{
    return bytes_equal(path, PATH_METRICS);
}

bool status_is_page(struct bytes path)
{
    return bytes_equal(path, PATH_PAGE);
}

bool status_has(struct bytes path)
{
    return status_is_metrics(path) || status_is_page(path) || bytes_equal(path, PATH_EVENTS) ||
           bytes_equal(path, PATH_METHODS);
}

/* Answers with text of this kind, which is freed. */
static void reply(struct pillion_request *req, uint32_t kind, struct text *text)
{
    req->http.style |= kind;
    request_reply(req, "", (struct bytes){text->data, text->size});
    text_free(text);
}

void status_answer_metrics(struct pillion_request *req)
{
    struct text text = {0};

    exposition_write(req->introspect->board, &text);
    reply(req, HTTP_STYLE_METRICS, &text);
}

static void answer_page(struct pillion_request *req)
{
    struct bytes page = page_make(req->pool, &req->http.nonce);

    if (page.data == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory, or no random number, for it");
        return;
    }
    request_reply(req, "", page); /* whose style is set since it was read */
}

/* ---- Methods ---- */

static void member(struct text *out, const char *name, const char *value)
{
    text_printf(out, "\"%s\":\"", name);
    text_append_json(out, bytes_of(value));
    text_append_string(out, "\",");
}

/* Its schema of params, where it has one that is JSON. */
static void append_params(struct text *out, const struct method *method)
{
    const struct json_limits limits = {.depth = 512, .values = UINT32_MAX};
    struct bytes schema =
        method->params_schema == NULL ? (struct bytes){NULL, 0} : bytes_of(method->params_schema);
    struct json_error error;

    text_append_string(out, ",\"params\":");
    text_append(out, schema.data != NULL && json_check(schema, &limits, &error) ? schema
                                                                                : BYTES("null"));
}

static void append_method(struct text *out, const struct method *method, bool here, bool calls)
{
    text_append_char(out, '{');
    member(out, "name", method->name.data);
    member(out, "module", method->instance->name);
    member(out, "version", method->instance->version);
    member(out, "summary", method->summary);
    text_printf(out, "\"read_only\":%s,\"here\":%s", method->read_only ? "true" : "false",
                here ? "true" : "false");
    if (here && calls)
        append_params(out, method);
    text_append_string(out, "},");
}

/* Those of this server block come first; those of other blocks cannot be called here. */
static void answer_methods(struct pillion_request *req, const struct call *call)
{
    const struct dispatcher *dispatcher = call->dispatcher;
    bool calls = call->server->settings->status_calls;
    struct text text = {0};

    text_printf(&text, "{\"started_at_ms\":%llu,\"generation\":%llu,\"calls\":%s,\"methods\":[",
                (unsigned long long)req->introspect->board->started_at_ms,
                (unsigned long long)req->introspect->generation, calls ? "true" : "false");
    for (size_t m = 0; m < call->server->methods.count; m++)
        append_method(&text, &call->server->methods.methods[m], true, calls);
    for (size_t s = 0; s < dispatcher->server_count; s++) {
        const struct method_table *table = &dispatcher->servers[s].methods;
        for (size_t m = 0; &dispatcher->servers[s] != call->server && m < table->count; m++)
            append_method(&text, &table->methods[m], false, calls);
    }
    if (text.data[text.size - 1] == ',')
        text.data[--text.size] = '\0';
    text_append_string(&text, "]}");
    reply(req, 0, &text);
}

/* ---- Events ---- */

/* The number of the last event that the reader has had on a stream before this one. */
static uint64_t last_event(const struct pillion_request *req)
{
    struct bytes field = http_find(req->head, "last-event-id");
    uint64_t id = 0;

    for (size_t i = 0; i < field.size && i < 18; i++) {
        if (field.data[i] < '0' || field.data[i] > '9')
            return 0;
        id = id * 10 + (uint64_t)(field.data[i] - '0');
    }
    return id;
}

static void answer_events(struct pillion_request *req, const struct call *call)
{
    int64_t most = call->server->settings->status_streams;
    struct text text = {0};

    if (!(req->http.style & HTTP_STYLE_HEAD)) {
        if (overview_streams(req->introspect->board) >= most) {
            request_refuse_http(req, 503, PILLION_OVERLOADED,
                                "%lld streams of events are read already (status_streams)",
                                (long long)most);
            return;
        }
        stream_begin(call->dispatcher, last_event(req), &text);
    }
    reply(req, HTTP_STYLE_STREAM, &text);
    if (!req->failed && http_reply_is_stream(req->http.style))
        stream_add(call->dispatcher, call->conn);
}

void status_answer(struct pillion_request *req)
{
    struct call *call = req->sink; /* no name finds the method, so it is a worker's request */
    struct bytes path = call->http.path;

    if (status_is_page(path))
        answer_page(req);
    else if (bytes_equal(path, PATH_METHODS))
        answer_methods(req, call);
    else
        answer_events(req, call);
}
