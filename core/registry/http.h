/* HTTP as the registry process needs it: a table of functions that `registry.so` fills, which is
 * the only file of a server's core that needs libcurl. The process `pillion: registry` loads it by
 * itself (registry/plugin.h); the others, and servers without a registry, never do.
 *
 * An engine runs any number of transfers at once, waits for none, and has no loop of its own: it
 * says through `struct engine_host` which descriptors and which moment it waits for;
 * registry/http_loop.h ties one to the loop. Connections are kept and used again. Texts of errors
 * are sentences without a full stop. */
#ifndef PILLION_REGISTRY_HTTP_H
#define PILLION_REGISTRY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "registry/engine.h"

/* With whom one speaks over https: the contents of files of PEM, so that they are read before the
 * process is locked down. They stay the caller's, as long as there are transfers with them. */
struct http_tls {
    struct bytes ca;        /* who may have signed the server's certificate */
    struct bytes cert, key; /* the client's own; empty: none */
    bool unverified;        /* any certificate will do, and any name in it */
};

struct http_answer {
    int status;        /* of HTTP; 0: none came whole, and `why` tells */
    struct bytes body; /* empty where `part` has had it; valid during the call */
    const char *why;   /* "" when it came whole */
    bool too_large;    /* that is why */
};

/* One request. All but `tls` is copied. */
struct http_request {
    const char *url;                 /* http://… or https://… */
    struct bytes body;               /* sent by POST; a body without `data` makes it a GET */
    const char *const *headers;      /* "Name: value", ended by NULL; NULL: none */
    const struct http_tls *tls;      /* NULL for http:// */
    uint32_t connect_ms, timeout_ms; /* 0: of the whole, none, for answers that go on */
    size_t answer_max;               /* bytes of an answer that `done` gets whole; more fail */

    /* An answer's next bytes, for those that go on; NULL: `done` gets them all. False ends the
     * transfer, and `done` is called with status 0. It may cancel any transfer, its own too, and
     * start others. */
    bool (*part)(void *context, struct bytes bytes);
    /* The end, which comes once unless the transfer is cancelled, never from within `start`. The
     * transfer is gone with it. It may cancel and start others. */
    void (*done)(void *context, const struct http_answer *answer);
    void *context;
};

struct http_engine;
struct http_transfer;

struct http_table {
    const char *library; /* its name and version */
    const char *ca_file; /* PEM of those whom this system trusts; NULL: not known */

    /* NULL with the reason. `host` is copied. */
    struct http_engine *(*open)(const struct engine_host *host, char *why, size_t size);
    /* Cancels all that is under way, without `done`, and closes all connections. Not from within a
     * callback. */
    void (*close)(struct http_engine *engine);
    /* A descriptor that is watched is ready: ENGINE_READ, ENGINE_WRITE or both. */
    void (*ready)(struct http_engine *engine, int fd, unsigned is);
    void (*due)(struct http_engine *engine);

    /* NULL with the reason: a URL that makes no sense, no memory. */
    struct http_transfer *(*start)(struct http_engine *engine, const struct http_request *request,
                                   char *why, size_t size);
    /* Ends it without `done`, and closes its connection. */
    void (*cancel)(struct http_transfer *transfer);
};

#endif
