/* Fingerprints of processes: texts that are equal when processes were started for the same, down to
 * the files on disk. In the master. */
#ifndef PILLION_MASTER_FINGERPRINT_H
#define PILLION_MASTER_FINGERPRINT_H

#include "base/bytes.h"

/* Appends the path of a file and what it is now: which file, how large, and when it was changed
 * (stat(2)). Nothing when `path` is NULL. */
void fingerprint_file(struct text *text, const char *path);

#endif
