/* Checking a file's place before writing. See own_file.h. */
#include "base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_SIZE  512  /* bytes of a file that show whether it is text */
#define PID_SIZE_MAX 32   /* a number, a newline, and some spaces */
#define ESCAPE       0x1b /* in logs with colours */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFBLK:
        return "a block device";
    default:
        return "a device";
    }
}

/* The first bytes of a regular file. -1 when it cannot be read. */
static ssize_t read_sample(const char *path, char sample[SAMPLE_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -1;
    ssize_t size = read(fd, sample, SAMPLE_SIZE);
    close(fd);
    return size;
}

/* Logs of every program are text. A log that begins with NULs was truncated by another program, or
 * by a crash of the machine. */
static bool is_log(const char *sample, size_t size)
{
    bool hole = size > 0 && sample[0] == '\0';

    if (size >= 2 && memcmp(sample, "#!", 2) == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)sample[i];
        if (c == '\0' ? !hole : c < 0x20 && strchr("\t\n\v\f\r", c) == NULL && c != ESCAPE)
            return false;
    }
    return true;
}

static bool is_pid(const char *sample, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr("0123456789 \t\r\n", sample[i]) == NULL || sample[i] == '\0')
            return false;
    }
    return size <= PID_SIZE_MAX;
}

/* Checks the place of a log. A socket is good, because /dev/stdout is a link to one under a service
 * manager. */
static bool check_log(const char *path, const struct stat *status, struct error *error)
{
    char sample[SAMPLE_SIZE];
    struct stat itself;
    bool linked = lstat(path, &itself) == 0 && S_ISLNK(itself.st_mode);

    if (S_ISDIR(status->st_mode) || (S_ISSOCK(status->st_mode) && !linked) ||
        S_ISBLK(status->st_mode))
        return error_set(error, "%s is %s", path, kind_of(status->st_mode));
    if (!S_ISREG(status->st_mode))
        return true;
    ssize_t size = read_sample(path, sample);
    if (size <= 0 || is_log(sample, (size_t)size))
        return true;
    return error_set(error,
                     "%s is no log but some other file, which would be spoiled; give another path, "
                     "or move the file away",
                     path);
}

static bool check_pid(const char *path, const struct stat *status, struct error *error)
{
    char sample[SAMPLE_SIZE];

    if (!S_ISREG(status->st_mode))
        return error_set(error, "%s is %s; give another path, or remove it", path,
                         kind_of(status->st_mode));
    ssize_t size = read_sample(path, sample);
    if (size <= 0 || is_pid(sample, (size_t)size))
        return true;
    return error_set(error,
                     "%s holds something else than the number of a process, which would be lost; "
                     "give another path, or move the file away",
                     path);
}

bool own_file_check(const char *path, enum own_file_use use, struct error *error)
{
    struct stat status;

    /* A log may be reached by a symbolic link, as /dev/stdout is one. */
    if ((use == OWN_FILE_LOG ? stat(path, &status) : lstat(path, &status)) < 0)
        return true;
    if (use == OWN_FILE_LOG)
        return check_log(path, &status, error);
    if (use == OWN_FILE_PID)
        return check_pid(path, &status, error);
    if (S_ISSOCK(status.st_mode))
        return true;
    return error_set(error,
                     "%s is %s and no socket, and would be lost; give another path, or move it "
                     "away",
                     path, kind_of(status.st_mode));
}

struct file_id file_id_of(const char *path)
{
    struct stat status;

    if (lstat(path, &status) < 0)
        return (struct file_id){0};
    return (struct file_id){.device = status.st_dev, .inode = status.st_ino};
}

bool file_id_same(struct file_id one, struct file_id other)
{
    return one.inode != 0 && one.inode == other.inode && one.device == other.device;
}

void own_file_remove(const char *path, struct file_id own)
{
    if (file_id_same(file_id_of(path), own))
        unlink(path);
}
