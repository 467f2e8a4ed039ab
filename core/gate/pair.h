/* Pairs of TCP sockets: a connection of this process with itself over the loopback interface. One
 * end goes to a worker, as the client's connection.
 *
 * They are of TCP and not a socketpair(2), because TCP counts the bytes that an end has received
 * and had acknowledged (tcp(7), TCP_INFO): by that count a connection outlives its worker, whenever
 * that dies. Gate only. */
#ifndef PILLION_GATE_PAIR_H
#define PILLION_GATE_PAIR_H

#include <stdint.h>

#include "base/error.h"

/* Makes the socket that pairs are made with. Call it once. */
bool pair_begin(struct error *error);

/* The port of that socket. */
uint16_t pair_port(void);

/* Makes a pair, non-blocking and close-on-exec: `ends[0]` for the worker. False with errno. */
bool pair_make(int ends[2]);

#endif
