/* Calls of methods by methods: pillion_call.
 *
 * The outer request is deferred. The inner one has a request of its own, with its method's filters,
 * and memory of its own; it runs from the loop, once the outer handler has returned, and may be
 * deferred too. It sees the outer request's other members and header fields, and has its deadline.
 * Its answer goes to the outer module and to no client. Code that runs for it is noted as its
 * method's, for the outer request: a crash is put down to the inner method, and answers the outer
 * request. */
#ifndef PILLION_RPC_INNER_H
#define PILLION_RPC_INNER_H

#include "rpc/deferred.h"

#define INNER_DEPTH_MAX 8u /* calls in calls */

typedef void (*inner_done)(struct pillion_request *req, const char *code, struct bytes result,
                           void *data);

/* What pillion_call does. */
void inner_call(struct pillion_request *req, const char *method, struct bytes params,
                inner_done done, void *data);

/* The deferred request, which is an inner one, is answered or dropped: for deferreds->finish. */
void inner_finish(struct deferred *deferred);

#endif
