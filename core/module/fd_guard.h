/* Keeps module code from breaking descriptors that are the server's.
 *
 * A handler that closes a client's socket, shuts a listener down or makes a channel block would
 * hurt clients that never called it, and often long after it has returned: workers, the master and
 * the vaults share open files. The executable's close(2), shutdown(2), fcntl(2) and their kin stand
 * in front of libc's for every library in the process; when module code calls one of them on a
 * descriptor of the server's, the process ends at once: the guilty request is answered with an
 * error, and another worker takes the connections over, unharmed. On every other descriptor they
 * are libc's.
 *
 * A call that goes around libc (syscall(2), fclose(3) on a guessed descriptor) is not seen here:
 * the loop ends the worker when it next uses a descriptor that was closed, and the master mends
 * listeners (net/listener.h). Nor is reading and writing, which would cost every request. */
#ifndef PILLION_MODULE_FD_GUARD_H
#define PILLION_MODULE_FD_GUARD_H

#include "event/loop.h"

/* Begins to guard the descriptors that `loop` owns, and the log. Workers call it before any module
 * code runs that is noted (rpc/note.h). */
void fd_guard_start(const struct loop *loop);

#endif
