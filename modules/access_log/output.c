/* Opening, following and writing a file of lines. See output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../clock.h"
#include "../errno_text.h"

#define COMPLAIN_EVERY 10000u /* milliseconds between messages about lost lines */
#define ROTATED_EVERY  1000u  /* milliseconds between checks of the file that the path names */

/* For a name of standard output or error, such as /dev/stdout, duplicates the descriptor: a worker
 * cannot open root's pipe by name, and a socket cannot be opened at all. */
static int duplicate(const char *path)
{
    struct stat named, held;
    int number = errno;

    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        if (stat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
            named.st_ino == held.st_ino)
            return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    errno = number;
    return -1;
}

/* A FIFO without a reader can only be opened for reading and writing (fifo(7)). */
static int open_file(const char *path)
{
    const int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags | O_WRONLY, 0640);

    if (fd < 0)
        fd = duplicate(path);
    return fd < 0 && errno == ENXIO ? open(path, (flags | O_RDWR) & ~O_CREAT) : fd;
}

static void take(struct output *output, int fd)
{
    struct stat status;

    output->fd = fd;
    output->regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    output->looked_ms = now_ms();
    output->torn = false;
}

bool output_open(struct output *output, pillion_instance *self, const char *path)
{
    int fd = open_file(path);

    *output = (struct output){.path = path, .self = self, .fd = fd};
    if (fd >= 0)
        take(output, fd);
    return fd >= 0;
}

bool output_open_anew(struct output *output)
{
    int fd = open_file(output->path);

    if (fd < 0)
        return false;
    close(output->fd);
    take(output, fd);
    return true;
}

/* Opens the file anew when its path names another one by now, or none. */
static void follow_path(struct output *output)
{
    struct stat named, held;
    uint64_t now = now_ms();

    if (now - output->looked_ms < ROTATED_EVERY)
        return;
    output->looked_ms = now;
    if (stat(output->path, &named) == 0 && fstat(output->fd, &held) == 0 &&
        named.st_dev == held.st_dev && named.st_ino == held.st_ino)
        return;
    if (!output_open_anew(output))
        pillion_log(output->self, PILLION_LOG_ERROR, CANNOT_REOPEN, output->path,
                    errno_text(errno).text);
}

/* ---- Lost lines ---- */

static void complain(struct output *output)
{
    if (output->lost == 0)
        return;
    pillion_log(output->self, PILLION_LOG_ERROR, "%llu lines could not be written to %s: %s",
                (unsigned long long)output->lost, output->path,
                output->error == EAGAIN ? "its reader did not keep up" : strerror(output->error));
    output->complained_ms = now_ms();
    output->lost = 0;
}

static void complaint_due(pillion_instance *self, void *data)
{
    struct output *output = data;

    (void)self;
    output->complaint = 0;
    complain(output);
}

static void lose(struct output *output, const char *data, size_t size, int error)
{
    uint64_t since = now_ms() - output->complained_ms;

    for (size_t i = 0; i < size; i++)
        output->lost += data[i] == '\n';
    output->error = error;
    if (output->complained_ms == 0 || since >= COMPLAIN_EVERY)
        complain(output);
    else if (output->complaint == 0)
        output->complaint =
            pillion_timer(output->self, COMPLAIN_EVERY - since, 0, complaint_due, output);
}

/* ---- Writing ---- */

/* Ends a line that a full disk has cut: a line end takes the place of the last byte that was
 * written, for which there is room, before another worker's line follows. By another descriptor,
 * since O_APPEND makes pwrite(2) append. False when it cannot. */
static bool end_line(const struct output *output)
{
    char path[32];
    off_t end = lseek(output->fd, 0, SEEK_CUR);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", output->fd);
    int fd = output->regular && end > 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    bool ended = pwrite(fd, "\n", 1, end - 1) == 1;
    close(fd);
    return ended;
}

/* How many bytes are written with one call, so that lines of several workers never mix. To a file,
 * all of them (open(2), O_APPEND); to a pipe, as many lines as are written whole or not at all
 * (pipe(7)), but at least one. */
static size_t piece_of(const struct output *output, const char *data, size_t size)
{
    const char *end = size <= PIPE_BUF ? NULL : memrchr(data, '\n', PIPE_BUF);

    if (output->regular || size <= PIPE_BUF)
        return size;
    if (end == NULL)
        end = memchr(data, '\n', size);
    return (size_t)(end + 1 - data);
}

static long write_piece(struct output *output, char *data, size_t size, bool torn)
{
    struct iovec parts[] = {{(char[]){'\n'}, 1}, {data, size}};

    if (output->regular)
        return writev(output->fd, parts + 1 - torn, 1 + (int)torn);
    if (torn && pillion_write_now(output->fd, "\n", 1) != 1)
        return -1;
    long put = pillion_write_now(output->fd, data, size);
    return put < 0 ? put : put + torn;
}

/* Lines that do not fit are lost and reported. After a torn line, a line end comes first. */
void output_write(struct output *output, char *data, size_t size)
{
    follow_path(output);
    while (size > 0) {
        size_t piece = piece_of(output, data, size);
        size_t torn = output->torn;
        long put = write_piece(output, data, piece, torn != 0);
        int error = put < 0 ? errno : ENOSPC;
        if (put != (long)(torn + piece)) {
            size_t written = put < (long)torn ? 0 : (size_t)put - torn;
            if (put > 0)
                output->torn = written > 0 && data[written - 1] != '\n' && !end_line(output);
            lose(output, data + written, size - written, error);
            return;
        }
        output->torn = false;
        data += piece;
        size -= piece;
    }
}

void output_close(struct output *output)
{
    pillion_cancel(output->complaint);
    complain(output);
    close(output->fd);
}
