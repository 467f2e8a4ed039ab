/* A call: statements under way on a connection, for one request or for the connection itself.
 * call.c sends calls, and ends late ones; result.c takes their results. */
#ifndef POSTGRES_CALL_H
#define POSTGRES_CALL_H

#include "query.h"
#include "state.h"
#include "value.h"

#define QUICK_MS     20u /* a call that takes longer is slow: no other is sent behind it */
#define QUICK_ENOUGH 8u  /* a method that was quick so often in a row is known to be quick */

enum kind {
    CALL_SET_UP,  /* sets the connection up */
    CALL_TIDY,    /* deallocates a statement; no request waits for it */
    CALL_PREPARE, /* prepares a request's statements; CALL_RUN follows */
    CALL_RUN      /* runs a request's statements */
};

struct call {
    struct connection *connection;
    enum kind kind;
    pillion_token token; /* 0: no request waits for it (any more) */
    struct query query;
    size_t statement; /* the statement whose result is next */
    bool prepared;    /* CALL_PREPARE: the statement's description is next */
    bool sets;        /* CALL_RUN: the result of the transaction's settings is next */
    bool quick;
    bool late;      /* its request's time is over */
    bool cancelled; /* PostgreSQL was asked to cancel it */
    bool twice;     /* two columns of the result have the same name */
    PGresult *last, *error;
    struct conversion conversion;
    struct call *next;
};

/* Takes the first call off the connection's list. */
struct call *call_shift(struct connection *connection);
void call_free(struct call *call);

/* Gives the request back for its answer. NULL when no request waits any more. */
pillion_request *call_resume(struct call *call);

/* Sends the call's request once more, with what is known by now of prepared statements. False when
 * the call is late, or no request waits for it. */
bool call_again(struct call *call);

/* call_cancel asks the server to cancel this call, which is the one it runs. call_cancel_late does
 * so if the first call is late. */
void call_cancel(struct call *call);
void call_cancel_late(struct connection *connection);

/* The first of the method's statements, from `statement` on, that has to be prepared; their number
 * when there is none. */
size_t next_unprepared(struct connection *connection, const struct query *query, size_t statement);

/* Notes whether the server has the call's statement prepared for this connection. */
void call_prepared(const struct call *call, bool has);

/* Has the server deallocate the call's prepared statement. */
void call_deallocate(const struct call *call);

/* Sends the settings of a new connection; the event `set_up` follows. False when that failed. */
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

/* Sends libpq's queue as far as the socket takes it. False when the connection has broken. */
bool calls_flush(struct connection *connection);

/* Answers the request `postgres_unavailable`. The reason is for the log, not for clients. */
void fail_unavailable(pillion_request *req, const char *what);

#endif
