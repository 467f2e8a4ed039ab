/* What modules keep for the connections of a worker (rpc/conn_values.h): a table by the index of
 * the connection's record, made when a module first asks for it. */
#ifndef PILLION_RPC_DISPATCHER_VALUES_H
#define PILLION_RPC_DISPATCHER_VALUES_H

#include "rpc/conn_values.h"
#include "rpc/dispatcher.h"

/* Tells of the connection. */
void dispatcher_connection(struct dispatcher *dispatcher, const struct conn *conn,
                           struct request_connection *to);

/* The connection ends here, or becomes another worker's: what is kept for it ends, once its
 * requests are over. */
void dispatcher_leaves(struct dispatcher *dispatcher, const struct conn *conn,
                       pillion_conn_end why);

/* The process is to end, and no thread works for a request any more: the same for every connection
 * that there is. */
void dispatcher_stops(struct dispatcher *dispatcher);

#endif
