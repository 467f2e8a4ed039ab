/* Writing without waiting. See sink.h. */
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x00000020 /* the kernel's include/uapi/linux/fs.h, since Linux 6.9 */
#endif

static bool may_block(int fd, const struct stat *status)
{
    return S_ISFIFO(status->st_mode) || (S_ISCHR(status->st_mode) && isatty(fd));
}

enum sink_manner sink_manner_of(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return SINK_PLAIN;
    if (S_ISSOCK(status.st_mode))
        return SINK_SOCKET;
    return may_block(fd, &status) && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 ? SINK_SHARED
                                                                            : SINK_PLAIN;
}

/* For descriptors without RWF_NOWAIT. A terminal that is writable is only known to take one byte.
 * Another process may fill a pipe between poll(2) and write(2), and the write then waits; only
 * sink_own rules that out. */
static ssize_t write_when_ready(int fd, const char *data, size_t size)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    size_t most = isatty(fd) ? 1 : PIPE_BUF;

    if (poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, data, size < most ? size : most);
}

static ssize_t write_shared(int fd, const char *data, size_t size)
{
    struct iovec part = {(char *)(size_t)data, size};
    ssize_t put = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);

    if (put < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS))
        return write_when_ready(fd, data, size);
    return put;
}

ssize_t sink_write(int fd, enum sink_manner manner, const char *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        const char *rest = data + done;
        ssize_t put = manner == SINK_PLAIN ? write(fd, rest, size - done)
                      : manner == SINK_SOCKET
                          ? send(fd, rest, size - done, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : write_shared(fd, rest, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    return done == 0 && size > 0 ? -1 : (ssize_t)done;
}

/* Without O_APPEND, for which pwrite(2) appends wherever it is to write. */
static bool overwrite(int fd, char byte, off_t at)
{
    struct iovec part = {&byte, 1};
    char path[32];

    if (pwritev2(fd, &part, 1, at, RWF_NOAPPEND) == 1)
        return true;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (own < 0)
        return false;
    bool put = pwritev2(own, &part, 1, at, 0) == 1;
    close(own);
    return put;
}

/* Where processes share the file's offset, it may by now be the end of another one's line, which is
 * a line end already, or becomes one. */
bool sink_end_line(int fd)
{
    struct stat status;
    int saved = errno;
    off_t end = lseek(fd, 0, SEEK_CUR);
    bool ended = end > 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                 end <= status.st_size && overwrite(fd, '\n', end - 1);

    errno = saved;
    return ended;
}

void sink_own(int fd)
{
    struct stat status;
    char path[32];

    if (fstat(fd, &status) < 0 || !may_block(fd, &status) ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0)
        return;
    dup2(own, fd);
    close(own);
}
