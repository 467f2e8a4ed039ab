/* The pid file. While a server runs it holds a lock on it (fcntl(2), F_OFD_SETLK), so that another
 * one with the same `pid` is told so, and neither writes over the other's nor removes it. The lock
 * goes over execve(2) with its descriptor, and ends with the process however that ends. */
#ifndef PILLION_MASTER_PID_FILE_H
#define PILLION_MASTER_PID_FILE_H

#include <stdbool.h>

#include "base/error.h"

/* Writes this process's id to `path` and locks it. A file that another server has is left alone. On
 * success a former one of this process is removed; on failure it stays what it was. */
bool pid_file_make(const char *path, struct error *error);

/* Makes it anew if it was removed, or another file is there. */
bool pid_file_keep(struct error *error);

/* Takes up the file that the binary before this one has made and locked. */
void pid_file_resume(int fd, const char *path);

/* Its lock, and where it is: for the binary that replaces this one. -1 and NULL without. */
int pid_file_descriptor(void);
const char *pid_file_path(void);

/* At the end. Only what is this server's own is removed. */
void pid_file_remove(void);

#endif
