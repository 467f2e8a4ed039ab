/* How the proxy module spreads requests over real servers behind it. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct server *behind(void)
{
    return server_serve_alone(
        "load_module modules/later.so;",
        "method ping; method wait; method hold; method let_go; method time_left;");
}

static struct server *in_front(const char *settings, const char *methods)
{
    return server_serve_alone(keep_printf("load_module modules/proxy.so { %s }", settings),
                              methods);
}

static const char *at(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "proxy", name);
}

START_TEST(weights_decide_how_many_requests_a_server_gets)
{
    struct server *a = behind(), *b = behind();
    struct server *front =
        in_front(keep_printf("upstream %s weight=3 %s;", at(a), at(b)), "proxy_method ping;");
    int client = client_connect(front);

    wait_until(metric(front, "connected") == 4, "not all are connected");
    for (int i = 0; i < 1000; i++)
        client_expect_alive(client);
    double calls = server_calls(a, "ping", "calls");
    ck_assert_double_eq(calls + server_calls(b, "ping", "calls"), 1000);
    ck_assert_msg(calls > 650 && calls < 850, "%.0f of 1000", calls);
}
END_TEST

/* Under way at the same time, as many as the weights say, exactly. */
START_TEST(weights_decide_how_much_a_server_has_under_way)
{
    struct server *a = behind(), *b = behind();
    struct server *front =
        in_front(keep_printf("upstream %s weight=3 %s; timeout 1m;", at(a), at(b)),
                 "proxy_method wait; proxy_method ping;");
    int client = client_connect(front);

    wait_until(metric(front, "connected") == 4, "not all are connected");
    for (int i = 0; i < 40; i++)
        client_send_frame(client,
                          keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":%d}", i));
    wait_until(server_stat(a, "connections.deferred") == 30 &&
                   server_stat(b, "connections.deferred") == 10,
               "%.0f and %.0f", server_stat(a, "connections.deferred"),
               server_stat(b, "connections.deferred"));
}
END_TEST

/* One server fails all that it is asked, and fast: it would draw requests if it were not left out.
 */
START_TEST(a_server_that_fails_what_others_do_not_is_left_out)
{
    struct server *a = behind(), *b = behind(), *bad = server_new();

    server_conf(bad, "load_module modules/hello.so;",
                "method ping { handler hello.greet; }"); /* invalid_params is the client's fault */
    server_start_alone(bad);
    struct server *front =
        in_front(keep_printf("upstream %s %s %s; fail_timeout 1m;", at(a), at(b), at(bad)),
                 "proxy_method ping;");
    int client = client_connect(front);
    wait_until(metric(front, "connected") == 6, "not all are connected");
    for (int i = 0; i < 2000; i++)
        client_ask(client, "{\"in\":\"ping\",\"params\":1}");
    ck_assert_double_gt(server_calls(bad, "ping", "errors"), 300);
    ck_assert_double_eq(metric(front, "ejected"), 0);

    server_conf(bad, "load_module modules/refuses.so;", "method ping { handler refuses.broken; }");
    server_order(bad, "reload");
    wait_until(
        (client_ask(client, "{\"in\":\"ping\",\"params\":1}"), metric(front, "ejected") == 1),
        "it is not left out");
    expect_part(server_wait_log(front, "and others far fewer; it is left out for 60000 ms"),
                at(bad));
    for (int i = 0; i < 100; i++)
        client_expect_alive(client);
}
END_TEST

/* With one of three servers ten times as slow as the others, a third of all requests is. */
START_TEST(a_server_that_is_slow_where_others_are_not_is_left_out)
{
    struct server *servers[3];
    const char *list = "";

    for (int i = 0; i < 3; i++) {
        servers[i] = server_new();
        server_conf(servers[i], "load_module modules/later.so;",
                    i == 0 ? "method nap { handler later.wait; }"
                           : "method nap { handler ping.ping; }");
        server_start_alone(servers[i]);
        list = keep_printf("%s %s", list, at(servers[i]));
    }
    struct server *front =
        in_front(keep_printf("upstream %s; fail_timeout 500ms; slow_start 0;", list),
                 "proxy_method nap; proxy_method ping;");
    int client = client_connect(front);
    wait_until(metric(front, "connected") == 6, "not all are connected");
    wait_until((client_ask(client, "{\"in\":\"nap\",\"params\":{\"ms\":30}}"),
                metric(front, "ejected") == 1),
               "it is not left out");
    expect_part(server_wait_log(front, "us for a request, and others"), at(servers[0]));
    double before = server_calls(servers[0], "nap", "calls");
    for (int i = 0; i < 50; i++)
        client_ask(client, "{\"in\":\"nap\",\"params\":{\"ms\":30}}");
    ck_assert_double_le(server_calls(servers[0], "nap", "calls") - before, 1);
    /* It comes back, and is found out again: for longer then. */
    server_wait_log(front, keep_printf("%s is asked again", at(servers[0])));
    wait_until((client_ask(client, "{\"in\":\"nap\",\"params\":{\"ms\":30}}"),
                server_logged(front, "it is left out for 1000 ms")),
               "it is not left out once more");
}
END_TEST

/* Half of four servers hang, and more than max_ejected says: one of them is asked on. */
START_TEST(no_more_than_a_share_is_left_out)
{
    struct server *servers[4];
    const char *list = "";

    for (int i = 0; i < 4; i++) {
        servers[i] = behind();
        list = keep_printf("%s %s", list, at(servers[i]));
    }
    struct server *front =
        in_front(keep_printf("upstream %s; max_ejected 25%%; try_timeout 100ms; max_fails 2;"
                             "fail_timeout 1m; retries 3; retry_budget off;",
                             list),
                 "proxy_method ping { idempotent on; }");
    int client = client_connect(front);
    wait_until(metric(front, "connected") == 8, "not all are connected");
    server_kill_all(servers[0], SIGSTOP);
    server_kill_all(servers[1], SIGSTOP);
    wait_until((client_expect_alive(client), metric(front, "overdue") >= 10), "they do not hang");
    ck_assert_double_eq(metric(front, "ejected"), 1);
    server_kill_all(servers[0], SIGCONT);
    server_kill_all(servers[1], SIGCONT);
}
END_TEST

/* Both servers have too much to do, and say so. What is sent again adds to it. */
START_TEST(an_outage_does_not_multiply_the_load)
{
    struct server *a = server_new(), *b = server_new();

    for (int i = 0; i < 2; i++) {
        struct server *server = i == 0 ? a : b;
        server_conf(server, "load_module modules/refuses.so;",
                    "method ping { handler refuses.overloaded; }");
        server_start_alone(server);
    }
    struct server *front = in_front(keep_printf("upstream %s %s; retries 1; retry_budget 10%%;"
                                                "retry_floor 1; outlier_errors off;",
                                                at(a), at(b)),
                                    "proxy_method ping { idempotent on; }");
    int client = client_connect(front);
    wait_until(metric(front, "connected") == 4, "not all are connected");
    for (int i = 0; i < 1000; i++)
        expect_part(client_ask(client, "{\"in\":\"ping\",\"params\":{}}"), "overloaded");
    double calls = server_calls(a, "ping", "calls") + server_calls(b, "ping", "calls");
    ck_assert_msg(calls >= 1100 && calls <= 1120, "%.0f", calls); /* 10 %, and ten of the floor */
    ck_assert_double_eq(metric(front, "retried"), calls - 1000);
    ck_assert_double_eq(metric(front, "unretried"), 2000 - calls);
}
END_TEST

/* It is late with the reply, and so is nobody asked instead. */
START_TEST(without_budget_a_late_reply_is_waited_for)
{
    struct server *a = behind(), *b = behind();
    struct server *front = in_front(keep_printf("upstream %s %s; try_timeout 50ms; timeout 1m;"
                                                "retry_budget 0%%; retry_floor 0;",
                                                at(a), at(b)),
                                    "proxy_method wait { idempotent on; } proxy_method ping;");
    int client = client_connect(front);

    wait_until(metric(front, "connected") == 4, "not all are connected");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":300}}");
    ck_assert_double_eq(metric(front, "retried"), 0);
    ck_assert_double_eq(metric(front, "unretried"), 1);
}
END_TEST

START_TEST(a_retry_is_told_the_time_that_is_left_then)
{
    struct server *a = behind(), *b = behind();
    struct server *front =
        in_front(keep_printf("upstream %s %s; try_timeout 500ms; timeout 1m;", at(a), at(b)),
                 "proxy_method time_left { idempotent on; } proxy_method ping;");
    int client = client_connect(front);

    wait_until(metric(front, "connected") == 4, "not all are connected");
    server_kill_all(a, SIGSTOP);
    for (int i = 0; i < 20; i++) /* some of them go to the one that hangs */
        client_send_frame(client,
                          keep_printf("{\"in\":\"time_left\",\"deadline\":50000,\"id\":%d}", i));
    int late = 0;
    for (int i = 0; i < 20; i++) {
        cJSON *reply = cJSON_Parse(client_receive(client, NULL));
        double left = cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result"));
        ck_assert_double_gt(left, 10000);
        late += left <= 49500;
        cJSON_Delete(reply);
    }
    ck_assert_int_eq(late, (int)metric(front, "retried"));
    ck_assert_int_gt(late, 0);
    server_kill_all(a, SIGCONT);
}
END_TEST

E2E_MAIN("proxy_balance", weights_decide_how_many_requests_a_server_gets,
         weights_decide_how_much_a_server_has_under_way,
         a_server_that_fails_what_others_do_not_is_left_out,
         a_server_that_is_slow_where_others_are_not_is_left_out, no_more_than_a_share_is_left_out,
         an_outage_does_not_multiply_the_load, without_budget_a_late_reply_is_waited_for,
         a_retry_is_told_the_time_that_is_left_then)
