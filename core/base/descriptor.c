/* Handling descriptors of less trusted processes. See descriptor.h. */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* the kernel's include/uapi/asm-generic/socket.h */
#endif

bool descriptors_have_names(void)
{
    return access("/proc/self/fd", X_OK) == 0;
}

void descriptor_close(int fd)
{
    const struct linger never = {0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &never, sizeof(never));
    close(fd);
}

void descriptors_close(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        descriptor_close(fds[i]);
}

void descriptors_refuse(int fd)
{
    const int off = 0;

    setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

void descriptors_fill(void)
{
    int null;

    do
        null = open("/dev/null", O_RDWR);
    while (null >= 0 && null <= STDERR_FILENO);
    if (null >= 0)
        close(null);
}

int descriptor_apart(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int apart = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
    close(fd);
    descriptors_fill();
    errno = error;
    return apart;
}
