/* Cancel requests: has PostgreSQL end the statement that a connection runs. cancel.c has a thread
 * for it, because libpq's PQcancel blocks. */
#ifndef POSTGRES_CANCEL_H
#define POSTGRES_CANCEL_H

#include "state.h"

/* Asks the server to cancel the statement that the connection runs; the event `cancelled` follows.
 * False when it cannot be asked. */
bool cancel_start(struct connection *connection);
void cancel_stop(struct pool *pool);

#endif
