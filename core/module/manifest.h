/* What a module says of itself, read from its file without running it: for tools, not for serving.
 *
 * The descriptor is followed through the file's image (module/elf_image.h) into one of this
 * process's own, so that whoever prints it need not know where it came from. */
#ifndef PILLION_MODULE_MANIFEST_H
#define PILLION_MODULE_MANIFEST_H

#include <pillion/module.h>

#include "base/memory.h"
#include "module/elf.h"
#include "module/elf_image.h"

struct manifest {
    struct elf_facts facts;
    pillion_module descriptor;   /* tables are never NULL. Handlers and hooks are NULL or not, and
                                    must not be called */
    const char *const *needed;   /* libraries; ended by NULL */
    const char *const *built_by; /* what the compilers and the linker wrote of themselves; ended by
                                    NULL */
    struct error refusal; /* why this server would not load it; "" when nothing speaks against
                             it that can be seen without running it */

    struct elf_image image; /* holds the strings */
    struct pool pool;       /* holds the tables */
    size_t text_size;       /* of all strings, which is bounded */
    size_t directive_size;  /* of a row of directives in the file */
};

/* Reads the module `file`. True also for a module of a later minor: what this server knows is
 * there, and `refusal` is set. False with what is wrong; then there is nothing to close. */
bool manifest_read(struct bytes file, struct manifest *manifest, struct error *error);
void manifest_close(struct manifest *manifest);

#endif
