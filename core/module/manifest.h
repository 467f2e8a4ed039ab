/* A module's descriptor, read from its file without running it. For tools, not for serving.
 *
 * The descriptor is copied from the file's image (module/elf_image.h) with all its tables and
 * strings, so that it can be used like one of a loaded module. */
#ifndef PILLION_MODULE_MANIFEST_H
#define PILLION_MODULE_MANIFEST_H

#include <pillion/module.h>

#include "base/memory.h"
#include "module/elf.h"
#include "module/elf_image.h"

struct manifest {
    struct elf_facts facts;
    pillion_module descriptor;   /* tables are never NULL; handlers and hooks may be compared with
                                    NULL but not called */
    const char *const *needed;   /* libraries; ended by NULL */
    const char *search;          /* where it looks for them beside the system's folders, or NULL */
    const char *const *built_by; /* names of compilers and linker; ended by NULL */
    struct error refusal;        /* why this server would not load it; "" when no reason can be seen
                                    without running it */

    struct elf_image image; /* holds the strings */
    struct pool pool;       /* holds the tables */
    size_t text_size;       /* of all strings so far, for the limit */
    size_t directive_size;  /* of a row of directives in the file ... */
    size_t param_size;      /* ... and of params */
};

/* The same without what only tools want: schemas, libraries, compilers, and a refusal. `search` is
 * there. */
bool manifest_glance(struct bytes file, struct manifest *manifest, struct error *error);

/* Reads the module `file`. True even for a module of a later minor version: the members that this
 * server knows are read, and `refusal` is set. False with the error; then there is nothing to
 * close. */
bool manifest_read(struct bytes file, struct manifest *manifest, struct error *error);
void manifest_close(struct manifest *manifest);

#endif
