/* The table of system calls. See sandbox_calls.h.
 *
 * What decides: a call on what the process has already (memory, its descriptors, its threads, its
 * own signals) is allowed. Opening files is allowed too, because Landlock decides about the path
 * (sandbox_files.h); changing them asks for a need, for kernels without Landlock. Calls that libc
 * or a library makes to try something get an errno; calls that nobody makes by chance end the
 * process, so that they are seen. */
#include "process/sandbox_calls.h"

#include <errno.h>
#include <pillion/module.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NETWORK   (PILLION_NEEDS_NETWORK | SANDBOX_ANY)
#define SOCKETS   (PILLION_NEEDS_NETWORK | SANDBOX_ANY | SANDBOX_SYSLOG)
#define FILES     (PILLION_NEEDS_FILES | SANDBOX_ANY)
#define PROCESSES (PILLION_NEEDS_PROCESSES | SANDBOX_ANY)

#define CALL(call) .name = #call, .number = SYS_##call
#define ALWAYS(call) \
    {                \
        CALL(call)   \
    }
#define WITH(needs_, refusal_, call)                         \
    {                                                        \
        CALL(call), .needs = (needs_), .refusal = (refusal_) \
    }
#define NEVER(call)           WITH(SANDBOX_NOBODY, 0, call)
#define ERRNO(refusal_, call) WITH(SANDBOX_NOBODY, refusal_, call)
#define IS(argument_, value_)                                       \
    {                                                               \
        .argument = (argument_), .test = TEST_IS, .value = (value_) \
    }
#define HAS(argument_, value_)                                       \
    {                                                                \
        .argument = (argument_), .test = TEST_HAS, .value = (value_) \
    }
#define SELF(argument_)                            \
    {                                              \
        .argument = (argument_), .test = TEST_SELF \
    }
#define WHEN(condition, call)             \
    {                                     \
        CALL(call), .when = { condition } \
    }
#define WHEN2(first, second, call)            \
    {                                         \
        CALL(call), .when = { first, second } \
    }
#define WHEN_WITH(condition, needs_, refusal_, call)                              \
    {                                                                             \
        CALL(call), .when = {condition}, .needs = (needs_), .refusal = (refusal_) \
    }

static struct sandbox_row rows[] = {
    /* What every worker does all the time. */
    ALWAYS(read),
    ALWAYS(write),
    ALWAYS(close),
    ALWAYS(readv),
    ALWAYS(writev),
    ALWAYS(sendto),
    ALWAYS(recvfrom),
    ALWAYS(sendmsg),
    ALWAYS(recvmsg),
    ALWAYS(accept),
    ALWAYS(accept4),
    ALWAYS(epoll_ctl),
    ALWAYS(epoll_pwait),
    ALWAYS(epoll_pwait2),
    ALWAYS(epoll_create1),
    ALWAYS(futex),
    ALWAYS(clock_gettime),
    ALWAYS(getrandom),

    /* Memory. */
    ALWAYS(mmap),
    ALWAYS(mprotect),
    ALWAYS(munmap),
    ALWAYS(mremap),
    ALWAYS(brk),
    ALWAYS(madvise),
    ALWAYS(msync),
    ALWAYS(mincore),
    ALWAYS(mlock),
    ALWAYS(mlock2),
    ALWAYS(munlock),
    ALWAYS(mlockall),
    ALWAYS(munlockall),
    ALWAYS(membarrier),
    ALWAYS(memfd_create),
    ALWAYS(mbind),
    ALWAYS(get_mempolicy),
    ALWAYS(set_mempolicy),
    ALWAYS(pkey_alloc),
    ALWAYS(pkey_free),
    ALWAYS(pkey_mprotect),

    /* Descriptors. */
    ALWAYS(lseek),
    ALWAYS(pread64),
    ALWAYS(pwrite64),
    ALWAYS(preadv),
    ALWAYS(pwritev),
    ALWAYS(preadv2),
    ALWAYS(pwritev2),
    ALWAYS(dup),
    ALWAYS(dup3),
    ALWAYS(fcntl),
    ALWAYS(flock),
    ALWAYS(fsync),
    ALWAYS(fdatasync),
    ALWAYS(ftruncate),
    ALWAYS(fallocate),
    ALWAYS(fadvise64),
    ALWAYS(readahead),
    ALWAYS(sync_file_range),
    ALWAYS(syncfs),
    ALWAYS(sync),
    ALWAYS(sendfile),
    ALWAYS(splice),
    ALWAYS(tee),
    ALWAYS(vmsplice),
    ALWAYS(copy_file_range),
    ALWAYS(pipe2),
    ALWAYS(eventfd2),
    ALWAYS(signalfd4),
    ALWAYS(timerfd_create),
    ALWAYS(timerfd_settime),
    ALWAYS(timerfd_gettime),
    ALWAYS(inotify_init1),
    ALWAYS(inotify_add_watch),
    ALWAYS(inotify_rm_watch),
    ALWAYS(ppoll),
    ALWAYS(pselect6),
    ALWAYS(close_range),
    ALWAYS(io_setup),
    ALWAYS(io_destroy),
    ALWAYS(io_submit),
    ALWAYS(io_cancel),
    ALWAYS(io_getevents),
    ALWAYS(io_pgetevents),
    WHEN(IS(1, FIONREAD), ioctl),
    WHEN(IS(1, FIONBIO), ioctl),
    WHEN(IS(1, FIOCLEX), ioctl),
    WHEN(IS(1, FIONCLEX), ioctl),
    WHEN(IS(1, TCGETS), ioctl),
    WHEN(IS(1, TIOCGWINSZ), ioctl),
    WHEN(IS(1, TIOCOUTQ), ioctl),
    WHEN(IS(1, FIOASYNC), ioctl),
    WITH(NETWORK | PROCESSES, EPERM, ioctl),

    /* Sockets. Connecting needs a socket that is not connected, and accepted ones can become such
     * (AF_UNSPEC, connect(2)): so both calls ask. */
    WHEN_WITH(IS(0, AF_INET), NETWORK, 0, socket),
    WHEN_WITH(IS(0, AF_INET6), NETWORK, 0, socket),
    WHEN_WITH(IS(0, AF_UNIX), SOCKETS, EACCES, socket),
    WHEN_WITH(IS(0, AF_NETLINK), NETWORK, EAFNOSUPPORT, socket),
    WITH(SANDBOX_ANY, EAFNOSUPPORT, socket),
    WITH(SOCKETS, 0, connect),
    WITH(NETWORK, 0, bind),
    WITH(NETWORK, EACCES, listen),
    ALWAYS(socketpair),
    ALWAYS(shutdown),
    ALWAYS(getsockname),
    ALWAYS(getpeername),
    ALWAYS(setsockopt),
    ALWAYS(getsockopt),
    ALWAYS(sendmmsg),
    ALWAYS(recvmmsg),

    /* Files by their paths: Landlock decides. */
    ALWAYS(openat),
    ALWAYS(openat2),
    ALWAYS(faccessat),
    ALWAYS(faccessat2),
    ALWAYS(fstat),
    ALWAYS(newfstatat),
    ALWAYS(statx),
    ALWAYS(statfs),
    ALWAYS(fstatfs),
    ALWAYS(getdents64),
    ALWAYS(readlinkat),
    ALWAYS(getcwd),
    ALWAYS(chdir),
    ALWAYS(fchdir),
    ALWAYS(umask),
    ALWAYS(getxattr),
    ALWAYS(lgetxattr),
    ALWAYS(fgetxattr),
    ALWAYS(listxattr),
    ALWAYS(llistxattr),
    ALWAYS(flistxattr),
    WITH(FILES, EACCES, truncate),
    WITH(FILES, EACCES, mkdirat),
    WITH(FILES, EACCES, unlinkat),
    WITH(FILES, EACCES, renameat),
    WITH(FILES, EACCES, renameat2),
    WITH(FILES, EACCES, linkat),
    WITH(FILES, EACCES, symlinkat),
    WITH(FILES, EACCES, mknodat),
    WITH(FILES, EPERM, fchmod),
    WITH(FILES, EPERM, fchmodat),
    WITH(FILES, EPERM, fchown),
    WITH(FILES, EPERM, fchownat),
    WHEN(IS(1, 0), utimensat), /* of a descriptor: net/socket_age.h */
    WITH(FILES, EPERM, utimensat),
    WITH(FILES, EPERM, setxattr),
    WITH(FILES, EPERM, lsetxattr),
    WITH(FILES, EPERM, fsetxattr),
    WITH(FILES, EPERM, removexattr),
    WITH(FILES, EPERM, lremovexattr),
    WITH(FILES, EPERM, fremovexattr),

    /* The process itself. */
    ALWAYS(exit),
    ALWAYS(exit_group),
    ALWAYS(getpid),
    ALWAYS(getppid),
    ALWAYS(gettid),
    ALWAYS(getuid),
    ALWAYS(geteuid),
    ALWAYS(getgid),
    ALWAYS(getegid),
    ALWAYS(getresuid),
    ALWAYS(getresgid),
    ALWAYS(getgroups),
    ALWAYS(getpgid),
    ALWAYS(getsid),
    ALWAYS(getpriority),
    ALWAYS(getrusage),
    ALWAYS(getrlimit),
    ALWAYS(setrlimit),
    ALWAYS(times),
    ALWAYS(sysinfo),
    ALWAYS(uname),
    ALWAYS(capget),
    ALWAYS(getcpu),
    ALWAYS(rseq),
    ALWAYS(set_robust_list),
    ALWAYS(get_robust_list),
    ALWAYS(set_tid_address),
    ALWAYS(restart_syscall),
    ALWAYS(sched_yield),
    ALWAYS(sched_getaffinity),
    ALWAYS(sched_getscheduler),
    ALWAYS(sched_getparam),
    ALWAYS(sched_getattr),
    ALWAYS(sched_get_priority_max),
    ALWAYS(sched_get_priority_min),
    ALWAYS(sched_rr_get_interval),
    ALWAYS(ioprio_get),
    ALWAYS(seccomp),
    ALWAYS(landlock_create_ruleset),
    ALWAYS(landlock_add_rule),
    ALWAYS(landlock_restrict_self),
    ALWAYS(wait4),
    ALWAYS(waitid),
    ALWAYS(gettimeofday),
    ALWAYS(clock_getres),
    ALWAYS(clock_nanosleep),
    ALWAYS(nanosleep),
    ALWAYS(getitimer),
    ALWAYS(setitimer),
    ALWAYS(timer_create),
    ALWAYS(timer_settime),
    ALWAYS(timer_gettime),
    ALWAYS(timer_getoverrun),
    ALWAYS(timer_delete),
    ALWAYS(rt_sigaction),
    ALWAYS(rt_sigprocmask),
    ALWAYS(rt_sigreturn),
    ALWAYS(rt_sigpending),
    ALWAYS(rt_sigtimedwait),
    ALWAYS(rt_sigsuspend),
    ALWAYS(sigaltstack),
    ALWAYS(futex_waitv),
    WHEN(IS(0, 0), prlimit64),
    WHEN(SELF(0), prlimit64),
    ERRNO(EPERM, prlimit64),
    WHEN(IS(0, 0), sched_setaffinity),
    WHEN(SELF(0), sched_setaffinity),
    WITH(SANDBOX_ANY, EPERM, sched_setaffinity),
    WHEN(IS(0, 0), sched_setscheduler),
    WHEN(SELF(0), sched_setscheduler),
    WITH(SANDBOX_ANY, EPERM, sched_setscheduler),
    WHEN(IS(0, 0), sched_setparam),
    WHEN(SELF(0), sched_setparam),
    WITH(SANDBOX_ANY, EPERM, sched_setparam),
    WHEN(IS(0, 0), sched_setattr),
    WHEN(SELF(0), sched_setattr),
    WITH(SANDBOX_ANY, EPERM, sched_setattr),
    WHEN2(IS(0, PRIO_PROCESS), IS(1, 0), setpriority),
    WHEN2(IS(0, PRIO_PROCESS), SELF(1), setpriority),
    WITH(SANDBOX_ANY, EPERM, setpriority),
    WHEN2(IS(0, 1), IS(1, 0), ioprio_set),
    WITH(SANDBOX_ANY, EPERM, ioprio_set),
    WHEN(IS(0, PR_SET_NAME), prctl),
    WHEN(IS(0, PR_GET_NAME), prctl),
    WHEN(IS(0, PR_GET_DUMPABLE), prctl),
    WHEN(IS(0, PR_GET_PDEATHSIG), prctl),
    WHEN(IS(0, PR_GET_SECCOMP), prctl),
    WHEN(IS(0, PR_SET_SECCOMP), prctl),
    WHEN(IS(0, PR_GET_NO_NEW_PRIVS), prctl),
    WHEN(IS(0, PR_SET_NO_NEW_PRIVS), prctl),
    WHEN(IS(0, PR_CAPBSET_READ), prctl),
    WHEN(IS(0, PR_SET_TIMERSLACK), prctl),
    WHEN(IS(0, PR_GET_TIMERSLACK), prctl),
    WHEN(IS(0, PR_SET_THP_DISABLE), prctl),
    WHEN(IS(0, PR_GET_THP_DISABLE), prctl),
    WHEN(IS(0, 0x53564d41 /* PR_SET_VMA */), prctl),
    WITH(PROCESSES | SANDBOX_TOOLS, EPERM, prctl),
    WHEN(IS(0, 0xffffffff), personality),
    WITH(SANDBOX_TOOLS, EPERM, personality),

    /* Threads are free, other processes are not. clone3(2) has its flags in memory, where a filter
     * cannot look: libc falls back to clone(2). */

    WHEN_WITH(HAS(0, CLONE_NEWNS), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWCGROUP), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWUTS), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWIPC), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWUSER), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWPID), SANDBOX_NOBODY, 0, clone),
    WHEN_WITH(HAS(0, CLONE_NEWNET), SANDBOX_NOBODY, 0, clone),
    WHEN(HAS(0, CLONE_THREAD), clone),
    WITH(PROCESSES | SANDBOX_TOOLS, 0, clone),
    ERRNO(ENOSYS, clone3),
    WITH(PROCESSES, 0, execve),
    WITH(PROCESSES, 0, execveat),
    WITH(PROCESSES, EPERM, setpgid),
    WITH(PROCESSES, EPERM, setsid),
    WITH(PROCESSES, EPERM, pidfd_open),
    WITH(PROCESSES, 0, pidfd_send_signal),
    WHEN(IS(1, 0), kill),
    WHEN(IS(0, 0), kill),
    WHEN(SELF(0), kill),
    WITH(PROCESSES, 0, kill),
    WHEN(SELF(0), tgkill),
    WITH(PROCESSES, 0, tgkill),
    WITH(PROCESSES, 0, tkill),
    WHEN(SELF(0), rt_sigqueueinfo),
    WITH(PROCESSES, 0, rt_sigqueueinfo),
    WHEN(SELF(0), rt_tgsigqueueinfo),
    WITH(PROCESSES, 0, rt_tgsigqueueinfo),

    /* Between processes without a descriptor. */
    WITH(SANDBOX_ANY, EPERM, shmget),
    WITH(SANDBOX_ANY, EPERM, shmat),
    WITH(SANDBOX_ANY, EPERM, shmdt),
    WITH(SANDBOX_ANY, EPERM, shmctl),
    WITH(SANDBOX_ANY, EPERM, semget),
    WITH(SANDBOX_ANY, EPERM, semop),
    WITH(SANDBOX_ANY, EPERM, semctl),
    WITH(SANDBOX_ANY, EPERM, semtimedop),
    WITH(SANDBOX_ANY, EPERM, msgget),
    WITH(SANDBOX_ANY, EPERM, msgsnd),
    WITH(SANDBOX_ANY, EPERM, msgrcv),
    WITH(SANDBOX_ANY, EPERM, msgctl),
    WITH(SANDBOX_ANY, EPERM, mq_open),
    WITH(SANDBOX_ANY, EPERM, mq_unlink),
    WITH(SANDBOX_ANY, EPERM, mq_timedsend),
    WITH(SANDBOX_ANY, EPERM, mq_timedreceive),
    WITH(SANDBOX_ANY, EPERM, mq_notify),
    WITH(SANDBOX_ANY, EPERM, mq_getsetattr),

    /* Its own submissions would go past this filter (io_uring(7)). */
    WITH(SANDBOX_ANY, 0, io_uring_setup),
    WITH(SANDBOX_ANY, 0, io_uring_enter),
    WITH(SANDBOX_ANY, 0, io_uring_register),

    /* Into other processes. */
    WITH(SANDBOX_TOOLS, 0, ptrace),
    NEVER(process_vm_readv),
    NEVER(process_vm_writev),
    NEVER(pidfd_getfd),
    NEVER(process_madvise),
    ERRNO(EPERM, process_mrelease),
    ERRNO(EPERM, kcmp),
    ERRNO(EPERM, memfd_secret),
    ERRNO(EPERM, migrate_pages),
    ERRNO(EPERM, move_pages),
    ERRNO(EACCES, perf_event_open),

    /* Other rights. */
    ERRNO(EPERM, setuid),
    ERRNO(EPERM, setgid),
    ERRNO(EPERM, setreuid),
    ERRNO(EPERM, setregid),
    ERRNO(EPERM, setresuid),
    ERRNO(EPERM, setresgid),
    ERRNO(EPERM, setgroups),
    ERRNO(EPERM, setfsuid),
    ERRNO(EPERM, setfsgid),
    ERRNO(EPERM, capset),

    /* The system. */
    NEVER(mount),
    NEVER(umount2),
    NEVER(pivot_root),
    NEVER(chroot),
    NEVER(unshare),
    NEVER(setns),
    NEVER(open_tree),
    NEVER(move_mount),
    NEVER(fsopen),
    NEVER(fsconfig),
    NEVER(fsmount),
    NEVER(fspick),
    NEVER(mount_setattr),
    NEVER(bpf),
    NEVER(userfaultfd),
    NEVER(kexec_load),
    NEVER(kexec_file_load),
    NEVER(init_module),
    NEVER(finit_module),
    NEVER(delete_module),
    NEVER(reboot),
    NEVER(swapon),
    NEVER(swapoff),
    NEVER(acct),
    NEVER(sethostname),
    NEVER(setdomainname),
    NEVER(settimeofday),
    NEVER(clock_settime),
    NEVER(syslog),
    NEVER(vhangup),
    NEVER(quotactl),
    NEVER(quotactl_fd),
    NEVER(lookup_dcookie),
    NEVER(nfsservctl),
    NEVER(fanotify_init),
    NEVER(fanotify_mark),
    NEVER(open_by_handle_at),
    NEVER(add_key),
    NEVER(request_key),
    NEVER(keyctl),
    ERRNO(EPERM, name_to_handle_at),
    ERRNO(EPERM, adjtimex),
    ERRNO(EPERM, clock_adjtime),
    ERRNO(EPERM, remap_file_pages),

#ifdef __x86_64__
    /* What other architectures have under newer names only. */
    ALWAYS(arch_prctl),
    ALWAYS(open),
    ALWAYS(stat),
    ALWAYS(lstat),
    ALWAYS(access),
    ALWAYS(readlink),
    ALWAYS(getdents),
    ALWAYS(dup2),
    ALWAYS(pipe),
    ALWAYS(poll),
    ALWAYS(select),
    ALWAYS(epoll_wait),
    ALWAYS(epoll_create),
    ALWAYS(eventfd),
    ALWAYS(signalfd),
    ALWAYS(inotify_init),
    ALWAYS(alarm),
    ALWAYS(pause),
    ALWAYS(time),
    ALWAYS(getpgrp),
    WITH(FILES, EACCES, creat),
    WITH(FILES, EACCES, mkdir),
    WITH(FILES, EACCES, rmdir),
    WITH(FILES, EACCES, unlink),
    WITH(FILES, EACCES, rename),
    WITH(FILES, EACCES, link),
    WITH(FILES, EACCES, symlink),
    WITH(FILES, EACCES, mknod),
    WITH(FILES, EPERM, chmod),
    WITH(FILES, EPERM, chown),
    WITH(FILES, EPERM, lchown),
    WITH(FILES, EPERM, utime),
    WITH(FILES, EPERM, utimes),
    WITH(FILES, EPERM, futimesat),
    WITH(PROCESSES, 0, fork),
    WITH(PROCESSES, 0, vfork),
    NEVER(iopl),
    NEVER(ioperm),
    NEVER(uselib),
    ERRNO(EPERM, modify_ldt),
    ERRNO(EPERM, sysfs),
    ERRNO(EPERM, ustat),
    NEVER(_sysctl),
#endif
};

/* The last number of Linux 6.1; those from 424 on are the same on all architectures. */
#define LAST_NUMBER 450u

#define ROWS (sizeof(rows) / sizeof(*rows))

const struct sandbox_row *sandbox_rows(size_t *count)
{
    static bool sorted;

    if (!sorted) {
        /* Insertion keeps the order of a call's rows, which qsort(3) may not. */
        for (size_t i = 1; i < ROWS; i++) {
            struct sandbox_row row = rows[i];
            size_t at = i;
            for (; at > 0 && rows[at - 1].number > row.number; at--)
                rows[at] = rows[at - 1];
            rows[at] = row;
        }
        sorted = true;
    }
    *count = ROWS;
    return rows;
}

uint32_t sandbox_last_number(void)
{
    return LAST_NUMBER;
}

const struct sandbox_row *sandbox_row_of(uint32_t number)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].number == number)
            return &rows[i];
    }
    return NULL;
}
