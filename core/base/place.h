/* Places in the file system where the server keeps files of its own: its log, its pid file, its
 * sockets. What is at a path is looked at before anything is written, made or removed there, so
 * that a slip in the configuration costs nobody a file, and one server never removes another's. */
#ifndef PILLION_BASE_PLACE_H
#define PILLION_BASE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum place_use {
    PLACE_LOG,   /* text is appended */
    PLACE_PID,   /* the number of a process takes the place of what is there */
    PLACE_SOCKET /* a Unix socket's file */
};

/* True when nothing is at `path`, or something that a server has left there. `error` names the path
 * and says what it is instead. Nothing is touched, and no FIFO is waited for. What may not be read
 * counts as good: opening it says more. */
bool place_check(const char *path, enum place_use use, struct error *error);

/* One file, whatever it is called. */
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
