/* From words to statements, includes resolved: the second half of conf/tree.h. Only tree.c and
 * parser.c know this file. */
#ifndef PILLION_CONF_PARSER_H
#define PILLION_CONF_PARSER_H

#include "base/error.h"
#include "conf/tree.h"

/* A file, or a text given to conf_tree_add_text, has at most so many bytes. */
#define CONF_SOURCE_MAX ((size_t)16 << 20)

/* Parses `source` and appends its statements to the tree's. */
void parser_run(struct conf_tree *tree, const struct conf_source *source, bool overrides,
                struct conf_errors *errors);

/* The source of the file at `path` (absolute), shown as `name`: a new one, or the one that the tree
 * has already. NULL with the reason. In tree.c. */
const struct conf_source *conf_tree_open(struct conf_tree *tree, const char *path, const char *name,
                                         struct error *error);

#endif
