/* A client for the command line: one connection, one message to the server, one reply back.
 *
 * Calls block, with one deadline for connecting, sending and receiving. Knows what is around a
 * message (cmd/dialect.h), and nothing of JSON. */
#ifndef PILLION_CMD_CLIENT_H
#define PILLION_CMD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "cmd/contact.h"
#include "cmd/dialect.h"

/* Connects to `server`, an address as address_resolve takes it, with TLS where the dialect says so.
 * False with the reason. */
bool client_connect(const char *server, const struct dialect *dialect, uint64_t timeout_ms,
                    struct contact *contact, struct error *error);

/* A connection that is made with the first exchange and kept for those that follow. */
struct client {
    const char *server;  /* an address as address_resolve takes it */
    uint64_t timeout_ms; /* for each exchange */
    const struct dialect *dialect;
    struct contact contact; /* its descriptor is -1 at first */
};

/* Sends `body` (at most UINT32_MAX bytes) and appends the body of the reply to `reply`. False when
 * no reply came, with the reason; then the connection is closed. */
bool client_exchange(struct client *client, struct bytes body, struct text *reply,
                     struct error *error);

void client_close(struct client *client);

#endif
