/* What modules keep for connections: how long it lasts, over every protocol, and how it ends. */
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define METHODS                                                                                \
    "method ping; method set { tool on; } method get { tool on; } method get_later; "          \
    "method get_by_call; method stay { filter seen; } method work_on { filter seen; } method " \
    "die;"

static struct server *serve(const char *main_text, const char *server_text)
{
    return server_serve_alone(
        keep_printf("load_module modules/visits.so; zone visits 64k; %s", main_text),
        keep_printf(METHODS "%s", server_text));
}

static int visit(const struct server *server, const char *name)
{
    int client = client_connect(server);

    client_send_frame(client, keep_printf("{\"in\":\"set\",\"params\":{\"name\":\"%s\"}}", name));
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    return client;
}

static void expect(int client, const char *method, const char *got)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\"}", method));
    client_expect(client, keep_printf("{\"out\":\"got\",\"result\":%s}", got));
}

/* The log tells of the end: once. */
static void expect_over(struct server *server, const char *name, const char *why)
{
    const char *over = keep_printf("visits: %s is over: ", name);
    const char *log = server_wait_log(server, keep_printf("%s%s", over, why));

    ck_assert_ptr_null(strstr(strstr(log, over) + 1, over));
}

START_TEST(values_are_their_connections_own_and_last_as_long)
{
    struct server *server = serve("", "");
    int one = visit(server, "Ada"), two = visit(server, "Bob"), none = client_connect(server);

    expect(one, "get", "[\"Ada\",1,false,\"\"]");
    expect(two, "get", "[\"Bob\",1,false,\"\"]");
    expect(none, "get", "[null,0,false,\"\"]");
    expect(one, "get_later", "[\"Ada\",2,false,\"\"]");
    expect(one, "get_by_call", "[\"Ada\",3,false,\"\"]");
    ck_assert_double_eq(server_metric(server, "visits", "here"), 2);
    close(one);
    expect_over(server, "Ada", "closed");
    client_vanish(two);
    expect_over(server, "Bob", "closed");
    ck_assert_double_eq(server_metric(server, "visits", "here"), 0);
    /* the next client has the place of one that is gone, and nothing of its own */
    for (int i = 0; i < 4; i++)
        expect(client_connect(server), "get", "[null,0,false,\"\"]");
}
END_TEST

START_TEST(a_value_ends_when_another_takes_its_place)
{
    struct server *server = serve("", "");
    int client = visit(server, "one");

    client_send_frame(client, "{\"in\":\"set\",\"params\":{\"name\":\"other\",\"key\":\"k\"}}");
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    client_send_frame(client, "{\"in\":\"set\",\"params\":{\"name\":\"two\"}}");
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    expect_over(server, "one", "replaced");
    expect(client, "get", "[\"two\",1,false,\"\"]");
    client_send_frame(client, "{\"in\":\"set\"}");
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    expect_over(server, "two", "replaced");
    expect(client, "get", "[null,0,false,\"\"]");
    close(client);
    expect_over(server, "other", "closed");
}
END_TEST

/* The kept-alive connections of HTTP and of agents are connections as others are. */
START_TEST(every_protocol_has_connections)
{
    static const char lines[] =
        "{\"in\":\"set\",\"params\":{\"name\":\"Ada\"}}\n{\"in\":\"get\"}\n";
    static const char set[] = "{\"name\":\"set\",\"arguments\":{\"name\":\"Eve\"}}";
    struct server *server = serve("", "");
    int client = client_connect(server);

    client_send(client, lines, sizeof(lines) - 1);
    client_finish(client);
    expect_part(client_receive_rest(client), "[\"Ada\",1,false,\"\"]");
    expect_over(server, "Ada", "closed");

    client = client_connect(server);
    const char *request = keep_printf("POST /set HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14"
                                      "\r\n\r\n{\"name\":\"Bob\"}"
                                      "GET /get HTTP/1.1\r\nHost: localhost\r\n"
                                      "Connection: close\r\n\r\n");
    client_send(client, request, strlen(request));
    expect_part(client_receive_rest(client), "[\"Bob\",1,false,\"\"]");
    expect_over(server, "Bob", "closed");

    client = client_connect(server);
    const char *body = keep_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
                                   "\"params\":%s}",
                                   set);
    request = keep_printf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                          "application/json\r\nAccept: application/json, text/event-stream\r\n"
                          "Content-Length: %zu\r\n\r\n%sPOST /get HTTP/1.1\r\nHost: localhost\r\n"
                          "Connection: close\r\nContent-Length: 0\r\n\r\n",
                          strlen(body), body);
    client_send(client, request, strlen(request));
    expect_part(client_receive_rest(client), "[\"Eve\",1,false,\"\"]");
    expect_over(server, "Eve", "closed");
}
END_TEST

START_TEST(a_batch_has_the_values_of_its_connection)
{
    struct server *server = serve("", "");
    int client = visit(server, "Ada");

    client_send_frame(client, "[{\"jsonrpc\":\"2.0\",\"method\":\"get\",\"id\":1},"
                              "{\"jsonrpc\":\"2.0\",\"method\":\"get_later\",\"id\":2}]");
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "[\"Ada\",1,false,\"\"]");
    expect_part(reply, "[\"Ada\",2,false,\"\"]");
}
END_TEST

/* What is saved as it ends is there for the first request in the next worker. */
START_TEST(a_reload_ends_values_before_another_worker_has_the_connection)
{
    struct server *server = serve("", "");
    int client = visit(server, "Ada"), idle = visit(server, "Bob");

    server_reload(server);
    expect(client, "get", "[null,0,true,\"Ada\"]");
    expect_over(server, "Ada", "moved");
    client_send_frame(client, "{\"in\":\"set\",\"params\":{\"name\":\"Eve\"}}");
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    expect(client, "get", "[\"Eve\",1,true,\"Ada\"]");
    close(client);
    expect_over(server, "Eve", "closed");
    server_reload(server);
    expect(idle, "get", "[null,0,true,\"Bob\"]");
    expect(client_connect(server), "get", "[null,0,false,\"\"]");
}
END_TEST

/* A request that waits keeps its connection, and the value, in the old worker. */
START_TEST(a_request_that_stays_over_a_reload_keeps_the_values)
{
    struct server *server = serve("drain_timeout 300ms;", "");
    int client = visit(server, "Ada");

    client_send_frame(client, "{\"in\":\"stay\"}");
    server_wait_log(server, "a request is held");
    server_reload(server);
    client_expect_error(client, "timeout");
    expect(client, "get", "[null,0,true,\"Ada\"]");
    expect_over(server, "Ada", "moved");
    server_wait_log(server, "Ada is left by stay, not over");
}
END_TEST

START_TEST(a_crash_loses_values_and_modules_can_tell)
{
    struct server *server = serve("", "");
    int client = visit(server, "Ada"), guilty = client_connect(server);

    server->reports_allowed = true;
    client_send_frame(guilty, "{\"in\":\"die\"}");
    client_expect_error(guilty, "module_crashed");
    expect(client, "get", "[null,0,true,\"\"]");
    ck_assert(!server_logged(server, "Ada is over"));
}
END_TEST

START_TEST(a_worker_that_stops_ends_values)
{
    struct server *server = serve("", "");
    int client = visit(server, "Ada");

    client_send_frame(client, "{\"in\":\"work_on\"}");
    server_wait_log(server, "Ada is worked with");
    server_ask(server, "stop");
    server_wait_exit(server, PATIENCE_MS);
    expect_over(server, "Ada", "stopping");
    ck_assert_ptr_nonnull(
        strstr(strstr(server_log(server), "Ada is worked with no more"), "Ada is over"));
}
END_TEST

/* Neither while it works for a client that is gone, nor for a request that has timed out. */
START_TEST(no_thread_works_with_a_value_that_has_ended)
{
    struct server *server = serve("", "");
    int client = visit(server, "Ada");

    client_send_frame(client, "{\"in\":\"work_on\"}");
    server_wait_log(server, "Ada is worked with");
    client_vanish(client);
    expect_over(server, "Ada", "closed");
    ck_assert_ptr_nonnull(
        strstr(strstr(server_log(server), "Ada is worked with no more"), "Ada is over"));
    server_wait_log(server, "Ada is left by work_on, over");

    client = visit(server, "Bob");
    client_send_frame(client, "{\"in\":\"work_on\",\"params\":{\"name\":\"x\"}}");
    client_expect_error(client, "timeout");
    close(client);
    expect_over(server, "Bob", "closed");
    ck_assert_ptr_nonnull(
        strstr(strstr(server_log(server), "Bob is worked with no more"), "Bob is over"));
}
END_TEST

START_TEST(a_crash_at_the_end_of_a_value_is_put_down_to_its_module)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = visit(server, "Ada");

    server->reports_allowed = true;
    client_send_frame(client, "{\"in\":\"set\",\"params\":{\"name\":\"x\",\"crashes\":true}}");
    client_expect(client, "{\"out\":\"set\",\"result\":true}");
    close(client);
    server_wait_log(server, "\"set\" (the end of a connection's value of module visits)");
    expect(other, "get", "[null,0,true,\"\"]");
}
END_TEST

E2E_MAIN("visits", values_are_their_connections_own_and_last_as_long,
         a_value_ends_when_another_takes_its_place, every_protocol_has_connections,
         a_batch_has_the_values_of_its_connection,
         a_reload_ends_values_before_another_worker_has_the_connection,
         a_request_that_stays_over_a_reload_keeps_the_values,
         a_crash_loses_values_and_modules_can_tell, a_worker_that_stops_ends_values,
         no_thread_works_with_a_value_that_has_ended,
         a_crash_at_the_end_of_a_value_is_put_down_to_its_module)
