/* Traces (W3C Trace Context): where a request stands in one reaches the module, both logs and the
 * server behind, whatever protocol it came by; and nothing is made up. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST  "Host: localhost\r\n"
#define CLOSE HOST "Connection: close\r\n"
#define SPAN  "00f067aa0ba902b7"

/* A trace and a value for each place. */
#define TRACE(digit)  "4bf92f3577b34da6a3ce929d0e0e473" digit
#define PARENT(digit) "00-" TRACE(digit) "-" SPAN "-01"
#define MEMBER(digit) "\"traceparent\":\"" PARENT(digit) "\""
#define FIELD(digit)  "Traceparent: " PARENT(digit) "\r\n"

static const char *post(const struct server *server, const char *path, const char *fields,
                        const char *body)
{
    return client_round(server->port,
                        keep_printf("POST %s HTTP/1.1\r\n" CLOSE "%sContent-Length: %zu\r\n\r\n%s",
                                    path, fields, strlen(body), body));
}

static void expect_trace(int client, const char *members, const char *trace)
{
    client_send_frame(client, keep_printf("{\"in\":\"trace\"%s}", members));
    client_expect(client, keep_printf("{\"out\":\"trace\",\"result\":%s}", trace));
}

START_TEST(a_member_or_a_field_tells_the_trace)
{
    struct server *server =
        server_serve("load_module modules/traces.so;", "method trace; method trace_later;");
    int client = client_connect(server);

    expect_trace(client, "," MEMBER("1"), "[\"" PARENT("1") "\",null]");
    expect_trace(client, "," MEMBER("1") ",\"tracestate\":\"a=1,b=\\\"\"",
                 "[\"" PARENT("1") "\",\"a=1,b=\\\"\"]");
    /* nothing that is not valid, and nothing of the server's own */
    expect_trace(client, "", "[null,null]");
    expect_trace(client, ",\"tracestate\":\"a=1\"", "[null,null]");
    expect_trace(client, ",\"traceparent\":7", "[null,null]");
    expect_trace(client, ",\"traceparent\":\"" PARENT("A") "\"", "[null,null]");
    expect_trace(client, ",\"params\":{" MEMBER("1") "}", "[null,null]");
    expect_trace(client, "," MEMBER("1") ",\"tracestate\":\"\\n\"", "[\"" PARENT("1") "\",null]");

    expect_part(post(server, "/trace", FIELD("1") "Tracestate: a=1\r\ntracestate: b=2\r\n", "{}"),
                "\r\n\r\n[\"" PARENT("1") "\",\"a=1,b=2\"]");
    expect_part(post(server, "/trace_later", FIELD("1"), "{}"),
                "\r\n\r\n[\"" PARENT("1") "\",null]");
    expect_part(post(server, "/trace", FIELD("1") FIELD("2"), "{}"), "\r\n\r\n[null,null]");
    expect_part(post(server, "/trace", "", "{" MEMBER("1") "}"), "\r\n\r\n[null,null]");
    /* what a message says of itself is nearer than what its request says */
    expect_part(post(server, "/", FIELD("1"), "{\"in\":\"trace\"," MEMBER("2") "}"), PARENT("2"));
    expect_part(post(server, "/", FIELD("1"), "{\"in\":\"trace\"}"), PARENT("1"));
    const char *response =
        post(server, "/", FIELD("1"),
             "[{\"jsonrpc\":\"2.0\",\"method\":\"trace\",\"id\":1," MEMBER(
                 "2") "},"
                      "{\"jsonrpc\":\"2.0\",\"method\":\"trace_later\",\"id\":2}]");
    expect_part(response, "\"result\":[\"" PARENT("2") "\",null],\"id\":1}");
    expect_part(response, "\"result\":[\"" PARENT("1") "\",null],\"id\":2}");
    close(client);
}
END_TEST

START_TEST(agents_tell_the_trace_beside_their_tools_arguments)
{
    struct server *server = server_serve("load_module modules/traces.so;", "method trace;");
    const char *call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
                       "\"name\":\"trace\",\"arguments\":{%s},\"_meta\":{%s}}}";

    expect_part(post(server, "/mcp", FIELD("1"), keep_printf(call, "", MEMBER("2"))), PARENT("2"));
    expect_part(post(server, "/mcp", FIELD("1"), keep_printf(call, "", "")), PARENT("1"));
    expect_part(post(server, "/mcp", "", keep_printf(call, MEMBER("1"), "")), "[null,null]");
}
END_TEST

/* Reads the log's lines about requests, in both of its forms. */
START_TEST(the_log_tells_the_trace_of_a_request)
{
    for (int json = 0; json < 2; json++) {
        struct server *server = server_new();
        server_conf(server, "load_module modules/traces.so;", "method trace;");
        const char *log = keep_printf("error_log logs/error.log notice%s;", json ? " json" : "");
        server_start_with(server, (const char *const[]){"-g", log, NULL});
        int client = client_connect(server);
        expect_trace(client, "", "[null,null]");
        expect_trace(client, "," MEMBER("1"), "[\"" PARENT("1") "\",null]");
        const char *first = strstr(server_wait_log(server, "trace_id"), "it is traced");
        const char *second = strstr(first + 1, "it is traced");
        ck_assert_ptr_nonnull(second);
        ck_assert(strstr(first, "trace_id") > second); /* the first has none */
        expect_part(second, json ? "\"trace_id\":\"" TRACE("1") "\",\"span_id\":\"" SPAN "\""
                                 : " trace_id=" TRACE("1") " span_id=" SPAN);
        close(client);
    }
}
END_TEST

START_TEST(the_access_log_tells_the_trace)
{
    struct server *server = server_new();
    const char *json = server_path(server, "access/json"),
               *words = server_path(server, "access/words");

    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777); /* workers have another user than root */
    server_conf(server, "load_module modules/access_log.so; load_module modules/traces.so;",
                "filter access_log { path access/json; buffer 0; }"
                "filter access_log { path access/words; buffer 0;"
                " format \"$method $trace_id/$span_id|\"; } method trace;");
    server_start_alone(server);
    int client = client_connect(server);

    expect_trace(client, "," MEMBER("1"), "[\"" PARENT("1") "\",null]");
    expect_trace(client, "", "[null,null]");
    /* refused before any handler has seen it */
    client_send_frame(client, "{\"in\":\"none\"," MEMBER("2") "}");
    client_expect_error(client, "method_not_found");
    client_send_frame(client, "{" MEMBER("3") ",");
    client_expect_error(client, "parse_error");
    wait_until(access(words, R_OK) == 0 && strstr(file_read(words, NULL), TRACE("3")) != NULL,
               "the log never tells of the last request");
    expect_part(file_read(words, NULL), "trace " TRACE("1") "/" SPAN "|\ntrace -/-|\nnone " TRACE(
                                            "2") "/" SPAN "|\n " TRACE("3") "/" SPAN "|\n");
    const char *lines = file_read(json, NULL);
    expect_part(lines,
                ",\"generation\":1,\"trace_id\":\"" TRACE("1") "\",\"span_id\":\"" SPAN "\"}\n");
    expect_part(lines, ",\"generation\":1}\n");
    close(client);
}
END_TEST

/* Unchanged, whatever the client's protocol is, also when it is named in `pass`. */
START_TEST(a_proxy_hands_the_trace_on)
{
    struct server *back = server_serve("load_module modules/traces.so;", "method trace;");
    struct server *front = server_serve(
        keep_printf("load_module modules/proxy.so { upstream 127.0.0.1:%d; }", back->port),
        "method trace { handler proxy.forward; pass traceparent other; }");
    int client = client_connect(front);

    wait_until(strstr(client_ask(client, "{\"in\":\"trace\"}"), "[null,null]") != NULL,
               "the server behind does not come");
    expect_trace(client, "," MEMBER("1"), "[\"" PARENT("1") "\",null]");
    expect_trace(client, "," MEMBER("1") ",\"tracestate\":\"a=\\\\\\\"\"",
                 "[\"" PARENT("1") "\",\"a=\\\\\\\"\"]");
    expect_trace(client, ",\"traceparent\":\"x\"", "[null,null]");
    expect_part(post(front, "/trace", FIELD("1") "Tracestate: a=1\r\n", "{}"),
                "\r\n\r\n[\"" PARENT("1") "\",\"a=1\"]");
    close(client);
}
END_TEST

E2E_MAIN("trace", a_member_or_a_field_tells_the_trace,
         agents_tell_the_trace_beside_their_tools_arguments, the_log_tells_the_trace_of_a_request,
         the_access_log_tells_the_trace, a_proxy_hands_the_trace_on)
