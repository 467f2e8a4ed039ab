/* What every child of the master does first: forget the master. */
#ifndef PILLION_PROCESS_CHILD_H
#define PILLION_PROCESS_CHILD_H

#include <stddef.h>

/* In the child: signals back to normal, except that what a terminal or a service manager sends to
 * the whole group is left to the master; and every descriptor closed but 0 to 2, the log's, and the
 * `count` ones in `keep` (-1 is skipped). */
void child_begin(const int *keep, size_t count);

#endif
