/* How a worker leaves when other workers take over from it: it lets go of the connections with no
 * request under way, answers the requests of the others, and lets go of those as they are answered.
 *
 * Until the master says that all connections have been taken over, the worker keeps their
 * descriptors: if a vault dies meanwhile, the worker hands them to the next one. */
#ifndef PILLION_WORKER_LEAVE_H
#define PILLION_WORKER_LEAVE_H

#include "rpc/dispatch.h"
#include "vault/vault_bank.h"

struct leave {
    struct loop *loop; /* is stopped when the worker has left */
    struct conns *conns;
    struct dispatcher *dispatcher;
    struct vault_bank *bank;
    int channel; /* to the master */
    /* Shows on the board how many connections are open, before the master is told. */
    void (*show)(void);

    bool begun;
    uint64_t end_ns; /* the latest end, on clock_ns() */
    struct timer patience;
    uint32_t *staying; /* indices of the connections that wait for an answer */
    uint32_t staying_count;
    uint64_t vaults[VAULT_PROCESSES_MAX]; /* by seat: serial of the vault named last */
};

/* Begins to leave. The caller accepts and adopts no more, and has sent all replies. Requests that
 * still wait `timeout_ms` later are answered `timeout`. */
void leave_begin(struct leave *leave, uint64_t timeout_ms);

/* Lets go of the connections that have been answered meanwhile. Call this after each batch of
 * events. */
void leave_go_on(struct leave *leave);

/* There is a new vault in the seat, named `serial`. Hands it the connections that no worker has
 * taken over yet, and tells the master once more that they may be taken. */
void leave_vault(struct leave *leave, uint32_t seat, uint64_t serial);

#endif
