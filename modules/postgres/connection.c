/* A connection to PostgreSQL: opened, kept, and opened again when it breaks, later and later.
 *
 * It is in pipeline mode (libpq, "Pipeline Mode"): a request's statements go out at once, whatever
 * is still to come. The statements up to a sync are one transaction, and an error in them leaves
 * those of other requests alone. Each is prepared on a connection when it is first used there. */
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define CONNECT_MS         10000u
#define STATEMENT_NAME_MAX 48
#define RESULTS_AT_ONCE    4u /* of a connection; then the worker's other clients have their turn */

/* A request whose result is to come. */
struct call {
    pillion_token token;
    const struct method *method; /* NULL: a statement of the connection's own */
    unsigned version;            /* of the statements that it prepares */
    size_t statement;            /* whose results are next */
    PGresult *last, *error;
    struct call *next;
    bool prepares[]; /* for each statement: the next of its results is the preparation's */
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
        if (*p == '\n' || *p == '\t')
            *p = p[1] == '\0' ? '\0' : ' ';
    }
}

static void connection_close(struct connection *connection)
{
    pillion_cancel(connection->watch);
    pillion_cancel(connection->deadline);
    pillion_cancel(connection->more);
    connection->watch = connection->deadline = connection->more = 0;
    connection->silent = 0;
    PQfinish(connection->pg);
    connection->pg = NULL;
    if (connection->ready)
        pillion_count(connection->pool->self, METRIC_CONNECTED, -1);
    connection->ready = false;
}

void fail_unavailable(pillion_request *req, const char *what)
{
    pillion_count(pillion_self(req), METRIC_UNAVAILABLE, 1);
    pillion_fail(req, "postgres_unavailable", "%s", what);
}

/* It is broken, or was never there: those who wait are told, and it is tried again later. */
static void connection_lost(struct connection *connection, const char *why)
{
    struct pool *pool = connection->pool;
    char reason[REASON_MAX];

    set_reason(reason, sizeof(reason), why);
    connection_close(connection);
    while (connection->first != NULL) {
        struct call *call = connection->first;
        pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);
        connection->first = call->next;
        if (req != NULL)
            fail_unavailable(req, "the connection to PostgreSQL broke");
        call_free(call);
    }
    connection->end = &connection->first;
    connection->pending = connection->unsent = 0;
    pool_lost(connection, reason);
    if (pool->closing)
        return;
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

static void statement_name(char name[STATEMENT_NAME_MAX], size_t statement, unsigned version)
{
    snprintf(name, STATEMENT_NAME_MAX, "pillion_%zu_%u", statement, version);
}

static struct call *call_new(struct connection *connection, const struct method *method);

/* The server need not keep the statement any more. */
static void deallocate(struct connection *connection, size_t statement, unsigned version)
{
    char name[STATEMENT_NAME_MAX], sql[STATEMENT_NAME_MAX + 16];

    statement_name(name, statement, version);
    snprintf(sql, sizeof(sql), "deallocate %s", name);
    if (call_new(connection, NULL) == NULL)
        return;
    /* Should this fail, the connection is broken, as its reader will see. */
    if (PQsendQueryParams(connection->pg, sql, 0, NULL, NULL, NULL, NULL, 0) == 1)
        PQpipelineSync(connection->pg);
}

/* After some errors the statement has to be prepared anew: its tables have changed, or the server
 * does not have it (any more). */
static void forget_statements(struct connection *connection, const struct method *method,
                              const PGresult *error)
{
    const char *state = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    bool changed = state != NULL && strcmp(state, "0A000") == 0;
    bool lost = state != NULL && strcmp(state, "26000") == 0;

    for (size_t s = 0; (changed || lost) && s < method->sql.count; s++) {
        unsigned *version = version_of(connection, method->first + s);
        if (version == NULL || *version == 0)
            continue;
        if (changed)
            deallocate(connection, method->first + s, *version);
        *version = 0;
    }
}

/* The server has prepared a statement. Of calls that were under way together each has done so,
 * under a name of its own: one stays. */
static void remember_statement(struct connection *connection, const struct call *call)
{
    size_t statement = call->method->first + call->statement;
    unsigned *version = version_of(connection, statement);

    if (version != NULL && *version == 0)
        *version = call->version;
    else
        deallocate(connection, statement, call->version);
}

/* It is set up. */
static void connection_ready(struct connection *connection)
{
    connection->ready = true;
    pillion_count(connection->pool->self, METRIC_CONNECTED, 1);
    connection->backoff_ms = BACKOFF_FIRST_MS;
    pillion_cancel(connection->deadline);
    pool_ready(connection);
}

static void call_done(struct connection *connection, struct call *call)
{
    pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);

    if (call->method == NULL && connection->ready) {
        /* nobody waits for it */
    } else if (call->method == NULL) {
        connection_ready(connection);
    } else if (call->error != NULL) {
        forget_statements(connection, call->method, call->error);
        if (req != NULL)
            value_error(req, call->error);
    } else if (req != NULL && call->last != NULL) {
        value_reply(req, call->last, (enum returns)call->method->returns);
    }
    call_free(call);
}

/* The results of the first call are through: what it was to be done for is answered. */
static bool take_end(struct connection *connection)
{
    struct call *call = connection->first;

    connection->first = call->next;
    if (connection->first == NULL)
        connection->end = &connection->first;
    connection->pending--;
    call_done(connection, call);
    if (connection->pg == NULL)
        return false;
    /* It is known only while nothing is under way. */
    PGTransactionStatusType status = PQtransactionStatus(connection->pg);
    if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR)
        return true;
    connection_lost(connection, "a method has left a transaction open");
    return false;
}

/* A result of a statement that has succeeded. */
static void take_good(struct connection *connection, struct call *call, PGresult *result)
{
    if (call->method != NULL && call->statement < call->method->sql.count) {
        if (call->prepares[call->statement]) {
            call->prepares[call->statement] = false;
            remember_statement(connection, call);
            PQclear(result);
            return;
        }
        call->statement++;
    }
    PQclear(call->last);
    call->last = result;
}

/* COPY would go on for ever: its request is answered, and the connection ends. */
static void refuse_copy(struct connection *connection)
{
    struct call *call = connection->first;
    pillion_request *req = call->token == 0 ? NULL : pillion_resume(call->token);

    call->token = 0;
    if (req != NULL)
        pillion_fail(req, "postgres_error", "COPY cannot be a method");
    connection_lost(connection, "a method has begun a COPY");
}

/* A result of the first call's. False when the connection has ended with it. */
static bool take_result(struct connection *connection, PGresult *result)
{
    struct call *call = connection->first;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        return take_end(connection);
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        take_good(connection, call, result);
        return true;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return true;
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
        PQclear(result);
        refuse_copy(connection);
        return false;
    default:
        PQclear(call->error);
        call->error = result;
        return true;
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
    if (left == 0)
        connection->unsent = 0;
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
        if (result != NULL && !take_result(connection, result))
            return;
        if (result == NULL)
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
    connection->replied = connection->replied || (events & PILLION_READ) != 0;
    if (PQconsumeInput(connection->pg) != 1)
        connection_lost(connection, PQerrorMessage(connection->pg));
    else if (connection->more == 0)
        take_results(connection);
}

/* ---- Connecting ---- */

static struct call *call_new(struct connection *connection, const struct method *method)
{
    size_t statements = method == NULL ? 0 : method->sql.count;
    struct call *call = calloc(1, sizeof(*call) + statements * sizeof(call->prepares[0]));

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

bool connection_start(struct connection *connection, struct pool *pool)
{
    connection->pool = pool;
    connection->end = &connection->first;
    connection->backoff_ms = BACKOFF_FIRST_MS;
    connection->opening = true;
    return pillion_timer(pool->self, 0, 0, again, connection) != 0;
}

void connection_stop(struct connection *connection)
{
    if (connection->pg != NULL)
        connection_lost(connection, "the worker ends");
    free(connection->versions);
}

void connection_look(struct connection *connection)
{
    const struct call *call = connection->ready ? connection->first : NULL;

    connection->silent = call == NULL || connection->replied ? 0 : connection->silent + 1;
    connection->replied = false;
    /* What the statements of one request give comes with the last one's. The first look may have
     * been right after the request. */
    size_t statements = call == NULL || call->method == NULL ? 1 : call->method->sql.count;
    if (connection->silent > statements)
        connection_lost(connection, "the server has stopped answering");
}

/* ---- Sending ---- */

static bool send_statement(struct connection *connection, struct call *call, size_t index,
                           const char *const *values)
{
    const struct method *method = call->method;
    const unsigned *version = version_of(connection, method->first + index);
    int params = (int)method->param_count;
    char name[STATEMENT_NAME_MAX];

    if (version == NULL)
        return false;
    call->prepares[index] = *version == 0;
    statement_name(name, method->first + index, *version == 0 ? call->version : *version);
    if (*version == 0 && !PQsendPrepare(connection->pg, name, method->sql.items[index], params,
                                        method->types[index]))
        return false;
    return PQsendQueryPrepared(connection->pg, name, params, values, NULL, NULL, 0) == 1;
}

size_t query_size(const struct method *method, const char *const *values)
{
    size_t size = 0;

    for (size_t i = 0; i < method->param_count; i++)
        size += values[i] == NULL ? 0 : strlen(values[i]) * method->sql.count;
    return size;
}

void connection_send(struct connection *connection, pillion_request *req,
                     const struct method *method, const char *const *values, uint64_t timeout_ms)
{
    struct pool *pool = connection->pool;

    if (connection->pending >= (size_t)pool->settings->max_pending) {
        pillion_fail(req, PILLION_OVERLOADED, "%zu results of PostgreSQL are to come (max_pending)",
                     connection->pending);
        return;
    }
    if (connection->unsent > pool->settings->max_unsent) {
        pillion_fail(req, PILLION_OVERLOADED,
                     "PostgreSQL does not read: %zu bytes are to be sent (max_unsent)",
                     connection->unsent);
        return;
    }
    pillion_token token = pillion_defer(req, timeout_ms);
    struct call *call = token == 0 ? NULL : call_new(connection, method);
    if (call == NULL) {
        if (token != 0)
            pillion_fail(pillion_resume(token), PILLION_OVERLOADED, "out of memory");
        return;
    }
    call->token = token;
    bool sent = true;
    call->version = ++connection->last_version;
    for (size_t i = 0; sent && i < method->sql.count; i++)
        sent = send_statement(connection, call, i, values);
    connection->unsent += query_size(method, values);
    pillion_count(pool->self, METRIC_QUERIES, 1);
    if (!sent || !PQpipelineSync(connection->pg))
        connection_lost(connection, PQerrorMessage(connection->pg));
    else
        watch_again(connection);
}
