/* How the proxy module spreads requests over real servers behind it. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ONE_WORKER                        \
    (const char *const[])                 \
    {                                     \
        "-g", "worker_processes 1;", NULL \
    }

static struct server *behind(void)
{
    struct server *server = server_new();

    server_conf(server, "load_module modules/later.so;",
                "method ping; method wait; method hold; method let_go; method time_left;");
    server_start_with(server, ONE_WORKER);
    return server;
}

static struct server *in_front(const char *settings, const char *methods)
{
    struct server *server = server_new();

    server_conf(server, keep_printf("load_module modules/proxy.so { %s }", settings), methods);
    server_start_with(server, ONE_WORKER);
    return server;
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

E2E_MAIN("proxy_balance", weights_decide_how_many_requests_a_server_gets,
         weights_decide_how_much_a_server_has_under_way)
