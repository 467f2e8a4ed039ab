/* Listening at a path: for the clients' listeners and for the control socket.
 *
 * A server that was killed leaves its socket's file behind; such a file is replaced. The socket of
 * a live server is left alone, and so is every file that is no socket. */
#ifndef PILLION_NET_UNIX_SOCKET_H
#define PILLION_NET_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/own_file.h"

/* Who may connect: the rights and the group of the socket's file. */
struct unix_access {
    mode_t mode;
    gid_t group; /* (gid_t)-1: as it comes */
};

/* A listening socket at `path`, which is short enough for unix(7); non-blocking, closed on exec,
 * its file with these rights. `own` becomes the identity of that file. -1 with the reason;
 * `taken` (or NULL) becomes true when another process listens there. */
int unix_listen(const char *path, const struct unix_access *access, int backlog,
                struct file_id *own, bool *taken, struct error *error);

/* Gives the file of a socket that listens these rights. Another file that is at the path by now is
 * left alone. */
bool unix_allow(const char *path, struct file_id own, const struct unix_access *access,
                struct error *error);

#endif
