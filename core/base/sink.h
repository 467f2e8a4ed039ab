/* Writing to a descriptor whose reader may have stopped reading, without ever waiting for it.
 *
 * A pipe, a terminal or a socket stays full for as long as its reader does not read. O_NONBLOCK
 * belongs to the open file description (fcntl(2)), which standard output and standard error share
 * with the shell, the service manager or a pipeline's other programs: it is never set on a shared
 * description. Instead the descriptor gets a description of its own where the kernel allows that
 * (sink_own), and is written with a call that does not wait where it does not (sink_write). */
#ifndef PILLION_BASE_SINK_H
#define PILLION_BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How a descriptor is to be written. */
enum sink_manner {
    SINK_PLAIN,  /* a file, or non-blocking by itself: write(2) */
    SINK_SOCKET, /* send(2) with MSG_DONTWAIT */
    SINK_SHARED, /* a blocking pipe or terminal, which other processes may have open */
};

enum sink_manner sink_manner_of(int fd);

/* Writes as much as can be written without waiting, and returns how many bytes that were: maybe
 * less than `size`, or -1 with errno (EAGAIN when nothing fits). Up to PIPE_BUF bytes go into a
 * pipe whole or not at all (pipe(7)). */
ssize_t sink_write(int fd, enum sink_manner manner, const char *data, size_t size);

/* After sink_write has written a part of a line: puts a line end over the last byte that reached a
 * regular file, which takes no room of a full disk. The next line, of this process or of another,
 * then begins at its own place. Keeps errno. False when it cannot: in a pipe, a socket, a terminal;
 * and before Linux 6.9 in a file that this process could not open. */
bool sink_end_line(int fd);

/* Gives `fd`, when it is a pipe or a terminal, an open file description of its own that does not
 * block, under the same number. Modules and libraries that write to it cannot block then either.
 * Where the kernel does not allow it, for another user's terminal say, nothing changes. */
void sink_own(int fd);

#endif
