/* A request's `deadline`: the client waits so many milliseconds from when the request is read, and
 * what has not begun by then is not begun. */
#include "harness.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define METHODS                                                                               \
    "method ping; method wait; method retry; method cancels; method sleep_on; method tally; " \
    "method wake; method time_left;"

static struct server *serve(const char *main_text)
{
    return server_serve_alone(keep_printf("load_module modules/later.so; %s", main_text), METHODS);
}

START_TEST(a_request_that_waits_is_answered_when_its_client_gives_up)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":100}");
    expect_part(client_expect_error(client, "deadline_exceeded"),
                "\"wait\" was not answered within the deadline of its request");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1},\"deadline\":600000}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":1}}");
    ck_assert_double_eq(server_calls(server, "wait", "errors"), 1);
    ck_assert_double_eq(server_stat(server, "connections.timeouts"), 0);
}
END_TEST

START_TEST(its_module_is_told_to_give_up)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"cancels\",\"params\":{\"how\":\"same\"},\"deadline\":50}");
    client_expect_error(client, "deadline_exceeded");
    server_wait_log(server, "the first is told");
    client_expect_alive(client);
}
END_TEST

/* The one thread of the pool is taken: the work waits for it beyond the deadline. */
START_TEST(work_that_waits_for_a_thread_beyond_the_deadline_is_not_begun)
{
    struct server *server = serve("pool_threads 1;");
    int busy = client_connect(server), client = client_connect(server);

    client_send_frame(busy, "{\"in\":\"sleep_on\"}");
    wait_until(server_stat(server, "pool.busy") == 1, "no thread is taken");
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"tally\",\"deadline\":50}");
        client_expect_error(client, "deadline_exceeded");
    }
    client_send_frame(client, "{\"in\":\"wake\"}");
    client_expect(client, "{\"out\":\"wake\",\"result\":null}");
    client_receive(busy, NULL);
    client_send_frame(client, "{\"in\":\"tally\",\"deadline\":600000}");
    client_expect(client, "{\"out\":\"tally\",\"result\":1}");
}
END_TEST

/* Nothing waits there: a handler begins when its request is read. */
START_TEST(what_is_answered_at_once_is_never_late)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\",\"deadline\":0.001,\"id\":1}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":1}");
}
END_TEST

START_TEST(what_is_no_time_is_ignored_as_other_members_are)
{
    static const char *const values[] = {"0", "-1", "null", "\"50\"", "[1]", "{\"a\":1}", "1e999"};
    struct server *server = serve("");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        client_send_frame(client, keep_printf("{\"in\":\"time_left\",\"deadline\":%s}", values[i]));
        client_expect(client, "{\"out\":\"left\",\"result\":null}");
        client_send_frame(client, keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":60},"
                                              "\"deadline\":%s}",
                                              values[i]));
        client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":60}}");
    }
    client_send_frame(client, "{\"in\":\"time_left\",\"params\":{\"deadline\":5}}");
    client_expect(client, "{\"out\":\"left\",\"result\":null}");
}
END_TEST

/* Replies keep their order, and others go on. */
START_TEST(a_deadline_in_the_middle_keeps_the_order)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":20}");
    client_send_frame(client, "{\"in\":\"ping\"}");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":300}}");
    client_expect_error(client, "deadline_exceeded"); /* read when the first was answered */
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
}
END_TEST

START_TEST(a_reload_leaves_the_deadline_as_it_is)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":1000}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing is deferred");
    server_reload(server);
    client_expect_error(client, "deadline_exceeded");
    client_expect_alive(client);
}
END_TEST

START_TEST(json_rpc_has_deadlines_too)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"jsonrpc\":\"2.0\",\"method\":\"wait\",\"id\":7,"
                              "\"params\":{\"ms\":600000},\"deadline\":50}");
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":50401,");
    expect_part(reply, "\"data\":{\"code\":\"deadline_exceeded\",");
    client_expect_alive(client);
}
END_TEST

/* Sends a request of HTTP and returns the response, up to the server's end of the connection. */
static const char *post(const struct server *server, const char *path, const char *field,
                        const char *body)
{
    int client = client_connect(server);
    const char *request = keep_printf("POST %s HTTP/1.1\r\nHost: localhost\r\n%s"
                                      "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                                      path, field, strlen(body), body);
    static char response[4096];
    size_t size = 0;

    client_send(client, request, strlen(request));
    for (int64_t until = deadline_in(PATIENCE_MS);;) {
        ssize_t got = recv(client, response + size, sizeof(response) - 1 - size, MSG_DONTWAIT);
        if (got == 0 || deadline_over(until))
            break;
        if (got < 0)
            look_again();
        else
            size += (size_t)got;
    }
    response[size] = '\0';
    close(client);
    return response;
}

/* In a header field, or in a message; params are the method's own. */
START_TEST(http_has_deadlines_too)
{
    struct server *server = serve("");

    const char *response = post(server, "/wait", "Deadline-Ms: 50\r\n", "{\"ms\":600000}");
    expect_part(response, "HTTP/1.1 504 ");
    expect_part(response, "{\"code\":\"deadline_exceeded\",");
    response =
        post(server, "/", "", "{\"in\":\"wait\",\"params\":{\"ms\":600000},\"deadline\":50}");
    expect_part(response, "{\"code\":\"deadline_exceeded\",");
    expect_part(post(server, "/time_left", "", "{\"deadline\":5}"), "\r\n\r\nnull");
    expect_part(post(server, "/time_left", "Deadline-Ms: soon\r\n", "{}"), "\r\n\r\nnull");
}
END_TEST

E2E_MAIN("deadline", a_request_that_waits_is_answered_when_its_client_gives_up,
         its_module_is_told_to_give_up,
         work_that_waits_for_a_thread_beyond_the_deadline_is_not_begun,
         what_is_answered_at_once_is_never_late, what_is_no_time_is_ignored_as_other_members_are,
         a_deadline_in_the_middle_keeps_the_order, a_reload_leaves_the_deadline_as_it_is,
         json_rpc_has_deadlines_too, http_has_deadlines_too)
