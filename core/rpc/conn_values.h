/* What modules keep for a connection: values by their keys, as requests have them, but for as long
 * as the connection is in this worker.
 *
 * A connection has none until a module sets one, and costs nothing for it until then. When the
 * connection ends here its values stay for those of its requests that are not over yet, and are
 * ended behind the last of them: so no thread works with a value that is gone.
 *
 * Knows nothing of connections: `struct conn_values *` is kept by whoever has them. All of it runs
 * on the worker's one thread. */
#ifndef PILLION_RPC_CONN_VALUES_H
#define PILLION_RPC_CONN_VALUES_H

#include "rpc/request.h"

typedef void (*conn_value_ended)(pillion_instance *self, void *value, pillion_conn_end why);

struct conn_value;
struct conn_values {
    struct conn_value *newest;
    uint32_t users;        /* requests that were the connection's, and are not over */
    pillion_conn_end over; /* why the connection has ended here; 0: it has not */
};

/* What pillion_conn_set and pillion_conn_get do. */
bool conn_values_set(const struct pillion_request *req, const char *key, void *value,
                     conn_value_ended ended);
void *conn_values_get(const struct pillion_request *req, const char *key);

/* The request's connection. Zeroed when the client is gone, or where there are no connections. */
struct request_connection conn_values_connection(const struct pillion_request *req);

/* A request that leaves its connection, and is not over: conn_values_leave says when it is. The
 * values may be NULL: there are none. */
struct conn_values *conn_values_use(struct conn_values *values);
void conn_values_leave(struct conn_values *values);

/* The connection ends here. It has no values afterwards. */
void conn_values_end(struct conn_values **values, pillion_conn_end why);

#endif
