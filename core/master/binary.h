/* Where the server's binary is, and which file an upgrade puts to use. Master only. */
#ifndef PILLION_MASTER_BINARY_H
#define PILLION_MASTER_BINARY_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"

/* Notes where the binary is. Early, before it may be replaced on disk. */
void binary_init(void);

/* That place. */
const char *binary_path(void);

/* Opens the file that is there now, and keeps it until binary_close: what has rehearsed is what is
 * executed, wherever the path leads by then. */
bool binary_open(struct error *error);
void binary_close(void);

/* The file that is open, or -1. */
int binary_descriptor(void);

/* For an upgrade: the place as JSON and back, and whether the file stays open over exec. */
void binary_write(cJSON *state);
void binary_read(const cJSON *state);
void binary_keep_open(bool keep);

#endif
