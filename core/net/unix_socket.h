/* Listening at a path: for the clients' listeners and for the control socket.
 *
 * A server that was killed leaves its socket's file behind; such a file is replaced. The socket of
 * a live server is left alone, and so is every file that is no socket. */
#ifndef PILLION_NET_UNIX_SOCKET_H
#define PILLION_NET_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/own_file.h"

/* A listening socket at `path`, which is short enough for unix(7); non-blocking, closed on exec,
 * its file with the rights `mode`. `own` becomes the identity of that file. -1 with the reason;
 * `taken` (or NULL) becomes true when another process listens there. */
int unix_listen(const char *path, mode_t mode, int backlog, struct file_id *own, bool *taken,
                struct error *error);

#endif
