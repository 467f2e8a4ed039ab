/* Sockets of a service manager. See passed.h. */
#include "net/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define FIRST 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

struct passed {
    int fd;
    char address[ADDRESS_TEXT_SIZE];
    struct file_id file;
    bool used;
};

static struct passed *sockets;
static size_t count;

static bool is_listening_stream(int fd)
{
    int type = 0, listens = 0;
    socklen_t type_size = sizeof(type), listens_size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && listens != 0;
}

bool passed_add(int fd, struct error *error)
{
    struct sockaddr_storage socket;
    socklen_t size = sizeof(socket);
    struct passed passed = {.fd = fd};

    if (!is_listening_stream(fd))
        return error_set(error,
                         "descriptor %d, which the server was started with (LISTEN_FDS), is no "
                         "listening stream socket; of systemd's socket units it takes ListenStream "
                         "with Accept=no",
                         fd);
    int flags = fcntl(fd, F_GETFL);
    if (getsockname(fd, (struct sockaddr *)&socket, &size) < 0 || flags < 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return error_errno(error, "cannot use descriptor %d, which the server was started with",
                           fd);
    address_format((const struct sockaddr *)&socket, size, passed.address);
    if (socket.ss_family == AF_UNIX)
        passed.file = file_id_of(((const struct sockaddr_un *)&socket)->sun_path);
    sockets = must_realloc(sockets, (count + 1) * sizeof(*sockets));
    sockets[count++] = passed;
    return true;
}

bool passed_take(struct error *error)
{
    const char *pid = getenv("LISTEN_PID"), *number = getenv("LISTEN_FDS");
    int fds = number == NULL || pid == NULL || strtol(pid, NULL, 10) != getpid() ? 0 : atoi(number);
    bool good = true;

    for (int fd = FIRST; fd < FIRST + fds && good; fd++)
        good = passed_add(fd, error);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return good;
}

int passed_find(const struct address *address, struct file_id *file)
{
    for (size_t i = 0; i < count; i++) {
        struct passed *passed = &sockets[i];
        bool is_path = address->socket.ss_family == AF_UNIX;
        if (strcmp(passed->address, address->text) != 0 ||
            (is_path && !file_id_same(file_id_of(address->text + strlen("unix:")), passed->file)))
            continue;
        passed->used = true;
        *file = passed->file;
        return fcntl(passed->fd, F_DUPFD_CLOEXEC, FIRST);
    }
    return -1;
}

int passed_descriptor(size_t index)
{
    return index < count ? sockets[index].fd : -1;
}

void passed_report_unused(void)
{
    for (size_t i = 0; i < count; i++) {
        if (!sockets[i].used)
            log_warn("the server was started with a socket that listens on %s, which no `listen` "
                     "names: clients that connect there wait for nothing",
                     sockets[i].address);
    }
}
