/* Notes the threads that a module makes itself, and a module's ending of the process.
 *
 * The executable's pthread_create(3) and _exit(2) stand in front of libc's for every library in a
 * worker, as module/fd_guard.c's close(2) does: a thread is noted with the module, method and
 * request that made it (rpc/note.h) and can tell the cause of its death (rpc/culprit.h); and a
 * thread that ends the process without exit(3) is found out. In other processes these functions do
 * only what libc's do. */
#ifndef PILLION_MODULE_THREADS_H
#define PILLION_MODULE_THREADS_H

#include <pillion/module.h>

PILLION_EXPORT void _Exit(int status);

#endif
