/* The slow log: each part of a request's time is blamed for what it took. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLOW_MS 1000 /* what dawdles, in each test */
#define LEAST   900  /* what of it has to be found: clocks of the kernel are coarse */

#define CONF  "load_module modules/dawdles.so;\n"
#define ALONE "worker_processes 1; error_log logs/error.log notice json;"
#define METHODS                                                                \
    "slow_threshold 500ms; listen unix:run/slow.sock;\n"                       \
    "method ping; method dawdle; method dawdle_thread; method dawdle_timer;\n" \
    "method dawdle_later; method large;"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

/* The newest line about a slow request of this method, or NULL. */
static const char *find_line(const struct server *server, const char *method)
{
    const char *log = server_log(server), *found = NULL;
    const char *whose = keep_printf("\"method\":\"%s\"", method);

    for (const char *at = log; (at = strstr(at, "{\"time\"")) != NULL;) {
        size_t size = strcspn(at, "\n");
        const char *line = keep_printf("%.*s", (int)size, at);
        if (strstr(line, "\"message\":\"slow request") != NULL && strstr(line, whose) != NULL)
            found = line;
        at += size;
    }
    return found;
}

static const char *wait_line(const struct server *server, const char *method)
{
    const char *line = NULL;

    wait_until((line = find_line(server, method)) != NULL, "no slow request of %s", method);
    return line;
}

/* What stands behind the name, in JSON. */
static const char *value(const char *line, const char *name)
{
    const char *quoted = keep_printf("\"%s\":", name), *at = strstr(line, quoted);

    return at == NULL ? "" : at + strlen(quoted);
}

static double part(const char *line, const char *name)
{
    char *end;
    double number = strtod(value(line, name), &end);

    if (end == value(line, name))
        fail_test("no %s in %s", name, line);
    return number;
}

static const char *text(const char *line, const char *name)
{
    const char *at = value(line, name);

    return *at != '"' ? "" : keep_printf("%.*s", (int)strcspn(at + 1, "\""), at + 1);
}

/* Most of the time, and at least `ms`, is this part's. */
static void expect_blame(const char *line, const char *name, double ms, const char *message)
{
    if (part(line, name) < ms || part(line, "total_ms") < part(line, name))
        fail_test("not blamed: %s of %s", name, line);
    expect_part(text(line, "message"), message);
}

START_TEST(a_handler_is_blamed)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect(server);

    client_send_frame(client,
                      "{\"in\":\"dawdle\",\"id\":7,\"params\":{\"ms\":1000},\"traceparent\":"
                      "\"00-" TRACE "-" SPAN "-01\"}");
    client_receive_json(client);
    const char *line = wait_line(server, "dawdle");
    cJSON *tree = cJSON_Parse(line);
    ck_assert(cJSON_IsNumber(cJSON_GetObjectItem(tree, "handler_ms")));
    cJSON_Delete(tree);
    expect_blame(line, "handler_ms", LEAST, "most of its time in its handler");
    expect_text(text(line, "id"), "number");
    expect_text(text(line, "trace_id"), TRACE);
    expect_text(text(line, "span_id"), SPAN);
    expect_text(text(line, "process"), "worker 0");
    expect_part(text(line, "peer"), "127.0.0.1:");
    ck_assert(part(line, "request_bytes") > 40 && part(line, "reply_bytes") > 10);
}
END_TEST

START_TEST(a_thread_and_a_timer_are_waiting)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect(server);

    client_call(client, "dawdle_thread", "{\"ms\":1000}");
    expect_blame(wait_line(server, "dawdle_thread"), "waiting_ms", LEAST,
                 "most of its time waiting");
    client_call(client, "dawdle_timer", "{\"ms\":1000}");
    expect_blame(wait_line(server, "dawdle_timer"), "waiting_ms", LEAST,
                 "most of its time waiting");
}
END_TEST

START_TEST(a_callback_that_answers_is_the_handler)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect(server);

    client_call(client, "dawdle_timer", "{\"ms\":600,\"twice\":1}");
    const char *line = wait_line(server, "dawdle_timer");
    ck_assert(part(line, "waiting_ms") >= 500 && part(line, "handler_ms") >= 500);
}
END_TEST

START_TEST(the_queue_of_a_pool_is_a_queue)
{
    struct server *server = server_serve_with(ALONE, CONF "pool_threads 1;\n", METHODS);
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"dawdle_thread\",\"id\":1,\"params\":{\"ms\":1500}}");
    client_send_frame(client, "{\"in\":\"dawdle_thread\",\"id\":2,\"params\":{\"ms\":1}}");
    client_receive_json(client);
    client_receive_json(client);
    /* the one that did not dawdle is told of last */
    const char *line = NULL;
    wait_until((line = find_line(server, "dawdle_thread")) != NULL &&
                   part(line, "queued_ms") > part(line, "waiting_ms"),
               "no request was queued");
    expect_blame(line, "queued_ms", LEAST, "most of its time queued");
    expect_text(text(line, "queued_for"), "a thread of its pool");
}
END_TEST

/* A request on another connection comes while the worker runs code that dawdles. */
static const char *queue_behind(const struct server *server, const char *body)
{
    int client = client_connect(server), other = client_connect(server);

    client_expect_alive(other);
    client_send_frame(client, body);
    server_wait_log(server, "dawdling begins");
    client_expect_alive(other);
    client_receive_json(client);
    return wait_line(server, "ping");
}

START_TEST(a_request_is_queued_behind_a_handler_of_another_connection)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    const char *line = queue_behind(server, "{\"in\":\"dawdle\",\"params\":{\"ms\":3000}}");

    expect_blame(line, "queued_ms", 500, "most of its time queued");
    expect_text(text(line, "behind"), "dawdle");
    ck_assert(part(line, "behind_ms") >= 2900);
}
END_TEST

START_TEST(a_request_is_queued_behind_a_callback)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    const char *line = queue_behind(server, "{\"in\":\"dawdle_later\",\"params\":{\"ms\":3000}}");

    expect_blame(line, "queued_ms", 500, "most of its time queued");
    expect_text(text(line, "behind"), "a callback of dawdles");
}
END_TEST

START_TEST(a_pipelined_request_is_queued_behind_the_one_before)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect(server);
    struct buffer frames = {0};

    /* the second is not timed by itself, nor is the third */
    buffer_add_frame(&frames, "{\"in\":\"dawdle\",\"params\":{\"ms\":1}}");
    buffer_add_frame(&frames, "{\"in\":\"dawdle\",\"params\":{\"ms\":%d}}", SLOW_MS);
    buffer_add_frame(&frames, "{\"in\":\"ping\"}");
    client_send(client, frames.data, frames.size);
    free(frames.data);
    for (int i = 0; i < 3; i++)
        client_receive_json(client);
    expect_blame(wait_line(server, "dawdle"), "handler_ms", LEAST, "in its handler");
    const char *line = wait_line(server, "ping");
    expect_blame(line, "queued_ms", LEAST, "most of its time queued");
    expect_text(text(line, "behind"), "dawdle");
}
END_TEST

START_TEST(a_request_waits_for_its_connections_turn)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS "max_inflight 1;");
    int client = client_connect(server);

    /* In one piece: what is still in the socket has no time at which it came. */
    struct buffer both = {0};
    buffer_add_frame(&both, "{\"in\":\"dawdle_timer\",\"id\":1,\"params\":{\"ms\":1000}}");
    buffer_add_frame(&both, "{\"in\":\"ping\",\"id\":2}");
    client_send(client, keep(both.data), both.size);
    client_receive_json(client);
    client_receive_json(client);
    const char *line = wait_line(server, "ping");
    expect_blame(line, "queued_ms", LEAST - 300, "most of its time queued");
}
END_TEST

START_TEST(a_client_that_does_not_read_is_blamed_for_sending)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect_unix(server_path(server, "run/slow.sock"));
    int other = client_connect(server);

    client_send_frame(client, "{\"in\":\"large\",\"params\":{\"bytes\":2000000}}");
    for (int64_t until = deadline_in(SLOW_MS); !deadline_over(until);)
        client_expect_alive(other);
    size_t size;
    client_receive(client, &size);
    const char *line = wait_line(server, "large");
    expect_blame(line, "sending_ms", 500, "most of its time sending the reply");
    expect_text(text(line, "peer"), "unix:");
    ck_assert(part(line, "reply_bytes") > 2000000);
}
END_TEST

START_TEST(a_client_that_goes_without_reading_is_told_of)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS);
    int client = client_connect_unix(server_path(server, "run/slow.sock"));
    int other = client_connect(server);

    client_send_frame(client, "{\"in\":\"large\",\"params\":{\"bytes\":2000000}}");
    for (int64_t until = deadline_in(SLOW_MS); !deadline_over(until);)
        client_expect_alive(other);
    close(client);
    const char *line = wait_line(server, "large");
    expect_blame(line, "sending_ms", 500, "most of its time sending the reply");
    expect_text(text(line, "sent"), "no");
}
END_TEST

START_TEST(a_client_that_gives_up_is_told_of)
{
    struct server *server = server_serve_with(ALONE, CONF, METHODS "half_close off;");
    int client = client_connect(server), other = client_connect(server);

    client_send_frame(client, "{\"in\":\"dawdle_timer\",\"params\":{\"ms\":20000}}");
    for (int64_t until = deadline_in(SLOW_MS); !deadline_over(until);)
        client_expect_alive(other);
    close(client);
    const char *line = wait_line(server, "dawdle_timer");
    expect_blame(line, "waiting_ms", 500, "most of its time waiting");
    expect_text(text(line, "code"), "cancelled");
}
END_TEST

START_TEST(a_method_has_a_threshold_of_its_own)
{
    struct server *server =
        server_serve_with(ALONE, CONF,
                          "method ping; method dawdle { slow_threshold 50ms; } slow_threshold "
                          "1h; method dawdle_timer { slow_threshold off; }");
    int client = client_connect(server);

    client_call(client, "dawdle_timer", "{\"ms\":100}");
    client_call(client, "dawdle", "{\"ms\":100}");
    wait_line(server, "dawdle");
    ck_assert_ptr_null(find_line(server, "dawdle_timer"));
}
END_TEST

START_TEST(lines_are_few_and_say_how_many_are_missing)
{
    struct server *server = server_serve_alone("load_module modules/dawdles.so;\n",
                                               "method dawdle { slow_threshold 10ms; }");
    int client = client_connect(server);
    unsigned lines = 0;

    for (int i = 0; i < 9; i++)
        client_call(client, "dawdle", "{\"ms\":20}");
    for (const char *at = server_log(server); (at = strstr(at, "slow request")) != NULL; at++)
        lines++;
    ck_assert_uint_eq(lines, 5);
    ck_assert_double_eq(server_stat(server, "connections.slow"), 9);
    expect_part(server_log(server), "slow request, most of its time in its handler method=dawdle "
                                    "total_ms=2");
}
END_TEST

E2E_MAIN("slow_log", a_handler_is_blamed, a_thread_and_a_timer_are_waiting,
         a_callback_that_answers_is_the_handler, the_queue_of_a_pool_is_a_queue,
         a_request_is_queued_behind_a_handler_of_another_connection,
         a_request_is_queued_behind_a_callback, a_pipelined_request_is_queued_behind_the_one_before,
         a_request_waits_for_its_connections_turn,
         a_client_that_does_not_read_is_blamed_for_sending,
         a_client_that_goes_without_reading_is_told_of, a_client_that_gives_up_is_told_of,
         a_method_has_a_threshold_of_its_own, lines_are_few_and_say_how_many_are_missing)
