/* An engine of HTTP that is driven by the process's event loop. See http.h. */
#ifndef PILLION_REGISTRY_HTTP_LOOP_H
#define PILLION_REGISTRY_HTTP_LOOP_H

#include "base/error.h"
#include "event/loop.h"
#include "registry/http.h"

struct http_loop;

/* NULL with the reason. Both stay the caller's, and have to outlive it. */
struct http_loop *http_loop_open(struct loop *loop, const struct http_table *table,
                                 struct error *error);

/* Ends all transfers without `done`. Not from within a callback of one. NULL may be given. */
void http_loop_close(struct http_loop *http);

/* As the table's `start` and `cancel`. */
struct http_transfer *http_loop_start(struct http_loop *http, const struct http_request *request,
                                      struct error *error);
void http_loop_cancel(struct http_loop *http, struct http_transfer *transfer);

#endif
