/* Opening a log's file, possibly as root and in a directory that others may write.
 *
 * Whoever may write a directory decides what is at a path in it by the time that the master opens
 * its log anew: a FIFO that nobody reads, or a symbolic link that has root write, or make, a file
 * elsewhere. So the path is walked component by component, links are followed only when the user
 * that they belong to is one that root may believe, and nothing is ever waited for. */
#ifndef PILLION_BASE_LOG_FILE_H
#define PILLION_BASE_LOG_FILE_H

#include <sys/types.h>

#include "base/error.h"

/* Workers, and so modules and their faults, run as `user`: no link of that user's is followed by
 * root. 0: they run as root too, and there is nothing to protect. */
void log_file_distrust(uid_t user);

/* The file at the absolute `path`, created where there is none, for appending. A FIFO is opened
 * whether or not somebody reads it. The names of descriptors (/dev/stdout, /dev/fd/2, and links to
 * them) give duplicates of those: the kernel does not let every user open them, and no socket at
 * all. -1 with the reason. */
int log_file_open(const char *path, struct error *error);

#endif
