/* A vault: a process that holds a duplicate of client sockets. All of them together hold every one.
 *
 * It never reads one, and parses nothing: it keeps descriptors by the connections' ids, and hands
 * those of a dead worker to whoever adopts them. While a duplicate is held, the end of a worker
 * closes no connection.
 *
 * It takes no more than its limit leaves room for, and answers for each descriptor that reaches it:
 * HELD says how many have been received, REFUSED which of them are not held. A descriptor that the
 * kernel did not deliver (MSG_CTRUNC, unix(7)) is refused likewise.
 *
 * An id is handed out only while the worker that held it is dead, so that of two who ask for the
 * same one, one gets it. */
#ifndef PILLION_VAULT_VAULT_H
#define PILLION_VAULT_VAULT_H

#include "process/privilege.h"

struct vault_start {
    uint32_t seat;
    int channel; /* to the master */
    const struct identity *identity;
    uint64_t files; /* the limit on descriptors to ask for; 0: the hard limit */
    uint32_t limit; /* of sockets that it holds; there must be descriptors left for channels */
    pid_t master;
};

/* Runs a vault in a child of the master. Never returns. */
_Noreturn void vault_main(const struct vault_start *start);

#endif
