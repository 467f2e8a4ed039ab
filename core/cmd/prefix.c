/* Finding the prefix. See prefix.h. */
#include "cmd/prefix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/inherit.h"

#define PREFIX_CONF "conf/pillion.conf" /* where a prefix has its configuration */

/* Where `make install` puts conf/ and modules/, and the configuration there; set by the Makefile. A
 * package may have its configuration elsewhere, by an absolute path. */
#ifndef PILLION_PREFIX
#define PILLION_PREFIX "/usr/local/pillion"
#endif
#ifndef PILLION_CONF
#define PILLION_CONF PREFIX_CONF
#endif

static bool holds_conf(const char *prefix)
{
    char conf[PATH_MAX + sizeof(PREFIX_CONF) + 1];

    snprintf(conf, sizeof(conf), "%s/%s", prefix, PREFIX_CONF);
    return access(conf, F_OK) == 0;
}

/* Finds the prefix by the executable's place. A build in the source tree has the executable's
 * directory as its prefix. An installed one has the directory that `make install` has filled,
 * beside bin/, even if it was moved. A package's files are where its distribution wants them, and
 * what is beside bin/ there is somebody else's. */
static bool prefix_of_executable(char prefix[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", prefix, PATH_MAX - 1);
    if (size <= 0)
        return false;
    prefix[size] = '\0';
    char *slash = strrchr(prefix, '/');
    if (slash == NULL || slash == prefix)
        return false;
    *slash = '\0';
    if (holds_conf(prefix))
        return true;
    slash = strrchr(prefix, '/');
    if (PILLION_CONF[0] == '/' || slash == NULL ||
        (size_t)(slash - prefix) + sizeof("/lib/pillion") > PATH_MAX)
        return false;
    strcpy(slash, "/lib/pillion");
    return holds_conf(prefix);
}

bool prefix_find(const struct command *self, const char *given, char prefix[PATH_MAX])
{
    struct stat status;

    if (inherit_prefix(prefix, PATH_MAX)) /* after an upgrade: the former binary's, whose path may
                                           * lead elsewhere by now */
        return true;
    if (given == NULL && prefix_of_executable(prefix))
        return true;
    if (given == NULL) {
        snprintf(prefix, PATH_MAX, "%s", PILLION_PREFIX);
        return true;
    }
    /* An absolute prefix is kept as it was written, symbolic links included: errors show it. */
    bool good = given[0] == '/' ? strlen(given) < PATH_MAX : realpath(given, prefix) != NULL;
    if (good && given[0] == '/')
        snprintf(prefix, PATH_MAX, "%s", given);
    if (good && stat(prefix, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return true;
        errno = ENOTDIR;
    }
    command_failed_errno(self, EXIT_FAILURE, "cannot use the prefix \"%s\"", given);
    return false;
}

const char *prefix_conf(const char *prefix)
{
    return strcmp(prefix, PILLION_PREFIX) == 0 ? PILLION_CONF : PREFIX_CONF;
}
