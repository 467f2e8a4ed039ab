/* From files and texts to statements of a tree, includes resolved; for the grammar see tree.h. */
#ifndef PILLION_CONF_PARSER_H
#define PILLION_CONF_PARSER_H

#include "conf/tree.h"

/* Parses the file at `path` (relative to the prefix) with its includes and appends its statements.
 * After an error it goes on at the next statement where that makes sense. False when any error was
 * added. A file that is included more than once is read once. */
bool conf_tree_add_file(struct conf_tree *tree, const char *path, struct conf_errors *errors);

/* The same for `text` (copied), named `name` in errors. `overrides` is noted in its statements. */
bool conf_tree_add_text(struct conf_tree *tree, const char *name, struct bytes text, bool overrides,
                        struct conf_errors *errors);

#endif
