/* Core dumps of workers: how large they may be, and where they are.
 *
 * The kernel writes core dumps (core(5)) as the worker's user, mostly into the worker's directory.
 * When it cannot, it does not say so. The master knows the conditions, and logs them. */
#ifndef PILLION_PROCESS_CORE_DUMP_H
#define PILLION_PROCESS_CORE_DUMP_H

#include <limits.h>

#include "process/generation.h"

/* In a worker: core_dump_limit sets worker_rlimit_core while the process may still raise limits;
 * core_dump_enter goes to working_directory after it has become its user. The latter returns false
 * with the reason when the user cannot go there. */
void core_dump_limit(const struct settings *settings);
bool core_dump_enter(const struct settings *settings, struct error *error);

/* In a worker: where the kernel will write its core dump. False when there is none, or when a
 * program takes it. */
bool core_dump_folder(char folder[PATH_MAX]);

/* True when the signal is that of a fault, by which a process dumps core (signal(7)). Any other one
 * that ends a process has been sent to it. */
bool signal_dumps_core(int number);

/* Master: describes the core dump of `pid`, a process of `generation` that ended with `status` of
 * waitpid(2). `said` stays empty when there is none to expect: the signal causes none, or core
 * dumps are switched off. */
void core_dump_describe(const struct generation *generation, pid_t pid, int status,
                        struct text *said);

#endif
