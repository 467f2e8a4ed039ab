/* Processes that modules fork from their worker, by whatever call.
 *
 * A child that calls exec has nothing of the server's, because every descriptor is O_CLOEXEC. One
 * that does not (a crash reporter's, a client library's) would keep the listening sockets and every
 * client's open for as long as it lives. So, in each child of fork(3) and _Fork(3), the server's
 * descriptors are closed. The memory that the server's processes share is read-only in a child of
 * fork(3), and missing in every other one (MADV_DONTFORK): no child answers a request in its
 * parent's place. A child that returns into the server, as if it were its parent, ends there, and
 * the log says whose it is: a child of a handler by touching that memory, every other one by a mark
 * that the kernel clears in children (MADV_WIPEONFORK, madvise(2)). A child of a bare clone(2) has
 * the sockets for as long as it stays in the module's code. Children of vfork(2) and
 * posix_spawn(3) do not come by here; they may do nothing but exec. */
#ifndef PILLION_RPC_FORKED_H
#define PILLION_RPC_FORKED_H

#include <stdbool.h>
#include <stddef.h>

#include "event/loop.h"

/* Whose code runs, for the log: the names of the module, or "?", and of the method, in `quote`s, or
 * "a callback" or "a thread" without. "module %s: %s%s%s" takes them. */
struct whose {
    const char *module, *quote, *code;
};

/* From here on, in a worker or a probe, before it loads modules. Beside what `loop` (or NULL)
 * watches, the `count` descriptors in `fds` are the server's, as long as they are open; -1 is
 * skipped. `whose` tells, for the log, whose code runs. */
typedef struct whose forked_whose(void);
void forked_begin(const struct loop *loop, const int *fds, size_t count, forked_whose *whose);

/* Shared memory that begins at a page; there may be four. */
void forked_protect(void *memory, size_t size);

/* True in a child. */
bool forked_is_child(void);

/* A fault at `address`, in a signal handler: does not return in a child that has touched the memory
 * that it does not have, which is one that came back. */
void forked_fault(const void *address);

/* In a child that came back: says so, and ends it. */
_Noreturn void forked_came_back(void);

#endif
