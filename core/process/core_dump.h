/* Core dumps of workers: how large they may be, and where they are.
 *
 * The kernel writes them (core(5)), as the worker's user and mostly into the worker's directory;
 * when it cannot, nothing says so. The master knows all that decides it, and tells. */
#ifndef PILLION_PROCESS_CORE_DUMP_H
#define PILLION_PROCESS_CORE_DUMP_H

#include "process/generation.h"

/* In a worker, while it may still raise limits, and after it has become its user: puts
 * worker_rlimit_core and working_directory to use. The latter is false with the reason when the
 * user cannot go there. */
void core_dump_limit(const struct settings *settings);
bool core_dump_enter(const struct settings *settings, struct error *error);

/* Master: what there is to say of a core dump of `pid`, a process of `generation` that ended with
 * `status`, as waitpid(2) gave it. "" when there is nothing: it did not die of that kind of signal,
 * or was not to dump. */
void core_dump_describe(const struct generation *generation, pid_t pid, int status,
                        struct text *said);

#endif
