/* A connection to PostgreSQL: opened, kept, and opened again when it breaks, later and later, or
 * when it leads to the wrong server. call.c sends over it, result.c handles what comes back. */
#include "connection.h"
#include "secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "call.h"
#include "result.h"
#include "secure.h"

#define BACKOFF_FIRST_MS   50u
#define BACKOFF_LONGEST_MS 2000u
#define CONNECT_MS         10000u
#define RETIRE_EVERY_MS    2000u /* perhaps no other server exists */

static void connection_open(struct connection *connection);

/* ---- Ending ---- */

static void again(pillion_instance *self, void *data)
{
    struct connection *connection = data;

    (void)self;
    if (connection->pg == NULL)
        connection_open(connection);
}

/* Copies the first line of a message of libpq's, which may have several. */
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
    pillion_cancel(connection->due);
    connection->watch = connection->deadline = connection->more = connection->due = 0;
    connection->silent = 0;
    connection->unparsed = 0;
    connection->cancelling = connection->retiring = connection->unsent = false;
    connection->cancelled_ms = 0;
    connection->serial++;
    PQfinish(connection->pg);
    connection->pg = NULL;
    if (connection->ready)
        pillion_count(connection->pool->self, METRIC_CONNECTED, -1);
    connection->ready = false;
}

void connection_lost(struct connection *connection, const char *why)
{
    struct pool *pool = connection->pool;
    char reason[REASON_MAX];

    set_reason(reason, sizeof(reason), why);
    connection_close(connection);
    calls_fail(connection);
    pool->events->closed(connection, reason);
    if (pool->closing)
        return;
    pillion_timer(pool->self, connection->backoff_ms, 0, again, connection);
    connection->backoff_ms *= 2;
    if (connection->backoff_ms > BACKOFF_LONGEST_MS)
        connection->backoff_ms = BACKOFF_LONGEST_MS;
}

/* ---- Ready, and receiving ---- */

void connection_ready(struct connection *connection)
{
    connection->ready = true;
    connection->opened_ms = now_ms();
    pillion_count(connection->pool->self, METRIC_CONNECTED, 1);
    connection->backoff_ms = BACKOFF_FIRST_MS;
    pillion_cancel(connection->deadline);
    connection->pool->events->opened(connection);
}

static void retire(struct connection *connection)
{
    if (!connection->retiring || connection->pending > 0)
        return;
    connection_close(connection);
    connection->opening = true; /* requests may wait for it */
    connection->pool->opening++;
    connection_open(connection);
}

static void retire_soon(pillion_instance *self, void *data)
{
    (void)self;
    retire(data);
}

void connection_retire(struct connection *connection)
{
    if (!connection->ready || connection->retiring ||
        now_ms() - connection->opened_ms < RETIRE_EVERY_MS)
        return;
    connection->retiring = true;
    /* Not at once: the connection may be in the middle of taking results. */
    pillion_timer(connection->pool->self, 0, 0, retire_soon, connection);
}

static void take_more(pillion_instance *self, void *data);

static void take_results(struct connection *connection)
{
    struct pool *pool = connection->pool;
    bool more = false;

    if (calls_take(connection, &more) && calls_flush(connection)) {
        if (more)
            connection->more = pillion_timer(pool->self, 0, 0, take_more, connection);
        retire(connection);
    }
    pool->events->freed(pool);
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
    int arrived = 0;

    (void)self;
    connection->replied = connection->replied || (events & PILLION_READ) != 0;
    if (connection->more != 0)
        return; /* the timer `more` is set: results that were read before go first */
    if (ioctl(fd, FIONREAD, &arrived) == 0 && arrived > 0)
        connection->unparsed += (size_t)arrived;
    if (PQconsumeInput(connection->pg) != 1)
        connection_lost(connection, PQerrorMessage(connection->pg));
    else
        take_results(connection);
}

/* ---- Connecting ---- */

static void notice(void *data, const char *message)
{
    struct connection *connection = data;
    char line[512];

    set_reason(line, sizeof(line), message);
    pillion_log(connection->pool->self, PILLION_LOG_INFO, "the server says: %s", line);
}

static void set_up(struct connection *connection)
{
    PGconn *pg = connection->pg;

    PQsetNoticeProcessor(pg, notice, connection);
    pillion_cancel(connection->watch);
    connection->watch =
        pillion_watch(connection->pool->self, PQsocket(pg), PILLION_READ, ready, connection);
    if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg) || !call_set_up(connection))
        connection_lost(connection, PQerrorMessage(pg));
    else
        calls_flush(connection);
}

static void connecting(pillion_instance *self, int fd, unsigned events, void *data);

/* Watches for the next step of connecting. The socket may be another one after each step (libpq,
 * PQconnectPoll). */
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
    const struct pool *pool = connection->pool;
    struct params params = {.count = 0};

    param_add(&params, "dbname", pool->settings->conninfo);
    param_add(&params, "client_encoding", "UTF8");
    param_add(&params, "fallback_application_name", "pillion");
    secure_add(pool->settings, &params);
    free(connection->prepared);
    connection->prepared = NULL;
    connection->prepared_count = 0;
    connection->pg = PQconnectStartParams(params.names, params.values, 1);
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
    free(connection->prepared);
}

void connection_look(struct connection *connection)
{
    bool waits = connection->ready && connection->first != NULL;

    connection->silent = !waits || connection->replied ? 0 : connection->silent + 1;
    connection->replied = false;
    /* One look more than calls_patience, as the first one may have come right after the request. */
    if (waits && connection->silent > calls_patience(connection))
        connection_lost(connection, "the server has stopped answering");
}
