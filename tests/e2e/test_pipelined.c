/* Requests that are pipelined over HTTP: they run side by side, as many as may be, and their
 * responses come in the order of the requests, whatever becomes of the worker meanwhile. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "Host: localhost\r\n"

static struct server *serve(const char *main_text, const char *server_text)
{
    struct server *server = server_new();

    server_conf(server,
                keep_printf("load_module modules/later.so; load_module modules/access_log.so; "
                            "load_module modules/crash.so { journal %s; } quarantine_crashes off; "
                            "%s",
                            server_path(server, "run/journal"), main_text),
                keep_printf("method ping; method hold; method hold_again; method let_go; "
                            "method let_grow; method nap; method sleep_on; method wake; "
                            "method null; method noted; method noted_again; %s",
                            server_text));
    chmod(server_path(server, "run"), 0777); /* workers write the journal, as nobody */
    server_start_alone(server);
    server->reports_allowed = true;
    return server;
}

static const char *post_with(const char *fields, const char *path, const char *body)
{
    return keep_printf("POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n%s", path, fields,
                       strlen(body), body);
}

static const char *post(const char *path, const char *body)
{
    return post_with("", path, body);
}

/* A request of HTTP that ends the connection. */
static const char *last(const char *path, const char *body)
{
    return post_with("Connection: close\r\n", path, body);
}

#define KEY(key) "{\"key\":" key "}"

/* Sends all of them, up to NULL, in one piece. */
static void pipeline(int client, const char *const requests[])
{
    struct buffer all = {0};

    for (size_t i = 0; requests[i] != NULL; i++)
        buffer_add(&all, requests[i], strlen(requests[i]));
    client_send(client, all.data, all.size);
    free(all.data);
}

#define PIPELINE(client, ...) pipeline(client, (const char *const[]){__VA_ARGS__, NULL})

/* The connection ends behind responses that have these in their bodies, in this order. */
static void expect_all(int client, const char *const parts[])
{
    const char *rest = client_receive_rest(client);
    size_t i;

    for (i = 0; parts[i] != NULL; i++) {
        const char *length = strstr(rest, "\r\nContent-Length: "), *body = strstr(rest, "\r\n\r\n");
        if (strncmp(rest, "HTTP/1.1 ", 9) != 0 || body == NULL)
            fail_test("there is no response %zu: %.300s", i, rest);
        size_t size = length == NULL || length > body /* 204 */
                          ? 0
                          : strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
        if (memmem(body + 4, size, parts[i], strlen(parts[i])) == NULL)
            fail_test("response %zu has no %s: %.300s", i, parts[i], rest);
        rest = body + 4 + size;
    }
    expect_text(rest, "");
}

#define EXPECT_ALL(client, ...) expect_all(client, (const char *const[]){__VA_ARGS__, NULL})

/* By another connection: true when the request with this key was waiting. */
static bool let_go(int other, const char *key)
{
    return strstr(client_call(other, "let_go", keep_printf("{\"key\":%s}", key)), "true") != NULL;
}

static void wait_deferred(const struct server *server, int count)
{
    wait_until(server_stat(server, "connections.deferred") == count, "%d are not under way", count);
}

/* Adds what has come to the text. */
static void receive_some(int client, char *text, size_t capacity, size_t *size)
{
    ssize_t got = recv(client, text + *size, capacity - 1 - *size, MSG_DONTWAIT);

    *size += got > 0 ? (size_t)got : 0;
    text[*size] = '\0';
}

#define CRASHED(method)  "\\\"" method "\\\" crashed while it handled this request"
#define ORPHANED(method) "this request of \\\"" method "\\\" ended before it was answered"

/* ---- Side by side ---- */

START_TEST(slow_calls_run_side_by_side)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold", KEY("1")), post("/hold", KEY("2")), post("/sleep_on", "3"),
             post("/ping", "4"), post("/", "{\"in\":\"hold\",\"params\":{\"key\":5}}"),
             last("/noted", "6"));
    /* Each has begun, though none is answered. */
    wait_deferred(server, 4);
    wait_until(server_calls(server, "noted", "calls") == 1, "the last one has not begun");
    expect_part(client_call(other, "wake", "1"), "wake");
    ck_assert(let_go(other, "5") && let_go(other, "2"));
    wait_until(server_calls(server, "sleep_on", "calls") == 1, "the thread is not done");
    client_expect_alive(other);
    ck_assert(client_is_silent(client));
    ck_assert(let_go(other, "1"));
    EXPECT_ALL(client, KEY("1"), KEY("2"), "3", "4", "{\"out\":\"later\",\"result\":{\"key\":5}}",
               "6");
}
END_TEST

START_TEST(no_more_run_than_may_be_in_flight)
{
    struct server *server = serve("", "max_inflight 2;");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold", KEY("1")), post("/noted", "2"), post("/hold", KEY("3")),
             post("/noted", "4"), last("/ping", "5"));
    wait_deferred(server, 1);
    client_expect_alive(other);
    ck_assert_double_eq(server_calls(server, "noted", "calls"), 1);
    ck_assert_double_eq(server_stat(server, "connections.deferred"), 1);
    let_go(other, "1");
    wait_until(server_calls(server, "noted", "calls") == 2, "the others do not begin");
    let_go(other, "3");
    EXPECT_ALL(client, KEY("1"), "2", KEY("3"), "4", "5");
}
END_TEST

/* Answers that are held are bounded as those that no client reads. */
START_TEST(held_answers_have_a_limit)
{
    struct server *server = serve("", "max_output 100k; max_inflight 100;");
    int client = client_connect(server), other = client_connect(server);
    const char *large = keep_printf("\"%040000d\"", 0);
    const char *requests[13] = {post("/hold", KEY("1"))};
    const char *parts[13] = {KEY("1")};

    for (int i = 1; i < 12; i++) {
        requests[i] = i < 11 ? post("/noted", large) : last("/noted", large);
        parts[i] = large;
    }
    pipeline(client, requests);
    wait_until(server_calls(server, "noted", "calls") >= 3, "they do not begin");
    client_expect_alive(other);
    ck_assert_double_eq(server_calls(server, "noted", "calls"), 3);
    let_go(other, "1");
    expect_all(client, parts);
}
END_TEST

/* What stands behind a request with which the connection ends is not run. */
START_TEST(nothing_runs_behind_the_last_request)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold", KEY("1")), last("/hold", KEY("2")), post("/noted", "3"));
    wait_deferred(server, 2);
    let_go(other, "2");
    client_expect_alive(other);
    ck_assert_double_eq(server_calls(server, "noted", "calls"), 0);
    let_go(other, "1");
    EXPECT_ALL(client, KEY("1"), KEY("2"));
    ck_assert_double_eq(server_calls(server, "noted", "calls"), 0);
}
END_TEST

#define V2            "\"jsonrpc\":\"2.0\""
#define HOLD(key)     "{" V2 ",\"method\":\"hold\",\"params\":{\"key\":" key "},\"id\":" key "}"
#define NOTED(id)     "{" V2 ",\"method\":\"noted\",\"id\":" id "}"
#define HELD(key)     "{" V2 ",\"result\":{\"key\":" key "},\"id\":" key "}"
#define WAS_NOTED(id) "{" V2 ",\"result\":null,\"id\":" id "}"
#define NOTIFY_NOTED  "{" V2 ",\"method\":\"noted\"}"

/* A batch has a place in the order, too, and may be as large as the pipeline is not. */
START_TEST(batches_stand_in_the_order)
{
    struct server *server = serve("", "max_inflight 3;");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold", KEY("1")), post("/", "[" NOTED("2") "," HOLD("3") "]"),
             post("/", NOTIFY_NOTED), post("/ping", "4"),
             post("/", "[" NOTED("5") "," HOLD("6") "," HOLD("7") "," HOLD("8") "," HOLD("9") "]"),
             post("/ping", "10"), last("/ping", "11"));
    wait_deferred(server, 2);
    ck_assert(let_go(other, "3"));
    ck_assert(client_is_silent(client));
    ck_assert(let_go(other, "1"));
    for (int key = 6; key < 10; key++)
        wait_until(let_go(other, keep_printf("%d", key)), "%d is not under way", key);
    EXPECT_ALL(client, KEY("1"), "[" WAS_NOTED("2") "," HELD("3") "]", "", "4",
               "[" WAS_NOTED("5") "," HELD("6") "," HELD("7") "," HELD("8") "," HELD("9") "]", "10",
               "11");
}
END_TEST

/* The word that a body may follow comes behind the responses to what was sent before. */
START_TEST(a_client_that_waits_for_a_word_gets_it_in_its_turn)
{
    static const char *const bodies[][2] = {
        {"Content-Length: 1\r\n\r\n", "2"},
        {"Transfer-Encoding: chunked\r\n\r\n", "1\r\n2\r\n0\r\n\r\n"},
    };
    struct server *server = serve("", "");
    int other = client_connect(server);

    for (size_t i = 0; i < 2; i++) {
        int client = client_connect(server);
        char text[2048];
        size_t size = 0;
        PIPELINE(client, post("/hold", KEY("1")),
                 "POST /ping HTTP/1.1\r\n" HOST "Connection: close\r\nExpect: 100-continue\r\n",
                 bodies[i][0]);
        wait_deferred(server, (int)i + 1);
        client_expect_alive(other);
        ck_assert(client_is_silent(client));
        ck_assert(let_go(other, "1"));
        text[0] = '\0';
        wait_until((receive_some(client, text, sizeof(text), &size),
                    strstr(text, "HTTP/1.1 100 Continue\r\n\r\n") != NULL),
                   "no word comes: %s", text);
        ck_assert_msg(strncmp(text, "HTTP/1.1 200 ", 13) == 0, "%s", text);
        client_send(client, bodies[i][1], strlen(bodies[i][1]));
        EXPECT_ALL(client, "2");
    }
}
END_TEST

START_TEST(a_client_that_goes_takes_its_pipeline_along)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold", KEY("1")), post("/noted", "2"), post("/sleep_on", "3"),
             post("/noted", "4"));
    wait_until(server_calls(server, "noted", "calls") == 2, "they have not begun");
    client_vanish(client);
    wait_until(server_stat(server, "connections.cancelled") >= 1, "it is not dropped");
    expect_part(client_call(other, "wake", "1"), "wake");
    wait_until(server_stat(server, "connections.cancelled") == 2, "the thread's is not over");
    client_expect_alive(other);
}
END_TEST

/* ---- Reloads and crashes ---- */

static void expect_journal(const struct server *server, const char *text)
{
    expect_text(file_read(server_path(server, "run/journal"), NULL), text);
}

START_TEST(a_reload_in_the_middle_costs_nothing)
{
    struct server *server = serve("", "max_inflight 3;");
    int client = client_connect(server);

    PIPELINE(client, post("/nap", "{\"ms\":400}"), post("/noted", "2"),
             post("/nap", "{\"ms\":300}"), post("/noted", "4"), last("/ping", "5"));
    wait_deferred(server, 2);
    server_reload(server);
    EXPECT_ALL(client, "{\"ms\":400}", "2", "{\"ms\":300}", "4", "5");
    expect_journal(server, "noted \nnoted \n");
}
END_TEST

START_TEST(a_crash_in_the_middle_is_answered_in_its_place)
{
    struct server *server = serve("", "");
    int client = client_connect(server), other = client_connect(server);

    PIPELINE(client, post("/hold_again", KEY("1")), post("/hold", KEY("2")), post("/nope", "3"),
             post("/null", "4"), post("/noted", "5"), last("/ping", "6"));
    wait_until(server_stat(server, "crashes") == 1, "it has not crashed");
    wait_until(let_go(other, "1"), "it is not run again");
    EXPECT_ALL(client, KEY("1"), ORPHANED("hold"), "method_not_found", CRASHED("null"), "5", "6");
    expect_journal(server, "null \nnoted \n");
}
END_TEST

/* What reading a request finds against it by another generation's settings is no answer to a
 * request that had begun: the client hears what became of it, once. */
START_TEST(an_orphan_is_not_answered_by_the_settings_of_another_generation)
{
    struct server *server = serve("drain_timeout 60s;", "allow_origin https://page.example;");
    pid_t worker;
    int client = client_connect(server);

    PIPELINE(client, post_with("Origin: https://page.example\r\nContent-Type: application/json\r\n"
                               "Connection: close\r\n",
                               "/hold", KEY("1")));
    wait_deferred(server, 1);
    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    server_conf(server, "load_module modules/later.so;", "method hold;");
    server_reload(server);
    kill(worker, SIGKILL);
    const char *response = client_receive_rest(client);
    ck_assert_msg(strncmp(response, "HTTP/1.1 500 ", 13) == 0, "%s", response);
    expect_part(response, ORPHANED("hold"));
    ck_assert(!server_logged(server, "a second time"));
}
END_TEST

/* What was answered before its turn is not run again, nor shown to filters again, however often the
 * worker dies. */
START_TEST(held_answers_outlive_their_workers)
{
    struct server *server = serve("", "filter access_log { path run/access.log; flush 10ms; }");
    int client = client_connect(server);

    PIPELINE(client, post("/hold_again", KEY("1")), post("/nope", "2"), post("/noted", "3"),
             post("/", "[" NOTED("4") "," NOTIFY_NOTED "]"), last("/ping", "5"));
    wait_until(access(server_path(server, "run/access.log"), R_OK) == 0 &&
                   strstr(file_read(server_path(server, "run/access.log"), NULL), "\"ping\"") !=
                       NULL,
               "they are not shown");
    for (int i = 0; i < 2; i++) {
        pid_t worker;
        ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
        kill(worker, SIGKILL);
        wait_until(server_stat(server, "connections.retried") == 1, "it is not run once more");
    }
    EXPECT_ALL(client, ORPHANED("hold_again"), "method_not_found", "3", "[" WAS_NOTED("4") "]",
               "5");
    expect_journal(server, "noted \nnoted 4\nnoted \n");
    size_t shown = 0;
    const char *log = file_read(server_path(server, "run/access.log"), NULL);
    while ((log = strstr(log, "\"nope\"")) != NULL)
        shown++, log++;
    ck_assert_uint_eq(shown, 1);
}
END_TEST

E2E_MAIN("pipelined", slow_calls_run_side_by_side, no_more_run_than_may_be_in_flight,
         held_answers_have_a_limit, nothing_runs_behind_the_last_request,
         batches_stand_in_the_order, a_client_that_waits_for_a_word_gets_it_in_its_turn,
         a_client_that_goes_takes_its_pipeline_along, a_reload_in_the_middle_costs_nothing,
         a_crash_in_the_middle_is_answered_in_its_place,
         an_orphan_is_not_answered_by_the_settings_of_another_generation,
         held_answers_outlive_their_workers)
