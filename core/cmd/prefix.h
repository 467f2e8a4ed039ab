/* The prefix: the directory where relative paths of the configuration start. Found by -p, or by
 * where the executable is (/proc/self/exe). */
#ifndef PILLION_CMD_PREFIX_H
#define PILLION_CMD_PREFIX_H

#include <limits.h>

#include "cmd/command.h"

#define PREFIX_CONF "conf/pillion.conf" /* where the configuration is, below it, without -c */

/* Makes `given` (NULL: the default) absolute. False with a message. */
bool prefix_find(const struct command *self, const char *given, char prefix[PATH_MAX]);

#endif
