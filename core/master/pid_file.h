/* The pid file. A running server holds a lock on it (fcntl(2), F_OFD_SETLK), so that a second
 * server with the same `pid` fails with that reason, and neither overwrites nor removes the other's
 * file. The lock survives execve(2) with its descriptor, and ends with the process in any case. */
#ifndef PILLION_MASTER_PID_FILE_H
#define PILLION_MASTER_PID_FILE_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"

/* Writes this process's id to `path` and locks it. A file that another server has locked is left
 * alone. On success this process's former pid file is removed; on failure it stays as it was. */
bool pid_file_make(const char *path, struct error *error);

/* Makes the file anew if it was removed or replaced. */
bool pid_file_keep(struct error *error);

/* The file's path; NULL: there is none. */
const char *pid_file_path(void);

/* For an upgrade: the file and its lock as JSON and back, and whether it stays open over exec. The
 * state must name a path (state_default). */
void pid_file_write(cJSON *state);
void pid_file_read(const cJSON *state);
void pid_file_keep_open(bool keep);

/* At the server's end: removes the file if it is this server's own. */
void pid_file_remove(void);

#endif
