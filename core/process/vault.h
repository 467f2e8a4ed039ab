/* The vault: the process that holds a duplicate of every client socket.
 *
 * It never reads one, and parses nothing: it keeps descriptors by the connections' ids, and hands
 * those of a dead worker to whoever adopts them. While a duplicate is held, the end of a worker
 * closes no connection.
 *
 * An id is handed out only while the worker that held it is dead, so that of two who ask for the
 * same one, one gets it. */
#ifndef PILLION_PROCESS_VAULT_H
#define PILLION_PROCESS_VAULT_H

#include "process/privilege.h"

/* Runs the vault in a child of the master, to whom `channel` leads. Never returns. */
_Noreturn void vault_main(int channel, const struct identity *identity, pid_t master);

#endif
