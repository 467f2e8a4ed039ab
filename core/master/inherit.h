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

/* Adds `generation`, which serves, and what belongs to it to the state. */
void inherit_write(cJSON *state, const struct generation *generation,
                   const struct serve_options *options);

/* The descriptors that inherit_write names stay open over exec, or do not. */
void inherit_keep_open(const struct generation *generation, bool keep);

/* The former binary's prefix, when this process takes over or rehearses to. False otherwise. */
bool inherit_prefix(char *prefix, size_t size);

/* What is in use, as settings for the master: of the former binary; where it has left none, or none
 * that this one can read, of the file; at worst the defaults. Takes the former's log up. Never
 * NULL: to be freed with conf_tree_free. */
struct conf_tree *inherit_configuration(const cJSON *state, const struct serve_options *options,
                                        struct settings **settings);

/* Makes `generation` the one that serves, with all that its workers are started from:
 * configuration, modules, and which of `listeners` are whose. Nothing is looked up, bound or read
 * from disk. False when that is not to be had: then it only stands for the workers that there are.
 * Whom children become is known in any case; `settings` say it where the former binary has not. */
bool inherit_generation(const cJSON *state, const struct settings *settings, const char *prefix,
                        const struct listeners *listeners, struct generation *generation);

#endif
