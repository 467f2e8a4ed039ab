/* A library to preload: makes the system calls of workers fail and fall short, again and again, in
 * all the ways that their manual pages allow. Only processes whose name begins with "worker" are
 * hit, and calls that send descriptors in the master and the vaults. In other processes unlink(2)
 * is slow. FAULTS_ACCEPT=N has accept4(2) fail with errno N and nothing else fail, a few times. See
 * test_faults.c. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

/* A plain generator (xorshift): the same run each time, for each process. */
static unsigned roll(unsigned sides)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % sides;
}

static bool is_worker(void)
{
    static pid_t asked;
    static bool answer;

    if (asked != getpid()) {
        char name[16] = "";
        prctl(PR_GET_NAME, name, 0, 0, 0);
        answer = strncmp(name, "worker", 6) == 0;
        if (answer)
            asked = getpid();
    }
    return answer;
}

/* The errno that accept4 is to fail with, or 0. */
static int accept_error(void)
{
    const char *number = getenv("FAULTS_ACCEPT");
    return number == NULL ? 0 : atoi(number);
}

static bool sends_descriptors(void)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name, 0, 0, 0);
    return is_worker() || strncmp(name, "vault", 5) == 0 || strncmp(name, "master", 6) == 0;
}

static bool rolled(const int *errors, unsigned count);

/* Fails with one of `errors` in one call of four. */
static bool fails(const int *errors, unsigned count)
{
    return is_worker() && rolled(errors, count);
}

static bool rolled(const int *errors, unsigned count)
{
    if (accept_error() != 0 || roll(4) != 0)
        return false;
    errno = errors[roll(count)];
    return true;
}

/* In three calls of four, only a few bytes. */
static size_t shortened(size_t size)
{
    size_t few = 1 + roll(9);
    return !is_worker() || accept_error() != 0 || roll(4) == 0 || size < few ? size : few;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Does not fail, but takes long, so that other processes can come in between. */
int unlink(const char *path)
{
    if (!is_worker())
        usleep(100000);
    return REAL(unlink)(path);
}

/* The machine's clock, set back a day as soon as the file that the variable names is there. */
static time_t shift(void)
{
    const char *path = getenv("PILLION_TEST_BACK");
    return path != NULL && access(path, F_OK) == 0 ? -86400 : 0;
}

time_t time(time_t *to)
{
    time_t now = REAL(time)(NULL) + shift();

    if (to != NULL)
        *to = now;
    return now;
}

int clock_gettime(clockid_t clock, struct timespec *to)
{
    int status = REAL(clock_gettime)(clock, to);

    if (clock == CLOCK_REALTIME)
        to->tv_sec += shift();
    return status;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (fails((const int[]){EINTR, EAGAIN, ENOMEM}, 3))
        return -1;
    return REAL(recv)(fd, buffer, shortened(size), flags);
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    if (fails((const int[]){EINTR, EAGAIN, ENOMEM, ENOBUFS}, 4))
        return -1;
    return REAL(send)(fd, buffer, shortened(size), flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    static int forced;

    if (is_worker() && accept_error() != 0 && forced++ < 3) {
        errno = accept_error();
        return -1;
    }
    if (fails((const int[]){EINTR, ECONNABORTED, EMFILE, ENFILE, ENOMEM}, 5))
        return -1;
    return REAL(accept4)(fd, address, size, flags);
}

/* Fails for clients only, and a few times: elsewhere a failure would only keep the worker from
 * starting. */
int epoll_ctl(int epoll, int how, int fd, struct epoll_event *event)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    if (how == EPOLL_CTL_ADD && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
        peer.ss_family == AF_INET && fails((const int[]){ENOMEM, ENOSPC}, 2))
        return -1;
    return REAL(epoll_ctl)(epoll, how, fd, event);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (message->msg_controllen > 0 && sends_descriptors() &&
        rolled((const int[]){EINTR, EAGAIN, ETOOMANYREFS, ENOBUFS}, 4))
        return -1;
    return REAL(sendmsg)(fd, message, flags);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
    if (fails((const int[]){EINTR}, 1))
        return -1;
    return REAL(epoll_wait)(epoll, events, count, timeout);
}
