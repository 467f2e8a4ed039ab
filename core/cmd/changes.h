/* Watching a directory that a person works in: notices when files change, and which ones.
 *
 * inotify(7) only says that it is time to look. The contents decide: an editor that saves the same
 * text again, renames over a file or leaves a copy beside it has changed nothing. */
#ifndef PILLION_CMD_CHANGES_H
#define PILLION_CMD_CHANGES_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/* Fingerprints of all files of a kind in the directory itself: equal when names and contents are.
 */
struct changes_prints {
    uint64_t sources;  /* read by make: .c, .h, .cc, …, Makefile, *.mk */
    uint64_t products; /* read by a server: .so and .conf */
};

/* A descriptor that is readable when something may have changed in the directory, or -1. */
int changes_open(const char *directory, struct error *error);

/* Reads the pending notifications. False when the directory is gone. */
bool changes_take(int changes);

struct changes_prints changes_look(const char *directory);

/* The names of sources that were changed, made or renamed between the two times of CLOCK_REALTIME,
 * `most` at most; each is the caller's. The number. */
size_t changes_list(const char *directory, const struct timespec *from, const struct timespec *to,
                    char **names, size_t most);

#endif
