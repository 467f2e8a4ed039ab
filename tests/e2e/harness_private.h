/* Functions that the harness's own files share. Not for tests. */
#ifndef PILLION_TESTS_HARNESS_PRIVATE_H
#define PILLION_TESTS_HARNESS_PRIVATE_H

#include "harness.h"

/* The keeper: a process that outlives the test and cleans up after a failed one. A failing test
 * ends by _exit, and a hanging one by SIGKILL: neither runs a teardown. The keeper learns of the
 * test's end by the end of a pipe. */
void keeper_start(void);
/* Tells the keeper of a process group to kill, or a directory to remove. */
void keeper_group(pid_t group);
void keeper_directory(const char *path);
/* The test has cleaned up itself: ends the keeper. */
void keeper_dismiss(void);

void directory_remove(const char *path);

/* Prints the tails of the logs below a prefix to standard error. */
void show_log(const char *prefix);
/* Ends all servers. False when one did not end in order, or left a sanitizer's report. */
bool servers_end(void);

/* In a child: opens `path` as descriptor `number`, or ends the process. */
void open_as(int number, const char *path, int flags);

void kept_free(void);
void replies_free(void);

#endif
