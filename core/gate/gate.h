/* A gate: a process that ends TLS. It accepts the clients of addresses with `ssl`, does the
 * handshake, hands one end of a pair of sockets to the workers (net/handoff.h), and from then on
 * carries bytes between the client and that pair: TLS outside, plain inside.
 *
 * It runs no module and parses nothing but TLS. It keeps the certificates and keys that it has read
 * at its start; new ones are a new gate's, and the former serves its clients until they have gone.
 * So neither the end of a worker nor a reload costs a client its connection; the end of the gate
 * costs those of its own clients. */
#ifndef PILLION_GATE_GATE_H
#define PILLION_GATE_GATE_H

#include "process/generation.h"

struct gate_start {
    uint32_t seat;
    int channel; /* to the master */
    int tickets; /* the memory of gate/tickets.h */
    struct board *board;
    struct board_gate *row; /* of the board, its own; or NULL */
    bool warns;             /* once a day, of certificates that expire soon */
    const struct generation *generation;
    pid_t master;
};

/* Runs a gate in a child of the master. Never returns. */
_Noreturn void gate_main(const struct gate_start *start);

/* Has a child of this process load what a gate of the generation would load, within `load_timeout`:
 * the library, certificates and keys. Sets when the first certificate expires. False with errors. A
 * generation without `ssl` needs nothing. */
bool gate_try(struct generation *generation, struct conf_errors *errors);

#endif
