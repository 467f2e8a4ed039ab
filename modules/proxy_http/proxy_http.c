/* Methods that services of JSON-RPC over HTTP answer:
 *
 *     load_module modules/proxy_http.so { upstream http://10.0.0.1:3000/rpc; }
 *     server {
 *         listen 127.0.0.1:8080;
 *         method user.get { handler proxy_http.forward; idempotent on; }
 *     }
 *
 * A module of its own beside proxy, so that only it needs libcurl. What both do alike is in
 * tries.h, health.h and upstream_settings.h. No worker waits for an upstream. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../errno_text.h"
#include "../json_put.h"
#include "fields.h"
#include "upstream.h"
#include "url.h"

#define BODY_OWN 80u /* bytes of a request besides its name and params */

/* The block of a `method` statement. */
struct method {
    struct target target;
    const char *to;
    uint64_t timeout_ms;

    struct group *group;
    struct fields fields;
    struct method *next;
};

struct state {
    struct proxy *proxy;
    struct method *methods; /* those that have `fields` */
};

#define TARGET_DIRECTIVES(type_, more)                                                        \
    {.name = "upstream",                                                                      \
     .type = PILLION_LIST,                                                                    \
     .offset = offsetof(type_, target.upstreams),                                             \
     .summary = "URLs of the services behind, http://… or https://…, one or more." more},     \
        {.name = "header",                                                                    \
         .type = PILLION_LIST,                                                                \
         .offset = offsetof(type_, target.headers),                                           \
         .summary =                                                                           \
             "Header fields for the services behind, as \"Authorization: Bearer x\"." more},  \
    {                                                                                         \
        .name = "pass_header", .type = PILLION_LIST, .offset = offsetof(type_, target.pass),  \
        .summary = "Names of header fields that are handed on when the client's request has " \
                   "them, such as `authorization`." more                                      \
    }

static const pillion_directive directives[] = {
    TARGET_DIRECTIVES(struct settings, " A method can have its own."),
    UPSTREAM_DIRECTIVES(struct settings, common),
    {.name = "connections",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, connections),
     .fallback = "64",
     .min = 1,
     .max = 1024,
     .summary = "Connections of each worker to each upstream; each has one request at a time."},
    {.name = "keepalive",
     .type = PILLION_TIME,
     .offset = offsetof(struct settings, keepalive_ms),
     .fallback = "4s",
     .min = 1000,
     .max = 3600000,
     .summary = "For how long a connection that has had no request is used again: shorter than "
                "the upstreams keep theirs, which may close one just as a request is sent."},
    {.name = "max_pending",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, max_pending),
     .fallback = "1000",
     .min = 1,
     .max = 1000000,
     .summary = "Requests that wait for a connection; beyond that they are answered `overloaded`."},
    {.name = "max_unsent",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_unsent),
     .fallback = "16m",
     .min = 4096,
     .max = INT64_C(1) << 31,
     .summary = "Bytes of requests that wait for a connection; likewise."},
    {.name = "max_reply",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_reply),
     .fallback = "16m",
     .min = 1024,
     .max = 134217728,
     .summary = "The largest reply that is taken; a larger one costs its connection."},
    {.name = "ca",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, ca),
     .summary = "A file with the certificates (PEM) that upstreams' certificates are verified by; "
                "without it, those of the system."},
    {.name = "ssl_certificate",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, certificate),
     .summary = "The certificate that is shown to upstreams that ask for one (PEM), followed by "
                "those that lead to its authority."},
    {.name = "ssl_certificate_key",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, key),
     .summary = "Its key (PEM), without a passphrase; the file may be root's alone."},
    {.name = "verify",
     .type = PILLION_FLAG,
     .offset = offsetof(struct settings, verify),
     .fallback = "on",
     .summary = "`off`: any certificate will do, so anybody may answer in the upstream's name."},
    {0},
};

static const pillion_directive forward_directives[] = {
    TARGET_DIRECTIVES(struct method, " In place of those of `load_module`."),
    {.name = "to",
     .type = PILLION_STRING,
     .offset = offsetof(struct method, to),
     .summary = "The method's name there; without it, the one by which it was called."},
    {.name = "reply_timeout",
     .type = PILLION_TIME,
     .offset = offsetof(struct method, timeout_ms),
     .min = 1,
     .max = 3600000,
     .summary = "In place of the `timeout` of `load_module`."},
    {0},
};

static const pillion_metric metrics[] = {UPSTREAM_METRICS, {0}};

/* ---- From upstreams ---- */

/* The name here for the numbers of JSON-RPC that speak of the caller's request. */
static const char *code_of(pillion_bytes number)
{
    if (number.size == 6 && memcmp(number.data, "-32601", 6) == 0)
        return "method_not_found";
    if (number.size == 6 && memcmp(number.data, "-32602", 6) == 0)
        return PILLION_INVALID_PARAMS;
    return "upstream_error";
}

static char *put_member(char *to, const char *name, pillion_bytes value)
{
    if (value.data == NULL)
        return to;
    to = put(to, name, strlen(name));
    return put(to, value.data, value.size);
}

/* Answers with an error that is not Pillion's: its number, message and data are in the result. */
static void fail_foreign(pillion_request *req, pillion_bytes error)
{
    pillion_bytes number = pillion_json_member(error, "code");
    pillion_bytes message = pillion_json_member(error, "message");
    static const char no_message[] = "\"the service behind gives no message\"";

    if (number.data != NULL && strchr("-0123456789", number.data[0]) == NULL)
        number = (pillion_bytes){NULL, 0};
    if (message.data == NULL || message.data[0] != '"')
        message = (pillion_bytes){no_message, sizeof(no_message) - 1};
    const char *code = number.data == NULL ? "upstream_error" : code_of(number);
    char *start = pillion_alloc(req, error.size + sizeof(no_message) + BODY_OWN), *at = start;
    if (start == NULL) {
        pillion_fail(req, PILLION_INTERNAL_ERROR, "there is no memory for the error");
        return;
    }
    at = put(at, "{\"code\":", 8);
    at = put_string(at, code);
    at = put_member(at, ",\"message\":", message);
    at = put_member(at, ",\"number\":", number);
    at = put_member(at, ",\"data\":", pillion_json_member(error, "data"));
    *at++ = '}';
    pillion_fail_raw(req, code, (pillion_bytes){start, (size_t)(at - start)});
}

/* An upstream that is a Pillion has its own error as `data`, as another Pillion's client sees it.
 */
static void reply_error(pillion_request *req, struct trip *trip, pillion_bytes error)
{
    pillion_bytes data = pillion_json_member(error, "data"), message = {NULL, 0};
    const char *code = NULL;

    if (data.data != NULL && data.data[0] == '{') {
        code = tries_text(req, pillion_json_member(data, "code"));
        message = pillion_json_member(data, "message");
    }
    if (code != NULL && message.data != NULL && message.data[0] == '"')
        tries_error(req, &trip->tries, code, data, group_has_other(trip));
    else
        fail_foreign(req, error);
}

/* The response of HTTP is no reply. It is known that the service is there, so its failure has a
 * code of its own; but that it is overloaded is the same as that it cannot be asked. */
static void reply_bad(pillion_request *req, struct trip *trip, const struct answer *answer)
{
    const char *name = pillion_method_name(req);
    struct tries *tries = &trip->tries;

    if (answer_is_failure(answer) && group_has_other(trip) && tries_may_repeat(req, tries)) {
        tries_repeat(req, tries);
    } else if (answer->status == 429 || answer->status == 503) {
        pillion_count(pillion_self(req), METRIC_FAILED, 1);
        pillion_fail_retry(req, "upstream_unavailable", answer->retry_ms,
                           "a server behind \"%s\": %s%s", name, answer->reason,
                           tries_earlier(tries));
    } else {
        pillion_fail(req, "upstream_bad_reply", "a server behind \"%s\": %s%s", name,
                     answer->reason, tries_earlier(tries));
    }
}

static void answered(pillion_request *req, struct trip *trip, const struct answer *answer)
{
    switch (answer->verdict) {
    case ANSWER_RESULT:
        pillion_reply_raw(req, "result", answer->value);
        return;
    case ANSWER_ERROR:
        reply_error(req, trip, answer->value);
        return;
    case ANSWER_LARGE:
        pillion_fail(req, "upstream_bad_reply", "a server behind \"%s\": %s",
                     pillion_method_name(req), answer->reason);
        return;
    case ANSWER_BAD:
        reply_bad(req, trip, answer);
        return;
    case ANSWER_NONE:
    case ANSWER_REFUSED:
    case ANSWER_LATE:
    case ANSWER_GIVEN_UP:
        tries_failed(req, &trip->tries, answer->untouched, answer->reason);
        return;
    }
}

/* ---- From clients ---- */

static bool is_null(pillion_bytes params)
{
    return params.size == 4 && memcmp(params.data, "null", 4) == 0;
}

/* Makes the JSON-RPC request, in the memory of its own. data is NULL when that ran out. */
static pillion_bytes make_body(pillion_request *req, const struct method *method, uint64_t id)
{
    const char *name = method->to != NULL ? method->to : pillion_method_name(req);
    pillion_bytes params = pillion_params_raw(req);
    char *start = pillion_alloc(req, BODY_OWN + 2 * strlen(name) + params.size), *at = start;

    if (start == NULL)
        return (pillion_bytes){NULL, 0};
    at += snprintf(at, BODY_OWN,
                   "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":", (unsigned long long)id);
    at = put_string(at, name);
    if (!is_null(params))
        at = put_member(at, ",\"params\":", params);
    *at++ = '}';
    return (pillion_bytes){start, (size_t)(at - start)};
}

static void forward(pillion_request *req)
{
    const struct method *method = pillion_method_config(req);
    pillion_instance *self = pillion_self(req);
    const struct settings *settings = pillion_config(self);
    pillion_bytes params = pillion_params_raw(req);

    if (params.data[0] != '{' && params.data[0] != '[' && !is_null(params)) {
        pillion_fail(
            req, PILLION_INVALID_PARAMS,
            "the service behind takes params as an object or an array, as JSON-RPC has it");
        return;
    }
    struct trip *trip = pillion_alloc(req, sizeof(*trip));
    struct proxy *proxy = ((struct state *)pillion_state(self))->proxy;
    uint64_t id = proxy_next_id(proxy);
    pillion_bytes body = make_body(req, method, id);
    const struct curl_slist *headers;
    if (trip == NULL || body.data == NULL || !fields_of(req, &method->fields, &headers)) {
        pillion_fail(req, PILLION_OVERLOADED, "there is no memory to send the request on");
        return;
    }
    *trip = (struct trip){
        .tries =
            tries_of(req, &settings->common, proxy_budget(proxy), method->timeout_ms, group_send),
        .group = method->group,
        .id = id,
        .body = body,
        .headers = headers,
    };
    group_send(req, &trip->tries);
}

/* ---- The configuration ---- */

static int forward_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct method *method = config;
    struct state *state = pillion_state(self);
    const struct target *own = &method->target;
    const struct target *other = &((const struct settings *)pillion_config(self))->target;
    const pillion_list *upstreams = own->upstreams.count > 0 ? &own->upstreams : &other->upstreams;

    if (upstreams->count == 0)
        return pillion_error(error, "it has no `upstream`, and load_module gives none");
    if (method->to != NULL && !stands_in_json(self, method->to))
        return pillion_error(error, "`to` is no name of a method: it holds control characters, or "
                                    "bytes that are not UTF-8");
    if (fields_check(own, error) != 0)
        return -1;
    method->group = group_open(state->proxy, upstreams, error);
    if (method->group == NULL)
        return -1;
    method->next = state->methods;
    state->methods = method;
    return fields_make(&method->fields, own, other) ? 0 : pillion_error(error, "out of memory");
}

/* ---- The module ---- */

static int settings_check(const struct settings *settings, pillion_error_text *error)
{
    if ((settings->certificate.path == NULL) != (settings->key.path == NULL))
        return pillion_error(error, "`ssl_certificate` and `ssl_certificate_key` need each other");
    if (fields_check(&settings->target, error) != 0)
        return -1;
    return urls_check(&settings->target.upstreams, error);
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    return settings_check(pillion_config(self), error);
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    struct state *state = pillion_malloc(self, sizeof(*state));

    if (state == NULL)
        return pillion_error(error, "out of memory");
    *state = (struct state){.proxy = proxy_open(self, pillion_config(self), answered, error)};
    if (state->proxy == NULL) {
        pillion_free(self, state);
        return -1;
    }
    pillion_set_state(self, state);
    return 0;
}

static void stop(pillion_instance *self)
{
    struct state *state = pillion_state(self);

    for (struct method *method = state->methods; method != NULL; method = method->next)
        fields_free(&method->fields);
    proxy_close(state->proxy);
    pillion_free(self, state);
}

static const pillion_method methods[] = {
    {.name = "forward",
     .handler = forward,
     .summary = "Has a service of JSON-RPC over HTTP answer, and gives its reply.",
     .directives = forward_directives,
     .config_size = sizeof(struct method),
     .start = forward_start},
    {0},
};

PILLION_MODULE(.name = "proxy_http", .version = "1.0.0",
               .summary = "Methods that services of JSON-RPC over HTTP answer.", .methods = methods,
               .directives = directives, .config_size = sizeof(struct settings), .check = check,
               .start = start, .stop = stop, .metrics = metrics, .needs = PILLION_NEEDS_NETWORK);
