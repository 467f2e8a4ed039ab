/* The calls under way on a connection: requests' statements, sent in pipeline mode (libpq,
 * "Pipeline Mode"). The statements up to a sync are one transaction, and an error in them does not
 * touch those of other requests.
 *
 * A request is sent behind others only if all of them are known to be quick. A method's statements
 * are prepared on a connection, in a call of their own, when they are first used there. */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"

#define GRACE_MOST_MS  1000u /* time for a cancelled statement to end */
#define GRACE_LEAST_MS 100u

static void calls_due(pillion_instance *self, void *data);

static uint64_t grace_ms(const struct connection *connection)
{
    uint64_t quarter = connection->pool->settings->timeout_ms / 4;

    return quarter > GRACE_MOST_MS    ? GRACE_MOST_MS
           : quarter < GRACE_LEAST_MS ? GRACE_LEAST_MS
                                      : quarter;
}

void fail_unavailable(pillion_request *req, const char *what)
{
    pillion_count(pillion_self(req), METRIC_UNAVAILABLE, 1);
    pillion_fail(req, "postgres_unavailable", "%s", what);
}

bool calls_flush(struct connection *connection)
{
    /* PQflush returns 1 when the socket has no room for the rest. */
    int left = PQflush(connection->pg);

    if (left < 0) {
        connection->pool->events->lost(connection, PQerrorMessage(connection->pg));
        return false;
    }
    connection->unsent = left > 0;
    pillion_watch_change(connection->watch, left > 0 ? PILLION_READ | PILLION_WRITE : PILLION_READ);
    return true;
}

/* ---- The line of calls ---- */

static struct call *call_new(struct connection *connection, enum kind kind)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->connection = connection;
    call->kind = kind;
    call->conversion.text.limit = connection->pool->settings->max_reply;
    if (connection->first == NULL)
        connection->since_ms = now_ms();
    *connection->end = call;
    connection->end = &call->next;
    connection->pending++;
    connection->unsure++;
    return call;
}

void call_free(struct call *call)
{
    PQclear(call->last);
    PQclear(call->error);
    conversion_free(&call->conversion);
    free(call);
}

struct call *call_shift(struct connection *connection)
{
    struct call *call = connection->first;

    connection->first = call->next;
    if (connection->first == NULL)
        connection->end = &connection->first;
    connection->pending--;
    connection->unsure -= !call->quick;
    return call;
}

pillion_request *call_resume(struct call *call)
{
    pillion_token token = call->token;

    call->token = 0;
    return token == 0 ? NULL : pillion_resume(token);
}

/* The client of the call's request is gone. */
static void forsaken(void *data)
{
    ((struct call *)data)->token = 0;
}

bool call_may_send(const struct connection *connection, uint64_t now)
{
    if (!connection->ready || connection->retiring || connection->cancelling)
        return false;
    return connection->pending == 0 ||
           (connection->unsure == 0 &&
            connection->pending < (size_t)connection->pool->settings->pipeline &&
            !connection->unsent && now - connection->since_ms < QUICK_MS);
}

/* ---- Prepared statements ---- */

/* Points to the note whether the server has the statement prepared for this connection. NULL when
 * memory ran out. */
static bool *prepared(struct connection *connection, size_t statement)
{
    if (statement >= connection->prepared_count) {
        size_t count = statement + 64;
        bool *grown = realloc(connection->prepared, count * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        memset(grown + connection->prepared_count, 0,
               (count - connection->prepared_count) * sizeof(*grown));
        connection->prepared = grown;
        connection->prepared_count = count;
    }
    return &connection->prepared[statement];
}

size_t next_unprepared(struct connection *connection, const struct query *query, size_t statement)
{
    const struct method *method = query->method;

    if (query->unnamed || (!connection->pool->settings->prepare && method->described))
        return method->sql.count;
    /* With `prepare off`, only the last statement is prepared, once, to check the columns of its
     * result. */
    if (!connection->pool->settings->prepare)
        return statement < method->sql.count ? method->sql.count - 1 : statement;
    while (statement < method->sql.count) {
        const bool *has = prepared(connection, method->first + statement);
        if (has != NULL && !*has)
            return statement;
        statement++;
    }
    return statement;
}

void call_prepared(const struct call *call, bool has)
{
    bool *known = prepared(call->connection, call->query.method->first + call->statement);

    if (known != NULL)
        *known = has;
}

void call_deallocate(const struct call *call)
{
    PGconn *pg = call->connection->pg;
    char sql[STATEMENT_NAME_SIZE + 16];

    call_prepared(call, false);
    snprintf(sql, sizeof(sql), "deallocate %s", call->query.method->names[call->statement]);
    /* If sending fails, the connection is broken, which the next read notices. */
    if (call_new(call->connection, CALL_TIDY) != NULL &&
        PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) == 1)
        PQpipelineSync(pg);
}

/* ---- Sending ---- */

/* Sends the settings that every statement needs: once for the connection; or, with `prepare off`
 * and behind a pooler, for each transaction (`local`). The role's own settings may differ, and a
 * pooler's session may have those of its last client. */
static bool send_settings(const struct connection *connection, bool local)
{
    char timeout[24];
    const char *values[] = {timeout, local ? "t" : "f"};
    const Oid types[] = {25, 16};

    snprintf(timeout, sizeof(timeout), "%llu",
             (unsigned long long)connection->pool->settings->timeout_ms);
    return PQsendQueryParams(connection->pg,
                             "select set_config('statement_timeout', $1, $2),"
                             " set_config('extra_float_digits', '3', $2), pg_backend_pid()",
                             2, types, values, NULL, NULL, 0) == 1;
}

bool call_set_up(struct connection *connection)
{
    bool local = !connection->pool->settings->prepare;

    return send_settings(connection, local) && PQpipelineSync(connection->pg) &&
           call_new(connection, CALL_SET_UP) != NULL;
}

static bool send_prepares(struct call *call)
{
    struct connection *connection = call->connection;
    const struct method *method = call->query.method;
    bool named = connection->pool->settings->prepare;
    size_t s = call->statement;

    for (; s < method->sql.count; s = next_unprepared(connection, &call->query, s + 1)) {
        const char *name = named ? method->names[s] : "";
        if (!PQsendPrepare(connection->pg, name, method->sql.items[s], (int)method->param_count,
                           method->types[s]) ||
            !PQsendDescribePrepared(connection->pg, name))
            return false;
    }
    return true;
}

/* Sends the statement whole, with the comment that tells of the request's trace. */
static bool send_whole(struct call *call, size_t statement)
{
    const struct query *query = &call->query;
    const struct method *method = query->method;
    const char *sql = method->sql.items[statement];
    char *text = NULL;

    if (query->trace[0] != '\0' && asprintf(&text, "%s%s", sql, query->trace) < 0)
        text = NULL; /* it goes without */
    int sent =
        PQsendQueryParams(call->connection->pg, text == NULL ? sql : text, (int)method->param_count,
                          method->types[statement], query->values, NULL, NULL, 0);
    free(text);
    return sent == 1;
}

static bool send_statements(struct call *call)
{
    PGconn *pg = call->connection->pg;
    const struct query *query = &call->query;
    const struct method *method = query->method;
    bool named =
        call->connection->pool->settings->prepare && !query->unnamed && query->trace[0] == '\0';

    call->sets = !call->connection->pool->settings->prepare || call->connection->pooled;
    if (call->sets && !send_settings(call->connection, true))
        return false;
    for (size_t s = 0; s < method->sql.count; s++) {
        bool sent = named ? PQsendQueryPrepared(pg, method->names[s], (int)method->param_count,
                                                query->values, NULL, NULL, 0) == 1
                          : send_whole(call, s);
        if (!sent)
            return false;
    }
    return true;
}

size_t query_size(const struct query *query)
{
    size_t size = 0;

    for (size_t i = 0; i < query->method->param_count; i++)
        size += query->values[i] == NULL ? 0 : strlen(query->values[i]) * query->method->sql.count;
    return size;
}

/* Has calls_due called at `due_ms` or earlier. */
static void expect(struct connection *connection, uint64_t due_ms, uint64_t now)
{
    if (connection->due != 0 && connection->next_due_ms <= due_ms)
        return;
    pillion_cancel(connection->due);
    connection->next_due_ms = due_ms;
    connection->due = pillion_timer(connection->pool->self, due_ms > now ? due_ms - now : 0, 0,
                                    calls_due, connection);
}

void call_send(struct connection *connection, pillion_request *req, const struct query *query)
{
    size_t unprepared = next_unprepared(connection, query, 0);
    bool runs = unprepared == query->method->sql.count;
    uint64_t now = now_ms();
    uint64_t left = query->due_ms > now ? query->due_ms - now : 1;

    /* Deferred for longer than the request may take: calls_due ends it earlier, in the right
     * way. */
    pillion_token token = pillion_defer(req, left + 4 * grace_ms(connection));
    struct call *call = token == 0 ? NULL : call_new(connection, runs ? CALL_RUN : CALL_PREPARE);
    if (call == NULL) {
        if (token != 0)
            pillion_fail(pillion_resume(token), PILLION_OVERLOADED, "out of memory");
        return;
    }
    call->token = token;
    call->query = *query;
    call->statement = runs ? 0 : unprepared;
    call->quick = runs && query->method->quick >= QUICK_ENOUGH;
    connection->unsure -= call->quick;
    pillion_on_cancel(token, forsaken, call);
    expect(connection, query->due_ms, now);
    if (!(runs ? send_statements(call) : send_prepares(call)) || !PQpipelineSync(connection->pg))
        connection->pool->events->lost(connection, PQerrorMessage(connection->pg));
    else
        calls_flush(connection);
}

bool call_again(struct call *call)
{
    pillion_request *req = call->late ? NULL : call_resume(call);

    if (req == NULL)
        return false;
    call_send(call->connection, req, &call->query);
    return true;
}

/* ---- Being late ---- */

void call_cancel(struct call *call)
{
    struct connection *connection = call->connection;

    if (call->cancelled || connection->cancelling || !cancel_start(connection))
        return;
    call->cancelled = true;
    connection->cancelling = true;
    pillion_count(connection->pool->self, METRIC_CANCELLED, 1);
}

void call_cancel_late(struct connection *connection)
{
    if (connection->first != NULL && connection->first->late)
        call_cancel(connection->first);
}

void calls_cancelled(struct connection *connection)
{
    connection->cancelling = false;
    connection->cancelled_ms = now_ms();
    call_cancel_late(connection);
    connection->pool->events->freed(connection->pool);
}

/* The call is late, and the server does not say that it has ended: answers the request. */
static void call_give_up(struct call *call)
{
    pillion_request *req = call_resume(call);

    if (req != NULL)
        pillion_fail(req, "timeout",
                     "\"%s\" was sent to PostgreSQL, which has not answered within %llu ms; it may "
                     "still be carried out",
                     pillion_method_name(req),
                     (unsigned long long)call->connection->pool->settings->timeout_ms);
}

/* The time at which the call is next to be looked at. */
static uint64_t call_due(struct call *call, uint64_t now)
{
    uint64_t due = call->query.due_ms;

    if (call->kind == CALL_SET_UP || call->kind == CALL_TIDY)
        return UINT64_MAX;
    if (now < due)
        return due;
    call->late = true;
    due += grace_ms(call->connection);
    if (now < due)
        return due;
    call_give_up(call);
    return UINT64_MAX;
}

static void calls_due(pillion_instance *self, void *data)
{
    struct connection *connection = data;
    uint64_t now = now_ms(), next = UINT64_MAX;

    (void)self;
    connection->due = 0;
    for (struct call *call = connection->first; call != NULL; call = call->next) {
        uint64_t due = call_due(call, now);
        next = due < next ? due : next;
    }
    if (next != UINT64_MAX)
        expect(connection, next, now);
    call_cancel_late(connection);
}

/* ---- Ending ---- */

size_t calls_patience(const struct connection *connection)
{
    const struct call *call = connection->first;

    return call->query.method == NULL ? 1 : call->query.method->sql.count;
}

void calls_fail(struct connection *connection)
{
    while (connection->first != NULL) {
        struct call *call = call_shift(connection);
        pillion_request *req = call_resume(call);
        if (req != NULL)
            fail_unavailable(req, call->kind == CALL_RUN
                                      ? "the connection to PostgreSQL broke; the request may have "
                                        "been carried out"
                                      : "the connection to PostgreSQL broke");
        call_free(call);
    }
    connection->unsure = 0;
}
