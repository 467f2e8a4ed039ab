/* What belongs to requests: it ends with them, however they end; and work in threads learns of it.
 */
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define METHODS                                                                                \
    "method ping; method ends; method ticks; method ticked; method work; method who { filter " \
    "mark; }"                                                                                  \
    "method who_later { filter mark; } method run; method writes; method no_calls; method "    \
    "stands; "                                                                                 \
    "method half;"

static struct server *serve(const char *main_text)
{
    return server_serve_alone(keep_printf("load_module modules/belongs.so; %s", main_text),
                              METHODS);
}

static void ends(int client, const char *how, const char *name)
{
    client_send_frame(
        client,
        keep_printf("{\"in\":\"ends\",\"params\":{\"how\":\"%s\",\"name\":\"%s\"}}", how, name));
}

/* The log has what is called at the request's end: once, and the last first. */
static void expect_ended(struct server *server, const char *name)
{
    const char *log = server_wait_log(server, keep_printf("belongs: %s has ended", name));
    const char *first = strstr(log, keep_printf("belongs: %s ends", name));

    ck_assert_ptr_nonnull(first);
    const char *last = strstr(first, keep_printf("belongs: %s has ended", name));
    ck_assert_ptr_nonnull(last);
    ck_assert_ptr_null(strstr(last + 1, keep_printf("belongs: %s has ended", name)));
    ck_assert_ptr_null(strstr(log, keep_printf("%s was resumed", name)));
}

START_TEST(the_end_of_a_request_is_told_however_it_ends)
{
    struct server *server = serve("");
    int client = client_connect(server);

    ends(client, "answer", "one");
    client_expect(client, "{\"out\":\"ends\",\"result\":{\"how\":\"answer\",\"name\":\"one\"}}");
    expect_ended(server, "one");
    ends(client, "fail", "two");
    client_expect_error(client, "odd");
    expect_ended(server, "two");
    ends(client, "nothing", "three");
    client_expect_error(client, "internal_error");
    expect_ended(server, "three");
    ends(client, "defer", "four");
    client_expect(client, "{\"out\":\"ends\",\"result\":{\"how\":\"defer\",\"name\":\"four\"}}");
    expect_ended(server, "four");
    ends(client, "late", "five");
    client_expect_error(client, "timeout");
    expect_ended(server, "five");
    ends(client, "wait", "six");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":1}");
    ck_assert(!server_logged(server, "six ends"));
    client_vanish(client);
    expect_ended(server, "six");
}
END_TEST

START_TEST(the_calls_of_a_batch_end_one_by_one)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"ends\",\"id\":1,"
                              "\"params\":{\"how\":\"answer\",\"name\":\"one\"}},"
                              "{\"jsonrpc\":\"2.0\",\"method\":\"ends\",\"id\":2,"
                              "\"params\":{\"how\":\"late\",\"name\":\"two\"}}]");
    expect_part(client_receive(client, NULL), "timeout");
    expect_ended(server, "one");
    expect_ended(server, "two");
}
END_TEST

/* A module's mistake is told with its name, and crashes nothing later. */
START_TEST(functions_that_are_not_there_are_not_called)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"no_calls\",\"params\":{\"how\":\"call\"}}");
    client_expect_error(client, "internal_error");
    client_send_frame(client, "{\"in\":\"no_calls\",\"params\":{\"how\":\"offload\"}}");
    client_expect_error(client, "internal_error");
    for (const char *const *f =
             (const char *const[]){"on_end", "run", "post", "timer", "server_timer", "watch",
                                   "call", "offload", NULL};
         *f != NULL; f++)
        server_wait_log(server,
                        keep_printf("module belongs: \"no_calls\" called pillion_%s without "
                                    "a function to call, which does nothing",
                                    *f));
    client_expect_alive(client);
}
END_TEST

START_TEST(nothing_is_added_to_the_end_of_a_request_that_is_over)
{
    struct server *server = serve("");
    int client = client_connect(server);

    ends(client, "answer", "again");
    client_expect(client, "{\"out\":\"ends\",\"result\":{\"how\":\"answer\",\"name\":\"again\"}}");
    expect_ended(server, "again");
    server_wait_log(server, "\"ends\" adds to the end of a request that is over");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_result_that_is_begun_stays_while_its_request_waits)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"half\",\"params\":{\"how\":\"wait\"}}");
    client_expect(client, "{\"out\":\"half\",\"result\":[1,2]}");
    client_send_frame(client, "{\"in\":\"half\",\"params\":{\"how\":\"fail\"}}");
    client_expect_error(client, "odd");
    client_send_frame(client, "{\"in\":\"half\",\"params\":{\"how\":\"reply\"}}");
    client_expect(client, "{\"out\":\"whole\",\"result\":3}");
}
END_TEST

/* The handler, which has not run on, is not to blame: nor do the words say so. */
START_TEST(a_worker_that_is_stopped_in_a_handler_is_no_slow_handler)
{
    struct server *server = serve("handler_timeout 300ms; quarantine_crashes 1;");
    int client = client_connect(server);

    for (int i = 0; i < 2; i++) {
        client_send_frame(client, "{\"in\":\"stands\"}");
        const char *message = client_expect_error(client, "timeout");
        expect_part(message, "the worker that handled this request of \"stands\" was stopped");
    }
    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1},"
                              "{\"jsonrpc\":\"2.0\",\"method\":\"stands\",\"id\":2}]");
    expect_part(client_receive(client, NULL), "was stopped");
    server_wait_log(server, "is stopped, by a signal, in the middle of a handler");
    ck_assert(!server_logged(server, "ran for longer than it may"));
}
END_TEST

/* What one request has written, and not ended, is no part of another's result. */
START_TEST(a_result_that_is_not_ended_ends_with_its_request)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frames(client, 20, "{\"in\":\"writes\"}");
    for (int i = 0; i < 10; i++) {
        client_expect_error(client, "internal_error");
        client_expect(client, "{\"out\":\"whole\",\"result\":[0,1,2]}");
    }
    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"writes\",\"id\":1},"
                              "{\"jsonrpc\":\"2.0\",\"method\":\"writes\",\"id\":2}]");
    expect_part(client_receive(client, NULL), "{\"jsonrpc\":\"2.0\",\"result\":[0,1,2],\"id\":2}");
    server_wait_log(server, "lacks its pillion_end");
}
END_TEST

/* The log has `first`, and `then` behind it. */
static void expect_order(struct server *server, const char *first, const char *then)
{
    const char *log = server_wait_log(server, then);
    const char *at = strstr(log, first);

    ck_assert_msg(at != NULL && strstr(at, then) != NULL, "\"%s\" does not come before \"%s\"",
                  first, then);
}

/* In the order that docs/writing-a-module/worker.md tells. */
START_TEST(a_worker_that_stops_ends_its_requests)
{
    struct server *server = serve("");
    int client = client_connect(server), other = client_connect(server);

    ends(client, "wait", "one");
    client_send_frame(other, "{\"in\":\"work\"}");
    server_wait_log(server, "work begins");
    server_ask(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    expect_ended(server, "one");
    expect_order(server, "one is cancelled", "one ends");
    expect_order(server, "one has ended", "it stops");
    expect_order(server, "work is given up", "work was for nobody");
    expect_order(server, "work was for nobody", "the work has ended");
    expect_order(server, "the work has ended", "it stops");
}
END_TEST

START_TEST(a_crash_at_the_end_is_put_down_to_its_module)
{
    struct server *server = serve("");
    int client = client_connect(server);

    server->reports_allowed = true;
    ends(client, "answer", "crash");
    client_expect(client, "{\"out\":\"ends\",\"result\":{\"how\":\"answer\",\"name\":\"crash\"}}");
    server_wait_log(server, "\"ends\" (an on_end of module belongs)");
    client_expect_alive(client);
}
END_TEST

/* In the module, a timer that fires afterwards finds other bytes in its memory, and aborts. */
START_TEST(a_timer_ends_with_its_request)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_call(client, "ticks", "null");
    const char *then = client_call(client, "ticked", "null");
    ck_assert_str_ne(then, "{\"out\":\"ticked\",\"result\":0}");
    client_call(client, "ends", "{\"how\":\"late\",\"name\":\"other bytes\"}");
    ck_assert_str_eq(client_call(client, "ticked", "null"), then);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(work_learns_that_nobody_waits)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_call(client, "work", "{\"timeout\":30}");
    server_wait_log(server, "work is given up");
    server_wait_log(server, "work was for nobody");
    server_wait_log(server, "the work has ended");
    server_reload(server); /* the log goes on */
    client = client_connect(server);
    client_send_frame(client, "{\"in\":\"work\",\"deadline\":50}");
    client_expect_error(client, "deadline_exceeded");
    close(client);
    client = client_connect(server);
    client_send_frame(client, "{\"in\":\"work\"}");
    wait_until(server_stat(server, "pool.busy") > 0, "no work has begun");
    client_vanish(client);
    wait_until(server_stat(server, "pool.busy") == 0, "the work does not learn of it");
    ck_assert(!server_logged(server, "work is done"));
}
END_TEST

START_TEST(a_filter_tells_the_handler)
{
    struct server *server = serve("");
    int client = client_connect(server);

    for (int i = 0; i < 2; i++) {
        client_send_frame(client, "{\"in\":\"who\",\"user\":\"Ada\"}");
        client_expect(client, "{\"out\":\"who\",\"result\":\"Ada\"}");
        server_wait_log_times(server, "after: the user is Ada", i + 1);
        client_send_frame(client, "{\"in\":\"who\"}"); /* its values are its own */
        client_expect(client, "{\"out\":\"who\",\"result\":null}");
        client_send_frame(client, "{\"in\":\"who_later\",\"user\":\"Bob\"}");
        client_expect(client, "{\"out\":\"who\",\"result\":\"Bob\"}");
        server_wait_log_times(server, "after: the user is Bob", i + 1);
        client_send_frame(client, "{\"in\":\"who_later\"}");
        client_expect(client, "{\"out\":\"who\",\"result\":null}");
    }
}
END_TEST

/* ---- Calls of methods by methods ---- */

#define CALLS                                                                              \
    "method ping; method call; method told; method crash; method loops { timeout 300ms; }" \
    "method ends; method work; method who { filter mark; } method who_later { filter mark; }"

static struct server *serve_calls(void)
{
    struct server *server = server_serve_alone("load_module modules/belongs.so;", CALLS);

    server->reports_allowed = true;
    return server;
}

static const char *call(int client, const char *method, const char *params)
{
    return client_call(client, "call",
                       keep_printf("{\"method\":\"%s\",\"params\":%s}", method, params));
}

START_TEST(a_method_calls_another_one)
{
    struct server *server = serve_calls();
    int client = client_connect(server);

    expect_text(call(client, "ping", "[1, 2]"), "{\"out\":\"called\",\"result\":[1, 2]}");
    expect_text(call(client, "who", "null"), "{\"out\":\"called\",\"result\":null}");
    server_wait_log(server, "after: the user is none");
    expect_text(call(client, "ends", "{\"how\":\"defer\",\"name\":\"one\"}"),
                "{\"out\":\"called\",\"result\":{\"how\":\"defer\",\"name\":\"one\"}}");
    expect_ended(server, "one");
    expect_text(call(client, "ends", "{\"how\":\"fail\",\"name\":\"two\"}"),
                "{\"out\":\"error\",\"result\":{\"code\":\"odd\",\"message\":\"it is\"}}");
    expect_ended(server, "two");
    expect_part(call(client, "ends", "{\"how\":\"late\",\"name\":\"three\"}"), "\"timeout\"");
    expect_part(call(client, "none", "1"), "method_not_found");
    expect_part(call(client, "call",
                     "{\"method\":\"call\",\"params\":{\"method\":\"ping\","
                     "\"params\":5}}"),
                "{\"out\":\"called\",\"result\":5}");
    client_send_frame(client, "{\"in\":\"call\",\"params\":{\"method\":\"ping\",\"times\":100}}");
    client_expect(client, "{\"out\":\"called\",\"result\":null}");
    ck_assert_double_eq(server_calls(server, "ping", "calls"), 102);
    ck_assert_double_eq(server_calls(server, "ends", "errors"), 2);
    /* What a filter needs of the request is there, and the deadline; the id is the client's. */
    client_send_frame(client, "{\"in\":\"call\",\"id\":1,\"params\":{\"method\":\"told\"},"
                              "\"token\":\"t\",\"deadline\":60000}");
    client_expect(client, "{\"out\":\"called\",\"result\":[\"told\",true,false,true,true],"
                          "\"id\":1}");
    client_send_frame(client, "{\"in\":\"call\",\"params\":{\"method\":\"who_later\"},"
                              "\"user\":\"Ada\"}");
    client_expect(client, "{\"out\":\"called\",\"result\":\"Ada\"}");
    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"call\",\"id\":1,"
                              "\"params\":{\"method\":\"ping\",\"params\":7}}]");
    client_expect(client, "[{\"jsonrpc\":\"2.0\",\"result\":7,\"id\":1}]");
}
END_TEST

START_TEST(calls_in_calls_have_an_end)
{
    struct server *server = serve_calls();
    int client = client_connect(server);
    const char *deep = "{\"method\":\"ping\",\"params\":9}";

    for (int depth = 1; depth < 8; depth++)
        deep = keep_printf("{\"method\":\"call\",\"params\":%s}", deep);
    expect_text(client_call(client, "call", deep), "{\"out\":\"called\",\"result\":9}");
    expect_part(call(client, "call", deep), "more than 8 deep");
}
END_TEST

START_TEST(a_call_ends_with_its_caller)
{
    struct server *server = serve_calls();
    int client = client_connect(server);

    client_send_frame(client,
                      "{\"in\":\"call\",\"deadline\":100,\"params\":{\"method\":\"work\"}}");
    client_expect_error(client, "deadline_exceeded");
    server_wait_log(server, "work is given up");
    server_wait_log(server, "a call was for nobody");
    client_send_frame(client, "{\"in\":\"call\",\"params\":{\"method\":\"ends\",\"params\":{"
                              "\"how\":\"wait\",\"name\":\"one\"}}}");
    wait_until(server_stat(server, "modules.belongs.waiting") == 2, "the calls do not wait");
    client_vanish(client);
    expect_ended(server, "one");
    server_wait_log(server, "a call was for nobody: cancelled");
    client = client_connect(server);
    client_send_frame(client, "{\"in\":\"call\",\"params\":{\"method\":\"ends\",\"params\":{"
                              "\"how\":\"wait\",\"name\":\"two\"}}}");
    wait_until(server_stat(server, "modules.belongs.waiting") == 2, "the calls do not wait");
    server_ask(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    expect_ended(server, "two");
}
END_TEST

START_TEST(a_called_method_is_to_blame_for_its_crash)
{
    struct server *server = serve_calls();
    int client = client_connect(server);

    expect_part(call(client, "crash", "1"), "module_crashed");
    server_wait_log(server, "\"crash\" (a call by another method of module belongs)");
    expect_part(call(client, "loops", "1"), "\"timeout\"");
    server_wait_log(server,
                    "\"loops\" (a call by another method of module belongs) ran for longer");
    client_expect_alive(client);
    /* Its crashes are its own, and its quarantine is, too. */
    for (int i = 0; i < 4; i++)
        expect_part(call(client, "crash", "1"), "module_crashed");
    expect_part(call(client, "crash", "1"), "method_quarantined");
    expect_text(call(client, "ping", "1"), "{\"out\":\"called\",\"result\":1}");
}
END_TEST

/* ---- A timer of the whole server ---- */

static pid_t worker_of_slot(const struct server *server, int slot)
{
    const cJSON *worker;

    cJSON_ArrayForEach(worker, cJSON_GetObjectItem(server_stats(server), "workers"))
    {
        if (cJSON_GetObjectItem(worker, "slot")->valueint == slot &&
            strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(worker, "state")), "serving") == 0)
            return cJSON_GetObjectItem(worker, "pid")->valueint;
    }
    return 0;
}

static double ticks_of(const struct server *server)
{
    return server_metric(server, "belongs", "ticks");
}

START_TEST(one_worker_alone_works_for_the_server)
{
    struct server *server =
        server_serve_with("worker_processes 3;", "load_module modules/belongs.so;", METHODS);
    int64_t since = now_ms();
    double before = ticks_of(server);

    server_wait_log(server, "worker 0 of generation 1 ticks");
    wait_until(ticks_of(server) > before + 20, "it does not tick");
    /* Three workers would tick three times as often. */
    ck_assert_double_le(ticks_of(server) - before, (double)(now_ms() - since) / 20 + 2);
    ck_assert(!server_logged(server, "worker 1 of generation 1 ticks"));
    for (int i = 0; i < 3; i++) {
        pid_t leader = worker_of_slot(server, 0);
        kill(leader, SIGKILL);
        wait_until(worker_of_slot(server, 0) != 0 && worker_of_slot(server, 0) != leader,
                   "no worker takes its place");
        before = ticks_of(server);
        wait_until(ticks_of(server) > before + 3, "it does not tick any more");
    }
    server_reload(server);
    server_wait_log(server, "worker 0 of generation 2 ticks");
    server_conf(server, "load_module modules/belongs.so; worker_processes 1;", METHODS);
    before = ticks_of(server);
    wait_until(ticks_of(server) > before + 3, "it does not tick any more");
}
END_TEST

/* Workers that live for shorter than the period of the timer. */
START_TEST(reloads_put_off_no_timer_of_the_server)
{
    struct server *server =
        server_serve_with("worker_processes 2;", "load_module modules/belongs.so;", METHODS);
    double before = server_metric(server, "belongs", "seldom");
    int64_t since = now_ms();

    while (server_metric(server, "belongs", "seldom") < before + 2) {
        ck_assert_msg(now_ms() - since < PATIENCE_MS, "reloads put the timer off");
        server_reload(server);
        usleep(300000);
    }
}
END_TEST

/* ---- Threads ---- */

START_TEST(a_module_has_work_done_without_a_request)
{
    struct server *server = serve("");
    int client = client_connect(server);

    server_wait_log(server, "a run ends"); /* of its `start` */
    for (int i = 0; i < 3; i++)
        expect_text(client_call(client, "run", "{\"how\":\"\"}"),
                    "{\"out\":\"ran\",\"result\":true}");
    expect_text(client_call(client, "run", "{\"how\":\"leave\"}"),
                "{\"out\":\"ran\",\"result\":true}");
    server_wait_log(server, "the work of \"pillion_run\" has ended its thread");
    client_call(client, "run", "{\"how\":\"last\"}");
    ck_assert(!server_logged(server, "is stuck"));
    server_ask(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    ck_assert(!server_logged(server, "do not end"));
}
END_TEST

START_TEST(a_crash_in_work_of_no_request_is_put_down_to_its_module)
{
    struct server *server = serve("");
    int client = client_connect(server);

    server->reports_allowed = true;
    client_call(client, "run",
                "{\"how\":\"crash\"}"); /* its reply, or the error, if that is late */
    server_wait_log(server, "(work in a thread of module belongs)");
    client_expect_alive(client);
}
END_TEST

/* Each method's threads are those of its pool, and a pool that is full is full for it alone. */
START_TEST(pools_have_threads_and_queues_of_their_own)
{
    struct server *server = server_serve_alone(
        "pool slow threads=1 queue=1; pool other threads=2; pool_threads 3;"
        "load_module modules/belongs.so pool=slow;",
        "method ping; method work; method run; method busy { handler belongs.work; pool other; }");
    int client = client_connect(server);

    ck_assert_double_eq(server_stat(server, "pools.slow.threads"), 1);
    ck_assert_double_eq(server_stat(server, "pools.other.threads"), 2);
    server_wait_log(server, "a run ends");
    client_send_frame(client, "{\"in\":\"work\",\"id\":1}");
    wait_until(server_stat(server, "pools.slow.busy") == 1, "the pool is not busy");
    client_send_frame(client, "{\"in\":\"work\",\"id\":2}");
    wait_until(server_stat(server, "pools.slow.queued") == 1, "nothing waits");
    client_send_frame(client, "{\"in\":\"work\",\"id\":3}");
    expect_part(client_expect_error(client, "overloaded"),
                "1 calls that block are under way, and 1 wait (pool slow)");
    expect_part(client_call(client, "run", "{\"how\":\"last\"}"), "overloaded");
    ck_assert_double_eq(server_stat(server, "pools.other.busy"), 0);
    client_send_frame(client, "{\"in\":\"busy\",\"id\":4}");
    wait_until(server_stat(server, "pools.other.busy") == 1, "the other pool does nothing");
    ck_assert_double_eq(server_stat(server, "pool.busy"), 2);
    ck_assert_double_eq(server_stat(server, "pool.queued"), 1);
    client_vanish(client);
    wait_until(server_stat(server, "pool.busy") == 0, "work goes on");
    /* Without the pool there is none to tell of. */
    server_conf(server, "load_module modules/belongs.so;", "method ping; method work;");
    server_reload(server);
    wait_until(cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "pools"), "slow") ==
                   NULL,
               "the pool is still there");
}
END_TEST

START_TEST(pools_that_are_not_there_are_told)
{
    static const struct {
        const char *main_text, *server_text, *words;
    } wrong[] = {
        {"load_module modules/belongs.so pool=slo; pool slow threads=1;", "",
         "there is no \"pool slo\"; did you mean \"slow\"?"},
        {"load_module modules/belongs.so; pool slow threads=1;", "method work { pool other; }",
         "there is no \"pool other\""},
        {"pool slow;", "", "\"pool\" needs"},
        {"pool slow queue=1;", "", "\"pool slow\" needs threads=N"},
        {"pool slow threads=0;", "", "\"threads\" must be from 1 to 1024, not \"0\""},
        {"pool slow threads=1 queue=1000001;", "", "\"queue\" must be from 0 to 1000000"},
        {"pool a.b threads=1;", "", "a pool's name is 1 to 32 letters, digits, - and _"},
        {"pool a threads=1; pool a threads=2;", "", "\"pool a\" appears twice"},
        {"pool a threads=1 more=2;", "", "more=2"},
        {"load_module modules/belongs.so slow;", "", "slow"},
    };
    struct server *server = serve("");

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        server_conf(server, wrong[i].main_text, wrong[i].server_text);
        server_reload_refused(server, wrong[i].words);
    }
}
END_TEST

E2E_MAIN("belongs", functions_that_are_not_there_are_not_called,
         nothing_is_added_to_the_end_of_a_request_that_is_over,
         a_result_that_is_begun_stays_while_its_request_waits,
         a_worker_that_is_stopped_in_a_handler_is_no_slow_handler,
         the_end_of_a_request_is_told_however_it_ends, the_calls_of_a_batch_end_one_by_one,
         a_result_that_is_not_ended_ends_with_its_request, a_worker_that_stops_ends_its_requests,
         a_crash_at_the_end_is_put_down_to_its_module, a_timer_ends_with_its_request,
         work_learns_that_nobody_waits, a_filter_tells_the_handler,
         one_worker_alone_works_for_the_server, reloads_put_off_no_timer_of_the_server,
         a_method_calls_another_one, calls_in_calls_have_an_end, a_call_ends_with_its_caller,
         a_called_method_is_to_blame_for_its_crash, a_module_has_work_done_without_a_request,
         a_crash_in_work_of_no_request_is_put_down_to_its_module,
         pools_have_threads_and_queues_of_their_own, pools_that_are_not_there_are_told)
