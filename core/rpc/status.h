/* The server's numbers over HTTP, where `status on` is: `GET /metrics`, for Prometheus. It is a
 * call of a method that each server has beside its own, so the filters guard it. */
#ifndef PILLION_RPC_STATUS_H
#define PILLION_RPC_STATUS_H

#include "rpc/request.h"

#define STATUS_PATH   "/metrics"
#define STATUS_METHOD "metrics" /* the name of that method, for filters, the log and counters */

/* The handler of that method. */
void status_answer(struct pillion_request *req);

#endif
