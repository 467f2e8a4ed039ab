/* Finds built modules for unit tests. */
#ifndef PILLION_TESTS_BUILT_H
#define PILLION_TESTS_BUILT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

/* BUILD/`name`, as in "modules/ping.so": in PILLION_BUILD, or in the build that this program is
 * part of. Stays until the next call. */
static inline const char *built_path(const char *name)
{
    static char path[4096];
    const char *build = getenv("PILLION_BUILD");

    if (build != NULL) {
        snprintf(path, sizeof(path), "%s/%s", build, name);
        return path;
    }
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    ck_assert_int_gt(size, 0);
    path[size] = '\0';
    char *tests = strstr(path, "/tests/unit/");
    ck_assert_ptr_nonnull(tests);
    snprintf(tests, sizeof(path) - (size_t)(tests - path), "/%s", name);
    return path;
}

#endif
