/* The files that directives of modules hold (PILLION_FILE), read while the process may: before it
 * becomes the user of the configuration and is locked down. Keys may be root's alone by that. */
#ifndef PILLION_PROCESS_EARLY_FILES_H
#define PILLION_PROCESS_EARLY_FILES_H

#include "process/generation.h"

/* In a worker or a probe that has the master's rights still. What cannot be read is told where the
 * directive is applied. */
void early_files_read(const struct generation *generation);

#endif
