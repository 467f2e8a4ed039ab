/* Refusing files that others may write, where root starts the server. See preflight.h.
 *
 * What is in the configuration, or in a module, is done by a process that root has started: the
 * configuration names the files that the master writes and the user that workers become. Files of
 * zones are checked where they are opened (rpc/zone_file.c). */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/writers.h"
#include "process/preflight.h"

/* Trusts those who may write the server's binary. An installer may have removed the file meanwhile;
 * its directories remain. */
static void trust_binary(void)
{
    static const char deleted[] = " (deleted)"; /* proc(5) */
    static bool done;
    char path[PATH_MAX];

    if (done)
        return;
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (size <= 0)
        return;
    path[size] = '\0';
    size_t end = sizeof(deleted) - 1;
    if ((size_t)size > end && strcmp(path + (size_t)size - end, deleted) == 0)
        path[(size_t)size - end] = '\0';
    writers_trust(path);
    done = true;
}

#define OVERFLOW_ID 65534u /* which ids without a number here are shown as: user_namespaces(7) */

/* True when this user namespace has a number of its own for OVERFLOW_ID. */
static bool maps_overflow(const char *map)
{
    unsigned long inside, outside, count;
    bool maps = false;

    FILE *file = fopen(map, "re");
    while (file != NULL && fscanf(file, "%lu %lu %lu", &inside, &outside, &count) == 3)
        maps = maps || (inside <= OVERFLOW_ID && OVERFLOW_ID - inside < count);
    if (file != NULL)
        fclose(file);
    return maps || file == NULL;
}

/* Within a user namespace, the machine's root and all others who are not in it are one user, and
 * its own root is none that others could gain anything by. */
static void trust_outside(void)
{
    if (!maps_overflow("/proc/self/uid_map"))
        writers_trust_user(OVERFLOW_ID);
    if (!maps_overflow("/proc/self/gid_map"))
        writers_trust_group(OVERFLOW_ID);
}

/* Adds an error unless it is the former one: a directory of several files is reported once. */
static bool is_told(const char *text, struct error *former)
{
    bool told = strcmp(text, former->text) == 0;

    error_set(former, "%s", text);
    return told;
}

bool preflight_writers(const struct conf_tree *tree, const struct settings *settings,
                       struct conf_errors *errors)
{
    unsigned before = errors->count;
    struct error error, former = {0};

    if (geteuid() != 0 || !settings->strict_modes || access("/proc/self/exe", F_OK) < 0)
        return true; /* without /proc no server starts: preflight_system */
    trust_binary();
    trust_outside();
    for (const struct conf_source *s = tree->sources; s != NULL; s = s->next) {
        const struct conf_place place = {.source = s};
        if (s->asked != NULL && !writers_check(s->asked, &error) && !is_told(error.text, &former))
            conf_error(errors, &place, "%s", error.text);
    }
    for (const struct module_settings *m = settings->modules; m != NULL; m = m->next) {
        if (!writers_check(m->path, &error) && !is_told(error.text, &former))
            conf_error(errors, &m->place, "cannot load the module %s: %s", m->path, error.text);
    }
    return errors->count == before;
}
