/* A parsed configuration: statements by nginx's grammar, without their meaning. parser.h makes one.
 *
 *     statement = name word* ( ";" | "{" statement* "}" )
 *
 * Words are separated by white space; `#` starts a comment where a word could start; 'single' and
 * "double" quotes make one word of anything, with \" \' \\ \n \t \r as escapes; a backslash outside
 * quotes takes the next character as it is. `include PATTERN;` stands for the statements of the
 * files that match, sorted by name (glob(7)); a pattern without wildcards must match. */
#ifndef PILLION_CONF_TREE_H
#define PILLION_CONF_TREE_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/source.h"

/* A file, or a text given to conf_tree_add_text, has at most so many bytes. */
#define CONF_SOURCE_MAX ((size_t)16 << 20)

struct conf_word {
    const char *text; /* quotes and escapes resolved; NUL-terminated */
    struct conf_place place;
};

struct conf_statement {
    struct conf_word name;
    struct conf_word *words; /* the arguments */
    size_t word_count;
    bool has_block;
    struct conf_statement *block; /* first statement inside, or NULL */
    struct conf_statement *next;
    bool found;     /* written by process/gateway.h, and in no file */
    bool overrides; /* from the command line (-g): replaces a file's statement */
};

/* A parsed configuration. Owns sources, words and statements. Never changed after parsing, so
 * processes that are forked share it. */
struct conf_tree {
    struct pool pool;
    const char *prefix; /* where relative paths start; absolute, no slash at the end */
    struct conf_source *sources;
    struct conf_statement *statements;
    bool damaged; /* parsing reported errors: some statements may be missing from the tree */
};

/* An empty tree. `prefix` is copied. Never NULL. */
struct conf_tree *conf_tree_new(const char *prefix);

/* `path` itself when it is absolute, otherwise `path` below the prefix. In the tree's pool. */
const char *conf_tree_path(struct conf_tree *tree, const char *path);

/* The source of the file at `path` (absolute), shown as `name`: a new one, or the one that the tree
 * has already. NULL with the reason. */
const struct conf_source *conf_tree_open(struct conf_tree *tree, const char *path, const char *name,
                                         struct error *error);

/* A source of a text of at most CONF_SOURCE_MAX bytes, which is copied. */
const struct conf_source *conf_tree_keep(struct conf_tree *tree, const char *name,
                                         struct bytes text);

/* Appends every source under a comment that names it: `pillion -T`. */
void conf_tree_dump(const struct conf_tree *tree, struct text *out);

/* The statements as text that means the same, includes in place and without comments: those that
 * were added with `overrides`, or the others. */
void conf_tree_write(const struct conf_tree *tree, bool overrides, struct text *out);

/* The same without the statements that were found: what an operator has written. */
void conf_tree_write_given(const struct conf_tree *tree, bool overrides, struct text *out);

/* Unmaps and closes the sources and frees the tree. NULL is allowed. */
void conf_tree_free(struct conf_tree *tree);

#endif
