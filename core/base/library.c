/* See library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where `make install` puts such files; set by the Makefile. */
#ifndef PILLION_LIBRARY
#define PILLION_LIBRARY "/usr/local/lib/pillion"
#endif

/* The file beside the executable, as in a build; or in lib/pillion/ beside the executable's
 * directory, as `make install` leaves it, also when the installation was moved. */
static void *open_beside_executable(const char *file)
{
    static const char *const places[] = {"", "../lib/pillion/"};
    char path[PATH_MAX + 64];
    void *library = NULL;

    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = '\0';
    char *name = strrchr(path, '/');
    for (unsigned i = 0; name != NULL && library == NULL && i < 2; i++) {
        snprintf(name + 1, sizeof(path) - (size_t)(name + 1 - path), "%s%s", places[i], file);
        if (access(path, R_OK) == 0)
            library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

const void *library_load(const char *file, const char *table, uint32_t version,
                         const char *what_for, struct error *error)
{
    char installed[PATH_MAX];
    void *library = open_beside_executable(file);

    if (library == NULL) {
        snprintf(installed, sizeof(installed), PILLION_LIBRARY "/%s", file);
        library = dlopen(installed, RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        error_set(error, "%s needs %s, which cannot be loaded: %s", what_for, file, dlerror());
        return NULL;
    }
    const uint32_t *found = dlsym(library, table);
    if (found == NULL || *found != version) {
        error_set(error, "%s belongs to another version of Pillion", file);
        return NULL;
    }
    return found;
}
