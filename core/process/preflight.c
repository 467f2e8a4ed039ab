/* Checking a configuration against the machine. See preflight.h. */
#include "process/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/place.h"
#include "conf/settings_table.h"

/* ---- Processors ---- */

/* True when the mask has a processor that exists. Whether the server may use it,
 * sched_setaffinity(2) tells. */
static bool has_processor(const char *mask, long processors)
{
    size_t digits = strlen(mask);

    for (size_t i = 0; i < digits; i++) {
        if (mask[i] == '1' && digits - 1 - i < (size_t)processors)
            return true;
    }
    return false;
}

static bool is_used(const struct conf_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == word) /* the same pointer: lists hold the tree's words */
            return true;
    }
    return false;
}

bool preflight_processors(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors)
{
    const struct conf_list *masks = &settings->worker_cpu_affinity;
    long processors = sysconf(_SC_NPROCESSORS_CONF);
    unsigned before = errors->count;

    if (masks->count == 0 || processors < 1 || strcmp(masks->items[0], "auto") == 0)
        return true;
    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->word_count; i++) {
            const char *mask = s->words[i].text;
            if (!is_used(masks, mask) || has_processor(mask, processors))
                continue;
            conf_error(errors, &s->words[i].place,
                       "\"%s\" is no processor of this machine, which has %ld; the lowest is the "
                       "last digit of a mask",
                       mask, processors);
        }
    }
    return errors->count == before;
}

/* ---- The system ---- */

bool preflight_system(struct conf_errors *errors)
{
    if (access("/proc/self/fd", X_OK) == 0)
        return true;
    conf_error(errors, NULL,
               "/proc is not mounted here: modules are loaded, and memory is shared, through "
               "/proc/self/fd; mount it (`mount -t proc proc /proc`)");
    return false;
}

/* RLIMIT_FSIZE limits memory files, too (setrlimit(2)). */
bool preflight_limits(const struct conf_tree *tree, uint64_t arena, struct conf_errors *errors)
{
    const struct conf_place place = settings_place(tree, "arena_size");
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
        arena <= limit.rlim_cur)
        return true;
    conf_error(errors, &place,
               "an arena has %llu bytes, but RLIMIT_FSIZE (`ulimit -f`) allows files of %llu, "
               "memory files included; raise it, or lower arena_size",
               (unsigned long long)arena, (unsigned long long)limit.rlim_cur);
    return false;
}

/* ---- Files ---- */

/* Why no file can be made at `path`; `fault` stays "" when one can. */
static void directory_fault(const char *path, struct text *fault)
{
    const char *slash = strrchr(path, '/');
    struct stat status;
    struct text directory = {0};

    text_append(&directory, (struct bytes){path, slash == path ? 1 : (size_t)(slash - path)});
    const char *name = text_string(&directory);
    if (stat(name, &status) < 0 && errno == ENOENT)
        text_printf(fault, "there is no directory %s; make it, or give another place", name);
    else if (faccessat(AT_FDCWD, name, W_OK | X_OK, AT_EACCESS) < 0)
        text_printf(fault, "no file can be made in %s: %s", name, strerror(errno));
    text_free(&directory);
}

/* A file of the server that a directive of main names. */
struct own_file {
    const char *directive, *noun, *path;
    enum place_use use;
};

static void file_fault(const struct own_file *file, struct text *fault)
{
    struct stat status;
    struct error error;

    bool there = stat(file->path, &status) == 0;
    if (there && !S_ISDIR(status.st_mode) && file->use != PLACE_SOCKET &&
        faccessat(AT_FDCWD, file->path, W_OK, AT_EACCESS) < 0)
        text_printf(fault, "%s cannot be written: %s", file->path, strerror(errno));
    else if (!place_check(file->path, file->use, &error))
        text_append_string(fault, error.text);
    else if (!there || file->use == PLACE_SOCKET)
        directory_fault(file->path, fault);
}

/* True when both paths lead to the same file, or would if it were made. */
static bool same_file(const char *one, const char *other)
{
    struct stat a, b;

    return strcmp(one, other) == 0 || (stat(one, &a) == 0 && stat(other, &b) == 0 &&
                                       a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* Finds another use of the file in the configuration: writing it would spoil that. `others` are the
 * server's own files before this one. */
static void use_fault(const struct own_file *file, const struct own_file *others,
                      const struct conf_tree *tree, const struct settings *settings,
                      struct text *fault)
{
    for (const struct conf_source *s = tree->sources; s != NULL; s = s->next) {
        if (s->path != NULL && same_file(s->path, file->path))
            text_printf(fault, "%s is the configuration, which would be spoiled", file->path);
    }
    for (const struct module_settings *m = settings->modules; m != NULL; m = m->next) {
        if (same_file(m->path, file->path))
            text_printf(fault, "%s is a module, which would be spoiled", file->path);
    }
    for (; others < file; others++) {
        if (same_file(others->path, file->path))
            text_printf(fault, "%s is %s (\"%s\") already", file->path, others->noun,
                        others->directive);
    }
}

static bool is_file(const char *target)
{
    return strcmp(target, "stderr") != 0 && strncmp(target, "syslog", strlen("syslog")) != 0;
}

bool preflight_files(const struct conf_tree *tree, const struct settings *settings,
                     struct conf_errors *errors)
{
    const struct own_file files[] = {
        {"error_log", "the log", settings->log.path, PLACE_LOG},
        {"pid", "the pid file", settings->pid, PLACE_PID},
        {"control", "the control socket", settings->control, PLACE_SOCKET},
    };
    unsigned before = errors->count;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct text fault = {0};
        if (files[i].use != PLACE_LOG || is_file(files[i].path)) {
            use_fault(&files[i], files, tree, settings, &fault);
            if (fault.size == 0)
                file_fault(&files[i], &fault);
        }
        if (fault.size > 0) {
            struct conf_place place = settings_place(tree, files[i].directive);
            conf_error(errors, &place, "%s, \"%s\", cannot be %s: %s", files[i].noun,
                       files[i].directive, files[i].use == PLACE_LOG ? "opened" : "made",
                       text_string(&fault));
        }
        text_free(&fault);
    }
    return errors->count == before;
}
