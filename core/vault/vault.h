/* A vault: a process that holds duplicates of client sockets. All vaults together hold every client
 * socket.
 *
 * It never reads a socket, and parses nothing: it keeps descriptors by the connections' ids, and
 * hands those of a dead worker to the workers that adopt them. While a duplicate is held, the end
 * of a worker closes no connection.
 *
 * It takes no more sockets than its limit allows, and accounts for each descriptor that it was
 * sent: HELD says how many have been received, REFUSED which of them are not held. A descriptor
 * that the kernel did not deliver (MSG_CTRUNC, unix(7)) is refused likewise.
 *
 * A socket is handed out only while the worker that owned it is dead, so that of two workers that
 * ask for the same one, one gets it. */
#ifndef PILLION_VAULT_VAULT_H
#define PILLION_VAULT_VAULT_H

#include "process/privilege.h"

struct vault_start {
    uint32_t seat;
    int channel; /* to the master */
    const struct identity *identity;
    uint64_t files; /* its limit on open files; 0: the hard limit */
    uint32_t limit; /* most sockets to hold; channels need descriptors beside them */
    pid_t master;
    bool locked; /* it is locked down (process/sandbox.h) */
};

/* Runs a vault in a child of the master. Never returns. */
_Noreturn void vault_main(const struct vault_start *start);

#endif
