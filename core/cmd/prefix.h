/* The prefix: the directory where relative paths of the configuration start. Found by -p, or by
 * where the executable is (/proc/self/exe), or chosen when it was built. */
#ifndef PILLION_CMD_PREFIX_H
#define PILLION_CMD_PREFIX_H

#include <limits.h>

#include "cmd/command.h"

/* Makes `given` (NULL: the default) absolute. False with a message. */
bool prefix_find(const struct command *self, const char *given, char prefix[PATH_MAX]);

/* The configuration that is read without -c: conf/pillion.conf, but the prefix that was chosen when
 * this binary was built may have its own elsewhere. */
const char *prefix_conf(const char *prefix);

#endif
