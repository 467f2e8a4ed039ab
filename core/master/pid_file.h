/* The pid file. While a server runs it holds a lock on it (fcntl(2), F_OFD_SETLK), so that another
 * one with the same `pid` is told so, and neither writes over the other's nor removes it. The lock
 * goes over execve(2) with its descriptor, and ends with the process however that ends. */
#ifndef PILLION_MASTER_PID_FILE_H
#define PILLION_MASTER_PID_FILE_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"

/* Writes this process's id to `path` and locks it. A file that another server has is left alone. On
 * success a former one of this process is removed; on failure it stays what it was. */
bool pid_file_make(const char *path, struct error *error);

/* Makes it anew if it was removed, or another file is there. */
bool pid_file_keep(struct error *error);

/* Where it is. NULL: there is none. */
const char *pid_file_path(void);

/* For an upgrade: the file and its lock as JSON and back, and whether it stays open over exec. The
 * state that is read names a path (state_default). */
void pid_file_write(cJSON *state);
void pid_file_read(const cJSON *state);
void pid_file_keep_open(bool keep);

/* At the end. Removes the file if it is this server's own. */
void pid_file_remove(void);

#endif
