/* TLS to a server, pumped on a loop: one end of a socket pair speaks plain, and what goes through
 * it goes over TLS to the server and back. By that a module, and a library that it uses, speak TLS
 * without OpenSSL.
 *
 * Worker only. */
#ifndef PILLION_TLS_PUMP_H
#define PILLION_TLS_PUMP_H

#include "event/loop.h"
#include "tls/tls.h"

#define PUMP_TLS "TLS: " /* how a reason begins that is TLS's, and not the network's */

struct pump_plan {
    struct loop *loop;
    const struct tls_table *tls;
    struct tls_context *context; /* a client's */
    const char *name;            /* the server's */
    uint64_t handshake_ns;

    /* The handshake is done (NULL), or the connection has broken, which ends it. */
    void (*told)(uint64_t context, const char *why);
    /* The connection is over: `told` is not called any more. */
    void (*over)(uint64_t context);
    uint64_t told_context;
};

/* Begins over `fd`, a non-blocking stream socket that is connected or about to be, and takes it.
 * `*plain` is the end for the module. False with errno set; then `fd` stays the caller's. */
bool pump_start(const struct pump_plan *plan, int fd, int *plain);

#endif
