/* Agents' clients, which speak MCP: byte for byte, in both eras. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOST  "Host: localhost\r\n"
#define CLOSE HOST "Connection: close\r\n"

#define META                                                                 \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define VERSION     "MCP-Protocol-Version: 2026-07-28\r\n"
#define SERVER_INFO "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"pillion\",\"version\":\""

static const char *ask(const struct server *server, const char *request)
{
    return client_round(server->port, request);
}

static const char *message(const char *fields, const char *body)
{
    return keep_printf("POST /mcp HTTP/1.1\r\n%sContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       fields, strlen(body), body);
}

/* A request of an older revision. */
static const char *old_with(const struct server *server, const char *fields, const char *method,
                            const char *params)
{
    return ask(server, message(keep_printf(CLOSE "%s", fields),
                               keep_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\","
                                           "\"params\":%s}",
                                           method, params)));
}

static const char *old(const struct server *server, const char *method, const char *params)
{
    return old_with(server, "", method, params);
}

/* One of revision 2026-07-28; `params` without their braces. */
static const char *modern(const struct server *server, const char *fields, const char *method,
                          const char *params)
{
    return ask(server, message(keep_printf(CLOSE VERSION "Mcp-Method: %s\r\n%s", method, fields),
                               keep_printf("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"%s\","
                                           "\"params\":{%s}}",
                                           method, params)));
}

/* The response has this status line, and this in its body. */
static void expect_response(const char *response, const char *status, const char *part)
{
    ck_assert_msg(strncmp(response, "HTTP/1.1 ", 9) == 0 &&
                      strncmp(response + 9, status, strlen(status)) == 0,
                  "not %s: %s", status, response);
    expect_part(response, part);
}

static void expect_body(const char *response, const char *body)
{
    const char *end = strstr(response, "\r\n\r\n");

    ck_assert_msg(strncmp(response, "HTTP/1.1 200 OK\r\n", 17) == 0, "%s", response);
    ck_assert_ptr_nonnull(end);
    expect_text(end + 4, body);
}

START_TEST(older_clients_initialize_and_call)
{
    struct server *server = server_serve("", "method ping { tool on; }");

    expect_response(old(server, "initialize",
                        "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},"
                        "\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}"),
                    "200 OK",
                    "\"result\":{\"protocolVersion\":\"2025-06-18\","
                    "\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"pillion\"");
    expect_response(old(server, "initialize", "{\"protocolVersion\":\"1999-01-01\"}"), "200 OK",
                    "{\"protocolVersion\":\"2025-11-25\",");
    expect_body(old(server, "ping", "{}"), "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":1}");
    expect_body(old(server, "tools/list", "{}"),
                "{\"jsonrpc\":\"2.0\",\"result\":{\"tools\":[{\"name\":\"ping\",\"description\":"
                "\"Gives its params back.\",\"inputSchema\":{\"type\":\"object\"},"
                "\"annotations\":{\"readOnlyHint\":false,\"destructiveHint\":true,"
                "\"idempotentHint\":false}}]},\"id\":1}");
    expect_body(old(server, "tools/call", "{\"name\":\"ping\",\"arguments\":{\"a\":\"\\n\"}}"),
                "{\"jsonrpc\":\"2.0\",\"result\":{\"content\":[{\"type\":\"text\",\"text\":"
                "\"{\\\"a\\\":\\\"\\\\n\\\"}\"}],\"structuredContent\":{\"a\":\"\\n\"},"
                "\"isError\":false},\"id\":1}");
    /* no arguments are none, and no state is needed */
    expect_response(old(server, "tools/call", "{\"name\":\"ping\"}"), "200 OK",
                    "\"text\":\"{}\"}],\"structuredContent\":{},\"isError\":false}");
    expect_response(old(server, "server/none", "{}"), "200 OK", "\"code\":-32601");
    expect_response(ask(server, message(CLOSE, "{\"jsonrpc\":\"2.0\",\"method\":"
                                               "\"notifications/initialized\"}")),
                    "202 Accepted", "Content-Length: 0\r\n");
    expect_response(ask(server, message(CLOSE "MCP-Protocol-Version: 1999-01-01\r\n",
                                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}")),
                    "400 Bad Request", "\"code\":-32022");
}
END_TEST

START_TEST(clients_of_today_say_everything_each_time)
{
    struct server *server = server_serve("", "method ping { tool on; }");
    const char *response = modern(server, "", "server/discover", META);

    expect_response(response, "200 OK",
                    "\"result\":{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\","
                    "\"2025-11-25\",\"2025-06-18\",\"2025-03-26\"],\"capabilities\":{\"tools\":{}},"
                    "\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{" SERVER_INFO);
    response = modern(server, "", "tools/list", META);
    expect_response(response, "200 OK", "\"result\":{\"resultType\":\"complete\",\"tools\":[{");
    expect_part(response, "}],\"ttlMs\":0,\"cacheScope\":\"private\"},\"id\":\"a\"}");
    expect_body(modern(server, "Mcp-Name: ping\r\n", "tools/call",
                       META ",\"name\":\"ping\",\"arguments\":{}"),
                "{\"jsonrpc\":\"2.0\",\"result\":{\"resultType\":\"complete\",\"content\":[{"
                "\"type\":\"text\",\"text\":\"{}\"}],\"structuredContent\":{},\"isError\":false},"
                "\"id\":\"a\"}");
    expect_response(modern(server, "Mcp-Name: =?base64?cGluZw==?=\r\n", "tools/call",
                           META ",\"name\":\"ping\""),
                    "200 OK", "\"isError\":false");
    expect_response(modern(server, "", "initialize", META), "404 Not Found", "\"code\":-32601");
    expect_response(modern(server, "", "ping", META), "404 Not Found", "\"code\":-32601");
}
END_TEST

START_TEST(requests_that_contradict_themselves_are_refused)
{
    struct server *server = server_serve("", "method ping { tool on; }");
    const char *call =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META "}}";

    expect_response(modern(server, "", "tools/list", ""), "400 Bad Request", "\"code\":-32602");
    expect_response(modern(server, "", "tools/list", "\"_meta\":1"), "400 Bad Request",
                    "\"code\":-32602");
    expect_response(ask(server, message(CLOSE, call)), "400 Bad Request", "\"code\":-32020");
    expect_response(ask(server, message(CLOSE VERSION "Mcp-Method: tools/call\r\n", call)),
                    "400 Bad Request", "\"code\":-32020");
    expect_response(modern(server, "", "tools/call", META ",\"name\":\"ping\""), "400 Bad Request",
                    "\"code\":-32020");
    expect_response(modern(server, "Mcp-Name: =?base64?cGluZ2c=?=\r\n", "tools/call",
                           META ",\"name\":\"ping\""),
                    "400 Bad Request", "\"code\":-32020");
    const char *response =
        ask(server, message(CLOSE "MCP-Protocol-Version: 2099-01-01\r\nMcp-Method: tools/list\r\n",
                            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":"
                            "{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2099-01-01\""
                            ",\"io.modelcontextprotocol/clientCapabilities\":{}}}}"));
    expect_response(response, "400 Bad Request", "\"code\":-32022");
    expect_part(response, "\"supported\":[\"2026-07-28\",");
    expect_part(response, "\"requested\":\"2099-01-01\"");
    expect_response(modern(server, "Mcp-Name: none\r\n", "tools/call", META ",\"name\":\"none\""),
                    "200 OK", "\"error\":{\"code\":-32602");
    expect_response(old(server, "tools/list", "{\"cursor\":\"2\"}"), "200 OK",
                    "\"error\":{\"code\":-32602");
    expect_response(old(server, "tools/call", "{\"name\":\"ping\",\"arguments\":[]}"), "200 OK",
                    "\"error\":{\"code\":-32602");
    expect_response(ask(server, message(CLOSE, "[]")), "400 Bad Request", "\"code\":-32600");
    expect_response(ask(server, message(CLOSE, "["
                                               "{\"jsonrpc\":\"2.0\",\"id\":1,"
                                               "\"method\":\"ping\"}]")),
                    "400 Bad Request", "\"code\":-32600");
    expect_response(ask(server, message(CLOSE, "{\"in\":\"ping\"}")), "400 Bad Request",
                    "\"code\":-32600");
    expect_response(ask(server, message(CLOSE, "{\"jsonrpc\":\"2.0\",\"id\":null,"
                                               "\"method\":\"ping\"}")),
                    "400 Bad Request", "\"code\":-32600");
    expect_response(ask(server, message(CLOSE, "{")), "400 Bad Request", "\"code\":-32700");
}
END_TEST

/* Some clients refuse a tool without a description. */
/* A tool whose schema says which params are in fields, too. */
START_TEST(params_and_their_fields_say_the_same)
{
    static const struct {
        const char *fields, *arguments;
        bool good;
    } rows[] = {
        {"", "{}", true},
        {"", "{\"region\":null}", true},
        {"Mcp-Param-Region: eu\r\n", "{\"region\":\"eu\"}", true},
        {"mcp-param-region: eu\r\n", "{\"region\":\"e\\u0075\"}", true},
        {"Mcp-Param-Region: =?base64?ZcO8?=\r\n", "{\"region\":\"e\xc3\xbc\"}", true},
        {"Mcp-Param-Region: =?base64?ZXU=\r\n", "{\"region\":\"=?base64?ZXU=\"}", true},
        {"Mcp-Param-Limit: 1000\r\n", "{\"page\":{\"limit\":1000}}", true},
        {"Mcp-Param-Limit: 1000\r\n", "{\"page\":{\"limit\":1e3}}", true},
        {"", "{\"region\":\"eu\"}", false},
        {"Mcp-Param-Region: us\r\n", "{\"region\":\"eu\"}", false},
        {"Mcp-Param-Region: eu\r\n", "{}", false},
        {"Mcp-Param-Region: eu\r\n", "{\"region\":null}", false},
        {"Mcp-Param-Region: =?base64?ZXU?=\r\n", "{\"region\":\"eu\"}", false},
        {"Mcp-Param-Region: =?base64?ZXV=?=\r\n", "{\"region\":\"eu\"}", false},
        {"Mcp-Param-Region: =?base64?Z!XU=?=\r\n", "{\"region\":\"eu\"}", false},
        {"Mcp-Param-Limit: 10\r\n", "{\"page\":{\"limit\":1000}}", false},
        {"Mcp-Param-Limit: 10\r\n", "{\"limit\":10}", false},
        {"Mcp-Param-Limit: 9007199254740993\r\n", "{\"page\":{\"limit\":9007199254740992}}", false},
        {"Mcp-Param-Limit: 1000x\r\n", "{\"page\":{\"limit\":1000}}", false},
        {"", "{\"page\":{\"limit\":1000}}", false},
    };
    /* Fields are compared whether or not the schema takes the params. */
    struct server *server =
        server_serve("load_module modules/tools.so;", "method test_fields { validate off; }");

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *response = modern(
            server, keep_printf("Mcp-Name: test_fields\r\n%s", rows[i].fields), "tools/call",
            keep_printf(META ",\"name\":\"test_fields\",\"arguments\":%s", rows[i].arguments));
        if (rows[i].good)
            expect_response(response, "200 OK", "\"isError\":false");
        else
            expect_response(response, "400 Bad Request", "\"code\":-32020");
    }
    expect_part(modern(server, "Mcp-Name: test_fields\r\n", "tools/call",
                       META ",\"name\":\"test_fields\",\"arguments\":{\"region\":\"eu\"}"),
                "Mcp-Param-Region has to be what the arguments say");
    /* before that revision there were no such fields */
    expect_response(
        old(server, "tools/call", "{\"name\":\"test_fields\",\"arguments\":{\"region\":\"eu\"}}"),
        "200 OK", "\"isError\":false");
}
END_TEST

START_TEST(every_tool_has_a_description)
{
    struct server *server = server_serve("load_module modules/tools.so;",
                                         "method fails { handler tools.test_error_handling; }");

    expect_part(old(server, "tools/list", "{}"),
                "[{\"name\":\"fails\",\"description\":\"The method test_error_handling of the "
                "module tools.\",");
}
END_TEST

/* What a method does not declare is not promised: it may destroy something. */
START_TEST(hints_are_what_methods_declare)
{
    static const struct {
        const char *name, *title, *hints;
    } rows[] = {
        {"greet", "\"title\":\"Greet somebody\",",
         "\"readOnlyHint\":false,\"destructiveHint\":false,\"idempotentHint\":false"},
        {"hello.count", "\"title\":\"Count greetings\",",
         "\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true"},
        {"ping", "", "\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":false"},
        {"retry", "", "\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":true"},
    };
    struct server *server = server_serve(
        "load_module modules/hello.so; load_module modules/later.so;",
        "method greet; method hello.count { tool on; } method ping { tool on; idempotent off; } "
        "method retry { tool on; } method rpc.describe;");
    const char *list = old(server, "tools/list", "{}");

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *tool = strstr(
            list, keep_printf("{\"name\":\"%s\",%s\"description\":", rows[i].name, rows[i].title));
        ck_assert_msg(tool != NULL, "no tool %s with its title in %s", rows[i].name, list);
        tool = strstr(tool, "\"annotations\":{") + strlen("\"annotations\":{");
        ck_assert_msg(strncmp(tool, rows[i].hints, strlen(rows[i].hints)) == 0, "%s", tool);
    }
    int client = client_connect(server);
    const char *reply = client_call(client, "rpc.describe", "{\"method\":\"greet\"}");
    expect_part(reply, ",\"title\":\"Greet somebody\",\"read_only\":false,\"additive\":true,"
                       "\"idempotent\":false,");
    reply = client_call(client, "rpc.describe", "{\"method\":\"ping\"}");
    expect_part(reply, ",\"read_only\":false,\"additive\":false,\"idempotent\":false,");
    ck_assert_ptr_null(strstr(reply, "title"));
}
END_TEST

START_TEST(only_tools_are_offered)
{
    struct server *server =
        server_serve("load_module modules/hello.so;",
                     "method greet; method rpc.describe { tool off; } "
                     "method ping; method \"a b\" { handler ping.ping; tool on; }");
    const char *response = old(server, "tools/list", "{}");

    expect_part(response, "\"tools\":[{\"name\":\"greet\",");
    ck_assert_ptr_null(strstr(response, "rpc.describe"));
    ck_assert_ptr_null(strstr(response, "\"ping\""));
    ck_assert_ptr_null(strstr(response, "a b"));
    expect_response(old(server, "tools/call", "{\"name\":\"ping\"}"), "200 OK", "\"code\":-32602");
    expect_response(old(server, "tools/call", "{\"name\":\"rpc.describe\"}"), "200 OK",
                    "\"code\":-32602");
    expect_response(old(server, "tools/call", "{\"name\":\"greet\",\"arguments\":{\"name\":1}}"),
                    "200 OK", "\"text\":\"{\\\"code\\\":\\\"invalid_params\\\"");
}
END_TEST

/* In the order of names, whatever that of the configuration is, and whichever worker answers. */
START_TEST(the_list_is_always_the_same)
{
    static const char methods[] =
        "method c { handler ping.ping; tool on; } method ping { tool on; } "
        "method a { handler ping.ping; tool on; } "
        "method B { handler ping.ping; tool on; }";
    struct server *server = server_serve("", methods);
    const char *first = strstr(modern(server, "", "tools/list", META), "\r\n\r\n");
    const char *at = first;

    for (unsigned i = 0; i < 4; i++) {
        const char *const names[] = {"B", "a", "c", "ping"};
        at = strstr(at, keep_printf("{\"name\":\"%s\"", names[i]));
        ck_assert_msg(at != NULL, "%s is not in its place: %s", names[i], first);
    }
    for (unsigned i = 0; i < 20; i++) {
        if (i == 10)
            server_reload(server);
        expect_text(strstr(modern(server, "", "tools/list", META), "\r\n\r\n"), first);
    }
}
END_TEST

/* Not so a method's own: it guards the calls of that method. */
START_TEST(the_filters_of_a_server_guard_the_list_too)
{
    int port = free_port();
    struct server *server = server_serve_alone(
        keep_printf(
            "load_module modules/auth.so; server { listen 127.0.0.1:%d; filter auth { token "
            "key; } method ping { tool on; } }",
            port),
        "method ping { tool on; filter auth { token key; } }");
    struct server guarded = *server;
    static const char *const methods[] = {"initialize", "tools/list", "ping", "none"};

    guarded.port = port;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        const char *response = old(&guarded, methods[i], "{}");
        expect_response(response, "401 Unauthorized", "\r\nWWW-Authenticate: Bearer\r\n");
        expect_part(response, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":");
        expect_part(response, "\"code\":\"unauthorized\"");
        expect_response(old_with(&guarded, "Authorization: Bearer key\r\n", methods[i], "{}"),
                        "200 OK", i == 3 ? "-32601" : "\"result\":{");
    }
    expect_response(modern(&guarded, "", "server/discover", META), "401 Unauthorized",
                    "\r\nWWW-Authenticate: Bearer\r\n");
    expect_response(modern(&guarded, "Authorization: Bearer key\r\n", "server/discover", META),
                    "200 OK", "\"supportedVersions\"");
    expect_response(modern(&guarded, "", "tools/list", ""), "401 Unauthorized", "unauthorized");
    expect_response(old(&guarded, "tools/call", "{\"name\":\"ping\"}"), "401 Unauthorized",
                    "\r\nWWW-Authenticate: Bearer\r\n");
    expect_response(modern(&guarded, "Mcp-Name: ping\r\nAuthorization: Bearer wrong\r\n",
                           "tools/call", META ",\"name\":\"ping\""),
                    "401 Unauthorized", "\r\nWWW-Authenticate: Bearer\r\n");
    expect_response(modern(&guarded, "Mcp-Name: ping\r\nAuthorization: Bearer key\r\n",
                           "tools/call", META ",\"name\":\"ping\""),
                    "200 OK", "\"isError\":false");
    /* whether there is such a tool is not told either */
    expect_response(old(&guarded, "tools/call", "{\"name\":\"none\"}"), "401 Unauthorized",
                    "unauthorized");
    expect_response(modern(&guarded, "Mcp-Name: none\r\n", "tools/call", META ",\"name\":\"ping\""),
                    "401 Unauthorized", "unauthorized");
    expect_response(
        old_with(&guarded, "Authorization: Bearer key\r\n", "tools/call", "{\"name\":\"none\"}"),
        "200 OK", "\"code\":-32602");
    ck_assert_double_eq(server_calls(server, "mcp", "calls"), 14);
    ck_assert_double_eq(server_calls(server, "mcp", "errors"), 10);
    /* the filter of the method */
    expect_response(old(server, "tools/list", "{}"), "200 OK", "\"name\":\"ping\"");
    expect_response(old(server, "tools/call", "{\"name\":\"ping\"}"), "401 Unauthorized",
                    "\r\nWWW-Authenticate: Bearer\r\n");
}
END_TEST

/* A filter that crashes is put down to the request, and costs nobody a connection. */
START_TEST(a_crash_of_a_filter_is_answered)
{
    int port = free_port();
    struct server *server = server_serve_alone(
        keep_printf("load_module modules/filters.so; server { listen 127.0.0.1:%d; filter crashes; "
                    "method ping { tool on; } }",
                    port),
        "");
    const char *list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";

    server->reports_allowed = true;
    for (unsigned i = 0; i < 2; i++)
        expect_response(client_round(port, message(CLOSE, list)), "500 Internal Server Error",
                        "\"mcp\\\" crashed while it handled this request");
    ck_assert_double_eq(server_stat(server, "crashes"), 2);
    ck_assert_double_eq(server_calls(server, "mcp", "errors"), 2);
}
END_TEST

/* A method of the configuration that has the name of the server's own. */
START_TEST(a_method_called_mcp_is_another_one)
{
    struct server *server = server_serve("", "method mcp { handler ping.ping; tool on; }");
    int client = client_connect(server);

    for (unsigned i = 0; i < 2; i++) {
        client_send_frame(client, "{\"in\":\"mcp\",\"params\":{\"method\":\"tools/list\"}}");
        client_expect(client, "{\"out\":\"pong\",\"result\":{\"method\":\"tools/list\"}}");
        expect_response(old(server, "tools/list", "{}"), "200 OK", "[{\"name\":\"mcp\",");
        expect_response(old(server, "tools/call", "{\"name\":\"mcp\"}"), "200 OK",
                        "\"structuredContent\":{},");
    }
}
END_TEST

START_TEST(names_that_are_in_the_way_are_told_of)
{
    struct server *server = server_new();

    server_conf(server,
                keep_printf("server { listen 127.0.0.1:%d protocol=frame; method mcp { handler "
                            "ping.ping; } }",
                            free_port()),
                "\nmethod mcp { handler ping.ping; }\nmethod readyz { handler ping.ping; }\n"
                "method \"a b\" { handler ping.ping; tool on; }");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    expect_part(run.err, "is good\nbut beware:\n");
    expect_part(run.err,
                "the path /mcp is for agents: over HTTP this method is called by POST / alone");
    expect_part(run.err, "the path /readyz is for probes: over HTTP");
    expect_part(run.err,
                ": \"a b\" is no tool, although it has `tool on`: a tool's name has at most ");
    /* where no HTTP is spoken, there is no path */
    ck_assert_ptr_null(strstr(strstr(run.err, "/mcp is") + 1, "/mcp is"));
    server_start(server);
    server_wait_log(server, "the path /mcp is for agents");
}
END_TEST

START_TEST(bodies_may_come_in_chunks)
{
    struct server *server = server_serve("", "method ping { tool on; }");
    const char *head = "POST /mcp HTTP/1.1\r\n" CLOSE "Content-Type: application/json\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n";
    const char *reply = "\"structuredContent\":{\"a\":\"b\"},\"isError\":false},\"id\":7}";
    const char *parts[] = {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":", "\"tools/call\",\"pa",
                           "rams\":{\"name\":\"ping\",\"arguments\":{\"a\":\"b\"}}}"};
    const char *whole = keep_printf("%s%zx\r\n%s\r\n%zX;note=1\r\n%s\r\n0%zx\r\n%s\r\n0\r\n\r\n",
                                    head, strlen(parts[0]), parts[0], strlen(parts[1]), parts[1],
                                    strlen(parts[2]), parts[2]);

    expect_response(ask(server, whole), "200 OK", reply);
    /* byte by byte, and through a reload */
    int client = client_try_connect(server->port);
    for (size_t i = 0; i < strlen(whole); i++) {
        if (i == strlen(whole) / 2)
            server_reload(server);
        client_send(client, whole + i, 1);
    }
    expect_response(client_receive_rest(client), "200 OK", reply);
}
END_TEST

/* As a tool's, a result is there twice: what fits a frame may not fit here. */
START_TEST(results_that_are_too_large_are_errors_of_the_tool)
{
    struct server *server =
        server_serve_alone("arena_size 1m; load_module modules/later.so;",
                           "max_frame 16k; max_head 8k; method hold { tool on; } method let_grow;");
    int client = client_try_connect(server->port), other = client_connect(server);
    const char *call =
        message(CLOSE VERSION "Mcp-Method: tools/call\r\nMcp-Name: hold\r\n",
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{" META
                ",\"name\":\"hold\",\"arguments\":{\"key\":1,\"size\":200000}}}");

    client_send(client, call, strlen(call));
    wait_until(server_stat(server, "connections.deferred") == 1, "it is not under way");
    client_call(other, "let_grow", "{}");
    const char *response = client_receive_rest(client);
    expect_response(response, "200 OK", "\"text\":\"{\\\"code\\\":\\\"internal_error\\\"");
    expect_part(response, "at most 262144 can be sent");
    expect_part(response, "\"isError\":true},\"id\":1}");
    client_send_frame(other, "{\"in\":\"hold\",\"params\":{\"key\":2,\"size\":200000},\"id\":1}");
    client_send_frame(other, "{\"in\":\"let_grow\",\"id\":2}");
    client_receive(other, NULL);
    ck_assert_uint_gt(strlen(client_receive(other, NULL)), 200000);
}
END_TEST

/* A page that the configuration allows, in a browser: it asks first, then it calls. */
START_TEST(pages_that_are_allowed_call_tools)
{
    struct server *server = server_serve(
        "", "method ping { tool on; } allow_origin https://app.example; allow_host box.example;");
    const char *page = "Origin: https://app.example\r\n";
    const char *response = ask(
        server, keep_printf("OPTIONS /mcp HTTP/1.1\r\n" CLOSE "%sAccess-Control-Request-Method: "
                            "POST\r\nAccess-Control-Request-Headers: content-type,"
                            "mcp-protocol-version,mcp-method,mcp-name,authorization\r\n\r\n",
                            page));

    expect_response(response, "204 No Content",
                    "\r\nAccess-Control-Allow-Origin: https://app.example\r\n");
    expect_part(response, "\r\nAccess-Control-Allow-Headers: Authorization, *\r\n");
    expect_response(modern(server, page, "tools/list", META), "200 OK",
                    "\r\nAccess-Control-Allow-Origin: https://app.example\r\n");
    response = modern(server, keep_printf("%sMcp-Name: ping\r\n", page), "tools/call",
                      META ",\"name\":\"ping\"");
    expect_response(response, "200 OK", "\"isError\":false");
    expect_part(response, "\r\nAccess-Control-Allow-Origin: https://app.example\r\n");
    expect_response(ask(server, message("Host: box.example\r\nConnection: close\r\n",
                                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}")),
                    "200 OK", "\"result\":{}");
    /* as a form, no browser asks first */
    expect_response(
        ask(server, keep_printf("POST /mcp HTTP/1.1\r\n" CLOSE "%sContent-Type: text/plain"
                                "\r\nContent-Length: 2\r\n\r\n{}",
                                page)),
        "415 Unsupported Media Type", "application/json");
}
END_TEST

START_TEST(a_crash_is_an_error_of_the_tool)
{
    struct server *server = server_serve_alone(
        "load_module modules/crash.so;", "method abort { tool on; } method ping { tool on; }");

    server->reports_allowed = true;
    expect_body(modern(server, "Mcp-Name: abort\r\n", "tools/call", META ",\"name\":\"abort\""),
                "{\"jsonrpc\":\"2.0\",\"result\":{\"resultType\":\"complete\",\"content\":[{"
                "\"type\":\"text\",\"text\":\"{\\\"code\\\":\\\"module_crashed\\\",\\\"message\\\":"
                "\\\"\\\\\\\"abort\\\\\\\" crashed while it handled this request\\\"}\"}],"
                "\"isError\":true},\"id\":\"a\"}");
}
END_TEST

START_TEST(other_methods_and_other_peoples_pages_are_refused)
{
    struct server *server = server_serve("", "method ping { tool on; }");
    const char *ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";

    expect_response(ask(server, "GET /mcp HTTP/1.1\r\n" CLOSE "\r\n"), "405 Method Not Allowed",
                    "\r\nAllow: POST, OPTIONS\r\n");
    expect_response(ask(server, "DELETE /mcp HTTP/1.1\r\n" CLOSE "\r\n"), "405 Method Not Allowed",
                    "\r\nAllow: POST, OPTIONS\r\n");
    expect_response(ask(server, message(CLOSE "Origin: http://evil.example\r\n", ping)),
                    "403 Forbidden", "\"forbidden\"");
    expect_response(ask(server, message("Host: evil.example\r\nConnection: close\r\n", ping)),
                    "403 Forbidden", "\"forbidden\"");
}
END_TEST

/* An agent's connection goes on over a reload, and over a crash that one of its calls is to blame
 * for; a call that waits is answered as any other. */
START_TEST(a_session_goes_on_over_reloads_and_crashes)
{
    struct server *server = server_serve_alone(
        "load_module modules/crash.so; load_module modules/later.so;",
        "method ping { tool on; } method abort { tool on; } method wait { tool on; }");
    int client = client_connect(server);
    const char *call = "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":"
                       "{\"name\":\"%s\"}}";
    const char *requests[] = {
        message(HOST, keep_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}")),
        message(HOST, keep_printf(call, 2, "abort")),
        message(HOST, keep_printf(call, 3, "wait")),
        message(CLOSE, keep_printf(call, 4, "ping")),
    };

    server->reports_allowed = true;
    client_send(client, requests[0], strlen(requests[0]));
    server_reload(server);
    for (unsigned i = 1; i < sizeof(requests) / sizeof(*requests); i++)
        client_send(client, requests[i], strlen(requests[i]));
    const char *response = client_receive_rest(client);
    expect_part(response, "\"protocolVersion\":\"2025-11-25\"");
    expect_part(response, "\"text\":\"{\\\"code\\\":\\\"module_crashed\\\"");
    expect_part(response, "\"isError\":true},\"id\":2}");
    expect_part(response, "},\"id\":3}");
    expect_part(response, "\"structuredContent\":{},\"isError\":false},\"id\":4}");
}
END_TEST

E2E_MAIN("mcp", older_clients_initialize_and_call, clients_of_today_say_everything_each_time,
         requests_that_contradict_themselves_are_refused, params_and_their_fields_say_the_same,
         every_tool_has_a_description, hints_are_what_methods_declare, only_tools_are_offered,
         the_list_is_always_the_same, the_filters_of_a_server_guard_the_list_too,
         a_crash_of_a_filter_is_answered, a_method_called_mcp_is_another_one,
         names_that_are_in_the_way_are_told_of, bodies_may_come_in_chunks,
         results_that_are_too_large_are_errors_of_the_tool, pages_that_are_allowed_call_tools,
         a_crash_is_an_error_of_the_tool, other_methods_and_other_peoples_pages_are_refused,
         a_session_goes_on_over_reloads_and_crashes)
