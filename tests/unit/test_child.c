/* What children of the master promise before they run other code: core/process/child.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "process/child.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* From here on close_range(2) fails with this number, as on kernels that lack it and in sandboxes
 * that refuse it. */
static void refuse_close_range(int number)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = 4, .filter = program};

    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

START_TEST(only_descriptors_that_are_kept_stay_open)
{
    const int refused[] = {0, ENOSYS, EPERM};

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        pid_t child = fork();
        int status;
        if (child == 0) {
            int fds[40];
            for (int n = 0; n < 40; n++)
                must((fds[n] = open("/dev/null", O_RDONLY)) > 2);
            if (refused[i] != 0)
                refuse_close_range(refused[i]);
            const int keep[] = {fds[31], -1, fds[7], fds[8], fds[7], fds[39]};
            child_begin(keep, sizeof(keep) / sizeof(*keep));
            for (int n = 0; n < 40; n++)
                must(is_open(fds[n]) == (n == 7 || n == 8 || n == 31 || n == 39));
            must(is_open(0) && is_open(1) && is_open(2));
            _exit(0);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(status == 0, "with errno %d: status %x", refused[i], status);
    }
}
END_TEST

UNIT_MAIN("child", only_descriptors_that_are_kept_stay_open)
