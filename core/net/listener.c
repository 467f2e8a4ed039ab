/* Binding, keeping and closing listeners. See listener.h. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/handoff.h"
#include "net/passed.h"
#include "net/unix_socket.h"

#define PATIENCE_US 5000

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

/* What accept(2) says differs between families: EINVAL of a port; EAGAIN of a Unix socket, and then
 * SO_ACCEPTCONN says that it listens. */
bool listener_is_shut_down(int fd)
{
    struct pollfd socket = {.fd = fd, .events = POLLRDHUP};

    return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP)) != 0;
}

bool listener_is_reached(const struct listener *listener)
{
    const char *path = unix_path(&listener->address);

    return path == NULL || (file_id_same(file_id_of(path), listener->file) &&
                            !listener_is_shut_down(listener->fds[0]));
}

static bool set_reuseport(int fd, int on)
{
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
}

static bool cannot_listen(const struct address *address, struct error *error)
{
    if (errno == EADDRINUSE)
        return error_set(error, "cannot listen on %s: another process listens there",
                         address->text);
    return error_errno(error, "cannot listen on %s", address->text);
}

/* A socket bound to an IP address, or -1. */
static int bind_one(const struct address *address, bool reuseport, struct error *error)
{
    const int on = 1;
    int family = address->socket.ss_family;

    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_errno(error, "cannot create a socket for %s", address->text);
        return -1;
    }
    /* Without SO_REUSEADDR, connections of a former server keep the address (socket(7)). [::] is
     * IPv6 only, so that *:80 and [::]:80 can stand side by side (ipv6(7)). */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0))
        error_errno(error, "cannot set up the socket for %s", address->text);
    else if (reuseport && !set_reuseport(fd, 1))
        error_errno(error, "cannot set reuseport on %s", address->text);
    else if (bind(fd, (const struct sockaddr *)&address->socket, address->size) == 0)
        return fd;
    else
        cannot_listen(address, error);
    close(fd);
    return -1;
}

/* Should a module clear O_NONBLOCK by a system call, accept(2) holds no worker up for longer than
 * that (socket(7), SO_RCVTIMEO). Accepted sockets inherit the timeout, but no read of theirs waits.
 */
static void add_socket(struct listener *listener, int fd)
{
    const struct timeval patience = {.tv_usec = PATIENCE_US};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    listener->fds = must_realloc(listener->fds, (listener->count + 1) * sizeof(int));
    listener->fds[listener->count++] = fd;
}

bool listener_prepare(struct listener *listener, bool reuseport, uint32_t slots,
                      struct error *error)
{
    if (!reuseport || unix_path(&listener->address) != NULL)
        return true;
    /* Linux lets another socket bind to the same address once SO_REUSEPORT is set on the first one,
     * also when it already listens. */
    for (uint32_t i = 0; i < listener->count && !listener->reuseport_set; i++) {
        if (!set_reuseport(listener->fds[i], 1))
            return error_errno(error, "cannot set reuseport on %s", listener->address.text);
    }
    listener->reuseport_set = true;
    while (listener->count < slots) {
        int fd = bind_one(&listener->address, true, error);
        if (fd < 0)
            return false;
        add_socket(listener, fd);
    }
    return true;
}

bool listener_hand_over(struct listener *listener, struct error *error)
{
    int ends[2];

    if (listener->hands_over && !listener_is_shut_down(listener->handoff[HANDOFF_OUT]))
        return true;
    if (!handoff_open(ends, error))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (listener->hands_over)
            close(listener->handoff[i]);
        listener->handoff[i] = ends[i];
    }
    if (listener->hands_over)
        log_notice("%s: a module has shut the queue of TLS clients down: it is made anew",
                   listener->address.text);
    listener->hands_over = true;
    listener->handoff_lost = false;
    return true;
}

/* ---- Mending ---- */

/* The flags are the open file's, which workers share. */
static void unblock(const struct listener *listener, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & (O_NONBLOCK | O_ASYNC)) == O_NONBLOCK)
        return;
    if (fcntl(fd, F_SETFL, (flags & ~O_ASYNC) | O_NONBLOCK) == 0)
        log_warn("%s: a module has cleared O_NONBLOCK of the listening socket, or set O_ASYNC, for "
                 "all workers, by a system call; that is undone",
                 listener->address.text);
}

/* A socket of TCP that was shut down, or connected to nowhere, keeps its address, and listens again
 * in every process that has it. */
static bool listen_again(const struct listener *listener, int fd, struct error *error)
{
    const char *name = listener->address.text;

    if (unix_path(&listener->address) != NULL)
        return error_set(error,
                         "%s: a module has shut the listening socket down, for all workers, by a "
                         "system call; a reload makes it anew",
                         name);
    if (listen(fd, listener->backlog) < 0)
        return error_errno(error,
                           "%s: a module has shut the listening socket down, for all workers, by a "
                           "system call, and it cannot listen again",
                           name);
    log_warn("%s: a module has shut the listening socket down, for all workers, by a system call; "
             "it listens again",
             name);
    return true;
}

bool listener_mend(struct listener *listener, struct error *error)
{
    bool good = true;

    for (uint32_t i = 0; i < listener->listening; i++) {
        int fd = listener->fds[i];
        unblock(listener, fd);
        if (listener_is_shut_down(fd))
            good = listen_again(listener, fd, error) && good;
    }
    if (good)
        listener->lost = false;
    return good;
}

/* A socket pair that was shut down stays so, as a Unix socket does. */
static void look_at_queue(struct listener *listener)
{
    if (!listener->hands_over || listener->handoff_lost ||
        !listener_is_shut_down(listener->handoff[HANDOFF_OUT]))
        return;
    log_error("%s: a module has shut the queue of TLS clients down, for all workers, by a system "
              "call; a reload makes it anew",
              listener->address.text);
    listener->handoff_lost = true;
}

void listeners_mend(struct listeners *listeners)
{
    struct error error;

    for (struct listener *l = listeners->first; l != NULL; l = l->next) {
        look_at_queue(l);
        if (listener_mend(l, &error) || l->lost)
            continue;
        log_error("%s", error.text);
        l->lost = true;
    }
}

/* ---- Changes ---- */

static struct unix_access access_of(const struct listen_settings *settings)
{
    return (struct unix_access){.mode = settings->mode, .group = settings->group};
}

bool listener_commit(struct listener *listener, const struct listen_settings *settings,
                     struct error *error)
{
    const struct unix_access access = access_of(settings);
    const char *path = unix_path(&listener->address);
    int backlog = settings->backlog;
    bool good = true;

    /* listen(2) again only changes the length of the queue, which a module may have changed. */
    for (uint32_t i = 0; i < listener->count; i++) {
        bool new = i >= listener->listening;
        if (listen(listener->fds[i], backlog) < 0 && new)
            good = cannot_listen(&listener->address, error);
    }
    listener->listening = listener->count;
    listener->backlog = backlog;
    listener->reuseport = settings->reuseport && path == NULL;
    if (path != NULL && !listener->passed)
        good = unix_allow(path, listener->file, &access, error) && good;
    return good;
}

void listener_revert(struct listener *listener)
{
    while (listener->count > listener->listening)
        close(listener->fds[--listener->count]);
    if (listener->reuseport_set && !listener->reuseport && listener->count == 1)
        listener->reuseport_set = !set_reuseport(listener->fds[0], 0);
}

/* The mark is the socket's, in all processes; keepalive means nothing to one that accepts nobody.
 */
void listener_retire(const struct listener *listener)
{
    const int on = 1;

    if (listener->passed || unix_path(&listener->address) != NULL)
        return;
    for (uint32_t i = 0; i < listener->count; i++) {
        setsockopt(listener->fds[i], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        shutdown(listener->fds[i], SHUT_RD);
    }
}

bool listener_is_retired(int fd)
{
    int on = 0;
    socklen_t size = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size) == 0 && on != 0;
}

static void listener_free(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->count; i++)
        close(listener->fds[i]);
    for (unsigned i = 0; listener->hands_over && i < 2; i++)
        close(listener->handoff[i]);
    free(listener->fds);
    free(listener);
}

static bool open_path(struct listener *listener, const struct listen_settings *settings,
                      struct error *error)
{
    const struct unix_access access = access_of(settings);
    int fd = unix_listen(unix_path(&listener->address), &access, settings->backlog, &listener->file,
                         NULL, error);

    if (fd < 0)
        return false;
    add_socket(listener, fd);
    listener->listening = 1;
    listener->backlog = settings->backlog;
    return true;
}

/* The socket that the server was started with, if there is one of this address. */
static bool open_passed(struct listener *listener)
{
    int fd = passed_find(&listener->address, &listener->file);

    if (fd < 0)
        return false;
    add_socket(listener, fd);
    listener->listening = 1;
    listener->passed = true;
    return true;
}

static bool open_port(struct listener *listener, const struct listen_settings *settings,
                      uint32_t slots, struct error *error)
{
    if (!listener->passed) {
        int fd = bind_one(&listener->address, settings->reuseport, error);
        if (fd < 0)
            return false;
        add_socket(listener, fd);
        listener->reuseport_set = settings->reuseport;
    }
    if (!listener_prepare(listener, settings->reuseport, slots, error))
        return false;
    return listener_commit(listener, settings, error);
}

struct listener *listener_open(struct listeners *listeners, const struct address *address,
                               const struct listen_settings *settings, uint32_t slots,
                               struct error *error)
{
    struct listener *listener = must_zalloc(sizeof(*listener));

    listener->address = *address;
    bool is_path = unix_path(address) != NULL;
    bool opened = open_passed(listener);
    if (!is_path)
        opened = open_port(listener, settings, slots, error);
    else if (!opened)
        opened = open_path(listener, settings, error);
    if (!opened) {
        listener_free(listener);
        return NULL;
    }
    listener->id = ++listeners->last_id;
    listener->next = listeners->first;
    listeners->first = listener;
    return listener;
}

void listener_close(struct listeners *listeners, struct listener *listener, bool unlink_path)
{
    for (struct listener **at = &listeners->first; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    if (unlink_path && !listener->passed && unix_path(&listener->address) != NULL)
        own_file_remove(unix_path(&listener->address), listener->file);
    listener_free(listener);
}
