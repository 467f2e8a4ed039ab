/* A worker's connections to PostgreSQL, and the choice among them: a request goes to a connection
 * that is free or quick, or waits in line. */
#ifndef POSTGRES_POOL_H
#define POSTGRES_POOL_H

#include "query.h"
#include "settings.h"

struct pool;

/* Connects as soon as the loop runs. NULL with the reason. */
struct pool *pool_open(pillion_instance *self, const struct settings *settings,
                       pillion_error_text *error);
void pool_close(struct pool *pool);

/* Sends the method's statements, as one transaction, and defers the request; or answers it with an
 * error. The request waits while all connections are busy, and while the first ones are being
 * opened; `values` are in the request's memory. */
void pool_send(struct pool *pool, pillion_request *req, struct method *method,
               const char *const *values);

#endif
