/* Requests that no handler has answered: each is in the counts of its method and in the access log,
 * once, with what the client was told. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG(name) "filter access_log { path access/" name "; buffer 0; }"

static struct server *serve_refused(const char *main_text, const char *server_text)
{
    struct server *server = server_new();

    server->reports_allowed = true; /* workers are ended on purpose */
    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777);
    server_conf(server,
                keep_printf("load_module modules/access_log.so; load_module modules/crash.so;"
                            "load_module modules/later.so; load_module modules/auth.so;"
                            "load_module modules/filters.so; %s",
                            main_text),
                server_text);
    server_start_alone(server);
    return server;
}

/* How many lines of the log tell of the method and the status. */
static int lines(const struct server *server, const char *name, const char *method,
                 const char *status)
{
    const char *path = server_path(server, keep_printf("access/%s", name));
    const char *text = access(path, R_OK) == 0 ? file_read(path, NULL) : "";
    int count = 0;

    for (; *text != '\0'; text += strcspn(text, "\n") + 1) {
        cJSON *line = cJSON_ParseWithLength(text, strcspn(text, "\n"));
        const char *is = cJSON_GetStringValue(cJSON_GetObjectItem(line, "status"));
        const char *of = cJSON_GetStringValue(cJSON_GetObjectItem(line, "method"));
        const char *peer = cJSON_GetStringValue(cJSON_GetObjectItem(line, "peer"));
        if (line == NULL || is == NULL || of == NULL || peer == NULL)
            fail_test("no line of an access log: %.200s", text);
        if (strcmp(is, status) == 0 && strcmp(of, method) == 0) {
            expect_part(peer, "127.0.0.1:");
            count++;
        }
        cJSON_Delete(line);
    }
    return count;
}

static void is_logged(const struct server *server, const char *method, const char *status,
                      int times)
{
    wait_until(lines(server, "log", method, status) >= times, "%s with %s is logged %d times",
               method, status, lines(server, "log", method, status));
    ck_assert_int_eq(lines(server, "log", method, status), times);
}

static void is_counted(const struct server *server, const char *method, int calls, int errors)
{
    wait_until(server_calls(server, method, "calls") >= calls, "%s has %g calls", method,
               server_calls(server, method, "calls"));
    ck_assert_double_eq(server_calls(server, method, "calls"), calls);
    ck_assert_double_eq(server_calls(server, method, "errors"), errors);
}

static void is_refused(int client, const char *request, const char *code)
{
    client_send_frame(client, request);
    client_expect_error(client, code);
}

START_TEST(the_log_names_the_crashed_call_and_the_calls_under_way)
{
    struct server *server =
        serve_refused("quarantine_crashes off;", LOG("log") "method null; method wait;");
    int client = client_connect(server), bystander = client_connect(server);

    client_send_frame(bystander, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(bystander, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":2}");
    wait_until(server_stat(server, "connections.deferred") == 2, "they are not under way");
    is_refused(client, "{\"in\":\"null\",\"id\":\"x\"}", "module_crashed");
    client_expect_error(bystander, "module_crashed");
    client_expect_error(bystander, "module_crashed");
    is_logged(server, "null", "module_crashed", 1);
    is_logged(server, "wait", "module_crashed", 2);
    is_counted(server, "null", 1, 1);
    is_counted(server, "wait", 2, 2);
    ck_assert_double_eq(server_stat(server, "connections.guilty"), 1);
    ck_assert_double_eq(server_stat(server, "connections.orphaned"), 2);
    expect_part(file_read(server_path(server, "access/log"), NULL), "\"id\":\"x\"");
    is_refused(client, "{\"in\":\"null\"}", "module_crashed"); /* a reload does not count it anew */
    server_reload(server);
    is_counted(server, "null", 2, 2);
    is_logged(server, "null", "module_crashed", 2);
}
END_TEST

/* Nobody waits for the answer, and nobody can be asked for the address any more. */
START_TEST(the_log_tells_of_a_crashed_call_whose_client_is_gone)
{
    struct server *server =
        serve_refused("quarantine_crashes off;",
                      LOG("log") "method null; method sleep; method wait; method retry;");
    int busy = client_connect(server), guilty = client_connect(server);
    int bystander = client_connect(server);

    client_send_frame(bystander, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(bystander, "{\"in\":\"retry\",\"params\":{\"ms\":60000},\"id\":2}");
    wait_until(server_stat(server, "connections.deferred") == 2, "they are not under way");
    client_send_frame(busy, "{\"in\":\"sleep\",\"params\":300}");
    client_send_frame(guilty, "{\"in\":\"null\"}");
    client_vanish(guilty);
    client_vanish(bystander);
    client_receive(busy, NULL);
    is_counted(server, "null", 1, 1);
    is_counted(server, "wait", 1, 1);
    is_counted(server, "retry", 1, 1);
    is_logged(server, "null", "module_crashed", 1);
}
END_TEST

START_TEST(the_log_tells_of_calls_that_timed_out_or_found_no_thread)
{
    struct server *server =
        serve_refused("pool_threads 1; pool_queue 1;",
                      LOG("log") "method hang { timeout 200ms; } method wait; method nap;");
    int client = client_connect(server);

    is_refused(client, "{\"in\":\"hang\"}", "timeout");
    is_logged(server, "hang", "timeout", 1);
    is_counted(server, "hang", 1, 1);
    is_refused(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000,\"timeout\":1}}", "timeout");
    is_logged(server, "wait", "timeout", 1);
    is_counted(server, "wait", 1, 1);
    client_send_frames(client, 3, "{\"in\":\"nap\",\"params\":{\"ms\":50},\"id\":1}");
    for (int i = 0; i < 3; i++)
        client_receive(client, NULL);
    is_logged(server, "nap", "overloaded", 1);
    is_logged(server, "nap", "ok", 2);
    is_counted(server, "nap", 3, 1);
}
END_TEST

START_TEST(the_log_tells_of_frames_that_call_no_method)
{
    struct server *server = serve_refused("", LOG("log") "method ping; method wait; max_frame 1k;");
    int client = client_connect(server);
    double refused = server_stat(server, "connections.refused");

    is_refused(client, "{\"in\":\"no \\u0022such\\u0022\",\"id\":7}", "method_not_found");
    is_refused(client, "{\"in\":", "parse_error");
    is_refused(client, "[]", "invalid_request");
    is_refused(client, "{\"in\":\"ping\",\"id\":[]}", "invalid_request");
    /* The same beside a request that waits. */
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    is_refused(client, "{\"in\":\"nor this\",\"id\":2}", "method_not_found");
    int large = client_connect(server);
    client_announce(large, 5000);
    client_expect_error(large, "frame_too_large");
    is_logged(server, "no \"such\"", "method_not_found", 1);
    is_logged(server, "nor this", "method_not_found", 1);
    is_logged(server, "", "parse_error", 1);
    is_logged(server, "", "invalid_request", 1);
    is_logged(server, "ping", "invalid_request", 1);
    is_logged(server, "", "frame_too_large", 1);
    expect_part(file_read(server_path(server, "access/log"), NULL), "\"id\":7,");
    is_counted(server, "ping", 1, 1);
    ck_assert_double_eq(server_stat(server, "connections.refused") - refused, 6);
}
END_TEST

START_TEST(the_log_tells_of_a_call_that_an_earlier_filter_refused)
{
    struct server *server =
        serve_refused("", "method ping { filter auth { token open; } " LOG("log") " }");
    int client = client_connect(server);

    is_refused(client, "{\"in\":\"ping\"}", "unauthorized");
    client_send_frame(client, "{\"in\":\"ping\",\"token\":\"open\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    is_logged(server, "ping", "ok", 1);
    is_logged(server, "ping", "unauthorized", 1);
    is_counted(server, "ping", 2, 1);
}
END_TEST

START_TEST(the_log_tells_of_calls_of_a_method_in_quarantine)
{
    struct server *server =
        serve_refused("quarantine_crashes 2;", LOG("log") "method null; method ping;");
    int client = client_connect(server);

    is_refused(client, "{\"in\":\"null\"}", "module_crashed");
    is_refused(client, "{\"in\":\"null\"}", "module_crashed");
    server_wait_log(server, "out of service");
    is_refused(client, "{\"in\":\"null\"}", "method_quarantined");
    is_refused(client, "{\"in\":\"null\"}", "method_quarantined");
    is_logged(server, "null", "module_crashed", 2);
    is_logged(server, "null", "method_quarantined", 2);
    is_counted(server, "null", 4, 4);
    ck_assert_double_eq(server_stat(server, "connections.quarantined"), 2);
}
END_TEST

/* A filter that dies of every request it is shown is shown no more, when its method is out of
 * service: a log that crashes ends no worker for ever. */
START_TEST(a_filter_that_dies_of_refused_requests_sees_no_more_of_them)
{
    struct server *server =
        serve_refused("quarantine_crashes 4; quarantine_window 60s;",
                      "method ping; method null { filter bomb; } method a { handler ping.ping; }");
    int client = client_connect(server), refused = 0;

    for (int i = 0; i < 30; i++) {
        client_send_frame(client, "{\"in\":\"null\"}");
        const char *reply = client_receive(client, NULL);
        refused += strstr(reply, "method_quarantined") != NULL;
        if (refused == 0)
            expect_part(reply, "module_crashed");
    }
    ck_assert_int_ge(refused, 20);
    double crashes = cJSON_GetNumberValue(cJSON_GetObjectItem(server_stats(server), "crashes"));
    ck_assert_double_ge(crashes, 4);
    ck_assert_double_le(crashes, 10);
    client_expect_alive(client);
    is_counted(server, "null", 30, 30);
    server_wait_log(server, "\"null\" (a filter of module filters)");
}
END_TEST

E2E_MAIN("refused", the_log_names_the_crashed_call_and_the_calls_under_way,
         the_log_tells_of_a_crashed_call_whose_client_is_gone,
         the_log_tells_of_calls_that_timed_out_or_found_no_thread,
         the_log_tells_of_frames_that_call_no_method,
         the_log_tells_of_a_call_that_an_earlier_filter_refused,
         the_log_tells_of_calls_of_a_method_in_quarantine,
         a_filter_that_dies_of_refused_requests_sees_no_more_of_them)
