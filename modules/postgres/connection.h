/* A connection of the pool's, what is under way on it, and what the two know of each other. Of
 * pool.c, connection.c, call.c and cancel.c alone. */
#ifndef POSTGRES_CONNECTION_H
#define POSTGRES_CONNECTION_H

#include "../waiting.h"
#include "postgres.h"

#define REASON_MAX 256
#define QUICK_MS   20u /* what takes longer is slow: nothing is sent behind it */

struct call;
struct canceller;

struct connection {
    struct pool *pool;
    PGconn *pg; /* NULL while there is none */
    pillion_handle watch, deadline, more, due;
    bool opening;  /* requests may wait for it: its attempt has not come to an end */
    bool ready;    /* it is set up */
    bool retiring; /* it is opened anew once nothing is under way */
    uint64_t opened_ms;
    struct call *first, **end; /* in the order in which they were sent */
    size_t pending;
    size_t unsure;         /* calls of those that are not known to be quick */
    uint64_t since_ms;     /* since when the server is at the first call */
    uint64_t next_due_ms;  /* when the timer `due` fires */
    bool unsent;           /* the socket has not taken everything */
    unsigned serial;       /* of its PGconn */
    bool cancelling;       /* a cancel request is under way, which may hit whatever runs */
    uint64_t cancelled_ms; /* when the last one was; 0: never */
    size_t unparsed;       /* bytes, about, that have come since there was a whole result */
    unsigned silent;       /* how often in a row connection_look has seen no byte */
    bool replied;          /* since it looked */
    unsigned backoff_ms;
    bool *prepared; /* of each statement: the server has it; what is not there is not prepared */
    size_t prepared_count;
};

struct pool {
    pillion_instance *self;
    const struct settings *settings;
    bool closing;
    bool pooler_told; /* that a pooler shares out the server's sessions */
    pillion_handle look;
    char reason[REASON_MAX]; /* why there is no connection */
    struct waiting_line waiting;
    size_t opening;
    struct canceller *canceller; /* NULL until there is something to cancel */
    size_t count;
    struct connection connections[];
};

/* ---- connection.c ---- */

/* Connects as soon as the loop runs. False when memory ran out. */
bool connection_start(struct connection *connection, struct pool *pool);
void connection_stop(struct connection *connection);

/* The server ends each statement after its statement_timeout, and says so. One that has vanished
 * without a word is noticed by its silence: for looks that are that time and more apart. */
void connection_look(struct connection *connection);

/* It is broken, or was never there: those who wait are told, and it is tried again later. */
void connection_lost(struct connection *connection, const char *why);

/* Has it opened anew when nothing is under way, and not too often: it leads to another server now
 * than the one that is wanted. */
void connection_retire(struct connection *connection);

/* It is set up. */
void connection_ready(struct connection *connection);

/* Sends what libpq has queued, as far as the socket takes it. False when it has broken. */
bool connection_flush(struct connection *connection);

/* Answers the request. Why there is no connection is for the log. */
void fail_unavailable(pillion_request *req, const char *what);

/* ---- call.c ---- */

/* Queues what sets a new connection up; connection_ready follows. False when that cannot be. */
bool call_set_up(struct connection *connection);

/* True when a request that is sent now does not have to wait for a slow one. */
bool call_may_send(const struct connection *connection, uint64_t now);

/* Sends the query, and defers the request for as long; or answers it with an error. */
void call_send(struct connection *connection, pillion_request *req, const struct query *query);

/* How many statements' time the server may be silent for, being at the first call: what one request
 * gives comes with its last statement's. */
size_t calls_patience(const struct connection *connection);

/* The connection has broken: answers those who wait. */
void calls_fail(struct connection *connection);

/* A cancel request has come to its end. */
void calls_cancelled(struct connection *connection);

/* About how many bytes the query sends. */
size_t query_size(const struct query *query);

/* ---- result.c ---- */

/* Takes the results that have arrived, as far as one turn may. `more` becomes true when there may
 * be others. False when the connection has ended with them. */
bool calls_take(struct connection *connection, bool *more);

/* ---- cancel.c ---- */

/* Asks the server to end what runs on the connection; calls_cancelled follows. False when it cannot
 * be asked. */
bool cancel_start(struct connection *connection);
void cancel_stop(struct pool *pool);

/* ---- pool.c: what a connection tells its pool ---- */

void pool_ready(struct connection *connection);
void pool_lost(struct connection *connection, const char *reason);

/* One may be free: what waits for it is sent. */
void pool_next(struct pool *pool);

/* The server takes no changes (any more). */
void pool_read_only(struct pool *pool);

/* A statement was not on the server's session where it was prepared, or was there before that. */
void pool_shared(struct pool *pool, const char *state);

#endif
