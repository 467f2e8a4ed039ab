/* A worker's connections to PostgreSQL. A request goes to the one with the fewest results to come;
 * those that come before the first connection is there wait for it. */
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_MS 1000u /* beyond the statement_timeout: the connection is dead */

/* A request that waits, and what it asks for, in its own memory. */
struct waiting_query {
    struct waiting waiting;
    const struct method *method;
    const char *const *values;
};

/* ---- Waiting for the first connection ---- */

static void fail_waiting(struct pool *pool)
{
    while (pool->waiting.first != NULL) {
        pillion_request *req = waiting_take(&pool->waiting);
        if (req != NULL)
            fail_unavailable(req, "there is no connection to PostgreSQL");
    }
}

/* The first attempt has come to an end, good or bad. */
static void attempt_ended(struct connection *connection)
{
    connection->pool->opening -= connection->opening;
    connection->opening = false;
}

/* The first connections are being opened. */
static void pool_wait(struct pool *pool, pillion_request *req, const struct method *method,
                      const char *const *values)
{
    const struct settings *settings = pool->settings;
    struct waiting_line *line = &pool->waiting;

    struct waiting_query *place = waiting_place(line, req, sizeof(*place), settings->max_pending,
                                                settings->max_unsent, "PostgreSQL");
    if (place == NULL)
        return;
    place->method = method;
    place->values = values;
    waiting_join(line, &place->waiting, req, query_size(method, values), settings->timeout_ms);
}

/* What has waited for a connection goes to the first that is ready. */
static void send_waiting(struct connection *connection)
{
    struct waiting_line *line = &connection->pool->waiting;

    while (connection->ready && line->first != NULL) {
        const struct waiting_query *place = (const struct waiting_query *)line->first;
        pillion_request *req = waiting_take(line);
        if (req != NULL)
            connection_send(connection, req, place->method, place->values,
                            waiting_left_ms(&place->waiting));
    }
}

void pool_ready(struct connection *connection)
{
    struct pool *pool = connection->pool;

    attempt_ended(connection);
    if (pool->reason[0] != '\0')
        pillion_log(pool->self, PILLION_LOG_NOTICE, "the server is there again");
    pool->reason[0] = '\0';
    send_waiting(connection);
}

/* Those who wait for it are told, and the log is, once. */
void pool_lost(struct connection *connection, const char *reason)
{
    struct pool *pool = connection->pool;

    attempt_ended(connection);
    if (pool->opening == 0)
        fail_waiting(pool);
    if (pool->closing || strcmp(pool->reason, reason) == 0)
        return;
    snprintf(pool->reason, sizeof(pool->reason), "%s", reason);
    pillion_log(pool->self, PILLION_LOG_ERROR, "%s; it is tried again", reason);
}

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
    pool->self = self;
    pool->settings = settings;
    pool->count = pool->opening = count;
    waiting_start(&pool->waiting);
    for (size_t i = 0; i < count; i++) {
        /* `pillion -t` starts modules too, and has no turns: it leaves the server alone. */
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

void pool_send(struct pool *pool, pillion_request *req, const struct method *method,
               const char *const *values)
{
    struct connection *connection = choose(pool);

    if (connection != NULL)
        connection_send(connection, req, method, values, pool->settings->timeout_ms);
    else if (pool->opening > 0)
        pool_wait(pool, req, method, values);
    else
        fail_unavailable(req, "there is no connection to PostgreSQL");
}
