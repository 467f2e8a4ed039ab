/* Watching the server over HTTP, where `status on` is:
 *
 *     GET /metrics         its numbers for Prometheus
 *     GET /                the page for people
 *     GET /status/events   the stream of events by which the page lives (rpc/stream.h)
 *     GET /status/methods  what the page has to know of the methods
 *
 * Each is a call of a method that a server has beside its own, so the server's filters guard it. */
#ifndef PILLION_RPC_STATUS_H
#define PILLION_RPC_STATUS_H

#include "rpc/request.h"

/* The names of these methods, for filters, the log and counters: that of `GET /metrics`, and that
 * of the others. */
#define STATUS_METRICS_METHOD "metrics"
#define STATUS_METHOD         "status"

/* True for the paths above. */
bool status_has(struct bytes path);

/* True for that of the first method, and for that of the page. */
bool status_is_metrics(struct bytes path);
bool status_is_page(struct bytes path);

/* The handlers of the two methods. */
void status_answer_metrics(struct pillion_request *req);
void status_answer(struct pillion_request *req);

#endif
