/* Sealed copies of files. See sealed.h. */
#include "base/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3: ask for an executable memory file by name */
#endif

/* Makes a memory file that can hold a shared object, even on a system that makes memory files
 * non-executable by default (vm.memfd_noexec). Kernels before 6.3 refuse the flag with EINVAL and
 * need none. */
static int memory_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char label[200]; /* memfd_create(2) allows 249 bytes */

    size_t size = strnlen(name, sizeof(label) - 1);
    memcpy(label, name, size);
    label[size] = '\0';
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

static bool write_all(int to, struct bytes bytes, struct error *error)
{
    for (size_t done = 0; done < bytes.size;) {
        ssize_t put = write(to, bytes.data + done, bytes.size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(error, "cannot keep a copy in memory");
        done += (size_t)put;
    }
    return true;
}

static bool copy_all(int from, int to, struct error *error)
{
    char buffer[65536];
    for (;;) {
        ssize_t got = read(from, buffer, sizeof(buffer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, "cannot read");
        if (got == 0)
            return true;
        if (!write_all(to, (struct bytes){buffer, (size_t)got}, error))
            return false;
    }
}

static bool seal(int fd, struct error *error)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_errno(error, "cannot seal the copy in memory");
    return true;
}

int sealed_copy(const char *path, struct error *error)
{
    struct stat status = {0};

    /* O_NONBLOCK: a FIFO must not hold up the master; it is refused below. */
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (from < 0) {
        error_errno(error, "cannot open");
        return -1;
    }
    bool examined = fstat(from, &status) == 0;
    if (!examined || !S_ISREG(status.st_mode)) {
        if (!examined)
            error_errno(error, "cannot examine");
        else
            error_set(error, S_ISDIR(status.st_mode) ? "a directory; name a file in it"
                                                     : "not a regular file");
        close(from);
        return -1;
    }
    int to = memory_file(path);
    if (to < 0)
        error_errno(error, "cannot create a file in memory");
    else if (!copy_all(from, to, error) || !seal(to, error)) {
        close(to);
        to = -1;
    }
    close(from);
    return to;
}

int sealed_bytes(const char *name, struct bytes bytes, struct error *error)
{
    int to = sealed_later(name, error);

    if (to >= 0 && !sealed_fill(to, bytes, error)) {
        close(to);
        to = -1;
    }
    return to;
}

int sealed_later(const char *name, struct error *error)
{
    int fd = memory_file(name);

    if (fd < 0)
        error_errno(error, "cannot create a file in memory");
    return fd;
}

bool sealed_fill(int fd, struct bytes bytes, struct error *error)
{
    return write_all(fd, bytes, error) && seal(fd, error);
}

bool sealed_is(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

bool sealed_map(int fd, struct bytes *contents, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_errno(error, "cannot examine the copy in memory");
    *contents = (struct bytes){"", (size_t)status.st_size};
    if (contents->size == 0)
        return true;
    void *memory = mmap(NULL, contents->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "cannot map the copy in memory");
    contents->data = memory;
    return true;
}

void sealed_unmap(struct bytes contents)
{
    if (contents.size > 0)
        munmap((void *)(uintptr_t)contents.data, contents.size);
}
