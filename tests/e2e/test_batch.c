/* Batches of JSON-RPC: one array of answers, whatever its calls do, in every protocol; and that no
 * call is run twice when the worker dies in the middle. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2               "\"jsonrpc\":\"2.0\""
#define CALL(method, id) "{" V2 ",\"method\":\"" method "\",\"id\":" id "}"
#define NOTIFY(method)   "{" V2 ",\"method\":\"" method "\"}"
#define HOLD(method, key) \
    "{" V2 ",\"method\":\"" method "\",\"params\":{\"key\":" key "},\"id\":" key "}"
#define RESULT(result, id) "{" V2 ",\"result\":" result ",\"id\":" id "}"
#define FAILED(number, code, message, id)                           \
    "{" V2 ",\"error\":{\"code\":" number ",\"message\":\"" message \
    "\",\"data\":{\"code\":\"" code "\",\"message\":\"" message "\"}},\"id\":" id "}"
#define NO_OBJECT \
    FAILED("-32600", "invalid_request", "the request is not an object, at byte 0", "null")

static struct server *serve(const char *main_text, const char *server_text)
{
    struct server *server = server_new();

    server_conf(
        server,
        keep_printf("load_module modules/sums.so; load_module modules/later.so; "
                    "load_module modules/crash.so { journal %s; } quarantine_crashes off; "
                    "%s",
                    server_path(server, "run/journal"), main_text),
        keep_printf("method ping; method subtract; method sum; method get_data; method update; "
                    "method notify_hello; method notify_sum; method updates; method wait; "
                    "method hold; method hold_again; method let_go; method nap; method sleep_on; "
                    "method wake; method dies_in_thread; method refuse; method null; method noted; "
                    "method noted_again; method sleep; method hang; %s",
                    server_text));
    chmod(server_path(server, "run"), 0777); /* workers write the journal, as nobody */
    server_start_alone(server);
    server->reports_allowed = true;
    return server;
}

/* ---- Protocols ---- */

static char *as_frame(const char *body)
{
    uint32_t size = (uint32_t)strlen(body);
    char *frame = keep_printf("xxxx%s", body);

    for (unsigned i = 0; i < 4; i++)
        frame[i] = (char)(size >> 8 * i);
    return frame;
}

static void exchange(int client, const char *data, size_t size, size_t piece, const char *reply,
                     size_t reply_size)
{
    client_exchange(client, data, size, piece, reply, reply_size);
}

/* Posts the body and returns the response; chunks of `piece` bytes, 0: one body. */
static const char *post(const struct server *server, const char *body, size_t piece)
{
    struct buffer request = {0};
    size_t size = strlen(body);
    int client = client_connect(server);
    const char *head = keep_printf("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s",
                                   piece > 0 ? "Transfer-Encoding: chunked\r\n\r\n"
                                             : keep_printf("Content-Length: %zu\r\n\r\n", size));

    buffer_add(&request, head, strlen(head));
    for (size_t at = 0; piece > 0 && at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        const char *line = keep_printf("%zx\r\n", part);
        buffer_add(&request, line, strlen(line));
        buffer_add(&request, body + at, part);
        buffer_add(&request, "\r\n", 2);
    }
    if (piece > 0)
        buffer_add(&request, "0\r\n\r\n", 5);
    else
        buffer_add(&request, body, size);
    client_send(client, request.data, request.size);
    free(request.data);
    return client_receive_rest(client);
}

static void expect_posted(const struct server *server, const char *body, size_t piece,
                          const char *reply)
{
    const char *response = post(server, body, piece);
    const char *end = strstr(response, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    expect_part(response, reply[0] == '\0' ? "HTTP/1.1 204 " : "HTTP/1.1 200 ");
    expect_text(end + 4, reply);
}

/* The batch has this reply ("": none) in every protocol. */
static void expect_everywhere(const struct server *server, const char *batch, const char *reply)
{
    const char *pong = RESULT("null", "0"), *ping = CALL("ping", "0");
    bool none = reply[0] == '\0';

    for (size_t piece = 0; piece < 3; piece++) {
        const char *asked = as_frame(batch), *answered = as_frame(reply);
        struct buffer out = {0}, in = {0};
        int client = client_connect(server);
        buffer_add(&out, asked, 4 + strlen(batch));
        buffer_add_frame(&out, "%s", ping);
        if (!none)
            buffer_add(&in, answered, 4 + strlen(reply));
        buffer_add_frame(&in, "%s", pong);
        exchange(client, out.data, out.size, piece * 31, in.data, in.size);
        free(out.data);
        free(in.data);
        close(client);

        client = client_connect(server);
        const char *lines = keep_printf("%s\r\n%s\n", batch, ping);
        const char *expected =
            none ? keep_printf("%s\n", pong) : keep_printf("%s\n%s\n", reply, pong);
        exchange(client, lines, strlen(lines), piece * 31, expected, strlen(expected));
        close(client);

        client = client_connect(server);
        const char *messages =
            keep_printf("Content-Length: %zu\r\n\r\n%sContent-Length: %zu\r\n\r\n%s", strlen(batch),
                        batch, strlen(ping), ping);
        expected = keep_printf("Content-Length: %zu\r\n\r\n%s", strlen(pong), pong);
        if (!none)
            expected =
                keep_printf("Content-Length: %zu\r\n\r\n%s%s", strlen(reply), reply, expected);
        exchange(client, messages, strlen(messages), piece * 31, expected, strlen(expected));
        close(client);
        expect_posted(server, batch, piece * 5, reply);
    }
}

START_TEST(the_examples_of_the_specification_are_answered)
{
    struct server *server = serve("", "");

    expect_everywhere(
        server, "[]",
        FAILED("-32600", "invalid_request", "the batch has no elements, at byte 0", "null"));
    expect_everywhere(server, "[1]", "[" NO_OBJECT "]");
    expect_everywhere(server, "[1,2,3]", "[" NO_OBJECT "," NO_OBJECT "," NO_OBJECT "]");
    expect_everywhere(
        server,
        "[ {\"jsonrpc\": \"2.0\", \"method\": \"sum\", \"params\": [1,2,4], \"id\": \"1\"}, "
        "{\"jsonrpc\": \"2.0\", \"method\": \"notify_hello\", \"params\": [7]}, "
        "{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": [42,23], \"id\": \"2\"}, "
        "{\"foo\": \"boo\"}, "
        "{\"jsonrpc\": \"2.0\", \"method\": \"foo.get\", \"params\": {\"name\": \"myself\"}, "
        "\"id\": \"5\"}, "
        "{\"jsonrpc\": \"2.0\", \"method\": \"get_data\", \"id\": \"9\"} ]",
        "[" RESULT("7", "\"1\"") "," RESULT("19", "\"2\"") "," FAILED(
            "-32600", "invalid_request", "the request has no member \\\"jsonrpc\\\", at byte 0",
            "null") "," FAILED("-32601", "method_not_found",
                               "there is no method \\\"foo.get\\\" here",
                               "\"5\"") "," RESULT("[\"hello\",5]", "\"9\"") "]");
    expect_everywhere(server,
                      "[ {\"jsonrpc\": \"2.0\", \"method\": \"notify_sum\", \"params\": [1,2,4]}, "
                      "{\"jsonrpc\": \"2.0\", \"method\": \"notify_hello\", \"params\": [7]} ]",
                      "");
}
END_TEST

/* ---- Calls of every kind ---- */

START_TEST(deferred_calls_are_waited_for)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client,
                      "[" CALL("ping", "1") "," HOLD("hold", "2") "," CALL("nap", "3") ",4," NOTIFY(
                          "nap") "," HOLD("hold", "5") "," CALL("ping", "6") "]");
    /* Others overtake it. */
    client_send_frame(client, CALL("ping", "\"next\""));
    client_expect(client, RESULT("null", "\"next\""));
    expect_text(client_call(other, "let_go", "{\"key\":5}"),
                "{\"out\":\"let_go\",\"result\":true}");
    client_expect_alive(client);
    ck_assert(client_is_silent(client));
    client_call(other, "let_go", "{\"key\":2}");
    client_expect(client,
                  "[" RESULT("null", "1") "," RESULT("{\"key\":2}", "2") "," RESULT(
                      "null", "3") "," NO_OBJECT
                                   "," RESULT("{\"key\":5}", "5") "," RESULT("null", "6") "]");
    ck_assert_double_eq(server_calls(server, "nap", "calls"), 2);
    ck_assert_double_eq(server_calls(server, "ping", "errors"), 0);
}
END_TEST

START_TEST(a_batch_has_no_more_under_way_than_may_be)
{
    struct server *server = serve("", "max_inflight 3; max_batch 200;");
    int client = client_connect(server);
    struct buffer out = {0}, in = {0};

    for (int i = 0; i < 200; i++) {
        const char *call = keep_printf(
            "%c{" V2 ",\"method\":\"%s\",\"params\":{\"ms\":1},\"id\":%d}", i == 0 ? '[' : ',',
            i % 3 == 0   ? "ping"
            : i % 3 == 1 ? "wait"
                         : "nap",
            i);
        const char *reply = keep_printf("%c" RESULT("{\"ms\":1}", "%d"), i == 0 ? '[' : ',', i);
        buffer_add(&out, call, strlen(call));
        buffer_add(&in, reply, strlen(reply));
    }
    buffer_add(&out, "]", 2);
    buffer_add(&in, "]", 2);
    client_send_frame(client, out.data);
    client_expect(client, in.data);
    free(out.data);
    free(in.data);
}
END_TEST

START_TEST(a_batch_that_is_too_large_is_one_error)
{
    struct server *server = serve("", "max_batch 3;");
    int client = client_connect(server);

    client_send_frame(client, "[" NOTIFY("update") "," NOTIFY("update") "," NOTIFY("update") "]");
    client_send_frame(client, "[" NOTIFY("update") ",1,2,3]");
    client_expect(client, FAILED("-32600", "invalid_request",
                                 "the batch has more than 3 calls, which are all it may have "
                                 "(max_batch)",
                                 "null"));
    client_send_frame(client, CALL("updates", "1"));
    client_expect(client, RESULT("3", "1"));
    /* Also behind one that is under way. */
    client_send_frame(client, "[" HOLD("hold", "1") "]");
    client_send_frame(client, "[1,2,3,4]");
    expect_part(client_receive(client, NULL), "(max_batch)");
    client_call(client, "let_go", "{\"key\":1}");
    client_expect(client, "[" RESULT("{\"key\":1}", "1") "]");
}
END_TEST

/* Answers that are larger than a reply may be, each of which would fit alone. */
START_TEST(answers_that_do_not_fit_become_brief_errors)
{
    struct server *server = serve("arena_size 1m;", "max_frame 16k; method let_grow;");
    int client = client_connect(server), other = client_connect(server);

    /* Three of 100,000 bytes, of which 262,144 fit: a quarter of the arena. */
#define GROWS(id) \
    "{" V2 ",\"method\":\"hold\",\"params\":{\"key\":" id ",\"size\":100000},\"id\":" id "}"
    client_send_frame(client,
                      "[" GROWS("1") "," GROWS("2") "," GROWS("3") "," CALL("ping", "4") "]");
    wait_until(server_stat(server, "connections.deferred") == 3, "they are not under way");
    client_call(other, "let_grow", "{}");
    const char *reply = client_receive(client, NULL);
    ck_assert_uint_gt(strlen(reply), 200000);
    ck_assert_uint_lt(strlen(reply), 210000);
    expect_part(reply, "beside the batch's others\"}},\"id\":");
    expect_part(reply + strlen(reply) - 60, "," RESULT("null", "4") "]");
    client_expect_alive(client);
}
END_TEST

/* A batch of slow calls holds up nobody else. */
START_TEST(a_long_batch_gives_way_to_other_connections)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);
    struct buffer batch = {0};

    for (int i = 0; i < 100; i++) {
        const char *call = keep_printf("%c{" V2 ",\"method\":\"sleep\",\"params\":[20],\"id\":%d}",
                                       i == 0 ? '[' : ',', i);
        buffer_add(&batch, call, strlen(call));
    }
    buffer_add(&batch, "]", 2);
    client_send_frame(client, batch.data);
    wait_until(server_calls(server, "sleep", "calls") > 0, "it has not begun");
    client_expect_alive(other);
    /* Seen by the count, not by a clock: the batch was in its middle. */
    ck_assert_double_lt(server_calls(server, "sleep", "calls"), 100);
    ck_assert(client_is_silent(client));
    expect_part(client_receive(client, NULL), "\"id\":99}]");
    free(batch.data);
}
END_TEST

START_TEST(a_client_that_goes_takes_its_batch_along)
{
    struct server *server = serve("", "");

    for (int i = 0; i < 3; i++) {
        int client = client_connect(server);
        client_send_frame(
            client, "[" HOLD("hold", "1") "," CALL("sleep_on", "2") "," CALL("ping", "3") "]");
        wait_until(server_stat(server, "connections.deferred") == 2 * (i + 1), "not under way");
        client_vanish(client);
        wait_until(server_stat(server, "connections.cancelled") >= i + 1, "it is not dropped");
    }
    int other = client_connect(server);
    expect_part(client_call(other, "wake", "1"), "wake");
    wait_until(server_stat(server, "connections.cancelled") == 6, "a thread's is not over");
    client_expect_alive(other);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

/* ---- Reloads and crashes ---- */

/* What the journal has of the calls that were run, one after the other. */
static void expect_journal(const struct server *server, const char *text)
{
    expect_text(file_read(server_path(server, "run/journal"), NULL), text);
}

#define NAP(id) "{" V2 ",\"method\":\"nap\",\"params\":{\"ms\":400},\"id\":" id "}"

START_TEST(a_reload_in_the_middle_costs_nothing)
{
    struct server *server = serve("", "max_inflight 2;");
    int client = client_connect(server);

    client_send_frame(client, "[" NAP("1") "," NAP("2") "," CALL("noted", "3") "," NAP("4") "]");
    wait_until(server_stat(server, "connections.deferred") >= 2, "it is not under way");
    server_reload(server);
    client_expect(client,
                  "[" RESULT("{\"ms\":400}", "1") "," RESULT("{\"ms\":400}", "2") "," RESULT(
                      "null", "3") "," RESULT("{\"ms\":400}", "4") "]");
    client_expect_alive(client);
    expect_journal(server, "noted 3\n");
}
END_TEST

#define LOST(method, id)                                                                       \
    FAILED("50001", "module_crashed",                                                          \
           "this request of \\\"" method "\\\" was carried out, and its answer was lost with " \
           "the worker, which ended before the batch was answered",                            \
           id)
#define CRASHED(method, id)                                                                       \
    FAILED("50001", "module_crashed", "\\\"" method "\\\" crashed while it handled this request", \
           id)
#define ORPHANED(method, id)                                                                 \
    FAILED("50001", "module_crashed",                                                        \
           "the worker that handled this request of \\\"" method "\\\" ended before it was " \
           "answered",                                                                       \
           id)

/* Calls that were answered keep their answers, and are not run again even where that were right. */
START_TEST(a_crash_in_the_middle_runs_no_call_twice)
{
    static const char batch[] = "[" CALL("noted", "1") "," CALL("noted_again", "2") "," NOTIFY(
        "noted") ",7," CALL("null", "3") "," CALL("noted", "4") ", " NOTIFY("noted_again") " ]";
    static const char reply[] = "[" RESULT("null", "1") "," RESULT(
        "null", "2") "," NO_OBJECT "," CRASHED("null", "3") "," RESULT("null", "4") "]";
    static const char journal[] = "noted 1\nnoted_again 2\nnoted \nnull 3\n"
                                  "noted 4\nnoted_again \n";
    struct server *server = serve("", "");

    for (int i = 0; i < 4; i++) {
        const char *line = keep_printf("%s\n", batch), *line_reply = keep_printf("%s\n", reply);
        int client = client_connect(server);
        unlink(server_path(server, "run/journal"));
        if (i == 0)
            client_send_frame(client, batch);
        if (i == 0)
            client_expect(client, reply);
        else if (i == 1)
            exchange(client, line, strlen(line), 0, line_reply, strlen(line_reply));
        else
            expect_posted(server, batch, i == 2 ? 0 : 3, reply);
        expect_journal(server, journal);
        wait_until(server_stat(server, "crashes") == i + 1, "it has not crashed");
    }
}
END_TEST

/* Where the arena has no room to keep answers for the next worker, they are lost with theirs, and
 * say so. */
START_TEST(answers_that_find_no_room_are_lost_with_their_worker)
{
    struct server *server = serve("arena_size 1m;", "max_frame 16k;");
    int client = client_connect(server);
    double before = server_stat(server, "connections.bytes_in");
    char part[1000] = "{"; /* many times what asking for the count sends */

    /* Each has a block of 4 KiB, of 256, for the frame that it has begun to send. */
    for (int i = 0; i < 220; i++) {
        int other = client_connect(server);
        client_announce(other, 2 * sizeof(part));
        client_send(other, part, sizeof(part));
    }
    wait_until(server_stat(server, "connections.bytes_in") >= before + 220 * sizeof(part),
               "not received");
    client_send_frame(client, "[" CALL("noted", "1") "," CALL("noted_again", "2") "," CALL(
                                  "null", "3") "," CALL("noted", "4") "]");
    client_expect(client, "[" LOST("noted", "1") "," RESULT("null", "2") "," CRASHED(
                              "null", "3") "," RESULT("null", "4") "]");
    expect_journal(server, "noted 1\nnoted_again 2\nnull 3\nnoted_again 2\nnoted 4\n");
}
END_TEST

/* Two crash; the first stays the first's. */
START_TEST(every_call_that_crashes_has_its_own_error)
{
    struct server *server = serve("", "");
    int client = client_connect(server);

    client_send_frame(client, "[" CALL("noted_again", "1") "," CALL("null", "2") "," CALL(
                                  "null", "3") "," NOTIFY("null") "," CALL("noted", "4") "]");
    client_expect(client, "[" RESULT("null", "1") "," CRASHED("null", "2") "," CRASHED(
                              "null", "3") "," RESULT("null", "4") "]");
    expect_journal(server, "noted_again 1\nnull 2\nnull 3\nnull \nnoted 4\n");
}
END_TEST

START_TEST(deferred_calls_of_a_batch_are_told_of_a_crash)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client,
                      "[" HOLD("hold", "1") "," HOLD("hold_again", "2") "," CALL("noted", "3") "]");
    wait_until(server_stat(server, "connections.deferred") == 2, "it is not under way");
    client_send_frame(other, CALL("null", "1"));
    client_expect(other, CRASHED("null", "1"));
    wait_until((client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":2}}"),
                strstr(client_receive(other, NULL), "true") != NULL),
               "it is not run again");
    client_expect(client, "[" ORPHANED("hold", "1") "," RESULT("{\"key\":2}",
                                                               "2") "," RESULT("null", "3") "]");
    /* One that dies in a thread is known by its place, too. */
    client_send_frame(client, "[" CALL("dies_in_thread", "5") "," HOLD("hold_again", "6") "]");
    /* Not before: an answer that the dying worker still took would be lost with it. */
    server_wait_log(server, "died while it ran \"dies_in_thread\"");
    wait_until((client_send_frame(other, "{\"in\":\"let_go\",\"params\":{\"key\":6}}"),
                strstr(client_receive(other, NULL), "true") != NULL),
               "it is not run again");
    client_expect(client, "[" CRASHED("dies_in_thread", "5") "," RESULT("{\"key\":6}", "6") "]");
}
END_TEST

START_TEST(a_call_that_hangs_is_ended_and_the_others_go_on)
{
    struct server *server = serve("handler_timeout 300ms;", "");
    int client = client_connect(server);

    client_send_frame(client, "[" CALL("hang", "1") "," CALL("noted", "2") "]");
    client_expect(client, "[" FAILED("50400", "timeout",
                                     "\\\"hang\\\" took longer than it may and was ended "
                                     "(handler_timeout)",
                                     "1") "," RESULT("null", "2") "]");
}
END_TEST

E2E_MAIN("batch", the_examples_of_the_specification_are_answered, deferred_calls_are_waited_for,
         a_batch_has_no_more_under_way_than_may_be, a_batch_that_is_too_large_is_one_error,
         answers_that_do_not_fit_become_brief_errors, a_long_batch_gives_way_to_other_connections,
         a_client_that_goes_takes_its_batch_along, a_reload_in_the_middle_costs_nothing,
         a_crash_in_the_middle_runs_no_call_twice,
         answers_that_find_no_room_are_lost_with_their_worker,
         every_call_that_crashes_has_its_own_error, deferred_calls_of_a_batch_are_told_of_a_crash,
         a_call_that_hangs_is_ended_and_the_others_go_on)
