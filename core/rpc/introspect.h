/* The server as a method can see it: lists, descriptions, health and counters as cJSON trees.
 *
 * Methods are listed for the request's own server block; counters are of the whole server, so that
 * a block of its own can show them.
 *
 * Each gives a new tree that the caller owns, or NULL when memory ran out. */
#ifndef PILLION_RPC_INTROSPECT_H
#define PILLION_RPC_INTROSPECT_H

#include "rpc/board.h"
#include "rpc/method.h"

struct introspect {
    const struct method_table *methods; /* of the request's server */
    const struct board *board;          /* NULL where no server runs */
    uint64_t generation;
};

cJSON *introspect_methods(const struct introspect *introspect);
cJSON *introspect_describe(const struct introspect *introspect, const char *method);
cJSON *introspect_health(const struct introspect *introspect);
cJSON *introspect_stats(const struct introspect *introspect);

#endif
