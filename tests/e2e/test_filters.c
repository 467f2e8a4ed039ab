/* Filters: order, answers instead of the handler, what they see, and what wrong ones do. */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct server *serve_filters(const char *server_text)
{
    return server_serve("load_module modules/filters.so;", server_text);
}

/* Fails unless the parts are in the text one after the other. */
static void expect_in_order(const char *text, const char *const parts[])
{
    const char *at = text;

    for (; *parts != NULL; parts++) {
        at = strstr(at, *parts);
        if (at == NULL)
            fail_test("\"%s\" is not there, or not in its place, in\n%s", *parts, text);
    }
}

START_TEST(filters_run_in_the_order_written_and_back)
{
    struct server *server = serve_filters(
        "filter tell { word one; } filter tell { word two; }"
        "method ping { filter tell { word three; } }\nmethod plain { handler ping.ping; }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    char *log = server_wait_log(server, "one after ping");
    expect_in_order(log, (const char *const[]){"one before ping", "two before ping",
                                               "three before ping", "three after ping: good, 32",
                                               "two after ping", "one after ping", NULL});
    client_send_frame(client, "{\"in\":\"plain\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    log = server_wait_log(server, "one after plain: good, 32 bytes, soon");
    ck_assert_ptr_null(strstr(log, "three before plain"));
}
END_TEST

START_TEST(each_statement_has_its_own_structure_and_hooks)
{
    struct server *server = serve_filters("filter tell { word same; }"
                                          "method ping { filter tell { word same; } }");
    int client = client_connect(server);

    for (int i = 0; i < 2; i++) {
        client_send_frame(client, "{\"in\":\"ping\"}");
        client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    }
    char *log = server_wait_log(server, "same before ping, number 2");
    ck_assert_ptr_null(strstr(log, "number 3"));
    expect_part(log, "same starts");
    server_signal(server, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    server_wait_log(server, "same stops after 2");
}
END_TEST

START_TEST(a_filter_may_answer_instead)
{
    struct server *server = serve_filters("filter tell { word outer; } filter door;"
                                          "filter tell { word inner; } method ping;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\",\"token\":\"open\",\"id\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"\\u0074oken\":\"open\",\"token\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_send_frame(client, "{\"in\":\"ping\",\"params\":{\"token\":\"open\"},\"id\":2}");
    expect_part(client_expect_error(client, "forbidden"),
                "the token of {\"in\":\"ping\",\"params\"");
    char *log = server_wait_log(server, "outer after ping: forbidden");
    ck_assert_ptr_null(strstr(log, "inner after ping: forbidden"));
    client_send_frame(client, "{\"in\":\"ping\",\"token\":\"open\"}"); /* others go on */
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
}
END_TEST

START_TEST(wrong_filters_are_named_and_the_client_is_answered)
{
    struct server *server = serve_filters("method a { handler ping.ping; filter silent; }"
                                          "method b { handler ping.ping; filter talkative; }"
                                          "method c { handler ping.ping; filter late; }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"a\"}");
    client_expect_error(client, "internal_error");
    server_wait_log(server, "module filters: the filter \"silent\" stopped a request of \"ping\" "
                            "without an answer");
    client_send_frame(client, "{\"in\":\"b\"}");
    client_expect(client, "{\"out\":\"talk\",\"result\":true}");
    server_wait_log(server, "the filter \"talkative\" answered a request of \"ping\" and let it go "
                            "on");
    client_send_frame(client, "{\"in\":\"c\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    server_wait_log(server, "module filters: \"ping\" answered a request a second time");
}
END_TEST

START_TEST(a_filter_that_crashes_costs_its_request)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server, "load_module modules/filters.so;",
                "method ping; method a { handler ping.ping; filter crashes; }");
    server_start(server);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"a\"}");
    client_expect_error(client, "module_crashed");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_filter_knows_the_address_of_a_client_that_is_gone)
{
    struct server *server =
        server_serve("load_module modules/filters.so; load_module modules/later.so;",
                     "method ping; method wait { filter tell { word it; } }");
    struct sockaddr_in self;
    socklen_t size = sizeof(self);

    int client = client_connect(server);
    ck_assert_int_eq(getsockname(client, (struct sockaddr *)&self, &size), 0);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    client_vanish(client);
    server_wait_log(server, keep_printf("it after wait: cancelled, 0 bytes, soon, to 127.0.0.1:%d",
                                        ntohs(self.sin_port)));
}
END_TEST

START_TEST(errors_in_filter_statements_are_reported)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"filter dor;", "no loaded module provides a filter \"dor\"; did you mean \"door\"? (there "
                        "are tell, door"},
        {"filter tell;", "\"word\""},
        {"filter tell { wort x; }", "did you mean \"word\"?"},
        {"filter door { word x; }", "word"},
        {"filter tell { word broken; }", "filter tell: start failed: the word is broken"},
        {"filter;", "filter"},
    };
    struct server *server = serve_filters("method ping;");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, "load_module modules/filters.so;",
                    keep_printf("method ping; %s", cases[i].text));
        server_reload_refused(server, cases[i].message);
        client_expect_alive(client_connect(server));
    }
}
END_TEST

E2E_MAIN("filters", filters_run_in_the_order_written_and_back,
         each_statement_has_its_own_structure_and_hooks, a_filter_may_answer_instead,
         wrong_filters_are_named_and_the_client_is_answered,
         a_filter_that_crashes_costs_its_request,
         a_filter_knows_the_address_of_a_client_that_is_gone,
         errors_in_filter_statements_are_reported)
