/* The files that directives of modules hold (PILLION_FILE), read while the process may: before it
 * becomes the user of the configuration and is locked down. Keys may be root's alone by that. */
#ifndef PILLION_PROCESS_EARLY_FILES_H
#define PILLION_PROCESS_EARLY_FILES_H

#include "process/generation.h"

/* In a probe that has the master's rights and descriptors still. What cannot be read is told where
 * the directive is applied. Keeps what was read for the generation's workers: whatever becomes of
 * the files, a worker that takes the place of one that has died is like that. */
void early_files_keep(const struct generation *generation);

/* The same in a worker, out of what the probe has kept; of the files where there is nothing. */
void early_files_read(const struct generation *generation);

#endif
