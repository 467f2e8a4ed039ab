/* RPC methods from SQL, made in the configuration:
 *
 *     load_module modules/postgres.so { conninfo "host=/run/postgresql dbname=shop"; }
 *     server {
 *         listen 127.0.0.1:8080;
 *         method user.get {
 *             handler postgres.query;
 *             sql     "select id, name from users where id = $1";
 *             params  id:int;
 *             returns row;
 *         }
 *     }
 *
 * Each worker has connections of its own, and nothing waits for PostgreSQL but the request itself.
 */
#include <stddef.h>

#include "pool.h"
#include "secure.h"

static const char *const trace_words[] = {"off", "comment", NULL};

static const pillion_directive directives[] = {
    {.name = "conninfo",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, conninfo),
     .required = true,
     .summary =
         "How to connect, as libpq takes it: \"host=/run/postgresql dbname=shop user=web\" or "
         "a postgresql:// URL. Looking up a host's name would block the worker: give an "
         "address as hostaddr."},
    {.name = "ssl",
     .type = PILLION_FLAG,
     .offset = offsetof(struct settings, ssl),
     .fallback = "off",
     .summary = "Speaks TLS with the server, and nothing else: its sslmode is verify-full."},
    {.name = "ssl_verify",
     .type = PILLION_FLAG,
     .offset = offsetof(struct settings, ssl_verify),
     .fallback = "on",
     .summary = "Whether its certificate has to be valid, signed by a trusted authority and for "
                "its name; `off` is for tests alone."},
    {.name = "ssl_name",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, ssl_name),
     .summary = "The name that its certificate has to be for; without it, the `host` of "
                "`conninfo`."},
    {.name = "ssl_trusted_certificate",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, ssl_trusted),
     .summary = "Certificates of the authorities that are trusted (PEM); without it, the "
                "system's."},
    {.name = "ssl_certificate",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, ssl_certificate),
     .summary = "The certificate that is shown to a server that asks for one (PEM)."},
    {.name = "ssl_certificate_key",
     .type = PILLION_FILE,
     .offset = offsetof(struct settings, ssl_key),
     .summary = "Its key (PEM); libpq reads it, and wants it to be its user's or root's alone."},
    {.name = "connections",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, connections),
     .fallback = "4",
     .min = 1,
     .max = 256,
     .summary = "Connections of each worker. A request waits for one that is free."},
    {.name = "pipeline",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, pipeline),
     .fallback = "1",
     .min = 1,
     .max = 1000,
     .summary = "How many requests may be under way on one connection: more than one only while "
                "all their methods are known to be quick. For servers that are far away."},
    {.name = "timeout",
     .type = PILLION_TIME,
     .offset = offsetof(struct settings, timeout_ms),
     .fallback = "5s",
     .min = 1,
     .max = 3600000,
     .summary = "How long a request waits; then PostgreSQL is asked to cancel it, and it is "
                "answered `timeout`. The server's own statement_timeout is set to it too."},
    {.name = "max_pending",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, max_pending),
     .fallback = "1000",
     .min = 1,
     .max = 1000000,
     .summary = "Requests that wait for a connection; beyond that they are answered "
                "`overloaded`."},
    {.name = "max_unsent",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_unsent),
     .fallback = "16m",
     .min = 4096,
     .max = INT64_C(1) << 31,
     .summary = "Bytes of params that wait for a connection; beyond that requests are answered "
                "`overloaded`."},
    {.name = "max_reply",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_reply),
     .fallback = "16m",
     .min = 64,
     .max = INT64_C(1) << 31,
     .summary = "The largest result, as JSON; a larger one is answered `postgres_too_large`."},
    {.name = "prepare",
     .type = PILLION_FLAG,
     .offset = offsetof(struct settings, prepare),
     .fallback = "on",
     .summary = "`off`: each request sends its statements whole, and nothing is kept in the "
                "server's session: for poolers that share sessions out by the transaction."},
    {.name = "trace",
     .type = PILLION_ENUM,
     .offset = offsetof(struct settings, trace),
     .words = trace_words,
     .fallback = "off",
     .summary =
         "`comment`: behind each statement of a request whose trace is recorded (a `traceparent` "
         "whose last digit says sampled) stands /*traceparent='…'*/, for PostgreSQL's log and "
         "pg_stat_activity, as sqlcommenter writes it. Such a request's statements are sent whole, "
         "and planned anew; all others keep their prepared ones."},
    {0},
};

static const char *const return_words[] = {"rows", "row", "value", "count", "nothing", NULL};

static const pillion_directive query_directives[] = {
    {.name = "sql",
     .type = PILLION_LIST,
     .offset = offsetof(struct method, sql),
     .required = true,
     .summary = "The statement, with $1, $2 … for the params. Several are one transaction, and the "
                "last one's result is the reply."},
    {.name = "params",
     .type = PILLION_LIST,
     .offset = offsetof(struct method, param_words),
     .summary = "The members of params that become $1, $2 …: name or name:type, with ? behind it "
                "where it may be missing and is NULL then. Types: text, int, float, bool, json."},
    {.name = "returns",
     .type = PILLION_ENUM,
     .offset = offsetof(struct method, returns),
     .words = return_words,
     .fallback = "rows",
     .summary = "rows: an array of objects. row: the first one, or null. value: its first column. "
                "count: how many rows it changed. nothing: null."},
    {0},
};

/* How many statements there are so far: they are numbered as methods start. */
static size_t statements;

static int query_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    (void)self;
    return query_read(config, &statements, error);
}

static void query(pillion_request *req)
{
    struct method *method = pillion_method_config(req);
    const char **values = query_values(req, method);

    if (values != NULL)
        pool_send(pillion_state(pillion_self(req)), req, method, values);
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    return secure_check(pillion_config(self), error);
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    struct pool *pool = pool_open(self, pillion_config(self), error);

    pillion_set_state(self, pool);
    return pool == NULL ? -1 : 0;
}

static void stop(pillion_instance *self)
{
    pool_close(pillion_state(self));
}

static const pillion_method methods[] = {
    {.name = "query",
     .handler = query,
     .summary = "Runs SQL statements, and gives the last one's result.",
     .directives = query_directives,
     .config_size = sizeof(struct method),
     .start = query_start},
    {0},
};

static const pillion_metric metrics[] = {
    [METRIC_QUERIES] = {.name = "queries",
                        .type = PILLION_COUNTER,
                        .summary = "Requests that were sent to PostgreSQL."},
    [METRIC_ERRORS] = {.name = "errors",
                       .type = PILLION_COUNTER,
                       .summary = "Requests answered `postgres_error`."},
    [METRIC_UNAVAILABLE] = {.name = "unavailable",
                            .type = PILLION_COUNTER,
                            .summary = "Requests answered `postgres_unavailable`."},
    [METRIC_CONNECTED] = {.name = "connected",
                          .type = PILLION_GAUGE,
                          .summary = "Connections to PostgreSQL."},
    [METRIC_CANCELLED] = {.name = "cancelled",
                          .type = PILLION_COUNTER,
                          .summary = "Requests that PostgreSQL was asked to cancel."},
    {0},
};

PILLION_MODULE(.name = "postgres", .version = "1.0.0", .summary = "RPC methods from SQL.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct settings),
               .check = check, .start = start, .stop = stop, .metrics = metrics,
               .needs = PILLION_NEEDS_NETWORK);
