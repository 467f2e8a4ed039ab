/* libcurl on the worker's loop: its sockets are watched, its timers are the worker's, and nothing
 * here waits. */
#ifndef PROXY_HTTP_ENGINE_H
#define PROXY_HTTP_ENGINE_H

#include <curl/curl.h>
#include <pillion/module.h>

struct engine;

/* `kept`: how many connections are kept for later. `done` is called, outside of libcurl, when a
 * transfer is over; it removes it. NULL with the reason. */
struct engine *engine_open(pillion_instance *self, long kept,
                           void (*done)(CURL *transfer, CURLcode result),
                           pillion_error_text *error);

/* No transfer is left in it. Closes all connections. */
void engine_close(struct engine *engine);

/* Has the sockets of this transfer counted in METRIC_CONNECTED. */
void engine_count_sockets(struct engine *engine, CURL *transfer);

/* Begins a transfer, soon. False when memory ran out. */
bool engine_add(struct engine *engine, CURL *transfer);

/* Takes a transfer away; one that is not over loses its connection. */
void engine_remove(struct engine *engine, CURL *transfer);

#endif
