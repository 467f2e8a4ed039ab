/* What is kept for a connection: set, seen, ended, saved in a zone when it moves. */
#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct visit {
    pillion_instance *self;
    uint64_t connection;
    unsigned seen; /* requests */
    char name[24];
};

struct params {
    const char *name, *key;
    bool crashes;
};

static const pillion_param params_table[] = {
    PILLION_PARAM(struct params, name, PILLION_STRING),
    PILLION_PARAM(struct params, key, PILLION_STRING, .fallback = "\"visits.visit\""),
    PILLION_PARAM(struct params, crashes, PILLION_FLAG),
    {0},
};

static pillion_zone *zone;

/* ---- The end ---- */

static const char *const reasons[] = {
    [PILLION_CONN_CLOSED] = "closed",
    [PILLION_CONN_MOVED] = "moved",
    [PILLION_CONN_STOPPING] = "stopping",
    [PILLION_CONN_REPLACED] = "replaced",
};

static void ended(pillion_instance *self, void *value, pillion_conn_end why)
{
    struct visit *visit = value;

    if (visit->self != self)
        abort();
    pillion_log(self, PILLION_LOG_NOTICE, "%s is over: %s", visit->name, reasons[why]);
    pillion_count(self, 0, -1);
    if (why == PILLION_CONN_MOVED && zone != NULL)
        pillion_zone_set(zone, &visit->connection, sizeof(visit->connection), visit->name,
                         sizeof(visit->name), 0);
    free(visit);
}

static void crashed(pillion_instance *self, void *value, pillion_conn_end why)
{
    (void)self;
    (void)value;
    (void)why;
    abort();
}

/* ---- set: {"name": …}, without one: nothing ---- */

static void set(pillion_request *req)
{
    const struct params *params = pillion_args(req);
    struct visit *visit = calloc(1, sizeof(*visit));

    visit->self = pillion_self(req);
    visit->connection = pillion_conn_id(req);
    if (params->name == NULL) {
        free(visit);
        pillion_reply(req, "set", cJSON_CreateBool(pillion_conn_set(req, params->key, NULL, NULL)));
        return;
    }
    snprintf(visit->name, sizeof(visit->name), "%s", params->name);
    bool done = pillion_conn_set(req, params->key, visit, params->crashes ? crashed : ended);
    if (done)
        pillion_count(visit->self, 0, 1);
    else
        free(visit);
    pillion_reply(req, "set", cJSON_CreateBool(done));
}

/* ---- get: the name, how often it was asked for, whether the connection was moved; and the name
 * that was saved then ---- */

static void answer(pillion_request *req)
{
    const struct params *params = pillion_args(req);
    struct visit *visit = pillion_conn_get(req, params->key);
    uint64_t connection = pillion_conn_id(req);
    char saved[sizeof(visit->name)] = "";

    if (visit != NULL && visit->connection != connection)
        abort();
    if (visit != NULL && !pillion_conn_set(req, params->key, visit, ended)) /* no other value */
        abort();
    if (zone != NULL)
        pillion_zone_get(zone, &connection, sizeof(connection), saved, sizeof(saved));
    pillion_begin_array(req, "got");
    pillion_put_string(req, NULL, visit == NULL ? NULL : visit->name);
    pillion_put_integer(req, NULL, visit == NULL ? 0 : ++visit->seen);
    pillion_put_flag(req, NULL, pillion_conn_moved(req));
    pillion_put_string(req, NULL, saved);
    pillion_end(req);
}

/* ---- later: the same, deferred; and called by another method ---- */

static void later(pillion_instance *self, void *data)
{
    pillion_token *token = data;
    pillion_request *req = pillion_resume(*token);

    (void)self;
    if (req != NULL)
        answer(req);
}

static void get_later(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));

    *token = pillion_defer(req, 0);
    pillion_end_with(req, pillion_timer(pillion_self(req), 1, 0, later, token));
}

static void called(pillion_request *req, const char *code, pillion_bytes result, void *data)
{
    (void)data;
    if (req != NULL && code == NULL)
        pillion_reply_raw(req, "got", result);
    else if (req != NULL)
        pillion_fail_raw(req, code, result);
}

static void get_by_call(pillion_request *req)
{
    pillion_call(req, "get", pillion_params_raw(req), called, NULL);
}

/* ---- stay: nobody answers it ---- */

static void hold(pillion_request *req)
{
    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "a request is held");
    pillion_defer(req, 0);
}

/* ---- work_on: a thread works with the value until nobody waits, and 100 ms more ---- */

static void work(void *data)
{
    struct visit *visit = data;

    pillion_log(visit->self, PILLION_LOG_NOTICE, "%s is worked with", visit->name);
    while (!pillion_work_cancelled())
        usleep(1000);
    for (int i = 0; i < 100; i++) {
        usleep(1000);
        visit->seen++;
    }
    pillion_log(visit->self, PILLION_LOG_NOTICE, "%s is worked with no more", visit->name);
}

static void worked(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        pillion_reply(req, "worked", NULL);
}

static void work_with(pillion_request *req)
{
    const struct params *params = pillion_args(req);
    struct visit *visit = pillion_conn_get(req, params->key);

    if (visit == NULL)
        pillion_fail(req, "unknown", "nobody is here");
    else
        pillion_offload(req, params->name == NULL ? 0 : 20, work, worked, visit);
}

/* ---- A filter that sees requests whose clients are gone ---- */

static void after(pillion_request *req)
{
    const struct visit *visit = pillion_conn_get(req, "visits.visit");

    if (visit != NULL && pillion_error_code(req) != NULL)
        pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "%s is left by %s, %s", visit->name,
                    pillion_method_name(req),
                    pillion_conn_set(req, "visits.late", pillion_self(req), NULL) ? "not over"
                                                                                  : "over");
}

static void crash(pillion_request *req)
{
    (void)req;
    abort();
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    (void)error;
    zone = pillion_zone_open(self, "visits");
    return 0;
}

static const pillion_metric metrics[] = {
    {.name = "here", .type = PILLION_GAUGE},
    {0},
};

static const pillion_filter filters[] = {{.name = "seen", .after = after}, {0}};

static const pillion_method methods[] = {
    {.name = "set", .handler = set, PILLION_PARAMS(struct params, params_table)},
    {.name = "get",
     .handler = answer,
     .read_only = true,
     PILLION_PARAMS(struct params, params_table)},
    {.name = "get_later", .handler = get_later, PILLION_PARAMS(struct params, params_table)},
    {.name = "get_by_call", .handler = get_by_call, PILLION_PARAMS(struct params, params_table)},
    {.name = "stay", .handler = hold},
    {.name = "work_on", .handler = work_with, PILLION_PARAMS(struct params, params_table)},
    {.name = "die", .handler = crash},
    {0},
};

PILLION_MODULE(.name = "visits", .version = "1.0.0", .methods = methods, .filters = filters,
               .metrics = metrics, .start = start);
