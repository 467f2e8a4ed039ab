/* A call: what is under way on a connection for one request, or for the connection itself. Of
 * call.c (sending, and being late) and result.c (what has become of it). */
#ifndef POSTGRES_CALL_H
#define POSTGRES_CALL_H

#include "connection.h"

#define QUICK_ENOUGH 8u /* so often in a row, and a method is known to be quick */

enum kind {
    CALL_SET_UP,  /* of the connection itself */
    CALL_TIDY,    /* nobody waits for it */
    CALL_PREPARE, /* the request's statements are prepared, and then */
    CALL_RUN      /* run */
};

struct call {
    struct connection *connection;
    enum kind kind;
    pillion_token token; /* 0: nobody waits for it (any more) */
    struct query query;
    size_t statement; /* whose result is next */
    bool prepared;    /* CALL_PREPARE: its description is next */
    bool sets;        /* CALL_RUN: the next result is that of the transaction's settings */
    bool quick;
    bool late;      /* it is past its time */
    bool cancelled; /* and PostgreSQL was asked to end it */
    bool twice;     /* the statement's columns are unfit */
    PGresult *last, *error;
    struct conversion conversion;
    struct call *next;
};

/* Takes the first call out of the line. */
struct call *call_shift(struct connection *connection);
void call_free(struct call *call);

/* The request back, for its answer. NULL when nobody waits for that. */
pillion_request *call_resume(struct call *call);

/* Sends what the call was to do once more, with what has been learned meanwhile. False when it is
 * too late for that, or nobody waits. */
bool call_again(struct call *call);

/* Asks the server, which is at this call, to end it. */
void call_cancel(struct call *call);
void call_cancel_late(struct connection *connection);

/* The first of the method's statements from `statement` on that has to be prepared; their number
 * when there is none. */
size_t next_unprepared(struct connection *connection, const struct query *query, size_t statement);

/* Notes whether the server has the call's statement prepared for this connection. */
void call_prepared(const struct call *call, bool has);

/* The server need not keep the call's statement any more. */
void call_deallocate(const struct call *call);

#endif
