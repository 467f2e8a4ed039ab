/* Connections to PostgreSQL: opened at the start, kept, and opened again when they break, later and
 * later.
 *
 * They are in pipeline mode (libpq, "Pipeline Mode"): a request's statements go out at once,
 * whatever is still to come, on the connection with the fewest results to come. The statements up
 * to a sync are one transaction, and an error in them leaves those of other requests alone. Each is
 * prepared on a connection when it is first used there. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define CONNECT_MS         10000u
#define RESULTS_AT_ONCE    4u /* of a connection; then the worker's other clients have their turn */

/* A request whose result is to come. */
struct call {
    pillion_token token;
    const struct method *method; /* NULL: the connection's own first statement */
    unsigned version;            /* of the statements that it prepares, should it succeed */
    PGresult *last, *error;
    struct call *next;
};

struct connection {
    struct pool *pool;
    PGconn *pg; /* NULL while there is none */
    pillion_handle watch, deadline, more;
    bool ready;
    struct call *first, **end; /* in the order in which they were sent */
    size_t pending;
    unsigned backoff_ms;
    unsigned
        *versions; /* of each statement's name here; 0, or not there: not known to be prepared */
    size_t version_count;
    unsigned last_version;
};

struct pool {
    pillion_instance *self;
    const struct settings *settings;
    bool closing;
    char reason[256]; /* why there is no connection */
    size_t count;
    struct connection connections[];
};

static void connection_open(struct connection *connection);

/* ---- Ending ---- */

static void call_free(struct call *call)
{
    PQclear(call->last);
    PQclear(call->error);
    free(call);
}

static void again(pillion_instance *self, void *data)
{
    struct connection *connection = data;

    (void)self;
    if (connection->pg == NULL)
        connection_open(connection);
}

/* libpq's messages end their lines, and have more than one. */
static void set_reason(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    for (char *p = to; *p != '\0'; p++) {
        if (*p == '\n')
            *p = p[1] == '\0' ? '\0' : ' ';
    }
}

static void connection_close(struct connection *connection)
{
    pillion_cancel(connection->watch);
    pillion_cancel(connection->deadline);
    pillion_cancel(connection->more);
    connection->watch = connection->deadline = connection->more = 0;
    PQfinish(connection->pg);
    connection->pg = NULL;
    if (connection->ready)
        pillion_count(connection->pool->self, METRIC_CONNECTED, -1);
    connection->ready = false;
}

/* It is broken, or was never there: those who wait are told, the log is, once, and it is tried
 * again later. */
static void connection_lost(struct connection *connection, const char *why)
{
    struct pool *pool = connection->pool;
    char reason[sizeof(pool->reason)];

    set_reason(reason, sizeof(reason), why);
    connection_close(connection);
    while (connection->first != NULL) {
        struct call *call = connection->first;
        pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);
        connection->first = call->next;
        pillion_count(pool->self, METRIC_UNAVAILABLE, req != NULL);
        if (req != NULL)
            pillion_fail(req, "postgres_unavailable", "the connection to PostgreSQL broke: %s",
                         reason);
        call_free(call);
    }
    connection->end = &connection->first;
    connection->pending = 0;
    if (pool->closing)
        return;
    if (strcmp(pool->reason, reason) != 0) {
        memcpy(pool->reason, reason, sizeof(reason));
        pillion_log(pool->self, PILLION_LOG_ERROR, "%s; it is tried again", reason);
    }
    pillion_timer(pool->self, connection->backoff_ms, 0, again, connection);
    connection->backoff_ms *= 2;
    if (connection->backoff_ms > BACKOFF_LONGEST_MS)
        connection->backoff_ms = BACKOFF_LONGEST_MS;
}

/* ---- Results ---- */

/* The version of a statement on this connection. NULL when memory ran out. */
static unsigned *version_of(struct connection *connection, size_t statement)
{
    if (statement >= connection->version_count) {
        size_t count = statement + 64;
        unsigned *grown = realloc(connection->versions, count * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        memset(grown + connection->version_count, 0,
               (count - connection->version_count) * sizeof(*grown));
        connection->versions = grown;
        connection->version_count = count;
    }
    return &connection->versions[statement];
}

/* After some errors the statement has to be prepared anew: its tables have changed, or the server
 * does not have it (any more). */
static void forget_statements(struct connection *connection, const struct method *method,
                              const PGresult *error)
{
    const char *state = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    static const char *const stale[] = {"0A000", "26000", "42P05"};

    for (size_t i = 0; i < sizeof(stale) / sizeof(*stale); i++) {
        if (state != NULL && strcmp(state, stale[i]) == 0) {
            for (size_t s = 0; s < method->sql.count; s++)
                *version_of(connection, method->first + s) = 0;
        }
    }
}

/* Only now is it known that they could be prepared: calls that were sent meanwhile have prepared
 * them under names of their own. */
static void remember_statements(struct connection *connection, const struct call *call)
{
    for (size_t s = 0; s < call->method->sql.count; s++) {
        unsigned *version = version_of(connection, call->method->first + s);
        if (version != NULL && *version == 0)
            *version = call->version;
    }
}

static void call_done(struct connection *connection, struct call *call)
{
    struct pool *pool = connection->pool;
    pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);

    if (call->method == NULL) { /* the connection is set up */
        connection->ready = true;
        pillion_count(connection->pool->self, METRIC_CONNECTED, 1);
        connection->backoff_ms = BACKOFF_FIRST_MS;
        pillion_cancel(connection->deadline);
        if (pool->reason[0] != '\0')
            pillion_log(pool->self, PILLION_LOG_NOTICE, "the server is there again");
        pool->reason[0] = '\0';
    } else if (call->error != NULL) {
        forget_statements(connection, call->method, call->error);
        if (req != NULL)
            value_error(req, call->error);
    } else {
        remember_statements(connection, call);
        if (req != NULL && call->last != NULL)
            value_reply(req, call->last, (enum returns)call->method->returns);
    }
    call_free(call);
}

/* A result of the first call's. */
static void take_result(struct connection *connection, PGresult *result)
{
    struct call *call = connection->first;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        connection->first = call->next;
        if (connection->first == NULL)
            connection->end = &connection->first;
        connection->pending--;
        call_done(connection, call);
        return;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        PQclear(call->last);
        call->last = result;
        return;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return;
    default:
        PQclear(call->error);
        call->error = result;
        return;
    }
}

static void watch_again(struct connection *connection)
{
    /* What could not be sent yet waits for room. */
    int left = PQflush(connection->pg);

    if (left < 0) {
        connection_lost(connection, PQerrorMessage(connection->pg));
        return;
    }
    pillion_watch_change(connection->watch, left > 0 ? PILLION_READ | PILLION_WRITE : PILLION_READ);
}

static void take_more(pillion_instance *self, void *data);

/* Results that have arrived. */
static void take_results(struct connection *connection)
{
    size_t pending = connection->pending;
    bool good = true;

    while (good && connection->first != NULL && !PQisBusy(connection->pg)) {
        if (pending - connection->pending == RESULTS_AT_ONCE) {
            connection->more = pillion_timer(connection->pool->self, 0, 0, take_more, connection);
            break;
        }
        PGresult *result = PQgetResult(connection->pg);
        if (result != NULL)
            take_result(connection, result);
        else
            good = PQstatus(connection->pg) != CONNECTION_BAD;
    }
    if (!good || PQstatus(connection->pg) == CONNECTION_BAD)
        connection_lost(connection, PQerrorMessage(connection->pg));
    else
        watch_again(connection);
}

static void take_more(pillion_instance *self, void *data)
{
    struct connection *connection = data;

    (void)self;
    connection->more = 0;
    take_results(connection);
}

static void ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct connection *connection = data;

    (void)self;
    (void)fd;
    (void)events;
    if (PQconsumeInput(connection->pg) != 1)
        connection_lost(connection, PQerrorMessage(connection->pg));
    else if (connection->more == 0)
        take_results(connection);
}

/* ---- Connecting ---- */

static struct call *call_new(struct connection *connection, const struct method *method)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->method = method;
    *connection->end = call;
    connection->end = &call->next;
    connection->pending++;
    return call;
}

static void notice(void *data, const char *message)
{
    struct connection *connection = data;
    char line[512];

    set_reason(line, sizeof(line), message);
    pillion_log(connection->pool->self, PILLION_LOG_INFO, "the server says: %s", line);
}

/* The server gives up what takes too long, as its client does. */
static void set_up(struct connection *connection)
{
    char timeout[24];
    const char *values[] = {timeout};
    PGconn *pg = connection->pg;

    snprintf(timeout, sizeof(timeout), "%llu",
             (unsigned long long)connection->pool->settings->timeout_ms);
    PQsetNoticeProcessor(pg, notice, connection);
    pillion_cancel(connection->watch);
    connection->watch =
        pillion_watch(connection->pool->self, PQsocket(pg), PILLION_READ, ready, connection);
    if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg) ||
        !PQsendQueryParams(pg, "select set_config('statement_timeout', $1, false)", 1, NULL, values,
                           NULL, NULL, 0) ||
        !PQpipelineSync(pg) || call_new(connection, NULL) == NULL)
        connection_lost(connection, PQerrorMessage(pg));
    else
        watch_again(connection);
}

static void connecting(pillion_instance *self, int fd, unsigned events, void *data);

/* The socket may be another one after each step (libpq, PQconnectPoll). */
static void wait_for(struct connection *connection, unsigned events)
{
    pillion_cancel(connection->watch);
    connection->watch = pillion_watch(connection->pool->self, PQsocket(connection->pg), events,
                                      connecting, connection);
}

static void connecting(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct connection *connection = data;

    (void)self;
    (void)fd;
    (void)events;
    switch (PQconnectPoll(connection->pg)) {
    case PGRES_POLLING_READING:
        wait_for(connection, PILLION_READ);
        return;
    case PGRES_POLLING_WRITING:
        wait_for(connection, PILLION_WRITE);
        return;
    case PGRES_POLLING_OK:
        set_up(connection);
        return;
    default:
        connection_lost(connection, PQerrorMessage(connection->pg));
        return;
    }
}

static void connect_late(pillion_instance *self, void *data)
{
    struct connection *connection = data;

    (void)self;
    if (!connection->ready)
        connection_lost(connection, "the server does not answer");
}

static void connection_open(struct connection *connection)
{
    const char *const names[] = {"dbname", "client_encoding", "fallback_application_name", NULL};
    const char *const values[] = {connection->pool->settings->conninfo, "UTF8", "pillion", NULL};

    free(connection->versions);
    connection->versions = NULL;
    connection->version_count = 0;
    connection->pg = PQconnectStartParams(names, values, 1);
    if (connection->pg == NULL || PQstatus(connection->pg) == CONNECTION_BAD) {
        connection_lost(connection,
                        connection->pg == NULL ? "out of memory" : PQerrorMessage(connection->pg));
        return;
    }
    connection->deadline =
        pillion_timer(connection->pool->self, CONNECT_MS, 0, connect_late, connection);
    wait_for(connection, PILLION_WRITE);
}

struct pool *pool_open(pillion_instance *self, const struct settings *settings,
                       pillion_error_text *error)
{
    size_t count = (size_t)settings->connections;
    struct pool *pool = calloc(1, sizeof(*pool) + count * sizeof(pool->connections[0]));

    if (pool == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    pool->self = self;
    pool->settings = settings;
    pool->count = count;
    for (size_t i = 0; i < count; i++) {
        struct connection *connection = &pool->connections[i];
        connection->pool = pool;
        connection->end = &connection->first;
        connection->backoff_ms = BACKOFF_FIRST_MS;
        connection_open(connection);
    }
    return pool;
}

void pool_close(struct pool *pool)
{
    pool->closing = true;
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->connections[i].pg != NULL)
            connection_lost(&pool->connections[i], "the worker ends");
        free(pool->connections[i].versions);
    }
    free(pool);
}

/* ---- Sending ---- */

/* The connection with the fewest results to come. */
static struct connection *choose(struct pool *pool)
{
    struct connection *best = NULL;

    for (size_t i = 0; i < pool->count; i++) {
        struct connection *connection = &pool->connections[i];
        if (connection->ready && (best == NULL || connection->pending < best->pending))
            best = connection;
    }
    return best;
}

static bool send_statement(struct connection *connection, const struct call *call, size_t index,
                           const char *const *values)
{
    const struct method *method = call->method;
    const unsigned *version = version_of(connection, method->first + index);
    int params = (int)method->param_count;
    char name[48];

    if (version == NULL)
        return false;
    snprintf(name, sizeof(name), "pillion_%zu_%u", method->first + index,
             *version == 0 ? call->version : *version);
    if (*version == 0 && !PQsendPrepare(connection->pg, name, method->sql.items[index], params,
                                        method->types[index]))
        return false;
    return PQsendQueryPrepared(connection->pg, name, params, values, NULL, NULL, 0) == 1;
}

void pool_send(struct pool *pool, pillion_request *req, const struct method *method,
               const char *const *values)
{
    struct connection *connection = choose(pool);

    if (connection == NULL) {
        pillion_count(pool->self, METRIC_UNAVAILABLE, 1);
        pillion_fail(req, "postgres_unavailable", "there is no connection to PostgreSQL%s%s",
                     pool->reason[0] == '\0' ? "" : ": ", pool->reason);
        return;
    }
    struct call *call = connection->pending < (size_t)pool->settings->max_pending
                            ? call_new(connection, method)
                            : NULL;
    if (call == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "%zu results of PostgreSQL are to come (max_pending)",
                     connection->pending);
        return;
    }
    bool sent = true;
    call->version = ++connection->last_version;
    for (size_t i = 0; sent && i < method->sql.count; i++)
        sent = send_statement(connection, call, i, values);
    call->token = pillion_defer(req, pool->settings->timeout_ms);
    pillion_count(pool->self, METRIC_QUERIES, 1);
    if (!sent || !PQpipelineSync(connection->pg))
        connection_lost(connection, PQerrorMessage(connection->pg));
    else
        watch_again(connection);
}
