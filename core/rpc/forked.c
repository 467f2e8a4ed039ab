/* What a module's child may keep of the server. See forked.h. */
#include "rpc/forked.h"

#include <dlfcn.h>
#include <pillion/module.h>
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
    pid_t parent;
    bool tidied; /* in a child: it has nothing of the server's any more */
} forked;

/* Zero in a child. In a page that the kernel clears there (Linux 4.14), so that it is so in
 * children of which libc does not know; where there is none, in children of fork(3) and _Fork(3).
 */
static int unwiped = 1, *mark = &unwiped;

/* libc's fork(3) takes no notice of the executable's _Fork. */
static pid_t (*libc_fork)(void);

bool forked_is_child(void)
{
    return *mark == 0;
}

static void in_child(void);

_Noreturn void forked_came_back(void)
{
    struct whose whose = forked.whose();

    /* Behind libc's back a lock of malloc's may have been copied while it was held. */
    in_child();
    signal(SIGALRM, SIG_DFL);
    alarm(5);
    log_seldom(
        LOG_ERROR_LEVEL, whose.code,
        "module %s: %s%s%s has forked, and the child came back into the server; it ends here "
        "(pid %d), and its parent goes on. A child must call exec or _exit",
        whose.module, whose.quote, whose.code, whose.quote, (int)getpid());
    for (;;)
        syscall(SYS_exit_group, 0);
}

/* It answers a request, or its handler has returned. Any other fault is the module's own. */
void forked_fault(const void *address)
{
    const char *at = address;

    if (forked.whose == NULL || getpid() == forked.parent)
        return;
    for (size_t i = 0; i < forked.memory_count; i++) {
        if (at >= forked.memories[i].start &&
            at < forked.memories[i].start + forked.memories[i].size)
            forked_came_back();
    }
}

/* The child has written where it can only read. */
static void touched(int number, siginfo_t *info, void *context)
{
    (void)context;
    forked_fault(info->si_addr);
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

    if (forked.whose == NULL)
        return;
    *mark = 0;
    if (forked.tidied)
        return;
    forked.tidied = true;
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

/* ---- Around fork(3) ---- */

static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;

static void advise(int advice)
{
    for (size_t i = 0; i < forked.memory_count; i++)
        madvise(forked.memories[i].start, forked.memories[i].size, advice);
}

static void before_fork(void)
{
    pthread_mutex_lock(&forking);
    advise(MADV_DOFORK);
}

static void in_parent(void)
{
    advise(MADV_DONTFORK);
    pthread_mutex_unlock(&forking);
}

static void in_child_of_fork(void)
{
    pthread_mutex_unlock(&forking);
    in_child();
}

/* Before main, because dlsym(3) is not safe where _Fork(3) is. */
__attribute__((constructor)) static void find_libc(void)
{
    *(void **)&libc_fork = dlsym(RTLD_NEXT, "_Fork");
}

PILLION_EXPORT pid_t _Fork(void)
{
    pid_t pid = libc_fork == NULL ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : libc_fork();

    if (pid == 0)
        in_child();
    return pid;
}

static void make_mark(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    int *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    madvise(page, size, MADV_WIPEONFORK);
    *page = 1;
    mark = page;
}

void forked_begin(const struct loop *loop, const int *fds, size_t count, forked_whose *whose)
{
    struct stat status;

    log_seldom_with_children();
    forked.loop = loop;
    forked.whose = whose;
    forked.parent = getpid();
    make_mark();
    forked.descriptors = must_alloc(count * sizeof(*forked.descriptors));
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0 && fstat(fds[i], &status) == 0)
            forked.descriptors[forked.count++] =
                (struct descriptor){.fd = fds[i], .device = status.st_dev, .inode = status.st_ino};
    }
    pthread_atfork(before_fork, in_parent, in_child_of_fork);
}

void forked_protect(void *memory, size_t size)
{
    if (forked.memory_count == MEMORIES_MAX)
        abort();
    forked.memories[forked.memory_count].start = memory;
    forked.memories[forked.memory_count++].size = size;
    madvise(memory, size, MADV_DONTFORK);
}
