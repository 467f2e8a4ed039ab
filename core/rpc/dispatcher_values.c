/* What modules keep for the connections of a worker. See dispatcher_values.h. */
#include "rpc/dispatcher_values.h"

#include <stdlib.h>

void dispatcher_connection(struct dispatcher *dispatcher, const struct conn *conn,
                           struct request_connection *to)
{
    const struct conns *conns = dispatcher->conns;

    if (dispatcher->values == NULL)
        dispatcher->values = calloc(conns->arena.record_count, sizeof(*dispatcher->values));
    if (dispatcher->values != NULL)
        to->values = &dispatcher->values[conn_index(conns, conn)];
    to->id = conn_id(conns, conn);
    to->moved = conn_worker_of(to->id) != (conns->worker & CONN_ID_WORKER_MAX);
}

void dispatcher_leaves(struct dispatcher *dispatcher, const struct conn *conn, pillion_conn_end why)
{
    if (dispatcher->values != NULL)
        conn_values_end(&dispatcher->values[conn_index(dispatcher->conns, conn)], why);
}

void dispatcher_stops(struct dispatcher *dispatcher)
{
    const struct conns *conns = dispatcher->conns;
    uint32_t high = atomic_load_explicit(&conns->arena.header->record_high, memory_order_relaxed);

    for (uint32_t i = 0; dispatcher->values != NULL && i < high; i++)
        conn_values_end(&dispatcher->values[i], PILLION_CONN_STOPPING);
}
