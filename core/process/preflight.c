/* Looking at the machine before anything is touched. See preflight.h. */
#include "process/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/place.h"

/* ---- Addresses ---- */

/* The port, and whether it is every address of its family. False for Unix sockets. */
static bool read_port(const struct address *address, in_port_t *port, bool *every)
{
    if (address->socket.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
        *port = v4->sin_port;
        *every = v4->sin_addr.s_addr == htonl(INADDR_ANY);
        return true;
    }
    if (address->socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;
        *port = v6->sin6_port;
        *every = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
        return true;
    }
    return false;
}

/* socket(7), SO_REUSEADDR and SO_REUSEPORT. IPv4 and IPv6 never meet: listeners set IPV6_V6ONLY. */
bool preflight_conflict(const struct address *one, bool one_reuseport, const struct address *other,
                        bool other_reuseport)
{
    in_port_t one_port, other_port;
    bool one_every, other_every;

    if (strcmp(one->text, other->text) == 0)
        return true;
    if (one->socket.ss_family != other->socket.ss_family || (one_reuseport && other_reuseport) ||
        !read_port(one, &one_port, &one_every) || !read_port(other, &other_port, &other_every))
        return false;
    return one_port == other_port && (one_every || other_every);
}

struct heard {
    struct address address;
    const struct listen_settings *listen;
};

static void report_conflict(const struct heard *now, const struct heard *before,
                            struct conf_errors *errors)
{
    const struct conf_place *place = &now->listen->place, *first = &before->listen->place;
    bool same = strcmp(now->address.text, before->address.text) == 0;
    bool elsewhere = first->source != place->source;
    const char *file = elsewhere && first->source != NULL ? first->source->name : "";

    if (same)
        conf_error(errors, place, "%s is listened on already, by line %u%s%s", now->address.text,
                   first->line, *file == '\0' ? "" : " of ", file);
    else
        conf_error(errors, place,
                   "%s and %s, on line %u%s%s, cannot both be listened on, because one is every "
                   "address of that port; leave one of them out, or give both reuseport",
                   now->address.text, before->address.text, first->line,
                   *file == '\0' ? "" : " of ", file);
}

bool preflight_addresses(const struct conf_tree *tree, const struct settings *settings,
                         struct conf_errors *errors)
{
    struct heard *heard = NULL;
    size_t count = 0;
    struct error error;
    bool good = true;

    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct listen_settings *l = s->listens; l != NULL; l = l->next) {
            heard = must_realloc(heard, (count + 1) * sizeof(*heard));
            heard[count].listen = l;
            if (!address_parse(l->address, tree->prefix, false, &heard[count].address, &error)) {
                conf_error(errors, &l->place, "%s", error.text);
                good = false;
                continue;
            }
            size_t i = 0;
            while (i < count && !preflight_conflict(&heard[i].address, heard[i].listen->reuseport,
                                                    &heard[count].address, l->reuseport))
                i++;
            if (i < count) {
                report_conflict(&heard[count], &heard[i], errors);
                good = false;
                continue;
            }
            count++;
        }
    }
    free(heard);
    return good;
}

/* ---- Processors ---- */

/* Which of them the server may use is for sched_setaffinity(2) to say. */
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
        if (list->items[i] == word) /* the very word: lists hold those of the tree */
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

/* ---- Files ---- */

/* What keeps us from making a file at `path`; "" when nothing does. */
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

/* True when both lead to one file, or will. */
static bool same_file(const char *one, const char *other)
{
    struct stat a, b;

    return strcmp(one, other) == 0 || (stat(one, &a) == 0 && stat(other, &b) == 0 &&
                                       a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* What the configuration has the file for beside this: it would be spoiled. `others` are the
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
