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

/* Beside the executable, as in a build; or in lib/pillion/ beside the executable's directory, as
 * `make install` leaves it, also when the installation was moved; or where it was installed. */
bool library_find(const char *file, char *path, size_t size)
{
    static const char *const places[] = {"", "../lib/pillion/"};
    char own[PATH_MAX];

    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    own[length < 0 ? 0 : length] = '\0';
    const char *name = strrchr(own, '/');
    for (unsigned i = 0; name != NULL && i < 2; i++) {
        int folder = (int)(name + 1 - own);
        if (snprintf(path, size, "%.*s%s%s", folder, own, places[i], file) < (int)size &&
            access(path, R_OK) == 0)
            return true;
    }
    snprintf(path, size, PILLION_LIBRARY "/%s", file);
    return access(path, R_OK) == 0;
}

const void *library_load(const char *file, const char *table, uint32_t version,
                         const char *what_for, struct error *error)
{
    char path[PATH_MAX + 64];

    library_find(file, path, sizeof(path));
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
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
