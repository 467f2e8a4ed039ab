/* Where the server's binary is, and which file an upgrade puts to use. The path is noted at the
 * start, because /proc/self/exe follows the file when it is moved. upgrade.c executes the file that
 * is open here. Master only. */
#ifndef PILLION_MASTER_BINARY_H
#define PILLION_MASTER_BINARY_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"

/* Notes the path of the running binary. Call it early, before the file may be replaced on disk. */
void binary_init(void);

/* The path that binary_init has noted. */
const char *binary_path(void);

/* Opens the file that is at the path now, and keeps it until binary_close: the file that has
 * rehearsed is the one that is executed, wherever the path leads by then. */
bool binary_open(struct error *error);
void binary_close(void);

/* The file that is open, or -1. */
int binary_descriptor(void);

/* For an upgrade: the path as JSON and back, and whether the file stays open over exec. */
void binary_write(cJSON *state);
void binary_read(const cJSON *state);
void binary_keep_open(bool keep);

#endif
