/* The proxy module, in this process, with services whose servers come and go: what a registry would
 * say is the test's own, and the servers are real. */
#include "harness.h"

#include <pillion/test.h>
#include <stdio.h>
#include <string.h>

#define SHOP "registry:/pillion/shop"

static struct server *behind(void)
{
    return server_serve_with("worker_processes 1;", "load_module modules/later.so;",
                             "method ping; method wait; method hold; method let_go;");
}

static const char *at(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

static void start(const char *settings, const char *methods)
{
    const char *main_text = keep_printf("load_module %s; load_module %s { upstream " SHOP "; %s }",
                                        module_path("rpc"), module_path("proxy"), settings);

    ck_assert_pstr_eq(pillion_test_start(main_text, keep_printf("method rpc.stats; %s", methods)),
                      NULL);
}

static void servers_are(const pillion_test_server *servers, size_t count)
{
    ck_assert_pstr_eq(pillion_test_service(SHOP, servers, count), NULL);
}

/* A server that offers any method, and is there from the start. */
static pillion_test_server known(const struct server *server)
{
    return (pillion_test_server){.address = at(server), .age_ms = UINT64_MAX};
}

static double metric(const char *name)
{
    cJSON *stats = cJSON_Parse(pillion_test_call("rpc.stats", NULL).result);
    const cJSON *modules = cJSON_GetObjectItem(stats, "modules");
    const cJSON *metrics = cJSON_GetObjectItem(cJSON_GetObjectItem(modules, "proxy"), "metrics");
    const cJSON *value = cJSON_GetObjectItem(metrics, name);

    ck_assert_msg(cJSON_IsNumber(value), "there is no \"%s\"", name);
    double number = value->valuedouble;
    cJSON_Delete(stats);
    return number;
}

static void ping(void)
{
    ck_assert_result("ping", "1", "1");
}

/* How many of so many pings a server gets. */
static double pings_of(const struct server *server, int count)
{
    double before = server_calls(server, "ping", "calls");

    for (int i = 0; i < count; i++)
        ping();
    return server_calls(server, "ping", "calls") - before;
}

START_TEST(servers_that_come_are_asked_and_those_that_leave_are_not)
{
    struct server *a = behind(), *b = behind();
    const pillion_test_server both[] = {known(a), known(b)};

    servers_are(both, 1);
    start("", "proxy_method ping;");
    ck_assert_double_eq(pings_of(a, 10), 10);
    ck_assert_double_eq(metric("servers"), 1);
    servers_are(both, 2);
    wait_until((pillion_test_run(10), metric("connected") >= 2),
               "the one that came is not connected");
    ck_assert_double_eq(metric("servers"), 2);
    double calls = pings_of(b, 100);
    ck_assert_msg(calls > 20 && calls < 80, "%.0f of 100", calls);
    servers_are(both + 1, 1);
    ck_assert_double_eq(pings_of(a, 10), 0);
    wait_until((pillion_test_run(10), server_stat(a, "connections.open") <= 1),
               "the connections to the one that left are kept");
    ck_assert_double_eq(metric("failed"), 0);
    ck_assert_double_eq(metric("retried"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_server_that_leaves_finishes_what_is_under_way)
{
    struct server *a = behind(), *b = behind();
    const pillion_test_server both[] = {known(a), known(b)};

    servers_are(both, 1);
    start("", "proxy_method ping; proxy_method hold;");
    unsigned held = pillion_test_begin("{\"in\":\"hold\",\"params\":{\"key\":1}}");
    wait_until((pillion_test_run(1), server_stat(a, "connections.deferred") == 1),
               "it is not held");
    servers_are(both + 1, 1);
    ck_assert_double_eq(pings_of(b, 10), 10);
    pillion_test_run(300);
    ck_assert(!pillion_test_answered(held));
    client_ask(client_connect(a), "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    ck_assert_pstr_eq(pillion_test_finish(held).result, "{\"key\":1}");
    wait_until((pillion_test_run(10), metric("connected") == 1), "its connection is kept");
    ck_assert(pillion_test_stop());
}
END_TEST

/* As when the registry's watch is faster than the server's restart. */
START_TEST(a_server_that_comes_back_before_it_was_gone_is_asked_again)
{
    struct server *a = behind();
    const pillion_test_server only[] = {known(a)};

    servers_are(only, 1);
    start("", "proxy_method ping; proxy_method hold;");
    unsigned held = pillion_test_begin("{\"in\":\"hold\",\"params\":{\"key\":1}}");
    wait_until((pillion_test_run(1), server_stat(a, "connections.deferred") == 1),
               "it is not held");
    servers_are(NULL, 0);
    ck_assert_str_eq(pillion_test_call("ping", "1").code, "upstream_unavailable");
    servers_are(only, 1);
    ck_assert_double_eq(pings_of(a, 10), 10);
    client_ask(client_connect(a), "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    ck_assert_pstr_eq(pillion_test_finish(held).result, "{\"key\":1}");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(requests_wait_until_somebody_knows_which_servers_there_are)
{
    struct server *a = behind();
    const pillion_test_server only[] = {known(a)};

    start("max_pending 2;",
          "proxy_method ping; proxy_method brief { to ping; reply_timeout 50ms; }");
    unsigned first = pillion_test_begin("{\"in\":\"ping\",\"params\":1}");
    unsigned second = pillion_test_begin("{\"in\":\"ping\",\"params\":2}");
    ck_assert_str_eq(pillion_test_call("ping", "3").code, "overloaded");
    ck_assert_str_eq(pillion_test_call("brief", "3").code, "timeout");
    ck_assert_str_eq(pillion_test_request("{\"in\":\"brief\",\"deadline\":10}").code,
                     "deadline_exceeded");
    ck_assert(!pillion_test_answered(first));
    servers_are(only, 1);
    ck_assert_pstr_eq(pillion_test_finish(first).result, "1");
    ck_assert_pstr_eq(pillion_test_finish(second).result, "2");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(where_nobody_offers_a_method_there_is_an_error_at_once)
{
    struct server *a = behind();
    static const char *const waits[] = {"wait", NULL};
    const pillion_test_server only[] = {{at(a), 0, UINT64_MAX, waits}};

    servers_are(only, 1);
    start("", "proxy_method ping; proxy_method other { to wait; }");
    pillion_test_reply reply = pillion_test_call("ping", "1");
    ck_assert_str_eq(reply.code, "upstream_unavailable");
    expect_part(reply.message, "no server offers it now");
    ck_assert_result("other", "{\"ms\":1}", "{\"ms\":1}");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(only_servers_that_offer_the_method_are_asked)
{
    struct server *a = behind(), *b = behind();
    static const char *const waits[] = {"wait", NULL}, *const all[] = {"ping", "wait", NULL};
    const pillion_test_server both[] = {{at(a), 0, UINT64_MAX, waits}, {at(b), 0, UINT64_MAX, all}};

    servers_are(both, 2);
    start("", "proxy_method ping; proxy_method wait;");
    ck_assert_double_eq(pings_of(b, 50), 50);
    for (int i = 0; i < 50; i++)
        ck_assert_result("wait", "{\"ms\":0}", "{\"ms\":0}");
    ck_assert_double_gt(server_calls(a, "wait", "calls"), 5);
    ck_assert_double_gt(server_calls(b, "wait", "calls"), 5);
    ck_assert_double_eq(server_calls(a, "ping", "errors"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(weights_are_the_registrys_and_go_with_those_of_the_configuration)
{
    struct server *a = behind(), *b = behind();
    const pillion_test_server only[] = {{at(a), 300, UINT64_MAX, NULL}};

    servers_are(only, 1);
    start("", keep_printf("proxy_method ping " SHOP " %s;", at(b)));
    double calls = pings_of(a, 1000);
    ck_assert_msg(calls > 650 && calls < 850, "%.0f of 1000", calls);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_new_server_is_slowly_given_requests)
{
    struct server *a = behind(), *b = behind();
    const pillion_test_server both[] = {known(a), {at(b), 0, 0, NULL}};

    servers_are(both, 2);
    start("slow_start 1h;", "proxy_method ping;");
    double calls = pings_of(b, 1000);
    ck_assert_msg(calls > 10 && calls < 200, "%.0f of 1000", calls);
    ck_assert(pillion_test_stop());

    servers_are(both, 2);
    start("slow_start 0;", "proxy_method ping;");
    ck_assert_double_gt(pings_of(b, 1000), 300);
    ck_assert(pillion_test_stop());

    const pillion_test_server half[] = {known(a), {at(b), 0, 1800000, NULL}};
    servers_are(half, 2);
    start("slow_start 1h;", "proxy_method ping;");
    calls = pings_of(b, 1000);
    ck_assert_msg(calls > 150 && calls < 480, "%.0f of 1000", calls);
    ck_assert(pillion_test_stop());
}
END_TEST

/* One server, at so many addresses of this machine's loopback. */
static void many_servers(const struct server *server, size_t from, size_t count)
{
    static pillion_test_server many[2000];

    for (size_t i = 0; i < count; i++)
        many[i] = (pillion_test_server){.address = keep_printf("127.1.%zu.%zu:%d", (from + i) / 250,
                                                               1 + (from + i) % 250, server->port),
                                        .age_ms = UINT64_MAX};
    servers_are(many, count);
}

/* The place where one listens at all of them. */
static const struct server *behind_everywhere(void)
{
    struct server *place = server_new();

    server_serve_with("worker_processes 1;", "",
                      keep_printf("listen 0.0.0.0:%d; method ping;", place->port));
    return place;
}

START_TEST(of_a_thousand_servers_a_worker_asks_a_part)
{
    const struct server *server = behind_everywhere();

    many_servers(server, 0, 1000);
    start("subset 20;", "proxy_method ping; proxy_method other { to ping; }");
    for (int i = 0; i < 200; i++) {
        ping();
        ck_assert_result("other", "1", "1");
    }
    ck_assert_double_eq(metric("servers"), 20); /* the same for both methods */
    double connected = metric("connected");
    ck_assert_msg(connected >= 20 && connected <= 40, "%.0f", connected);
    /* When the first hundred leave, others take the place of those that it had of them. */
    many_servers(server, 100, 900);
    wait_until((pillion_test_run(10), ping(), metric("servers") == 20), "%.0f", metric("servers"));
    wait_until((pillion_test_run(10), metric("connected") >= 20 && metric("connected") <= 40),
               "%.0f", metric("connected"));
    ck_assert_double_eq(metric("failed"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

/* Their hosts are gone, and their leases are not over. */
START_TEST(servers_of_a_part_that_are_dead_are_replaced)
{
    const struct server *server = behind_everywhere();
    pillion_test_server all[605];
    int nobody = server_new()->port;

    for (size_t i = 0; i < 605; i++)
        all[i] =
            (pillion_test_server){.address = keep_printf("127.2.%zu.%zu:%d", i / 250, 1 + i % 250,
                                                         i % 121 == 60 ? server->port : nobody),
                                  .age_ms = UINT64_MAX};
    servers_are(all, 605);
    start("subset 20;", "proxy_method ping;");
    wait_until((pillion_test_run(10), metric("connected") >= 5), "live servers are not found");
    ping();
    for (size_t i = 0; i < 605; i++)
        all[i].address = keep_printf("127.2.%zu.%zu:%d", i / 250, 1 + i % 250, server->port);
    servers_are(all, 605); /* they are there again, and a part of them is enough */
    wait_until((pillion_test_run(10), ping(), metric("servers") == 20), "%.0f", metric("servers"));
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(connections_by_hash_are_opened_when_they_are_needed)
{
    const struct server *server = behind_everywhere();

    many_servers(server, 0, 1000);
    start("subset 20; idle_timeout 200ms;", "proxy_method ping { hash $user; }");
    ck_assert_double_eq(metric("connected"), 0);
    for (int i = 0; i < 50; i++)
        pillion_test_call("ping", keep_printf("{\"user\":%d}", i % 5));
    double connected = metric("connected");
    ck_assert_msg(connected >= 1 && connected <= 5, "%.0f", connected);
    wait_until((pillion_test_run(10), metric("connected") == 0), "they are kept");
    ck_assert_str_eq(pillion_test_call("ping", "{\"user\":1}").result, "{\"user\":1}");
    ck_assert_double_eq(metric("failed"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(params_by_position_are_refused_where_a_param_decides)
{
    struct server *a = behind();
    const pillion_test_server only[] = {known(a)};

    servers_are(only, 1);
    start("", "proxy_method ping { hash $user.id; } proxy_method wait;");
    pillion_test_reply reply = pillion_test_call("ping", "[ {\"id\":7}]");
    ck_assert_str_eq(reply.code, "invalid_params");
    expect_part(reply.message, "needs its params by name: \"user.id\" decides which server is");
    ck_assert_str_eq(pillion_test_call("ping", "[ ]").result, "[ ]");
    ck_assert_str_eq(pillion_test_call("ping", "{\"user\":{\"id\":7}}").result,
                     "{\"user\":{\"id\":7}}");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(further_connections_are_opened_under_load_alone)
{
    struct server *a = behind();
    const pillion_test_server only[] = {known(a)};
    unsigned waits[20];

    servers_are(only, 1);
    start("connections 3; idle_timeout 300ms;", "proxy_method ping; proxy_method wait;");
    for (int i = 0; i < 100; i++)
        ping();
    ck_assert_double_eq(metric("connected"), 1);
    for (int i = 0; i < 20; i++) {
        waits[i] = pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":100}}");
        pillion_test_run(1);
    }
    ck_assert_double_eq(metric("connected"), 3);
    for (int i = 0; i < 20; i++)
        ck_assert_pstr_eq(pillion_test_finish(waits[i]).result, "{\"ms\":100}");
    wait_until((pillion_test_run(10), metric("connected") == 1), "they are kept");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_param_decides_which_server_is_asked)
{
    struct server *servers[] = {behind(), behind(), behind()};
    const pillion_test_server all[] = {known(servers[0]), known(servers[1]), known(servers[2])};
    size_t homes[10];
    bool other = false;

    servers_are(all, 3);
    start("", "proxy_method ping { hash $user.id; }");
    for (int user = 0; user < 10; user++) {
        const char *params = keep_printf("{\"user\":{\"id\":\"u%d\"}}", user);
        double before[3];
        for (size_t i = 0; i < 3; i++)
            before[i] = server_calls(servers[i], "ping", "calls");
        for (int i = 0; i < 20; i++)
            ck_assert_result("ping", params, params);
        for (size_t i = 0; i < 3; i++) {
            double calls = server_calls(servers[i], "ping", "calls") - before[i];
            ck_assert_msg(calls == 0 || calls == 20, "%.0f of 20", calls);
            homes[user] = calls == 20 ? i : homes[user];
        }
        other = other || homes[user] != homes[0];
    }
    ck_assert(other); /* 1 of 20,000 runs, by the ports */
    /* One that leaves moves its own users alone; those without the param go anywhere. */
    servers_are(all, 2);
    for (int user = 0; user < 10; user++) {
        const char *params = keep_printf("{\"user\":{\"id\":\"u%d\"}}", user);
        if (homes[user] == 2)
            continue;
        double before = server_calls(servers[homes[user]], "ping", "calls");
        for (int i = 0; i < 5; i++)
            ck_assert_result("ping", params, params);
        ck_assert_double_eq(server_calls(servers[homes[user]], "ping", "calls") - before, 5);
    }
    double calls = pings_of(servers[0], 50);
    ck_assert_msg(calls > 5 && calls < 45, "%.0f of 50", calls);
    ck_assert(pillion_test_stop());
}
END_TEST

/* More than its share of what is under way is not held up at one server. */
START_TEST(a_param_that_many_requests_have_overloads_no_server)
{
    struct server *a = behind(), *b = behind();
    const pillion_test_server both[] = {known(a), known(b)};

    servers_are(both, 2);
    start("timeout 1m;", "proxy_method wait { hash $user; } proxy_method ping;");
    ping();
    for (int i = 0; i < 100; i++)
        pillion_test_begin("{\"in\":\"wait\",\"params\":{\"ms\":60000,\"user\":1},\"id\":1}");
    wait_until(
        (pillion_test_run(10),
         server_stat(a, "connections.deferred") + server_stat(b, "connections.deferred") == 100),
        "not all are there");
    double most = server_stat(a, "connections.deferred");
    if (server_stat(b, "connections.deferred") > most)
        most = server_stat(b, "connections.deferred");
    ck_assert_msg(most >= 60 && most <= 63, "%.0f of 100", most); /* 1.25 times 50 */
    ck_assert(pillion_test_stop());                               /* with all of them under way */
}
END_TEST

/* Any of five servers may come or go with each turn, with requests under way at all of them. */
START_TEST(servers_that_flap_cost_no_request)
{
    enum { TURNS = 300, EACH = 4 };
    pillion_test_server all[5], some[5];
    unsigned requests[TURNS * EACH];
    uint32_t random = 12345;

    for (int i = 0; i < 5; i++)
        all[i] = known(behind());
    servers_are(all, 5);
    start("idle_timeout 100ms; connections 3; slow_start 1s;",
          "proxy_method ping { hash $user; } proxy_method wait;");
    for (unsigned turn = 0; turn < TURNS; turn++) {
        size_t count = 0;
        random = random * 1664525 + 1013904223;
        for (unsigned i = 0; i < 5; i++) {
            if (i == turn % 5 || (random >> (20 + i) & 1) != 0)
                some[count++] = all[i];
        }
        servers_are(some, count);
        for (unsigned i = 0; i < EACH; i++)
            requests[turn * EACH + i] = pillion_test_begin(
                keep_printf("{\"in\":\"%s\",\"params\":{\"ms\":%u,\"user\":%u},\"id\":%u}",
                            i % 2 == 0 ? "wait" : "ping", random >> 26, turn % 7, turn * EACH + i));
        pillion_test_run(turn % 3);
    }
    for (unsigned i = 0; i < TURNS * EACH; i++) {
        pillion_test_reply reply = pillion_test_finish(requests[i]);
        ck_assert_msg(reply.code == NULL, "%u: %s", i, reply.body);
        expect_part(reply.body, keep_printf("\"id\":%u}", i));
    }
    servers_are(NULL, 0);
    wait_until((pillion_test_run(10), metric("connected") == 0), "connections are kept");
    ck_assert_double_eq(metric("servers"), 0);
    ck_assert_double_eq(metric("ejected"), 0);
    ck_assert_double_eq(metric("retried"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *upstream, *method, *message;
    } cases[] = {
        {"registry:", "", "registry:"},
        {SHOP " weight=2", "", "whose servers have weights of their own"},
        {SHOP " " SHOP, "", "appears twice"},
        {"10.0.0.1:80", "hash user;", "\"user\" names no param"},
        {"10.0.0.1:80", "hash $;", "\"$\" names no param"},
        {"10.0.0.1:80", "hash $a..b;", "names no param"},
        {"10.0.0.1:80", "hash $a.;", "names no param"},
        {"10.0.0.1:80; max_ejected 101%", "", "\"101%\" is no share"},
        {"10.0.0.1:80; max_ejected 50", "", "\"50\" is no share"},
        {"10.0.0.1:80; outlier_errors x%", "", "\"x%\" is no share"},
        {"10.0.0.1:80; hash_load 100%", "", "\"100%\" is no share above 100%"},
        {"10.0.0.1:80; retry_budget -1%", "", "\"-1%\" is no share"},
        {"10.0.0.1:80; retry_floor -1", "", "\"retry_floor\" must be"},
        {"10.0.0.1:80; subset 0", "", "\"subset\" must be"},
        {"10.0.0.1:80; slow_start 2h", "", "\"slow_start\" must be"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        expect_part(pillion_test_start(keep_printf("load_module %s { upstream %s; }",
                                                   module_path("proxy"), cases[i].upstream),
                                       keep_printf("proxy_method m { %s }", cases[i].method)),
                    cases[i].message);
    /* Nobody would look for the servers of the last one, and its calls time out. */
    const char *many = "";
    for (int i = 0; i < 129; i++)
        many = keep_printf("%s registry:/s%d", many, i);
    expect_part(pillion_test_start(
                    keep_printf("load_module %s { upstream%s; }", module_path("proxy"), many),
                    "proxy_method m;"),
                "\"registry:/s128\" is one service too many: a server asks for 128");
}
END_TEST

E2E_MAIN("proxy_services", servers_that_come_are_asked_and_those_that_leave_are_not,
         a_server_that_leaves_finishes_what_is_under_way,
         a_server_that_comes_back_before_it_was_gone_is_asked_again,
         requests_wait_until_somebody_knows_which_servers_there_are,
         where_nobody_offers_a_method_there_is_an_error_at_once,
         only_servers_that_offer_the_method_are_asked,
         weights_are_the_registrys_and_go_with_those_of_the_configuration,
         a_new_server_is_slowly_given_requests, of_a_thousand_servers_a_worker_asks_a_part,
         servers_of_a_part_that_are_dead_are_replaced,
         connections_by_hash_are_opened_when_they_are_needed,
         params_by_position_are_refused_where_a_param_decides,
         further_connections_are_opened_under_load_alone, a_param_decides_which_server_is_asked,
         a_param_that_many_requests_have_overloads_no_server, servers_that_flap_cost_no_request,
         wrong_configurations_are_refused)
