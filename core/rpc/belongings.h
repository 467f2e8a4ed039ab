/* What belongs to a request besides its bytes: calls at its end, timers and descriptors that end
 * with it, and values by which a filter tells the handler something.
 *
 * All of it lies in the request's memory, and goes where that goes. A request that has none of it
 * pays one store. */
#ifndef PILLION_RPC_BELONGINGS_H
#define PILLION_RPC_BELONGINGS_H

#include "rpc/request.h"

/* What pillion_on_end, pillion_end_with, pillion_set_value and pillion_value do. */
bool request_on_end(struct pillion_request *req, void (*ended)(void *data), void *data);
bool request_end_with(struct pillion_request *req, uint64_t handle);
bool request_set_value(struct pillion_request *req, const char *key, void *value);
void *request_value(const struct pillion_request *req, const char *key);

#endif
