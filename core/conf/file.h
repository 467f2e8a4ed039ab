/* Files whose contents are the values of directives: certificates and keys, say.
 *
 * A process reads them before it gives up its rights, by conf_file_read, and the directives are
 * applied later. What was read stays for the process's life, and so does what went wrong. */
#ifndef PILLION_CONF_FILE_H
#define PILLION_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/error.h"

#define CONF_FILE_MAX (1u << 20)

/* The value of a directive of the type CONF_FILE: of three members, which module.h has as well. */
struct conf_file {
    const char *path; /* NULL: the directive was not given */
    const char *data; /* with a NUL behind it */
    size_t size;
};

/* Reads a file, unless that was tried already. */
void conf_file_read(const char *path);

/* All that were read well, in one piece of memory that the caller frees; and such a piece, of this
 * process or another one, whose files count as read from then on. It has to stay as it is. */
struct bytes conf_files_copy(void);
void conf_files_take(struct bytes copy);

/* What the file holds; reads it now if need be. False with the reason. */
bool conf_file_get(const char *path, struct conf_file *file, struct error *error);

#endif
