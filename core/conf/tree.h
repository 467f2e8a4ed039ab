/* From text to statements: nginx's grammar, knowing nothing of what the words mean.
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

#include "conf/source.h"

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
    bool overrides; /* from the command line (-g): replaces what a file says */
};

/* A parsed configuration. Owns sources, words and statements. Never changed after parsing, so
 * processes that are forked share it. */
struct conf_tree {
    struct pool pool;
    const char *prefix; /* where relative paths start; absolute, no slash at the end */
    struct conf_source *sources;
    struct conf_statement *statements;
    bool damaged; /* parsing reported errors: something may be missing that was written */
};

/* An empty tree. `prefix` is copied. Never NULL. */
struct conf_tree *conf_tree_new(const char *prefix);

/* Parses the file at `path` (relative to the prefix) with its includes and appends its statements.
 * After an error it goes on at the next statement where that makes sense. False when any error was
 * added. A file that is included more than once is read once. */
bool conf_tree_add_file(struct conf_tree *tree, const char *path, struct conf_errors *errors);

/* The same for `text` (copied), named `name` in errors. With `overrides`, its statements are marked
 * so. */
bool conf_tree_add_text(struct conf_tree *tree, const char *name, struct bytes text, bool overrides,
                        struct conf_errors *errors);

/* `path` as it stands when absolute, otherwise below the prefix. In the tree's pool. */
const char *conf_tree_path(struct conf_tree *tree, const char *path);

/* Every source under a comment that names it: `pillion -T`. */
void conf_tree_dump(const struct conf_tree *tree, struct text *out);

/* The statements as text that means the same, includes in place and without comments: those that
 * were added with `overrides`, or the others. */
void conf_tree_write(const struct conf_tree *tree, bool overrides, struct text *out);

/* Unmaps and closes the sources and frees the tree. NULL is allowed. */
void conf_tree_free(struct conf_tree *tree);

#endif
