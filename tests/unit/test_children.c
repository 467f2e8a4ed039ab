/* Children are heard and reaped, each for the file that has started it: core/process/children.h. */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/children.h"

static struct loop loop;
static char told[64]; /* the events that were told, in order, a letter for each */
static int last_status;

static void tell(char letter)
{
    size_t size = strlen(told);

    if (letter == 'q' && size > 0 && told[size - 1] == 'q')
        return;
    ck_assert_uint_lt(size + 1, sizeof(told));
    told[size] = letter;
    told[size + 1] = '\0';
}

static void heard(struct child *child, struct message *message, const int *fds, uint32_t fd_count)
{
    (void)child;
    (void)fds;
    ck_assert_uint_eq(fd_count, 0);
    tell(message->type == MESSAGE_READY ? 'r' : 'a');
}

static unsigned heard_count;

static void count_heard(struct child *child, struct message *message, const int *fds,
                        uint32_t fd_count)
{
    (void)child, (void)message, (void)fds, (void)fd_count;
    heard_count++;
}

static void quiet(struct child *child)
{
    (void)child;
    tell('q');
}

static void closed(struct child *child)
{
    (void)child;
    tell('c');
}

static void ended(struct child *child, int status)
{
    last_status = status;
    child_hear(child);
    child_close(child);
    tell('e');
}

static const struct child_events events = {
    .heard = heard, .quiet = quiet, .closed = closed, .ended = ended};

/* A child that says READY and ALIVE and then ends with exit status 3, once `go` is readable. */
static void start(struct child *child, int go[2])
{
    struct error error;
    int pair[2];

    told[0] = '\0';
    ck_assert(loop_init(&loop, &error));
    ck_assert(channel_pair(pair, &error));
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct pollfd wait = {.fd = go[0], .events = POLLIN};
        channel_tell(pair[1], MESSAGE_READY, 0, 0);
        channel_tell(pair[1], MESSAGE_ALIVE, 0, 0);
        poll(&wait, 1, -1);
        _exit(3);
    }
    ck_assert_int_gt(pid, 0);
    close(pair[1]);
    ck_assert(child_listen(child, &loop, pair[0], &events));
    child_follow(child, pid, &events);
}

static void wait_for_channel(const struct child *child)
{
    struct pollfd wait = {.fd = child->channel.fd, .events = POLLIN};
    ck_assert_int_eq(poll(&wait, 1, 60000), 1);
}

/* Waits for the end, and leaves the child to be reaped. */
static void wait_for_end(const struct child *child)
{
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
}

START_TEST(a_child_is_heard_while_it_runs_and_its_closed_channel_is_told)
{
    struct child child = {0};
    int go[2];

    start(&child, go);
    wait_for_channel(&child);
    while (strchr(told, 'a') == NULL)
        child_hear(&child);
    children_reap();
    ck_assert_ptr_null(strchr(told, 'e'));
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    wait_for_end(&child);
    told[0] = '\0';
    child_hear(&child);
    ck_assert_str_eq(told, "c");
    children_reap();
    ck_assert_str_eq(told, "ce");
    ck_assert(WIFEXITED(last_status) && WEXITSTATUS(last_status) == 3);
}
END_TEST

static unsigned batches;

static void count_batch(struct loop *at, void *context)
{
    (void)context;
    if (++batches == 2)
        loop_stop(at);
}

START_TEST(a_child_that_never_ends_sending_holds_up_nobody)
{
    static unsigned count;
    static const struct child_events counting = {.heard = count_heard, .ended = ended};
    struct child child = {0};
    struct error error;
    int pair[2];

    ck_assert(loop_init(&loop, &error) && channel_pair(pair, &error));
    while (count < 2000 && channel_tell(pair[1], count % 2 == 0 ? MESSAGE_ALIVE : 999, 0, 0))
        count++;
    ck_assert_uint_gt(count, 150);
    ck_assert(child_listen(&child, &loop, pair[0], &counting));
    loop.after_batch = count_batch;
    loop_run(&loop);
    ck_assert_uint_gt(heard_count, 0);
    ck_assert_uint_le(heard_count, 64);
    child_hear(&child);
    ck_assert_uint_eq(heard_count, (count + 1) / 2);
}
END_TEST

/* Its pid is free for another process by then: it must not be looked at. */
START_TEST(a_childs_last_messages_are_heard_and_its_channel_is_not_told_after_its_end)
{
    struct child child = {0};
    int go[2];

    start(&child, go);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    wait_for_end(&child);
    children_reap();
    ck_assert_str_eq(told, "rae");
}
END_TEST

START_TEST(the_end_of_a_child_that_is_not_followed_is_told_to_no_other)
{
    struct child child = {0};
    int go[2];

    start(&child, go);
    pid_t other = fork();
    if (other == 0)
        _exit(0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0);
    children_reap();
    ck_assert_int_eq(waitpid(other, NULL, WNOHANG), -1); /* it was reaped */
    ck_assert_ptr_null(strchr(told, 'e'));
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    wait_for_end(&child);
    children_reap();
    ck_assert_ptr_nonnull(strchr(told, 'e'));
}
END_TEST

START_TEST(a_child_that_stops_as_traced_is_killed_and_only_its_end_is_told)
{
    struct child child = {0};
    siginfo_t info;

    told[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGTRAP);
        _exit(3);
    }
    ck_assert_int_gt(pid, 0);
    child_follow(&child, pid, &events);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOWAIT), 0);
    while (strchr(told, 'e') == NULL) /* children_reap may see the stop before it sees the end */
        children_reap();
    ck_assert(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
}
END_TEST

UNIT_MAIN("children", a_child_that_never_ends_sending_holds_up_nobody,
          a_child_that_stops_as_traced_is_killed_and_only_its_end_is_told,
          a_child_is_heard_while_it_runs_and_its_closed_channel_is_told,
          a_childs_last_messages_are_heard_and_its_channel_is_not_told_after_its_end,
          the_end_of_a_child_that_is_not_followed_is_told_to_no_other)
