/* Params by table, as clients see them: what is refused and when, in every format; and that the
 * structure is there for as long as the request is. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define METHODS \
    "method order; method later; method pool; method once_more; method open; method none;"
#define ADA    "{\"name\":\"Ada\",\"items\":[{\"sku\":\"tea\",\"pieces\":2},{\"sku\":\"milk\"}]"
#define IS_ADA "{\"name\":\"Ada\",\"pieces\":10,\"note\":0,\"raw\":"

static struct server *serve_typed(const char *server_text)
{
    return server_serve_alone(
        "load_module modules/typed.so; load_module modules/auth.so; zone typed 64k;",
        keep_printf(METHODS "%s", server_text));
}

static void gives(int client, const char *method, const char *params, const char *part)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    expect_part(client_receive(client, NULL), part);
}

START_TEST(params_are_checked_before_the_handler_runs)
{
    struct server *server = serve_typed("");
    int client = client_connect(server);

    gives(client, "order", ADA ",\"note\":\"AAA=\"}",
          "{\"out\":\"order\",\"result\":{\"name\":\"Ada\",\"pieces\":10,\"note\":2}}");
    gives(client, "order", "{\"items\":[{\"sku\":\"\"},{\"skv\":1,\"pieces\":1e2}]}",
          "{\"out\":\"error\",\"result\":{\"code\":\"invalid_params\",\"message\":"
          "\"params.items[0].sku: a string of 1 to 8 characters, got 0 characters; "
          "params.items[1].skv: there is no param of this name; did you mean \\\"sku\\\"?; "
          "params.items[1].pieces: a whole number from 1 to 99, got 1e2; "
          "params.items[1].sku: a string of 1 to 8 characters, got nothing; "
          "params.name: a string of at most 64 characters, got nothing\",\"errors\":[{\"path\":"
          "\"params.items[0].sku\",\"message\":\"a string of 1 to 8 characters, got 0 "
          "characters\"},{");
    gives(client, "order", "{\"name\":\"a\",\"items\":[]}",
          "params.items: a list of at least 1 item, got 0");
    gives(client, "order", ADA ",\"more\":1}", "params.more: there is no param of this name");
    gives(client, "open", ADA ",\"more\":{\"a\":[1]}}", "\"pieces\":10");
    gives(client, "none", "null", "{\"out\":\"none\",\"result\":null}");
    gives(client, "none", "{\"a\":1}", "params.a: there is no param of this name");
    ck_assert_double_eq(server_calls(server, "order", "errors"), 3);
}
END_TEST

START_TEST(filters_come_first)
{
    struct server *server = serve_typed("filter auth { token sesame; }");
    int client = client_connect(server);

    gives(client, "order", "{\"nothing\":1}", "unauthorized");
    client_send_frame(client, "{\"in\":\"order\",\"params\":{\"x\":1},\"token\":\"sesame\"}");
    expect_part(client_receive(client, NULL), "params.x: there is no param of this name");
}
END_TEST

START_TEST(the_structure_lives_as_long_as_the_request)
{
    struct server *server = serve_typed("");
    int client = client_connect(server);
    static const char *const deferring[] = {"later", "pool"};

    for (size_t i = 0; i < 2; i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":" ADA
                                              ",\"raw\":[{\"b\": null}]},\"id\":%zu}",
                                              deferring[i], i));
        /* Its frame is used up, and overwritten by others. */
        for (int n = 0; n < 20; n++)
            client_send_frame(client, keep_printf("{\"in\":\"order\",\"params\":" ADA
                                                  ",\"raw\":%d},\"id\":\"n%d\"}",
                                                  n, n));
        bool seen = false;
        for (int n = 0; n < 21; n++) {
            const char *reply = client_receive(client, NULL);
            if (strstr(reply, keep_printf("\"id\":%zu}", i)) == NULL)
                continue;
            expect_part(reply, IS_ADA "[{\"b\":null}]}");
            seen = true;
        }
        ck_assert(seen);
    }
}
END_TEST

START_TEST(a_request_that_is_run_again_is_read_again)
{
    struct server *server = serve_typed("");
    int client = client_connect(server);
    pid_t worker;

    server->reports_allowed = true;
    client_send_frame(client, "{\"in\":\"once_more\",\"params\":" ADA ",\"raw\":1},\"id\":1}");
    wait_until(server_stat(server, "connections.deferred") >= 1, "it is not deferred");
    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    kill(worker, SIGKILL);
    expect_part(client_receive(client, NULL), IS_ADA "1},\"id\"");
}
END_TEST

START_TEST(params_of_json_rpc_by_name_by_position_and_in_batches)
{
    struct server *server = serve_typed("");
    int client = client_connect(server);

#define RPC "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"order\",\"params\":"
    client_send_frame(client, RPC ADA "}}");
    expect_part(client_receive(client, NULL), "\"pieces\":10");
    client_send_frame(client, RPC "[\"Bob\", [{\"sku\":\"x\"}], null, [1]]}");
    expect_part(client_receive(client, NULL),
                "{\"name\":\"Bob\",\"pieces\":2,\"note\":0,\"raw\":[1]}");
    client_send_frame(client, RPC "[1, [{\"sku\":\"x\"}], null, [1], 5]}");
    expect_part(client_receive(client, NULL),
                "\"error\":{\"code\":-32602,\"message\":\"params.name: a string of at most 64 "
                "characters, got 1; params: at most 4 by position\",\"data\":{\"code\":"
                "\"invalid_params\"");
    client_send_frame(client, "[" RPC ADA "}}," RPC "[]}]");
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "\"pieces\":10");
    expect_part(reply, "params.name: a string of at most 64 characters, got nothing\"");
}
END_TEST

START_TEST(the_table_is_told_as_a_schema)
{
    struct server *server = serve_typed("method rpc.describe; method rpc.discover;");
    int client = client_connect(server);

    gives(client, "rpc.describe", "{\"method\":\"order\"}",
          "\"params\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
          "\"maxLength\":64,\"description\":\"Of whom it is.\"},\"items\":{\"type\":\"array\","
          "\"items\":{\"type\":\"object\",\"properties\":{\"sku\":");
    gives(client, "rpc.describe", "{\"method\":\"none\"}",
          "\"params\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}");
    gives(client, "rpc.discover", "null", "{\"name\":\"name\",\"required\":true,\"schema\":{");
    struct run run = pillion("modinfo", "--json", module_path("typed"));
    expect_part(run.out, "\"params\": {\"type\":\"object\",\"properties\":{\"name\":");
}
END_TEST

/* `pillion call --server … ARGUMENTS`. */
#define call(server, ...) \
    pillion("call", "--server", keep_printf("127.0.0.1:%d", (server)->port), __VA_ARGS__)

START_TEST(params_of_the_command_line_have_the_types_of_the_table)
{
    struct server *server =
        server_serve("load_module modules/abi-1.5.so { flag on; integer 7; size 2k; time 3s; word "
                     "two; list x y; path here; } zone every 64k;",
                     "method args; method ping; method rpc.describe;");
    struct run run = call(server, "args", "name=Ada", "times=3");

    expect_part(run.out, "[\"Ada\",3,true,0,true]");
    run = call(server, "args", "sizes=1", "name=5", "sizes=2.5");
    expect_part(run.out, "[\"5\",2,false,2,true]");
    run = call(server, "args", "sizes:=[1, 2, 3]", "name=a=b");
    expect_part(run.out, "[\"a=b\",2,false,3,true]");
    run = call(server, "--jsonrpc", "args", "name=Ada");
    expect_part(run.out, "[\"Ada\",2,false,0,true]");
    run = call(server, "args", "name=Ada", "time=3");
    expect_status(&run, 1);
    expect_part(run.err, "params.time: there is no param of this name; did you mean \"times\"?");
    static const char *const wrong[][2] = {
        {"times=x", "times is a number: times=3, and not \"x\""},
        {"sizes:=[1", "what follows \"sizes:=\" is not JSON"},
        {"name=b", "name is given twice"},
        {"7", "\"7\" is neither NAME=VALUE nor NAME:=JSON"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        run = call(server, "args", "name=a", wrong[i][0]);
        expect_status(&run, 64);
        expect_part(run.err, wrong[i][1]);
    }
    run = call(server, "ping", "a=1", "b=x", "c:={}"); /* which tells nothing of its params */
    expect_part(run.out, "{\"a\":1,\"b\":\"x\",\"c\":{}}");
}
END_TEST

START_TEST(a_method_has_a_help)
{
    struct server *server = serve_typed("method rpc.describe;");
    struct run run = call(server, "order", "--help");

    expect_status(&run, 0);
    expect_part(run.out, "Takes an order.\n\nUsage: pillion call order name=… [items:=JSON] "
                         "[note=…] [raw=…]\n");
    expect_part(run.out, "  name                  string of at most 64 characters, required.");
    expect_part(run.out, " of at least 1 item, each object");
    expect_part(run.out, "  items[].pieces        integer from 1 to 99, default 1\n");
    run = pillion("call", "--server", "127.0.0.1:1", "--help"); /* the command's own */
    expect_status(&run, 0);
    expect_part(run.out, "usage: pillion call");
    run = call(server, "nothing", "--help");
    expect_status(&run, 1);
    expect_part(run.err, "there is no method \"nothing\" here");
}
END_TEST

START_TEST(a_wrong_table_keeps_its_module_from_being_loaded)
{
    struct server *server = server_serve("", "method ping;");

    server_conf(server, "load_module modules/bad_params.so;", "method ping;");
    server_reload_refused(server, "the method \"greet\": the param \"times\" fills 8 bytes, and "
                                  "its member has 4");
    struct run run = pillion("modinfo", module_path("bad_params"));
    expect_part(run.out, "the param \"times\" fills 8 bytes");
}
END_TEST

E2E_MAIN("params", params_are_checked_before_the_handler_runs, filters_come_first,
         the_structure_lives_as_long_as_the_request, a_request_that_is_run_again_is_read_again,
         params_of_json_rpc_by_name_by_position_and_in_batches, the_table_is_told_as_a_schema,
         params_of_the_command_line_have_the_types_of_the_table, a_method_has_a_help,
         a_wrong_table_keeps_its_module_from_being_loaded)
