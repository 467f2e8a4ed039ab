/* How a worker leaves when others take over from it: it lets go of the connections that wait for
 * nothing, answers what is under way on the others, and lets go of them as they are answered.
 *
 * Until the master says that all has been taken over, the worker keeps its descriptors, and does
 * nothing else: should a vault die meanwhile, it hands them to the next one. */
#ifndef PILLION_WORKER_LEAVE_H
#define PILLION_WORKER_LEAVE_H

#include "rpc/dispatch.h"
#include "vault/vault_bank.h"

struct leave {
    struct loop *loop; /* is stopped when it is over */
    struct conns *conns;
    struct dispatcher *dispatcher;
    struct vault_bank *bank;
    int channel; /* to the master */
    /* Shows the others how many connections are open, before the master is told. */
    void (*show)(void);

    bool begun;
    uint64_t end_ns; /* when it is over at the latest, on clock_ns() */
    struct timer patience;
    uint32_t *staying; /* connections that wait for an answer, by their index */
    uint32_t staying_count;
    uint64_t vaults[VAULT_PROCESSES_MAX]; /* by seat, the serial of the vault that was named last */
};

/* Begins; nothing is accepted or adopted any more, and all that was to be sent has been. What still
 * waits for an answer `timeout_ms` later is answered `timeout`. */
void leave_begin(struct leave *leave, uint64_t timeout_ms);

/* Lets go of the connections that have had their answers meanwhile. After each batch of events. */
void leave_go_on(struct leave *leave);

/* There is another vault in this seat. What nobody has taken over yet is handed to it, and the
 * master is told once more that it may be taken. */
void leave_vault(struct leave *leave, uint32_t seat, uint64_t serial);

#endif
