/* What timers and watches of modules promise: see core/rpc/callback.h. */
#include "rpc/callback.h"

#include <errno.h>
#include <string.h>

#include "loop_fixture.h"
#include "rpc/metric.h"
#include "rpc/note.h"

static metric_cell numbers[5]; /* METRIC_TIMERS is 3, METRIC_DESCRIPTORS is 4 */
static metric_cell *cells[] = {&numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4]};
static struct pillion_instance instance = {.name = "m", .cells = cells, .cell_count = 5};

static char said[64]; /* the letters of the timers and watches that were called */
static unsigned seen; /* the events of the last watch that was */
static uint64_t to_cancel;

static void say(const char *letter)
{
    size_t length = strlen(said);
    ck_assert_uint_lt(length + 1, sizeof(said));
    said[length] = *letter;
}

static void timer_call(pillion_instance *self, void *data)
{
    ck_assert_ptr_eq(self, &instance);
    ck_assert_int_eq(note_current()->duty, DUTY_TIMER);
    say(data);
}

static void watch_call(pillion_instance *self, int fd, unsigned events, void *data)
{
    ck_assert_ptr_eq(self, &instance);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(note_current()->duty, DUTY_WATCH);
    seen = events;
    say(data);
}

static void cancel_call(pillion_instance *self, void *data)
{
    timer_call(self, data);
    callback_cancel(to_cancel);
}

static uint64_t timer(uint64_t after_ms, uint64_t every_ms, const char *letter)
{
    uint64_t handle =
        callback_timer(&instance, after_ms, every_ms, timer_call, (void *)(uintptr_t)letter);
    ck_assert_uint_ne(handle, 0);
    return handle;
}

static uint64_t watch(int fd, unsigned events, const char *letter)
{
    return callback_watch(&instance, fd, events, watch_call, (void *)(uintptr_t)letter);
}

static void set_up(void)
{
    loop_open();
    callbacks_init(&loop);
    memset(said, 0, sizeof(said));
    memset(numbers, 0, sizeof(numbers));
}

static void tear_down(void)
{
    callbacks_free();
    ck_assert_int_eq(numbers[METRIC_TIMERS], 0);
    ck_assert_int_eq(numbers[METRIC_DESCRIPTORS], 0);
    loop_close();
}

START_TEST(without_a_loop_nothing_can_be_set_up)
{
    ck_assert(!callbacks_usable());
    ck_assert_uint_eq(callback_timer(&instance, 0, 0, timer_call, NULL), 0);
    ck_assert_uint_eq(watch(0, PILLION_READ, "a"), 0);
    ck_assert_int_eq(errno, EBADF);
    callback_cancel(1ull << 32 | 1);
}
END_TEST

START_TEST(a_timer_fires_once_when_its_time_has_come)
{
    set_up();
    timer(10, 0, "a");
    ck_assert_int_eq(numbers[METRIC_TIMERS], 1);
    pass(9);
    ck_assert_str_eq(said, "");
    pass(1);
    ck_assert_str_eq(said, "a");
    ck_assert_int_eq(numbers[METRIC_TIMERS], 0);
    pass(100);
    ck_assert_str_eq(said, "a");
    tear_down();
}
END_TEST

START_TEST(timers_fire_in_the_order_of_their_times)
{
    set_up();
    timer(30, 0, "c");
    timer(10, 0, "a");
    timer(20, 0, "b");
    pass(30);
    ck_assert_str_eq(said, "abc");
    tear_down();
}
END_TEST

START_TEST(a_timer_that_repeats_fires_until_it_is_cancelled)
{
    set_up();
    uint64_t handle = timer(10, 5, "a");
    pass(10);
    pass(4);
    ck_assert_str_eq(said, "a");
    pass(1);
    pass(5);
    ck_assert_str_eq(said, "aaa");
    callback_cancel(handle);
    pass(50);
    ck_assert_str_eq(said, "aaa");
    tear_down();
}
END_TEST

START_TEST(a_timer_that_repeats_may_cancel_itself)
{
    set_up();
    to_cancel = callback_timer(&instance, 1, 1, cancel_call, (void *)(uintptr_t) "a");
    pass(1);
    pass(1);
    ck_assert_str_eq(said, "a");
    ck_assert_int_eq(numbers[METRIC_TIMERS], 0);
    tear_down();
}
END_TEST

START_TEST(a_timer_may_cancel_another_that_is_due)
{
    set_up();
    callback_timer(&instance, 1, 0, cancel_call, (void *)(uintptr_t) "a");
    to_cancel = timer(2, 0, "b");
    pass(2);
    pass(2);
    ck_assert_str_eq(said, "a");
    tear_down();
}
END_TEST

START_TEST(a_stale_handle_never_ends_the_callback_that_came_after)
{
    set_up();
    uint64_t first = timer(10, 0, "a");
    callback_cancel(first);
    uint64_t second = timer(10, 0, "b");
    ck_assert_uint_eq(first >> 32, second >> 32); /* in the same place */
    callback_cancel(first);
    callback_cancel(0);
    callback_cancel(UINT64_MAX);
    ck_assert(!callback_change(first, PILLION_READ));
    pass(10);
    ck_assert_str_eq(said, "b");
    tear_down();
}
END_TEST

START_TEST(a_watch_is_called_for_as_long_as_there_is_something_to_read)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    eventfd_t number;

    set_up();
    ck_assert_uint_ne(watch(fd, PILLION_READ, "a"), 0);
    ck_assert_int_eq(numbers[METRIC_DESCRIPTORS], 1);
    turn();
    turn();
    ck_assert_str_eq(said, "aa");
    ck_assert_uint_eq(seen, PILLION_READ);
    eventfd_read(fd, &number);
    turn();
    ck_assert_str_eq(said, "aa");
    tear_down();
    close(fd);
}
END_TEST

START_TEST(a_changed_watch_waits_for_its_new_events)
{
    int fd = eventfd(1, EFD_NONBLOCK);

    set_up();
    uint64_t handle = watch(fd, PILLION_READ, "a");
    ck_assert(callback_change(handle, PILLION_WRITE));
    turn();
    ck_assert_uint_eq(seen, PILLION_WRITE);
    ck_assert(callback_change(handle, 0));
    turn();
    ck_assert_str_eq(said, "a");
    ck_assert(!callback_change(timer(5, 0, "t"), PILLION_READ)); /* no watch */
    callback_cancel(handle);
    ck_assert(!callback_change(handle, PILLION_READ));
    tear_down();
    close(fd);
}
END_TEST

START_TEST(the_other_ends_close_is_told_unasked)
{
    int ends[2];

    set_up();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_uint_ne(watch(ends[0], 0, "a"), 0);
    close(ends[1]);
    turn();
    ck_assert_uint_eq(seen, PILLION_FAILED);
    tear_down();
    close(ends[0]);
}
END_TEST

START_TEST(a_descriptor_has_one_watch_and_closing_it_ends_that)
{
    int fd = eventfd(1, EFD_NONBLOCK);

    set_up();
    ck_assert_uint_ne(watch(fd, PILLION_READ, "a"), 0);
    ck_assert_uint_eq(watch(fd, PILLION_WRITE, "b"), 0);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(numbers[METRIC_DESCRIPTORS], 1);
    callbacks_closing(fd);
    turn();
    ck_assert_str_eq(said, "");
    ck_assert_uint_ne(watch(fd, PILLION_READ, "c"), 0);
    turn();
    ck_assert_str_eq(said, "c");
    tear_down();
    close(fd);
}
END_TEST

START_TEST(descriptors_of_the_server_cannot_be_watched)
{
    set_up();
    ck_assert_uint_eq(watch(always.fd, PILLION_READ, "a"), 0);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_uint_eq(watch(-1, PILLION_READ, "a"), 0);
    ck_assert_int_eq(errno, EBADF);
    tear_down();
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_watched_leaves_nothing_behind)
{
    set_up();
    ck_assert_uint_eq(watch(900, PILLION_READ, "a"), 0); /* not open */
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(numbers[METRIC_DESCRIPTORS], 0);
    tear_down();
}
END_TEST

UNIT_MAIN("callback", without_a_loop_nothing_can_be_set_up,
          a_timer_fires_once_when_its_time_has_come, timers_fire_in_the_order_of_their_times,
          a_timer_that_repeats_fires_until_it_is_cancelled, a_timer_that_repeats_may_cancel_itself,
          a_timer_may_cancel_another_that_is_due,
          a_stale_handle_never_ends_the_callback_that_came_after,
          a_watch_is_called_for_as_long_as_there_is_something_to_read,
          a_changed_watch_waits_for_its_new_events, the_other_ends_close_is_told_unasked,
          a_descriptor_has_one_watch_and_closing_it_ends_that,
          descriptors_of_the_server_cannot_be_watched,
          a_descriptor_that_cannot_be_watched_leaves_nothing_behind)
