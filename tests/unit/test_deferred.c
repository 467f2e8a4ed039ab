/* What deferring promises: see core/rpc/deferred.h. The loop's clock is the test's own, and the
 * layer above is a list of what was finished. */
#include "rpc/deferred.h"

#include <stdio.h>
#include <string.h>

#include "loop_fixture.h"

#define TIMEOUT_MS 1000u

static struct deferreds all;
static metric_cell waiting;
static metric_cell *cells[] = {&waiting, &waiting, &waiting};
static struct pillion_instance instance = {.name = "m", .cells = cells, .cell_count = 3};
static struct method method = {.name = BYTES("call"), .own_name = "call", .instance = &instance};

/* ---- The layer above ---- */

static char finished[16][32]; /* the error's code, or "ok" */
static unsigned finished_count, released, told;

static void finish(struct deferred *deferred)
{
    const struct pillion_request *req = &deferred->req;

    ck_assert(req->answered);
    ck_assert_uint_lt(finished_count, 16);
    strcpy(finished[finished_count++], req->failed ? req->code : "ok");
    deferred_free(deferred);
}

static void count_released(struct deferred *deferred)
{
    (void)deferred;
    released++;
}

static void cancelled(void *data)
{
    told += data == &told;
}

static void expect_finished(unsigned index, const char *code)
{
    deferreds_settle(&all);
    ck_assert_uint_gt(finished_count, index);
    ck_assert_str_eq(finished[index], code);
}

/* ---- A request in its handler ---- */

static struct pillion_request home;
static struct pool pool;
static char frame[128], room[1024];

static char *reserve_nothing(struct pillion_request *req, size_t size)
{
    (void)req;
    (void)size;
    return NULL;
}

static const char *more = ""; /* members of the body besides those of every request */

static void request_new(void)
{
    int size = snprintf(frame, sizeof(frame), "{\"in\":\"call\",\"params\":[1],\"id\":7%s}", more);

    ck_assert_int_lt(size, sizeof(frame));
    home = (struct pillion_request){.method = &method,
                                    .body = {frame, (size_t)size},
                                    .params = {frame + 22, 3},
                                    .id = {frame + 31, 1},
                                    .pool = &pool,
                                    .room = room,
                                    .room_size = sizeof(room),
                                    .reserve = reserve_nothing,
                                    .started_ns = now_ns,
                                    .max_reply = sizeof(room),
                                    .deferreds = &all};
}

static void set_up(void)
{
    loop_open();
    deferreds_init(&all, &loop, TIMEOUT_MS);
    all.finish = finish;
    all.released = count_released;
    finished_count = released = told = 0;
    request_new();
}

static void tear_down(void)
{
    ck_assert_uint_eq(all.pending, 0);
    ck_assert_int_eq(waiting, 0);
    deferreds_free(&all);
    pool_free(&pool);
    loop_close();
}

/* A handler has deferred and returned. */
static uint64_t defer(uint64_t timeout_ms)
{
    request_new();
    uint64_t token = deferred_begin(&home, timeout_ms);
    ck_assert_uint_ne(token, 0);
    deferred_keep(home.deferred, &pool);
    return token;
}

static struct pillion_request *resume(uint64_t token)
{
    struct pillion_request *req = deferred_resume(&all, token);
    ck_assert_ptr_nonnull(req);
    return req;
}

static void answer(uint64_t token)
{
    request_reply(resume(token), "x", BYTES("1"));
}

/* ---- The rules ---- */

START_TEST(a_request_keeps_its_frame_when_the_handler_has_returned)
{
    set_up();
    uint64_t token = defer(0);
    memset(frame, 'x', sizeof(frame));
    const struct pillion_request *req = resume(token);
    ck_assert_int_eq(memcmp(req->params.data, "[1]", 3), 0);
    ck_assert_int_eq(memcmp(req->id.data, "7", 1), 0);
    ck_assert_ptr_eq(req->pool, &req->deferred->pool);
    request_reply((struct pillion_request *)(uintptr_t)req, "x", BYTES("1"));
    expect_finished(0, "ok");
    tear_down();
}
END_TEST

START_TEST(a_token_gives_its_request_back_once)
{
    set_up();
    uint64_t token = defer(0);
    answer(token);
    ck_assert_ptr_null(deferred_resume(&all, token));
    expect_finished(0, "ok");
    ck_assert_ptr_null(deferred_resume(&all, token));
    ck_assert_uint_eq(finished_count, 1);
    ck_assert_uint_eq(released, 1);
    tear_down();
}
END_TEST

START_TEST(a_stale_token_never_leads_to_the_request_that_came_after)
{
    set_up();
    uint64_t first = defer(0);
    answer(first);
    expect_finished(0, "ok");
    uint64_t second = defer(0);
    ck_assert_uint_eq(first >> 32, second >> 32); /* in the same place */
    ck_assert_ptr_null(deferred_resume(&all, first));
    ck_assert(!deferred_on_cancel(&all, first, cancelled, &told));
    ck_assert(!deferred_rerunnable(&all, first, true));
    answer(second);
    expect_finished(1, "ok");
    tear_down();
}
END_TEST

START_TEST(numbers_that_never_were_tokens_lead_nowhere)
{
    set_up();
    uint64_t token = defer(0);
    const uint64_t none[] = {0, 1, token + 1, token + (1ull << 32), token >> 32 << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        ck_assert_msg(deferred_resume(&all, none[i]) == NULL, "%zu", i);
    ck_assert_ptr_null(deferred_resume(NULL, token));
    answer(token);
    expect_finished(0, "ok");
    tear_down();
}
END_TEST

START_TEST(serial_numbers_skip_0_when_they_begin_again)
{
    set_up();
    answer(defer(0));
    expect_finished(0, "ok");
    all.table[0]->serial = UINT32_MAX;
    uint64_t token = defer(0);
    ck_assert_uint_eq((uint32_t)token, 1);
    answer(token);
    expect_finished(1, "ok");
    tear_down();
}
END_TEST

START_TEST(a_request_is_answered_timeout_when_its_time_is_up_and_not_before)
{
    set_up();
    uint64_t token = defer(50);
    pass(49);
    ck_assert_int_eq(all.table[0]->state, DEFERRED_WAITING);
    pass(1);
    ck_assert(all.table[0]->timed_out);
    ck_assert_ptr_null(deferred_resume(&all, token));
    expect_finished(0, "timeout");
    tear_down();
}
END_TEST

START_TEST(a_handler_that_gives_no_time_gets_the_servers)
{
    set_up();
    defer(0);
    pass(TIMEOUT_MS - 1);
    ck_assert_int_eq(all.table[0]->state, DEFERRED_WAITING);
    pass(1);
    expect_finished(0, "timeout");
    tear_down();
}
END_TEST

START_TEST(the_time_of_a_request_began_with_its_handler)
{
    set_up();
    ck_assert_uint_ne(deferred_begin(&home, 50), 0);
    now_ns += 30 * NS_PER_MS; /* the handler goes on */
    deferred_keep(home.deferred, &pool);
    pass(19);
    ck_assert_int_eq(all.table[0]->state, DEFERRED_WAITING);
    pass(1);
    expect_finished(0, "timeout");
    tear_down();
}
END_TEST

/* Defers for 100 ms with this value for a deadline; the request ends with `code` after `ms`. */
static void expect_end(const char *deadline, unsigned ms, const char *code)
{
    char member[64];

    snprintf(member, sizeof(member), ",\"deadline\":%s", deadline);
    more = member;
    set_up();
    uint64_t token = defer(100);
    ck_assert(deferred_on_cancel(&all, token, cancelled, &told));
    pass(ms - 1);
    ck_assert_msg(all.table[0]->state == DEFERRED_WAITING, "%s", deadline);
    pass(1);
    ck_assert_ptr_null(deferred_resume(&all, token));
    expect_finished(0, code);
    ck_assert_uint_eq(told, 1);
    tear_down();
    more = "";
}

START_TEST(a_request_ends_with_the_deadline_of_its_client)
{
    expect_end("50", 50, "deadline_exceeded");
    expect_end("5e1", 50, "deadline_exceeded");
    expect_end("0.001", 1, "deadline_exceeded");
    expect_end("101", 100, "timeout");
    expect_end("1e300", 100, "timeout");
}
END_TEST

START_TEST(what_is_no_time_is_no_deadline)
{
    static const char *const none[] = {"0", "-5", "null", "\"50\"", "[50]", "0e5", "1e-400"};

    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        expect_end(none[i], 100, "timeout");
    more = ",\"x\":{\"deadline\":50}"; /* not beside the params */
    set_up();
    ck_assert_uint_eq(request_deadline_ns(&home), 0);
    tear_down();
    more = "";
}
END_TEST

/* Deferring once more gives the whole timeout again, and no other deadline. */
START_TEST(the_deadline_stays_what_it_was)
{
    more = ",\"deadline\":50";
    set_up();
    ck_assert_uint_eq(deferred_due_ns(&home), now_ns + 50 * NS_PER_MS);
    uint64_t due_ns = now_ns + 50 * NS_PER_MS;
    uint64_t token = defer(0);
    pass(30);
    struct pillion_request *req = resume(token);
    ck_assert_uint_eq(deferred_due_ns(req), due_ns);
    ck_assert_uint_ne(deferred_begin(req, 0), 0);
    deferreds_settle(&all);
    pass(19);
    ck_assert_int_eq(all.table[0]->state, DEFERRED_WAITING);
    pass(1);
    ck_assert(!all.table[0]->timed_out);
    expect_finished(0, "deadline_exceeded");
    tear_down();
    more = "";
}
END_TEST

START_TEST(a_resumed_request_has_no_timeout_any_more)
{
    set_up();
    struct pillion_request *req = resume(defer(50));
    pass(100);
    ck_assert(!req->answered);
    request_reply(req, "x", BYTES("1"));
    expect_finished(0, "ok");
    tear_down();
}
END_TEST

START_TEST(a_request_deferred_once_more_has_another_token_and_its_whole_time)
{
    set_up();
    uint64_t first = defer(50);
    pass(40);
    uint64_t second = deferred_begin(resume(first), 50);
    ck_assert_uint_ne(second, 0);
    ck_assert_uint_ne(second, first);
    deferreds_settle(&all);
    ck_assert_uint_eq(finished_count, 0);
    ck_assert_ptr_null(deferred_resume(&all, first));
    pass(49);
    ck_assert_int_eq(all.table[0]->state, DEFERRED_WAITING);
    pass(1);
    expect_finished(0, "timeout");
    tear_down();
}
END_TEST

START_TEST(answers_are_finished_in_the_order_in_which_they_were_given)
{
    set_up();
    uint64_t tokens[3] = {defer(0), defer(0), defer(0)};
    answer(tokens[2]);
    request_fail(resume(tokens[0]), "first", "-");
    ck_assert_uint_eq(finished_count, 0); /* not before the batch is over */
    deferreds_settle(&all);
    ck_assert_uint_eq(finished_count, 2);
    expect_finished(0, "ok");
    expect_finished(1, "first");
    answer(tokens[1]);
    expect_finished(2, "ok");
    tear_down();
}
END_TEST

START_TEST(a_request_resumed_and_not_answered_is_an_internal_error)
{
    set_up();
    resume(defer(0));
    expect_finished(0, PILLION_INTERNAL_ERROR);
    tear_down();
}
END_TEST

START_TEST(a_handler_that_resumes_before_it_returns_has_its_own_request_back)
{
    set_up();
    uint64_t token = deferred_begin(&home, 0);
    ck_assert(home.promised);
    ck_assert_ptr_eq(resume(token), &home);
    ck_assert(!home.promised && home.deferred == NULL);
    ck_assert_ptr_null(deferred_resume(&all, token));
    tear_down();
}
END_TEST

START_TEST(the_end_of_a_request_is_told_once_unless_it_was_resumed)
{
    set_up();
    uint64_t in_time = defer(50), late = defer(50), left = defer(50);
    ck_assert(deferred_on_cancel(&all, in_time, cancelled, &told));
    ck_assert(deferred_on_cancel(&all, late, cancelled, &told));
    ck_assert(deferred_on_cancel(&all, left, cancelled, &told));
    answer(in_time);
    ck_assert_uint_eq(told, 0);
    deferred_drop(all.table[2]);
    ck_assert_uint_eq(told, 1);
    pass(50);
    ck_assert_uint_eq(told, 2);
    expect_finished(0, "ok");
    expect_finished(1, "cancelled");
    expect_finished(2, "timeout");
    ck_assert_uint_eq(told, 2);
    tear_down();
}
END_TEST

START_TEST(a_cancel_callback_can_be_removed)
{
    set_up();
    uint64_t token = defer(50);
    ck_assert(deferred_on_cancel(&all, token, cancelled, &told));
    ck_assert(deferred_on_cancel(&all, token, NULL, NULL));
    pass(50);
    ck_assert(!deferred_on_cancel(&all, token, cancelled, &told));
    ck_assert_uint_eq(told, 0);
    expect_finished(0, "timeout");
    tear_down();
}
END_TEST

START_TEST(a_request_whose_client_has_gone_is_dropped)
{
    set_up();
    uint64_t token = defer(50);
    deferred_drop(all.table[0]);
    ck_assert_ptr_null(deferred_resume(&all, token));
    expect_finished(0, "cancelled");
    pass(100);
    ck_assert_uint_eq(finished_count, 1);
    tear_down();
}
END_TEST

START_TEST(a_request_is_kept_until_its_thread_has_finished)
{
    set_up();
    defer(50);
    struct deferred *deferred = all.table[0];
    deferred->working = true;
    pass(50);
    expect_finished(0, "timeout");
    ck_assert_uint_eq(all.pending, 1);
    ck_assert_uint_eq(released, 0);
    uint64_t other = defer(0);
    ck_assert_uint_eq(other >> 32, 2); /* not in its place */
    deferred_work_done(deferred);
    ck_assert_uint_eq(released, 1);
    answer(other);
    expect_finished(1, "ok");
    tear_down();
}
END_TEST

START_TEST(more_than_the_most_requests_are_refused_as_overloaded)
{
    set_up();
    all.pending = 1000000; /* as if there were so many */
    ck_assert_uint_eq(deferred_begin(&home, 0), 0);
    ck_assert_str_eq(home.code, PILLION_OVERLOADED);
    ck_assert(home.deferred == NULL && !home.promised);
    request_new();
    all.pending = 999999;
    uint64_t token = deferred_begin(&home, 0);
    ck_assert_uint_ne(token, 0);
    resume(token);
    all.pending = 0;
    tear_down();
}
END_TEST

START_TEST(filters_and_answered_requests_cannot_defer)
{
    struct filter_use filter = {.instance = &instance};

    set_up();
    home.filter = &filter;
    ck_assert_uint_eq(deferred_begin(&home, 0), 0);
    ck_assert_str_eq(home.code, PILLION_INTERNAL_ERROR);
    request_new();
    home.deferreds = NULL;
    ck_assert_uint_eq(deferred_begin(&home, 0), 0);
    ck_assert_str_eq(home.code, PILLION_INTERNAL_ERROR);
    request_new();
    request_reply(&home, "x", BYTES("1"));
    ck_assert_uint_eq(deferred_begin(&home, 0), 0);
    ck_assert(!home.failed); /* the answer stays what it was */
    tear_down();
}
END_TEST

START_TEST(a_module_is_shown_with_as_many_waiting_requests_as_it_has)
{
    set_up();
    uint64_t first = defer(0), second = defer(0);
    ck_assert_int_eq(waiting, 2);
    answer(first);
    expect_finished(0, "ok");
    ck_assert_int_eq(waiting, 1);
    answer(second);
    expect_finished(1, "ok");
    tear_down();
}
END_TEST

UNIT_MAIN("deferred", a_request_keeps_its_frame_when_the_handler_has_returned,
          a_token_gives_its_request_back_once,
          a_stale_token_never_leads_to_the_request_that_came_after,
          numbers_that_never_were_tokens_lead_nowhere, serial_numbers_skip_0_when_they_begin_again,
          a_request_is_answered_timeout_when_its_time_is_up_and_not_before,
          a_handler_that_gives_no_time_gets_the_servers,
          the_time_of_a_request_began_with_its_handler, a_resumed_request_has_no_timeout_any_more,
          a_request_ends_with_the_deadline_of_its_client, what_is_no_time_is_no_deadline,
          the_deadline_stays_what_it_was,
          a_request_deferred_once_more_has_another_token_and_its_whole_time,
          answers_are_finished_in_the_order_in_which_they_were_given,
          a_request_resumed_and_not_answered_is_an_internal_error,
          a_handler_that_resumes_before_it_returns_has_its_own_request_back,
          the_end_of_a_request_is_told_once_unless_it_was_resumed, a_cancel_callback_can_be_removed,
          a_request_whose_client_has_gone_is_dropped,
          a_request_is_kept_until_its_thread_has_finished,
          more_than_the_most_requests_are_refused_as_overloaded,
          filters_and_answered_requests_cannot_defer,
          a_module_is_shown_with_as_many_waiting_requests_as_it_has)
