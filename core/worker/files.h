/* This worker's limit on open files (RLIMIT_NOFILE, setrlimit(2)), which module code can lower.
 *
 * A worker whose limit was lowered has its connections still, but accepts none and takes none over.
 * It looks at the limit when it is kept from that: a limit that was lowered is set again,
 * and where the kernel does not allow that, because the hard limit was lowered too, another worker
 * takes this one's place. */
#ifndef PILLION_WORKER_FILES_H
#define PILLION_WORKER_FILES_H

#include <stdbool.h>
#include <stdint.h>

/* `most` is the limit from here on. `useless` is called, again and again, once it is lower for
 * good. */
void files_watch(uint64_t most, void (*useless)(void));

/* Something has failed that the limit may be the reason for. True when it was, and is no more. */
bool files_restored(void);

#endif
