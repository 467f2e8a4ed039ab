/* Opening a log's file. See log_file.h. */
#include "base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel's, path_resolution(7) */
#define APPEND    (O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW)
#define LOOK      (O_PATH | O_NOFOLLOW | O_CLOEXEC)

static uid_t distrusted;

void log_file_distrust(uid_t user)
{
    distrusted = user;
}

/* The state of a walk along a path. */
struct walk {
    const char *path;    /* as the caller gave it, for messages */
    int at;              /* the directory that has been reached */
    char rest[PATH_MAX]; /* the path's remaining part, from there on */
    int links;           /* number of links that have been followed */
};

/* The descriptor that an absolute path names, or -1. */
static int named_descriptor(const char *path)
{
    static const char *const names[] = {"/proc/self/fd/", "/dev/fd/", "/proc/thread-self/fd/"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t size = strlen(names[i]);
        const char *number = path + size;
        if (strncmp(path, names[i], size) == 0 && number[0] != '\0' &&
            number[strspn(number, "0123456789")] == '\0' && strlen(number) < 7)
            return atoi(number);
    }
    return -1;
}

/* Whether root may follow a link that belongs to `owner`. A link in place of the file itself, the
 * last component, must be root's. A directory on the way is often a link that the installing user
 * made; there only links of the workers' user are refused. */
static bool may_follow(uid_t owner, bool last)
{
    return geteuid() != 0 || owner == 0 || (!last && owner != distrusted);
}

/* Replaces the component `name`, a link, by its target. */
static bool follow(struct walk *walk, const char *name, const char *behind, struct error *error)
{
    char target[PATH_MAX], rest[PATH_MAX];
    struct stat status;
    bool last = behind[0] == '\0';

    int link = openat(walk->at, name, LOOK);
    if (link < 0 || fstat(link, &status) < 0 || !S_ISLNK(status.st_mode)) {
        if (link >= 0) {
            close(link);
            errno = ENOTDIR;
        }
        return error_errno(error, "cannot open the log %s", walk->path);
    }
    ssize_t size = readlinkat(link, "", target, sizeof(target) - 1);
    close(link);
    if (!may_follow(status.st_uid, last))
        return error_set(error,
                         "cannot open the log %s: \"%s\" is a symbolic link of user %u, which root "
                         "does not follow, because it may lead anywhere; remove it, or make it "
                         "root's (chown -h root)",
                         walk->path, name, (unsigned)status.st_uid);
    target[size < 0 ? 0 : size] = '\0';
    int length = snprintf(rest, sizeof(rest), "%s%s%s", target, last ? "" : "/", behind);
    if (size <= 0 || (size_t)length >= sizeof(rest) || ++walk->links > LINKS_MAX) {
        errno = ELOOP;
        return error_errno(error, "cannot open the log %s", walk->path);
    }
    strcpy(walk->rest, rest);
    return true;
}

/* A FIFO is opened for reading too, as fifo(7) allows on Linux: it opens even without a reader, and
 * lines wait in it while the reader is being restarted. */
static int open_last(int at, const char *name)
{
    struct stat status;
    bool fifo = fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(status.st_mode);
    int fd = fifo ? openat(at, name, (APPEND | O_RDWR) & ~O_CREAT) : -1;

    return fd >= 0 ? fd : openat(at, name, APPEND | O_WRONLY, 0640);
}

/* True when the opened file may be a log: not a second name of another file, which any user who may
 * write the directory can make, and not a disk. */
static bool may_write(int at, int fd)
{
    struct stat file, directory;

    if (fstat(fd, &file) < 0 || fstat(at, &directory) < 0)
        return false;
    bool planted =
        S_ISREG(file.st_mode) && file.st_nlink > 1 && geteuid() == 0 && directory.st_uid != 0;
    errno = planted ? EMLINK : EINVAL;
    return !planted && !S_ISBLK(file.st_mode);
}

static int finish(struct walk *walk, const char *name, struct error *error)
{
    int fd = open_last(walk->at, name);

    if (fd >= 0 && !may_write(walk->at, fd)) {
        int number = errno;
        close(fd);
        errno = number;
        fd = -1;
    }
    if (fd < 0)
        error_errno(error, "cannot open the log %s", walk->path);
    return fd;
}

/* Goes one component further. True when there is more to walk; otherwise `*fd` is the file, or
 * -1. */
static bool step(struct walk *walk, int *fd, struct error *error)
{
    char name[NAME_MAX + 1];
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t size = strcspn(start, "/");

    *fd = -1;
    if (walk->rest[0] == '/') { /* the beginning, or a link's absolute target */
        int named = named_descriptor(walk->rest);
        if (named >= 0) {
            *fd = fcntl(named, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            if (*fd < 0)
                error_errno(error, "cannot open the log %s", walk->path);
            return false;
        }
        if (walk->at >= 0)
            close(walk->at);
        walk->at = open("/", LOOK | O_DIRECTORY);
    }
    if (size == 0 || size >= sizeof(name)) {
        errno = size == 0 ? EISDIR : ENAMETOOLONG;
        error_errno(error, "cannot open the log %s", walk->path);
        return false;
    }
    snprintf(name, sizeof(name), "%.*s", (int)size, start);
    const char *behind = start + size + strspn(start + size, "/");
    struct stat status;
    if (fstatat(walk->at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
        return follow(walk, name, behind, error);
    if (behind[0] == '\0') {
        *fd = finish(walk, name, error);
        return false;
    }
    int next = openat(walk->at, name, LOOK | O_DIRECTORY);
    if (next < 0)
        return error_errno(error, "cannot open the log %s", walk->path);
    close(walk->at);
    walk->at = next;
    memmove(walk->rest, behind, strlen(behind) + 1);
    return true;
}

int log_file_open(const char *path, struct error *error)
{
    struct walk walk = {.path = path, .at = -1};
    int fd = -1;

    if (strlen(path) >= sizeof(walk.rest)) {
        errno = ENAMETOOLONG;
        error_errno(error, "cannot open the log %s", path);
        return -1;
    }
    strcpy(walk.rest, path);
    while (step(&walk, &fd, error))
        ;
    if (walk.at >= 0)
        close(walk.at);
    return fd;
}
