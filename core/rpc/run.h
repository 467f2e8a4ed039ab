/* Running requests: a method's handler, and the filters around it.
 *
 * A use of a filter is one `filter` statement in this worker; a method has the uses of its server
 * and then its own. Methods without filters pay one comparison. */
#ifndef PILLION_RPC_RUN_H
#define PILLION_RPC_RUN_H

#include "rpc/request.h"

/* Runs the method's handler between its filters, once its params are what it declares
 * (rpc/validate.h), and sees that there is an answer, unless it is deferred: a handler that
 * returned without one becomes `internal_error` (or `invalid_params` when its params could not be
 * had as cJSON), with a line in the log that names module and method. */
void request_run(struct pillion_request *req);

/* A deferred request is answered: runs the `after` of its filters. */
void filters_after(struct pillion_request *req);

/* Shows a request that request_keep_refused has prepared to the filters that want to see such ones:
 * runs their `after`. */
void request_show(struct pillion_request *req);

#endif
