/* Listening sockets that the server was started with: socket activation (sd_listen_fds(3)). Clients
 * queue in them while no server runs, so a restart of the service refuses none.
 *
 * A `listen` directive whose address is that of a passed socket uses it, instead of binding one.
 * The sockets stay open for the master's whole life, because their addresses cannot be bound
 * meanwhile: a listener has a duplicate. Master only. */
#ifndef PILLION_NET_PASSED_H
#define PILLION_NET_PASSED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/own_file.h"
#include "net/address.h"

/* Takes the descriptors that the environment announces to this process, and its variables. False
 * when one of them is no listening stream socket. */
bool passed_take(struct error *error);

/* Takes one descriptor, also after an upgrade. */
bool passed_add(int fd, struct error *error);

/* A duplicate of the passed socket of this address, and of the Unix socket's file; -1 when there is
 * none. */
int passed_find(const struct address *address, struct file_id *file);

/* Walks through them: the descriptor, or -1 after the last one. */
int passed_descriptor(size_t index);

/* Logs those that no listener has used. */
void passed_report_unused(void);

#endif
