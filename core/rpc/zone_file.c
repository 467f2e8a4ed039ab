/* Opening and making the files of zones. See zone_file.h. */
#include "rpc/zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own_file.h"

#define MAGIC           "PILLZONE"
#define BYTE_ORDER_MARK 0x01020304u
#define LAYOUT          1u
#define ZONE_AT         4096u
#define BOOT_SIZE       64u
#define PATIENCE_MS     2000u /* for the processes of a server that was killed */

struct file_header {
    char magic[8];
    uint32_t byte_order;
    uint32_t layout;
    uint64_t size;        /* as the directive says */
    uint64_t ahead_ms;    /* struct zone_memory */
    uint64_t opened_ms;   /* by the zone's clock */
    int32_t pid;          /* of the last master */
    uint32_t made;        /* 0: whoever made the file has not come to its end */
    char boot[BOOT_SIZE]; /* tells one start of the machine from the next */
};

/* ---- What is at the path ---- */

static bool refuse(struct error *error, const char *path, const char *why)
{
    return error_set(error, "the zone file %s %s", path, why);
}

/* Nobody else may be able to cut the file, which would crash every worker that uses it. */
static bool check_owner(int fd, const char *path, struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_errno(error, "cannot examine the zone file %s", path);
    if (!S_ISREG(status.st_mode))
        return refuse(error, path, "is no regular file; give another path");
    if (status.st_uid != geteuid() && geteuid() == 0)
        return error_set(error, "the zone file %s belongs to user %u, not to root: `chown root %s`",
                         path, (unsigned)status.st_uid, path);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(error, "other users may write the zone file %s: `chmod 600 %s`", path,
                         path);
    return true;
}

static int open_own(const char *path, int flags, struct error *error)
{
    int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

    if (fd < 0 && errno == ELOOP)
        refuse(error, path, "is a symbolic link; give the path of the file itself");
    else if (fd < 0)
        error_errno(error, "cannot open the zone file %s", path);
    else if (check_owner(fd, path, error))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

enum contents { UNUSABLE, NEW, KNOWN };

static enum contents unusable(struct error *error, const char *path, const char *why)
{
    refuse(error, path, why);
    return UNUSABLE;
}

static enum contents examine(int fd, const char *path, uint64_t size, struct file_header *header,
                             struct error *error)
{
    static const char *other = "is no zone; give another path, or move the file away";
    struct stat status;

    if (fstat(fd, &status) < 0) {
        error_errno(error, "cannot examine the zone file %s", path);
        return UNUSABLE;
    }
    if (status.st_size == 0)
        return NEW;
    if (pread(fd, header, sizeof(*header), 0) != sizeof(*header) ||
        memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
        return unusable(error, path, other);
    if (header->byte_order != BYTE_ORDER_MARK)
        return unusable(error, path,
                        "was made on a machine of another byte order; move the file away");
    if (header->layout != LAYOUT)
        return unusable(error, path,
                        "was made by another version of pillion, in a form that this "
                        "one does not know; move the file away");
    if (header->made == 0)
        return NEW;
    if (header->size != size) {
        error_set(error,
                  "the zone file %s was made for a zone of %llu bytes, not %llu: write that size, "
                  "or move the file away to begin with an empty one",
                  path, (unsigned long long)header->size, (unsigned long long)size);
        return UNUSABLE;
    }
    if ((uint64_t)status.st_size != ZONE_AT + zone_bytes(size))
        return unusable(error, path, "was cut, or has grown; move the file away");
    return KNOWN;
}

/* ---- The lock ---- */

/* Says whose the file is, as far as its header tells. */
static bool refuse_locked(int fd, const char *path, struct error *error)
{
    struct file_header header = {0};

    bool told = pread(fd, &header, sizeof(header), 0) == sizeof(header) && header.pid > 0;
    if (told && header.pid == getpid())
        return error_set(error,
                         "this server has the zone file %s in use by another path, or its former "
                         "workers have: reload again when they have ended",
                         path);
    if (told && (kill(header.pid, 0) == 0 || errno == EPERM))
        return error_set(error,
                         "another server, process %d, uses the zone file %s: end it, or give "
                         "this zone another file",
                         (int)header.pid, path);
    return error_set(error,
                     "another process uses the zone file %s: end it (`fuser %s` tells "
                     "which), or give this zone another file",
                     path, path);
}

/* The processes of a master that was killed end right after it. */
static bool is_left_behind(int fd)
{
    struct file_header header = {0};

    return pread(fd, &header, sizeof(header), 0) == sizeof(header) && header.pid > 0 &&
           kill(header.pid, 0) < 0 && errno == ESRCH;
}

static bool lock(int fd, const char *path, struct error *error)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    const uint64_t end_ns = clock_after(clock_ns(), PATIENCE_MS);

    for (;;) {
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &all) == 0)
            break;
        if (errno != EAGAIN && errno != EACCES)
            return error_errno(error,
                               "cannot lock the zone file %s, which two servers must not use at "
                               "once",
                               path);
        if (!is_left_behind(fd) || clock_ns() >= end_ns)
            return refuse_locked(fd, path, error);
        nanosleep(&pause, NULL);
    }
    struct stat status;
    const struct file_id there = file_id_of(path);
    if (fstat(fd, &status) == 0 &&
        file_id_same(there, (struct file_id){status.st_dev, status.st_ino}))
        return true;
    return refuse(error, path, "was replaced at this moment; try again");
}

/* ---- Making and taking over ---- */

static void read_boot(char boot[BOOT_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    memset(boot, 0, BOOT_SIZE);
    if (fd >= 0 && read(fd, boot, BOOT_SIZE - 1) < 0)
        boot[0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* The zone's clock reads as the wall clock when the file is made. While the machine runs it keeps
 * time with the monotonic clock, whatever happens to the wall clock. After a restart of the machine
 * the wall clock tells how long that took; but no clock goes back before the last start. */
static void set_clock(struct file_header *header)
{
    const uint64_t now_ms = clock_ns() / NS_PER_MS, wall_ms = clock_wall_ms();
    char boot[BOOT_SIZE];

    read_boot(boot);
    if (header->made == 0 || boot[0] == '\0' || memcmp(boot, header->boot, BOOT_SIZE) != 0)
        header->ahead_ms = (wall_ms > header->opened_ms ? wall_ms : header->opened_ms) - now_ms;
    header->opened_ms = now_ms + header->ahead_ms;
    memcpy(header->boot, boot, BOOT_SIZE);
}

static bool write_header(int fd, const struct file_header *header)
{
    return pwrite(fd, header, sizeof(*header), 0) == sizeof(*header);
}

/* All of the file gets its space on disk now, so that a full disk is an error here, not the end of
 * a worker by SIGBUS later. Errors are set in errno. */
static bool take_space(int fd, uint64_t size)
{
    int failed;

    do
        failed = posix_fallocate(fd, 0, (off_t)(ZONE_AT + zone_bytes(size)));
    while (failed == EINTR);
    errno = failed;
    return failed == 0;
}

static bool make(const struct zone_memory *memory, uint64_t size, struct file_header *header)
{
    *header = (struct file_header){
        .magic = MAGIC, .byte_order = BYTE_ORDER_MARK, .layout = LAYOUT, .size = size};
    set_clock(header);
    return ftruncate(memory->fd, 0) == 0 && write_header(memory->fd, header) &&
           take_space(memory->fd, size);
}

static bool begin(const char *path, uint64_t size, struct zone_memory *memory,
                  enum contents contents, struct file_header *header, struct error *error)
{
    bool good = contents == KNOWN || make(memory, size, header);

    if (good) {
        set_clock(header);
        header->made = 1;
        header->pid = (int32_t)getpid();
        memory->ahead_ms = header->ahead_ms;
        good = zone_lay_out(memory, size) && write_header(memory->fd, header);
    }
    if (good)
        return true;
    error_errno(error, "cannot make the zone file %s of %llu bytes", path,
                (unsigned long long)(ZONE_AT + zone_bytes(size)));
    if (contents == NEW)
        unlink(path);
    return false;
}

bool zone_file_open(const char *path, uint64_t size, struct zone_memory *memory,
                    struct error *error)
{
    struct file_header header = {0};
    enum contents contents;

    *memory = (struct zone_memory){.fd = open_own(path, O_RDWR | O_CREAT, error), .at = ZONE_AT};
    if (memory->fd < 0)
        return false;
    if (lock(memory->fd, path, error) &&
        (contents = examine(memory->fd, path, size, &header, error)) != UNUSABLE &&
        begin(path, size, memory, contents, &header, error))
        return true;
    close(memory->fd);
    return false;
}

/* ---- Mending ---- */

/* Workers may have it in use, so what is there stays. Zeros are an empty zone with its lock free.
 */
bool zone_file_mend(const struct zone_memory *memory, uint64_t size, bool *mended, uint64_t *was,
                    struct error *error)
{
    const uint64_t whole = ZONE_AT + zone_bytes(size);
    struct file_header header = {.magic = MAGIC,
                                 .byte_order = BYTE_ORDER_MARK,
                                 .layout = LAYOUT,
                                 .size = size,
                                 .ahead_ms = memory->ahead_ms,
                                 .opened_ms = clock_ns() / NS_PER_MS + memory->ahead_ms,
                                 .pid = (int32_t)getpid(),
                                 .made = 1};
    struct stat status;

    *mended = false;
    if (fstat(memory->fd, &status) < 0)
        return error_errno(error, "cannot examine it");
    *was = (uint64_t)status.st_size;
    if (*was == whole)
        return true;
    read_boot(header.boot);
    if ((*was > whole && ftruncate(memory->fd, (off_t)whole) < 0) ||
        !take_space(memory->fd, size) || !write_header(memory->fd, &header))
        return error_errno(error, "cannot make it whole again");
    *mended = true;
    return true;
}

/* ---- -t ---- */

static bool check_directory(const char *path, struct error *error)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

    if (size >= sizeof(directory))
        return refuse(error, path, "has too long a name");
    memcpy(directory, slash == NULL ? "." : path, size);
    directory[size] = '\0';
    if (access(directory, W_OK | X_OK) == 0)
        return true;
    return error_errno(error, "cannot make the zone file %s", path);
}

bool zone_file_check(const char *path, uint64_t size, struct error *error)
{
    struct file_header header;

    if (access(path, F_OK) < 0 && errno == ENOENT && file_id_of(path).inode == 0)
        return check_directory(path, error);
    if (access(path, R_OK) < 0 && errno == EACCES)
        return true; /* the server will tell */
    int fd = open_own(path, O_RDONLY, error);
    if (fd < 0)
        return false;
    bool good = examine(fd, path, size, &header, error) != UNUSABLE;
    close(fd);
    return good;
}

bool zone_file_known(const struct zone_memory *memory)
{
    struct file_header header;

    return memory->at == ZONE_AT &&
           pread(memory->fd, &header, sizeof(header), 0) == sizeof(header) &&
           memcmp(header.magic, MAGIC, sizeof(header.magic)) == 0 && header.layout == LAYOUT;
}
