/* Loading the library. See tls.h. */
#include "tls/tls.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where `make install` puts tls.so; set by the Makefile. */
#ifndef PILLION_LIBRARY
#define PILLION_LIBRARY "/usr/local/lib/pillion"
#endif

#define LIBRARY "tls.so"

/* The library beside the executable, as in a build; or in lib/pillion/ beside the executable's
 * directory, as `make install` leaves it, also when the installation was moved. */
static void *open_beside_executable(void)
{
    static const char *const places[] = {"", "../lib/pillion/"};
    char path[PATH_MAX + 64];
    void *library = NULL;

    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = '\0';
    char *name = strrchr(path, '/');
    for (unsigned i = 0; name != NULL && library == NULL && i < 2; i++) {
        snprintf(name + 1, sizeof(path) - (size_t)(name + 1 - path), "%s" LIBRARY, places[i]);
        if (access(path, R_OK) == 0)
            library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

const struct tls_table *tls_load(struct error *error)
{
    static const struct tls_table *table;

    if (table != NULL)
        return table;
    void *library = open_beside_executable();
    if (library == NULL)
        library = dlopen(PILLION_LIBRARY "/" LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        error_set(error, "TLS needs " LIBRARY ", which cannot be loaded: %s", dlerror());
        return NULL;
    }
    const struct tls_table *found = dlsym(library, TLS_TABLE_SYMBOL);
    if (found == NULL || found->version != TLS_TABLE_VERSION) {
        error_set(error, LIBRARY " belongs to another version of Pillion");
        return NULL;
    }
    table = found;
    return table;
}
