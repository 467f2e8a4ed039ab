/* A client of the wire for the command line: one connection, one frame there, one frame back.
 *
 * Blocking as its caller sees it, with one deadline over everything. Knows frames and no JSON. */
#ifndef PILLION_CMD_CLIENT_H
#define PILLION_CMD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

/* Connects to `server`, an address as address_resolve takes it. A non-blocking socket, or -1 with
 * the reason. */
int client_connect(const char *server, uint64_t timeout_ms, struct error *error);

/* Sends `body` (at most UINT32_MAX bytes) to `server`, an address as address_resolve takes it, and
 * appends the body of the reply to `reply`. False when nobody answered, with the reason. */
bool client_exchange(const char *server, struct bytes body, uint64_t timeout_ms, struct text *reply,
                     struct error *error);

#endif
