/* The pid file and its lock. See pid_file.h. */
#include "master/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/own_file.h"
#include "master/state.h"

#define TRIES 16 /* a server that ends may remove the file after it was opened */

static struct {
    int fd;
    char *path; /* NULL: there is no pid file */
    struct file_id file;
} the_pid = {.fd = -1};

const char *pid_file_path(void)
{
    return the_pid.path;
}

static struct file_id id_of(int fd)
{
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return (struct file_id){0};
    return (struct file_id){.device = status.st_dev, .inode = status.st_ino};
}

static bool refuse(int fd, const char *path, struct error *error)
{
    char number[16] = "";

    if (pread(fd, number, sizeof(number) - 1, 0) < 0)
        number[0] = '\0';
    return error_set(error,
                     "another server, process %ld, has the pid file %s: `pillion -s stop` ends it, "
                     "`pid PATH;` gives this one another place",
                     strtol(number, NULL, 10), path);
}

/* Read locks of other processes are ignored: every process that may read the file can have one. A
 * file system without locks does not keep the server from starting. */
static bool lock(int fd, const char *path, struct error *error)
{
    struct flock ours = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct flock writers = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &ours) == 0)
        return true;
    if ((errno == EAGAIN || errno == EACCES) && fcntl(fd, F_OFD_GETLK, &writers) == 0 &&
        writers.l_type != F_UNLCK)
        return refuse(fd, path, error);
    log_warn("the pid file %s is not locked: another server could take it", path);
    return true;
}

static bool write_number(int fd, const char *path, struct error *error)
{
    char text[16];

    int size = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    /* Written first, cut to size afterwards, so that a reader finds a number at every instant. */
    if (pwrite(fd, text, (size_t)size, 0) == size && ftruncate(fd, size) == 0)
        return true;
    return error_errno(error, "cannot write the pid file %s", path);
}

/* True for a file in which another user could replace the number that root writes. */
static bool is_foreign(int fd)
{
    struct stat status;

    return geteuid() == 0 && fstat(fd, &status) == 0 && status.st_uid != 0;
}

/* The file at `path`, locked, or -1 with the reason. */
static int open_locked(const char *path, struct error *error)
{
    for (int i = 0; i < TRIES; i++) {
        if (!own_file_check(path, OWN_FILE_PID, error)) {
            error_prefix(error, "cannot make the pid file");
            return -1;
        }
        int fd =
            open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0644);
        if (fd < 0) {
            error_errno(error, "cannot write the pid file %s", path);
            return -1;
        }
        bool free = lock(fd, path, error), same = file_id_same(file_id_of(path), id_of(fd));
        if (free && same && !is_foreign(fd))
            return fd;
        if (free && same)
            own_file_remove(path, id_of(fd));
        close(fd);
        if (!free)
            return -1;
    }
    error_set(error, "cannot write the pid file %s: it is replaced again and again", path);
    return -1;
}

/* Makes `fd` the pid file. A former file is removed. */
static void take(int fd, const char *path)
{
    if (the_pid.path != NULL)
        own_file_remove(the_pid.path, the_pid.file);
    if (the_pid.fd >= 0)
        close(the_pid.fd);
    char *copy = must_strdup(path); /* `path` may be the_pid.path, which is freed below */
    free(the_pid.path);
    the_pid.fd = fd;
    the_pid.path = copy;
    the_pid.file = id_of(fd);
}

bool pid_file_make(const char *path, struct error *error)
{
    int fd = open_locked(path, error);

    if (fd < 0)
        return false;
    if (!write_number(fd, path, error)) {
        own_file_remove(path, id_of(fd));
        close(fd);
        return false;
    }
    take(fd, path);
    return true;
}

bool pid_file_keep(struct error *error)
{
    if (the_pid.path == NULL || file_id_same(file_id_of(the_pid.path), the_pid.file))
        return true;
    return pid_file_make(the_pid.path, error);
}

void pid_file_write(cJSON *state)
{
    cJSON_AddNumberToObject(state, "pid_file", the_pid.fd);
    if (the_pid.path != NULL)
        cJSON_AddStringToObject(state, "pid_path", the_pid.path);
}

/* The process is the same as before the upgrade, and goes on whatever is wrong with its pid
 * file. */
void pid_file_read(const cJSON *state)
{
    int fd = (int)state_number(state, "pid_file", -1);
    const char *path = state_words(state, "pid_path", NULL);
    struct error error;

    if (fd >= 0)
        take(fd, path);
    else if (!pid_file_make(path, &error))
        log_error("%s", error.text);
}

void pid_file_keep_open(bool keep)
{
    state_keep_open(the_pid.fd, keep);
}

void pid_file_remove(void)
{
    if (the_pid.path == NULL)
        return;
    own_file_remove(the_pid.path, the_pid.file);
    close(the_pid.fd);
    free(the_pid.path);
    the_pid.path = NULL;
    the_pid.fd = -1;
}
