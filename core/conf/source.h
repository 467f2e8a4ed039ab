/* The texts that a configuration is made of, places in them, and errors that point at places.
 *
 * A source is a sealed copy of a file, or words of the command line; it lives as long as the tree
 * it was parsed into. Errors are collected: one run reports every error that is independent of
 * those before it. */
#ifndef PILLION_CONF_SOURCE_H
#define PILLION_CONF_SOURCE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

struct conf_source {
    const char *name;         /* as an error shows it: the path as it was asked for, or "-g" */
    struct bytes text;        /* mapped from `fd`, or owned by the tree's pool */
    const char *path;         /* the file's path by realpath(3); NULL for "-g" */
    const char *asked;        /* as `path`, but with the symbolic links that led to it */
    int fd;                   /* sealed copy, or -1 */
    struct conf_source *next; /* in the order in which they were opened */
};

/* Line and column count from 1; the column counts characters, not bytes. Line 0 is the source as a
 * whole. */
struct conf_place {
    const struct conf_source *source; /* NULL: no place (a default, say) */
    uint32_t line;
    uint32_t column;
    size_t offset; /* of the byte in the source's text */
    size_t size;   /* of the word in bytes, for the underline; at least 1 */
};

#define CONF_ERRORS_MAX 20

/* Starts as `{0}`; freed with conf_errors_free. */
struct conf_errors {
    struct text text; /* for people: messages, lines and carets, each ended with a newline */
    unsigned count;   /* all that were reported; only the first CONF_ERRORS_MAX are in the text */
};

/* Adds "FILE:LINE:COL: message", the line, and a caret line under the place. Tabs in the line are
 * kept in the caret line, and a very long line is cut around the place. Without a place (NULL, or
 * no source) it is the message alone. Control characters and bytes that are not UTF-8 show as "?".
 */
__attribute__((format(printf, 3, 4))) void
conf_error(struct conf_errors *errors, const struct conf_place *place, const char *format, ...);

/* The place right after `place`, where something is missing. */
struct conf_place conf_place_after(const struct conf_place *place);

void conf_errors_free(struct conf_errors *errors);

#endif
