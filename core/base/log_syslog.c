/* Talking to syslogd. See log_syslog.h. */
#include "base/log_syslog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/descriptor.h"

const char *log_syslog_path = "/dev/log";

static int connection = -1;
static int kind; /* SOCK_DGRAM; or SOCK_STREAM, on which a line ends with a NUL */

static bool connect_as(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = descriptor_apart(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd < 0)
        return false;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", log_syslog_path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int number = errno;
        close(fd);
        errno = number;
        return false;
    }
    connection = fd;
    kind = type;
    return true;
}

static bool is_connected(void)
{
    return connection >= 0 || connect_as(SOCK_DGRAM) ||
           (errno == EPROTOTYPE && connect_as(SOCK_STREAM));
}

void log_syslog_close(void)
{
    if (connection >= 0)
        close(connection);
    connection = -1;
}

bool log_syslog_send(int priority, const char *line)
{
    char when[32];
    struct text text = {0};
    struct tm local;
    time_t now = time(NULL);
    bool sent = false;

    localtime_r(&now, &local);
    strftime(when, sizeof(when), "%h %e %T", &local);
    text_printf(&text, "<%d>%s pillion[%d]: %s", priority, when, (int)getpid(), line);
    /* Two attempts: the first may find that the daemon was restarted since the connection was
     * made. */
    for (int attempt = 0; attempt < 2 && !sent && is_connected(); attempt++) {
        size_t size = text.size + (kind == SOCK_STREAM ? 1 : 0);
        sent = send(connection, text.data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
        if (sent || errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
            break;
        int number = errno;
        log_syslog_close();
        errno = number;
    }
    int number = errno;
    text_free(&text);
    errno = number;
    return sent;
}
