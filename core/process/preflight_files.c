/* Checking the server's own files, before one of them is made or written. See preflight.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/own_file.h"
#include "conf/settings_table.h"
#include "process/preflight.h"

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
    enum own_file_use use;
};

static void file_fault(const struct own_file *file, struct text *fault)
{
    struct stat status;
    struct error error;

    bool there = stat(file->path, &status) == 0;
    if (there && !S_ISDIR(status.st_mode) && file->use != OWN_FILE_SOCKET &&
        faccessat(AT_FDCWD, file->path, W_OK, AT_EACCESS) < 0)
        text_printf(fault, "%s cannot be written: %s", file->path, strerror(errno));
    else if (!own_file_check(file->path, file->use, &error))
        text_append_string(fault, error.text);
    else if (!there || file->use == OWN_FILE_SOCKET)
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
        {"error_log", "the log", settings->log.path, OWN_FILE_LOG},
        {"pid", "the pid file", settings->pid, OWN_FILE_PID},
        {"control", "the control socket", settings->control, OWN_FILE_SOCKET},
    };
    unsigned before = errors->count;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct text fault = {0};
        if (files[i].use != OWN_FILE_LOG || is_file(files[i].path)) {
            use_fault(&files[i], files, tree, settings, &fault);
            if (fault.size == 0)
                file_fault(&files[i], &fault);
        }
        if (fault.size > 0) {
            struct conf_place place = settings_place(tree, files[i].directive);
            conf_error(errors, &place, "%s, \"%s\", cannot be %s: %s", files[i].noun,
                       files[i].directive, files[i].use == OWN_FILE_LOG ? "opened" : "made",
                       text_string(&fault));
        }
        text_free(&fault);
    }
    return errors->count == before;
}

bool preflight_socket(const struct conf_tree *tree, const struct settings *settings,
                      const struct heard *heard, struct conf_errors *errors)
{
    const struct sockaddr_un *address = (const struct sockaddr_un *)&heard->address.socket;
    const struct own_file others[] = {
        {"error_log", "the log", settings->log.path, OWN_FILE_LOG},
        {"pid", "the pid file", settings->pid, OWN_FILE_PID},
        {"control", "the control socket", settings->control, OWN_FILE_SOCKET},
        {"listen", "a socket", address->sun_path, OWN_FILE_SOCKET},
    };
    const struct own_file *file = &others[3];
    struct text fault = {0};
    struct stat status;
    struct error error;

    use_fault(file, others, tree, settings, &fault);
    if (fault.size == 0 && lstat(file->path, &status) < 0)
        directory_fault(file->path, &fault);
    else if (fault.size == 0 && !own_file_check(file->path, file->use, &error))
        text_append_string(&fault, error.text);
    bool good = fault.size == 0;
    if (!good)
        conf_error(errors, &heard->listen->place, "cannot listen on %s: %s", heard->address.text,
                   text_string(&fault));
    text_free(&fault);
    return good;
}
