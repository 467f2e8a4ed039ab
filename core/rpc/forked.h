/* Processes that modules fork from their worker.
 *
 * A child that calls exec has nothing of the server's, because every descriptor is O_CLOEXEC. One
 * that does not (a crash reporter's, a client library's) would keep the listening sockets and every
 * client's open for as long as it lives. So, in each child of fork(3), the server's descriptors are
 * closed, and the memory that the server's processes share is read-only: no act of the child harms
 * its parent. A child that returns into the server, as if it were its
 * parent, ends there, and the log says whose it is. Children of vfork(2), posix_spawn(3) and
 * _Fork(3) do not come by here; they may do nothing but exec. */
#ifndef PILLION_RPC_FORKED_H
#define PILLION_RPC_FORKED_H

#include <stdbool.h>
#include <stddef.h>

#include "event/loop.h"

/* From here on, in a worker or a probe, before it loads modules. Beside what `loop` (or NULL)
 * watches, the `count` descriptors in `fds` are the server's, as long as they are open; -1 is
 * skipped. `whose` tells, for the log, whose code runs. */
typedef void forked_whose(const char **module, const char **method);
void forked_begin(const struct loop *loop, const int *fds, size_t count, forked_whose *whose);

/* Shared memory that begins at a page; there may be four. */
void forked_protect(void *memory, size_t size);

/* True in a child. */
bool forked_is_child(void);

/* In a child that came back: says so, and ends it. */
_Noreturn void forked_came_back(void);

#endif
