/* What a binary leaves to the one that takes its place, beside the running processes: the
 * configuration in use and its modules, the listeners, the children's user, the log.
 *
 * Once the new binary runs there is no way back, and files may have changed since the rehearsal:
 * a configuration that is being edited, a directory that was moved. So nothing is read from disk
 * until the new master serves. The reload that follows reads the files, and may fail as any
 * reload. */
#ifndef PILLION_MASTER_INHERIT_H
#define PILLION_MASTER_INHERIT_H

#include <cjson/cJSON.h>

#include "process/generation.h"

/* For an upgrade: all of the above as JSON and back, and whether its descriptors stay open over
 * exec. Reading makes the generation that serves; nothing is looked up, bound or read from disk for
 * it. */
void inherit_write(cJSON *state);
void inherit_read(const cJSON *state);
void inherit_keep_open(bool keep);

/* The former binary's prefix, when this process takes over or rehearses. False otherwise. */
bool inherit_prefix(char *prefix, size_t size);

/* The settings for the master: the former binary's; where it has left none that this one can read,
 * the configuration file's; at worst the defaults. Also takes over the former binary's log. Never
 * NULL; free it with conf_tree_free. Call this before inherit_read. */
struct conf_tree *inherit_configuration(const cJSON *state, const struct serve_options *options,
                                        struct settings **settings);

#endif
