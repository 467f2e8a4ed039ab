/* Unix sockets that listen. See unix_socket.h. */
#include "net/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
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

static int listen_at(const char *path, mode_t mode, int backlog, struct file_id *own,
                     struct error *error)
{
    struct sockaddr_un address;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_errno(error, "cannot create a socket for unix:%s", path);
        return -1;
    }
    address_of(path, &address);
    /* By the umask: chmod(2) after bind(2) could follow a link that was put there meanwhile. */
    mode_t mask = umask(0777 & ~mode);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound == 0) {
        *own = file_id_of(path);
        if (listen(fd, backlog) == 0)
            return fd;
    }
    error_errno(error, "cannot listen on unix:%s", path);
    if (bound == 0)
        own_file_remove(path, *own);
    close(fd);
    return -1;
}

int unix_listen(const char *path, mode_t mode, int backlog, struct file_id *own, bool *taken,
                struct error *error)
{
    bool ignored;
    int fd = -1;

    if (taken == NULL)
        taken = &ignored;
    *taken = false;
    int lock = lock_folder(path);
    if (clear(path, taken, error))
        fd = listen_at(path, mode, backlog, own, error);
    if (lock >= 0)
        close(lock);
    return fd;
}
