/* One request and its answer: see registry/http.h. */
#ifndef PILLION_REGISTRY_CURL_TRANSFER_H
#define PILLION_REGISTRY_CURL_TRANSFER_H

#include <curl/curl.h>

#include "registry/http.h"

struct http_engine {
    CURLM *multi;
    struct engine_host host;
    struct http_transfer *transfers; /* all of them */
    bool acting; /* libcurl is running, which then takes no transfer and lets none go */
};

struct http_transfer *transfer_start(struct http_engine *engine, const struct http_request *request,
                                     char *why, size_t size);
void transfer_cancel(struct http_transfer *transfer);

/* libcurl is done with it: tells so, and frees it. */
void transfer_done(CURL *easy, CURLcode result);

/* What was started or cancelled while libcurl was running is now. */
void transfers_settle(struct http_engine *engine);

/* Frees it, without a word. */
void transfer_free(struct http_transfer *transfer);

#endif
