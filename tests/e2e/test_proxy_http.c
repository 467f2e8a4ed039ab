/* The module proxy_http before a Pillion that is asked over HTTP, through crashes and reloads of
 * both; over TLS; and its configuration. */
#include "certificates.h"
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEHIND                                                                               \
    "method ping; method wait; method retry; method hold; method hold_again; method let_go;" \
    "method greet; method time_left; method crash_now;"                                      \
    "method guarded { handler ping.ping; filter auth { token secret; } }"

#define FORWARDED                                                                                  \
    "method ping; method there { handler proxy_http.forward; to ping; } proxy_http_method greet; " \
    "proxy_http_method time_left;"                                                                 \
    "proxy_http_method wait; proxy_http_method hold; proxy_http_method hold_again;"                \
    "proxy_http_method crash_now; proxy_http_method missing;"                                      \
    "proxy_http_method guarded; method keyed { handler proxy_http.forward; to guarded;"            \
    "    header \"Authorization: Bearer secret\"; }"                                               \
    "method again { handler proxy_http.forward; to hold_again; idempotent on; }"

static struct server *behind(void)
{
    struct server *server =
        server_serve_alone("load_module modules/later.so; load_module modules/hello.so;"
                           "load_module modules/auth.so;",
                           BEHIND);

    server->reports_allowed = true; /* "crash_now" ends its worker */
    return server;
}

static struct server *in_front(const char *settings)
{
    return server_serve_alone(keep_printf("load_module modules/proxy_http.so { %s }", settings),
                              FORWARDED);
}

static const char *at(const struct server *server)
{
    return keep_printf("http://127.0.0.1:%d", server->port);
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "proxy_http", name);
}

/* Lets go of what the server behind holds, or is about to. */
static void let_go(const struct server *server, int key)
{
    char *request = keep_printf("{\"in\":\"let_go\",\"params\":{\"key\":%d}}", key);
    int client = client_connect(server);

    wait_until(strstr(client_ask(client, request), "true") != NULL, "%d is never held", key);
    close(client);
}

START_TEST(a_pillion_can_stand_behind)
{
    static const struct {
        const char *request, *reply;
    } calls[] = {
        {"{\"in\":\"there\",\"params\":[1e400, 9007199254740993,\"\\u00e9\\ud800\"]}",
         "{\"out\":\"result\",\"result\":[1e400, 9007199254740993,\"\\u00e9\\ud800\"]}"},
        {"{\"in\":\"there\",\"id\":\"x\"}", "{\"out\":\"result\",\"result\":null,\"id\":\"x\"}"},
        {"{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}",
         "{\"out\":\"result\",\"result\":\"Hello, Ada!\"}"},
        {"{\"in\":\"keyed\",\"params\":[2]}", "{\"out\":\"result\",\"result\":[2]}"},
        {"{\"in\":\"wait\",\"params\":{\"ms\":5}}", "{\"out\":\"result\",\"result\":{\"ms\":5}}"},
        /* In JSON-RPC, by position too. */
        {"{\"jsonrpc\":\"2.0\",\"method\":\"there\",\"params\":[1,2],\"id\":null}",
         "{\"jsonrpc\":\"2.0\",\"result\":[1,2],\"id\":null}"},
    };
    struct server *back = behind(), *front = in_front(keep_printf("upstream %s;", at(back)));
    int client = client_connect(front);

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        client_send_frame(client, calls[i].request);
        client_expect(client, calls[i].reply);
    }
    client_send_frame(client, "{\"in\":\"guarded\"}");
    client_expect_error(client, "unauthorized");
    client_send_frame(client, "{\"in\":\"missing\"}");
    client_expect_error(client, "method_not_found");
    client_send_frame(client, "{\"in\":\"greet\",\"params\":[5]}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"crash_now\"}");
    client_expect_error(client, "module_crashed");
    client_send_frame(client, "{\"in\":\"time_left\",\"deadline\":500000}");
    const cJSON *left = cJSON_GetObjectItem(client_receive_json(client), "result");
    ck_assert_double_gt(cJSON_GetNumberValue(left), 400000);
    ck_assert_double_lt(cJSON_GetNumberValue(left), 500000);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":200}");
    client_expect_error(client, "deadline_exceeded");
    wait_until(server_calls(back, "wait", "errors") == 1, "the server behind has waited on");
    client_expect_alive(client);
    ck_assert_double_eq(metric(front, "retried"), 0);
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

START_TEST(large_bodies_pass_both_ways)
{
    struct server *back = behind(), *front = in_front(keep_printf("upstream %s;", at(back)));
    struct buffer request = {0}, reply = {0};
    char *text = memset(calloc(1, 1000001), 'x', 1000000);
    int client = client_connect(front);

    for (int i = 0; i < 20; i++) {
        buffer_add_frame(&request, "{\"in\":\"there\",\"params\":[\"%s\"]}", text);
        buffer_add_frame(&reply, "{\"out\":\"result\",\"result\":[\"%s\"]}", text);
    }
    client_exchange(client, request.data, request.size, 0, reply.data, reply.size);
    free(request.data);
    free(reply.data);
    free(text);
}
END_TEST

START_TEST(reloads_of_both_lose_nothing)
{
    struct server *back = behind(), *front = in_front(keep_printf("upstream %s;", at(back)));
    int client = client_connect(front);

    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 5; i++)
            client_send_frame(
                client,
                keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":%d},\"id\":%d}", 100 * i, i));
        struct run run = server_ask(round % 2 == 1 ? back : front, "reload");
        expect_status(&run, 0);
        char *replies = "";
        for (int i = 0; i < 5; i++)
            replies = keep_printf("%s%s", replies, client_receive(client, NULL));
        for (int i = 0; i < 5; i++)
            expect_part(
                replies,
                keep_printf("{\"out\":\"result\",\"result\":{\"ms\":%d},\"id\":%d}", 100 * i, i));
    }
    ck_assert_double_eq(metric(front, "failed"), 0);
}
END_TEST

/* Its clients keep their connections; what may be run twice is, and the rest is told. */
START_TEST(a_worker_that_dies_costs_no_connection)
{
    struct server *back = behind(),
                  *front = in_front(keep_printf("upstream %s;timeout 1m;", at(back)));
    int client = client_connect(front);
    pid_t worker;

    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"again\",\"params\":{\"key\":2},\"id\":2}");
    wait_until(server_stat(back, "connections.deferred") == 2, "they are not held");
    ck_assert_uint_eq(server_workers(front, &worker, 1), 1);
    kill(worker, SIGKILL);
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "module_crashed");
    expect_part(reply, "\"id\":1");
    wait_until(server_stat(back, "connections.deferred") == 3, "it is not asked again");
    let_go(back, 2);
    client_expect(client, "{\"out\":\"result\",\"result\":{\"key\":2},\"id\":2}");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_server_that_dies_is_asked_again_when_it_is_back)
{
    struct server *back = behind(),
                  *front = in_front(keep_printf("upstream %s;timeout 1m;", at(back)));
    int client = client_connect(front);

    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1}}");
    wait_until(server_stat(back, "connections.deferred") == 1, "it is not held");
    server_kill_all(back, SIGKILL);
    server_wait_exit(back, PATIENCE_MS);
    expect_part(client_expect_error(client, "upstream_unavailable"),
                "it may have carried the request out or not");
    /* The master has ended; the last of its children may still have the port. */
    int late = -1;
    wait_until((late = client_try_connect(back->port)) < 0 || close(late) != 0,
               "the dead server's port is open");
    client_send_frame(client, "{\"in\":\"there\"}");
    expect_part(client_expect_error(client, "upstream_unavailable"),
                "no server behind \"there\" can be asked: Connection refused");
    server_wait_log(front, keep_printf("%s: Connection refused; it is tried again", at(back)));
    server_start_alone(back);
    wait_until(strstr(client_ask(client, "{\"in\":\"there\"}"), "\"result\":null") != NULL,
               "the server behind does not come");
    server_wait_log(front, "is there again");
}
END_TEST

/* libcurl looks them up beside the worker. */
START_TEST(names_are_looked_up)
{
    struct server *back = behind();
    struct server *front = in_front(keep_printf("upstream http://localhost:%d/;", back->port));
    int client = client_connect(front);

    client_send_frame(client, "{\"in\":\"there\",\"params\":[1]}");
    client_expect(client, "{\"out\":\"result\",\"result\":[1]}");
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* its library has to come before the one that is preloaded */

/* How many threads a process has. */
static int threads_of(pid_t pid)
{
    const char *text = file_read(keep_printf("/proc/%d/status", (int)pid), NULL);
    const char *count = strstr(text, "\nThreads:");

    ck_assert_ptr_nonnull(count);
    return atoi(count + 9);
}

/* Clients that do not wait make no more threads than there may be connections. */
START_TEST(a_silent_name_server_holds_nobody_up)
{
    struct server *back = behind(), *front = server_new();
    pid_t worker;

    server_write(front, "names", "silent.test hangs\n");
    setenv("PILLION_NAMES", server_path(front, "names"), 1);
    setenv("LD_PRELOAD", keep_printf("%s/tests/e2e/names.so", getenv("PILLION_BUILD")), 1);
    server_conf(front,
                "load_module modules/proxy_http.so { connections 3; timeout 1m; max_pending 100; }"
                "sandbox_read names;",
                keep_printf("method ping; proxy_http_method lost http://silent.test/;"
                            "method there { handler proxy_http.forward; to ping; upstream %s; }",
                            at(back)));
    server_start_alone(front);
    unsetenv("LD_PRELOAD");
    int client = client_connect(front);
    client_send_frame(client, "{\"in\":\"there\"}");
    client_expect(client, "{\"out\":\"result\",\"result\":null}");
    ck_assert_uint_eq(server_workers(front, &worker, 1), 1);
    int threads = threads_of(worker);
    for (int i = 0; i < 20; i++) {
        client_send_frame(client, "{\"in\":\"lost\",\"deadline\":20}");
        client_expect_error(client, "deadline_exceeded");
        client_expect_alive(client);
    }
    ck_assert_int_le(threads_of(worker), threads + 3);
    client_send_frame(client, "{\"in\":\"there\"}");
    client_expect(client, "{\"out\":\"result\",\"result\":null}");
    server_reload(front);
    wait_until(!process_lives(worker), "the worker waits for its threads");
    client_expect_alive(client);
}
END_TEST

#endif

/* ---- TLS ---- */

/* Answers each request with {"result": "tls"} and its id. */
static const char tls_server[] =
    "import http.server, json, ssl, sys\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def do_POST(self):\n"
    "        call = json.loads(self.rfile.read(int(self.headers['Content-Length'])))\n"
    "        reply = json.dumps({'jsonrpc': '2.0', 'result': 'tls', 'id': call['id']}).encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(reply)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(reply)\n"
    "    def log_message(self, *_):\n"
    "        pass\n"
    "server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)\n"
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
    "context.load_cert_chain(sys.argv[2], sys.argv[3])\n"
    "server.socket = context.wrap_socket(server.socket, server_side=True)\n"
    "server.serve_forever()\n";

static pid_t tls_start(const struct server *place)
{
    pid_t pid = daemon_start((const char *const[]){"python3", "-c", tls_server,
                                                   keep_printf("%d", place->port),
                                                   server_path(place, "tls/localhost.pem"),
                                                   server_path(place, "tls/localhost.key"), NULL},
                             NULL);
    int client = -1;
    wait_until((client = client_try_connect(place->port)) >= 0, "nobody listens");
    close(client);
    return pid;
}

START_TEST(certificates_are_verified)
{
    struct server *place = server_new(), *front = server_new();

    tls_make(place, "localhost", "DNS:localhost", NULL);
    chmod(place->prefix, 0755); /* workers, as nobody, read it */
    pid_t pid = tls_start(place);
    const char *ca = server_path(place, "tls/localhost.pem");
    const char *const cases[][2] = {
        /* settings, and the result or the error's words */
        {keep_printf("upstream https://localhost:%d/;", place->port), "can be asked: "},
        {keep_printf("upstream https://localhost:%d/; ca %s;", place->port, ca), "\"tls\""},
        {keep_printf("upstream https://127.0.0.1:%d/; ca %s;", place->port, ca), "can be asked: "},
        {keep_printf("upstream https://127.0.0.1:%d/; verify off;", place->port), "\"tls\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(front, keep_printf("load_module modules/proxy_http.so { %s }", cases[i][0]),
                    FORWARDED);
        if (i == 0)
            server_start_alone(front);
        else
            server_reload(front);
        int client = client_connect(front);
        for (int call = 0; call < 2; call++) {
            const char *reply = client_ask(client, "{\"in\":\"there\"}");
            expect_part(reply, cases[i][1]);
            if (i % 2 == 0)
                expect_part(reply, "SSL peer certificate");
        }
        if (i % 2 == 1)
            ck_assert_double_eq(metric(front, "connected"), 1);
        close(client);
    }
    expect_part(server_log(front), "SSL certificate problem: self");
    expect_part(server_log(front), "no alternative certificate subject name matches");
    daemon_end(pid);
}
END_TEST

/* ---- The configuration ---- */

#define GOOD "upstream http://127.0.0.1:1;"

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *settings, *method, *message;
    } cases[] = {
        {"upstream 127.0.0.1:8080;", "", "\"127.0.0.1:8080\" is no URL of a server"},
        {"upstream ftp://127.0.0.1/;", "", "is no URL of a server"},
        {"upstream file:///etc/passwd;", "", "is no URL of a server"},
        {"upstream \"http://a b/\";", "", "is no URL of a server"},
        {"upstream http://127.0.0.1:99999/;", "", "is no URL of a server"},
        {"upstream http://me:x@127.0.0.1/;", "", "has a user or a password"},
        {"upstream \"http://127.0.0.1/#a\";", "", "has a fragment"},
        {"upstream http://127.0.0.1 http://127.0.0.1;", "", "appears twice"},
        {"", "", "it has no `upstream`, and load_module gives none"},
        {"", "upstream unix:/x;", "\"unix:/x\" is no URL of a server"},
        {GOOD "connections 0;", "", "\"connections\" must be"},
        {GOOD "header X;", "", "`header` takes \"Name: value\""},
        {GOOD "header \"X: a\\nY: b\";", "", "`header` takes \"Name: value\""},
        {GOOD "header \"X Y: a\";", "", "`header` takes \"Name: value\""},
        {GOOD "header \"X: \";", "", "`header` takes \"Name: value\""},
        {GOOD "header \"content-length: 5\";", "", "cannot give \"content-length\""},
        {GOOD, "header \"Transfer-Encoding: chunked\";", "cannot give \"Transfer-Encoding\""},
        {GOOD, "pass_header Authorization;", "takes names in lower case"},
        {GOOD, "pass_header \"a b\";", "takes names in lower case"},
        {GOOD, "pass_header content-length;", "cannot hand \"content-length\" on"},
        {GOOD, "pass_header host;", "cannot hand \"host\" on"},
        {GOOD "ca /nowhere/ca.pem;", "", "cannot read /nowhere/ca.pem: No such file"},
        {GOOD, "to \"a\\nb\";", "`to` is no name of a method"},
        {GOOD, "too x;", "did you mean \"to\"?"},
    };
    struct server *server = in_front(GOOD);

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server,
                    keep_printf("load_module modules/proxy_http.so { %s }", cases[i].settings),
                    keep_printf("method m { handler proxy_http.forward; %s }", cases[i].method));
        server_reload_refused(server, cases[i].message);
    }
}
END_TEST

/* Both services have too much to do, and say so. What is sent again adds to it. */
START_TEST(an_outage_does_not_multiply_the_load)
{
    struct server *services[2], *front = server_new();

    for (int i = 0; i < 2; i++)
        services[i] = server_serve_with("worker_processes 1;", "load_module modules/refuses.so;",
                                        "method shop { handler refuses.overloaded; }");
    server_conf(front,
                keep_printf("load_module modules/proxy_http.so { upstream %s %s; retries 1;"
                            "retry_budget 10%%; retry_floor 1; }",
                            at(services[0]), at(services[1])),
                "method ping; method shop { handler proxy_http.forward; idempotent on; }");
    server_start_alone(front);
    int client = client_connect(front);
    for (int i = 0; i < 500; i++)
        expect_part(client_ask(client, "{\"in\":\"shop\"}"), "overloaded");
    double calls =
        server_calls(services[0], "shop", "calls") + server_calls(services[1], "shop", "calls");
    ck_assert_msg(calls >= 550 && calls <= 570, "%.0f", calls); /* 10 %, and ten of the floor */
    ck_assert_double_eq(metric(front, "unretried"), 1000 - calls);
}
END_TEST

/* Drawn by chance while neither is busy; and never the busy one of two. */
START_TEST(of_two_the_less_busy_is_asked)
{
    struct server *a = behind(), *b = behind();
    struct server *front = in_front(keep_printf("upstream %s %s; timeout 1m;", at(a), at(b)));
    int client = client_connect(front);

    for (int i = 0; i < 100; i++)
        client_ask(client, "{\"in\":\"there\"}");
    double calls = server_calls(a, "ping", "calls");
    ck_assert_msg(calls > 20 && calls < 80, "%.0f of 100", calls);
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    wait_until(server_stat(a, "connections.deferred") + server_stat(b, "connections.deferred") == 1,
               "nothing waits");
    struct server *busy = server_stat(a, "connections.deferred") == 1 ? a : b;
    calls = server_calls(busy, "ping", "calls");
    for (int i = 0; i < 20; i++) {
        client_send_frame(client, "{\"in\":\"there\",\"id\":2}");
        client_expect(client, "{\"out\":\"result\",\"result\":null,\"id\":2}");
    }
    ck_assert_double_eq(server_calls(busy, "ping", "calls"), calls);
}
END_TEST

E2E_MAIN("proxy_http", a_pillion_can_stand_behind, large_bodies_pass_both_ways,
         reloads_of_both_lose_nothing, a_worker_that_dies_costs_no_connection,
         a_server_that_dies_is_asked_again_when_it_is_back, names_are_looked_up,
#ifndef __SANITIZE_ADDRESS__
         a_silent_name_server_holds_nobody_up,
#endif

         an_outage_does_not_multiply_the_load, of_two_the_less_busy_is_asked,
         certificates_are_verified, wrong_configurations_are_refused)
