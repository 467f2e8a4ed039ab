/* What the pool of threads promises: see core/rpc/offload.h. Its threads are real and stand still
 * at a gate until the test opens it; the loop's clock is the test's own. */
#include "rpc/offload.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "loop_fixture.h"
#include "rpc/board.h"

static struct deferreds all;
static struct board_row row;
static struct pillion_instance instance = {.name = "m"};
static struct method method = {
    .name = BYTES("call"), .own_name = "call", .instance = &instance, .timeout_ns = 5 * NS_PER_S};

/* ---- Threads at the gate ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned begun, open_to; /* works that have begun; those that may end */
static _Atomic bool on_loop_in_work, cancelled_in_work;

static void work(void *data)
{
    (void)data;
    on_loop_in_work = offload_is_loop();
    pthread_mutex_lock(&gate);
    unsigned mine = begun++;
    pthread_cond_broadcast(&changed);
    while (open_to <= mine)
        pthread_cond_wait(&changed, &gate);
    pthread_mutex_unlock(&gate);
    cancelled_in_work = offload_cancelled();
}

static void gate_open(unsigned count)
{
    pthread_mutex_lock(&gate);
    open_to = count;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&gate);
}

static void wait_begun(unsigned count)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 50;
    pthread_mutex_lock(&gate);
    while (begun < count)
        ck_assert_int_eq(pthread_cond_timedwait(&changed, &gate, &deadline), 0);
    pthread_mutex_unlock(&gate);
}

/* ---- The loop ---- */

static char said[64]; /* the letters of the jobs that are done; capital: the request was over */
static unsigned stuck_told, useless_told;

static void say(char letter)
{
    size_t length = strlen(said);
    ck_assert_uint_lt(length + 1, sizeof(said));
    said[length] = letter;
}

static void done(pillion_request *req, void *data)
{
    ck_assert(offload_is_loop());
    const char *letter = data;
    say(req != NULL ? *letter : (char)(*letter - 'a' + 'A'));
    if (req != NULL)
        request_reply(req, "x", BYTES("1"));
}

static void posted(pillion_instance *self, void *data)
{
    ck_assert_ptr_eq(self, &instance);
    say(*(const char *)data);
}

static void tell_stuck(const struct method *whose)
{
    ck_assert_ptr_eq(whose, &method);
    stuck_told++;
}

static void tell_useless(void)
{
    useless_told++;
}

static void turn_until_said(size_t count)
{
    time_t deadline = time(NULL) + 50;

    while (strlen(said) < count) {
        ck_assert_int_lt(time(NULL), deadline);
        turn();
    }
    deferreds_settle(&all);
}

/* ---- Requests ---- */

static struct pillion_request home;
static struct pool pool;
static char room[1024];

static void finish(struct deferred *deferred)
{
    deferred_free(deferred);
}

static struct bytes body = BYTES("{}");

static struct deferred *offload(const char *letter)
{
    home = (struct pillion_request){.method = &method,
                                    .body = body,
                                    .params = BYTES("null"),
                                    .pool = &pool,
                                    .room = room,
                                    .room_size = sizeof(room),
                                    .started_ns = now_ns,
                                    .max_reply = sizeof(room),
                                    .deferreds = &all};
    offload_request(&home, 1000, work, done, (void *)(uintptr_t)letter);
    struct deferred *deferred = home.deferred;
    if (deferred != NULL)
        deferred_keep(deferred, &pool);
    return deferred;
}

static void set_up(uint32_t threads, uint32_t queue)
{
    const struct offload_limits limits = {.threads = threads,
                                          .queue = queue,
                                          .row = &row,
                                          .stuck = tell_stuck,
                                          .useless = tell_useless};
    loop_open();
    deferreds_init(&all, &loop, 1000);
    all.finish = finish;
    memset(said, 0, sizeof(said));
    stuck_told = useless_told = begun = open_to = 0;
    ck_assert(offload_init(&loop, &limits));
}

static void tear_down(void)
{
    ck_assert_uint_eq(offload_pending(), 0);
    offload_end();
    ck_assert_uint_eq(all.pending, 0);
    deferreds_free(&all);
    pool_free(&pool);
    loop_close();
}

/* ---- The rules ---- */

START_TEST(work_runs_on_a_thread_and_done_on_the_loop)
{
    set_up(1, 1);
    ck_assert_ptr_nonnull(offload("a"));
    wait_begun(1);
    ck_assert(!on_loop_in_work);
    turn();
    ck_assert_str_eq(said, "");
    gate_open(1);
    turn_until_said(1);
    ck_assert_str_eq(said, "a");
    tear_down();
}
END_TEST

START_TEST(no_more_jobs_than_threads_and_queue_have_room_for)
{
    set_up(2, 1);
    ck_assert_ptr_nonnull(offload("a"));
    ck_assert_ptr_nonnull(offload("b"));
    wait_begun(2);
    ck_assert_ptr_nonnull(offload("c"));
    ck_assert_ptr_null(offload("d"));
    ck_assert_str_eq(home.code, PILLION_OVERLOADED);
    ck_assert_uint_eq(offload_pending(), 3);
    ck_assert_uint_eq(row.pool_busy, 2);
    ck_assert_uint_eq(row.pool_queued, 1);
    ck_assert_uint_eq(begun, 2);
    gate_open(3);
    turn_until_said(3);
    ck_assert_ptr_nonnull(offload("e")); /* there is room again */
    gate_open(4);
    turn_until_said(4);
    tear_down();
}
END_TEST

START_TEST(jobs_of_one_thread_are_done_in_their_order)
{
    set_up(1, 3);
    offload("a");
    offload("b");
    offload("c");
    offload("d");
    gate_open(4);
    turn_until_said(4);
    ck_assert_str_eq(said, "abcd");
    tear_down();
}
END_TEST

START_TEST(a_request_that_is_over_keeps_its_memory_until_its_work_is_done)
{
    set_up(1, 1);
    struct deferred *deferred = offload("a");
    wait_begun(1);
    deferred_drop(deferred);
    deferreds_settle(&all);
    ck_assert_int_eq(deferred->state, DEFERRED_OVER);
    ck_assert_uint_eq(all.pending, 1);
    gate_open(1);
    turn_until_said(1);
    ck_assert_str_eq(said, "A"); /* told of no request */
    ck_assert_uint_eq(all.pending, 0);
    tear_down();
}
END_TEST

/* Whether the loop has seen before the thread that its time is over, or not. */
START_TEST(work_whose_deadline_has_passed_is_not_begun)
{
    set_up(1, 5);
    instance.abi_minor = 5;
    offload("a");
    wait_begun(1);
    body = BYTES("{\"deadline\":50}");
    const struct deferred *seen = offload("b");
    pass(50);
    ck_assert_int_ne(seen->state, DEFERRED_WAITING);
    const struct deferred *unseen = offload("c");
    now_ns += 50 * NS_PER_MS;
    ck_assert_int_eq(unseen->state, DEFERRED_WAITING);
    body = BYTES("{\"deadline\":5000}");
    offload("d");
    gate_open(2);
    turn_until_said(4);
    ck_assert_str_eq(said, "aBCd");
    ck_assert_uint_eq(begun, 2);
    ck_assert_str_eq(unseen->req.code, "deadline_exceeded");
    ck_assert_uint_eq(all.pending, 0);
    body = BYTES("{}");
    tear_down();
}
END_TEST

/* Its `done` may count on that `work` has run. */
START_TEST(work_of_modules_of_an_earlier_interface_is_done_all_the_same)
{
    set_up(1, 5);
    instance.abi_minor = 4;
    offload("a");
    wait_begun(1);
    body = BYTES("{\"deadline\":50}");
    offload("b");
    pass(50);
    gate_open(2);
    turn_until_said(2);
    ck_assert_str_eq(said, "aB");
    ck_assert_uint_eq(begun, 2);
    body = BYTES("{}");
    tear_down();
}
END_TEST

START_TEST(a_thread_is_stuck_when_its_request_is_over_for_as_long_as_a_handler_may_take)
{
    set_up(3, 1);
    offload("a");
    wait_begun(1);
    pass(1000); /* the request times out, and the look after that sees it */
    deferreds_settle(&all);
    pass(100);
    pass(4900);
    ck_assert_uint_eq(stuck_told, 0);
    pass(200);
    ck_assert_uint_eq(stuck_told, 1);
    ck_assert_uint_eq(row.pool_stuck, 1);
    pass(5000);
    ck_assert_uint_eq(stuck_told, 1); /* once for each job */
    ck_assert(!offload_useless());    /* one of three */
    ck_assert_uint_eq(useless_told, 0);
    gate_open(1);
    turn_until_said(1);
    ck_assert_uint_eq(row.pool_stuck, 0);
    tear_down();
}
END_TEST

START_TEST(a_pool_is_useless_while_half_of_its_threads_are_stuck)
{
    set_up(2, 1);
    offload("a");
    wait_begun(1);
    pass(1000);
    deferreds_settle(&all);
    pass(100);
    pass(5100);
    ck_assert(offload_useless());
    ck_assert_uint_ge(useless_told, 1);
    gate_open(1);
    turn_until_said(1);
    ck_assert(!offload_useless());
    tear_down();
}
END_TEST

START_TEST(work_of_no_request_is_never_stuck)
{
    ck_assert(!offload_run(&instance, work, posted, (void *)(uintptr_t) "x")); /* no loop yet */
    set_up(1, 0);
    ck_assert(offload_run(&instance, work, posted, (void *)(uintptr_t) "a"));
    wait_begun(1);
    ck_assert(!offload_run(&instance, work, posted, (void *)(uintptr_t) "b"));
    pass(60000);
    ck_assert_uint_eq(stuck_told, 0);
    gate_open(1);
    turn_until_said(1);
    ck_assert(!cancelled_in_work);
    ck_assert(offload_run(&instance, work, NULL, NULL));
    wait_begun(2);
    offload_stop();
    gate_open(2);
    ck_assert(offload_finish(50000));
    ck_assert(cancelled_in_work);
    ck_assert_str_eq(said, "a");
    tear_down();
}
END_TEST

START_TEST(work_is_cancelled_when_its_request_is_over)
{
    set_up(1, 1);
    ck_assert(!offload_cancelled()); /* not on the loop */
    offload("a");
    wait_begun(1);
    gate_open(1);
    turn_until_said(1);
    ck_assert(!cancelled_in_work);
    struct deferred *deferred = offload("b");
    wait_begun(2);
    deferred_drop(deferred);
    deferreds_settle(&all);
    gate_open(2);
    turn_until_said(2);
    ck_assert(cancelled_in_work);
    ck_assert_str_eq(said, "aB");
    tear_down();
}
END_TEST

START_TEST(pools_are_full_each_for_itself)
{
    set_up(1, 0);
    ck_assert_uint_eq(offload_add_pool("other", 1, 0), 1);
    offload("a");
    ck_assert_ptr_null(offload("x"));
    method.pool = 1;
    ck_assert_ptr_nonnull(offload("b"));
    wait_begun(2);
    ck_assert_uint_eq(row.pool_busy, 2);
    ck_assert_ptr_null(offload("x"));
    ck_assert_str_eq(home.code, PILLION_OVERLOADED);
    pass(1000);
    deferreds_settle(&all);
    pass(100);
    pass(5100);
    ck_assert_uint_eq(row.pool_stuck, 2);
    gate_open(2);
    turn_until_said(2);
    ck_assert_uint_eq(row.pool_stuck, 0);
    method.pool = 0;
    tear_down();
}
END_TEST

START_TEST(posted_calls_run_on_the_loop_in_the_order_of_posting)
{
    ck_assert(!offload_post(&instance, posted, (void *)(uintptr_t) "x")); /* no loop yet */
    set_up(1, 1);
    ck_assert(offload_post(&instance, posted, (void *)(uintptr_t) "a"));
    ck_assert(offload_post(&instance, posted, (void *)(uintptr_t) "b"));
    ck_assert_str_eq(said, "");
    turn();
    ck_assert_str_eq(said, "ab");
    ck_assert(offload_post(&instance, posted, (void *)(uintptr_t) "c")); /* wakes it again */
    turn();
    ck_assert_str_eq(said, "abc");
    tear_down();
}
END_TEST

UNIT_MAIN("offload", work_runs_on_a_thread_and_done_on_the_loop,
          no_more_jobs_than_threads_and_queue_have_room_for,
          jobs_of_one_thread_are_done_in_their_order,
          a_request_that_is_over_keeps_its_memory_until_its_work_is_done,
          work_whose_deadline_has_passed_is_not_begun,
          work_of_modules_of_an_earlier_interface_is_done_all_the_same,
          a_thread_is_stuck_when_its_request_is_over_for_as_long_as_a_handler_may_take,
          a_pool_is_useless_while_half_of_its_threads_are_stuck, work_of_no_request_is_never_stuck,
          work_is_cancelled_when_its_request_is_over, pools_are_full_each_for_itself,
          posted_calls_run_on_the_loop_in_the_order_of_posting)
