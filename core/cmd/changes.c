/* Watching a directory. See changes.h. */
#include "cmd/changes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* All ways in which a file's contents change: written and closed, renamed over, linked, removed.
 * IN_MODIFY would report every write, before the file is whole. */
#define EVENTS                                                                           \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR | \
     IN_DELETE_SELF | IN_MOVE_SELF)

int changes_open(const char *directory, struct error *error)
{
    int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (changes < 0) {
        error_errno(error, "cannot watch files");
        return -1;
    }
    if (inotify_add_watch(changes, directory, EVENTS) >= 0)
        return changes;
    error_errno(error, "cannot watch %s", directory);
    close(changes);
    return -1;
}

bool changes_take(int changes)
{
    alignas(struct inotify_event) char buffer[4096];
    bool there = true;
    ssize_t size;

    while ((size = read(changes, buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < size;) {
            struct inotify_event event;
            memcpy(&event, buffer + at, sizeof(event));
            there = there && (event.mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) == 0;
            at += (ssize_t)(sizeof(event) + event.len);
        }
    }
    return there;
}

/* ---- fingerprints ---- */

enum kind { KIND_OTHER, KIND_SOURCE, KIND_PRODUCT };

static const struct {
    const char *suffix;
    enum kind kind;
} suffixes[] = {
    {".c", KIND_SOURCE},   {".h", KIND_SOURCE},   {".cc", KIND_SOURCE},  {".hh", KIND_SOURCE},
    {".cpp", KIND_SOURCE}, {".hpp", KIND_SOURCE}, {".cxx", KIND_SOURCE}, {".hxx", KIND_SOURCE},
    {".inc", KIND_SOURCE}, {".def", KIND_SOURCE}, {".s", KIND_SOURCE},   {".S", KIND_SOURCE},
    {".rs", KIND_SOURCE},  {".mk", KIND_SOURCE},  {".so", KIND_PRODUCT}, {".conf", KIND_PRODUCT},
};

/* Hidden files are editors' own. */
static enum kind kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (name[0] == '.')
        return KIND_OTHER;
    if (strcmp(name, "Makefile") == 0 || strcmp(name, "makefile") == 0 ||
        strcmp(name, "GNUmakefile") == 0)
        return KIND_SOURCE;
    for (size_t i = 0; dot != NULL && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (strcmp(dot, suffixes[i].suffix) == 0)
            return suffixes[i].kind;
    }
    return KIND_OTHER;
}

/* FNV-1a, 64 bits. Deliberate collisions are no threat here. */
static uint64_t mix(uint64_t print, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        print = (print ^ (unsigned char)data[i]) * 0x100000001b3u;
    return print;
}

/* 0 for a file that is not regular, or has gone meanwhile. */
static uint64_t file_print(int directory, const char *name)
{
    char buffer[16384];
    struct stat status;
    ssize_t size;

    /* Opening a FIFO would wait for its writer. */
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    uint64_t print = mix(0xcbf29ce484222325u, name, strlen(name) + 1);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        print = 0;
    while (print != 0 && (size = read(fd, buffer, sizeof(buffer))) > 0)
        print = mix(print, buffer, (size_t)size);
    close(fd);
    return print;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

size_t changes_list(const char *directory, const struct timespec *from, const struct timespec *to,
                    char **names, size_t most)
{
    DIR *folder = opendir(directory);
    const struct dirent *entry;
    struct stat status;
    size_t count = 0;

    while (folder != NULL && count < most && (entry = readdir(folder)) != NULL) {
        /* The ctime, because a file that is renamed keeps its mtime. */
        if (kind_of(entry->d_name) == KIND_SOURCE &&
            fstatat(dirfd(folder), entry->d_name, &status, 0) == 0 &&
            !is_before(&status.st_ctim, from) && !is_before(to, &status.st_ctim))
            names[count++] = must_strdup(entry->d_name);
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* Adds the files' prints up, so that the order in which the directory lists them does not
 * matter. */
struct changes_prints changes_look(const char *directory)
{
    struct changes_prints prints = {0};
    DIR *folder = opendir(directory);
    const struct dirent *entry;

    if (folder == NULL)
        return prints;
    while ((entry = readdir(folder)) != NULL) {
        enum kind kind = kind_of(entry->d_name);
        uint64_t print = kind == KIND_OTHER ? 0 : file_print(dirfd(folder), entry->d_name);
        if (kind == KIND_SOURCE)
            prints.sources += print;
        if (kind == KIND_PRODUCT)
            prints.products += print;
    }
    closedir(folder);
    return prints;
}
