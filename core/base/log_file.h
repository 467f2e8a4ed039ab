/* Opening a log's file, possibly as root and in a directory that other users may write.
 *
 * A user who may write a directory can replace the log before the master opens it anew: by a FIFO
 * without a reader, or by a symbolic link that makes root write or create a file elsewhere. So the
 * path is walked component by component, a link is followed only when root may trust its owner, and
 * no call here waits. */
#ifndef PILLION_BASE_LOG_FILE_H
#define PILLION_BASE_LOG_FILE_H

#include <sys/types.h>

#include "base/error.h"

/* Workers, and with them faulty modules, run as `user`: root follows no link of that user. 0:
 * workers run as root too, and there is nothing to protect. */
void log_file_distrust(uid_t user);

/* The file at the absolute `path`, created where there is none, for appending. A FIFO is opened
 * whether or not it has a reader. The names of descriptors (/dev/stdout, /dev/fd/2, and links to
 * them) give duplicates of those descriptors: the kernel lets only some users open them by name,
 * and never a socket. -1 with the reason. */
int log_file_open(const char *path, struct error *error);

#endif
