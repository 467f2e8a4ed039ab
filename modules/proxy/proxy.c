/* Methods that other servers answer:
 *
 *     load_module modules/proxy.so { upstream 10.0.0.1:8080 10.0.0.2:8080; }
 *     server {
 *         listen 127.0.0.1:8080;
 *         method user.get { handler proxy.forward; idempotent on; }
 *     }
 *
 * An upstream is any server that speaks the same protocol. Params and results pass through byte for
 * byte. No worker waits for an upstream. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/utsname.h>
#include <unistd.h>

#include "../hash.h"
#include "../json_put.h"
#include "follow.h"
#include "group.h"
#include "outliers.h"
#include "servers.h"

#define FRAME_OWN 112u /* bytes of a request besides its name, params and members */
#define PATH_SIZE 128u

/* The block of a `method` statement. */
struct method {
    pillion_list upstreams;
    const char *to;
    pillion_list pass;
    uint64_t timeout_ms;
    const char *hash;
    char path[PATH_SIZE]; /* of `hash`: names, each with a NUL behind it, and an empty one */
    struct group *group;
};

static int ejected_check(const void *value, pillion_error_text *error)
{
    return percent_check(value, 100, error);
}

static int load_check(const void *value, pillion_error_text *error)
{
    uint32_t percent;

    if (percent_read(*(const char *const *)value, &percent) && percent > 100)
        return 0;
    return pillion_error(error, "\"%s\" is no share above 100%%: write 125%%, say, or off",
                         *(const char *const *)value);
}

static const pillion_directive directives[] = {
    {.name = "upstream",
     .type = PILLION_LIST,
     .offset = offsetof(struct settings, upstreams),
     .summary = "The servers behind: 10.0.0.1:8080, [::1]:8080 or unix:PATH, one or more; "
                "`weight=3` behind one that is to get three times as many requests as others. Or "
                "services: registry:/pillion/shop, srv:_pillion._tcp.shop.example. A method can "
                "have others of its own."},
    {.name = "connections",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, connections),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .summary = "Connections of each worker to each upstream; requests are pipelined over them."},
    {.name = "extra_connections",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, extra_connections),
     .fallback = "64",
     .min = 0,
     .max = 1024,
     .summary = "How many more connections are opened while slow requests hold all of them up. "
                "They are closed when no request was sent over them for some seconds."},
    {.name = "max_inflight",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, max_inflight),
     .fallback = "64",
     .min = 1,
     .max = 255,
     .summary = "How many requests of one connection the upstreams run at the same time: their "
                "`max_inflight`. As many slow requests hold the connection up."},
    UPSTREAM_DIRECTIVES(struct settings, common),
    {.name = "max_pending",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, max_pending),
     .fallback = "1000",
     .min = 1,
     .max = 1000000,
     .summary = "Replies to come on one connection; when all have that many, requests are "
                "answered `overloaded`."},
    {.name = "max_frame",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_frame),
     .fallback = "1m",
     .min = 1024,
     .max = 134217728,
     .summary = "The largest request that upstreams take: their `max_frame`. A larger one is "
                "refused here, because there it would cost the connection."},
    {.name = "max_reply",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_reply),
     .fallback = "16m",
     .min = 1024,
     .max = 134217728,
     .summary = "The largest reply that is taken; a larger one costs its connection."},
    {.name = "subset",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, subset),
     .fallback = "100",
     .min = 1,
     .max = 100000,
     .summary = "How many servers of services one worker asks, of more; not where `hash` decides."},
    {.name = "idle_timeout",
     .type = PILLION_TIME,
     .offset = offsetof(struct settings, idle_timeout_ms),
     .fallback = "1m",
     .min = 100,
     .max = 86400000,
     .summary =
         "After so long without a request a connection is closed that was opened when it was "
         "needed: to a server of a service, and not the first."},
    {.name = "slow_start",
     .type = PILLION_TIME,
     .offset = offsetof(struct settings, slow_start_ms),
     .fallback = "10s",
     .min = 0,
     .max = 3600000,
     .summary =
         "For how long a server that is new in its service gets fewer requests, from a tenth "
         "of its share on; `0`: it gets all of it at once."},
    {.name = "max_ejected",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, max_ejected),
     .fallback = "50%",
     .check = ejected_check,
     .summary = "How many servers of a group are left out at the same time, at most, but one may "
                "always be."},
    {.name = "outlier_errors",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, outlier_errors),
     .fallback = "30%",
     .check = ejected_check,
     .summary =
         "A server is left out that fails more of its requests than the others do, by so many "
         "percentage points; `off`: none is."},
    {.name = "outlier_latency",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, outlier_latency),
     .fallback = "10",
     .min = 0,
     .max = 1000000,
     .summary = "A server is left out that typically takes more than so many times as long as the "
                "others; `0`: none is."},
    {.name = "hash_load",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, hash_load),
     .fallback = "125%",
     .check = load_check,
     .summary = "Where `hash` decides: how much a server may have under way, of what each of them "
                "has on the average; beyond that, the next one is asked. `off`: never."},
    PILLION_TLS_DIRECTIVES(struct settings, ssl),
    {0},
};

static const pillion_directive forward_directives[] = {
    {.name = "upstream",
     .type = PILLION_LIST,
     .offset = offsetof(struct method, upstreams),
     .summary = "The servers for this method; without it, those of `load_module`."},
    {.name = "to",
     .type = PILLION_STRING,
     .offset = offsetof(struct method, to),
     .summary = "The method's name there; without it, the one by which it was called."},
    {.name = "pass",
     .type = PILLION_LIST,
     .offset = offsetof(struct method, pass),
     .summary = "Members of the request that go along besides params, such as `token`."},
    {.name = "reply_timeout",
     .type = PILLION_TIME,
     .offset = offsetof(struct method, timeout_ms),
     .min = 1,
     .max = 3600000,
     .summary = "In place of the `timeout` of `load_module`."},
    {.name = "hash",
     .type = PILLION_STRING,
     .offset = offsetof(struct method, hash),
     .summary =
         "The param that decides which server is asked: `$user`, or `$user.id` of one that is "
         "an object. The same value goes to the same server."},
    {0},
};

static const pillion_metric metrics[] = {
    UPSTREAM_METRICS,
    [METRIC_EJECTED] = {.name = "ejected",
                        .type = PILLION_GAUGE,
                        .summary = "Servers that are left out, for each method and worker."},
    [METRIC_SERVERS] = {.name = "servers",
                        .type = PILLION_GAUGE,
                        .summary = "Servers that are asked, of each worker."},
    {0}};

/* ---- To upstreams ---- */

/* True when the group has a server. If not, the request is answered, or waits. */
static bool has_servers(pillion_request *req, struct trip *trip)
{
    struct group *group = trip->group;

    if (group->source_count > 0)
        group_follow(group);
    if (group->count > 0)
        return true;
    if (group_is_known(group))
        tries_unserved(req, &trip->tries, "no server offers it now");
    else
        group_wait(group, req, trip);
    return false;
}

static void trip_send(pillion_request *req, struct tries *tries)
{
    struct trip *trip = (struct trip *)tries;
    const char *reason;
    bool full;

    if (!tries_in_time(req, tries) || !has_servers(req, trip))
        return;
    struct link *link = group_choose(trip->group, trip, &reason, &full);

    if (link != NULL) {
        outliers_watch(trip->group->proxy);
        if (!link_send(link, req, trip, &trip->last->share))
            pillion_fail(req, PILLION_OVERLOADED, "there is no memory to send the request on%s",
                         tries_earlier(tries));
    } else if (full) {
        pillion_fail(req, PILLION_OVERLOADED,
                     "the servers behind have too much to do (max_pending)%s",
                     tries_earlier(tries));
    } else {
        tries_unserved(req, tries, reason);
    }
}

/* ---- From upstreams ---- */

static void trip_reply(pillion_request *req, struct trip *trip, const struct reply *reply)
{
    static const char reason[] = "the \"out\" of its reply cannot be passed on: it holds \\u0000 "
                                 "or half of a surrogate pair";
    const char *out = tries_text(req, reply->out);

    if (out == NULL) {
        health_complain(&trip->last->upstream->health, COMPLAINT_REPLY, reason);
        pillion_fail(req, PILLION_INTERNAL_ERROR, "a server behind \"%s\": %s",
                     pillion_method_name(req), reason);
    } else if (strcmp(out, "error") == 0) {
        const char *code = tries_text(req, pillion_json_member(reply->result, "code"));
        tries_error(req, &trip->tries, code, reply->result,
                    group_has_other(trip->group, trip->last));
    } else {
        pillion_reply_raw(req, out, reply->result);
    }
}

/* ---- From clients ---- */

#define TRACE "traceparent"
#define STATE "tracestate"

/* Writes a member, a name that needs no escapes and a text of printable ASCII. */
static char *put_member(char *to, const char *name, const char *text)
{
    *to++ = ',';
    to = put_string(to, name);
    *to++ = ':';
    return put_string(to, text);
}

/* Where the request stands in its caller's trace is handed on as it came: no span of this server's
 * is in anybody's trace. */
static char *put_trace(char *to, const char *parent, const char *state)
{
    to = put_member(to, TRACE, parent);
    return state == NULL ? to : put_member(to, STATE, state);
}

static size_t trace_most(const char *parent, const char *state)
{
    size_t most = parent == NULL ? 0 : sizeof(TRACE) + strlen(parent) + 8;
    return most + (state == NULL ? 0 : sizeof(STATE) + 2 * strlen(state) + 8);
}

/* Members of `pass` that are handed on already. */
static bool is_trace(const char *name)
{
    return strcmp(name, TRACE) == 0 || strcmp(name, STATE) == 0;
}

/* Makes the part of the frame that follows the id, in the request's memory. The id comes first, so
 * that a server that cannot read the rest still gives it back. */
static pillion_bytes make_frame(pillion_request *req, const struct method *method)
{
    const char *name = method->to != NULL ? method->to : pillion_method_name(req);
    pillion_bytes params = pillion_params_raw(req);
    const char *parent = pillion_traceparent(req), *state = pillion_tracestate(req);
    size_t most = FRAME_OWN + 2 * strlen(name) + params.size + trace_most(parent, state);

    for (size_t i = 0; i < method->pass.count; i++)
        most +=
            pillion_member(req, method->pass.items[i]).size + 2 * strlen(method->pass.items[i]) + 4;
    char *start = pillion_alloc(req, most), *at = start;
    if (start == NULL)
        return (pillion_bytes){NULL, most};
    at = put(at, ",\"in\":", 6);
    at = put_string(at, name);
    at = put(at, ",\"params\":", 10);
    at = put(at, params.data, params.size);
    if (parent != NULL)
        at = put_trace(at, parent, state);
    for (size_t i = 0; i < method->pass.count; i++) {
        pillion_bytes member = pillion_member(req, method->pass.items[i]);
        if (member.data == NULL || is_trace(method->pass.items[i]))
            continue;
        *at++ = ',';
        at = put_string(at, method->pass.items[i]);
        *at++ = ':';
        at = put(at, member.data, member.size);
    }
    *at++ = '}';
    return (pillion_bytes){start, (size_t)(at - start)};
}

/* The hash of the param that decides which server is asked; 0 when there is none. */
static uint64_t hash_of(const pillion_request *req, const struct method *method)
{
    pillion_bytes value = pillion_params_raw(req);

    for (const char *name = method->path; *name != '\0'; name += strlen(name) + 1) {
        value = pillion_json_member(value, name);
        if (value.data == NULL)
            return 0;
    }
    uint64_t hash = hash_bytes(value.data, value.size);
    return hash == 0 ? 1 : hash;
}

/* True for params by position, one at least: which of them is which is known to the server behind
 * alone. */
static bool has_no_names(const pillion_request *req)
{
    pillion_bytes params = pillion_params_raw(req);

    if (params.size == 0 || *params.data != '[')
        return false;
    for (size_t i = 1; i < params.size; i++) {
        if (strchr(" \t\r\n", params.data[i]) == NULL)
            return params.data[i] != ']';
    }
    return false;
}

static void forward(pillion_request *req)
{
    const struct method *method = pillion_method_config(req);
    struct proxy *proxy = pillion_state(pillion_self(req));
    const struct settings *settings = proxy->settings;
    struct trip *trip = pillion_alloc(req, sizeof(*trip));
    pillion_bytes frame = make_frame(req, method);

    if (method->hash != NULL && has_no_names(req)) {
        pillion_fail(req, PILLION_INVALID_PARAMS,
                     "\"%s\" needs its params by name: \"%s\" decides which server is asked",
                     pillion_method_name(req), method->hash + 1);
        return;
    }
    if (frame.size > settings->max_frame - FRAME_OWN) {
        pillion_fail(
            req, PILLION_INVALID_PARAMS,
            "the request takes up to %zu bytes on its way, more than the servers behind take "
            "(max_frame %llu)",
            frame.size + FRAME_OWN, (unsigned long long)settings->max_frame);
        return;
    }
    if (trip == NULL || frame.data == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "there is no memory to send the request on");
        return;
    }
    *trip = (struct trip){
        .tries = tries_of(req, &settings->common, &proxy->budget, method->timeout_ms, trip_send),
        .replied = trip_reply,
        .group = method->group,
        .frame = frame,
        .hash = method->hash == NULL ? 0 : hash_of(req, method),
    };
    if (method->group->method == NULL)
        group_serves(method->group, method->to != NULL ? method->to : pillion_method_name(req));
    trip_send(req, &trip->tries);
}

/* ---- The module ---- */

/* Checks the names that go into frames. Returns 0, or as pillion_error. */
static int names_check(pillion_instance *self, const struct method *method,
                       pillion_error_text *error)
{
    static const char *const never[] = {"in", "params", "id", "out", "result"};

    if (method->to != NULL && !stands_in_json(self, method->to))
        return pillion_error(error, "`to` is no name of a method: it holds control characters, or "
                                    "bytes that are not UTF-8");
    for (size_t i = 0; i < method->pass.count; i++) {
        const char *name = method->pass.items[i];
        if (!stands_in_json(self, name))
            return pillion_error(error, "`pass` has a name that holds control characters, or bytes "
                                        "that are not UTF-8");
        for (size_t j = 0; j < sizeof(never) / sizeof(*never); j++) {
            if (strcmp(name, never[j]) == 0)
                return pillion_error(error,
                                     "\"%s\" cannot be passed: `in`, `params` and `id` are written "
                                     "here, and `out` and `result` are a reply's",
                                     name);
        }
    }
    return 0;
}

/* Takes `$user.id` apart. Returns 0, or as pillion_error. */
static int path_read(struct method *method, pillion_error_text *error)
{
    const char *text = method->hash == NULL ? "" : method->hash;
    size_t size = strlen(text);
    bool valid = text[0] == '$' && size > 1 && size < PATH_SIZE && strstr(text, "..") == NULL &&
                 text[1] != '.' && text[size - 1] != '.';

    if (method->hash == NULL)
        return 0;
    if (!valid)
        return pillion_error_at(
            error, "hash",
            "\"%s\" names no param: write $user, or $user.id for a member of it "
            "(at most %u bytes)",
            text, PATH_SIZE - 1);
    memcpy(method->path, text + 1, size);
    for (char *dot = method->path; (dot = strchr(dot, '.')) != NULL;)
        *dot++ = '\0';
    return 0;
}

static int forward_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct method *method = config;
    const struct settings *settings = pillion_config(self);
    const pillion_list *upstreams =
        method->upstreams.count > 0 ? &method->upstreams : &settings->upstreams;

    if (upstreams->count == 0)
        return pillion_error(error, "it has no `upstream`, and load_module gives none");
    if (names_check(self, method, error) != 0 || path_read(method, error) != 0)
        return -1;
    method->group =
        group_open(pillion_state(self), upstreams, method->to, method->hash != NULL, error);
    return method->group == NULL ? -1 : 0;
}

static pillion_tls *tls_of(pillion_instance *self, pillion_error_text *error)
{
    const struct settings *settings = pillion_config(self);

    return pillion_tls_open(self, &settings->ssl, sizeof(settings->ssl), "pillion/1", error);
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct settings *settings = pillion_config(self);

    if (settings->ssl.on && tls_of(self, error) == NULL)
        return -1;
    return servers_check(&settings->upstreams, error);
}

/* The same number in all workers of this server, and another one in other servers. */
static uint64_t host_number(void)
{
    struct utsname host;

    if (uname(&host) < 0)
        return 0;
    return hash_bytes(host.nodename, strlen(host.nodename)) ^ (uint64_t)getppid();
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    const struct settings *settings = pillion_config(self);
    pillion_tls *tls = settings->ssl.on ? tls_of(self, error) : NULL;
    uint32_t load = percent_of(settings->hash_load);

    if (settings->ssl.on && tls == NULL)
        return -1;
    struct proxy *proxy = pillion_malloc(self, sizeof(*proxy));
    if (proxy == NULL)
        return pillion_error(error, "out of memory");
    *proxy = (struct proxy){
        .self = self,
        .settings = settings,
        .tls = tls,
        .budget = budget_of(&settings->common),
        .max_ejected = percent_of(settings->max_ejected),
        .outlier_errors = percent_of(settings->outlier_errors),
        .hash_load = load == PERCENT_OFF ? 0 : load,
        .dice = dice_new(),
        .host = host_number(),
        .mend_groups = groups_mend,
    };
    pillion_set_state(self, proxy);
    return 0;
}

static void stop(pillion_instance *self)
{
    struct proxy *proxy = pillion_state(self);

    pillion_cancel(proxy->judge);
    upstreams_close(proxy); /* first: what their links have under way is counted in groups */
    groups_close(proxy);
    pillion_free(self, proxy);
}

static const pillion_method methods[] = {
    {.name = "forward",
     .handler = forward,
     .summary = "Has another server answer, and gives its reply.",
     .directives = forward_directives,
     .config_size = sizeof(struct method),
     .start = forward_start},
    {0},
};

PILLION_MODULE(.name = "proxy", .version = "1.0.0", .summary = "Methods that other servers answer.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct settings),
               .check = check, .start = start, .stop = stop, .metrics = metrics,
               .needs = PILLION_NEEDS_NETWORK);
