/* Binding, keeping and closing listeners. See listener.h. */
#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"

struct listener *listener_find(const struct listeners *listeners, const struct address *address)
{
    for (struct listener *l = listeners->first; l != NULL; l = l->next) {
        if (strcmp(l->address.text, address->text) == 0)
            return l;
    }
    return NULL;
}

static const char *unix_path(const struct address *address)
{
    if (address->socket.ss_family != AF_UNIX)
        return NULL;
    return ((const struct sockaddr_un *)&address->socket)->sun_path;
}

/* A server that was killed leaves its socket's file behind; one that lives answers there. */
static bool path_clear(const struct address *address, struct error *error)
{
    const char *path = unix_path(address);
    struct stat status;

    if (lstat(path, &status) < 0)
        return true;
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, "cannot listen on %s: a file that is no socket is in the way",
                         address->text);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(error, "cannot create a socket");
    /* Refused means that nobody listens. All else (a full queue, a socket of another kind, one that
     * we may not use) means that it may be somebody's. */
    errno = 0;
    bool alive = connect(fd, (const struct sockaddr *)&address->socket, address->size) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    if (errno == EACCES)
        error_errno(error, "cannot look whether another process listens on %s", address->text);
    else if (alive)
        error_set(error, "cannot listen on %s: another process listens there", address->text);
    close(fd);
    if (!alive)
        unlink(path);
    return !alive;
}

static int bind_one(const struct address *address, int backlog, bool reuseport, struct error *error)
{
    const int on = 1;
    int family = address->socket.ss_family;

    if (family == AF_UNIX && !path_clear(address, error))
        return -1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_errno(error, "cannot create a socket for %s", address->text);
        return -1;
    }
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* [::] is IPv6 only, so that *:80 and [::]:80 can stand side by side (ipv6(7)). */
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) {
        error_errno(error, "cannot set reuseport on %s", address->text);
    } else if (bind(fd, (const struct sockaddr *)&address->socket, address->size) < 0) {
        if (errno == EADDRINUSE)
            error_set(error, "cannot listen on %s: another process listens there", address->text);
        else
            error_errno(error, "cannot listen on %s", address->text);
    } else if (listen(fd, backlog) < 0) {
        error_errno(error, "cannot listen on %s", address->text);
    } else {
        /* Whoever can reach the directory may connect, as with a TCP port. */
        if (family == AF_UNIX)
            chmod(unix_path(address), 0666);
        return fd;
    }
    close(fd);
    return -1;
}

static bool add_sockets(struct listener *listener, uint32_t count, struct error *error)
{
    while (listener->count < count) {
        int fd = bind_one(&listener->address, listener->backlog, listener->reuseport, error);
        if (fd < 0)
            return false;
        listener->fds = must_realloc(listener->fds, (listener->count + 1) * sizeof(int));
        listener->fds[listener->count++] = fd;
    }
    return true;
}

struct listener *listener_open(struct listeners *listeners, const struct address *address,
                               int backlog, bool reuseport, uint32_t slots, struct error *error)
{
    struct listener *listener = must_zalloc(sizeof(*listener));

    listener->address = *address;
    listener->backlog = backlog;
    listener->reuseport = reuseport && address->socket.ss_family != AF_UNIX;
    if (!add_sockets(listener, listener->reuseport ? slots : 1, error)) {
        for (uint32_t i = 0; i < listener->count; i++)
            close(listener->fds[i]);
        free(listener->fds);
        free(listener);
        return NULL;
    }
    listener->id = ++listeners->last_id;
    listener->next = listeners->first;
    listeners->first = listener;
    return listener;
}

bool listener_update(struct listener *listener, int backlog, uint32_t slots, struct error *error)
{
    if (backlog != listener->backlog) {
        /* listen(2) again only changes the length of the queue. */
        for (uint32_t i = 0; i < listener->count; i++)
            listen(listener->fds[i], backlog);
        listener->backlog = backlog;
    }
    return !listener->reuseport || add_sockets(listener, slots, error);
}

void listener_close(struct listeners *listeners, struct listener *listener, bool unlink_path)
{
    for (struct listener **at = &listeners->first; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    for (uint32_t i = 0; i < listener->count; i++)
        close(listener->fds[i]);
    if (unlink_path && unix_path(&listener->address) != NULL)
        unlink(unix_path(&listener->address));
    free(listener->fds);
    free(listener);
}
