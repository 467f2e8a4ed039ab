/* JSON-RPC 2.0 beside Pillion's own format: what a client is answered, with what is done, refused,
 * deferred and crashes; and that notifications are answered with nothing, whatever comes of them.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define V2       "\"jsonrpc\":\"2.0\""
#define PING(id) "{" V2 ",\"method\":\"ping\",\"id\":" id "}"
#define PONG(id) "{" V2 ",\"result\":null,\"id\":" id "}"

static struct server *serve(const char *main_text, const char *server_text)
{
    return server_serve_alone(
        keep_printf("load_module modules/sums.so; load_module modules/later.so; %s", main_text),
        keep_printf("method ping; method subtract; method sum; method get_data; method update; "
                    "method notify_hello; method notify_sum; method updates; method refuse; "
                    "method wait; method hold; method hold_again; method let_go; method nap; "
                    "method crash_now; method dies_in_thread; method forgets; method minus; %s",
                    server_text));
}

/* Expects an error as the next reply: its number, code and id (JSON), and returns its message. */
static const char *expect_error(int client, int number, const char *code, const char *id)
{
    const cJSON *reply = client_receive_json(client);
    const cJSON *error = cJSON_GetObjectItem(reply, "error");
    const cJSON *data = cJSON_GetObjectItem(error, "data");
    const char *text = keep(cJSON_PrintUnformatted(reply));
    const char *got = cJSON_GetStringValue(cJSON_GetObjectItem(data, "code"));
    const char *message = cJSON_GetStringValue(cJSON_GetObjectItem(error, "message"));
    const char *again = cJSON_GetStringValue(cJSON_GetObjectItem(data, "message"));

    if (got == NULL || message == NULL || again == NULL || strcmp(message, again) != 0)
        fail_test("%s is no error", text);
    if (strcmp(got, code) != 0 || cJSON_GetObjectItem(error, "code")->valueint != number)
        fail_test("%s instead of %s, %d", text, code, number);
    expect_part(text, keep_printf(",\"id\":%s}", id));
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "jsonrpc")), "2.0");
    ck_assert_ptr_null(cJSON_GetObjectItem(reply, "result"));
    return message;
}

/* Nothing has been answered to what was sent before. */
static void expect_nothing_but_pong(int client)
{
    client_send_frame(client, PING("\"next\""));
    client_expect(client, PONG("\"next\""));
}

/* ---- The specification's examples (section 7); test_batch.c has its batches ---- */

START_TEST(the_examples_of_the_specification_are_answered)
{
    static const char *const calls[][2] = {
        {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": [42, 23], \"id\": 1}",
         "{" V2 ",\"result\":19,\"id\":1}"},
        {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": [23, 42], \"id\": 2}",
         "{" V2 ",\"result\":-19,\"id\":2}"},
        {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": {\"subtrahend\": 23, "
         "\"minuend\": 42}, \"id\": 3}",
         "{" V2 ",\"result\":19,\"id\":3}"},
        {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": {\"minuend\": 42, "
         "\"subtrahend\": 23}, \"id\": 4}",
         "{" V2 ",\"result\":19,\"id\":4}"},
    };
    struct server *server = serve("", "");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        client_send_frame(client, calls[i][0]);
        client_expect(client, calls[i][1]);
    }
    client_send_frame(client,
                      "{\"jsonrpc\": \"2.0\", \"method\": \"update\", \"params\": [1,2,3,4,5]}");
    client_send_frame(client, "{\"jsonrpc\": \"2.0\", \"method\": \"foobar\"}");
    expect_nothing_but_pong(client);
    client_send_frame(client, "{\"jsonrpc\": \"2.0\", \"method\": \"foobar\", \"id\": \"1\"}");
    expect_error(client, -32601, "method_not_found", "\"1\"");
    client_send_frame(client,
                      "{\"jsonrpc\": \"2.0\", \"method\": \"foobar, \"params\": \"bar\", \"baz]");
    expect_error(client, -32700, "parse_error", "null");
    client_send_frame(client, "{\"jsonrpc\": \"2.0\", \"method\": 1, \"params\": \"bar\"}");
    expect_error(client, -32600, "invalid_request", "null");
    client_send_frame(
        client, "[{\"jsonrpc\": \"2.0\", \"method\": \"sum\", \"params\": [1,2,4], \"id\": \"1\"},"
                "{\"jsonrpc\": \"2.0\", \"method\"]");
    expect_error(client, -32700, "parse_error", "null");
    client_send_frame(client, "[]");
    expect_error(client, -32600, "invalid_request", "null");
    client_expect_alive(client);
}
END_TEST

START_TEST(ids_of_every_kind_come_back_byte_for_byte)
{
    static const char *const ids[] = {
        "null",           "0",           "-1.50e+07", "123456789012345678901234567890", "\"\"",
        "\"\\u0041\\n\"", "\"\xc3\xbc\""};
    struct server *server = serve("", "");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        client_send_frame(client, keep_printf(PING("%s"), ids[i]));
        client_expect(client, keep_printf(PONG("%s"), ids[i]));
        client_send_frame(client, keep_printf("{\"id\":%s," V2 ",\"method\":\"nobody\"}", ids[i]));
        const char *reply = client_receive(client, NULL);
        expect_part(reply, "\"error\":{\"code\":-32601,");
        expect_part(reply, keep_printf("},\"id\":%s}", ids[i]));
    }
}
END_TEST

START_TEST(params_by_position_get_the_names_that_the_method_declares)
{
    struct server *server = serve("", "method again { handler sums.minus; }");
    int client = client_connect(server);

    client_send_frame(client, "{" V2 ",\"method\":\"minus\",\"params\":[42,23],\"id\":1}");
    client_expect(client, "{" V2 ",\"result\":19,\"id\":1}");
    client_send_frame(client, "{" V2 ",\"method\":\"again\",\"params\":[ 23 , 42 ],\"id\":2}");
    client_expect(client, "{" V2 ",\"result\":-19,\"id\":2}");
    client_send_frame(client, "{" V2 ",\"method\":\"minus\",\"params\":{\"subtrahend\":1,"
                              "\"minuend\":3},\"id\":3}");
    client_expect(client, "{" V2 ",\"result\":2,\"id\":3}");
    client_send_frame(client, "{" V2 ",\"method\":\"minus\",\"params\":[1],\"id\":4}");
    expect_part(expect_error(client, -32602, "invalid_params", "4"), "give minuend");
    client_send_frame(client, "{" V2 ",\"method\":\"minus\",\"params\":[1,2,3],\"id\":5}");
    expect_part(expect_error(client, -32602, "invalid_params", "5"), "at most 2 params");
    client_send_frame(client, "{" V2 ",\"method\":\"minus\",\"params\":[1,2,3]}");
    /* An array in Pillion's own format is what it is. */
    client_send_frame(client, "{\"in\":\"minus\",\"params\":[42,23]}");
    client_expect_error(client, "invalid_params");
    ck_assert_double_eq(server_calls(server, "minus", "calls"), 6);
    ck_assert_double_eq(server_calls(server, "minus", "errors"), 4);
}
END_TEST

/* One connection may speak both, request by request. */
START_TEST(every_reply_has_the_format_of_its_request)
{
    struct server *server = serve("", "");
    int client = client_connect(server);

    client_send_frame(client, PING("1"));
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_send_frame(client, "{" V2 ",\"method\":\"refuse\",\"id\":3}");
    client_send_frame(client, "{\"in\":\"refuse\",\"id\":4}");
    client_send_frame(client, "{" V2 ",\"method\":\"update\"}");
    client_send_frame(client, "{\"in\":\"nobody\",\"id\":5}");
    client_expect(client, PONG("1"));
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    client_expect(client,
                  "{" V2 ",\"error\":{\"code\":50000,\"message\":\"there is no \\\"Gouda\\\" "
                  "left\",\"data\":{\"code\":\"out_of_cheese\",\"message\":\"there is no "
                  "\\\"Gouda\\\" left\"}},\"id\":3}");
    client_expect(client, "{\"out\":\"error\",\"result\":{\"code\":\"out_of_cheese\",\"message\":"
                          "\"there is no \\\"Gouda\\\" left\"},\"id\":4}");
    client_expect(client, "{\"out\":\"error\",\"result\":{\"code\":\"method_not_found\","
                          "\"message\":\"there is no method \\\"nobody\\\" here\"},\"id\":5}");
}
END_TEST

START_TEST(faults_are_told_in_its_format)
{
    static const struct {
        const char *body;
        int number;
        const char *code, *id;
    } cases[] = {
        {"{\"jsonrpc\":\"1.0\",\"method\":\"ping\",\"id\":1}", -32600, "invalid_request", "1"},
        {"{" V2 ",\"in\":\"ping\",\"id\":2}", -32600, "invalid_request", "2"},
        {"{" V2 ",\"method\":\"ping\",\"params\":7,\"id\":3}", -32600, "invalid_request", "3"},
        {"{" V2 ",\"method\":\"ping\",\"id\":[4]}", -32600, "invalid_request", "null"},
        {"{" V2 ",\"method\":\"ping\",\"params\":\"x\"}", -32600, "invalid_request", "null"},
        {"{" V2 ",\"id\":5,\"method\":}", -32700, "parse_error", "5"},
        {"{" V2 ",\"method\":\"rpc.describe\",\"id\":6}", -32602, "invalid_params", "6"},
        {"{" V2 ",\"method\":\"forgets\",\"id\":7}", -32603, "internal_error", "7"},
        {"{" V2 ",\"method\":\"hold\",\"params\":{\"timeout\":20},\"id\":8}", 50400, "timeout",
         "8"},
    };
    struct server *server = serve("", "method rpc.describe;");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        client_send_frame(client, cases[i].body);
        expect_error(client, cases[i].number, cases[i].code, cases[i].id);
    }
    client_expect_alive(client);
}
END_TEST

/* On one port: the same requests in lines, and as editors send them. */
START_TEST(every_framing_carries_it)
{
    static const char *const calls[][2] = {
        {PING("1"), PONG("1")},
        {"{" V2 ",\"method\":\"update\"}", NULL},
        {"{" V2 ",\"method\":\"nobody\"}", NULL},
        {"{" V2 ",\"method\":\"wait\",\"params\":{\"ms\":1}}", NULL},
        {"{" V2 ",\"method\":\"minus\",\"params\":[3,1],\"id\":\"m\"}",
         "{" V2 ",\"result\":2,\"id\":\"m\"}"},
        {"{" V2 ",\"method\":\"nobody\",\"id\":2}",
         "{" V2
         ",\"error\":{\"code\":-32601,\"message\":\"there is no method \\\"nobody\\\" here\","
         "\"data\":{\"code\":\"method_not_found\",\"message\":\"there is no method \\\"nobody\\\" "
         "here\"}},\"id\":2}"},
        {"[1,", "{" V2 ",\"error\":{\"code\":-32700,\"message\":\"the text ends before its value "
                "does, at byte 3\",\"data\":{\"code\":\"parse_error\",\"message\":\"the text ends "
                "before its value does, at byte 3\"}},\"id\":null}"},
    };
    struct server *server = serve("", "");
    char *lines[2] = {"", ""}, *messages[2] = {"", ""};

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        for (int way = 0; way < 2; way++) {
            const char *text = calls[i][way];
            if (text == NULL)
                continue;
            lines[way] = keep_printf("%s%s\n", lines[way], text);
            messages[way] =
                keep_printf("%sContent-Length: %zu\r\n\r\n%s", messages[way], strlen(text), text);
        }
    }
    for (size_t piece = 1; piece < 1000; piece += piece < 20 ? 1 : 113) {
        int client = client_connect(server), editor = client_connect(server);
        client_exchange(client, lines[0], strlen(lines[0]), piece, lines[1], strlen(lines[1]));
        client_exchange(editor, messages[0], strlen(messages[0]), piece, messages[1],
                        strlen(messages[1]));
        close(client);
        close(editor);
    }
}
END_TEST

/* A frame that is too large was never read: nothing tells its format, not the request before it. */
START_TEST(a_frame_that_is_too_large_is_no_notification)
{
    struct server *server = serve("", "max_frame 1k;");
    int client = client_connect(server);
    struct buffer bytes = {0};

    buffer_add_frame(&bytes, "{" V2 ",\"method\":\"update\"}");
    buffer_add(&bytes, "\xff\xff\x00\x00", 4);
    client_send(client, bytes.data, bytes.size);
    client_expect_error(client, "frame_too_large");
    client_expect_end(client);
    free(bytes.data);
}
END_TEST

/* ---- Notifications ---- */

START_TEST(notifications_run_and_are_counted_and_have_no_reply)
{
    struct server *server = serve("", "");
    int client = client_connect(server);

    for (int i = 0; i < 10; i++) {
        client_send_frame(client, "{" V2 ",\"method\":\"update\",\"params\":[1]}");
        client_send_frame(client, "{" V2 ",\"method\":\"refuse\"}");
        client_send_frame(client, "{" V2 ",\"method\":\"nobody\"}");
    }
    expect_nothing_but_pong(client);
    client_send_frame(client, "{" V2 ",\"method\":\"updates\",\"id\":1}");
    client_expect(client, "{" V2 ",\"result\":10,\"id\":1}");
    ck_assert_double_eq(server_calls(server, "update", "calls"), 10);
    ck_assert_double_eq(server_calls(server, "refuse", "calls"), 10);
    ck_assert_double_eq(server_calls(server, "refuse", "errors"), 10);
}
END_TEST

START_TEST(notifications_may_be_pipelined_in_any_number)
{
    struct server *server = serve("", "");
    int client = client_connect(server);
    struct buffer out = {0}, in = {0};

    for (int i = 0; i < 20000; i++) {
        buffer_add_frame(&out, "{" V2 ",\"method\":\"update\",\"params\":[%d]}", i);
        if (i % 777 == 0) {
            buffer_add_frame(&out, PING("%d"), i);
            buffer_add_frame(&in, PONG("%d"), i);
        }
    }
    buffer_add_frame(&out, "{" V2 ",\"method\":\"updates\",\"id\":\"n\"}");
    buffer_add_frame(&in, "{" V2 ",\"result\":20000,\"id\":\"n\"}");
    client_exchange(client, out.data, out.size, 0, in.data, in.size);
    free(out.data);
    free(in.data);
}
END_TEST

/* They wait, run in threads, time out: nothing comes, and nothing waits for them. */
START_TEST(notifications_may_be_deferred)
{
    struct server *server = serve("", "max_inflight 8;");
    int client = client_connect(server), other = client_connect(server);

    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{" V2 ",\"method\":\"wait\",\"params\":{\"ms\":1}}");
        client_send_frame(client, "{" V2 ",\"method\":\"nap\",\"params\":{\"ms\":1}}");
        client_send_frame(client, "{" V2 ",\"method\":\"hold\",\"params\":{\"timeout\":1}}");
    }
    client_send_frame(client, "{" V2 ",\"method\":\"hold\",\"params\":{\"key\":1}}");
    wait_until(server_stat(server, "connections.deferred") == 10, "they are not under way");
    wait_until(server_stat(server, "connections.timeouts") == 3, "they have not timed out");
    /* A request without an id has a place among the replies; notifications have none. */
    client_send_frame(client, "{\"in\":\"ping\",\"params\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":1}");
    client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":1}}");
    client_expect(other, "{\"out\":\"let_go\",\"result\":true}");
    expect_nothing_but_pong(client);
    ck_assert_double_eq(server_calls(server, "hold", "calls"), 4);
    ck_assert_double_eq(server_calls(server, "hold", "errors"), 3);
}
END_TEST

START_TEST(the_end_of_a_client_that_has_only_notified_comes_in_order)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client, "{" V2 ",\"method\":\"update\"}");
    client_send_frame(client, "{" V2 ",\"method\":\"wait\",\"params\":{\"ms\":20}}");
    client_finish(client);
    client_expect_end(client);
    client_send_frame(other, "{" V2 ",\"method\":\"updates\",\"id\":1}");
    client_expect(other, "{" V2 ",\"result\":1,\"id\":1}");
    ck_assert_double_eq(server_calls(server, "wait", "calls"), 1);
}
END_TEST

/* ---- Crashes ---- */

START_TEST(a_crash_is_answered_in_its_format)
{
    struct server *server = serve("quarantine_crashes 3;", "");
    int client = client_connect(server), other = client_connect(server);

    server->reports_allowed = true;
    client_send_frame(client, "{" V2 ",\"method\":\"crash_now\",\"id\":\"c\"}");
    expect_part(expect_error(client, 50001, "module_crashed", "\"c\""), "crash_now");
    client_send_frame(client, "{" V2 ",\"method\":\"dies_in_thread\",\"id\":7}");
    expect_error(client, 50001, "module_crashed", "7");
    /* Requests that wait when another one crashes: lost, run again, and not begun. */
    client_send_frame(client, "{" V2 ",\"method\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{" V2 ",\"method\":\"hold_again\",\"params\":{\"key\":2},\"id\":2}");
    wait_until(server_stat(server, "connections.deferred") >= 2, "they are not under way");
    client_send_frame(other, "{" V2 ",\"method\":\"crash_now\",\"id\":3}");
    expect_error(other, 50001, "module_crashed", "3");
    expect_error(client, 50001, "module_crashed", "1");
    wait_until((client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":2}}"),
                strstr(client_receive(other, NULL), "true") != NULL),
               "it is not run again");
    client_expect(client, "{" V2 ",\"result\":{\"key\":2},\"id\":2}");
    /* The third crash. */
    client_send_frame(client, "{" V2 ",\"method\":\"crash_now\",\"id\":4}");
    expect_error(client, 50001, "module_crashed", "4");
    wait_until((client_send_frame(client, "{" V2 ",\"method\":\"crash_now\",\"id\":5}"),
                strstr(client_receive(client, NULL), "50301") != NULL),
               "it is not quarantined");
    expect_nothing_but_pong(client);
}
END_TEST

/* True once so many crashes are counted. A crash may also meet the very request that asks. */
static bool has_crashed(const struct server *server, int times)
{
    int client = client_connect(server);
    const char *stats = client_call(client, "rpc.stats", "null");

    close(client);
    return strstr(stats, keep_printf("\"crashes\":%d,", times)) != NULL;
}

START_TEST(a_notification_that_crashes_is_answered_with_nothing)
{
    struct server *server = serve("quarantine_crashes off;", "");
    int client = client_connect(server), other = client_connect(server);

    server->reports_allowed = true;
    for (int i = 1; i <= 3; i++) {
        /* One that is deferred, one that crashes, one behind it. */
        client_send_frame(client, "{" V2 ",\"method\":\"hold\",\"params\":{\"key\":1}}");
        client_send_frame(client, i == 2 ? "{" V2 ",\"method\":\"dies_in_thread\"}"
                                         : "{" V2 ",\"method\":\"crash_now\"}");
        wait_until(has_crashed(server, i), "it has not crashed");
        client_send_frame(client, "{" V2 ",\"method\":\"update\"}");
        client_expect_alive(other);
        expect_nothing_but_pong(client);
    }
    ck_assert_double_eq(server_calls(server, "crash_now", "errors"), 2);
    wait_until(server_calls(server, "hold", "errors") == 3, "the lost ones are not counted");
}
END_TEST

/* Three at once, all of which the former worker had in hand. */
START_TEST(pipelined_requests_around_a_notification_that_crashes_are_answered)
{
    struct server *server = serve("quarantine_crashes off;", "");
    int client = client_connect(server);
    struct buffer bytes = {0};

    server->reports_allowed = true;
    for (int i = 0; i < 3; i++) {
        bytes.size = 0;
        buffer_add_frame(&bytes, PING("1"));
        buffer_add_frame(&bytes, "{" V2 ",\"method\":\"update\"}");
        buffer_add_frame(&bytes, "{" V2 ",\"method\":\"crash_now\"}");
        buffer_add_frame(&bytes, "{" V2 ",\"method\":\"update\"}");
        buffer_add_frame(&bytes, "{\"in\":\"ping\",\"params\":2}");
        client_send(client, bytes.data, bytes.size);
        client_expect(client, PONG("1"));
        client_expect(client, "{\"out\":\"pong\",\"result\":2}");
    }
    free(bytes.data);
    ck_assert_double_eq(server_calls(server, "update", "calls"), 6);
}
END_TEST

E2E_MAIN("jsonrpc", the_examples_of_the_specification_are_answered,
         ids_of_every_kind_come_back_byte_for_byte,
         params_by_position_get_the_names_that_the_method_declares,
         every_reply_has_the_format_of_its_request, faults_are_told_in_its_format,
         every_framing_carries_it, a_frame_that_is_too_large_is_no_notification,
         notifications_run_and_are_counted_and_have_no_reply,
         notifications_may_be_pipelined_in_any_number, notifications_may_be_deferred,
         the_end_of_a_client_that_has_only_notified_comes_in_order,
         a_crash_is_answered_in_its_format, a_notification_that_crashes_is_answered_with_nothing,
         pipelined_requests_around_a_notification_that_crashes_are_answered)
