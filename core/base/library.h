/* Shared objects that come with the server, and that only some of its processes need: `tls.so`,
 * `registry.so`, `dns.so`. Each has one table of functions, and libraries of its own that the
 * server does not link. A missing one costs what it is for, and nothing else. */
#ifndef PILLION_BASE_LIBRARY_H
#define PILLION_BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Where library_load finds `file`; false when it is nowhere that can be read. Any process may call
 * it. */
bool library_find(const char *file, char *path, size_t size);

/* Loads `file`, by name and without a directory, and finds its table, which begins with a uint32_t:
 * its version. The file is the one beside the executable, as in a build; or in ../lib/pillion/ from
 * there, also when an installation was moved; in a test of a module's, beside libpillion-test.so;
 * or where `make install` puts it. NULL with the reason: "FOR needs FILE, which cannot be loaded:
 * …", or a table of another version. It stays loaded. Any process may call it, before it is locked
 * down. */
const void *library_load(const char *file, const char *table, uint32_t version,
                         const char *what_for, struct error *error);

#endif
