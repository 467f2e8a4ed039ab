/* This worker's limit on open files (RLIMIT_NOFILE, setrlimit(2)), which module code can lower.
 *
 * A worker whose limit was lowered has its connections still, but accepts none and takes none over.
 * It looks at the limit when accepting or taking over fails, and sets a lowered limit again. Where
 * the kernel does not allow that, because the hard limit was lowered too, another worker takes this
 * one's place. */
#ifndef PILLION_WORKER_FILES_H
#define PILLION_WORKER_FILES_H

#include <stdbool.h>
#include <stdint.h>

/* Notes that the limit should be `most`. `useless` is called, again and again, once the limit is
 * lower for good. */
void files_watch(uint64_t most, void (*useless)(void));

/* Called after a failure that a lowered limit may explain. True when the limit was lowered and has
 * been restored. */
bool files_restored(void);

#endif
