/* <pillion/test.h>: modules in a test program, as an author of modules uses it. */
#include "harness.h"

#include <math.h>
#include <pillion/test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void start(const char *main_text, const char *server_text)
{
    ck_assert_pstr_eq(pillion_test_start(main_text, server_text), NULL);
}

static const char *load(const char *name, const char *block)
{
    return keep_printf("load_module %s { %s }", module_path(name), block);
}

START_TEST(methods_are_called)
{
    start(load("hello", "greeting Hi;"), "method greet; method again { handler hello.greet; }");
    ck_assert_result("greet", "{\"name\":\"Ada\"}", "\"Hi, Ada!\"");
    ck_assert_result("again", "{\"name\":\"Bob\"}", "\"Hi, Bob!\"");
    ck_assert_error("greet", "5", "invalid_params");
    pillion_test_reply reply = pillion_test_call("greet", "{\"name\":\"\\u00e9\\\"\"}");
    ck_assert_str_eq(reply.out, "greet");
    ck_assert_pstr_eq(reply.code, NULL);
    ck_assert_pstr_eq(reply.message, NULL);
    reply = pillion_test_request("{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"},\"id\":[]}");
    ck_assert_str_eq(reply.code, "invalid_request");
    reply = pillion_test_request("{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"},\"id\":7}");
    ck_assert_str_eq(reply.body, "{\"out\":\"greet\",\"result\":\"Hi, Ada!\",\"id\":7}");
    ck_assert_str_eq(pillion_test_request("{\"in\":").code, "parse_error");
    reply = pillion_test_request("{\"jsonrpc\":\"2.0\",\"method\":\"greet\",\"params\":{\"name\":"
                                 "\"Ada\"},\"id\":7}");
    ck_assert_str_eq(reply.body, "{\"jsonrpc\":\"2.0\",\"result\":\"Hi, Ada!\",\"id\":7}");
    ck_assert_str_eq(reply.result, "\"Hi, Ada!\"");
    ck_assert_pstr_eq(reply.out, NULL);
    reply =
        pillion_test_request("{\"jsonrpc\":\"2.0\",\"method\":\"greet\",\"params\":[],\"id\":7}");
    ck_assert_str_eq(reply.code, "invalid_params");
    ck_assert_str_eq(reply.out, "error");
    reply = pillion_test_request("{\"jsonrpc\":\"2.0\",\"method\":\"greet\",\"params\":[]}");
    ck_assert_str_eq(reply.body, "");
    ck_assert_pstr_eq(reply.result, NULL);
    /* In the words of the server (test_wire.c). */
    reply = pillion_test_request("{\"in\":\"greet\",}");
    expect_part(reply.message, ", at byte 14");
    ck_assert_str_eq(pillion_test_call("no \"such\"", "1").code, "method_not_found");
    ck_assert_str_eq(pillion_test_call("greet", NULL).code, "invalid_params");
    ck_assert(pillion_test_stop());
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(deferred_requests_are_waited_for)
{
    start(load("later", ""), "method wait; method nap; method pipe; method post; method hold; "
                             "method let_go; method ticks;");
    ck_assert_result("wait", "{\"ms\":20}", "{\"ms\":20}");
    ck_assert_result("nap", "{\"ms\":20}", "{\"ms\":20}");
    ck_assert_result("pipe", "null", "\"through\"");
    ck_assert_result("post", "null", "null");
    /* Several at the same time, in whatever order. */
    unsigned first = pillion_test_begin("{\"in\":\"hold\",\"params\":{\"key\":1}}");
    unsigned second = pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":20}}");
    ck_assert(!pillion_test_answered(first));
    ck_assert_str_eq(pillion_test_finish(second).result, "{\"ms\":20}");
    ck_assert(!pillion_test_answered(first));
    ck_assert_result("let_go", "{\"key\":1}", "true");
    ck_assert_str_eq(pillion_test_finish(first).result, "{\"key\":1}");
    ck_assert_str_eq(pillion_test_finish(first).out, "later");
    ck_assert(pillion_test_answered(first));
    pillion_test_run(30);
    ck_assert_int_ge(atoi(pillion_test_call("ticks", "null").result), 1);
}
END_TEST

START_TEST(methods_call_methods)
{
    start(load("belongs", ""), "method call; method ends; method who;");
    ck_assert_result("call", "{\"method\":\"who\"}", "null");
    ck_assert_result("call", "{\"method\":\"ends\",\"params\":{\"how\":\"defer\"}}",
                     "{\"how\":\"defer\"}");
    ck_assert_error("call", "{\"method\":\"ends\",\"params\":{\"how\":\"fail\"}}", "odd");
    ck_assert_error("call", "{\"method\":\"none\"}", "method_not_found");
    unsigned gone = pillion_test_begin("{\"in\":\"call\",\"params\":{\"method\":\"ends\","
                                       "\"params\":{\"how\":\"wait\"}}}");
    pillion_test_run(5);
    pillion_test_leave(gone);
    pillion_test_begin("{\"in\":\"call\",\"params\":{\"method\":\"ends\",\"params\":{\"how\":"
                       "\"wait\"}}}");
    pillion_test_run(5);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(metrics_are_read)
{
    start(load("counts", ""), "");
    ck_assert_int_eq(pillion_test_metric("counts", "none"), -1);
    ck_assert_int_eq(pillion_test_metric("none", "memory_bytes"), -1);
    ck_assert_int_ge(pillion_test_metric("counts", "memory_bytes"), 0);
    ck_assert(pillion_test_stop());
    ck_assert_int_eq(pillion_test_metric("counts", "memory_bytes"), -1);

    double sum = 7;
    start(load("counts", ""), "method observe;");
    ck_assert_result("observe", "{\"value\":3}", "true");
    ck_assert_result("observe", "{\"value\":300.5}", "true");
    ck_assert_int_eq(pillion_test_histogram("counts", "calls", 1, &sum), -1);
    ck_assert_int_eq(pillion_test_histogram("counts", "sizes", 1, NULL), 0);
    ck_assert_int_eq(pillion_test_histogram("counts", "sizes", 10, NULL), 1);
    ck_assert_int_eq(pillion_test_histogram("counts", "sizes", INFINITY, &sum), 2);
    ck_assert_double_eq(sum, 303.5);
    ck_assert(pillion_test_stop());
    ck_assert_int_eq(pillion_test_histogram("counts", "sizes", INFINITY, &sum), -1);
}
END_TEST

START_TEST(time_is_limited_and_clients_may_leave)
{
    start(keep_printf("%s defer_timeout 50ms;", load("later", "")), "method hold; method let_go;");
    ck_assert_error("hold", "{\"key\":1}", "timeout");
    unsigned gone = pillion_test_begin("{\"in\":\"hold\",\"params\":{\"key\":2}}");
    pillion_test_leave(gone);
    pillion_test_leave(gone);
    pillion_test_leave(77);
    ck_assert_result("let_go", "{\"key\":2}", "false");
    ck_assert_ptr_null(pillion_test_finish(gone).body);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_thread_reads_its_requests_bytes)
{
    start(load("later", ""), "method read_raw;");
    ck_assert_result("read_raw", "{\"ms\":5}", "true"); /* not before its thread is done */
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(filters_and_zones_work)
{
    start(keep_printf("zone limits 64k; %s %s %s", load("ping", ""), load("limit", ""),
                      load("auth", "")),
          "method ping { filter auth { token secret; } }"
          "method few { handler ping.ping; filter limit { zone limits; rate 1/h; burst 2; } }");
    ck_assert_error("ping", "1", "unauthorized");
    ck_assert_str_eq(
        pillion_test_request("{\"in\":\"ping\",\"params\":1,\"token\":\"secret\"}").result, "1");
    ck_assert_result("few", "1", "1");
    ck_assert_result("few", "2", "2");
    ck_assert_error("few", "3", "limited");
}
END_TEST

START_TEST(a_start_tells_the_mistakes_of_configuration_and_module)
{
    const char *wrong = pillion_test_start(load("hello", "greeting;"), "method greet;");
    ck_assert_ptr_nonnull(wrong);
    expect_part(wrong, "the configuration:1:");
    expect_part(wrong, "\"greeting\"");
    expect_part(pillion_test_start(load("hello", ""), "method grete;"), "did you mean \"greet\"?");
    expect_part(pillion_test_start("load_module ./none.so;", ""), "none.so");
    expect_part(pillion_test_start(load("check_fails", ""), ""), "check failed");
    expect_part(pillion_test_start(load("start_fails", ""), ""), "start failed");
    wrong = pillion_test_start(load("picky", "even 3;"), "");
    expect_part(wrong, "3 is odd");
    expect_part(wrong, "even 3;");
    wrong = pillion_test_start(load("picky", "even 2; word bad;"), "");
    expect_part(wrong, "\"bad\" with 2");
    start(load("ping", ""), "method ping;");
    ck_assert_result("ping", "1", "1");
}
END_TEST

/* One after the other in one process, as with CK_FORK=no. */
START_TEST(modules_start_and_stop_any_number_of_times)
{
    for (int i = 0; i < 20; i++) {
        start(
            keep_printf("%s %s", load("later", ""), load("hello", keep_printf("greeting %d;", i))),
            "method greet; method nap;");
        ck_assert_result("greet", "{\"name\":\"x\"}", keep_printf("\"%d, x!\"", i));
        ck_assert_result("nap", "{\"ms\":1}", "{\"ms\":1}");
        ck_assert(pillion_test_stop());
    }
    for (int fd = 0; fd < 3; fd++)
        ck_assert_int_lt(dup(0), 32); /* descriptors are given back */
}
END_TEST

/* As with CK_FORK=no: what one test has counted in a zone is nothing to the next. */
START_TEST(zones_end_with_their_modules)
{
    for (int i = 0; i < 3; i++) {
        start(keep_printf("zone limits 64k; %s %s", load("ping", ""), load("limit", "")),
              "method few { handler ping.ping; filter limit { zone limits; rate 1/h; burst 2; } }");
        ck_assert_result("few", "1", "1");
        ck_assert_result("few", "2", "2");
        ck_assert_error("few", "3", "limited");
        ck_assert(pillion_test_stop());
    }
    /* Nor is there a zone that the configuration does not have. */
    expect_part(pillion_test_start(keep_printf("%s %s", load("ping", ""), load("limit", "")),
                                   "method few { handler ping.ping; filter limit { zone limits; "
                                   "rate 1/h; } }"),
                "there is no zone \"limits\"");
}
END_TEST

static void expect_nothing_runs(void)
{
    ck_assert_error("ping", "1", "not_started");
    ck_assert_str_eq(pillion_test_call("ping", "1").out, "error");
    expect_part(pillion_test_request("{\"in\":\"ping\"}").message, "pillion_test_start");
    unsigned request = pillion_test_begin("{\"in\":\"ping\"}");
    ck_assert(pillion_test_answered(request));
    pillion_test_leave(request);
    pillion_test_run(1);
    ck_assert_str_eq(pillion_test_finish(request).code, "not_started");
    expect_part(pillion_test_finish(99).body, "\"code\":\"not_started\"");
}

START_TEST(calls_without_a_running_server_are_refused)
{
    expect_nothing_runs();
    ck_assert(pillion_test_stop());
    expect_nothing_runs();
    start(load("ping", ""), "method ping;");
    ck_assert_result("ping", "1", "1");
    ck_assert(pillion_test_stop());
    expect_nothing_runs();
    ck_assert_ptr_nonnull(pillion_test_start("no_such_directive;", ""));
    expect_nothing_runs();
    ck_assert_ptr_nonnull(pillion_test_start(load("start_fails", ""), "method ping;"));
    expect_nothing_runs();
}
END_TEST

START_TEST(every_reply_belongs_to_its_request)
{
    start(load("ping", ""), "method ping;");
    unsigned first = pillion_test_begin("{\"in\":\"ping\",\"params\":1}");
    unsigned second = pillion_test_begin("{\"in\":\"ping\",\"params\":2}");
    ck_assert_str_eq(pillion_test_finish(second).result, "2");
    ck_assert_str_eq(pillion_test_finish(first).result, "1");
    ck_assert_str_eq(pillion_test_finish(second + 1).code, "not_begun");
    ck_assert_str_eq(pillion_test_finish(0).out, "error");
    expect_part(pillion_test_finish(99).message, "pillion_test_begin has given no such number");
    ck_assert(pillion_test_answered(99));
    /* Nor is a number of another start taken for one of this. */
    start(load("ping", ""), "method ping;");
    ck_assert_str_eq(pillion_test_finish(first).code, "not_begun");
    ck_assert_uint_gt(pillion_test_begin("{\"in\":\"ping\",\"params\":3}"), second);
    ck_assert_str_eq(pillion_test_finish(first).code, "not_begun");
    ck_assert_str_eq(pillion_test_finish(second).code, "not_begun");
    ck_assert_str_eq(pillion_test_finish(second + 1).result, "3");
}
END_TEST

/* What is logged from here on, up to logged(). */
static int error_output, log_file;

static void log_begin(void)
{
    error_output = dup(STDERR_FILENO);
    log_file = memfd_create("log", MFD_CLOEXEC);
    dup2(log_file, STDERR_FILENO);
}

static const char *logged(void)
{
    dup2(error_output, STDERR_FILENO);
    close(error_output);
    size_t size = (size_t)lseek(log_file, 0, SEEK_END);
    char *text = keep(calloc(1, size + 1));
    ck_assert_int_eq(pread(log_file, text, size, 0), (ssize_t)size);
    close(log_file);
    return text;
}

START_TEST(waiting_requests_are_given_up_when_modules_stop)
{
    log_begin();
    start(load("later", ""), "method wait;");
    pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":60000}}");
    pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":60000}}");
    unsigned done = pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":1}}");
    ck_assert_str_eq(pillion_test_finish(done).result, "{\"ms\":1}");
    ck_assert(pillion_test_stop());
    const char *first = strstr(logged(), "a wait is given up");
    ck_assert_ptr_nonnull(first);
    const char *second = strstr(first + 1, "a wait is given up");
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(strstr(second + 1, "a wait is given up"));
}
END_TEST

/* As a worker does at drain_timeout: the modules' `stop` comes last. */
/* For as long as a test waits for something. */
static bool stats_tell(const char *part)
{
    pillion_test_run(1);
    return strstr(pillion_test_call("rpc.stats", "null").result, part) != NULL;
}

START_TEST(what_waits_ends_in_order_before_modules_stop)
{
    static const char *const order[] = {
        "first ends",       "first has ended",     "second ends",
        "second has ended", "after: the user is",  "a call was for nobody: cancelled",
        "work is given up", "work was for nobody", "kept nothing",
    };

    log_begin();
    start(keep_printf("%s %s %s", load("keeps", ""), load("belongs", ""), load("rpc", "")),
          "method ends; method work; method call; method who; method rpc.stats; "
          "method wait { handler belongs.ends; filter mark; }");
    wait_until(stats_tell("\"pool\":{\"busy\":0,"), "`start` has work done still");
    for (int i = 0; i < 2; i++)
        pillion_test_begin(
            keep_printf("{\"in\":\"%s\",\"params\":{\"how\":\"wait\",\"name\":\"%s\"}}",
                        i == 0 ? "ends" : "wait", i == 0 ? "first" : "second"));
    pillion_test_begin("{\"in\":\"call\",\"params\":{\"method\":\"ends\",\"params\":{\"how\":"
                       "\"wait\"}}}");
    pillion_test_begin("{\"in\":\"work\",\"params\":{}}");
    wait_until(stats_tell("\"pool\":{\"busy\":1,"), "no thread has begun");
    ck_assert(pillion_test_stop());
    const char *log = logged();
    for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
        expect_part(log, order[i]);
    ck_assert_ptr_null(strstr(strstr(log, "kept nothing"), "work was for nobody"));
    ck_assert_ptr_null(strstr(strstr(log, "second ends"), "first ends"));
}
END_TEST

/* True when the call is answered "true". A thread that has shown itself idle is not free before the
 * loop has heard of its work's end: until then, the call is refused, and nothing has come of it. */
static bool is_taken(const char *params)
{
    const char *result = pillion_test_call("run", params).result;

    return result != NULL && strcmp(result, "true") == 0;
}

/* What modules have in a worker, they have here. */
START_TEST(threads_pools_timers_and_values_work)
{
    start(keep_printf("pool slow threads=1 queue=0; load_module %s pool=slow; %s",
                      module_path("belongs"), load("rpc", "")),
          "method run; method work; method ticks; method ticked; method rpc.stats; "
          "method who { filter mark; } method who_later { filter mark; }");
    static const char marked[] = "{\"in\":\"%s\",\"user\":\"Ada\"}";
    ck_assert_str_eq(pillion_test_request(keep_printf(marked, "who")).result, "\"Ada\"");
    ck_assert_str_eq(pillion_test_request(keep_printf(marked, "who_later")).result, "\"Ada\"");
    ck_assert_result("who", "{}", "null");
    wait_until(is_taken("{\"how\":\"\"}"), "`start` has work done still");
    ck_assert_error("work", "{\"timeout\":20}", "timeout");
    wait_until(stats_tell("\"slow\":{\"threads\":1,\"busy\":0,"), "work goes on for nobody");
    ck_assert_result("ticks", "{}", "{}");
    ck_assert_int_ge(atoi(pillion_test_call("ticked", "{}").result), 1);
    wait_until(stats_tell("") && pillion_test_metric("belongs", "ticks") >= 2,
               "pillion_server_timer makes no calls");
    /* One thread, and none may wait for it. */
    wait_until(is_taken("{\"how\":\"last\"}"), "no thread is free");
    ck_assert_error("run", "{\"how\":\"\"}", "overloaded");
    wait_until(stats_tell("\"slow\":{\"threads\":1,\"busy\":1,"), "its thread is not at work");
    /* Where it is in no pool of its own, it has the worker's. */
    start(keep_printf("%s %s", load("belongs", ""), load("rpc", "")),
          "method run; method rpc.stats;");
    wait_until(stats_tell("\"pool\":{\"busy\":0,\"queued\":0"), "the thread of `start` is busy");
    ck_assert_result("run", "{\"how\":\"last\"}", "true");
    ck_assert_result("run", "{\"how\":\"\"}", "true");
    wait_until(stats_tell("\"pool\":{\"busy\":1,"), "no thread is at work");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(files_are_opened_anew)
{
    char folder[] = "/tmp/pillion-test-XXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(folder));
    const char *log = keep_printf("%s/log", folder), *old = keep_printf("%s/old", folder);
    start(keep_printf("%s %s", load("access_log", ""), load("ping", "")),
          keep_printf("method ping; filter access_log { path %s; flush 1h; }", log));
    ck_assert_result("ping", "1", "1");
    ck_assert_int_eq(rename(log, old), 0);
    ck_assert_pstr_eq(pillion_test_reopen(), NULL);
    size_t size;
    expect_part(file_read(old, &size), "ping");
    ck_assert_str_eq(file_read(log, &size), "");
    /* A folder stands where the file would. */
    ck_assert_int_eq(unlink(log), 0);
    ck_assert_int_eq(mkdir(log, 0700), 0);
    expect_part(pillion_test_reopen(), "access_log");
    ck_assert(pillion_test_stop());
    expect_part(pillion_test_reopen(), "no modules run");
    ck_assert_int_eq(rmdir(log), 0);
    ck_assert_int_eq(unlink(old), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_second_on_cancel_is_told)
{
    static const struct {
        const char *how, *told;
        bool mistake;
    } cases[] = {{"twice", "the second is told", true},
                 {"same", "the first is told", false},
                 {"instead", "the second is told", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        log_begin();
        start(load("later", ""), "method cancels;");
        pillion_test_begin(
            keep_printf("{\"in\":\"cancels\",\"params\":{\"how\":\"%s\"}}", cases[i].how));
        ck_assert(pillion_test_stop());
        const char *log = logged();
        expect_part(log, cases[i].told);
        ck_assert_int_eq(
            strstr(log, "module later: \"cancels\" gives a second pillion_on_cancel") != NULL,
            cases[i].mistake);
    }
}
END_TEST

START_TEST(a_test_server_answers_rpc_stats_as_a_server_does)
{
    for (int i = 0; i < 2; i++) { /* they begin anew */
        start(keep_printf("%s %s %s", load("rpc", ""), load("hello", ""), load("counts", "")),
              "method greet; method count; method rpc.stats; method rpc.health;");
        pillion_test_call("greet", "{\"name\":\"Ada\"}");
        pillion_test_call("greet", "5");
        pillion_test_call("count", "null");
        const char *stats = pillion_test_call("rpc.stats", "null").result;
        expect_part(stats, "\"greet\":{\"calls\":2,\"errors\":1,");
        expect_part(stats, "\"metrics\":{\"calls\":1,");
        expect_part(stats, "\"workers\":[{\"slot\":0,");
        expect_part(pillion_test_call("rpc.health", "null").result, "\"serving\":1");
        ck_assert(pillion_test_stop());
    }
    start(keep_printf("%s %s", load("rpc", ""), load("later", "")),
          "method wait; method rpc.stats;");
    pillion_test_call("wait", "{\"ms\":5}");
    ck_assert_error("wait", "{\"ms\":9000,\"timeout\":1}", "timeout");
    pillion_test_leave(pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":9000}}"));
    pillion_test_call("none", "null");
    const char *stats = pillion_test_call("rpc.stats", "null").result;
    expect_part(stats, "\"wait\":{\"calls\":3,\"errors\":2,");
    expect_part(stats, "\"frames\":5,\"refused\":1,");
    expect_part(stats, "\"deferred\":3,\"timeouts\":1,\"cancelled\":1,");
}
END_TEST

START_TEST(clients_have_connections)
{
    start(load("visits", ""), "method set;"); /* this client 0 is another one */
    pillion_test_connect();
    ck_assert_result("set", "{\"name\":\"Ann\"}", "true");
    ck_assert(pillion_test_stop());
    start(keep_printf("%s zone visits 64k;", load("visits", "")),
          "method set; method get; method stay; method get_by_call; method get_later;");
    ck_assert_result("get", "{}", "[null,0,false,\"\"]");
    ck_assert_result("set", "{\"name\":\"Ada\"}", "true");
    ck_assert_result("get", "{}", "[\"Ada\",1,false,\"\"]");
    unsigned bob = pillion_test_connect();
    ck_assert_result("get", "{}", "[null,0,false,\"\"]");
    ck_assert_result("set", "{\"name\":\"Bob\"}", "true");
    ck_assert_result("get_by_call", "{}", "[\"Bob\",1,false,\"\"]");
    ck_assert_result("get_later", "{}", "[\"Bob\",2,false,\"\"]");
    ck_assert_int_eq(pillion_test_metric("visits", "here"), 2);
    unsigned held = pillion_test_begin("{\"in\":\"stay\"}");
    pillion_test_client(0);
    ck_assert_result("get", "{}", "[\"Ada\",2,false,\"\"]");
    pillion_test_client(bob + 1); /* nobody */
    pillion_test_disconnect(bob + 1);
    pillion_test_move(bob + 1);
    pillion_test_client(bob);
    pillion_test_disconnect(bob);
    ck_assert_pstr_eq(pillion_test_finish(held).body, NULL);
    ck_assert_int_eq(pillion_test_metric("visits", "here"), 1);
    ck_assert_result("get", "{}", "[\"Ada\",3,false,\"\"]"); /* of client 0 again */
    pillion_test_move(0);
    ck_assert_result("get", "{}", "[null,0,true,\"Ada\"]");
    pillion_test_disconnect(0);
    ck_assert_result("get", "{}", "[null,0,false,\"\"]");
    ck_assert_result("set", "{\"name\":\"Eve\"}", "true");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(nothing_starts_while_a_thread_is_at_work)
{
    start(load("later", ""), "method nap;");
    pillion_test_begin("{\"in\":\"nap\",\"params\":{\"ms\":9000,\"timeout\":1}}");
    ck_assert(!pillion_test_stop());
    expect_part(pillion_test_start(load("ping", ""), "method ping;"), "a thread still works");
}
END_TEST

/* ---- Services ---- */

START_TEST(services_have_the_servers_that_a_test_gives_them)
{
    static const char *const buys[] = {"shop.buy", "ping", NULL};
    static const char *const pings[] = {"ping", NULL};
    const pillion_test_server shop[] = {
        {"10.0.0.1:8080", 0, UINT64_MAX, NULL},
        {"10.0.0.2:8080", 7, 0, buys},
        {"unix:/run/x", 1000, 3600000, pings},
    };
    const char *load_both = load("services", "services registry:/shop srv:_a._tcp.example;");

    ck_assert_pstr_eq(pillion_test_service("registry:/shop", shop, 3), NULL);
    start(load_both, "method servers; method known;");
    ck_assert_result("servers", "{}",
                     "[\"10.0.0.1:8080 100 first\",\"10.0.0.2:8080 7 new\","
                     "\"unix:/run/x 1000 old\"]");
    ck_assert_result("servers", "{\"method\":\"shop.buy\"}",
                     "[\"10.0.0.1:8080 100 first\",\"10.0.0.2:8080 7 new\"]");
    ck_assert_result("servers", "{\"index\":1}", "[]");
    pillion_test_run(1);
    ck_assert_result("known", "{}", "[true,1]");
    ck_assert_result("known", "{\"index\":1}", "[false,0]");

    ck_assert_pstr_eq(pillion_test_service("srv:_a._tcp.example", NULL, 0), NULL);
    ck_assert_result("known", "{\"index\":1}", "[true,0]");
    ck_assert_pstr_eq(pillion_test_service("registry:/shop", shop + 1, 1), NULL);
    pillion_test_run(250);
    ck_assert_result("known", "{}", "[true,2]");
    ck_assert_result("known", "{\"index\":1}", "[true,1]");
    ck_assert_result("servers", "{}", "[\"10.0.0.2:8080 7 new\"]");
    ck_assert(pillion_test_stop());

    start(load_both, "method servers; method known;");
    expect_part(pillion_test_call("known", "{}").result, "[false,"); /* nobody knows them now */
    ck_assert(pillion_test_stop());
    expect_part(pillion_test_service("10.0.0.1:80", NULL, 0), "names no service");
    static const pillion_test_server wrong[] = {
        {NULL, 0, 0, NULL},         {"shop:1", 0, 0, NULL},         {"10.0.0.1", 0, 0, NULL},
        {"unix:run/x", 0, 0, NULL}, {"10.0.0.1:80", 1001, 0, NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        expect_part(pillion_test_service("registry:/shop", wrong + i, 1),
                    i == 4 ? "from 1 to 1000" : "the address of a server is as");
    expect_part(pillion_test_start(load("services", "services registry:shop;"), ""),
                "write a path behind \"registry:\"");
}
END_TEST

/* A module is not compiled again because the header grows. */
START_TEST(modules_of_a_kept_header_see_services)
{
    const pillion_test_server every[] = {{"10.0.0.1:80", 0, 0, NULL}, {"[::1]:80", 5, 0, NULL}};

    ck_assert_pstr_eq(pillion_test_service("registry:/every", every, 2), NULL);
    start(load("abi-1.6", "word two;"), "method services;");
    expect_part(pillion_test_call("services", NULL).result, ",2]");
    ck_assert(pillion_test_stop());
}
END_TEST

/* It is not told to be a leak of the module's. */
START_TEST(a_handshake_ends_when_modules_stop)
{
    char *address;
    int listener = listen_anywhere(&address);

    for (unsigned i = 0; i < 2; i++) {
        start(load("talk", "bare on;"), "method talk;");
        pillion_test_begin(keep_printf("{\"in\":\"talk\",\"params\":{\"port\":%s,\"text\":\"\"}}",
                                       strrchr(address, ':') + 1));
        int peer = accept(listener, NULL, NULL);
        char hello[4096];
        pillion_test_run(1);
        ck_assert_int_gt(recv(peer, hello, sizeof(hello), 0), 0);
        ck_assert(pillion_test_stop());
        while (recv(peer, hello, sizeof(hello), MSG_DONTWAIT) > 0) {
        }
        ck_assert_int_eq(recv(peer, hello, sizeof(hello), MSG_DONTWAIT), 0);
        close(peer);
    }
    close(listener);
}
END_TEST

/* The library is not beside the test's executable, where a server has it. */
START_TEST(tls_is_there_in_a_tree_that_is_not_installed)
{
    start(load("talk", "bare on;"), "method talk;");
    expect_part(pillion_test_call("talk", "{\"port\": 1, \"text\": \"\"}").message,
                "Connection refused");
    ck_assert(pillion_test_stop());
}
END_TEST

E2E_MAIN("test_api", files_are_opened_anew, what_waits_ends_in_order_before_modules_stop,
         threads_pools_timers_and_values_work, a_second_on_cancel_is_told,
         nothing_starts_while_a_thread_is_at_work, methods_are_called,
         services_have_the_servers_that_a_test_gives_them, modules_of_a_kept_header_see_services,
         tls_is_there_in_a_tree_that_is_not_installed, a_handshake_ends_when_modules_stop,
         clients_have_connections, deferred_requests_are_waited_for, methods_call_methods,
         metrics_are_read, zones_end_with_their_modules, calls_without_a_running_server_are_refused,
         every_reply_belongs_to_its_request, waiting_requests_are_given_up_when_modules_stop,
         a_test_server_answers_rpc_stats_as_a_server_does, time_is_limited_and_clients_may_leave,
         a_thread_reads_its_requests_bytes, filters_and_zones_work,
         a_start_tells_the_mistakes_of_configuration_and_module,
         modules_start_and_stop_any_number_of_times)
