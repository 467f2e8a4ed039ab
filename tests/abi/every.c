/* A module of everything that its header offers. Compiled against each header that there ever was,
 * which the folders beside it hold, it has to load into the server of today, and work. */
#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- 1.0: directives, methods, hooks ---- */

struct config {
    bool flag;
    int64_t integer;
    uint64_t size, time;
    const char *string;
    int word;
    pillion_list list;
    const char *path;
#if PILLION_ABI_MINOR >= 6
    pillion_file file;
    pillion_tls_settings ssl;
#endif
};

static const char *const words[] = {"one", "two", NULL};

#if PILLION_ABI_MINOR >= 5
static int is_no_nine(const void *value, pillion_error_text *error)
{
    return *(const int64_t *)value == 99 ? pillion_error_at(error, "integer", "%s", "no") : 0;
}
#endif

static const pillion_directive directives[] = {
    {.name = "flag", .type = PILLION_FLAG, .offset = offsetof(struct config, flag)},
    {
        .name = "integer",
        .type = PILLION_INTEGER,
        .offset = offsetof(struct config, integer),
        .min = 1,
        .max = 9,
#if PILLION_ABI_MINOR >= 5
        .check = is_no_nine,
#endif
    },
    {.name = "size", .type = PILLION_SIZE, .offset = offsetof(struct config, size)},
    {.name = "time", .type = PILLION_TIME, .offset = offsetof(struct config, time)},
    {.name = "string",
     .type = PILLION_STRING,
     .offset = offsetof(struct config, string),
     .fallback = "fallen back",
     .summary = "A string."},
    {.name = "word",
     .type = PILLION_ENUM,
     .offset = offsetof(struct config, word),
     .words = words,
     .required = true},
    {.name = "list", .type = PILLION_LIST, .offset = offsetof(struct config, list)},
    {.name = "path", .type = PILLION_PATH, .offset = offsetof(struct config, path)},
#if PILLION_ABI_MINOR >= 6
    {.name = "file", .type = PILLION_FILE, .offset = offsetof(struct config, file)},
    PILLION_TLS_DIRECTIVES(struct config, ssl),
#endif
    {0},
};

static void settings(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    char *text = pillion_alloc(req, 512);

    snprintf(text, 512, "[%d,%lld,%llu,%llu,\"%s\",%d,%zu,\"%s\",\"%s\",\"%s\"]", config->flag,
             (long long)config->integer, (unsigned long long)config->size,
             (unsigned long long)config->time, config->string, config->word, config->list.count,
             config->list.items[1], strrchr(config->path, '/'),
             (char *)pillion_state(pillion_self(req)));
    pillion_reply_raw(req, "settings", (pillion_bytes){text, strlen(text)});
}

static void answer(pillion_request *req)
{
    const cJSON *params = pillion_params(req);

    if (cJSON_IsNull(params))
        pillion_fail(req, "odd", "%s of \"%s\", worker %d of %d", "no params",
                     pillion_method_name(req), pillion_worker(pillion_self(req)),
                     pillion_worker_count(pillion_self(req)));
    else
        pillion_reply(req, "answer", cJSON_Duplicate(params, true));
}

static void server(pillion_request *req)
{
    cJSON *all = cJSON_CreateArray();

    cJSON_AddItemToArray(all, pillion_server_methods(req));
    cJSON_AddItemToArray(all, pillion_server_describe(req, "answer"));
    cJSON_AddItemToArray(all, pillion_server_health(req));
    cJSON_AddItemToArray(all, pillion_server_stats(req));
    pillion_reply(req, "server", all);
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);
    return config->integer == 9 ? pillion_error(error, "%s is too much", "nine") : 0;
}

#if PILLION_ABI_MINOR >= 6
static pillion_service *service;
static bool missed;
static pillion_tls *tls;
static void changed(pillion_instance *self, void *data);
#endif

static int start(pillion_instance *self, pillion_error_text *error)
{
#if PILLION_ABI_MINOR >= 6
    service = pillion_service_open(self, "registry:/every", changed, NULL, error);
    missed = service == NULL; /* no `registry` is configured */
    const struct config *config = pillion_config(self);
    tls = pillion_tls_open(self, &config->ssl, sizeof(config->ssl), "every/1", error);
    if (tls == NULL)
        return -1;
#endif
    (void)error;
    pillion_set_state(self, "state");
    return 0;
}

static void stop(pillion_instance *self)
{
    pillion_log(self, PILLION_LOG_NOTICE, "%s, generation %llu", "it stops",
                (unsigned long long)pillion_generation(self));
}

/* ---- 1.1: filters ---- */

#if PILLION_ABI_MINOR >= 1
struct filter_config {
    const char *mark;
    unsigned seen;
};

static const pillion_directive filter_directives[] = {
    {.name = "mark",
     .type = PILLION_STRING,
     .offset = offsetof(struct filter_config, mark),
     .fallback = "none"},
    {0},
};

static pillion_verdict before(pillion_request *req)
{
    struct filter_config *config = pillion_filter_config(req);

    config->seen++;
    if (pillion_member(req, "halt").data == NULL)
        return PILLION_NEXT;
    pillion_fail(req, "halted", "by %s, of %zu bytes", config->mark, pillion_body(req).size);
    return PILLION_STOP;
}

static void after(pillion_request *req)
{
    const struct filter_config *config = pillion_filter_config(req);
    const char *code = pillion_error_code(req);

    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "%s has seen %u: %s, %zu bytes%s",
                config->mark, config->seen, code == NULL ? "good" : code, pillion_reply_size(req),
                pillion_elapsed_ns(req) == 0 ? ", in no time" : "");
}

static int filter_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    (void)self;
    (void)error;
    ((struct filter_config *)config)->seen = 100;
    return 0;
}

static void filter_stop(pillion_instance *self, void *config)
{
    pillion_log(self, PILLION_LOG_NOTICE, "%s ends", ((struct filter_config *)config)->mark);
}

static const pillion_filter filters[] = {
    {
        .name = "every",
        .before = before,
        .after = after,
        .start = filter_start,
        .stop = filter_stop,
        .summary = "Stops what is to be halted.",
        .directives = filter_directives,
        .config_size = sizeof(struct filter_config),
#if PILLION_ABI_MINOR >= 4
        .unseen = true,
#endif
    },
    {0},
};
#endif

/* ---- 1.2: answering later, zones, methods with directives ---- */

#if PILLION_ABI_MINOR >= 2
struct later {
    pillion_token token;
    pillion_handle watch;
    int pipe[2];
};

static void cancelled(void *data)
{
    (void)data;
}

static void arrived(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct later *later = data;
    char word[8] = "";
    pillion_request *req = pillion_resume(later->token);

    (void)self;
    if (read(fd, word, sizeof(word) - 1) < 0 || events != PILLION_READ)
        snprintf(word, sizeof(word), "none");
    pillion_cancel(later->watch);
    close(later->pipe[0]);
    close(later->pipe[1]);
    if (req != NULL)
        pillion_reply(req, "later", cJSON_CreateString(word));
}

static void rings(pillion_instance *self, void *data)
{
    struct later *later = data;

    (void)self;
    if (write(later->pipe[1], "through", 7) != 7)
        abort();
}

/* By a timer, and then by a pipe. */
static void later(pillion_request *req)
{
    struct later *later = pillion_alloc(req, sizeof(*later));
    pillion_instance *self = pillion_self(req);

    later->token = pillion_defer(req, 10000);
    if (pipe(later->pipe) != 0 || !pillion_on_cancel(later->token, cancelled, later))
        abort();
    later->watch = pillion_watch(self, later->pipe[0], PILLION_WRITE, arrived, later);
    pillion_watch_change(later->watch, PILLION_READ);
    pillion_timer(self, 1, 0, rings, later);
}

static void posted(pillion_instance *self, void *data)
{
    pillion_log(self, PILLION_LOG_NOTICE, "posted by %s", (char *)data);
}

static void work(void *data)
{
    pillion_post(*(pillion_instance **)data, posted, "a thread");
}

static void worked(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        pillion_reply(req, "pool", cJSON_CreateTrue());
}

static void pool(pillion_request *req)
{
    pillion_instance **self = pillion_alloc(req, sizeof(*self));

    *self = pillion_self(req);
    pillion_offload(req, 10000, work, worked, self);
}

static void twice(void *value, bool fresh, void *data)
{
    *(int64_t *)value = fresh ? *(int64_t *)data : *(int64_t *)value * 2;
}

static void zone(pillion_request *req)
{
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "every");
    int64_t value = 21, added = pillion_zone_add(zone, "n", 1, 5, 0);

    pillion_zone_delete(zone, "v", 1);
    pillion_zone_update(zone, "v", 1, 0, sizeof(value), twice, &value);
    pillion_zone_update(zone, "v", 1, 0, sizeof(value), twice, &value);
    pillion_zone_set(zone, "s", 1, "set", 4, 1000);
    char text[8], result[64];
    long size = pillion_zone_get(zone, "s", 1, text, sizeof(text));
    pillion_zone_get(zone, "v", 1, &value, sizeof(value));
    snprintf(result, sizeof(result), "[%lld,%lld,%ld,\"%s\"]", (long long)added, (long long)value,
             size, text);
    pillion_reply_raw(req, "zone", (pillion_bytes){result, strlen(result)});
}

struct scale {
    int64_t factor;
    int64_t started;
};

static const pillion_directive scale_directives[] = {
    {.name = "factor", .type = PILLION_INTEGER, .offset = offsetof(struct scale, factor)},
    {0},
};

static int scale_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    (void)self;
    (void)error;
    ((struct scale *)config)->started = 1000;
    return 0;
}

static void scale(pillion_request *req)
{
    const struct scale *scale = pillion_method_config(req);
    pillion_reply(req, "scale",
                  cJSON_CreateNumber((double)(scale->started + scale->factor) *
                                     pillion_params(req)->valuedouble));
}
#endif

/* ---- 1.3: metrics, memory, JSON text, the log with a request's words ---- */

#if PILLION_ABI_MINOR >= 3
#if PILLION_ABI_MINOR >= 5
static const double bounds[] = {0.25, 0.5};
#endif

static const pillion_metric metrics[] = {
    {.name = "asked", .type = PILLION_COUNTER, .summary = "How often."},
    {.name = "level", .type = PILLION_GAUGE, .summary = "How high."},
#if PILLION_ABI_MINOR >= 5
    {.name = "waits", .type = PILLION_HISTOGRAM, PILLION_BOUNDS(bounds)},
#endif
    {0},
};

static void count(pillion_request *req)
{
    pillion_instance *self = pillion_self(req);
    const pillion_log_field fields[] = {
        {.name = "why", .text = "because"}, {.name = "how", .number = 7}, {0}};
    pillion_bytes code = pillion_json_member(pillion_params_raw(req), "code");
    void *block = pillion_realloc(self, pillion_malloc(self, 100), 200);

    pillion_free(self, block);
    pillion_count(self, 0, 1);
    pillion_count(self, 1, -3);
#if PILLION_ABI_MINOR >= 5
    pillion_observe(self, 2, 0.3);
#endif
    pillion_log_request(req, PILLION_LOG_NOTICE, fields, "%s", "it was counted");
    if (!pillion_idempotent(req) || !pillion_json_check(code))
        pillion_fail(req, "odd", "this is odd");
    else
        pillion_fail_raw(req, "as it is", pillion_params_raw(req));
}

static int reopen(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    return pillion_error(error, "%s cannot be opened", "nothing");
}
#endif

/* ---- 1.4: what a log or a terminal may hold, strings with their size ---- */

#if PILLION_ABI_MINOR >= 4
static void rerun(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(*(pillion_token *)data);

    (void)self;
    if (req != NULL)
        pillion_reply(req, "rerun", cJSON_CreateBool(pillion_rerunnable(0, true)));
}

static void rerunnable(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));

    *token = pillion_defer(req, 0);
    if (pillion_rerunnable(*token, true) && pillion_rerunnable(*token, false))
        pillion_timer(pillion_self(req), 1, 0, rerun, token);
}

static void shown(pillion_request *req)
{
    char text[64];

    size_t size = pillion_printable(pillion_params_raw(req), text, sizeof(text) - 1);
    text[size] = '\0';
    if (pillion_write_now(-1, text, size) != -1)
        text[0] = '\0';
    pillion_reply(req, "shown", cJSON_CreateString(text));
}

static void measure(pillion_request *req)
{
    pillion_bytes params = pillion_params_raw(req);
    char *text = pillion_alloc(req, params.size);
    long size = pillion_json_string(params, text, params.size);

    if (size < 0)
        pillion_fail(req, PILLION_INVALID_PARAMS, "no string that can be text");
    else if (pillion_json_string(params, text, (size_t)size) >= 0 || text[size] != '\0')
        pillion_fail(req, "odd", "there is no room for the NUL");
    else
        pillion_reply(req, "measure", cJSON_CreateNumber((double)size));
}
#endif

/* ---- 1.5: when to try again, what a balancer tells of the client, how long it may take ---- */

#if PILLION_ABI_MINOR >= 5
static void busy(pillion_request *req)
{
    cJSON_Delete(pillion_server_openrpc(req));
    if (pillion_header(req, "x-none").data != NULL)
        return;
    pillion_fail_retry(req, "busy", 1250, "in a %s", "moment");
}

static void told(pillion_request *req)
{
    const char *name = pillion_peer_name(req, "sni");
    cJSON *result = cJSON_CreateArray();

    cJSON_AddItemToArray(result, cJSON_CreateString(pillion_peer(req)));
    cJSON_AddItemToArray(result, name == NULL ? cJSON_CreateNull() : cJSON_CreateString(name));
    pillion_reply(req, "told", result);
}

static void rung(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(*(pillion_token *)data);

    (void)self;
    if (req != NULL)
        pillion_reply(req, "belongs", cJSON_CreateString(pillion_value(req, "every.value")));
}

static void over(void *data)
{
    pillion_log(*(pillion_instance **)data, PILLION_LOG_NOTICE, "it is over%s",
                pillion_work_cancelled() ? " in a thread" : "");
}

static void belongs(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));
    pillion_instance **self = pillion_alloc(req, sizeof(*self));

    *self = pillion_self(req);
    *token = pillion_defer(req, 0);
    if (pillion_on_end(req, over, self) && pillion_set_value(req, "every.value", "its own"))
        pillion_end_with(req, pillion_timer(*self, 1, 0, rung, token));
}

static void visit_ended(pillion_instance *self, void *value, pillion_conn_end why)
{
    pillion_log(self, PILLION_LOG_NOTICE, "%s ends: %s", (const char *)value,
                why == PILLION_CONN_REPLACED ? "another is there" : "its connection does");
}

static void visits(pillion_request *req)
{
    static char first[] = "first", second[] = "second";
    uint64_t id = pillion_conn_id(req);
    const char *seen = pillion_conn_get(req, "every.visit");

    if (!pillion_conn_set(req, "every.visit", seen == NULL ? first : second, visit_ended))
        pillion_fail(req, "gone", "there is no memory");
    else
        pillion_reply(req, "visits",
                      cJSON_CreateBool(id != 0 && !pillion_conn_moved(req) && seen == NULL));
}

static void called(pillion_request *req, const char *code, pillion_bytes result, void *data)
{
    (void)data;
    if (req != NULL && code == NULL)
        pillion_reply_raw(req, "called", result);
}

static void calls(pillion_request *req)
{
    pillion_call(req, "measure", pillion_params_raw(req), called, NULL);
}

static bool visit(pillion_bytes key, const void *value, size_t value_size, void *data)
{
    *(size_t *)data += key.size == 4 && memcmp(key.data, "once", 4) == 0 ? value_size : 0;
    return value != NULL;
}

static void each(pillion_request *req)
{
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "every");
    size_t size = 0;

    pillion_zone_set(zone, "once", 4, "12345", 5, PILLION_ONCE(60000));
    pillion_cancel(pillion_server_timer(pillion_self(req), 60000, posted, NULL));
    pillion_zone_each(zone, visit, &size);
    pillion_reply(req, "each", cJSON_CreateNumber((double)size));
}

static void alone(void *data)
{
    *(pillion_token *)data |= pillion_work_cancelled();
}

static void was_alone(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(*(pillion_token *)data);

    (void)self;
    if (req != NULL)
        pillion_reply(req, "run", cJSON_CreateTrue());
}

static void runs(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));

    *token = pillion_defer(req, 0);
    if (!pillion_run(pillion_self(req), alone, was_alone, token))
        abort();
}

static void left(pillion_request *req)
{
    uint64_t ms = pillion_deadline_ms(req);

    if (ms == 0)
        pillion_fail(req, PILLION_DEADLINE_EXCEEDED, "no time is left");
    else
        pillion_reply(req, "left",
                      ms == UINT64_MAX ? cJSON_CreateNull() : cJSON_CreateBool(ms < 90000));
}

static void trace(pillion_request *req)
{
    const char *parent = pillion_traceparent(req), *state = pillion_tracestate(req);
    cJSON *result = cJSON_CreateArray();

    cJSON_AddItemToArray(result, parent == NULL ? cJSON_CreateNull() : cJSON_CreateString(parent));
    cJSON_AddItemToArray(result, state == NULL ? cJSON_CreateNull() : cJSON_CreateString(state));
    pillion_reply(req, "trace", result);
}

struct args {
    const char *name;
    int64_t times;
    bool times_given;
    pillion_array sizes;
};

static const pillion_param args_params[] = {
    PILLION_PARAM(struct args, name, PILLION_STRING, .min = 1, .max = 5, .required = true),
    PILLION_PARAM(struct args, times, PILLION_INTEGER, .fallback = "2",
                  .given = offsetof(struct args, times_given)),
    PILLION_PARAM(struct args, sizes, PILLION_NUMBER, .list = true),
    {0},
};

static void args(pillion_request *req)
{
    const struct args *params = pillion_args(req);
    cJSON *result = cJSON_CreateArray();
    int64_t whole;

    cJSON_AddItemToArray(result, cJSON_CreateString(params->name));
    cJSON_AddItemToArray(result, cJSON_CreateNumber((double)params->times));
    cJSON_AddItemToArray(result, cJSON_CreateBool(params->times_given));
    cJSON_AddItemToArray(result, cJSON_CreateNumber((double)params->sizes.count));
    cJSON_AddItemToArray(
        result,
        cJSON_CreateBool(pillion_json_integer((pillion_bytes){"1e3", 3}, &whole) && whole == 1000));
    pillion_reply(req, "args", result);
}

struct part {
    int64_t number;
};

struct whole {
    const char *name;
    struct part part;
    pillion_array parts;
};

static const pillion_param part_rows[] = {
    PILLION_PARAM(struct part, number, PILLION_INTEGER),
    {0},
};

static const pillion_param whole_rows[] = {
    PILLION_PARAM(struct whole, name, PILLION_STRING),
    PILLION_PARAM(struct whole, part, PILLION_OBJECT, PILLION_MEMBERS(struct part, part_rows)),
    PILLION_PARAM(struct whole, parts, PILLION_OBJECT, .list = true,
                  PILLION_MEMBERS(struct part, part_rows)),
    {0},
};

static void whole(pillion_request *req)
{
    struct part parts[2] = {{7}, {8}};
    const struct whole value = {.name = "all", .part = {-1}, .parts = {parts, 2}};

    pillion_reply_struct(req, "whole", &value);
}

static void in_parts(pillion_request *req)
{
    pillion_begin_array(req, "in_parts");
    pillion_put_struct(req, NULL, part_rows, &(struct part){9});
    pillion_put_struct(req, NULL, whole_rows, &(struct whole){0});
    pillion_end(req);
}

static void written(pillion_request *req)
{
    char quoted[16];
    long size = pillion_json_quote((pillion_bytes){"q\"", 2}, quoted, sizeof(quoted));

    pillion_begin_object(req, "written");
    pillion_put_string(req, "string", "s");
    pillion_put_text(req, "text", (pillion_bytes){"t\0", 2});
    pillion_put_bytes(req, "bytes", (pillion_bytes){"b", 1});
    pillion_begin_array(req, "list");
    pillion_put_integer(req, NULL, -1);
    pillion_put_number(req, NULL, 0.5);
    pillion_put_flag(req, NULL, true);
    pillion_put_null(req, NULL);
    pillion_put_json(req, NULL, (pillion_bytes){quoted, (size_t)size});
    pillion_end(req);
    pillion_end(req);
}
#endif

/* ---- 1.6: services, files, TLS ---- */

#if PILLION_ABI_MINOR >= 6
static void changed(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
}

static bool none(const pillion_service_server *server, void *data)
{
    *(int *)data += server->weight > 0;
    return true;
}

static void services(pillion_request *req)
{
    int count = 0;

    pillion_service_each(service, NULL, none, &count);
    pillion_begin_array(req, "services");
    pillion_put_flag(req, NULL, pillion_service_is("registry:/every"));
    pillion_put_flag(req, NULL, pillion_service_is("127.0.0.1:8080"));
    pillion_put_flag(req, NULL, missed);
    pillion_put_integer(req, NULL, (int64_t)pillion_service_version(service));
    pillion_put_integer(req, NULL, count);
    pillion_end(req);
}

struct secret {
    pillion_token token;
    int plain, server;
};

static void secret_ended(void *data)
{
    struct secret *secret = data;

    close(secret->plain);
    close(secret->server);
}

static void secret_told(pillion_instance *self, const char *why, void *data)
{
    const struct config *config = pillion_config(self);
    pillion_request *req = pillion_resume(((struct secret *)data)->token);

    if (req == NULL)
        return;
    pillion_begin_array(req, "secret");
    pillion_put_text(req, NULL, (pillion_bytes){config->file.data, config->file.size});
    pillion_put_flag(req, NULL, config->ssl.on);
    pillion_put_integer(req, NULL, config->ssl.unverified);
    pillion_put_integer(req, NULL, (int64_t)config->ssl.handshake_timeout_ms);
    pillion_put_flag(req, NULL, config->ssl.key.path == NULL);
    pillion_put_string(req, NULL, why);
    pillion_end(req);
}

/* With a server that says nothing. */
static void secret(pillion_request *req)
{
    struct secret *secret = pillion_alloc(req, sizeof(*secret));
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    shutdown(ends[1], SHUT_WR);
    secret->server = ends[1];
    pillion_handle handle =
        pillion_tls_connect(tls, ends[0], "every", &secret->plain, secret_told, secret);
    if (handle == 0 || !pillion_on_end(req, secret_ended, secret) || !pillion_end_with(req, handle))
        abort();
    secret->token = pillion_defer(req, 10000);
}
#endif

static const pillion_method methods[] = {
    {.name = "settings", .handler = settings, .summary = "Its directives."},
#if PILLION_ABI_MINOR >= 5 /* from then on it is enforced */
    {.name = "answer",
     .handler = answer,
     .summary = "Its params.",
     .params = "{\"type\":[\"array\",\"null\"]}",
     .result = "{\"type\":\"array\"}"},
#else
    {.name = "answer",
     .handler = answer,
     .summary = "Its params.",
     .params = "{\"type\":\"object\"}",
     .result = "{\"type\":\"string\"}"},
    {.name = "loose", .handler = answer, .params = "{\"type\":\"objekt\"}"},
#endif
    {.name = "server", .handler = server},
#if PILLION_ABI_MINOR >= 2
    {.name = "later", .handler = later, .idempotent = true},
    {.name = "pool", .handler = pool},
    {.name = "zone", .handler = zone},
    {.name = "scale",
     .handler = scale,
     .directives = scale_directives,
     .config_size = sizeof(struct scale),
     .start = scale_start},
#endif
#if PILLION_ABI_MINOR >= 3
    {.name = "count", .handler = count, .idempotent = true},
#endif
#if PILLION_ABI_MINOR >= 4
    {.name = "shown", .handler = shown},
    {.name = "rerunnable", .handler = rerunnable},
    {.name = "measure", .handler = measure},
#endif
#if PILLION_ABI_MINOR >= 5
    {.name = "busy", .handler = busy, .read_only = true, .title = "Is it busy?"},
    {.name = "told", .handler = told, .additive = true},
    {.name = "left", .handler = left},
    {.name = "trace", .handler = trace},
    {.name = "belongs", .handler = belongs},
    {.name = "args", .handler = args, PILLION_PARAMS(struct args, args_params)},
    {.name = "run", .handler = runs},
    {.name = "visits", .handler = visits},
    {.name = "calls", .handler = calls},
    {.name = "each", .handler = each},
    {.name = "written", .handler = written},
    {.name = "whole", .handler = whole, PILLION_GIVES(struct whole, whole_rows)},
    {.name = "in_parts", .handler = in_parts, PILLION_GIVES(struct whole, whole_rows)},
#endif
#if PILLION_ABI_MINOR >= 6
    {.name = "services", .handler = services},
    {.name = "secret", .handler = secret},
#endif
    {0},
};

PILLION_MODULE(.name = "every", .version = "1", .summary = "All of it.", .methods = methods,
               .directives = directives, .config_size = sizeof(struct config), .check = check,
               .start = start, .stop = stop,
#if PILLION_ABI_MINOR >= 1
               .filters = filters,
#endif
#if PILLION_ABI_MINOR >= 3
               .metrics = metrics, .reopen = reopen,
#endif
#if PILLION_ABI_MINOR >= 6
               .needs = PILLION_NEEDS_NETWORK | PILLION_NEEDS_PROCESSES,
#endif
);
