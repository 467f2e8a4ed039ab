/* Requests that are answered later: order, overtaking, limits, timeouts, clients that go, threads,
 * wrong uses; and what becomes of them when workers die, leave or are replaced. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define METHODS                                                                                \
    "method ping; method wait; method retry; method hold; method let_go; method nap;  "        \
    "method pipe; method post; method at_once; method thrice; method twice; method forgets;"   \
    "method answers_deferred; method made_up; method keep; method use_kept; method in_thread;" \
    "method dies_later; method resumed_dies; method loops_later; method dies_in_thread;"       \
    "method crash_now; method ticks; method leave_stale; method use_stale; method nap_twice; " \
    "method let_grow; method late_again; method hold_again; method sleep_on; method wake;"     \
    "method read_raw; method tick_rarely; method everything;"

/* One worker, so that all connections are in the same one. */
static struct server *serve_later_with(const char *main_text, const char *server_text)
{
    struct server *server =
        server_serve_alone(keep_printf("load_module modules/later.so; %s", main_text),
                           keep_printf(METHODS "%s", server_text));

    server->reports_allowed = true; /* some methods end their worker */
    return server;
}

static struct server *serve_later(void)
{
    return serve_later_with("", "");
}

/* Sends as one piece, so that all of it is there when the worker reads. */
static void send_frames(int client, const char *const bodies[])
{
    char bytes[65536];
    size_t size = 0;

    for (; *bodies != NULL; bodies++) {
        uint32_t length = (uint32_t)strlen(*bodies);
        memcpy(bytes + size, &length, sizeof(length));
        memcpy(bytes + size + sizeof(length), *bodies, length);
        size += sizeof(length) + length;
    }
    client_send(client, bytes, size);
}

static void expect_error_of(int client, const char *code, int id)
{
    const cJSON *reply = client_receive_json(client);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    const char *got = cJSON_GetStringValue(cJSON_GetObjectItem(result, "code"));
    const cJSON *got_id = cJSON_GetObjectItem(reply, "id");

    if (got == NULL || strcmp(got, code) != 0 || got_id == NULL || got_id->valueint != id)
        fail_test("%s instead of %s with id %d", cJSON_PrintUnformatted(reply), code, id);
}

/* ---- Answering ---- */

START_TEST(every_way_of_answering_later_works)
{
    static const char *const same[] = {"wait", "retry", "nap", "post", "at_once", "thrice"};
    struct server *server = serve_later();
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":{\"ms\":2}}", same[i]));
        client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":2}}");
        client_send_frame(client,
                          keep_printf("{\"id\":\"x\",\"params\":{\"ms\":2,\"k\":\"\\u00e9\"},"
                                      "\"in\":\"%s\"}",
                                      same[i]));
        client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":2,\"k\":\"\\u00e9\"},"
                              "\"id\":\"x\"}");
    }
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"pipe\"}");
        client_expect(client, "{\"out\":\"piped\",\"result\":\"through\"}");
    }
    client_send_frame(client, "{\"in\":\"ticks\"}");
    const cJSON *ticks = client_receive_json(client);
    ck_assert_double_gt(cJSON_GetNumberValue(cJSON_GetObjectItem(ticks, "result")), 0);
}
END_TEST

START_TEST(without_ids_replies_stay_in_order)
{
    struct server *server = serve_later();
    int client = client_connect(server);

    send_frames(client, (const char *const[]){
                            "{\"in\":\"wait\",\"params\":{\"ms\":60}}", "{\"in\":\"ping\"}",
                            "{\"in\":\"wait\",\"params\":{\"ms\":1}}", "{\"in\":\"nobody\"}",
                            "{\"in\":\"ping\",\"params\":2}", NULL});
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":60}}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":1}}");
    client_expect_error(client, "method_not_found");
    client_expect(client, "{\"out\":\"pong\",\"result\":2}");
    client_expect_alive(client);
}
END_TEST

START_TEST(replies_with_ids_overtake)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);

    send_frames(client,
                (const char *const[]){"{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}",
                                      "{\"in\":\"ping\",\"id\":2}", "{\"in\":\"nobody\",\"id\":3}",
                                      "{\"in\":\"hold\",\"params\":{\"key\":4}}",
                                      "{\"in\":\"ping\",\"id\":5}", "{\"in\":\"ping\"}", NULL});
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    expect_error_of(client, "method_not_found", 3);
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":5}");
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":4}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":true}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":4}}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1},\"id\":1}");
    client_expect_alive(client);
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":9}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":true}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":false}");
}
END_TEST

/* Params of -1 are UINT64_MAX to these methods. */
START_TEST(no_time_is_so_long_that_it_is_over_at_once)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":-1,\"timeout\":30},\"id\":1}");
    expect_error_of(client, "timeout", 1);
    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1,\"timeout\":-1},\"id\":2}");
    client_expect_alive(client);
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":true}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1,\"timeout\":-1},\"id\":2}");
    client_send_frame(client, "{\"in\":\"tick_rarely\",\"id\":3}");
    client_expect(client, "{\"out\":\"ticked\",\"result\":1,\"id\":3}");
}
END_TEST

START_TEST(max_inflight_bounds_the_requests_under_way)
{
    struct server *server = serve_later_with("", "max_inflight 3;");
    int client = client_connect(server), other = client_connect(server);
    char body[128];

    for (int i = 0; i < 5; i++) {
        snprintf(body, sizeof(body), "{\"in\":\"hold\",\"params\":{\"key\":%d},\"id\":%d}", i, i);
        client_send_frame(client, body);
    }
    client_send_frame(client, "{\"in\":\"ping\",\"id\":9}");
    wait_until(server_stat(server, "connections.deferred") == 3, "three are not under way");
    for (int i = 0; i < 3; i++)
        client_expect_alive(other); /* further ones would have begun meanwhile */
    ck_assert_double_eq(server_stat(server, "connections.deferred"), 3);
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":true}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 4, "the fourth has not begun");
    char *replies = "";
    for (int i = 0; i < 5; i++) {
        if (i == 1)
            continue;
        snprintf(body, sizeof(body), "{\"in\":\"let_go\",\"params\":{\"key\":%d}}", i);
        wait_until(
            (client_send_frame(other, body), strstr(client_receive(other, NULL), "true") != NULL),
            "request %d was never begun", i);
        replies = keep_printf("%s%s", replies, client_receive(client, NULL));
    }
    replies = keep_printf("%s%s", replies, client_receive(client, NULL));
    for (int i = 0; i < 10; i++) {
        snprintf(body, sizeof(body), ",\"id\":%d}", i);
        if (i != 1 && (i < 5 || i == 9))
            expect_part(replies, body);
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(a_thousand_wait_at_the_same_time)
{
    struct server *server = serve_later_with("", "max_inflight 255;");
    int clients[5];
    char body[64];

    for (int c = 0; c < 5; c++)
        clients[c] = client_connect(server);
    for (int i = 0; i < 200; i++) {
        snprintf(body, sizeof(body), "{\"in\":\"wait\",\"params\":{\"ms\":10},\"id\":%d}", i);
        for (int c = 0; c < 5; c++)
            client_send_frame(clients[c], body);
    }
    for (int c = 0; c < 5; c++) {
        bool seen[200] = {false};
        for (int i = 0; i < 200; i++) {
            int id = cJSON_GetObjectItem(client_receive_json(clients[c]), "id")->valueint;
            ck_assert(id >= 0 && id < 200 && !seen[id]);
            seen[id] = true;
        }
    }
}
END_TEST

START_TEST(a_client_that_has_finished_sending_gets_its_reply)
{
    struct server *server = serve_later();
    int client = client_connect(server);

    send_frames(client, (const char *const[]){"{\"in\":\"wait\",\"params\":{\"ms\":30}}",
                                              "{\"in\":\"ping\"}", NULL});
    client_finish(client);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":30}}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_expect_end(client);
}
END_TEST

/* ---- Not answering ---- */

START_TEST(a_deferred_request_times_out)
{
    struct server *server = serve_later_with("defer_timeout 40ms;", "");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1}}");
    expect_part(client_expect_error(client, "timeout"), "\"hold\" did not answer within 40 ms");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":5000,\"timeout\":20}}");
    expect_part(client_expect_error(client, "timeout"), "within 20 ms");
    server_wait_log(server, "a wait is given up");
    client_send_frame(client, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(client, "{\"out\":\"let_go\",\"result\":false}");
    client_send_frame(client, "{\"in\":\"leave_stale\",\"params\":{\"timeout\":20}}");
    client_expect_error(client, "timeout");
    for (int reused = 0; reused < 2; reused++) {
        client_send_frame(client, "{\"in\":\"use_stale\"}");
        client_expect(client, "{\"out\":\"use_stale\",\"result\":false}");
        client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1,\"timeout\":60000}}");
        client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":1,\"timeout\":60000}}");
    }
    client_send_frame(client, "{\"in\":\"late_again\"}");
    client_expect_error(client, "timeout");
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":20,\"timeout\":60000}}");
        client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":20,\"timeout\":60000}}");
    }
    ck_assert_ptr_null(strstr(server_log(server), "resumed a request"));
    ck_assert_double_eq(server_stat(server, "connections.timeouts"), 4);
}
END_TEST

START_TEST(work_that_follows_work_keeps_its_memory)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);

    for (int i = 0; i < 5; i++) {
        client_send_frame(client, "{\"in\":\"nap_twice\",\"params\":{\"ms\":10},\"id\":1}");
        expect_error_of(client, "timeout", 1);
        /* These are where that was, if its memory is free by now. Its thread writes when it is
         * woken: while they wait. */
        for (int n = 0; n < 8; n++)
            client_send_frame(other, keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":200,"
                                                 "\"mine\":\"%d\"},\"id\":%d}",
                                                 n, n));
        client_send_frame(other, "{\"in\":\"wake\",\"id\":8}");
        for (int n = 0; n < 9; n++) {
            char *reply = client_receive(other, NULL);
            if (strstr(reply, "\"id\":8}") == NULL)
                expect_part(reply, "\"out\":\"later\",\"result\":{\"ms\":200,\"mine\":\"");
        }
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(replies_that_wait_for_room_survive_a_reload)
{
    enum { REPLIES = 60 };
    struct server *server = serve_later_with("arena_size 2m;", "max_frame 64k;");
    int client = client_connect(server), other = client_connect(server);
    double deferred = 0;

    for (int i = 0; i < REPLIES; i++)
        client_send_frame(client, keep_printf("{\"in\":\"hold\",\"params\":{\"key\":%d,"
                                              "\"size\":200000},\"id\":%d}",
                                              i, i));
    wait_until((deferred = server_stat(server, "connections.deferred")) == REPLIES,
               "%g are deferred", deferred);
    client_send_frame(other, "{\"in\":\"let_grow\"}");
    client_expect(other, "{\"out\":\"let_grow\",\"result\":null}");
    server_wait_log(server, "the arena is full");
    server_reload(server);
    for (int i = 0; i < REPLIES; i++) {
        size_t size;
        char *reply = client_receive(client, &size);
        if (size < 200000)
            fail_test("the reply is %s", reply);
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(a_client_that_goes_is_noticed)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);

    send_frames(client,
                (const char *const[]){"{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}",
                                      "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":2}",
                                      "{\"in\":\"sleep_on\",\"id\":3}", NULL});
    wait_until(server_stat(server, "connections.deferred") == 3, "nothing is deferred");
    client_vanish(client);
    server_wait_log(server, "a wait is given up");
    client_send_frame(other, "{\"in\":\"wake\"}");
    client_expect(other, "{\"out\":\"wake\",\"result\":null}");
    server_wait_log(server, "slept for nobody");
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":false}");
    wait_until(server_stat(server, "connections.cancelled") == 3, "they are not counted");
}
END_TEST

static int times(const char *text, const char *part)
{
    int count = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* Its bytes are nobody else's while a thread reads them, whatever becomes of its connection. */
START_TEST(a_thread_reads_the_request_unchanged)
{
    struct server *server = serve_later_with("pool_threads 3;", "");
    int gone = client_connect(server), late = client_connect(server),
        waits = client_connect(server), other = client_connect(server);
    char *filling = keep_printf("{\"in\":\"ping\",\"params\":\"%01900d\"}", 7);

    client_send_frame(gone, "{\"in\":\"read_raw\",\"params\":{\"mine\":\"first\"}}");
    client_send_frame(late, "{\"in\":\"read_raw\",\"params\":{\"mine\":\"second\",\"timeout\":1}}");
    client_send_frame(waits, "{\"in\":\"read_raw\",\"params\":{\"mine\":\"third\"},\"id\":1}");
    client_expect_error(late, "timeout");
    wait_until(server_stat(server, "connections.deferred") == 3, "they are not under way");
    client_vanish(gone);
    for (int i = 0; i < 40; i++) { /* more than a block of the arena has room for */
        client_send_frame(late, filling);
        client_receive(late, NULL);
        client_send_frame(waits, "{\"in\":\"ping\",\"params\":\"padding\",\"id\":2}");
        client_receive(waits, NULL);
    }
    wait_until(server_stat(server, "connections.cancelled") == 1, "the client is not gone");
    for (int i = 0; i < 40; i++)
        client_send_frame(client_connect(server), filling);
    client_send_frame(other, "{\"in\":\"wake\"}");
    client_expect(other, "{\"out\":\"wake\",\"result\":null}");
    client_expect(waits, "{\"out\":\"read\",\"result\":true,\"id\":1}");
    wait_until(times(server_log(server), "has read is") == 3, "a thread does not end");
    ck_assert_ptr_null(strstr(server_log(server), "something else"));
    client_expect_alive(late);
}
END_TEST

/* Nor while it waits without one: its connection's input moves to larger blocks meanwhile. */
START_TEST(a_callback_reads_the_request_unchanged)
{
    struct server *server = serve_later();
    int client = client_connect(server), others[20];
    char *padding = keep_printf("{\"in\":\"ping\",\"params\":\"%0100000d\",\"id\":2}", 7);

    client_send_frame(client, "{\"in\":\"read_raw\",\"params\":{\"timer\":300},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "it is not deferred");
    client_send_frame(client, padding);
    expect_part(client_receive(client, NULL), "\"id\":2}");
    for (int i = 0; i < 20; i++)
        client_send(others[i] = client_connect(server), padding, 5000);
    client_expect(client, "{\"out\":\"read\",\"result\":true,\"id\":1}");
}
END_TEST

START_TEST(threads_and_their_queue_are_bounded)
{
    struct server *server = serve_later_with("pool_threads 2; pool_queue 1;", "");
    int client = client_connect(server), other = client_connect(server);

    for (int i = 0; i < 6; i++)
        client_send_frame(client, keep_printf("{\"in\":\"sleep_on\",\"id\":%d}", i));
    /* Two are at work, one waits, and for the others there is no room. */
    for (int i = 3; i < 5; i++)
        expect_error_of(client, "overloaded", i);
    expect_part(client_receive(client, NULL), "(pool_threads, pool_queue)\",\"retry_after\":1}");
    client_expect_alive(other);
    client_send_frame(other, "{\"in\":\"wake\"}");
    client_expect(other, "{\"out\":\"wake\",\"result\":null}");
    for (int i = 0; i < 3; i++)
        expect_part(client_receive(client, NULL), "\"out\":\"later\"");
    client_expect_alive(client);
}
END_TEST

START_TEST(wrong_uses_are_named_and_hurt_nobody)
{
    static const struct {
        const char *method, *reply, *log;
    } wrong[] = {
        {"twice", "{\"out\":\"later\",\"result\":null}",
         "module later: \"twice\" resumed a request twice"},
        {"twice", "{\"out\":\"later\",\"result\":null}",
         "module later: \"twice\" answered a request a second time"},
        {"forgets", "internal_error",
         "module later: \"forgets\" resumed a request and did not answer it"},
        {"answers_deferred", "timeout",
         "module later: \"answers_deferred\" answered a request that it has deferred"},
        {"made_up", "{\"out\":\"made_up\",\"result\":false}",
         "module later: \"made_up\" resumed with the token 7777777700000001, which never was one"},
        {"leave_stale", "{\"out\":\"later\",\"result\":null}", ""},
        {"thrice", "{\"out\":\"later\",\"result\":null}", ""}, /* takes its place */
        {"use_stale", "{\"out\":\"use_stale\",\"result\":false}",
         "module later: \"leave_stale\" resumed a request twice"},
        {"keep", "{\"out\":\"later\",\"result\":null}", ""},
        {"use_kept", "{\"out\":\"later\",\"result\":null}",
         "module later: \"keep\" answered a request a second time"},
        {"in_thread", "{\"out\":\"later\",\"result\":null}",
         "module later: \"in_thread\" called pillion_fail in a thread"},
    };
    struct server *server = serve_later();
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\"}", wrong[i].method));
        if (wrong[i].reply[0] == '{')
            client_expect(client, wrong[i].reply);
        else
            client_expect_error(client, wrong[i].reply);
        server_wait_log(server, wrong[i].log);
        client_expect_alive(client);
    }
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1,\"delete\":[1,2]}}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":1,\"delete\":[1,2]}}");
    server_wait_log(server, "module later: \"wait\" frees memory of the request");
    client_expect_alive(client);
    ck_assert_ptr_null(strstr(server_log(server), "died"));
}
END_TEST

/* However often a client calls such a method. */
START_TEST(wrong_uses_do_not_fill_the_log)
{
    enum { CALLS = 200 };
    static const struct {
        const char *method, *log;
    } wrong[] = {{"made_up", "which never was one"},
                 {"twice", "resumed a request twice"},
                 {"forgets", "did not answer it"},
                 {"in_thread", "called pillion_fail in a thread"}};
    struct server *server = serve_later();
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        unsigned lines = 0;
        for (int n = 0; n < CALLS; n++)
            client_ask(client, keep_printf("{\"in\":\"%s\"}", wrong[i].method));
        server_wait_log(server, wrong[i].log);
        for (const char *at = server_log(server); (at = strstr(at, wrong[i].log)) != NULL; at++)
            lines++;
        ck_assert_uint_lt(lines, CALLS / 4); /* five in ten seconds */
    }
}
END_TEST

START_TEST(threads_are_refused_the_calls_that_belong_to_the_loop)
{
    static const char *const refused[] = {
        "params_raw",      "params",        "method_config", "idempotent",  "method_name",
        "member",          "body",          "request_id",    "peer",        "self",
        "alloc",           "reply",         "reply_raw",     "fail",        "fail_raw",
        "defer",           "resume",        "on_cancel",     "rerunnable",  "offload",
        "timer",           "watch",         "watch_change",  "cancel",      "filter_config",
        "error_code",      "reply_size",    "elapsed_ns",    "log_request", "server_methods",
        "server_describe", "server_health", "server_stats",
    };
    struct server *server = serve_later();
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"everything\",\"params\":[1,2,3]}");
    client_expect(client, "{\"out\":\"called\",\"result\":0}");
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        server_wait_log(server, keep_printf("module later: \"everything\" called pillion_%s in a "
                                            "thread of the pool",
                                            refused[i]));
    server_wait_log(server, "a thread may log");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "wrong"));
}
END_TEST

/* ---- Workers that die ---- */

START_TEST(requests_under_way_when_a_worker_died_are_answered_once)
{
    struct server *server = serve_later();
    int one = client_connect(server), two = client_connect(server), idle = client_connect(server);

    client_expect_alive(idle);
    send_frames(one, (const char *const[]){"{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}",
                                           "{\"in\":\"ping\",\"id\":2}",
                                           "{\"in\":\"hold\",\"params\":{\"key\":3},\"id\":3}",
                                           "{\"in\":\"ping\",\"id\":4}", NULL});
    client_expect(one, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    client_expect(one, "{\"out\":\"pong\",\"result\":null,\"id\":4}");
    client_send_frame(one, "{\"in\":\"hold\",\"params\":{\"key\":5}}");
    client_send_frame(one, "{\"in\":\"ping\",\"params\":\"waits\"}");
    wait_until(server_stat(server, "connections.deferred") == 3, "three are not under way");
    send_frames(two, (const char *const[]){"{\"in\":\"crash_now\",\"id\":1}",
                                           "{\"in\":\"ping\",\"id\":2}", NULL});
    expect_error_of(two, "module_crashed", 1);
    client_expect(two, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    expect_error_of(one, "module_crashed", 1);
    expect_error_of(one, "module_crashed", 3);
    expect_part(client_expect_error(one, "module_crashed"), "\"hold\" ended before");
    client_expect(one, "{\"out\":\"pong\",\"result\":\"waits\"}");
    client_expect_alive(one);
    client_expect_alive(idle);
    ck_assert_double_eq(server_stat(server, "connections.guilty"), 1);
    ck_assert_double_eq(server_stat(server, "connections.orphaned"), 3);
}
END_TEST

/* Lets go of what a worker may begin to hold only now. */
static void let_go(int client, int key)
{
    char *request = keep_printf("{\"in\":\"let_go\",\"params\":{\"key\":%d}}", key);

    wait_until(
        (client_send_frame(client, request), strstr(client_receive(client, NULL), "true") != NULL),
        "request %d was never begun", key);
}

START_TEST(idempotent_requests_under_way_are_run_once_more)
{
    struct server *server = serve_later_with("quarantine_crashes off;", "");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client, "{\"in\":\"hold_again\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":2}");
    wait_until(server_stat(server, "connections.deferred") == 2, "nothing is deferred");
    client_send_frame(other, "{\"in\":\"crash_now\"}");
    client_expect_error(other, "module_crashed");
    expect_error_of(client, "module_crashed", 2);
    let_go(other, 1);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1},\"id\":1}");
    ck_assert_double_eq(server_stat(server, "connections.retried"), 1);
    /* Once, and not once more after a second death. */
    double before = server_stat(server, "connections.deferred");
    client_send_frame(client, "{\"in\":\"retry\",\"params\":{\"ms\":60000},\"id\":3}");
    for (int death = 0; death < 2; death++) {
        wait_until(server_stat(server, "connections.deferred") == before + 1 + death,
                   "it is not deferred");
        client_send_frame(other, "{\"in\":\"crash_now\"}");
        client_expect_error(other, "module_crashed");
    }
    expect_error_of(client, "module_crashed", 3);
    client_expect_alive(client);
}
END_TEST

START_TEST(the_configuration_decides_whether_a_method_is_idempotent)
{
    struct server *server = serve_later_with(
        "quarantine_crashes off;", "method again { handler later.hold; idempotent on; }"
                                   "method never { handler later.hold_again; idempotent off; }");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client, "{\"in\":\"again\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"never\",\"params\":{\"key\":2},\"id\":2}");
    wait_until(server_stat(server, "connections.deferred") == 2, "nothing is deferred");
    client_send_frame(other, "{\"in\":\"crash_now\"}");
    client_expect_error(other, "module_crashed");
    expect_error_of(client, "module_crashed", 2);
    let_go(other, 1);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1},\"id\":1}");
}
END_TEST

START_TEST(requests_of_a_removed_method_are_counted)
{
    struct server *server = serve_later();
    int client = client_connect(server);
    pid_t workers[2];

    ck_assert_uint_eq(server_workers(server, workers, 2), 1);
    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_conf(server, "load_module modules/later.so;", "method ping;");
    server_reload(server);
    kill(workers[0], SIGKILL); /* it has stayed for that request */
    expect_error_of(client, "module_crashed", 1);
    ck_assert_double_eq(server_calls(server, "hold", "calls"), 1);
    ck_assert_double_eq(server_calls(server, "hold", "errors"), 1);
    client_expect_alive(client);
}
END_TEST

START_TEST(callbacks_that_end_their_worker_cost_their_requests)
{
    static const char *const methods[] = {"dies_later", "resumed_dies", "loops_later",
                                          "dies_in_thread"};
    struct server *server = serve_later_with("handler_timeout 2s; quarantine_crashes 2;", "");
    int client = client_connect(server), idle = client_connect(server);

    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\"}", methods[i]));
        client_expect_error(client, i == 2 ? "timeout" : "module_crashed");
    }
    server_wait_log(server, "died while it ran \"resumed_dies\"");
    server_wait_log(server, "\"loops_later\" (a timer of module later) ran for longer than it may");
    client_send_frame(client, "{\"in\":\"resumed_dies\"}");
    client_expect_error(client, "module_crashed");
    wait_until((client_send_frame(client, "{\"in\":\"resumed_dies\"}"),
                strstr(client_receive(client, NULL), "method_quarantined") != NULL),
               "it is not quarantined");
    client_expect_alive(idle);
}
END_TEST

/* ---- Workers that leave ---- */

START_TEST(a_reload_waits_only_on_connections_with_deferred_requests)
{
    struct server *server = serve_later();
    int waits = client_connect(server), longer = client_connect(server);
    int idle = client_connect(server);

    client_expect_alive(idle);
    client_send_frame(waits, "{\"in\":\"wait\",\"params\":{\"ms\":500},\"id\":1}");
    client_send_frame(longer, "{\"in\":\"wait\",\"params\":{\"ms\":1500}}");
    wait_until(server_stat(server, "connections.deferred") == 2, "nothing is deferred");
    server_reload(server);
    client_expect_alive(idle);
    client_send_frame(waits, "{\"in\":\"ping\",\"id\":2}"); /* unread until the first is answered */
    client_send_frame(longer, "{\"in\":\"ping\"}");
    client_expect_alive(idle);
    client_expect(waits, "{\"out\":\"later\",\"result\":{\"ms\":500},\"id\":1}");
    client_expect(waits, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    client_expect(longer, "{\"out\":\"later\",\"result\":{\"ms\":1500}}");
    client_expect(longer, "{\"out\":\"pong\",\"result\":null}");
    client_expect_alive(waits);
    client_expect_alive(longer);
    ck_assert_ptr_null(strstr(server_log(server), "[error]"));
    ck_assert_ptr_null(strstr(server_log(server), "[warn]"));
}
END_TEST

START_TEST(requests_that_wait_beyond_drain_timeout_are_answered)
{
    struct server *server = serve_later_with("drain_timeout 300ms;", "");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_reload(server);
    expect_error_of(client, "timeout", 1);
    client_expect_alive(client);
}
END_TEST

START_TEST(the_vault_may_die_while_others_are_taken_over)
{
    struct server *server = serve_later();
    int client = client_connect(server), others[30];

    for (int i = 0; i < 30; i++) {
        others[i] = client_connect(server);
        client_expect_alive(others[i]);
    }
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1000},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    pid_t vault = server_vault(server);
    ck_assert_int_eq(kill(vault, SIGSTOP), 0);
    server_reload(server);
    kill(vault, SIGKILL);
    for (int i = 0; i < 30; i++)
        client_expect_alive(others[i]);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":1000},\"id\":1}");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_worker_that_stays_may_die)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);
    pid_t pids[8];

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(other, "{\"in\":\"retry\",\"params\":{\"ms\":10},\"id\":\"r\"}");
    client_expect(other, "{\"out\":\"later\",\"result\":{\"ms\":10},\"id\":\"r\"}");
    wait_until(server_stat(server, "connections.deferred") == 2, "nothing is deferred");
    ck_assert_uint_eq(server_workers(server, pids, 8), 1);
    server_reload(server);
    client_expect_alive(other);
    ck_assert_int_eq(kill(pids[0], SIGKILL), 0);
    expect_error_of(client, "module_crashed", 1);
    client_expect_alive(client);
    client_expect_alive(other);
}
END_TEST

START_TEST(the_vault_may_die_while_a_worker_stays)
{
    struct server *server = serve_later();
    int client = client_connect(server), other = client_connect(server);

    client_expect_alive(other);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":700},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_reload(server);
    client_expect_alive(other);
    ck_assert_int_eq(kill(server_vault(server), SIGKILL), 0);
    server_wait_log(server, "the vault ended");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":700},\"id\":1}");
    client_expect_alive(client);
    client_expect_alive(other);
}
END_TEST

START_TEST(an_upgrade_waits_for_deferred_requests)
{
    struct server *server = serve_later();
    int client = client_connect(server), idle = client_connect(server);

    client_expect_alive(idle);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":800},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_order(server, "upgrade");
    client_expect_alive(idle);
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":800},\"id\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    client_expect_alive(idle);
}
END_TEST

START_TEST(quitting_waits_for_deferred_requests)
{
    struct server *server = serve_later();
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":200}}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_signal(server, SIGQUIT);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":200}}");
    client_expect_end(client);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

E2E_MAIN("later", every_way_of_answering_later_works, without_ids_replies_stay_in_order,
         replies_with_ids_overtake, max_inflight_bounds_the_requests_under_way,
         no_time_is_so_long_that_it_is_over_at_once, requests_of_a_removed_method_are_counted,
         wrong_uses_do_not_fill_the_log, threads_are_refused_the_calls_that_belong_to_the_loop,
         a_thousand_wait_at_the_same_time, a_client_that_has_finished_sending_gets_its_reply,
         a_deferred_request_times_out, work_that_follows_work_keeps_its_memory,
         replies_that_wait_for_room_survive_a_reload, a_client_that_goes_is_noticed,
         a_thread_reads_the_request_unchanged, a_callback_reads_the_request_unchanged,
         threads_and_their_queue_are_bounded, wrong_uses_are_named_and_hurt_nobody,
         requests_under_way_when_a_worker_died_are_answered_once,
         idempotent_requests_under_way_are_run_once_more,
         the_configuration_decides_whether_a_method_is_idempotent,
         callbacks_that_end_their_worker_cost_their_requests,
         a_reload_waits_only_on_connections_with_deferred_requests,
         requests_that_wait_beyond_drain_timeout_are_answered,
         the_vault_may_die_while_others_are_taken_over, a_worker_that_stays_may_die,
         the_vault_may_die_while_a_worker_stays, an_upgrade_waits_for_deferred_requests,
         quitting_waits_for_deferred_requests)
