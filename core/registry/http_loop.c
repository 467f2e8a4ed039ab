/* See http_loop.h. */
#include "registry/http_loop.h"

#include <stdlib.h>

#include "base/memory.h"
#include "registry/engine_loop.h"

struct http_loop {
    const struct http_table *table;
    struct http_engine *engine;
    struct engine_loop *driver;
};

static void ready(void *context, int fd, unsigned is)
{
    const struct http_loop *http = context;

    http->table->ready(http->engine, fd, is);
}

static void due(void *context)
{
    const struct http_loop *http = context;

    http->table->due(http->engine);
}

struct http_loop *http_loop_open(struct loop *loop, const struct http_table *table,
                                 struct error *error)
{
    struct http_loop *http = must_zalloc(sizeof(*http));
    char why[256];

    *http = (struct http_loop){.table = table, .driver = engine_loop_open(loop)};
    const struct engine_host host = engine_loop_host(http->driver);
    engine_loop_use(http->driver, &(struct engine_calls){http, ready, due});
    http->engine = table->open(&host, why, sizeof(why));
    if (http->engine != NULL)
        return http;
    error_set(error, "%s", why);
    http_loop_close(http);
    return NULL;
}

void http_loop_close(struct http_loop *http)
{
    if (http == NULL)
        return;
    if (http->engine != NULL)
        http->table->close(http->engine);
    engine_loop_close(http->driver);
    free(http);
}

struct http_transfer *http_loop_start(struct http_loop *http, const struct http_request *request,
                                      struct error *error)
{
    char why[256];
    struct http_transfer *transfer = http->table->start(http->engine, request, why, sizeof(why));

    if (transfer == NULL)
        error_set(error, "%s", why);
    return transfer;
}

void http_loop_cancel(struct http_loop *http, struct http_transfer *transfer)
{
    http->table->cancel(transfer);
}
