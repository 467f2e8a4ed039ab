/* Places in the file system where the server keeps files of its own: its log, its pid file, its
 * sockets. Before the server writes, makes or removes a file, the functions here look at what is at
 * its path: a slip in the configuration must not destroy a file, nor one server remove
 * another's. */
#ifndef PILLION_BASE_OWN_FILE_H
#define PILLION_BASE_OWN_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum own_file_use {
    OWN_FILE_LOG,   /* text is appended */
    OWN_FILE_PID,   /* a process id replaces the contents */
    OWN_FILE_SOCKET /* a Unix socket's file */
};

/* True when nothing is at `path`, or a file that a server has left there; otherwise `error` names
 * the path and says what is there. Nothing is changed, and opening a FIFO does not wait. A file
 * that may not be read counts as good: the attempt to use it gives the better message. */
bool own_file_check(const char *path, enum own_file_use use, struct error *error);

/* The identity of a file, whatever its name. */
struct file_id {
    dev_t device;
    ino_t inode; /* 0: none */
};

/* The file at `path` itself, symbolic links not followed. Inode 0 where there is none. */
struct file_id file_id_of(const char *path);

bool file_id_same(struct file_id one, struct file_id other);

/* Removes `path` if it still leads to `own`. */
void own_file_remove(const char *path, struct file_id own);

#endif
