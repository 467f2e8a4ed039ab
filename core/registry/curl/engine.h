/* libcurl's multi interface, without waiting: see registry/http.h, whose functions these are. */
#ifndef PILLION_REGISTRY_CURL_ENGINE_H
#define PILLION_REGISTRY_CURL_ENGINE_H

#include "registry/http.h"

struct http_engine *engine_open(const struct engine_host *host, char *why, size_t size);
void engine_close(struct http_engine *engine);
void engine_ready(struct http_engine *engine, int fd, unsigned is);
void engine_due(struct http_engine *engine);

#endif
