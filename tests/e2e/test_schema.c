/* Schemas that methods declare as text: what clients are told of params that break them, and what
 * becomes of results. See core/rpc/validate.h. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define METHODS "method order; method tree; method written; method word; method maybe; method both;"
#define WRONG   "{\"out\":\"error\",\"result\":{\"code\":\"invalid_params\",\"message\":"
#define BROKEN  "{\"out\":\"error\",\"result\":{\"code\":\"internal_error\",\"message\":"

static struct server *serve_schemas(const char *server_text)
{
    return server_serve_alone("load_module modules/schemas.so; load_module modules/auth.so;",
                              server_text);
}

static void gives(int client, const char *method, const char *params, const char *part)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    expect_part(client_receive(client, NULL), part);
}

START_TEST(params_that_break_their_schema_reach_no_handler)
{
    struct server *server = serve_schemas(METHODS);
    int client = client_connect(server);

    gives(client, "order", "{\"sku\":\"tea\",\"pieces\":2e0}",
          "{\"out\":\"order\",\"result\":{\"sku\":\"tea\",\"pieces\":2e0}}");
    gives(client, "order", "{\"sky\":1,\"pieces\":100}",
          WRONG "\"params.sky: there is no member of this name; did you mean \\\"sku\\\"?; "
                "params.pieces: a whole number from 1 to 99, got 100; params.sku: a string that "
                "matches \\\"^[a-z]+$\\\", got nothing\",\"errors\":[{\"path\":\"params.sky\","
                "\"message\":\"there is no");
    gives(client, "order", "[]", WRONG "\"params: an object, got a list\"");
    gives(client, "word", "\"abc\"", "{\"out\":\"order\",\"result\":\"abc\"}");
    gives(client, "word", "\"abcd\"", "params: a string of at most 3 characters, got 4 characters");
    gives(client, "word", "null", "params: a string of at most 3 characters, got null");
    /* Params that are left out are an object, where one is declared. */
    client_send_frame(client, "{\"in\":\"maybe\"}");
    expect_part(client_receive(client, NULL), "{\"out\":\"order\",\"result\":{}}");
    client_send_frame(client, "{\"in\":\"order\"}");
    expect_part(client_receive(client, NULL), "params.sku: a string that matches");
    /* The schema, and then the table. */
    gives(client, "both", "{\"n\":6}", "{\"out\":\"both\",\"result\":[6]}");
    gives(client, "both", "{\"n\":7}", "params.n: a number, a multiple of 3, got 7");
    gives(client, "both", "{\"n\":7.5}", "params.n: a number, a multiple of 3, got 7.5");
    gives(client, "both", "{}", "params.n: a whole number, got nothing");
    ck_assert_double_eq(server_calls(server, "order", "errors"), 3);
}
END_TEST

START_TEST(every_format_is_checked)
{
    struct server *server = serve_schemas(METHODS);
    int client = client_connect(server);

    client_send_frame(client, "{\"jsonrpc\":\"2.0\",\"method\":\"order\",\"params\":[\"tea\",3],"
                              "\"id\":1}");
    expect_part(client_receive(client, NULL), "\"result\":{\"sku\":\"tea\",\"pieces\":3}");
    client_send_frame(client, "{\"jsonrpc\":\"2.0\",\"method\":\"order\",\"params\":[\"tea\",0],"
                              "\"id\":1}");
    char *reply = client_receive(client, NULL);
    expect_part(reply, "\"code\":-32602");
    expect_part(reply, "params.pieces: a whole number from 1 to 99, got 0");
    client_send_frame(client, "{\"jsonrpc\":\"2.0\",\"method\":\"both\",\"params\":[4],\"id\":1}");
    expect_part(client_receive(client, NULL), "params.n: a number, a multiple of 3, got 4");
    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"word\",\"params\":{},\"id\":1},"
                              "{\"jsonrpc\":\"2.0\",\"method\":\"order\",\"params\":{\"sku\":"
                              "\"a\"},\"id\":2}]");
    reply = client_receive(client, NULL);
    expect_part(reply, "params: a string of at most 3 characters, got an object");
    expect_part(reply, "\"result\":{\"sku\":\"a\"}");
}
END_TEST

START_TEST(filters_come_before_schemas)
{
    struct server *server = serve_schemas(METHODS "filter auth { token sesame; }");
    int client = client_connect(server);

    gives(client, "order", "{\"nothing\":1}", "unauthorized");
    client_send_frame(client, "{\"in\":\"order\",\"params\":{\"x\":1},\"token\":\"sesame\"}");
    expect_part(client_receive(client, NULL), "params.x: there is no member of this name");
}
END_TEST

START_TEST(validate_says_what_is_enforced)
{
    struct server *server =
        serve_schemas("validate all; method order { validate off; } method tree; method written;"
                      "method later { handler schemas.tree; validate params; }"
                      "method checked { handler schemas.order; validate all; } method word;");
    int client = client_connect(server);

    gives(client, "order", "{\"x\":1}", "{\"out\":\"order\",\"result\":{\"x\":1}}");
    gives(client, "word", "\"abcd\"", WRONG);
    gives(client, "tree", "{\"sku\":\"tea\"}", "{\"out\":\"tree\",\"result\":{\"sku\":\"tea\"}}");
    gives(client, "tree", "{\"sku\":\"TEA\"}",
          BROKEN "\"\\\"tree\\\" replied with another result than it declares (module schemas): "
                 "result.sku: a string that matches \\\"^[a-z]+$\\\", got another\"");
    gives(client, "written", "{\"sku\":\"tea\"}", "{\"out\":\"written\"");
    gives(client, "written", "{}", BROKEN "\"\\\"written\\\" replied with another result");
    gives(client, "later", "{\"sku\":\"TEA\"}", "{\"out\":\"tree\",\"result\":{\"sku\":\"TEA\"}}");
    gives(client, "checked", "{\"sku\":\"tea\"}", "{\"out\":\"order\"");
    server_wait_log(server,
                    "module schemas: \"tree\" replied with another result than it declares");
}
END_TEST

START_TEST(results_are_taken_as_they_are_by_default)
{
    struct server *server = serve_schemas(METHODS);
    int client = client_connect(server);

    gives(client, "tree", "{\"sku\":\"TEA\"}", "{\"out\":\"tree\",\"result\":{\"sku\":\"TEA\"}}");
    gives(client, "written", "{}", "{\"out\":\"written\",\"result\":{}}");
}
END_TEST

START_TEST(trials_check_results_too)
{
    const char *module = module_path("schemas");
    struct run run = pillion("try", module, "tree", "{\"sku\":\"TEA\"}");

    expect_status(&run, 1);
    expect_part(run.err, "result.sku: a string that matches");
    run = pillion("try", module, "order", "{\"sku\":5}");
    expect_status(&run, 1);
    expect_part(run.err, "params.sku: a string that matches");
    run = pillion("try", "--method", "validate params;", module, "tree", "{\"sku\":\"TEA\"}");
    expect_status(&run, 0);
    run = pillion("try", "--method", "validate off;", module, "order", "{\"sku\":5}");
    expect_status(&run, 0);
}
END_TEST

START_TEST(schemas_that_cannot_be_enforced_are_refused)
{
    static const char words[] = "the .params of the method \"greet\" is no schema that can be "
                                "enforced: /unevaluatedProperties: what other schemas have left";
    struct server *server = server_new();

    server_conf(server, "load_module modules/bad_schema.so;", "method ping;");
    struct run run = pillion("-t", "-p", server->prefix);
    ck_assert_int_ne(run.status, 0);
    expect_part(run.err, "bad_schema.so: ");
    expect_part(run.err, words);
    run = pillion("modinfo", module_path("bad_schema"));
    expect_part(run.out, "loads here:");
    expect_part(run.out, words);
    run = pillion("try", module_path("bad_schema"), "greet");
    expect_status(&run, 64);
    expect_part(run.err, words);
}
END_TEST

#define EVERY                                                                                \
    "zone every 64k; load_module modules/abi-1.4.so { flag on; integer 7; size 2k; time 3s;" \
    " word two; list x y; path here; }"

/* What was built when nothing was enforced runs as it did, unless the operator says otherwise. */
START_TEST(modules_of_older_interfaces_run_as_they_did)
{
    struct server *server =
        server_serve_alone(EVERY, "method answer; method loose { validate all; }"
                                  "method strict { handler every.answer; validate params; }");
    int client = client_connect(server);
    char *log = server_wait_log(server, "the .params of the method \"loose\" is no schema that can "
                                        "be enforced: /type: a type is one of");

    expect_part(log, "abi-1.4.so: ");
    expect_part(log, "it is only shown, as the module API 1.4 has it");
    gives(client, "answer", "[1,\"a\"]", "{\"out\":\"answer\",\"result\":[1,\"a\"]}");
    gives(client, "loose", "[1]", "{\"out\":\"answer\",\"result\":[1]}");
    gives(client, "strict", "[1]", WRONG "\"params: an object, got a list\"");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    expect_part(run.err, "the .params of the method \"loose\" is no schema");
    run = pillion("modinfo", module_path("abi-1.4"));
    expect_part(run.out, "loads here: yes");
}
END_TEST

E2E_MAIN("schema", params_that_break_their_schema_reach_no_handler, every_format_is_checked,
         filters_come_before_schemas, validate_says_what_is_enforced,
         results_are_taken_as_they_are_by_default, trials_check_results_too,
         schemas_that_cannot_be_enforced_are_refused, modules_of_older_interfaces_run_as_they_did)
