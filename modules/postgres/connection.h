/* The life of a connection: opening it, setting it up, noticing that it is dead, and opening it
 * again. call.h sends over it, and result.h takes the results. */
#ifndef POSTGRES_CONNECTION_H
#define POSTGRES_CONNECTION_H

#include "state.h"

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

#endif
