/* What a binary leaves to the one that takes its place, beside what runs: the configuration that is
 * in use and its modules, where the files are, whom children become, the log.
 *
 * Once the new binary runs there is no way back, and files may have changed since the rehearsal: a
 * configuration that is being edited, a directory that was moved. So nothing is read from disk
 * until the server is its own again; the reload that follows does, and may fail as any reload. */
#ifndef PILLION_MASTER_INHERIT_H
#define PILLION_MASTER_INHERIT_H

#include <cjson/cJSON.h>

#include "process/generation.h"

/* For an upgrade: what is named above, and the listeners, as JSON and back; and whether their
 * descriptors stay open over exec. What is read becomes the generation that serves; nothing is
 * looked up, bound or read from disk for it. */
void inherit_write(cJSON *state);
void inherit_read(const cJSON *state);
void inherit_keep_open(bool keep);

/* The former binary's prefix, when this process takes over or rehearses to. False otherwise. */
bool inherit_prefix(char *prefix, size_t size);

/* What is in use, as settings for the master: of the former binary; where it has left none, or none
 * that this one can read, of the file; at worst the defaults. Takes the former's log up. Never
 * NULL: to be freed with conf_tree_free. Before inherit_read. */
struct conf_tree *inherit_configuration(const cJSON *state, const struct serve_options *options,
                                        struct settings **settings);

#endif
