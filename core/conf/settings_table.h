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

/* Where a directive of main was given its value: at the first word of the statement that decides,
 * or, by default, in the configuration file as a whole. */
struct conf_place settings_place(const struct conf_tree *tree, const char *name);

/* True when the configuration gives a directive of main, and does not leave it at its default. */
bool settings_give(const struct conf_tree *tree, const char *name);

/* The core's directives, of all contexts, ended by a NULL name. */
extern const struct conf_directive settings_directives[];

/* docs/configuration.md, from the table. */
void settings_reference(struct text *out);

#endif
