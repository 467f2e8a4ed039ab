/* Listening at a path. Both the listeners for clients and the control socket are made here.
 *
 * A server that was killed leaves its socket's file behind, which is replaced; one that lives is
 * left alone, and so is everything that is no socket. */
#ifndef PILLION_NET_UNIX_SOCKET_H
#define PILLION_NET_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/place.h"

/* A listening socket at `path`, which fits an address of unix(7); non-blocking, closed on exec, its
 * file with the rights `mode`. `own` becomes that file. -1 with the reason; `taken` (or NULL) says
 * whether somebody else listens there. */
int unix_listen(const char *path, mode_t mode, int backlog, struct place_id *own, bool *taken,
                struct error *error);

#endif
