/* What a module's child may keep of the server. See forked.h. */
#include "rpc/forked.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log_seldom.h"
#include "base/memory.h"

#define MEMORIES_MAX 4u

/* An open file: its number may be a module's by the time of the fork. */
struct descriptor {
    int fd;
    dev_t device;
    ino_t inode;
};

static struct {
    const struct loop *loop;
    struct descriptor *descriptors;
    size_t count;
    struct {
        char *start;
        size_t size;
    } memories[MEMORIES_MAX];
    size_t memory_count;
    forked_whose *whose;
    bool is_child;
} forked;

bool forked_is_child(void)
{
    return forked.is_child;
}

_Noreturn void forked_came_back(void)
{
    const char *module, *method;

    forked.whose(&module, &method);
    log_seldom(
        LOG_ERROR_LEVEL, method,
        "module %s: \"%s\" has forked, and the child came back into the server; it ends here "
        "(pid %d), and its parent goes on. A child must call exec or _exit",
        module, method, (int)getpid());
    for (;;)
        syscall(SYS_exit_group, 0);
}

/* The child has written where it can only read: it answers a request, or its handler has returned.
 * Any other fault is the module's own. */
static void touched(int number, siginfo_t *info, void *context)
{
    const char *at = info->si_addr;

    (void)context;
    for (size_t i = 0; i < forked.memory_count; i++) {
        if (at >= forked.memories[i].start &&
            at < forked.memories[i].start + forked.memories[i].size)
            forked_came_back();
    }
    signal(number, SIG_DFL);
}

static bool is_same(const struct descriptor *descriptor)
{
    struct stat status;

    return fstat(descriptor->fd, &status) == 0 && status.st_dev == descriptor->device &&
           status.st_ino == descriptor->inode;
}

/* All that the loop owns, a run of numbers at a time: clients are many, and neighbours. */
static void close_owned(const struct loop *loop)
{
    int end = loop_owned_end(loop);

    for (int fd = 0; fd < end; fd++) {
        int first = fd;
        while (fd < end && loop_owns(loop, fd))
            fd++;
        if (fd > first)
            syscall(SYS_close_range, (unsigned)first, (unsigned)fd - 1, 0);
    }
    syscall(SYS_close, loop->epoll);
}

/* By system calls: close(3) is watched over for modules (module/fd_guard.h). */
static void in_child(void)
{
    struct sigaction action = {.sa_sigaction = touched, .sa_flags = SA_SIGINFO | SA_NODEFER};

    forked.is_child = true;
    log_in_child();
    for (size_t i = 0; i < forked.count; i++) {
        if (is_same(&forked.descriptors[i]))
            syscall(SYS_close, forked.descriptors[i].fd);
    }
    if (forked.loop != NULL)
        close_owned(forked.loop);
    for (size_t i = 0; i < forked.memory_count; i++)
        mprotect(forked.memories[i].start, forked.memories[i].size, PROT_READ);
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
}

void forked_begin(const struct loop *loop, const int *fds, size_t count, forked_whose *whose)
{
    struct stat status;

    log_seldom_with_children();
    forked.loop = loop;
    forked.whose = whose;
    forked.descriptors = must_alloc(count * sizeof(*forked.descriptors));
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0 && fstat(fds[i], &status) == 0)
            forked.descriptors[forked.count++] =
                (struct descriptor){.fd = fds[i], .device = status.st_dev, .inode = status.st_ino};
    }
    pthread_atfork(NULL, NULL, in_child);
}

void forked_protect(void *memory, size_t size)
{
    if (forked.memory_count == MEMORIES_MAX)
        abort();
    forked.memories[forked.memory_count].start = memory;
    forked.memories[forked.memory_count++].size = size;
}
