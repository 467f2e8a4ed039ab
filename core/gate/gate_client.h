/* A client of a gate: its handshake, and then its bytes in both directions. Gate only. */
#ifndef PILLION_GATE_GATE_CLIENT_H
#define PILLION_GATE_GATE_CLIENT_H

#include "event/loop.h"
#include "gate/gate_admit.h"
#include "gate/gate_ports.h"

/* What all clients of a gate share. */
struct gate_clients {
    struct loop *loop;
    const struct tls_table *tls;
    struct gate_admission admission;
    uint32_t open;
    /* A client has gone. */
    void (*gone)(void);
};

/* Takes a client that was accepted at `port`, or refuses it. `fd` becomes the callee's. */
void gate_client_new(struct gate_clients *clients, const struct gate_port *port, int fd,
                     const struct sockaddr_storage *peer, socklen_t peer_size);

#endif
