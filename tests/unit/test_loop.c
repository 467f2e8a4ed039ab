/* What the loop promises: see core/event/loop.h. Descriptors are eventfds, ready as soon as they
 * hold a number. "Never called" is seen by counting batches, not by waiting. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/loop.h"
#include "must.h"

static struct loop loop;

/* A watched eventfd that counts its calls. */
struct probe {
    struct watch watch;
    int fd;
    unsigned calls;
    uint32_t events;
};

static void setup(void)
{
    struct error error;
    ck_assert_msg(loop_init(&loop, &error), "%s", error.text);
}

static int ready_fd(uint64_t number)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    if (number != 0)
        ck_assert_int_eq(write(fd, &number, sizeof(number)), sizeof(number));
    return fd;
}

static void probe_watch(struct probe *probe, int fd, watch_callback callback)
{
    probe->fd = fd;
    ck_assert(loop_watch(&loop, &probe->watch, fd, EPOLLIN, callback));
}

static void count(struct watch *watch, uint32_t events)
{
    struct probe *probe = container_of(watch, struct probe, watch);
    probe->calls++;
    probe->events = events;
}

/* Stops the loop before its `batches_left`-th wait. */
static unsigned batches_left;

static void stop_after_batches(struct loop *l, void *context)
{
    (void)context;
    if (batches_left-- == 0)
        loop_stop(l);
}

static void run_batches(unsigned batches)
{
    batches_left = batches;
    loop.after_batch = stop_after_batches;
    loop_run(&loop);
}

/* ---- Watches ---- */

START_TEST(loop_calls_back_the_watches_that_are_ready)
{
    struct probe ready = {0}, idle = {0};

    setup();
    probe_watch(&ready, ready_fd(1), count);
    probe_watch(&idle, ready_fd(0), count);
    run_batches(3);
    ck_assert_uint_eq(ready.calls, 3); /* level-triggered: nobody has read it */
    ck_assert_uint_eq(ready.events, EPOLLIN);
    ck_assert_uint_eq(idle.calls, 0);
    loop_free(&loop);
}
END_TEST

START_TEST(loop_changes_the_events_that_a_watch_waits_for)
{
    struct probe probe = {0};

    setup();
    probe_watch(&probe, ready_fd(1), count);
    loop_change(&loop, &probe.watch, EPOLLOUT);
    run_batches(1);
    ck_assert_uint_eq(probe.events, EPOLLOUT);
    loop_change(&loop, &probe.watch, EPOLLOUT);
    loop_change(&loop, &probe.watch, EPOLLIN | EPOLLOUT);
    run_batches(1);
    ck_assert_uint_eq(probe.events, EPOLLIN | EPOLLOUT);
    loop_unwatch(&loop, &probe.watch);
    loop_change(&loop, &probe.watch, EPOLLIN); /* not watched: nothing happens */
    ck_assert_uint_eq(probe.calls, 2);
    loop_free(&loop);
}
END_TEST

static void unwatch_itself(struct watch *watch, uint32_t events)
{
    count(watch, events);
    loop_unwatch(&loop, watch);
    loop_unwatch(&loop, watch);
}

START_TEST(watch_may_remove_itself_in_its_callback)
{
    struct probe first = {0}, other = {0};

    setup();
    probe_watch(&first, ready_fd(1), unwatch_itself);
    probe_watch(&other, ready_fd(1), count);
    run_batches(4);
    ck_assert_uint_eq(first.calls, 1);
    ck_assert_uint_eq(first.watch.index, 0);
    ck_assert_uint_eq(other.calls, 4);
    loop_free(&loop);
}
END_TEST

static void watch_again(struct watch *watch, uint32_t events)
{
    count(watch, events);
    loop_unwatch(&loop, watch);
    ck_assert(loop_watch(&loop, watch, watch->fd, EPOLLIN, count));
}

START_TEST(watch_may_start_anew_in_its_callback)
{
    struct probe probe = {0};

    setup();
    probe_watch(&probe, ready_fd(1), watch_again);
    run_batches(3);
    ck_assert_uint_eq(probe.calls, 3);
    loop_free(&loop);
}
END_TEST

/* Two that are ready in one batch. The one that is called first removes the other and puts a third,
 * which is not ready, at its index in the table. */
static struct probe twins[2], third;

static void replace_twin(struct watch *watch, uint32_t events)
{
    struct probe *other = watch == &twins[0].watch ? &twins[1] : &twins[0];

    count(watch, events);
    uint32_t index = other->watch.index;
    loop_unwatch(&loop, &other->watch);
    loop_unwatch(&loop, watch);
    loop_watch(&loop, watch, watch->fd, 0, count); /* takes its own index */
    probe_watch(&third, ready_fd(0), count);
    ck_assert_uint_eq(third.watch.index, index);
}

START_TEST(events_of_a_removed_watch_never_reach_the_next_one_at_its_index)
{
    setup();
    probe_watch(&twins[0], ready_fd(1), replace_twin);
    probe_watch(&twins[1], ready_fd(1), replace_twin);
    batches_left = 3;
    loop.after_batch = stop_after_batches;
    struct probe busy = {0};
    probe_watch(&busy, ready_fd(1), count); /* so that no wait is for ever */
    loop_run(&loop);
    ck_assert_uint_eq(twins[0].calls + twins[1].calls, 1);
    ck_assert_uint_eq(third.calls, 0);
    ck_assert_uint_eq(busy.calls, 3);
    loop_free(&loop);
}
END_TEST

START_TEST(unwatched_descriptor_with_a_duplicate_is_silent)
{
    struct probe probe = {0}, busy = {0};
    uint64_t one = 1;

    setup();
    probe_watch(&probe, ready_fd(0), count);
    int duplicate = dup(probe.fd);
    loop_unwatch(&loop, &probe.watch);
    close(probe.fd);
    ck_assert_int_eq(write(duplicate, &one, sizeof(one)), sizeof(one));
    probe_watch(&busy, ready_fd(1), count);
    run_batches(3);
    ck_assert_uint_eq(probe.calls, 0);
    ck_assert_uint_eq(busy.calls, 3);
    loop_free(&loop);
}
END_TEST

START_TEST(registration_that_outlived_its_watch_reaches_nobody)
{
    struct probe first = {0}, second = {0};
    uint64_t one = 1;

    setup();
    probe_watch(&first, ready_fd(0), count);
    int duplicate = dup(first.fd);
    close(first.fd); /* too early: the kernel's registration can no longer be removed */
    loop_unwatch(&loop, &first.watch);
    probe_watch(&second, ready_fd(0), count);
    ck_assert_uint_eq(second.watch.index, 1); /* the same index, another registration */
    ck_assert_int_eq(second.fd, first.fd);
    ck_assert_int_eq(write(duplicate, &one, sizeof(one)), sizeof(one));
    run_batches(5); /* each wait ends because of the stale registration */
    ck_assert_uint_eq(first.calls, 0);
    ck_assert_uint_eq(second.calls, 0);
    loop_free(&loop);
}
END_TEST

START_TEST(watch_that_fails_leaves_no_trace)
{
    struct probe probe = {0}, next = {0};

    setup();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* epoll takes no regular files */
    ck_assert_int_ge(file, 0);
    ck_assert(!loop_watch(&loop, &probe.watch, file, EPOLLIN, count));
    ck_assert_int_eq(errno, EPERM);
    ck_assert_uint_eq(probe.watch.index, 0);
    ck_assert(!loop_owns(&loop, file));
    loop_unwatch(&loop, &probe.watch);
    probe_watch(&next, ready_fd(1), count);
    ck_assert_uint_eq(next.watch.index, 1);
    run_batches(1);
    ck_assert_uint_eq(next.calls, 1);
    loop_free(&loop);
}
END_TEST

START_TEST(loop_knows_which_descriptors_it_watches)
{
    struct probe probe = {0}, far = {0};

    setup();
    probe_watch(&probe, ready_fd(0), count);
    int distant = fcntl(probe.fd, F_DUPFD_CLOEXEC, 700);
    ck_assert_int_ge(distant, 700);
    ck_assert(loop_owns(&loop, loop.epoll));
    ck_assert(loop_owns(&loop, probe.fd));
    ck_assert(!loop_owns(&loop, distant));
    ck_assert(!loop_owns(&loop, -1));
    ck_assert(!loop_owns(&loop, 1 << 30));
    probe_watch(&far, distant, count);
    ck_assert(loop_owns(&loop, distant));
    ck_assert(!loop_owns(&loop, distant - 64));
    loop_unwatch(&loop, &far.watch);
    ck_assert(!loop_owns(&loop, distant));
    ck_assert(loop_owns(&loop, probe.fd));
    loop_free(&loop);
}
END_TEST

#define OWNED_MOST 200000

static atomic_int owned_so_far;

/* What was owned before stays owned, whatever the table does meanwhile. */
static void *look_at_owned(void *argument)
{
    size_t *wrong = argument;
    int so_far;

    do {
        so_far = atomic_load(&owned_so_far);
        for (int fd = 0; fd <= so_far; fd += 997)
            *wrong += !loop_owns(&loop, fd) || loop_owned_end(&loop) <= fd;
    } while (so_far < OWNED_MOST);
    return NULL;
}

START_TEST(threads_may_look_up_owned_descriptors_while_the_table_grows)
{
    pthread_t thread;
    size_t wrong = 0;

    setup();
    loop_own(&loop, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_at_owned, &wrong), 0);
    for (int fd = 1; fd <= OWNED_MOST; fd++) {
        loop_own(&loop, fd);
        atomic_store(&owned_so_far, fd);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(wrong, 0);
    loop_free(&loop);
}
END_TEST

/* More than fit one wait, and a table that grows while a batch is being handled. */
#define CROWD 300u
static struct probe crowd[CROWD], late[CROWD];

static void watch_more(struct watch *watch, uint32_t events)
{
    count(watch, events);
    if (crowd[0].calls + crowd[1].calls > 1)
        return;
    for (unsigned i = 0; i < CROWD; i++)
        must(loop_watch(&loop, &late[i].watch, ready_fd(1), EPOLLIN, unwatch_itself));
}

START_TEST(table_may_grow_in_the_middle_of_a_batch)
{
    setup();
    for (unsigned i = 0; i < CROWD; i++)
        must(loop_watch(&loop, &crowd[i].watch, ready_fd(1), EPOLLIN,
                        i < 2 ? watch_more : unwatch_itself));
    run_batches(10);
    for (unsigned i = 0; i < CROWD; i++) {
        must(late[i].calls == 1);
        must(i < 2 ? crowd[i].calls > 1 : crowd[i].calls == 1);
    }
    loop_free(&loop);
}
END_TEST

/* ---- Stopping and batches ---- */

static void stop_after_one(struct watch *watch, uint32_t events)
{
    unwatch_itself(watch, events);
    loop_stop(&loop);
}

START_TEST(stop_leaves_the_rest_of_the_batch_for_the_next_run)
{
    struct probe a = {0}, b = {0};

    setup();
    probe_watch(&a, ready_fd(1), stop_after_one);
    probe_watch(&b, ready_fd(1), stop_after_one);
    loop_run(&loop);
    ck_assert_uint_eq(a.calls + b.calls, 1);
    loop_run(&loop);
    ck_assert_uint_eq(a.calls + b.calls, 2);
    loop_free(&loop);
}
END_TEST

static struct watch *called[8];
static unsigned called_count;

/* Patience comes too late for the batch that is under way. */
static void note_and_be_patient(struct watch *watch, uint32_t events)
{
    must((events & EPOLLIN) != 0 && called_count < 8);
    called[called_count++] = watch;
    watch->patient = 1;
    if (called_count % 4 == 0)
        loop_stop(&loop);
}

START_TEST(patient_watches_come_last_in_their_batch_and_once)
{
    struct probe probes[4] = {0};

    setup();
    for (unsigned i = 0; i < 4; i++) {
        probes[i].watch.patient = i < 2;
        probe_watch(&probes[i], ready_fd(1), note_and_be_patient);
    }
    loop_run(&loop);
    ck_assert_uint_eq(called_count, 4);
    for (unsigned i = 0; i < 4; i++)
        must((called[i] == &probes[0].watch || called[i] == &probes[1].watch) == (i >= 2));
    loop_run(&loop);
    for (unsigned i = 4; i < 8; i++) {
        for (unsigned other = 4; other < i; other++)
            must(called[i] != called[other]);
    }
    loop_free(&loop);
}
END_TEST

START_TEST(after_batch_comes_before_the_first_wait_and_may_stop)
{
    setup();
    run_batches(0); /* nothing is watched: a wait would never end */
    ck_assert_uint_eq(batches_left, UINT32_MAX);
    loop_free(&loop);
}
END_TEST

/* ---- Timers ---- */

struct alarm {
    struct timer timer;
    uint64_t due;
    unsigned fired;
};

static uint64_t last_deadline;
static unsigned total_fired;

static void set_alarm(struct alarm *alarm, uint64_t ns, timer_callback callback)
{
    alarm->due = clock_ns() + ns;
    timer_set_at(&loop, &alarm->timer, alarm->due, callback);
}

static void fire(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    must(!timer_is_set(timer));        /* it may be set again */
    must(clock_ns() >= alarm->due);    /* never early */
    must(alarm->due >= last_deadline); /* in order */
    last_deadline = alarm->due;
    alarm->fired++;
    total_fired++;
}

static void stop_loop(struct timer *timer)
{
    (void)timer;
    loop_stop(&loop);
}

#define ALARMS 1000u
static struct alarm alarms[ALARMS];
static unsigned expected[ALARMS];

START_TEST(timers_fire_once_in_order_and_never_early)
{
    struct timer end = {0};

    setup();
    for (unsigned i = 0; i < ALARMS; i++) {
        set_alarm(&alarms[i], random_below(3000000), fire);
        expected[i] = 1;
    }
    for (unsigned i = 0; i < 3 * ALARMS; i++) {
        unsigned at = random_below(ALARMS);
        expected[at] = random_below(2);
        if (expected[at])
            set_alarm(&alarms[at], random_below(3000000), fire);
        else
            timer_cancel(&loop, &alarms[at].timer);
    }
    timer_set(&loop, &end, 20 * NS_PER_MS, stop_loop);
    loop_run(&loop);
    for (unsigned i = 0; i < ALARMS; i++)
        must(alarms[i].fired == expected[i]);
    ck_assert_uint_gt(total_fired, ALARMS / 4);
    ck_assert_uint_eq(loop.timer_count, 0);
    loop_free(&loop);
}
END_TEST

/* Every callback cancels some timers and sets others, itself perhaps: what is set at the end is
 * exactly what has not fired since. */
static bool set_now[ALARMS];
static unsigned changes_left = 20000;

static void fire_and_stir(struct timer *timer)
{
    fire(timer);
    size_t self = (size_t)(container_of(timer, struct alarm, timer) - alarms);
    must(set_now[self]);
    set_now[self] = false;
    for (unsigned i = 0; i < 4 && changes_left > 0; i++, changes_left--) {
        size_t at = i == 0 ? self : random_below(ALARMS);
        set_now[at] = random_below(3) != 0;
        if (set_now[at])
            set_alarm(&alarms[at], random_below(200000), fire_and_stir);
        else
            timer_cancel(&loop, &alarms[at].timer);
    }
    if (loop.timer_count == 0)
        loop_stop(&loop);
}

START_TEST(timers_may_be_set_and_cancelled_in_callbacks)
{
    setup();
    for (unsigned i = 0; i < ALARMS; i++) {
        set_alarm(&alarms[i], random_below(200000), fire_and_stir);
        set_now[i] = true;
    }
    loop_run(&loop);
    for (unsigned i = 0; i < ALARMS; i++)
        must(!set_now[i] && !timer_is_set(&alarms[i].timer));
    ck_assert_uint_eq(changes_left, 0);
    loop_free(&loop);
}
END_TEST

/* ---- What was ready before a timer was due ---- */

static unsigned seen_before; /* calls of the probes, when the timer has fired */
static struct probe many[300];

static unsigned calls_of_probes(void)
{
    unsigned calls = 0;

    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        calls += many[i].calls;
    return calls;
}

static void note_and_stop(struct timer *timer)
{
    fire(timer);
    seen_before = calls_of_probes();
    loop_stop(&loop);
}

static void pass(uint64_t until_ns)
{
    while (clock_ns() <= until_ns) {
    }
}

static struct alarm tardy;

/* The one makes the other ready, and takes longer than the timer's time. */
static void delay(struct watch *watch, uint32_t events)
{
    count(watch, events);
    loop_unwatch(&loop, watch);
    ck_assert_int_eq(eventfd_write(many[1].fd, 1), 0);
    set_alarm(&tardy, 100000, note_and_stop);
    pass(tardy.due);
}

START_TEST(timer_fires_after_what_was_ready_before_it_was_due)
{
    setup();
    probe_watch(&many[0], ready_fd(1), delay);
    probe_watch(&many[1], ready_fd(0), count);
    loop_run(&loop);
    ck_assert_uint_eq(many[1].calls, 1);
    ck_assert_uint_eq(seen_before, 2);
    loop_free(&loop);
}
END_TEST

static void count_and_drain(struct watch *watch, uint32_t events)
{
    eventfd_t number;

    count(watch, events);
    must(eventfd_read(watch->fd, &number) == 0);
}

static void run_many(watch_callback callback)
{
    setup();
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        probe_watch(&many[i], ready_fd(1), callback);
    set_alarm(&tardy, 1, note_and_stop);
    pass(tardy.due);
    loop_run(&loop);
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        must(many[i].calls > 0);
    loop_free(&loop);
}

START_TEST(timer_fires_after_what_was_ready_in_more_than_one_batch)
{
    run_many(count_and_drain);
    ck_assert_uint_eq(seen_before, sizeof(many) / sizeof(many[0]));
}
END_TEST

START_TEST(timer_is_not_starved_by_watches_that_are_always_ready)
{
    run_many(count);
    ck_assert_uint_lt(seen_before, 3 * sizeof(many) / sizeof(many[0]));
}
END_TEST

/* What becomes ready when a wait has its events, but has not returned; -1: nothing. */
static int late_fd = -1;
static bool was_early;

int __real_epoll_wait(int fd, struct epoll_event *events, int count, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int ms)
{
    bool early = clock_ns() < tardy.due;
    int got = __real_epoll_wait(fd, events, count, ms);

    if (late_fd >= 0) {
        was_early = early;
        ck_assert_int_eq(eventfd_write(late_fd, 1), 0);
        late_fd = -1;
        pass(tardy.due);
    }
    return got;
}

/* As where the process is stopped there. */
START_TEST(timer_fires_after_what_was_ready_when_a_wait_returned)
{
    was_early = false;
    for (uint64_t wait_ns = 5 * NS_PER_MS; !was_early; wait_ns *= 2) {
        memset(many, 0, sizeof(many));
        setup();
        probe_watch(&many[0], ready_fd(1), count_and_drain);
        probe_watch(&many[1], ready_fd(0), count);
        set_alarm(&tardy, wait_ns, note_and_stop);
        late_fd = many[1].fd;
        loop_run(&loop);
        loop_free(&loop);
    }
    ck_assert_uint_eq(seen_before, 2);
}
END_TEST

static void exit_good(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    _exit(0);
}

static void exit_bad(struct timer *timer)
{
    (void)timer;
    _exit(1);
}

/* Stops the process before the timer is due, and wakes it with a byte when it is. False when the
 * machine was too slow for that. */
static bool stop_and_wake(pid_t pid, int to, const volatile uint64_t *due)
{
    int status;
    const char byte = 1;

    while (*due == 0)
        usleep(100);
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    if (!WIFSTOPPED(status))
        return false;
    bool early = clock_ns() < *due;
    pass(*due);
    ck_assert_int_eq(write(to, &byte, 1), 1);
    kill(pid, SIGCONT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (early)
        ck_assert_int_eq(status, 0);
    return early;
}

START_TEST(process_that_was_stopped_hears_what_has_come_before_its_timers_fire)
{
    volatile uint64_t *due =
        mmap(NULL, sizeof(*due), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t wait_ns = 5 * NS_PER_MS;
    int ends[2];

    ck_assert_ptr_ne((void *)due, MAP_FAILED);
    ck_assert_int_eq(pipe(ends), 0);
    for (bool done = false; !done; wait_ns *= 2) {
        *due = 0;
        pid_t pid = fork();
        if (pid == 0) {
            struct watch watch = {0};
            setup();
            loop_watch(&loop, &watch, ends[0], EPOLLIN, exit_good);
            timer_set_at(&loop, &tardy.timer, *due = clock_ns() + wait_ns, exit_bad);
            loop_run(&loop);
        }
        done = stop_and_wake(pid, ends[1], due);
    }
}
END_TEST

static struct alarm pair[2];

static void cancel_other(struct timer *timer)
{
    fire(timer);
    timer_cancel(&loop, timer == &pair[0].timer ? &pair[1].timer : &pair[0].timer);
    timer_cancel(&loop, timer);
}

START_TEST(timer_cancelled_when_it_was_due_does_not_fire)
{
    struct timer end = {0};

    setup();
    timer_set(&loop, &pair[0].timer, 0, cancel_other);
    timer_set(&loop, &pair[1].timer, 0, cancel_other);
    timer_set(&loop, &end, NS_PER_MS, stop_loop);
    loop_run(&loop);
    ck_assert_uint_eq(pair[0].fired, 1);
    ck_assert_uint_eq(pair[1].fired, 0);
    loop_free(&loop);
}
END_TEST

static unsigned repeats;

static void again_at_once(struct timer *timer)
{
    repeats++;
    timer_set(&loop, timer, 0, again_at_once);
}

START_TEST(timer_that_is_always_due_does_not_starve_descriptors)
{
    struct timer timer = {0};
    struct probe probe = {0};

    setup();
    timer_set(&loop, &timer, 0, again_at_once);
    probe_watch(&probe, ready_fd(1), stop_after_one);
    loop_run(&loop);
    ck_assert_uint_eq(probe.calls, 1);
    run_batches(10); /* and ends each wait */
    ck_assert_uint_ge(repeats, 5);
    loop_free(&loop);
}
END_TEST

START_TEST(timer_moved_later_fires_later)
{
    struct alarm moved = {0}, fixed = {0};
    struct timer end = {0};

    setup();
    set_alarm(&moved, 0, fire);
    set_alarm(&fixed, NS_PER_MS, fire);
    set_alarm(&moved, 2 * NS_PER_MS, fire);
    ck_assert_uint_eq(loop.timer_count, 2);
    timer_set(&loop, &end, 4 * NS_PER_MS, stop_loop);
    loop_run(&loop);
    ck_assert_uint_eq(moved.fired, 1);
    ck_assert_uint_eq(fixed.fired, 1);
    ck_assert_uint_eq(last_deadline, moved.due);
    loop_free(&loop);
}
END_TEST

static unsigned iterations, fired_in[8];

static void note_iteration(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    fired_in[alarm->fired++] = iterations;
    if (alarm->fired < 3)
        timer_set(&loop, timer, 0, note_iteration);
    else
        loop_stop(&loop);
}

static void set_at_once(struct watch *watch, uint32_t events)
{
    static struct alarm alarm;

    (void)events;
    loop_unwatch(&loop, watch);
    timer_set(&loop, &alarm.timer, 0, note_iteration);
}

static void count_iteration(struct loop *of, void *context)
{
    (void)of;
    (void)context;
    iterations++;
}

START_TEST(timer_of_0_ns_fires_in_this_iteration_for_an_event_and_in_the_next_for_a_timer)
{
    int pipe_fds[2];
    struct watch watch = {0};

    setup();
    loop.after_batch = count_iteration;
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert(loop_watch(&loop, &watch, pipe_fds[1], EPOLLOUT, set_at_once));
    loop_run(&loop);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(fired_in[i], i + 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    loop_free(&loop);
}
END_TEST

UNIT_MAIN("loop", timer_of_0_ns_fires_in_this_iteration_for_an_event_and_in_the_next_for_a_timer,
          loop_calls_back_the_watches_that_are_ready,
          loop_changes_the_events_that_a_watch_waits_for, watch_may_remove_itself_in_its_callback,
          watch_may_start_anew_in_its_callback,
          events_of_a_removed_watch_never_reach_the_next_one_at_its_index,
          unwatched_descriptor_with_a_duplicate_is_silent,
          registration_that_outlived_its_watch_reaches_nobody, watch_that_fails_leaves_no_trace,
          loop_knows_which_descriptors_it_watches,
          threads_may_look_up_owned_descriptors_while_the_table_grows,
          table_may_grow_in_the_middle_of_a_batch,
          stop_leaves_the_rest_of_the_batch_for_the_next_run,
          patient_watches_come_last_in_their_batch_and_once,
          after_batch_comes_before_the_first_wait_and_may_stop,
          timers_fire_once_in_order_and_never_early, timers_may_be_set_and_cancelled_in_callbacks,
          timer_fires_after_what_was_ready_before_it_was_due,
          timer_fires_after_what_was_ready_in_more_than_one_batch,
          timer_is_not_starved_by_watches_that_are_always_ready,
          timer_fires_after_what_was_ready_when_a_wait_returned,
          process_that_was_stopped_hears_what_has_come_before_its_timers_fire,
          timer_cancelled_when_it_was_due_does_not_fire,
          timer_that_is_always_due_does_not_starve_descriptors, timer_moved_later_fires_later)
