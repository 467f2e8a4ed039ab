/* Libraries that a module brings along in a folder beside it, and looks for by $ORIGIN (ld.so(8)).
 *
 * A worker loads a sealed copy of the module, which lies in no folder. So the dynamic linker is
 * given a helper to load in its place: a shared object without any code, made in memory, which
 * needs the copy first, and then all that the copy needs, and which has the module's own search
 * path, with the folder of the module's file in place of $ORIGIN. The linker finds what it would
 * find for the file itself, in the same order: the copy's needs are loaded already when it comes to
 * them. The libraries are not sealed, just as the system's: a worker that starts later loads the
 * files that are there then. */
#ifndef PILLION_MODULE_ORIGIN_H
#define PILLION_MODULE_ORIGIN_H

#include "base/error.h"

/* Makes the helper for the module whose file is `path`, and whose sealed copy is `fd`, which
 * elf_inspect has accepted, and is opened as `opened`. `helper` becomes its descriptor, which the
 * caller closes once it is loaded; -1: the module needs none. False with the reason. */
bool origin_helper(const char *path, int fd, const char *opened, int *helper, struct error *error);

#endif
