/* Unix sockets that listen. See unix_socket.h. */
#include "net/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    40
#define LOCK_PAUSE_NS 5000000 /* 0.2 s in all */

static void address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    strncpy(address->sun_path, path, sizeof(address->sun_path) - 1);
}

/* Locks the directory until our socket listens. Without that, two servers that start at once would
 * both find the old socket dead, and the second would remove the new socket of the first. The lock
 * only narrows the race: any process that may read the directory can hold the lock, and must not
 * keep this server from starting. -1 when the directory cannot be opened. */
static int lock_folder(const char *path)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);

    memcpy(folder, path, size);
    strcpy(folder + size, size > 0 ? "" : slash == NULL ? "." : "/");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            break;
        nanosleep(&pause, NULL);
    }
    return fd;
}

/* Removes a dead socket's file at `path`. False when something else is there; `taken` as above. */
static bool clear(const char *path, bool *taken, struct error *error)
{
    struct file_id there = file_id_of(path);
    struct sockaddr_un address;

    if (there.inode == 0)
        return true;
    if (!own_file_check(path, OWN_FILE_SOCKET, error))
        return error_prefix(error, "cannot listen on unix:%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(error, "cannot create a socket");
    address_of(path, &address);
    errno = 0;
    int status = connect(fd, (struct sockaddr *)&address, sizeof(address));
    int number = errno;
    close(fd);
    if (status < 0 && number == ECONNREFUSED) {
        own_file_remove(path, there);
        return true;
    }
    if (status < 0 && number == ENOENT)
        return true;
    errno = number;
    if (status < 0 && number == EACCES)
        return error_errno(error, "cannot look whether another process listens on unix:%s", path);
    /* Any other result (a full queue, a socket of another type) may come from a live server. */
    *taken = true;
    return error_set(error, "cannot listen on unix:%s: another process listens there", path);
}

/* By a descriptor of the file itself: a path could lead elsewhere meanwhile, by a link. */
static bool change(int fd, const struct unix_access *access)
{
    char path[40];
    struct stat now;

    if (fstat(fd, &now) < 0)
        return false;
    if (access->group != (gid_t)-1 && now.st_gid != access->group &&
        fchownat(fd, "", (uid_t)-1, access->group, AT_EMPTY_PATH) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return (now.st_mode & 0777) == access->mode || chmod(path, access->mode) == 0;
}

bool unix_allow(const char *path, struct file_id own, const struct unix_access *access,
                struct error *error)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat there;
    bool good = true;

    if (fd >= 0 && fstat(fd, &there) == 0 &&
        file_id_same((struct file_id){there.st_dev, there.st_ino}, own) && !change(fd, access))
        good = error_errno(error, "cannot set mode and group of unix:%s", path);
    if (fd >= 0)
        close(fd);
    return good;
}

static int listen_at(const char *path, const struct unix_access *access, int backlog,
                     struct file_id *own, struct error *error)
{
    struct sockaddr_un address;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_errno(error, "cannot create a socket for unix:%s", path);
        return -1;
    }
    address_of(path, &address);
    /* By the umask, so that the file never has more rights; others than the owner have none before
     * the group is right. */
    mode_t mode = access->group == (gid_t)-1 ? access->mode : access->mode & 0700;
    mode_t mask = umask(0777 & ~mode);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound == 0) {
        *own = file_id_of(path);
        if (!unix_allow(path, *own, access, error))
            bound = -2;
        else if (listen(fd, backlog) == 0)
            return fd;
    }
    if (bound != -2)
        error_errno(error, "cannot listen on unix:%s", path);
    if (bound != -1)
        own_file_remove(path, *own);
    close(fd);
    return -1;
}

int unix_listen(const char *path, const struct unix_access *access, int backlog,
                struct file_id *own, bool *taken, struct error *error)
{
    bool ignored;
    int fd = -1;

    if (taken == NULL)
        taken = &ignored;
    *taken = false;
    int lock = lock_folder(path);
    if (clear(path, taken, error))
        fd = listen_at(path, access, backlog, own, error);
    if (lock >= 0)
        close(lock);
    return fd;
}
