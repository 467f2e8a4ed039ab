/* Every function of libc that the server imports, and how it is made to fail in test_calls.
 *
 * CALL(name, way, error): it fails with `error`, one of those in its manual page that a sound
 * server may meet. Those of exceptions.h are not made to fail. test_calls compares the names with
 * the binary's imports (nm -D), so that a new call has to be put here. */

/* What a call that fails does. */
enum way {
    MINUS,  /* returns -1, and MAP_FAILED, with errno */
    ZERO,   /* returns 0 or NULL, with errno */
    NUMBER, /* returns the error itself */
    AFTER,  /* is done, and then returns -1 with errno: what it was to close is closed */
};

#define CALLS(CALL)                          \
    CALL(accept4, MINUS, EMFILE)             \
    CALL(access, MINUS, EACCES)              \
    CALL(bind, MINUS, EACCES)                \
    CALL(chmod, MINUS, EPERM)                \
    CALL(chdir, MINUS, EACCES)               \
    CALL(clock_getcpuclockid, NUMBER, ESRCH) \
    CALL(closedir, AFTER, EINTR)             \
    CALL(connect, MINUS, ECONNREFUSED)       \
    CALL(epoll_create1, MINUS, EMFILE)       \
    CALL(epoll_ctl, MINUS, ENOMEM)           \
    CALL(epoll_pwait2, MINUS, EINTR)         \
    CALL(epoll_wait, MINUS, EINTR)           \
    CALL(eventfd, MINUS, EMFILE)             \
    CALL(eventfd_read, MINUS, EAGAIN)        \
    CALL(eventfd_write, MINUS, EAGAIN)       \
    CALL(execv, MINUS, ENOENT)               \
    CALL(execvp, MINUS, ENOENT)              \
    CALL(faccessat, MINUS, EACCES)           \
    CALL(fchownat, MINUS, EPERM)             \
    CALL(fclose, AFTER, EIO)                 \
    CALL(fcntl, MINUS, EMFILE)               \
    CALL(fexecve, MINUS, ENOMEM)             \
    CALL(fflush, AFTER, EIO)                 \
    CALL(fgets, ZERO, EIO)                   \
    CALL(flock, MINUS, ENOLCK)               \
    CALL(fopen, ZERO, EMFILE)                \
    CALL(fork, MINUS, EAGAIN)                \
    CALL(fread, ZERO, EIO)                   \
    CALL(fstat, MINUS, ENOMEM)               \
    CALL(fstatat, MINUS, EACCES)             \
    CALL(ftruncate, MINUS, ENOSPC)           \
    CALL(futimens, MINUS, EPERM)             \
    CALL(getaddrinfo, NUMBER, EAI_AGAIN)     \
    CALL(getcwd, ZERO, ENOENT)               \
    CALL(__getdelim, MINUS, ENOMEM)          \
    CALL(getgrnam, ZERO, EMFILE)             \
    CALL(getnameinfo, NUMBER, EAI_FAIL)      \
    CALL(getpeername, MINUS, ENOBUFS)        \
    CALL(getpwnam, ZERO, EMFILE)             \
    CALL(getpwuid_r, NUMBER, EMFILE)         \
    CALL(getrandom, MINUS, ENOSYS)           \
    CALL(getsockname, MINUS, ENOBUFS)        \
    CALL(getsockopt, MINUS, ENOBUFS)         \
    CALL(glob, NUMBER, GLOB_NOSPACE)         \
    CALL(initgroups, MINUS, ENOMEM)          \
    CALL(inotify_add_watch, MINUS, ENOSPC)   \
    CALL(inotify_init1, MINUS, EMFILE)       \
    CALL(ioctl, MINUS, ENOMEM)               \
    CALL(__isoc99_fscanf, MINUS, EIO)        \
    CALL(kill, MINUS, EPERM)                 \
    CALL(listen, MINUS, EADDRINUSE)          \
    CALL(lseek, MINUS, ESPIPE)               \
    CALL(lstat, MINUS, EACCES)               \
    CALL(madvise, MINUS, EAGAIN)             \
    CALL(memfd_create, MINUS, EMFILE)        \
    CALL(mkdir, MINUS, EACCES)               \
    CALL(mmap, MINUS, ENOMEM)                \
    CALL(mprotect, MINUS, ENOMEM)            \
    CALL(munmap, MINUS, ENOMEM)              \
    CALL(nanosleep, MINUS, EINTR)            \
    CALL(open, MINUS, EMFILE)                \
    CALL(openat, MINUS, EMFILE)              \
    CALL(opendir, ZERO, EMFILE)              \
    CALL(pipe2, MINUS, EMFILE)               \
    CALL(poll, MINUS, ENOMEM)                \
    CALL(posix_fallocate, NUMBER, ENOSPC)    \
    CALL(prctl, MINUS, EPERM)                \
    CALL(pread, MINUS, EIO)                  \
    CALL(pthread_create, NUMBER, EAGAIN)     \
    CALL(pwrite, MINUS, ENOSPC)              \
    CALL(pwritev2, MINUS, EIO)               \
    CALL(read, MINUS, EIO)                   \
    CALL(readdir, ZERO, EIO)                 \
    CALL(readlink, MINUS, EACCES)            \
    CALL(readlinkat, MINUS, EACCES)          \
    CALL(realpath, ZERO, EACCES)             \
    CALL(recv, MINUS, ENOMEM)                \
    CALL(recvmsg, MINUS, ENOMEM)             \
    CALL(sched_getaffinity, MINUS, EINVAL)   \
    CALL(sched_setaffinity, MINUS, EINVAL)   \
    CALL(send, MINUS, ENOBUFS)               \
    CALL(sendmsg, MINUS, ENOBUFS)            \
    CALL(setenv, MINUS, ENOMEM)              \
    CALL(setgid, MINUS, EPERM)               \
    CALL(setrlimit, MINUS, EPERM)            \
    CALL(setsid, MINUS, EPERM)               \
    CALL(setsockopt, MINUS, ENOBUFS)         \
    CALL(setuid, MINUS, EAGAIN)              \
    CALL(shutdown, MINUS, ENOBUFS)           \
    CALL(sigaltstack, MINUS, ENOMEM)         \
    CALL(signalfd, MINUS, EMFILE)            \
    CALL(socket, MINUS, EMFILE)              \
    CALL(socketpair, MINUS, EMFILE)          \
    CALL(stat, MINUS, EACCES)                \
    CALL(statvfs, MINUS, EACCES)             \
    CALL(syscall, AFTER, EINTR)              \
    CALL(sysconf, MINUS, EINVAL)             \
    CALL(tcgetattr, MINUS, EIO)              \
    CALL(tcsetattr, MINUS, EIO)              \
    CALL(unlink, MINUS, EACCES)              \
    CALL(usleep, MINUS, EINTR)               \
    CALL(waitpid, MINUS, EINTR)              \
    CALL(write, MINUS, ENOSPC)
