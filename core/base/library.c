/* See library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where `make install` puts such files; set by the Makefile. */
#ifndef PILLION_LIBRARY
#define PILLION_LIBRARY "/usr/local/lib/pillion"
#endif

/* In the folder that the file `own` is in. */
static bool find_beside(const char *own, const char *place, const char *file, char *path,
                        size_t size)
{
    const char *name = strrchr(own, '/');

    return name != NULL &&
           snprintf(path, size, "%.*s%s%s", (int)(name + 1 - own), own, place, file) < (int)size &&
           access(path, R_OK) == 0;
}

/* The shared object that this code is in, libpillion-test.so; "" where it is the executable. */
static const char *own_object(void)
{
    static const char here;
    struct link_map *map;
    Dl_info info;

    return dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 ? "" : map->l_name;
}

/* Beside the executable, as in a build; or in lib/pillion/ beside the executable's directory, as
 * `make install` leaves it, also when the installation was moved; the same from libpillion-test.so,
 * whose executable is a module's test; or where it was installed. */
bool library_find(const char *file, char *path, size_t size)
{
    char own[PATH_MAX];

    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    own[length < 0 ? 0 : length] = '\0';
    if (find_beside(own, "", file, path, size) ||
        find_beside(own, "../lib/pillion/", file, path, size) ||
        find_beside(own_object(), "", file, path, size) ||
        find_beside(own_object(), "pillion/", file, path, size))
        return true;
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
