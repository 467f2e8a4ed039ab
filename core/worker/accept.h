/* A worker's new clients: which sockets it accepts them from (net/acceptor.h does), and how many it
 * takes. */
#ifndef PILLION_WORKER_ACCEPT_H
#define PILLION_WORKER_ACCEPT_H

#include "net/acceptor.h"
#include "vault/vault_bank.h"
#include "worker/start.h"

/* What accepting needs of the worker's other parts. */
struct acceptance {
    const struct started *started;
    struct conns *conns;
    struct vault_bank *bank; /* holds what is accepted */
    /* Shows on the board how many connections are open. */
    void (*show)(void);
};

/* Makes the acceptor one of all sockets that are this worker's, once its servers are bound. It is
 * stopped; `acceptance` must outlive it. */
void accept_prepare(struct acceptor *acceptor, struct acceptance *acceptance);

#endif
