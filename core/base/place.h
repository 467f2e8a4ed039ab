/* Places in the file system where the server keeps files of its own: its log, its pid file, its
 * sockets. Before the server writes, makes or removes a file, the functions here look at what is at
 * its path: a slip in the configuration must not destroy a file, nor one server remove
 * another's. */
#ifndef PILLION_BASE_PLACE_H
#define PILLION_BASE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum place_use {
    PLACE_LOG,   /* text is appended */
    PLACE_PID,   /* a process id replaces the contents */
    PLACE_SOCKET /* a Unix socket's file */
};

/* True when nothing is at `path`, or a file that a server has left there; otherwise `error` names
 * the path and says what is there. Nothing is changed, and opening a FIFO does not wait. A file
 * that may not be read counts as good: the attempt to use it gives the better message. */
bool place_check(const char *path, enum place_use use, struct error *error);

/* The identity of a file, whatever its name. */
struct place_id {
    dev_t device;
    ino_t inode; /* 0: none */
};

/* The file at `path` itself, symbolic links not followed. Inode 0 where there is none. */
struct place_id place_id(const char *path);

bool place_same(struct place_id one, struct place_id other);

/* Removes `path` if it still leads to `own`. */
void place_remove(const char *path, struct place_id own);

#endif
