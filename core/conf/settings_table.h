/* The core's own directives: one table that fills the structures of settings.h.
 *
 * It is the only place that knows names, bounds and defaults; docs/configuration.md is generated
 * from it. */
#ifndef PILLION_CONF_SETTINGS_TABLE_H
#define PILLION_CONF_SETTINGS_TABLE_H

#include "conf/settings.h"

/* Fills `settings` (which lives in the tree's pool afterwards, all its strings too) from the tree.
 * True when no error was added. */
bool settings_read(struct conf_tree *tree, struct settings *settings, struct conf_errors *errors);

/* The place where a directive of main gets its value: the first word of the deciding statement, or,
 * for a default, the configuration file as a whole. */
struct conf_place settings_place(const struct conf_tree *tree, const char *name);

/* True when the configuration sets this directive of main instead of leaving the default. */
bool settings_give(const struct conf_tree *tree, const char *name);

/* The same for a directive in the block of `registry`; for a default, the place of `registry`. */
struct conf_place settings_registry_place(const struct registry_settings *registry,
                                          const char *name);

/* The core's directives, of all contexts, ended by a NULL name. */
extern const struct conf_directive settings_directives[];

/* docs/configuration.md, from the table. */
void settings_reference(struct text *out);

#endif
