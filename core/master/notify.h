/* News for the service manager that has started the server, systemd for one: a datagram for each
 * to the socket that NOTIFY_SOCKET names (sd_notify(3)). Without that variable nothing is sent.
 *
 * A reload that fails is over as well: the manager is told READY again, with the reason as the
 * status. `pillion -s reload` is what fails then (ExecReload). Master only. */
#ifndef PILLION_MASTER_NOTIFY_H
#define PILLION_MASTER_NOTIFY_H

#include <stdint.h>

/* Reads the environment, also after an upgrade. From here on the manager's watchdog, if it has one
 * for this process (WATCHDOG_USEC), is answered at twice its pace. */
void notify_begin(void);

/* The server serves, as the first line of `status` says. */
void notify_serving(const char *status);

/* A reload begins. */
void notify_reloading(void);

/* The server ends, within `patience_ms` unless something is wrong. */
void notify_stopping(uint64_t patience_ms);

#endif
