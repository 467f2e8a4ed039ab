/* Libraries that a module brings along in a folder beside it, and looks for by $ORIGIN (ld.so(8)).
 *
 * A worker loads a sealed copy of the module, which lies in no folder. So the libraries that the
 * copy would look for by $ORIGIN are loaded first, from the folder of the module's file; the
 * dynamic linker then finds, by their names, that they are loaded already. Such libraries are not
 * sealed, just as the system's: a worker that starts later loads the files that are there then. */
#ifndef PILLION_MODULE_ORIGIN_H
#define PILLION_MODULE_ORIGIN_H

#include "base/error.h"

/* Loads these libraries for the module whose file is `path` and whose sealed copy is `fd`, which
 * elf_inspect has accepted. A missing library is left for dlopen(3) to report. False when a library
 * is there but cannot be loaded, with its path and dlerror(3)'s message. */
bool origin_load(const char *path, int fd, struct error *error);

#endif
