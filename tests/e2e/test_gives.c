/* Results by table, as clients see them: what they get, what they are told of it beforehand, and
 * that they never get what is not as the table says. */
#include "harness.h"

#include <string.h>

#define METHODS "method ticket; method pool; method tickets; method told; method untold;"
#define SCHEMA                                                                                 \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":8,"      \
    "\"description\":\"Of whom it is.\"},\"price\":{\"type\":\"number\",\"minimum\":0,"        \
    "\"maximum\":100},\"mood\":{\"type\":\"string\",\"enum\":[\"calm\",\"cheerful\"]},"        \
    "\"seats\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}},\"required\":[\"name\"," \
    "\"mood\",\"seats\"]}"

static struct server *serve_gives(const char *server_text)
{
    return server_serve("load_module modules/gives.so;", keep_printf(METHODS "%s", server_text));
}

static void gives(int client, const char *method, const char *params, const char *part)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    expect_part(client_receive(client, NULL), part);
}

START_TEST(structures_are_results)
{
    struct server *server = serve_gives("");
    int client = client_connect(server);

    gives(client, "ticket",
          "{\"name\":\"A\\\"da\",\"price\":2.5,\"seats\":[1,-9223372036854775808]}",
          "{\"out\":\"ticket\",\"result\":{\"name\":\"A\\\"da\",\"price\":2.5,\"mood\":\"calm\","
          "\"seats\":[1,-9223372036854775808]}}");
    gives(client, "ticket", "{\"name\":\"\"}",
          "{\"out\":\"ticket\",\"result\":{\"name\":\"\",\"mood\":\"calm\",\"seats\":[]}}");
    gives(client, "pool", "{\"name\":\"Ada\"}",
          "{\"out\":\"pool\",\"result\":{\"name\":\"Ada\",\"mood\":\"cheerful\",\"seats\":[]}}");
    gives(client, "tickets", "{\"name\":\"Ada\",\"mood\":\"cheerful\"}",
          "{\"out\":\"tickets\",\"result\":{\"all\":["
          "{\"name\":\"Ada\",\"price\":0,\"mood\":\"cheerful\",\"seats\":[]},"
          "{\"name\":\"Ada\",\"price\":1,\"mood\":\"cheerful\",\"seats\":[]},"
          "{\"name\":\"Ada\",\"price\":2,\"mood\":\"cheerful\",\"seats\":[]}],\"count\":3}}");
}
END_TEST

START_TEST(what_is_not_as_the_table_says_is_the_modules_mistake)
{
    struct server *server = serve_gives("");
    int client = client_connect(server);

    server->reports_allowed = true;
    gives(client, "ticket", "{\"name\":\"Ada\",\"price\":200}",
          "{\"out\":\"error\",\"result\":{\"code\":\"internal_error\",\"message\":\"\\\"ticket\\\" "
          "wrote a wrong result (module gives): result.price: a number from 0 to 100, got 200\"}}");
    server_wait_log(server, "module gives: \"ticket\" wrote a wrong result: result.price: a number "
                            "from 0 to 100, got 200");
    gives(client, "ticket", "{}", "result.name: a string of at most 8 characters, got NULL");
    gives(client, "tickets", "{\"name\":\"Ada\",\"price\":99.5}",
          "item.price: a number from 0 to 100, got 100.5");
    gives(client, "untold", "{\"name\":\"Ada\"}",
          "pillion_reply_struct is for handlers of methods with PILLION_GIVES");
    gives(client, "ticket", "{\"name\":\"Ada\"}", "\"result\":{\"name\":\"Ada\",");
}
END_TEST

START_TEST(the_table_is_told_as_a_schema)
{
    struct server *server = serve_gives("method rpc.describe; method rpc.discover;");
    int client = client_connect(server);

    gives(client, "rpc.describe", "{\"method\":\"ticket\"}", "\"result\":" SCHEMA "}}");
    gives(client, "rpc.describe", "{\"method\":\"tickets\"}",
          "\"result\":{\"type\":\"object\",\"properties\":{\"all\":{\"type\":\"array\","
          "\"items\":" SCHEMA "},\"count\":{\"type\":\"integer\"}},"
          "\"required\":[\"all\",\"count\"]}}}");
    gives(client, "rpc.describe", "{\"method\":\"told\"}", "\"title\":\"told\"");
    gives(client, "rpc.discover", "null",
          "\"result\":{\"name\":\"result\",\"schema\":" SCHEMA "}}");
    struct run run = pillion("modinfo", "--json", module_path("gives"));
    expect_part(run.out, "\"result\": " SCHEMA);
    run = pillion("doc", module_path("gives"));
    expect_part(run.out, "| result | is | |\n| --- | --- | --- |\n"
                         "| `name` | a string of at most 8 characters | Of whom it is. |\n"
                         "| `price` | a number from 0 to 100, or not there |  |\n"
                         "| `mood` | one of \"calm\", \"cheerful\" |  |\n");
    expect_part(run.out, "| `all[].seats` | a list, each a whole number |  |\n");
}
END_TEST

/* A request of an agent. */
static const char *at_mcp(const struct server *server, const char *body)
{
    int client = client_connect(server);
    const char *request = keep_printf("POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
                                      "Connection: close\r\nContent-Type: application/json\r\n"
                                      "Content-Length: %zu\r\n\r\n%s",
                                      strlen(body), body);

    client_send(client, request, strlen(request));
    return client_receive_rest(client);
}

START_TEST(the_help_of_a_method_has_its_result)
{
    struct server *server =
        server_serve("load_module modules/gives.so; load_module modules/hello.so;",
                     METHODS "method greet; method ping; method rpc.describe;");
    const char *at = keep_printf("127.0.0.1:%d", server->port);
    struct run run = pillion("call", "--server", at, "ticket", "--help");

    expect_status(&run, 0);
    expect_part(run.out, "\nIt gives:\n"
                         "  name                  string of at most 8 characters. Of whom it is.\n"
                         "  price                 number from 0 to 100, or not there\n"
                         "  mood                  calm | cheerful\n");
    run = pillion("call", "--server", at, "tickets", "--help");
    expect_part(run.out, "  all[].price           number from 0 to 100, or not there\n");
    run = pillion("call", "--server", at, "greet", "--help");
    expect_part(run.out, "\nIt gives: string\n");
    run = pillion("call", "--server", at, "ping", "--help");
    expect_status(&run, 0);
    ck_assert_ptr_null(strstr(run.out, "It gives"));
}
END_TEST

START_TEST(agents_are_told_and_given_it_as_structured_content)
{
    struct server *server = serve_gives("");

    expect_part(at_mcp(server, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}"),
                "\"outputSchema\":" SCHEMA);
    expect_part(at_mcp(server, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\","
                               "\"params\":{\"name\":\"ticket\",\"arguments\":{\"name\":\"Ada\","
                               "\"price\":1}}}"),
                "\"structuredContent\":{\"name\":\"Ada\",\"price\":1,\"mood\":\"calm\","
                "\"seats\":[]}");
}
END_TEST

/* With `validate all` a result that is not as declared is an error. */
START_TEST(modules_of_the_server_declare_what_they_give)
{
    static const char *const methods[] = {"rpc.list", "rpc.health", "rpc.discover", "rpc.stats",
                                          "hello.count"};
    struct server *server = server_serve_alone(
        "load_module modules/hello.so;",
        "validate all; method ping; method greet; method hello.count; method rpc.list;"
        "method rpc.describe; method rpc.health; method rpc.discover;");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        gives(client, methods[i], "null", keep_printf("{\"out\":\"%s\",\"result\":", methods[i]));
        client_send_frame(client, keep_printf("{\"in\":\"rpc.describe\",\"params\":{\"method\":"
                                              "\"%s\"}}",
                                              methods[i]));
        const char *described = client_receive(client, NULL);
        expect_part(described, "{\"out\":\"rpc.describe\",\"result\":");
        ck_assert_ptr_null(strstr(described, "\"result\":null"));
    }
    gives(client, "greet", "{\"name\":\"Ada\"}", "{\"out\":\"greet\",\"result\":\"Hello, Ada!\"}");
    gives(client, "hello.count", "null",
          "{\"out\":\"hello.count\",\"result\":{\"worker\":0,\"greetings\":1}}");
    gives(client, "rpc.describe", "{\"method\":\"ping\"}", "\"result\":null}}");
}
END_TEST

E2E_MAIN("gives", structures_are_results, what_is_not_as_the_table_says_is_the_modules_mistake,
         the_table_is_told_as_a_schema, the_help_of_a_method_has_its_result,
         agents_are_told_and_given_it_as_structured_content,
         modules_of_the_server_declare_what_they_give)
