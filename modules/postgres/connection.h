/* A connection, the calls under way on it, and the pool that it belongs to. Only for pool.c,
 * connection.c, call.c, cancel.c and result.c. */
#ifndef POSTGRES_CONNECTION_H
#define POSTGRES_CONNECTION_H

#include "../waiting.h"
#include "postgres.h"

#define REASON_MAX 256
#define QUICK_MS   20u /* a call that takes longer is slow: no other is sent behind it */

struct call;
struct canceller;

struct connection {
    struct pool *pool;
    PGconn *pg; /* NULL while there is no connection */
    pillion_handle watch, deadline, more, due;
    bool opening;  /* it is being opened, and requests may wait for it */
    bool ready;    /* it is connected and set up */
    bool retiring; /* to be opened anew as soon as no call is under way */
    uint64_t opened_ms;
    struct call *first, **end; /* calls in the order of sending */
    size_t pending;
    size_t unsure;         /* calls among them that are not known to be quick */
    uint64_t since_ms;     /* since when the server runs the first call */
    uint64_t next_due_ms;  /* when the timer `due` fires */
    bool unsent;           /* the socket has no room for the rest of the output */
    unsigned serial;       /* raised with each PGconn */
    bool cancelling;       /* a cancel request is under way, and may hit any call */
    uint64_t cancelled_ms; /* when the last cancel request ended; 0: never */
    size_t unparsed;       /* about how many bytes have come since the last whole result */
    unsigned silent;       /* looks in a row in which no byte had come */
    bool replied;          /* bytes have come since the last look */
    unsigned backoff_ms;
    bool *prepared; /* by statement: the server has it prepared; beyond prepared_count: no */
    size_t prepared_count;
};

struct pool {
    pillion_instance *self;
    const struct settings *settings;
    bool closing;
    bool pooler_told; /* the log has told of a pooler that shares sessions out */
    pillion_handle look;
    char reason[REASON_MAX]; /* why there is no connection */
    struct waiting_line waiting;
    size_t opening;
    struct canceller *canceller; /* NULL until a call is first cancelled */
    size_t count;
    struct connection connections[];
};

/* ---- connection.c ---- */

/* Connects as soon as the loop runs. False when memory ran out. */
bool connection_start(struct connection *connection, struct pool *pool);
void connection_stop(struct connection *connection);

/* Called at intervals of at least the server's statement_timeout. A server that is there ends each
 * statement within that time, and says so; one that is silent for longer has vanished, and the
 * connection is closed. */
void connection_look(struct connection *connection);

/* The connection is broken, or could not be made: answers its requests and those that cannot be
 * sent elsewhere, and opens it again later. */
void connection_lost(struct connection *connection, const char *why);

/* The connection leads to the wrong server: has it opened anew as soon as no call is under way, but
 * not too often. */
void connection_retire(struct connection *connection);

/* The connection is set up. */
void connection_ready(struct connection *connection);

/* Sends libpq's queue as far as the socket takes it. False when the connection has broken. */
bool connection_flush(struct connection *connection);

/* Answers the request `postgres_unavailable`. The reason is for the log, not for clients. */
void fail_unavailable(pillion_request *req, const char *what);

/* ---- call.c ---- */

/* Sends the settings of a new connection; connection_ready follows. False when that failed. */
bool call_set_up(struct connection *connection);

/* True when the connection takes a request that would not have to wait for a slow one. */
bool call_may_send(const struct connection *connection, uint64_t now);

/* Sends the query and defers its request; or answers the request with an error. */
void call_send(struct connection *connection, pillion_request *req, const struct query *query);

/* For how many statement_timeouts the server may be silent while it runs the first call: one for
 * each statement, since a request's results come together with that of its last statement. */
size_t calls_patience(const struct connection *connection);

/* The connection has broken: answers the requests under way on it. */
void calls_fail(struct connection *connection);

/* The cancel request on this connection has ended. */
void calls_cancelled(struct connection *connection);

/* About how many bytes are sent for the query. */
size_t query_size(const struct query *query);

/* ---- result.c ---- */

/* Takes results that have arrived, as many as one turn of the loop may. `more` becomes true when
 * there may be others. False when the connection has ended. */
bool calls_take(struct connection *connection, bool *more);

/* ---- cancel.c ---- */

/* Asks the server to cancel the statement that the connection runs; calls_cancelled follows. False
 * when it cannot be asked. */
bool cancel_start(struct connection *connection);
void cancel_stop(struct pool *pool);

/* ---- pool.c: calls of connections to their pool ---- */

void pool_ready(struct connection *connection);
void pool_lost(struct connection *connection, const char *reason);

/* A connection may be free: sends requests that wait. */
void pool_next(struct pool *pool);

/* The server takes no changes (any more), so it is the wrong one: retires all connections. */
void pool_read_only(struct pool *pool);

/* A statement was missing on the session where it had been prepared, or was there before. `state`
 * is the SQLSTATE. */
void pool_shared(struct pool *pool, const char *state);

#endif
