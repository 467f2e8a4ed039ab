/* What the harness's own files share. Not for tests. */
#ifndef PILLION_TESTS_HARNESS_PRIVATE_H
#define PILLION_TESTS_HARNESS_PRIVATE_H

#include "harness.h"

/* The keeper: a process that outlives the test and cleans up what a test that failed has left. A
 * failing test ends by _exit, and one that hangs by SIGKILL: neither runs a teardown. It learns of
 * that by the end of a pipe. */
void keeper_start(void);
/* It is told of process groups to kill and directories to remove. */
void keeper_group(pid_t group);
void keeper_directory(const char *path);
/* All is cleaned up: it ends. */
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
