/* A worker's connections to PostgreSQL. A request is sent over a connection that is free or runs
 * only calls that are known to be quick, and waits in line until there is one. So a slow request
 * holds up no other one while there is another connection, and a request that times out in line has
 * never been sent. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "cancel.h"
#include "connection.h"

#define SILENT_MS 1000u /* silence beyond the statement_timeout that means a dead connection */

/* A waiting request and its query, in the request's memory. */
struct waiting_query {
    struct waiting waiting;
    struct query query;
};

/* ---- Waiting for a connection ---- */

static void fail_waiting(struct pool *pool)
{
    while (pool->waiting.first != NULL) {
        pillion_request *req = waiting_take(&pool->waiting);
        if (req != NULL)
            fail_unavailable(req, "there is no connection to PostgreSQL");
    }
}

/* The attempt to connect, which requests may wait for, has ended, whether or not it succeeded. */
static void attempt_ended(struct connection *connection)
{
    connection->pool->opening -= connection->opening;
    connection->opening = false;
}

static void pool_wait(struct pool *pool, pillion_request *req, const struct query *query)
{
    const struct settings *settings = pool->settings;
    struct waiting_line *line = &pool->waiting;

    struct waiting_query *place = waiting_place(line, req, sizeof(*place), settings->max_pending,
                                                settings->max_unsent, "PostgreSQL");
    if (place == NULL)
        return;
    place->query = *query;
    waiting_join(line, &place->waiting, req, query_size(query), settings->timeout_ms);
}

/* Chooses the connection for a request: an idle one, or else the one with the fewest calls under
 * way. NULL when the request might have to wait for a slow one on each. */
static struct connection *choose(struct pool *pool)
{
    struct connection *best = NULL;
    uint64_t now = now_ms();

    for (size_t i = 0; i < pool->count; i++) {
        struct connection *connection = &pool->connections[i];
        if (call_may_send(connection, now) && (best == NULL || connection->pending < best->pending))
            best = connection;
        if (best != NULL && best->pending == 0)
            break;
    }
    return best;
}

static void send_query(struct pool *pool, struct connection *connection, pillion_request *req,
                       const struct query *query)
{
    pillion_count(pool->self, METRIC_QUERIES, 1);
    call_send(connection, req, query);
}

static void pool_next(struct pool *pool)
{
    struct waiting_line *line = &pool->waiting;
    struct connection *connection;

    while (line->first != NULL && (connection = choose(pool)) != NULL) {
        const struct waiting_query *place = (const struct waiting_query *)line->first;
        pillion_request *req = waiting_take(line);
        if (req != NULL)
            send_query(pool, connection, req, &place->query);
    }
}

/* True when it makes sense to wait: there is a connection, or there will be one. */
static bool has_connections(const struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->connections[i].ready)
            return true;
    }
    return pool->opening > 0;
}

/* ---- Reports of connections ---- */

static void pool_ready(struct connection *connection)
{
    struct pool *pool = connection->pool;

    attempt_ended(connection);
    if (pool->reason[0] != '\0')
        pillion_log(pool->self, PILLION_LOG_NOTICE, "the server is there again");
    pool->reason[0] = '\0';
    pool_next(pool);
}

/* Answers the waiting requests if there is no other connection, and logs a new reason once. */
static void pool_lost(struct connection *connection, const char *reason)
{
    struct pool *pool = connection->pool;

    attempt_ended(connection);
    if (!has_connections(pool))
        fail_waiting(pool);
    if (pool->closing || strcmp(pool->reason, reason) == 0)
        return;
    snprintf(pool->reason, sizeof(pool->reason), "%s", reason);
    pillion_log(pool->self, PILLION_LOG_ERROR, "%s; it is tried again", reason);
}

static void pool_read_only(struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        connection_retire(&pool->connections[i]);
}

static void pool_shared(struct pool *pool, const char *state)
{
    if (pool->pooler_told)
        return;
    pool->pooler_told = true;
    pillion_log(pool->self, PILLION_LOG_WARN,
                "a prepared statement is missing, or was there before (%s): it seems that "
                "a pooler shares out the server's sessions. Such requests are run once more; "
                "\"prepare off;\" saves that",
                state);
}

static const struct pool_events events = {
    .cancelled = calls_cancelled,
    .lost = connection_lost,
    .set_up = connection_ready,
    .freed = pool_next,
    .read_only = pool_read_only,
    .shared = pool_shared,
    .opened = pool_ready,
    .closed = pool_lost,
};

/* ---- Starting and ending ---- */

static void look(pillion_instance *self, void *data)
{
    struct pool *pool = data;

    (void)self;
    for (size_t i = 0; i < pool->count; i++)
        connection_look(&pool->connections[i]);
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
    pool->events = &events;
    pool->self = self;
    pool->settings = settings;
    pool->count = pool->opening = count;
    waiting_start(&pool->waiting);
    for (size_t i = 0; i < count; i++) {
        /* `pillion -t` starts modules too, but does not run the loop, so it does not reach the
         * server. */
        if (!connection_start(&pool->connections[i], pool)) {
            pillion_error(error, "there is no timer to connect with");
            free(pool);
            return NULL;
        }
    }
    uint64_t look_ms = settings->timeout_ms + SILENT_MS;
    pool->look = pillion_timer(self, look_ms, look_ms, look, pool);
    return pool;
}

void pool_close(struct pool *pool)
{
    pool->closing = true;
    pillion_cancel(pool->look);
    for (size_t i = 0; i < pool->count; i++)
        connection_stop(&pool->connections[i]);
    fail_waiting(pool);
    cancel_stop(pool);
    free(pool);
}

/* ---- Sending ---- */

void pool_send(struct pool *pool, pillion_request *req, struct method *method,
               const char *const *values)
{
    struct query query = {
        .method = method, .values = values, .due_ms = now_ms() + pool->settings->timeout_ms};

    if (pool->settings->trace == TRACE_COMMENT)
        query_trace(&query, req);
    /* Requests that wait already go first. */
    struct connection *connection = pool->waiting.first == NULL ? choose(pool) : NULL;

    if (connection != NULL)
        send_query(pool, connection, req, &query);
    else if (has_connections(pool))
        pool_wait(pool, req, &query);
    else
        fail_unavailable(req, "there is no connection to PostgreSQL");
}
