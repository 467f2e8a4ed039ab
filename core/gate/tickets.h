/* The keys of session tickets, in memory that all gates of a server share and no other process has:
 * so a client that comes again, to another gate or after a reload or an upgrade, goes on with its
 * ticket (RFC 5077; RFC 8446 section 4.6.1).
 *
 * A key makes tickets for as long as a ticket is valid, and takes them for as long again. Whichever
 * gate finds it too old makes the next one. */
#ifndef PILLION_GATE_TICKETS_H
#define PILLION_GATE_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/tls.h"

/* In the master: makes the memory, without mapping it. -1 with the reason. */
int tickets_make(struct error *error);

/* In a gate: maps it. Keys live for `valid_s` seconds. */
bool tickets_map(int fd, uint64_t valid_s, struct error *error);

/* A tls_ticket_keys; `context` is not used. */
bool tickets_keys(void *context, uint8_t keys[2][TLS_TICKET_KEY]);

#endif
