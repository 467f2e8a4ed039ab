/* A connection, and the pool that it belongs to, for the files that work on them. pool.c owns
 * both. */
#ifndef POSTGRES_STATE_H
#define POSTGRES_STATE_H

#include <libpq-fe.h>

#include "../waiting.h"
#include "settings.h"

#define REASON_MAX 256

struct call;
struct canceller;
struct connection;
struct pool;

/* Events of a connection. Each file reports to the files above it by these; the order is cancel.c,
 * call.c, result.c, connection.c, pool.c. pool.c fills the table. */
struct pool_events {
    /* cancel.c: the cancel request on this connection has ended. */
    void (*cancelled)(struct connection *connection);

    /* call.c and result.c: the connection is broken or of no use, or it is set up. */
    void (*lost)(struct connection *connection, const char *why);
    void (*set_up)(struct connection *connection);
    /* A connection may be free. */
    void (*freed)(struct pool *pool);
    /* The server takes no changes (any more), so it is the wrong one. */
    void (*read_only)(struct pool *pool);
    /* A statement was missing on the session where it had been prepared, or was there before.
     * `state` is the SQLSTATE. */
    void (*shared)(struct pool *pool, const char *state);

    /* connection.c: the connection takes requests, or takes no more. */
    void (*opened)(struct connection *connection);
    void (*closed)(struct connection *connection, const char *reason);
};

struct connection {
    struct pool *pool;
    PGconn *pg; /* NULL while there is no connection */
    pillion_handle watch, deadline, more, due;
    bool opening;  /* it is being opened, and requests may wait for it */
    bool ready;    /* it is connected and set up */
    bool pooled;   /* a pooler chooses the server's session for each transaction, maybe */
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
    const struct pool_events *events;
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

#endif
