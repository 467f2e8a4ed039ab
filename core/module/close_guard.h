/* Keeps handlers from closing descriptors that are not their module's own.
 *
 * A module that closes a client's socket, or the server's epoll descriptor, would hurt clients that
 * have nothing to do with it, and often long after its handler has returned. The executable's
 * close(2), dup2(2) and their kin stand in front of libc's for every library in the process; when
 * one is used by a handler on a descriptor of the server's, the process ends at once: the guilty
 * request is answered with an error, and another worker takes the others over, unharmed. What goes
 * around libc (syscall(2), fclose(3) on a guessed descriptor) is not seen here; the loop notices
 * that when it next uses the descriptor, and ends the worker then. */
#ifndef PILLION_MODULE_CLOSE_GUARD_H
#define PILLION_MODULE_CLOSE_GUARD_H

#include "event/loop.h"

/* From here on, what `loop` watches is guarded. Worker only. */
void guard_start(const struct loop *loop);

#endif
