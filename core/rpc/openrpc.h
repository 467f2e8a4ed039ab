/* The server as an OpenRPC document (https://spec.open-rpc.org, version 1.2.6): what tools for
 * JSON-RPC read to know the methods, their params and their results. */
#ifndef PILLION_RPC_OPENRPC_H
#define PILLION_RPC_OPENRPC_H

#include "rpc/introspect.h"

/* The document, a new tree that the caller owns; NULL when memory ran out. `host` is where the
 * client has sent its request to by HTTP, and data NULL when that is not known. */
cJSON *openrpc_document(const struct introspect *introspect, struct bytes host);

#endif
