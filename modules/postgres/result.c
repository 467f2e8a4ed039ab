/* The results that come back over a connection, and their calls' replies and errors. A call is run
 * once more if it failed only because the server did, or did not, have a prepared statement, or
 * because it was hit by another call's cancel request. */
#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"

#define CALLS_AT_ONCE 4u      /* ended calls in one turn; then the worker's other clients go on */
#define BYTES_AT_ONCE 131072L /* bytes of results in one turn */
#define RESULT_COST   64      /* the cost of a result, in bytes */
#define HIT_MS        10000u  /* a cancel request may hit a statement sent so much later */

/* ---- Errors ---- */

static bool is_state(const PGresult *error, const char *state)
{
    const char *is = PQresultErrorField(error, PG_DIAG_SQLSTATE);

    return is != NULL && strcmp(is, state) == 0;
}

/* True when the tables have changed since the statement was prepared: "cached plan must not change
 * result type", in any language. */
static bool is_outdated(const PGresult *error)
{
    const char *function = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);

    return is_state(error, "0A000") && function != NULL &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

/* A call has failed, and its transaction is undone: sends it once more if the reason is one of
 * those above. True when it was sent. */
static bool call_healed(struct call *call)
{
    struct connection *connection = call->connection;
    struct query *query = &call->query;
    bool named = connection->pool->settings->prepare && !query->unnamed;
    bool outdated = is_outdated(call->error), missing = is_state(call->error, "26000");
    bool hit = is_state(call->error, "57014") && !call->cancelled &&
               (connection->cancelling ||
                (connection->cancelled_ms != 0 && now_ms() - connection->cancelled_ms < HIT_MS));

    if (call->statement >= query->method->sql.count)
        return false;
    if (named && outdated)
        call_deallocate(call);
    if (named && missing) {
        call_prepared(call, false);
        connection->pool->events->shared(connection->pool, "26000");
    }
    /* `hit`: a cancel request that came too late for its own call has ended this one. */
    if (query->retried || !(hit || (named && (outdated || missing))))
        return false;
    query->retried = true;
    query->unnamed = outdated || missing;
    return call_again(call);
}

static void call_failed(struct call *call)
{
    struct connection *connection = call->connection;

    if (call_healed(call))
        return;
    bool read_only = is_state(call->error, "25006"), ended = is_state(call->error, "57014");
    pillion_request *req = call_resume(call);
    if (req == NULL) {
        /* no request waits for it */
    } else if (ended && call->conversion.text.too_large) {
        pillion_fail(req, "postgres_too_large",
                     "the result is larger than %zu bytes (max_reply); the statement was "
                     "cancelled, and nothing of it is carried out",
                     call->conversion.text.limit);
    } else if (ended && now_ms() >= call->query.due_ms) {
        pillion_fail(req, "timeout",
                     "\"%s\" took longer than %llu ms; PostgreSQL has cancelled it, and nothing of "
                     "it is carried out",
                     pillion_method_name(req),
                     (unsigned long long)connection->pool->settings->timeout_ms);
    } else {
        value_error(req, call->error);
    }
    if (read_only)
        connection->pool->events->read_only(connection->pool);
}

/* Only the call's statements have been prepared, and its time is over: answers the request. */
static void call_too_late(struct call *call)
{
    pillion_request *req = call_resume(call);

    if (req != NULL)
        pillion_fail(req, "timeout",
                     "PostgreSQL has not prepared the statements of \"%s\" within %llu ms; "
                     "nothing of it is carried out",
                     pillion_method_name(req),
                     (unsigned long long)call->connection->pool->settings->timeout_ms);
}

static void prepare_done(struct call *call)
{
    struct connection *connection = call->connection;
    const struct method *method = call->query.method;

    if (call->twice) {
        pillion_request *req = call_resume(call);
        if (req != NULL)
            columns_refuse(req, columns_twice(call->last, (enum returns)method->returns));
        if (connection->pool->settings->prepare)
            call_deallocate(call);
    } else if (call->error != NULL && is_state(call->error, "42P05") &&
               call->statement < method->sql.count) {
        /* "Already exists": by its name, it is the same statement. */
        call_prepared(call, true);
        connection->pool->events->shared(connection->pool, "42P05");
        if (!call_again(call))
            call_too_late(call);
    } else if (call->error != NULL) {
        call_failed(call);
    } else if (!call_again(call)) {
        call_too_late(call);
    }
}

static void run_done(struct call *call, uint64_t took_ms)
{
    struct method *method = call->query.method;

    method->quick = took_ms >= QUICK_MS             ? 0
                    : method->quick >= QUICK_ENOUGH ? QUICK_ENOUGH
                                                    : method->quick + 1;
    if (call->error != NULL) {
        call_failed(call);
        return;
    }
    pillion_request *req = call->last == NULL ? NULL : call_resume(call);
    if (req != NULL)
        conversion_reply(req, &call->conversion, call->last, (enum returns)method->returns);
}

/* The first call has ended. False when the connection has, too. */
static bool take_end(struct connection *connection)
{
    struct call *call = call_shift(connection);
    uint64_t now = now_ms(), took = now - connection->since_ms;

    connection->since_ms = now;
    if (call->kind == CALL_SET_UP && call->error == NULL)
        connection->pool->events->set_up(connection);
    else if (call->kind == CALL_SET_UP)
        connection->pool->events->lost(connection, PQresultErrorMessage(call->error));
    else if (call->kind == CALL_PREPARE)
        prepare_done(call);
    else if (call->kind == CALL_RUN)
        run_done(call, took);
    call_free(call);
    if (connection->pg == NULL)
        return false;
    call_cancel_late(connection);
    /* The status is only known while nothing is under way. */
    PGTransactionStatusType status = PQtransactionStatus(connection->pg);
    if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR)
        return true;
    connection->pool->events->lost(connection, "a method has left a transaction open");
    return false;
}

/* ---- Results ---- */

/* Takes the result of preparing or describing a statement. */
static void take_prepared(struct call *call, PGresult *result)
{
    struct connection *connection = call->connection;
    struct method *method = call->query.method;

    if (!call->prepared) {
        call->prepared = true;
        PQclear(result);
        return;
    }
    call->prepared = false;
    PQclear(call->last);
    call->last = result;
    if (call->statement + 1 == method->sql.count &&
        columns_twice(result, (enum returns)method->returns) != NULL) {
        call->twice = true;
        return;
    }
    if (connection->pool->settings->prepare)
        call_prepared(call, true);
    else
        method->described = true;
    call->statement = next_unprepared(connection, &call->query, call->statement + 1);
}

/* Takes the result of a statement that has succeeded. */
static void take_good(struct call *call, PGresult *result)
{
    if (call->kind == CALL_PREPARE && call->statement < call->query.method->sql.count) {
        take_prepared(call, result);
        return;
    }
    call->statement += call->kind == CALL_RUN && !call->sets;
    call->sets = false;
    PQclear(call->last);
    call->last = result;
}

/* Takes a row. Of a request's rows only the last statement's are used. */
static void take_row(struct call *call, PGresult *row)
{
    const struct method *method = call->query.method;
    bool wanted =
        call->kind == CALL_RUN && !call->sets && call->token != 0 &&
        call->statement + 1 == method->sql.count &&
        (call->conversion.rows > 0 || columns_twice(row, (enum returns)method->returns) == NULL);

    /* A pooler names a process of its own as the server's. */
    if (call->kind == CALL_SET_UP)
        call->connection->pooled =
            atoi(PQgetvalue(row, 0, 2)) != PQbackendPID(call->connection->pg);
    if (wanted)
        conversion_take(&call->conversion, row);
    else
        PQclear(row);
}

/* COPY would never end: answers its request, and ends the connection. */
static void refuse_copy(struct connection *connection)
{
    pillion_request *req = call_resume(connection->first);

    if (req != NULL)
        pillion_fail(req, "postgres_error", "COPY cannot be a method");
    connection->pool->events->lost(connection, "a method has begun a COPY");
}

/* Takes a result of the first call. False when the connection has ended with it. */
static bool take_result(struct connection *connection, PGresult *result)
{
    struct call *call = connection->first;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        return take_end(connection);
    case PGRES_SINGLE_TUPLE:
        take_row(call, result);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        take_good(call, result);
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

/* A row has grown beyond the size that a whole result may have: only ending the connection keeps
 * libpq from collecting the rest in memory. False when that is not so. */
static bool is_flooded(struct connection *connection)
{
    if (connection->unparsed <= connection->pool->settings->max_reply + BYTES_AT_ONCE)
        return false;
    pillion_request *req = call_resume(connection->first);
    if (req != NULL)
        pillion_fail(req, "postgres_too_large",
                     "a row of the result is larger than %llu bytes (max_reply); the connection "
                     "was closed, and the statement may have been carried out",
                     (unsigned long long)connection->pool->settings->max_reply);
    connection->pool->events->lost(connection, "a row is larger than max_reply");
    return true;
}

bool calls_take(struct connection *connection, bool *more)
{
    long bytes = BYTES_AT_ONCE;
    unsigned ended = 0;

    while (connection->first != NULL) {
        struct call *call = connection->first;
        if (call->kind == CALL_RUN &&
            !conversion_step(&call->conversion, (enum returns)call->query.method->returns, &bytes))
            *more = true;
        if (call->conversion.text.too_large)
            call_cancel(call);
        if (*more || bytes <= 0 || ended == CALLS_AT_ONCE) {
            *more = true;
            return true;
        }
        PQsetSingleRowMode(connection->pg); /* must precede a query's first result */
        if (PQisBusy(connection->pg))
            return !is_flooded(connection);
        PGresult *result = PQgetResult(connection->pg);
        connection->unparsed = 0;
        if (result == NULL && PQstatus(connection->pg) == CONNECTION_BAD)
            break;
        bytes -= RESULT_COST;
        ended += result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (result != NULL && !take_result(connection, result))
            return false;
    }
    if (PQstatus(connection->pg) != CONNECTION_BAD)
        return true;
    connection->pool->events->lost(connection, PQerrorMessage(connection->pg));
    return false;
}
