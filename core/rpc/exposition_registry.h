/* The metrics of the registry (rpc/board.h), in Prometheus's text format: none where the server has
 * neither a registry nor a module that wants a service. Any process. */
#ifndef PILLION_RPC_EXPOSITION_REGISTRY_H
#define PILLION_RPC_EXPOSITION_REGISTRY_H

#include "rpc/board.h"

void exposition_write_registry(const struct board *board, struct text *out);

#endif
