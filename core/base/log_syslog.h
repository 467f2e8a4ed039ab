/* Lines for syslogd(8), sent without waiting for it.
 *
 * syslog(3) waits while the daemon does not read: a stopped journal would stop every process of the
 * server. This speaks the same datagrams (RFC 3164, as syslog(3) does) over a socket of its own
 * that does not block, and connects anew when the daemon was restarted. */
#ifndef PILLION_BASE_LOG_SYSLOG_H
#define PILLION_BASE_LOG_SYSLOG_H

#include <stdbool.h>

/* Where the daemon listens: "/dev/log". A variable for tests. */
extern const char *log_syslog_path;

/* False with errno when the line could not be sent at once. `priority` is a level of syslog(3) with
 * its facility. */
bool log_syslog_send(int priority, const char *line);

/* Closes the socket; the next line opens another one. In a child, before descriptors are closed. */
void log_syslog_close(void);

#endif
