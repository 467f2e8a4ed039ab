/* A connection of the pool's, and what the two know of each other. Of pool.c and connection.c
 * alone. */
#ifndef POSTGRES_CONNECTION_H
#define POSTGRES_CONNECTION_H

#include "../waiting.h"
#include "postgres.h"

#define REASON_MAX 256

struct call;

struct connection {
    struct pool *pool;
    PGconn *pg; /* NULL while there is none */
    pillion_handle watch, deadline, more;
    bool opening; /* its first attempt has not come to an end */
    bool ready;
    struct call *first, **end; /* in the order in which they were sent */
    size_t pending;
    size_t unsent;   /* bytes, about, since all was sent the last time */
    unsigned silent; /* how often in a row connection_look has seen no byte */
    bool replied;    /* since it looked */
    unsigned backoff_ms;
    unsigned
        *versions; /* of each statement's name here; 0, or not there: not known to be prepared */
    size_t version_count;
    unsigned last_version;
};

struct pool {
    pillion_instance *self;
    const struct settings *settings;
    bool closing;
    pillion_handle look;
    char reason[REASON_MAX];     /* why there is no connection */
    struct waiting_line waiting; /* empty once a connection is ready, or none is opening */
    size_t opening;
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

/* Sends the statements, and defers the request for as long; or answers it with an error. */
void connection_send(struct connection *connection, pillion_request *req,
                     const struct method *method, const char *const *values, uint64_t timeout_ms);

/* About how many bytes it sends. */
size_t query_size(const struct method *method, const char *const *values);

/* Answers the request. Why there is no connection is for the log. */
void fail_unavailable(pillion_request *req, const char *what);

/* ---- pool.c: what a connection tells its pool ---- */

void pool_ready(struct connection *connection);
void pool_lost(struct connection *connection, const char *reason);

#endif
