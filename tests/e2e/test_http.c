/* Clients of HTTP: by hand, byte for byte; and curl. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOST  "Host: localhost\r\n"
#define CLOSE HOST "Connection: close\r\n"

static const char *ask(const struct server *server, const char *request)
{
    return client_round(server->port, request);
}

/* The response has this status line, and this body. */
static void expect_response(const char *response, const char *status, const char *body)
{
    const char *end = strstr(response, "\r\n\r\n");

    ck_assert_msg(strncmp(response, "HTTP/1.1 ", 9) == 0 &&
                      strncmp(response + 9, status, strlen(status)) == 0,
                  "not %s: %s", status, response);
    ck_assert_ptr_nonnull(end);
    if (body != NULL)
        expect_text(end + 4, body);
    if (body != NULL && strncmp(status, "204", 3) != 0)
        expect_part(response, keep_printf("Content-Length: %zu\r\n", strlen(body)));
    expect_part(response, "\r\nDate: ");
}

static const char *post(const char *path, const char *fields, const char *body)
{
    return keep_printf("POST %s HTTP/1.1\r\n" CLOSE "%sContent-Length: %zu\r\n\r\n%s", path, fields,
                       strlen(body), body);
}

/* Where the method has a table, that tells. */
START_TEST(values_of_a_query_are_of_the_types_of_the_table)
{
    struct server *server = server_serve("load_module modules/typed.so;", "method say;");

    expect_response(ask(server, "GET /say?text=5&times=7 HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK",
                    "{\"5\":7}");
    expect_response(ask(server, "GET /say?times=7&text=true HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK",
                    "{\"true\":7}");
    const char *response = ask(server, "GET /say?times=x&text=true HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "400 Bad Request", NULL);
    expect_part(response, "\"message\":\"params.times: a whole number, got a string\"");
}
END_TEST

START_TEST(values_of_a_query_are_of_the_types_of_the_schema)
{
    struct server *server = server_serve("load_module modules/schemas.so;",
                                         "method order; method off { handler schemas.order; "
                                         "validate off; }");

    expect_response(ask(server, "GET /order?sku=null&pieces=7 HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK",
                    "{\"sku\":\"null\",\"pieces\":7}");
    const char *response = ask(server, "GET /order?sku=tea&pieces=x HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "400 Bad Request", NULL);
    expect_part(response, "\"message\":\"params.pieces: a whole number from 1 to 99, got a string");
    expect_response(ask(server, "GET /off?sku=null HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK",
                    "{\"sku\":null}");
}
END_TEST

START_TEST(messages_in_either_format_are_posted_to_the_root)
{
    struct server *server = server_serve("", "method ping;");

    expect_response(ask(server, post("/", "", "{\"in\":\"ping\",\"id\":1}")), "200 OK",
                    "{\"out\":\"pong\",\"result\":null,\"id\":1}");
    expect_response(
        ask(server, post("/", "", "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1}")), "200 OK",
        "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":1}");
    /* an error of JSON-RPC is no error of HTTP's; one in the other format is */
    const char *response =
        ask(server, post("/", "", "{\"jsonrpc\":\"2.0\",\"method\":\"none\",\"id\":1}"));
    expect_response(response, "200 OK", NULL);
    expect_part(response, "\"code\":-32601");
    response = ask(server, post("/", "", "{\"in\":\"none\"}"));
    expect_response(response, "404 Not Found", NULL);
    expect_part(response, "{\"out\":\"error\",\"result\":{\"code\":\"method_not_found\"");
    expect_response(ask(server, post("/", "", "{\"in\":")), "400 Bad Request", NULL);
    /* a notification */
    response = ask(server, post("/", "", "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}"));
    expect_response(response, "204 No Content", "");
}
END_TEST

START_TEST(a_path_is_a_method_and_the_body_its_params)
{
    struct server *server = server_serve("", "method ping; method rpc.health;");

    expect_response(ask(server, post("/ping", "", "[1, 2]")), "200 OK", "[1, 2]");
    expect_response(ask(server, post("/ping", "", "")), "200 OK", "null");
    expect_response(ask(server, post("/p%69ng", "", "1e400")), "200 OK", "1e400");
    expect_response(ask(server, "POST /ping HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK", "null");
    const char *response = ask(server, post("/none", "", "1"));
    expect_response(response, "404 Not Found", NULL);
    expect_part(response, "\r\n\r\n{\"code\":\"method_not_found\",\"message\":");
    expect_response(ask(server, post("/ping", "", "{]")), "400 Bad Request", NULL);
    expect_response(ask(server, post("/p%00", "", "1")), "404 Not Found", NULL);
}
END_TEST

START_TEST(methods_that_only_read_are_called_by_get)
{
    struct server *server = server_serve("", "method ping; method rpc.describe;");
    const char *response = ask(server, "GET /rpc.describe?method=p%69ng HTTP/1.1\r\n" CLOSE "\r\n");

    expect_response(response, "200 OK", NULL);
    expect_part(response, "\"name\":\"ping\"");
    response = ask(server, "HEAD /rpc.describe?method=ping HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "200 OK", NULL);
    ck_assert_str_eq(strstr(response, "\r\n\r\n"), "\r\n\r\n");
    response = ask(server, "GET /ping HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "405 Method Not Allowed", NULL);
    expect_part(response, "\r\nAllow: POST, OPTIONS\r\n");
    expect_response(ask(server, "GET /none HTTP/1.1\r\n" CLOSE "\r\n"), "404 Not Found", NULL);
    expect_response(ask(server, "GET /rpc.describe?method=a&method=b HTTP/1.1\r\n" CLOSE "\r\n"),
                    "400 Bad Request", NULL);
    expect_response(ask(server, "GET /rpc.describe?method=%2 HTTP/1.1\r\n" CLOSE "\r\n"),
                    "400 Bad Request", NULL);
}
END_TEST

START_TEST(tools_for_json_rpc_discover_the_methods)
{
    struct server *server =
        server_serve("load_module modules/hello.so;", "method ping; method greet; "
                                                      "method rpc.discover;");
    const char *response = ask(server, "GET /rpc.discover HTTP/1.1\r\n" CLOSE "\r\n");

    expect_response(response, "200 OK", NULL);
    cJSON *document = cJSON_Parse(strstr(response, "\r\n\r\n") + 4);
    ck_assert_ptr_nonnull(document);
    char *text = cJSON_PrintUnformatted(document);
    expect_part(text, "{\"openrpc\":\"1.2.6\",\"info\":{\"title\":\"Pillion\",\"version\":");
    expect_part(text, "\"servers\":[{\"name\":\"here\",\"url\":\"http://localhost/\"}]");
    expect_part(text, "{\"name\":\"ping\",\"summary\":");
    expect_part(text, "\"params\":[{\"name\":\"name\",\"required\":true,"
                      "\"schema\":{\"type\":\"string\",");
    expect_part(text, "{\"name\":\"language\",");
    cJSON_free(text);
    cJSON_Delete(document);
    int client = client_connect(server);
    ck_assert_ptr_null(strstr(client_call(client, "rpc.discover", "null"), "\"servers\":["));
}
END_TEST

START_TEST(probes_are_answered_without_a_method)
{
    struct server *server = server_serve("", "");

    expect_response(ask(server, "GET /healthz HTTP/1.0\r\n\r\n"), "200 OK", "{\"status\":\"ok\"}");
    expect_response(ask(server, "GET /readyz HTTP/1.1\r\n" CLOSE "\r\n"), "200 OK",
                    "{\"status\":\"ready\"}");
    const char *response = ask(server, "DELETE /readyz HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "405 Method Not Allowed", NULL);
    expect_part(response, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    response = ask(server, "OPTIONS * HTTP/1.1\r\n" CLOSE "\r\n");
    expect_response(response, "204 No Content", "");
    expect_part(response, "\r\nAllow: GET, HEAD, POST, OPTIONS\r\n");
}
END_TEST

START_TEST(a_connection_goes_on_until_one_side_ends_it)
{
    struct server *server = server_serve("", "method ping;");
    const char *requests = "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
                           "POST /ping HTTP/1.1\r\n" HOST
                           "Transfer-Encoding: chunked\r\n\r\n1\r\n2\r\n1;x=y\r\n3\r\n0\r\n\r\n"
                           "POST /ping HTTP/1.0\r\nConnection: keep-alive\r\n"
                           "Content-Length: 1\r\n\r\n4"
                           "POST /ping HTTP/1.0\r\nContent-Length: 1\r\n\r\n5"
                           "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n6";

    for (size_t piece = 1; piece <= 256; piece *= 2) {
        int client = client_connect(server);
        size_t size = strlen(requests);
        for (size_t at = 0; at < size; at += piece) {
            if (!client_try_send(client, requests + at, size - at < piece ? size - at : piece))
                break; /* it has ended by 5 */
        }
        const char *response = client_receive_rest(client);
        for (unsigned i = 0; i < 4; i++) {
            static const char *const bodies[] = {"1", "23", "4", "5"};
            const char *end = strstr(response, "\r\n\r\n");
            ck_assert_ptr_nonnull(end);
            ck_assert_int_eq(strncmp(response, "HTTP/1.1 200 OK\r\n", 17), 0);
            ck_assert_int_eq(strncmp(end + 4, bodies[i], strlen(bodies[i])), 0);
            response = end + 4 + strlen(bodies[i]);
        }
        ck_assert_str_eq(response, "");
        close(client);
    }
}
END_TEST

START_TEST(a_client_that_waits_for_a_word_gets_it_once)
{
    struct server *server = server_serve_alone("", "method ping;");
    int client = client_connect(server);
    const char *head =
        "POST /ping HTTP/1.1\r\n" CLOSE "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    const char *word = "HTTP/1.1 100 Continue\r\n\r\n";

    client_exchange(client, head, strlen(head), 0, word, strlen(word));
    server_reload(server);
    client_send(client, "[1", 2);
    server_reload(server);
    client_send(client, "1]", 2);
    expect_response(client_receive_rest(client), "200 OK", "[11]");
}
END_TEST

/* Requests that two servers in a row might read in two ways, and others that are wrong. */
static const struct {
    const char *request, *status;
} refused[] = {
    {"GET / HTTP/1.1\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", "505"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
    {"GET /\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n1", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n1", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\n" HOST "\n", "400"},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n1", "417"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999\r\n\r\n", "413"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", "413"},
};

START_TEST(ambiguous_requests_are_refused_and_end_the_connection)
{
    struct server *server = server_serve("", "method ping; max_head 1k;");
    char large[2048];

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        const char *response = ask(server, refused[i].request);
        expect_response(response, refused[i].status, NULL);
        expect_part(response, "\r\nConnection: close\r\n");
    }
    memset(large, 'a', sizeof(large));
    memcpy(large, "GET /", 5);
    large[sizeof(large) - 1] = '\0';
    expect_response(ask(server, large), "414", NULL);
    memcpy(large, "GET / HTTP/1.1\r\nX: ", 19);
    expect_response(ask(server, large), "431", NULL);
    expect_response(ask(server, "POST / HTTP/1.1\r\n" CLOSE "\r\n"), "411 Length Required", NULL);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(pages_of_other_people_call_nothing)
{
    struct server *server =
        server_serve("", "method ping; allow_origin https://app.example; allow_host shop.example;");
    const char *response;

    response = ask(server, post("/ping", "Origin: http://evil.example\r\n", "1"));
    expect_response(response, "403 Forbidden", NULL);
    ck_assert_ptr_null(strstr(response, "Access-Control"));
    response = ask(server, post("/ping", "Origin: https://app.example\r\n", "1"));
    expect_response(response, "415 Unsupported Media Type", NULL);
    response = ask(server, post("/ping",
                                "Origin: https://app.example\r\n"
                                "Content-Type: application/json; charset=utf-8\r\n",
                                "1"));
    expect_response(response, "200 OK", "1");
    expect_part(response, "\r\nAccess-Control-Allow-Origin: https://app.example\r\n");
    expect_part(response, "\r\nVary: Origin\r\n");
    expect_response(
        ask(server, post("/ping", "Origin: http://localhost\r\nContent-Type: a/b+json\r\n", "1")),
        "200 OK", "1");
    /* a request of HTTP/1.0 need not say for which host it is: then no page is this server's own */
    expect_response(ask(server, "GET /healthz HTTP/1.0\r\nOrigin: http://\r\n\r\n"),
                    "403 Forbidden", NULL);
    expect_response(ask(server, "POST /ping HTTP/1.1\r\nHost: evil.example:80\r\n"
                                "Connection: close\r\n\r\n"),
                    "421 Misdirected Request", NULL);
    expect_response(ask(server, "POST /ping HTTP/1.1\r\nHost: shop.example:80\r\n"
                                "Connection: close\r\n\r\n"),
                    "200 OK", "null");
    response = ask(server, "OPTIONS /ping HTTP/1.1\r\n" CLOSE "Origin: https://app.example\r\n"
                           "Access-Control-Request-Method: POST\r\n\r\n");
    expect_response(response, "204 No Content", "");
    expect_part(response, "\r\nAccess-Control-Allow-Headers: Authorization, *\r\n");
}
END_TEST

/* Browsers name no origin for pictures and scripts, but say whose page shows them. */
START_TEST(pages_of_other_people_show_nothing_that_methods_answer)
{
    static const struct {
        const char *fields, *status;
    } rows[] = {
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n", "403 Forbidden"},
        {"Sec-Fetch-Site: same-site\r\nSec-Fetch-Dest: script\r\n", "403 Forbidden"},
        {"Sec-Fetch-Site: cross-site\r\n", "403 Forbidden"},
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: document\r\n", "200 OK"},
        {"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: empty\r\n", "200 OK"},
        {"Sec-Fetch-Site: none\r\nSec-Fetch-Dest: document\r\n", "200 OK"},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n", "200 OK"},
    };
    struct server *server = server_serve("", "method rpc.list; allow_origin https://app.example;");

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_response(
            ask(server, keep_printf("GET /rpc.list HTTP/1.1\r\n" CLOSE "%s\r\n", rows[i].fields)),
            rows[i].status, NULL);
}
END_TEST

START_TEST(a_token_may_come_as_authorization)
{
    struct server *server = server_serve("load_module modules/auth.so;",
                                         "method ping { filter auth { token s3cret; } }");
    const char *response = ask(server, post("/ping", "", "1"));

    expect_response(response, "401 Unauthorized", NULL);
    expect_part(response, "\r\nWWW-Authenticate: Bearer\r\n");
    expect_response(ask(server, post("/ping", "Authorization: Bearer s3cret\r\n", "1")), "200 OK",
                    "1");
    expect_response(ask(server, post("/ping", "Authorization: Bearer wrong\r\n", "1")), "401",
                    NULL);
    expect_response(ask(server, post("/", "authorization: bearer s3cret\r\n", "{\"in\":\"ping\"}")),
                    "200 OK", NULL);
}
END_TEST

/* Deferred requests on one connection: their responses come in the order of the requests, also when
 * the worker dies in between. */
START_TEST(responses_keep_their_order)
{
    struct server *server =
        server_serve_alone("load_module modules/later.so;", "method ping; method wait;");
    int client = client_connect(server);
    const char *requests = "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n50"
                           "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
                           "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n10"
                           "POST /ping HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\n2";

    client_send(client, requests, strlen(requests));
    const char *response = client_receive_rest(client);
    const char *first = strstr(response, "\r\n\r\n"), *second, *third, *fourth;
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second = strstr(first + 4, "\r\n\r\n"));
    ck_assert_ptr_nonnull(third = strstr(second + 4, "\r\n\r\n"));
    ck_assert_ptr_nonnull(fourth = strstr(third + 4, "\r\n\r\n"));
    ck_assert_int_eq(second[4], '1');
    ck_assert_str_eq(fourth + 4, "2");
}
END_TEST

START_TEST(a_crash_is_answered_in_http)
{
    struct server *server =
        server_serve_alone("load_module modules/crash.so;", "method ping; method abort;");
    int client = client_connect(server);
    const char *requests = "POST /abort HTTP/1.1\r\n" HOST "\r\n"
                           "POST /ping HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\n1";

    server->reports_allowed = true;
    client_send(client, requests, strlen(requests));
    const char *response = client_receive_rest(client);
    expect_part(response, "HTTP/1.1 500 Internal Server Error\r\n");
    expect_part(response, "{\"code\":\"module_crashed\",\"message\":");
    expect_part(response, "HTTP/1.1 200 OK\r\n");
}
END_TEST

/* Requests that are under way when the server is told to end: their responses say that they are
 * their connections' last ones, and a probe behind one of them fails. */
START_TEST(a_server_that_drains_says_so)
{
    struct server *server = server_serve_alone("load_module modules/later.so;",
                                               "method hold; method let_go; method ping;");
    int one = client_connect(server), two = client_connect(server), other = client_connect(server),
        idle = client_connect(server);
    const char *hold = "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n{\"key\":%d}";
    const char *request = keep_printf(hold, 1);

    client_send(one, request, strlen(request));
    request = keep_printf(hold, 2);
    client_send(two, request, strlen(request));
    client_send_frame(other, "{\"in\":\"hold\",\"params\":{\"key\":3},\"id\":3}");
    wait_until(server_stat(server, "connections.deferred") >= 3, "the requests do not arrive");
    server_signal(server, SIGQUIT);
    client_expect_end(idle);
    client_send(two, "GET /readyz HTTP/1.1\r\n" HOST "\r\n", 22 + sizeof(HOST) - 1 + 2);
    for (int key = 1; key <= 2; key++) {
        client_send_frame(other,
                          keep_printf("{\"in\":\"let_go\",\"params\":{\"key\":%d},\"id\":0}", key));
        client_expect(other, "{\"out\":\"let_go\",\"result\":true,\"id\":0}");
    }
    const char *response = client_receive_rest(one);
    expect_response(response, "200 OK", "{\"key\":1}");
    expect_part(response, "\r\nConnection: close\r\n");
    response = client_receive_rest(two);
    expect_response(response, "200 OK", NULL);
    const char *probe = strstr(response + 1, "HTTP/1.1 503 Service Unavailable\r\n");
    ck_assert_msg(probe != NULL, "%s", response);
    ck_assert(strstr(response, "Connection: close") > probe);
    expect_response(probe, "503", "{\"status\":\"draining\"}");
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":3},\"id\":0}");
    client_receive_rest(other);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

E2E_MAIN("http", messages_in_either_format_are_posted_to_the_root,
         a_path_is_a_method_and_the_body_its_params, methods_that_only_read_are_called_by_get,
         values_of_a_query_are_of_the_types_of_the_schema,
         values_of_a_query_are_of_the_types_of_the_table, tools_for_json_rpc_discover_the_methods,
         probes_are_answered_without_a_method, a_connection_goes_on_until_one_side_ends_it,
         a_client_that_waits_for_a_word_gets_it_once,
         ambiguous_requests_are_refused_and_end_the_connection, pages_of_other_people_call_nothing,
         pages_of_other_people_show_nothing_that_methods_answer, a_token_may_come_as_authorization,
         responses_keep_their_order, a_crash_is_answered_in_http, a_server_that_drains_says_so)
