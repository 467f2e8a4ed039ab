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
    int client = client_try_connect(server->port);
    client_send(client, request, strlen(request));
    return client_receive_rest(client);
}

static const char *message(const char *fields, const char *body)
{
    return keep_printf("POST /mcp HTTP/1.1\r\n%sContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       fields, strlen(body), body);
}

/* A request of an older revision. */
static const char *old(const struct server *server, const char *method, const char *params)
{
    return ask(server, message(CLOSE, keep_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\","
                                                  "\"params\":%s}",
                                                  method, params)));
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
                "\"annotations\":{\"readOnlyHint\":false,\"idempotentHint\":false}}]},\"id\":1}");
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
START_TEST(every_tool_has_a_description)
{
    struct server *server = server_serve("load_module modules/tools.so;",
                                         "method fails { handler tools.test_error_handling; }");

    expect_part(old(server, "tools/list", "{}"),
                "[{\"name\":\"fails\",\"description\":\"The method test_error_handling of the "
                "module tools.\",");
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
         requests_that_contradict_themselves_are_refused, every_tool_has_a_description,
         only_tools_are_offered, other_methods_and_other_peoples_pages_are_refused,
         a_session_goes_on_over_reloads_and_crashes)
