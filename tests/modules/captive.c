/* A module that has been taken over: each call of `attempt` makes one system call that the sandbox
 * is to refuse, by its number as shellcode does. The reply has the call's result, or its errno as a
 * negative number. With CAPTIVE_NEEDS it declares something; with CAPTIVE_EARLY its constructor
 * starts a program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pillion/module.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct call {
    int pid, port;
    const char *path;
};

static long try_execve(const struct call *call)
{
    char *const argv[] = {(char *)(size_t) "/bin/true", NULL};

    (void)call;
    return syscall(SYS_execve, argv[0], argv, argv + 1);
}

static long try_execveat(const struct call *call)
{
    int fd = memfd_create("x", 0);

    (void)call;
    return syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH);
}

static long try_fork(const struct call *call)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    (void)call;
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    return pid;
}

static long try_namespace(const struct call *call)
{
    long pid = syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0);

    (void)call;
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    return pid;
}

static long try_ptrace(const struct call *call)
{
    return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, call->pid, 0, 0);
}

static long try_kill(const struct call *call)
{
    return syscall(SYS_kill, call->pid, SIGTERM);
}

static long try_tgkill(const struct call *call)
{
    return syscall(SYS_tgkill, call->pid, call->pid, SIGKILL);
}

static long try_vm_read(const struct call *call)
{
    char byte;
    struct iovec own = {&byte, 1}, other = {(void *)(size_t)call, 1};

    return syscall(SYS_process_vm_readv, call->pid, &own, 1, &other, 1, 0);
}

static long try_vm_write(const struct call *call)
{
    char byte = 0;
    struct iovec own = {&byte, 1}, other = {(void *)(size_t)call, 1};

    return syscall(SYS_process_vm_writev, call->pid, &own, 1, &other, 1, 0);
}

static long try_memory(const struct call *call)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/mem", call->pid);
    return syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
}

static long try_environment(const struct call *call)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/environ", call->pid);
    return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

static long try_take_descriptor(const struct call *call)
{
    return syscall(SYS_pidfd_getfd, call->pid, 3, 0);
}

static long try_limit(const struct call *call)
{
    struct rlimit none = {0, 0};

    return syscall(SYS_prlimit64, call->pid, RLIMIT_NOFILE, &none, NULL);
}

static long try_dumpable(const struct call *call)
{
    (void)call;
    return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_outlive(const struct call *call)
{
    (void)call;
    return syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static long try_read(const struct call *call)
{
    return syscall(SYS_openat, AT_FDCWD, call->path, O_RDONLY | O_CLOEXEC, 0);
}

static long try_create(const struct call *call)
{
    return syscall(SYS_openat, AT_FDCWD, call->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_unlink(const struct call *call)
{
    return syscall(SYS_unlinkat, AT_FDCWD, call->path, 0);
}

static long try_socket(const struct call *call)
{
    (void)call;
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long try_unix_socket(const struct call *call)
{
    (void)call;
    return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long try_connect(const struct call *call)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)call->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? fd : syscall(SYS_connect, fd, &to, sizeof(to));
}

/* Makes a connected socket, such as a client's, one that could be connected elsewhere. */
static long try_reconnect(const struct call *call)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    return syscall(SYS_connect, call->pid, &nowhere, sizeof(nowhere));
}

static long try_mount(const struct call *call)
{
    (void)call;
    return syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, 0);
}

static long try_unshare(const struct call *call)
{
    (void)call;
    return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long try_io_uring(const struct call *call)
{
    char params[120] = {0};

    (void)call;
    return syscall(SYS_io_uring_setup, 1, params);
}

static long try_bpf(const struct call *call)
{
    char attributes[64] = {0};

    (void)call;
    return syscall(SYS_bpf, 0, attributes, sizeof(attributes));
}

static long try_perf(const struct call *call)
{
    char attributes[128] = {0};

    (void)call;
    return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}

static long try_userfaultfd(const struct call *call)
{
    (void)call;
    return syscall(SYS_userfaultfd, 0);
}

static long try_keyctl(const struct call *call)
{
    (void)call;
    return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static long try_handle(const struct call *call)
{
    (void)call;
    return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY);
}

static long try_type(const struct call *call)
{
    (void)call;
    return syscall(SYS_ioctl, 1, TIOCSTI, "x");
}

static long try_setuid(const struct call *call)
{
    (void)call;
    return syscall(SYS_setuid, 0);
}

static long try_unknown(const struct call *call)
{
    (void)call;
    return syscall(463, 0);
}

#ifdef __x86_64__
/* The 32-bit call of the same kernel: 11 is its execve. */
static long try_int80(const struct call *call)
{
    long result;

    (void)call;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(11L), "b"(0L), "c"(0L), "d"(0L) : "memory");
    return result;
}

static long try_x32(const struct call *call)
{
    (void)call;
    return syscall(0x40000000 | 520, 0, 0, 0);
}
#endif

/* Blocks the signal that would tell of it. */
static long try_blocked(const struct call *call)
{
    sigset_t set;

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGSYS, SIG_IGN);
    return try_execve(call);
}

static void *thread_main(void *call)
{
    return (void *)try_execve(call);
}

static long try_thread(const struct call *call)
{
    pthread_t thread;
    void *result = NULL;

    if (pthread_create(&thread, NULL, thread_main, (void *)(size_t)call) == 0)
        pthread_join(thread, &result);
    return (long)result;
}

/* Random bytes, and messages that are nearly right, into every socket of the worker's that is no
 * client's: its channels to the master and to the vaults. */
static long try_garbage(const struct call *call)
{
    unsigned seed = (unsigned)call->pid;
    static char bytes[16384];
    long sent = 0;

    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)rand_r(&seed) % (round % 2 == 0 ? 64 : sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)(rand_r(&seed) >> 8);
        if (round % 4 != 0) { /* type, count, serial, number, adopt: core/process/channel.h */
            uint32_t head[14] = {(uint32_t)rand_r(&seed) % 40,
                                 round % 3 == 0 ? 0 : (uint32_t)round % 254};
            head[2] = (uint32_t)rand_r(&seed) % 16;
            head[4] = (uint32_t)rand_r(&seed) % (round % 5 == 0 ? UINT32_MAX : 64);
            memcpy(bytes, head, sizeof(head));
            size = sizeof(head) + (head[1] > 0 ? 8 * head[1] : 1 + size % 8000);
        }
        for (int fd = 3; fd < 64; fd++) {
            int type = 0;
            socklen_t length = sizeof(type);
            if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET)
                sent += send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
        }
    }
    return sent;
}

/* Things that every module may do. */
static long try_nothing(const struct call *call)
{
    char name[16];
    struct timespec now;
    time_t when = 0;
    struct tm local;
    sigset_t set;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int memory = memfd_create("x", MFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), pair[2] = {-1, -1};

    (void)call;
    sigemptyset(&set);
    return page == MAP_FAILED || munmap(page, 4096) != 0 || memory < 0 || null < 0 || maps < 0 ||
           prctl(PR_SET_NAME, "captive") != 0 || prctl(PR_GET_NAME, name) != 0 ||
           clock_gettime(CLOCK_REALTIME, &now) != 0 || localtime_r(&when, &local) == NULL ||
           socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || kill(getpid(), 0) != 0 ||
           setpriority(PRIO_PROCESS, 0, 1) != 0 || close(null) != 0 || close(memory) != 0 ||
           close(maps) != 0 || close(pair[0]) != 0 || close(pair[1]) != 0;
}

static const struct {
    const char *name;
    long (*attempt)(const struct call *call);
} attempts[] = {
    {"execve", try_execve},
    {"execveat", try_execveat},
    {"fork", try_fork},
    {"namespace", try_namespace},
    {"ptrace", try_ptrace},
    {"kill", try_kill},
    {"tgkill", try_tgkill},
    {"vm_read", try_vm_read},
    {"vm_write", try_vm_write},
    {"memory", try_memory},
    {"environment", try_environment},
    {"take_descriptor", try_take_descriptor},
    {"limit", try_limit},
    {"dumpable", try_dumpable},
    {"outlive", try_outlive},
    {"read", try_read},
    {"create", try_create},
    {"unlink", try_unlink},
    {"socket", try_socket},
    {"unix_socket", try_unix_socket},
    {"connect", try_connect},
    {"reconnect", try_reconnect},
    {"mount", try_mount},
    {"unshare", try_unshare},
    {"io_uring", try_io_uring},
    {"bpf", try_bpf},
    {"perf", try_perf},
    {"userfaultfd", try_userfaultfd},
    {"keyctl", try_keyctl},
    {"handle", try_handle},
    {"type", try_type},
    {"setuid", try_setuid},
    {"unknown", try_unknown},
#ifdef __x86_64__
    {"int80", try_int80},
    {"x32", try_x32},
#endif
    {"blocked", try_blocked},
    {"thread", try_thread},
    {"garbage", try_garbage},
    {"nothing", try_nothing},
};

struct args {
    const char *what;
    int64_t pid;
    int64_t port;
    const char *path;
};

static const pillion_param args_params[] = {
    PILLION_PARAM(struct args, what, PILLION_STRING, .required = true),
    PILLION_PARAM(struct args, pid, PILLION_INTEGER, .fallback = "0"),
    PILLION_PARAM(struct args, port, PILLION_INTEGER, .fallback = "0"),
    PILLION_PARAM(struct args, path, PILLION_STRING, .fallback = "\"\""),
    {0},
};

static void attempt(pillion_request *req)
{
    const struct args *args = pillion_args(req);
    const struct call call = {(int)args->pid, (int)args->port, args->path};

    if (args->pid == getpid()) {
        pillion_fail(req, "itself", "the process is this one");
        return;
    }
    for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
        if (strcmp(attempts[i].name, args->what) != 0)
            continue;
        errno = 0;
        long result = attempts[i].attempt(&call);
        pillion_reply(req, "result", cJSON_CreateNumber(result < 0 ? -errno : (double)result));
        return;
    }
    pillion_fail(req, "unknown", "no such attempt");
}

#ifdef CAPTIVE_EARLY
__attribute__((constructor)) static void early(void)
{
    try_execve(NULL);
}
#endif

#ifndef CAPTIVE_NEEDS
#define CAPTIVE_NEEDS 0
#endif

struct config {
    const char *file;
};

static const pillion_directive directives[] = {
    {.name = "file", .type = PILLION_PATH, .offset = offsetof(struct config, file)},
    {0},
};

static const pillion_method methods[] = {
    {.name = "attempt", .handler = attempt, PILLION_PARAMS(struct args, args_params)},
    {0},
};

PILLION_MODULE(.name = "captive", .version = "1", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .needs = CAPTIVE_NEEDS);
