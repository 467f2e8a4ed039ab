/* Children that are rows of a table, for tests of the master: fork(2), kill(2) and waitpid(2) are
 * wrapped by the linker (tests.mk), as are the calls that make channels and set timers. The
 * channels are real. A test holds the child's end of each, and speaks for the child. */
#ifndef PILLION_TESTS_CHILD_FAKES_H
#define PILLION_TESTS_CHILD_FAKES_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include "event/loop.h"
#include "master/master.h"
#include "process/channel.h"

#define FIRST_PID    5000000 /* above what pid_max can be (proc(5)): no process has it */
#define CHILDREN_MAX 64
#define PAIRS_MAX    256

struct fake {
    pid_t pid;
    size_t pair;              /* the last that was made before the child was: a vault's own */
    bool dead, reaped, began; /* began: the child has sent its first message */
    bool killed;
    int status;
};

static struct fake fakes[CHILDREN_MAX];
static size_t child_count;
static bool faking;     /* false: the calls are those of libc */
static bool no_process; /* fork(2) fails */
static size_t forked_while_ending;

/* Called with a child that got SIGKILL, when a test has set it. */
static void (*on_kill)(struct fake *child);

static struct {
    int master_end, given; /* as channel_pair() returned them */
    int child_end;         /* the test's own duplicate of `given` */
} pairs[PAIRS_MAX];
static size_t pair_count;
static int pairs_left = -1; /* so many can be made, then one cannot; -1: any number */

/* The timer that was set last, and the one that was set for the longest time. */
static struct {
    struct timer *timer;
    uint64_t ns;
} latest, longest;

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    if (!faking)
        return __real_fork();
    if (no_process) {
        errno = EAGAIN;
        return -1;
    }
    forked_while_ending += master.mode != MASTER_RUNNING;
    ck_assert_uint_lt(child_count, CHILDREN_MAX);
    fakes[child_count] =
        (struct fake){.pid = FIRST_PID + (pid_t)child_count, .pair = pair_count - 1};
    return fakes[child_count++].pid;
}

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    if (!faking || pid < FIRST_PID)
        return __real_kill(pid, number);
    if (number == SIGKILL) {
        fakes[pid - FIRST_PID].killed = true;
        if (on_kill != NULL)
            on_kill(&fakes[pid - FIRST_PID]);
    }
    return 0;
}

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    if (!faking)
        return __real_waitpid(pid, status, options);
    for (size_t i = 0; i < child_count; i++) {
        if (fakes[i].dead && !fakes[i].reaped) {
            fakes[i].reaped = true;
            *status = fakes[i].status;
            return fakes[i].pid;
        }
    }
    return 0;
}

bool __real_channel_pair(int fds[2], struct error *error);
bool __wrap_channel_pair(int fds[2], struct error *error);
bool __wrap_channel_pair(int fds[2], struct error *error)
{
    if (pairs_left == 0) {
        pairs_left = -1;
        return error_set(error, "no channel for once");
    }
    pairs_left -= pairs_left > 0;
    ck_assert(__real_channel_pair(fds, error));
    ck_assert_uint_lt(pair_count, PAIRS_MAX);
    pairs[pair_count].master_end = fds[0];
    pairs[pair_count].given = fds[1];
    pairs[pair_count++].child_end = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
    return true;
}

void __real_timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback);
void __wrap_timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback);
void __wrap_timer_set(struct loop *loop, struct timer *timer, uint64_t ns, timer_callback callback)
{
    __real_timer_set(loop, timer, ns, callback);
    latest.timer = timer;
    latest.ns = ns;
    if (longest.timer == NULL || ns >= longest.ns)
        longest = latest;
}

void __real_timer_cancel(struct loop *loop, struct timer *timer);
void __wrap_timer_cancel(struct loop *loop, struct timer *timer);
void __wrap_timer_cancel(struct loop *loop, struct timer *timer)
{
    __real_timer_cancel(loop, timer);
    if (longest.timer == timer)
        longest.timer = NULL;
}

/* The master reads what lies unread in its end of a channel. False when it does not watch it. */
static inline bool master_reads(int master_end)
{
    for (uint32_t i = 0; i < master.loop.watch_count; i++) {
        struct watch *watch = master.loop.watches[i];
        if (watch != NULL && watch->fd == master_end) {
            watch->callback(watch, EPOLLIN);
            return true;
        }
    }
    return false;
}

#endif
