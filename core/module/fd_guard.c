/* Checking module code's calls on descriptors. See fd_guard.h. */
#include "module/fd_guard.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pillion/module.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "rpc/callback.h"
#include "rpc/note.h"
#include "rpc/offload.h"

/* The other functions are declared by the headers of libc. */
PILLION_EXPORT int close_range(unsigned first, unsigned last, int flags);

/* libc's own functions. Some of them are cancellation points (pthreads(7)), and its fcntl(2) does
 * more than the system call. */
static struct {
    int (*shutdown)(int fd, int how);
    int (*listen)(int fd, int backlog);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t size);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t size);
    int (*fcntl)(int fd, int command, ...);
    int (*ioctl)(int fd, unsigned long request, ...);
} libc;

static const struct loop *guarded;
static pid_t guarded_pid;

/* Runs before main, because a child of fork(2) in a process with threads may not call dlsym(3). */
__attribute__((constructor)) static void find_libc(void)
{
    *(void **)&libc.shutdown = dlsym(RTLD_NEXT, "shutdown");
    *(void **)&libc.listen = dlsym(RTLD_NEXT, "listen");
    *(void **)&libc.connect = dlsym(RTLD_NEXT, "connect");
    *(void **)&libc.setsockopt = dlsym(RTLD_NEXT, "setsockopt");
    *(void **)&libc.ioctl = dlsym(RTLD_NEXT, "ioctl");
    *(void **)&libc.fcntl = dlsym(RTLD_NEXT, "fcntl64");
    if (libc.fcntl == NULL)
        *(void **)&libc.fcntl = dlsym(RTLD_NEXT, "fcntl");
}

/* Another library's constructor may call one of these functions before find_libc has run. */
#define LIBC(name) (libc.name == NULL ? find_libc() : (void)0, libc.name)

void fd_guard_start(const struct loop *loop)
{
    guarded_pid = getpid();
    guarded = loop;
}

/* ---- Refusing ---- */

/* True for a descriptor of the server's. A module may redirect 0 to 2: the log that goes to
 * standard error has a descriptor of its own (log_move_apart). */
static bool is_servers(int fd)
{
    return loop_owns(guarded, fd) || (fd > STDERR_FILENO && fd == log_descriptor());
}

/* True when the calling thread runs module code. On the loop's thread module code is noted
 * (rpc/note.h). Every other thread is a module's, even one that was made without pthread_create(3)
 * and so is not noted. */
static bool is_module(void)
{
    return guarded != NULL && (note_instance() != NULL || !offload_is_loop());
}

/* Ends the process if module code calls `function` on a descriptor of the server's. Children of
 * fork(2) may close their copies. */
static void check(const char *function, int fd)
{
    if (!is_module() || !is_servers(fd) || getpid() != guarded_pid)
        return;
    struct whose whose = note_whose();
    log_error(
        "module %s: %s%s%s called %s on descriptor %d, which is the server's; the worker ends "
        "before clients are hurt",
        whose.module, whose.quote, whose.code, whose.quote, function, fd);
    abort();
}

static void check_range(const char *function, unsigned first, unsigned last)
{
    if (!is_module())
        return;
    int log = log_descriptor();
    if (log >= 0 && (unsigned)log >= first && (unsigned)log <= last)
        check(function, log);
    unsigned end = (unsigned)loop_owned_end(guarded);
    for (unsigned fd = first; fd <= last && fd < end; fd++)
        check(function, (int)fd);
}

/* ---- Calls that end a descriptor ---- */

PILLION_EXPORT int close(int fd)
{
    check("close", fd);
    if (offload_is_loop())
        callbacks_closing(fd);
    return (int)syscall(SYS_close, fd);
}

PILLION_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (((unsigned)flags & CLOSE_RANGE_CLOEXEC) == 0)
        check_range("close_range", first, last);
    return (int)syscall(SYS_close_range, first, last, flags);
}

PILLION_EXPORT void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

PILLION_EXPORT int dup3(int from, int to, int flags)
{
    check("dup3", to);
    return (int)syscall(SYS_dup3, from, to, flags);
}

PILLION_EXPORT int dup2(int from, int to)
{
    /* dup3(2) refuses what dup2(2) allows: the same descriptor twice. */
    if (from == to)
        return fcntl(from, F_GETFD) < 0 ? -1 : to;
    check("dup2", to);
    return (int)syscall(SYS_dup3, from, to, 0);
}

/* ---- Calls that change the open file, for all processes that have it ---- */

PILLION_EXPORT int shutdown(int fd, int how)
{
    check("shutdown", fd);
    return LIBC(shutdown)(fd, how);
}

/* listen(2) would change the length of a listener's queue. */
PILLION_EXPORT int listen(int fd, int backlog)
{
    check("listen", fd);
    return LIBC(listen)(fd, backlog);
}

/* connect(2) with AF_UNSPEC would end a connection or a listener. */
PILLION_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    check("connect", fd);
    return LIBC(connect)(fd, address, size);
}

PILLION_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    check("setsockopt", fd);
    return LIBC(setsockopt)(fd, level, name, value, size);
}

/* F_SETFL sets O_NONBLOCK and O_ASYNC for all processes that have the open file; other commands
 * change nothing for them. */
PILLION_EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_SETFL)
        check("fcntl(F_SETFL)", fd);
    return LIBC(fcntl)(fd, command, argument);
}

PILLION_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl(fd, command, argument);
}

PILLION_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;

    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == FIONBIO || request == FIOASYNC)
        check(request == FIONBIO ? "ioctl(FIONBIO)" : "ioctl(FIOASYNC)", fd);
    return LIBC(ioctl)(fd, request, argument);
}
