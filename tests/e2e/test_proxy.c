/* The proxy module in front of real servers: Pillions, the teaching server, and peers that break
 * the protocol. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BEHIND                                                                          \
    "method ping; method wait; method retry; method hold; method let_go; method greet;" \
    "method time_left; "                                                                \
    "method crash_now; method \"sa \\\"y\\\\ it\" { handler ping.ping; }"               \
    "method guarded { handler ping.ping; filter auth { token secret; } }"

#define FORWARDED                                                     \
    "proxy_method ping; proxy_method time_left; "                     \
    "method wait { handler proxy.forward; }"                          \
    "proxy_method retry { to hold; idempotent on; }"                  \
    "method hold { handler proxy.forward; }"                          \
    "method let_go { handler proxy.forward; }"                        \
    "method greet { handler proxy.forward; }"                         \
    "method crash_now { handler proxy.forward; }"                     \
    "method say { handler proxy.forward; to \"sa \\\"y\\\\ it\"; }"   \
    "method guarded { handler proxy.forward; pass token other; }"     \
    "method unguarded { handler proxy.forward; to guarded; }"         \
    "method missing { handler proxy.forward; }"                       \
    "method again { handler proxy.forward; to ping; idempotent on; }" \
    "method brief { handler proxy.forward; to wait; reply_timeout 50ms; }"

static struct server *behind(const char *main_text)
{
    struct server *server =
        server_serve_alone(keep_printf("load_module modules/later.so; load_module modules/hello.so;"
                                       "load_module modules/auth.so; %s",
                                       main_text),
                           BEHIND);

    server->reports_allowed = true; /* "crash_now" ends its worker */
    return server;
}

static struct server *in_front(const char *settings)
{
    return server_serve_alone(keep_printf("load_module modules/proxy.so { %s }", settings),
                              FORWARDED);
}

static const char *at(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

/* The error of a request that no server behind has answered: it never says where they are. */
static const char *expect_unserved(int client, const char *code)
{
    const char *message = client_expect_error(client, code);

    ck_assert_msg(strstr(message, "127.0.0.1") == NULL, "%s", message);
    ck_assert_msg(strstr(message, "unix:") == NULL, "%s", message);
    return message;
}

static void is_there(int client)
{
    wait_until(strstr(client_ask(client, "{\"in\":\"ping\"}"), "\"pong\"") != NULL,
               "the server behind does not come");
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "proxy", name);
}

/* Lets go of what the server behind holds, or is about to. `client` is connected to it. */
static void let_go(int client, int key)
{
    char *request = keep_printf("{\"in\":\"let_go\",\"params\":{\"key\":%d}}", key);

    wait_until(strstr(client_ask(client, request), "true") != NULL, "%d is never held", key);
}

static void kill_all_of(struct server *server)
{
    server_kill_all(server, SIGKILL);
    server_wait_exit(server, PATIENCE_MS);
}

START_TEST(requests_and_replies_pass_through)
{
    static const struct {
        const char *request, *reply;
    } calls[] = {
        {"{\"in\":\"ping\",\"params\":[1e400, 9007199254740993,\"\\u00e9\\ud800\"]}",
         "{\"out\":\"pong\",\"result\":[1e400, 9007199254740993,\"\\u00e9\\ud800\"]}"},
        {"{\"in\":\"ping\",\"id\":\"x\"}", "{\"out\":\"pong\",\"result\":null,\"id\":\"x\"}"},
        {"{\"in\":\"ping\",\"id\":17}", "{\"out\":\"pong\",\"result\":null,\"id\":17}"},
        {"{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}",
         "{\"out\":\"greet\",\"result\":\"Hello, Ada!\"}"},
        {"{\"in\":\"say\",\"params\":1}", "{\"out\":\"pong\",\"result\":1}"},
        {"{\"in\":\"guarded\",\"token\":\"secret\",\"params\":2}",
         "{\"out\":\"pong\",\"result\":2}"},
        {"{\"in\":\"wait\",\"params\":{\"ms\":5}}", "{\"out\":\"later\",\"result\":{\"ms\":5}}"},
    };
    struct server *back = behind(""), *front = in_front(keep_printf("upstream %s;", at(back)));
    int client = client_connect(front);

    is_there(client);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        client_send_frame(client, calls[i].request);
        client_expect(client, calls[i].reply);
    }
    client_send_frame(client, "{\"in\":\"unguarded\",\"token\":\"secret\"}");
    client_expect_error(client, "unauthorized");
    client_send_frame(client, "{\"in\":\"guarded\",\"token\":\"other\"}");
    client_expect_error(client, "unauthorized");
    client_send_frame(client, "{\"in\":\"missing\"}");
    ck_assert_str_eq(client_expect_error(client, "method_not_found"),
                     "there is no method \"missing\" here");
    client_send_frame(client, "{\"in\":\"greet\",\"params\":5}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"crash_now\"}");
    client_expect_error(client, "module_crashed");
    client_expect_alive(client);
    ck_assert_double_eq(metric(front, "retried"), 0);
    ck_assert_double_eq(metric(front, "failed"), 0);
    ck_assert_double_eq(metric(front, "connected"), 2);
}
END_TEST

/* Requests that overtake there overtake here; those without an id keep their order. */
START_TEST(replies_without_ids_keep_the_order_of_the_requests)
{
    struct server *back = behind(""),
                  *front = in_front(keep_printf("upstream %s; timeout 1m;", at(back)));
    int client = client_connect(front);

    is_there(client);
    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    let_go(client_connect(back), 1);
    client_expect(client, "{\"out\":\"later\",\"result\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":30}}");
    client_send_frame(client, "{\"in\":\"ping\"}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":30}}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
}
END_TEST

START_TEST(large_bodies_pass_both_ways)
{
    struct server *back = behind(""), *front = in_front(keep_printf("upstream %s;", at(back)));
    struct buffer request = {0}, reply = {0};
    char *text = memset(calloc(1, 1000001), 'x', 1000000);
    int client = client_connect(front);

    is_there(client);
    for (int i = 0; i < 20; i++) {
        buffer_add_frame(&request, "{\"in\":\"ping\",\"params\":\"%s\"}", text);
        buffer_add_frame(&reply, "{\"out\":\"pong\",\"result\":\"%s\"}", text);
    }
    client_exchange(client, request.data, request.size, 0, reply.data, reply.size);
    free(request.data);
    free(reply.data);
    free(text);
    client_expect_alive(client);
}
END_TEST

START_TEST(the_least_busy_is_asked)
{
    struct server *a = behind(""), *b = behind("");
    struct server *front = in_front(keep_printf("upstream %s %s; timeout 1m;", at(a), at(b)));
    int client = client_connect(front);

    wait_until((is_there(client), metric(front, "connected") == 4), "not all are connected");
    double before_a = server_calls(a, "ping", "calls"), before_b = server_calls(b, "ping", "calls");
    for (int i = 0; i < 100; i++) /* neither is ever busy: it is the first of them by chance */
        client_expect_alive(client);
    ck_assert_double_gt(server_calls(a, "ping", "calls") - before_a, 20);
    ck_assert_double_gt(server_calls(b, "ping", "calls") - before_b, 20);
    /* One that is held keeps its server from getting the next. */
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    wait_until(server_stat(a, "connections.deferred") + server_stat(b, "connections.deferred") == 1,
               "nothing waits");
    struct server *busy = server_stat(a, "connections.deferred") == 1 ? a : b;
    double before = server_calls(busy, "ping", "calls");
    for (int i = 0; i < 20; i++) {
        client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
        client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    }
    ck_assert_double_eq(server_calls(busy, "ping", "calls"), before);
}
END_TEST

START_TEST(without_a_server_there_is_an_error_at_once)
{
    struct server *back = server_new();
    struct server *front = in_front(keep_printf("upstream %s; timeout 1h;", at(back)));
    int client = client_connect(front);

    client_send_frame(client, "{\"in\":\"again\"}");
    expect_part(expect_unserved(client, "upstream_unavailable"),
                "no server behind \"again\" can be asked");
    server_wait_log(front, keep_printf("%s: Connection refused; it is tried again", at(back)));
    ck_assert_double_ge(metric(front, "failed"), 1);
    server_conf(back, "", "method ping;");
    server_start(back);
    is_there(client);
    server_wait_log(front, "is there again");
}
END_TEST

START_TEST(a_server_that_dies_costs_only_its_own_requests)
{
    struct server *a = behind(""), *b = behind("");
    struct server *front = in_front(keep_printf("upstream %s %s; timeout 1m;", at(a), at(b)));
    int client = client_connect(front), other = client_connect(front);
    int lost = 0, again = 0;

    wait_until((is_there(client), metric(front, "connected") == 4), "not all are connected");
    for (int i = 0; i < 20; i++)
        client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":{\"key\":%d},\"id\":%d}",
                                              i % 2 == 0 ? "hold" : "retry", i, 1 + i % 2));
    wait_until(server_stat(a, "connections.deferred") == 10 &&
                   server_stat(b, "connections.deferred") == 10,
               "they are not spread");
    double failed = metric(front, "failed");
    kill_all_of(a);
    /* What it had is sent to the other one, or given up; that lets go of what it has then. */
    wait_until(metric(front, "retried") + metric(front, "failed") - failed == 10,
               "not all that it had is seen to");
    wait_until(server_stat(b, "connections.deferred") == 10 + metric(front, "retried"),
               "not all are under way");
    for (int key = 0, direct = client_connect(b); key < 20; key++)
        client_ask(direct, keep_printf("{\"in\":\"let_go\",\"params\":{\"key\":%d}}", key));
    for (int i = 0; i < 20; i++) {
        const char *reply = client_receive(client, NULL);
        bool retried = strstr(reply, "\"id\":2") != NULL;
        if (strstr(reply, "upstream_unavailable") != NULL) {
            ck_assert(!retried);
            expect_part(reply, "a server behind \\\"hold\\\": ");
            expect_part(reply, "it may have carried the request out or not");
            lost++;
        } else {
            expect_part(reply, "\"later\"");
            again += retried;
        }
    }
    ck_assert_int_eq(again, 10);
    ck_assert_int_eq(lost + (int)metric(front, "retried"), 10);
    for (int i = 0; i < 100; i++)
        client_expect_alive(other);
    server_start_alone(a);
    double before = server_calls(a, "ping", "calls");
    wait_until((client_expect_alive(other), server_calls(a, "ping", "calls") > before + 1),
               "it is not asked");
}
END_TEST

/* A ping that may be sent to another server when one does not answer. */
static void ping_again(int client)
{
    client_send_frame(client, "{\"in\":\"again\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
}

/* All are sent at once, so that the proxy has them all before it has a reply. Sent one by one, each
 * may be answered before the next comes, and the server that answers is asked every time. */
static void ask_at_once(int client, int count)
{
    client_send_frames(client, count, "{\"in\":\"again\",\"params\":1,\"id\":1}");
    for (int i = 0; i < count; i++)
        client_expect(client, "{\"out\":\"pong\",\"result\":1,\"id\":1}");
}

START_TEST(a_server_that_hangs_is_left_out)
{
    struct server *a = behind(""), *b = behind("");
    struct server *front = in_front(
        keep_printf("upstream %s %s; timeout 30s; try_timeout 2s; max_fails 3; fail_timeout 300ms;",
                    at(a), at(b)));
    int client = client_connect(front);

    wait_until((is_there(client), metric(front, "connected") == 4), "not all are connected");
    server_kill_all(a, SIGSTOP);
    ask_at_once(client, 20);
    expect_part(server_wait_log(front, "requests in a row had no answer in time; it is left out"),
                at(a));
    ck_assert_double_ge(metric(front, "retried"), 3);
    /* Now and then it is tried with one: that must be one that may go elsewhere then. */
    for (int i = 0; i < 50; i++)
        ping_again(client);
    /* When it goes on it is asked again. */
    server_kill_all(a, SIGCONT);
    wait_until((ping_again(client), server_logged(front, "is there again")),
               "it is left out for ever");
    double before = server_calls(a, "ping", "calls");
    wait_until((ping_again(client), server_calls(a, "ping", "calls") > before + 1),
               "it is not asked");
}
END_TEST

START_TEST(a_request_to_a_server_has_a_limited_time)
{
    struct server *back = behind("");
    struct server *front = in_front(keep_printf("upstream %s; timeout 300ms;", at(back)));
    int client = client_connect(front);

    is_there(client);
    client_send_frame(client, "{\"in\":\"brief\",\"params\":{\"ms\":60000}}");
    expect_unserved(client, "timeout");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000}}");
    int ms = 0; /* of 300, those that the request has taken to get there */
    sscanf(expect_unserved(client, "timeout"), "\"wait\" did not answer within %d ms", &ms);
    ck_assert_msg(ms > 100 && ms <= 300, "%d ms", ms);
    server_wait_log(front, keep_printf("%s: a request had no answer in time", at(back)));
    wait_until(strcmp(client_ask(client, "{\"in\":\"wait\",\"params\":{\"ms\":10}}"),
                      "{\"out\":\"later\",\"result\":{\"ms\":10}}") == 0,
               "what is in time is not answered");
}
END_TEST

/* The server behind is told what is left, and nothing where the client has not said. */
START_TEST(deadlines_are_handed_on)
{
    struct server *back = behind(""),
                  *front = in_front(keep_printf("upstream %s; timeout 1h;", at(back)));
    int client = client_connect(front);

    is_there(client);
    client_send_frame(client, "{\"in\":\"time_left\"}");
    client_expect(client, "{\"out\":\"left\",\"result\":null}");
    client_send_frame(client, "{\"in\":\"time_left\",\"deadline\":500000}");
    const cJSON *left = cJSON_GetObjectItem(client_receive_json(client), "result");
    ck_assert_double_gt(cJSON_GetNumberValue(left), 400000);
    ck_assert_double_lt(cJSON_GetNumberValue(left), 500000);
    client_send_frame(client, "{\"in\":\"time_left\",\"deadline\":0.0001}");
    expect_unserved(client, "deadline_exceeded");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":200}");
    expect_unserved(client, "deadline_exceeded");
    wait_until(server_calls(back, "wait", "errors") == 1, "the server behind has waited on");
    client_expect_alive(client);
}
END_TEST

START_TEST(reloads_of_both_lose_nothing)
{
    struct server *back = behind(""), *front = in_front(keep_printf("upstream %s;", at(back)));
    int client = client_connect(front);

    is_there(client);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            client_send_frame(
                client,
                keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":%d},\"id\":%d}", 100 * i, i));
        struct run run = server_ask(round == 1 ? back : front, "reload");
        expect_status(&run, 0);
        char *replies = "";
        for (int i = 0; i < 5; i++)
            replies = keep_printf("%s%s", replies, client_receive(client, NULL));
        for (int i = 0; i < 5; i++) /* where something is held up, one may overtake another */
            expect_part(replies, keep_printf("{\"out\":\"later\",\"result\":{\"ms\":%d},\"id\":%d}",
                                             100 * i, i));
        client_expect_alive(client);
    }
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

START_TEST(limits_are_kept)
{
    struct server *back = behind("");
    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; max_pending 3; timeout 1m;"
                             "max_frame 1k; max_reply 1k;",
                             at(back)));
    char *text = memset(calloc(1, 1001), 'x', 1000);
    int client = client_connect(front);

    is_there(client);
    for (int i = 0; i < 3; i++)
        client_send_frame(client,
                          keep_printf("{\"in\":\"hold\",\"params\":{\"key\":%d},\"id\":1}", i));
    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":3},\"id\":2}");
    client_expect_error(client, "overloaded");
    for (int i = 0, direct = client_connect(back); i < 3; i++) {
        let_go(direct, i);
        client_expect(client,
                      keep_printf("{\"out\":\"later\",\"result\":{\"key\":%d},\"id\":1}", i));
    }
    client_send_frame(client, keep_printf("{\"in\":\"ping\",\"params\":\"%s\"}", text));
    expect_part(client_expect_error(client, "invalid_params"),
                "the request takes up to 11"); /* 1138 bytes, and not the 1026 of its own */
    client_expect_alive(client);
    free(text);
}
END_TEST

/* A server behind reads no more than 255 requests past one that waits. */
START_TEST(slow_requests_hold_nobody_up)
{
    struct server *back = behind("");
    struct server *front =
        in_front(keep_printf("upstream %s; timeout 1m; extra_connections 3;", at(back)));
    int slow = client_connect(front), client = client_connect(front), direct = client_connect(back);

    wait_until((is_there(client), metric(front, "connected") == 2), "not all are connected");
    for (int i = 1; i <= 4; i++) { /* one on each, and then there is an extra one */
        client_send_frame(slow,
                          keep_printf("{\"in\":\"hold\",\"params\":{\"key\":%d},\"id\":%d}", i, i));
        wait_until(server_stat(back, "connections.deferred") == i, "%d is not held", i);
        for (int ping = 0; i >= 2 && ping < 600; ping++)
            client_expect_alive(client);
        ck_assert_double_eq(metric(front, "connected"), i < 2 ? 2 : i + 1);
    }
    for (int i = 1; i <= 4; i++) {
        let_go(direct, i);
        client_expect(slow,
                      keep_printf("{\"out\":\"later\",\"result\":{\"key\":%d},\"id\":%d}", i, i));
    }
    wait_until((client_expect_alive(client), metric(front, "connected") == 2),
               "the extra connections are kept");
    ck_assert_double_eq(metric(front, "failed"), 0);
    ck_assert_double_eq(metric(front, "retried"), 0);
}
END_TEST

/* They end with their server, and are not opened again before they are needed. */
START_TEST(extra_connections_end_with_their_server)
{
    struct server *back = behind("");
    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; timeout 1m;", at(back)));
    int slow = client_connect(front), client = client_connect(front);

    for (int round = 0; round < 2; round++) {
        wait_until((is_there(client), metric(front, "connected") == 1),
                   "it is not the one connection");
        for (int i = 1; i <= 3; i++) {
            client_send_frame(
                slow, keep_printf("{\"in\":\"hold\",\"params\":{\"key\":%d},\"id\":%d}", i, i));
            wait_until(server_stat(back, "connections.deferred") == i, "%d is not held", i);
            for (int ping = 0; ping < 300; ping++)
                client_expect_alive(client);
        }
        ck_assert_double_eq(metric(front, "connected"), 4);
        kill_all_of(back);
        for (int i = 1; i <= 3; i++)
            expect_unserved(slow, "upstream_unavailable");
        wait_until(metric(front, "connected") == 0, "connections are left");
        server_start_alone(back);
    }
    wait_until((is_there(client), metric(front, "connected") == 1), "it is not the one connection");
}
END_TEST

/* It has only max_inflight of them under way, and reads nothing behind them. */
START_TEST(many_slow_requests_hold_nobody_up)
{
    enum { SLOW = 6 };
    struct server *back =
        server_serve_alone("load_module modules/later.so;",
                           "max_inflight 4; method ping; method hold; method let_go;");
    int pings = 0;

    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; max_inflight 4; timeout 1m;", at(back)));
    int slow = client_connect(front), client = client_connect(front), direct = client_connect(back);

    wait_until(metric(front, "connected") == 1, "it does not connect");
    for (int i = 0; i < SLOW; i++)
        client_send_frame(slow,
                          keep_printf("{\"in\":\"hold\",\"params\":{\"key\":%d},\"id\":%d}", i, i));
    wait_until(server_stat(back, "connections.deferred") >= 4, "they are not held");
    /* That they are slow shows after a while, and until then a ping may get behind them. */
    wait_until((client_send_frame(client, keep_printf("{\"in\":\"ping\",\"id\":%d}", pings++)),
                !client_is_silent(client)),
               "all wait for those that are slow");
    for (int i = 0; i < SLOW; i++)
        let_go(direct, i);
    for (int i = 0; i < SLOW; i++)
        expect_part(client_receive(slow, NULL), "\"later\"");
    while (pings-- > 0)
        expect_part(client_receive(client, NULL), "\"pong\"");
    wait_until((client_expect_alive(client), metric(front, "connected") == 1),
               "the extra connection is kept");
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

START_TEST(unix_sockets_and_groups_of_their_own_work)
{
    struct server *a = behind(""), *b = server_new(), *front = server_new();

    server_conf(b, "", keep_printf("listen unix:%s; method ping;", server_path(b, "run/b.sock")));
    server_start(b);
    server_conf(front, keep_printf("load_module modules/proxy.so { upstream %s; }", at(a)),
                keep_printf("method greet { handler proxy.forward; }"
                            "method ping { handler proxy.forward; upstream unix:%s; }"
                            "method other { handler proxy.forward; to ping; upstream unix:%s; }",
                            server_path(b, "run/b.sock"), server_path(b, "run/b.sock")));
    server_start(front);
    int client = client_connect(front);
    is_there(client);
    client_send_frame(client, "{\"in\":\"other\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    wait_until(
        strstr(client_ask(client, "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}"), "Ada!"),
        "a is not asked");
    ck_assert_double_ge(server_calls(b, "ping", "calls"), 2);
    ck_assert_double_eq(server_calls(a, "greet", "calls"), 1);
}
END_TEST

/* It knows no ids: its replies come in order. */
START_TEST(the_teaching_server_can_stand_behind)
{
    struct server *place = server_new();
    struct server *front = in_front(keep_printf("upstream %s;", at(place)));
    const char *script = keep_printf("%s/../tests/interop/server.py", getenv("PILLION_BUILD"));
    int client = client_connect(front);

    if (access(script, R_OK) != 0)
        script = keep_printf("%s/../../tests/interop/server.py", getenv("PILLION_BUILD"));
    pid_t pid = daemon_start((const char *const[]){"python3", script, at(place), NULL}, NULL);
    is_there(client);
    for (int i = 0; i < 100; i++)
        client_send_frame(client, keep_printf("{\"in\":\"ping\",\"params\":%d,\"id\":%d}", i, i));
    for (int i = 0; i < 100; i++) {
        const cJSON *reply = client_receive_json(client);
        ck_assert_double_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result")),
                            cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "id")));
    }
    daemon_end(pid);
}
END_TEST

/* A request that was not sent to its end when the connection broke was not run, and may go
 * elsewhere. */
START_TEST(a_request_that_no_server_has_seen_goes_to_another)
{
    enum { SIZE = 24 << 20 };
    struct server *place = server_new(), *back = server_new(), *front = server_new();
    struct buffer request = {0};
    char *text = memset(calloc(1, SIZE + 1), 'x', SIZE);
    int listener = listen_at(place->port);

    server_conf(back, "load_module modules/later.so;", "max_frame 32m; method ping; method wait;");
    server_start(back);
    server_conf(
        front,
        keep_printf("load_module modules/proxy.so { upstream %s %s; max_frame 32m;"
                    "max_reply 32m; timeout 30s; }",
                    at(back), at(place)),
        keep_printf("max_frame 32m; method ping; method echo { handler proxy.forward; to ping; }"
                    "method wait { handler proxy.forward; upstream %s; }",
                    at(back)));
    server_start_alone(front);
    int client = client_connect(front), other = client_connect(front);
    wait_until(metric(front, "connected") == 4, "not all are connected");
    client_send_frame(other, "{\"in\":\"wait\",\"params\":{\"ms\":60000}}");
    wait_until(server_stat(back, "connections.deferred") == 1, "the one is not busy");
    buffer_add_frame(&request, "{\"in\":\"echo\",\"params\":\"%s\"}", text);
    client_send(client, request.data, request.size);
    wait_until(metric(front, "sent") == 2, "it is not sent");
    for (int i = 0; i < 2; i++)
        close(accept(listener, NULL, NULL)); /* with what it has sent unread: a reset */
    const char *reply = client_receive(client, NULL);
    ck_assert_uint_eq(strlen(reply), SIZE + strlen("{\"out\":\"pong\",\"result\":\"\"}"));
    expect_part(reply, "\"pong\"");
    ck_assert_double_eq(metric(front, "retried"), 1);
    free(request.data);
    free(text);
    close(listener);
}
END_TEST

/* The next connection that it is asked for. */
static int peer_accept(int listener)
{
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    ck_assert_int_ge(peer, 0);
    return peer;
}

/* A listener whose queue is full takes no handshake of TCP. */
START_TEST(a_deadline_has_no_time_in_it_that_connecting_has_taken)
{
    enum { ALL_MS = 20000, WAITED_MS = 400 };
    struct server *place = server_new(), *front = server_new();
    int listener = listen_at(place->port);

    ck_assert_int_eq(listen(listener, 0), 0);
    int filler = client_connect(place);
    server_conf(front,
                keep_printf("load_module modules/proxy.so { upstream %s; connections 1; "
                            "timeout 30s; }",
                            at(place)),
                "method echo { handler proxy.forward; }");
    server_start_alone(front);
    int client = client_connect(front);
    client_send_frame(client,
                      keep_printf("{\"in\":\"echo\",\"params\":[1],\"deadline\":%d}", ALL_MS));
    wait_until(metric(front, "sent") == 1, "it does not wait for the connection");
    usleep(WAITED_MS * 1000);
    close(accept(listener, NULL, NULL));
    int peer = accept(listener, NULL, NULL); /* its handshake is tried again after a second */
    const cJSON *frame = client_receive_json(peer);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(frame, "params")), 1);
    double left = cJSON_GetNumberValue(cJSON_GetObjectItem(frame, "deadline"));
    ck_assert_double_le(left, ALL_MS - WAITED_MS);
    ck_assert_double_ge(left, 1);
    close(peer);
    close(filler);
    close(listener);
}
END_TEST

/* The id of the next request that has come, as it is. */
static const char *peer_receive(int peer)
{
    char *body = client_receive(peer, NULL);

    ck_assert_msg(strncmp(body, "{\"id\":", 6) == 0, "%s", body);
    char *id = body + 6;
    id[strspn(id, "0123456789")] = '\0';
    return id;
}

#define PARSE_ERROR "{\"out\":\"error\",\"result\":{\"code\":\"parse_error\",\"message\":\"?\"}}"

/* The next request is answered so. */
static void peer_answer(int peer, const char *out, const char *result)
{
    const char *id = peer_receive(peer);
    client_send_frame(peer, keep_printf("{\"out\":%s,\"result\":%s,\"id\":%s}", out, result, id));
}

START_TEST(errors_pass_byte_for_byte)
{
    char *text = memset(calloc(1, 5001), 'x', 5000);
    const char *const results[] = {
        keep_printf("{\"code\":\"mine\",\"message\":\"%s\",\"data\":[1e400, 1.0]}", text),
        "{ \"message\" : \"\\u00e9\\u0000\\/\\ud800\", \"code\" : \"m\\u0069ne\" }",
        "{\"code\":\"mine\"}",
        "{\"code\":\"mine\\u0000\"}",
        "{\"code\":[1]}",
        "\"no object\"",
    };
    static const char *const outs[] = {"\"\\u0000\"", "\"a\\\\\\u0000b\"", "\"\\ud800\""};
    struct server *place = server_new();
    struct server *front = in_front(keep_printf("upstream %s; connections 1;", at(place)));
    int listener = listen_at(place->port), client = client_connect(front),
        peer = peer_accept(listener);

    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        client_send_frame(client, "{\"in\":\"ping\",\"id\":\"x\"}");
        peer_answer(peer, i == 1 ? "\"\\u0065rror\"" : "\"error\"", results[i]);
        client_expect(client,
                      keep_printf("{\"out\":\"error\",\"result\":%s,\"id\":\"x\"}", results[i]));
    }
    const cJSON *methods = cJSON_GetObjectItem(server_stats(front), "methods");
    ck_assert_double_eq(
        cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(methods, "ping"), "errors")),
        6);
    /* A name that no method can reply with is reported, and costs other requests nothing. */
    for (size_t i = 0; i < sizeof(outs) / sizeof(*outs); i++) {
        client_send_frame(client, "{\"in\":\"ping\"}");
        peer_answer(peer, outs[i], "1");
        expect_part(expect_unserved(client, "internal_error"), "the \"out\" of its reply");
    }
    server_wait_log(front,
                    keep_printf("%s: the \"out\" of its reply cannot be passed on", at(place)));
    client_send_frame(client, "{\"in\":\"ping\"}");
    peer_answer(peer, "\"a\\\\u0000\\n\"", "1");
    client_expect(client, "{\"out\":\"a\\\\u0000\\n\",\"result\":1}");
    free(text);
    close(peer);
    close(listener);
}
END_TEST

/* Within the second in which the log has told that the server is late. */
START_TEST(one_complaint_about_a_server_hides_no_other)
{
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; timeout 1m;", at(place)));
    int listener = listen_at(place->port), client = client_connect(front),
        peer = peer_accept(listener);

    client_send_frame(client, "{\"in\":\"brief\"}");
    peer_receive(peer);
    expect_unserved(client, "timeout");
    client_send_frame(client, "{\"in\":\"ping\"}");
    peer_answer(peer, "\"\\u0000\"", "1");
    expect_unserved(client, "internal_error");
    server_wait_log(front, keep_printf("%s: a request had no answer in time", at(place)));
    server_wait_log(front,
                    keep_printf("%s: the \"out\" of its reply cannot be passed on", at(place)));
    close(peer);
    close(listener);
}
END_TEST

/* With an id it has a value more than the client has sent. */
START_TEST(a_parse_error_goes_to_the_client_that_sent_the_body)
{
    struct server *back = server_new();
    struct server *front = in_front(keep_printf("upstream %s; connections 1;", at(back)));
    int waiting = client_connect(front), client = client_connect(front);

    server_conf(back, "load_module modules/later.so;",
                "json_max_values 6; method ping; method wait;");
    server_start_alone(back);
    wait_until(metric(front, "connected") == 1, "it does not connect");
    client_send_frame(waiting, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    wait_until(server_stat(back, "connections.deferred") == 1, "it does not wait");
    client_send_frame(client, "{\"in\":\"ping\",\"params\":[1,2,3]}");
    client_expect_error(client, "parse_error");
    client_expect_alive(client);
    client_expect(waiting, "{\"out\":\"later\",\"result\":{\"ms\":300}}");
    client_send_frame(client, "{\"in\":\"ping\",\"params\":[1,2]}");
    client_expect(client, "{\"out\":\"pong\",\"result\":[1,2]}");
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

/* Where nothing tells whether a server gives ids back, an error without one can be anybody's. */
START_TEST(an_error_without_an_id_is_given_to_nobody_else)
{
    struct server *place = server_new();
    struct server *front = in_front(keep_printf("upstream %s; connections 1;", at(place)));
    int listener = listen_at(place->port), a = client_connect(front), b = client_connect(front);
    int peer = peer_accept(listener);

    /* One alone is answered, and nothing is learned of it. */
    client_send_frame(a, "{\"in\":\"ping\"}");
    peer_receive(peer);
    client_send_frame(peer, PARSE_ERROR);
    expect_part(client_receive(a, NULL), "parse_error");
    client_send_frame(a, "{\"in\":\"ping\"}");
    client_send_frame(b, "{\"in\":\"ping\"}");
    peer_receive(peer);
    peer_receive(peer);
    client_send_frame(peer, PARSE_ERROR);
    expect_part(expect_unserved(a, "upstream_unavailable"), "no reply to a request of this proxy");
    expect_part(expect_unserved(b, "upstream_unavailable"), "no reply to a request of this proxy");
    close(peer);

    /* A reply with an id tells, and one without that is no error. */
    for (int ids = 0; ids < 2; ids++) {
        peer = peer_accept(listener);
        wait_until(metric(front, "connected") == 1, "it does not connect");
        client_send_frame(a, "{\"in\":\"ping\"}");
        const char *id = peer_receive(peer);
        client_send_frame(b, "{\"in\":\"ping\"}");
        peer_receive(peer);
        client_send_frame(peer, ids ? keep_printf("{\"out\":\"a\",\"result\":1,\"id\":%s}", id)
                                    : "{\"out\":\"a\",\"result\":1}");
        client_expect(a, "{\"out\":\"a\",\"result\":1}");
        client_send_frame(peer, PARSE_ERROR);
        client_expect_error(b, ids ? "upstream_unavailable" : "parse_error");
        close(peer);
    }
    close(listener);
}
END_TEST

/* The only server is cut off, and its request is not sent to it once more: it may have been run. */
START_TEST(a_request_that_the_only_server_may_have_seen_is_not_called_unseen)
{
    for (int says = 0; says < 2; says++) {
        struct server *place = server_new();
        struct server *front = in_front(keep_printf("upstream %s; connections 1; max_fails 1;"
                                                    "try_timeout %s; fail_timeout 10s;",
                                                    at(place), says ? "5s" : "100ms"));
        int listener = listen_at(place->port), client = client_connect(front);
        int peer = peer_accept(listener);

        client_send_frame(client, "{\"in\":\"again\"}");
        const char *id = peer_receive(peer);
        if (says)
            client_send_frame(peer, keep_printf("{\"out\":\"x\",\"id\":%s}", id));
        const char *message = expect_unserved(client, "upstream_unavailable");
        expect_part(message, "no server behind \"again\" can be asked");
        expect_part(message, says ? "a reply without" : "had no answer in time");
        expect_part(message, "an earlier try may have been carried out or not");
        ck_assert_double_eq(metric(front, "sent"), 1);
        close(peer);
        close(listener);
    }
}
END_TEST

#define OVERLOADED \
    "{\"out\":\"error\",\"result\":{\"code\":\"overloaded\",\"message\":\"?\"},\"id\":%s}"

/* A server that has too much to do is not asked the same once more. */
START_TEST(overloaded_goes_elsewhere_or_back_to_the_client)
{
    struct server *place = server_new(), *back = behind(""), *front = server_new();
    int listener = listen_at(place->port);

    server_conf(
        front,
        keep_printf("load_module modules/proxy.so { upstream %s; connections 1; timeout 1m; }",
                    at(place)),
        keep_printf("method ping;"
                    "method wait { handler proxy.forward; upstream %s; }"
                    "method one { handler proxy.forward; to ping; idempotent on; }"
                    "method two { handler proxy.forward; to ping; idempotent on;"
                    "             upstream %s %s; }",
                    at(back), at(place), at(back)));
    server_start_alone(front);
    int peer = peer_accept(listener), client = client_connect(front);
    wait_until(metric(front, "connected") == 2, "not all are connected");
    client_send_frame(client, "{\"in\":\"one\",\"id\":1}");
    client_send_frame(peer, keep_printf(OVERLOADED, peer_receive(peer)));
    client_expect_error(client, "overloaded");
    ck_assert_double_eq(metric(front, "retried"), 0);
    /* The other one is busy, so that it is not the first to be asked. */
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":2}");
    client_send_frame(client, "{\"in\":\"two\",\"id\":3}");
    client_send_frame(peer, keep_printf(OVERLOADED, peer_receive(peer)));
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":3}");
    ck_assert_double_eq(metric(front, "retried"), 1);
    close(peer);
    close(listener);
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* which takes all address space for itself */
/* How much memory a process has mapped. */
static rlim_t mapped(pid_t pid)
{
    unsigned long pages = 0;
    FILE *file = fopen(keep_printf("/proc/%d/statm", pid), "re");

    ck_assert(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* The client is told that it was not: so it must not be run. */
START_TEST(a_request_that_cannot_be_deferred_is_not_sent)
{
    enum { SIZE = 24 << 20 };
    struct server *back = behind(""), *front = server_new();
    struct buffer request = {0};
    char *text = memset(calloc(1, SIZE + 1), 'x', SIZE);
    const char *const one_worker[] = {"-g", "worker_processes 1;", NULL};
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    pid_t worker;

    server_conf(front, keep_printf("load_module modules/proxy.so { upstream %s; }", at(back)),
                "max_frame 32m; proxy_method ping; method greet { handler proxy.forward; }");
    server_start_with(front, one_worker);
    ck_assert_uint_eq(server_workers(front, &worker, 1), 1);
    limit.rlim_cur = mapped(worker) + SIZE / 2;
    kill_all_of(front);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0); /* for it and its children */
    server_start_with(front, one_worker);
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    int client = client_connect(front);
    is_there(client);
    double sent = metric(front, "sent");
    /* What is sent on is small: only what is kept of the request has no room. */
    buffer_add_frame(&request, "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"},\"more\":\"%s\"}",
                     text);
    client_send(client, request.data, request.size);
    expect_part(client_expect_error(client, "overloaded"), "no memory to keep the request");
    client_expect_alive(client);
    ck_assert_double_eq(metric(front, "sent"), sent + 1);
    ck_assert_double_eq(server_calls(back, "greet", "calls"), 0);
    free(request.data);
    free(text);
}
END_TEST
#endif

/* A peer that takes one connection, reads a request and answers with `bytes`. */
static void answer_with(int listener, const void *bytes, size_t size)
{
    char request[1024];
    int peer = accept(listener, NULL, NULL);

    ck_assert_int_ge(peer, 0);
    ck_assert_int_gt(recv(peer, request, sizeof(request), 0), 0);
    ck_assert_int_eq(send(peer, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    while (recv(peer, request, sizeof(request), 0) > 0)
        continue;
    close(peer);
}

START_TEST(peers_that_break_the_protocol_are_cut_off)
{
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"no JSON", "no reply to a request of this proxy"},
        {"{\"out\":\"x\",\"result\":1,\"id\":77}", "no reply to a request of this proxy"},
        {"{\"out\":\"x\",\"result\":1,\"id\":\"1\"}", "no reply to a request of this proxy"},
        {"{\"out\":\"x\"}", "a reply without"},
        {"{\"out\":5,\"result\":1}", "a reply without"},
        {"[]", "a reply without"},
    };
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; max_reply 1k;", at(place)));
    int listener = listen_at(place->port), client = client_connect(front);

    for (size_t i = 0; i <= sizeof(cases) / sizeof(*cases); i++) {
        struct buffer bytes = {0};
        const char *reason = "above max_reply";
        if (i < sizeof(cases) / sizeof(*cases)) {
            buffer_add_frame(&bytes, "%s", cases[i].body);
            reason = cases[i].reason;
        } else {
            buffer_add(&bytes, "\xff\xff\xff\x7f", 4);
        }
        wait_until(metric(front, "connected") == 1, "it does not connect");
        client_send_frame(client, "{\"in\":\"ping\"}");
        answer_with(listener, bytes.data, bytes.size);
        expect_part(expect_unserved(client, "upstream_unavailable"), reason);
        free(bytes.data);
    }
    close(listener);
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *settings, *method, *message;
    } cases[] = {
        {"upstream localhost:8080;", "", "\"localhost:8080\" is no address of a server"},
        {"upstream 127.0.0.1:1 127.0.0.1:1;", "", "\"127.0.0.1:1\" appears twice"},
        {"", "", "it has no `upstream`, and load_module gives none"},
        {"", "upstream unix:;", "\"unix:\" is no address of a server"},
        {"upstream weight=2 127.0.0.1:1;", "", "\"weight=2\" follows no server"},
        {"upstream 127.0.0.1:1 weight=2 weight=3;", "", "\"weight=3\" follows no server"},
        {"upstream 127.0.0.1:1 weight=0;", "", "\"weight=0\" of 127.0.0.1:1 is no weight"},
        {"upstream 127.0.0.1:1 weight=101;", "", "\"weight=101\" of 127.0.0.1:1 is no weight"},
        {"upstream 127.0.0.1:1 weight=2x;", "", "write a whole number from 1 to 100"},
        {"upstream 127.0.0.1:1; connections 0;", "", "\"connections\" must be"},
        {"upstream 127.0.0.1:1;", "idempotent perhaps;", "\"perhaps\""},
        {"upstream 127.0.0.1:1;", "too x;", "did you mean \"to\"?"},
        {"upstream 127.0.0.1:1;", "to \"a\\nb\";", "`to` is no name of a method"},
        {"upstream 127.0.0.1:1;", "to \"\xff\";", "`to` is no name of a method"},
        {"upstream 127.0.0.1:1;", "pass token \"a\\tb\";", "`pass` has a name that holds"},
        {"upstream 127.0.0.1:1;", "pass token in;", "\"in\" cannot be passed"},
        {"upstream 127.0.0.1:1;", "pass params;", "\"params\" cannot be passed"},
        {"upstream 127.0.0.1:1;", "pass id;", "\"id\" cannot be passed"},
        {"upstream 127.0.0.1:1;", "pass out;", "\"out\" cannot be passed"},
    };
    struct server *server = in_front("upstream 127.0.0.1:1;");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, keep_printf("load_module modules/proxy.so { %s }", cases[i].settings),
                    keep_printf("method m { handler proxy.forward; %s }", cases[i].method));
        server_reload_refused(server, cases[i].message);
    }
}
END_TEST

E2E_MAIN("proxy", requests_and_replies_pass_through,
         replies_without_ids_keep_the_order_of_the_requests, large_bodies_pass_both_ways,
         the_least_busy_is_asked, without_a_server_there_is_an_error_at_once,
         a_server_that_dies_costs_only_its_own_requests, a_server_that_hangs_is_left_out,
         a_request_to_a_server_has_a_limited_time, deadlines_are_handed_on,
         a_deadline_has_no_time_in_it_that_connecting_has_taken, reloads_of_both_lose_nothing,
         limits_are_kept, slow_requests_hold_nobody_up, extra_connections_end_with_their_server,
         many_slow_requests_hold_nobody_up, unix_sockets_and_groups_of_their_own_work,
         the_teaching_server_can_stand_behind, a_request_that_no_server_has_seen_goes_to_another,
         peers_that_break_the_protocol_are_cut_off, errors_pass_byte_for_byte,
         one_complaint_about_a_server_hides_no_other,
         a_parse_error_goes_to_the_client_that_sent_the_body,
         an_error_without_an_id_is_given_to_nobody_else,
         a_request_that_the_only_server_may_have_seen_is_not_called_unseen,
         overloaded_goes_elsewhere_or_back_to_the_client,
#ifndef __SANITIZE_ADDRESS__
         a_request_that_cannot_be_deferred_is_not_sent,
#endif
         wrong_configurations_are_refused)
