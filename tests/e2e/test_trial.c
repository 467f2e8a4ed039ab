/* <pillion/test.h>: modules in a test program, as an author of modules uses it. */
#include "harness.h"

#include <pillion/test.h>
#include <string.h>
#include <unistd.h>

/* Where load_module finds a module, shipped or made for the tests. */
static const char *module(const char *name)
{
    const char *build = getenv("PILLION_BUILD");
    const char *own = keep_printf("%s/modules/%s.so", build, name);

    return access(own, R_OK) == 0 ? own : keep_printf("%s/tests/modules/%s.so", build, name);
}

static void start(const char *main_text, const char *server_text)
{
    ck_assert_pstr_eq(pillion_test_start(main_text, server_text), NULL);
}

static const char *load(const char *name, const char *block)
{
    return keep_printf("load_module %s { %s }", module(name), block);
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
    ck_assert_str_eq(pillion_test_call("no \"such\"", "1").code, "method_not_found");
    ck_assert(pillion_test_stop());
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(what_waits_is_waited_for)
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
    ck_assert_ptr_null(pillion_test_finish(0).body);
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

START_TEST(mistakes_are_told)
{
    const char *wrong = pillion_test_start(load("hello", "greeting;"), "method greet;");
    ck_assert_ptr_nonnull(wrong);
    expect_part(wrong, "the configuration:1:");
    expect_part(wrong, "\"greeting\"");
    expect_part(pillion_test_start(load("hello", ""), "method grete;"), "did you mean \"greet\"?");
    expect_part(pillion_test_start("load_module ./none.so;", ""), "none.so");
    expect_part(pillion_test_start(load("check_fails", ""), ""), "check failed");
    expect_part(pillion_test_start(load("start_fails", ""), ""), "start failed");
    start(load("ping", ""), "method ping;");
    ck_assert_result("ping", "1", "1");
}
END_TEST

/* One after the other in one process, as with CK_FORK=no. */
START_TEST(it_starts_as_often_as_is_wanted)
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

START_TEST(nothing_starts_while_a_thread_is_at_work)
{
    start(load("later", ""), "method nap;");
    pillion_test_begin("{\"in\":\"nap\",\"params\":{\"ms\":9000,\"timeout\":1}}");
    ck_assert(!pillion_test_stop());
    expect_part(pillion_test_start(load("ping", ""), "method ping;"), "a thread still works");
}
END_TEST

E2E_MAIN("trial", nothing_starts_while_a_thread_is_at_work, methods_are_called,
         what_waits_is_waited_for, time_is_limited_and_clients_may_leave, filters_and_zones_work,
         mistakes_are_told, it_starts_as_often_as_is_wanted)
