/* Libraries that a module brings along, in a folder beside it: those that it was linked to look for
 * by $ORIGIN (ld.so(8)).
 *
 * A worker loads a sealed copy of the module, which lies in no folder. So what the copy would look
 * for by $ORIGIN is loaded first, from where the module's file lies; the loader then finds, by its
 * name, that it is there already. Such libraries are not sealed, as those of the system are not: a
 * worker that starts later reads what is there then. */
#ifndef PILLION_MODULE_ORIGIN_H
#define PILLION_MODULE_ORIGIN_H

#include "base/error.h"

/* Loads them for the module whose file is `path` and whose sealed copy is `fd`, which elf_inspect
 * has accepted. Where one is not there, the loader will say so. False when one is and cannot be
 * loaded, with its path and what dlerror(3) says. */
bool origin_load(const char *path, int fd, struct error *error);

#endif
