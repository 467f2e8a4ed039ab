/* What is counted for each module, and lines in the log that carry a request's context. The module:
 * tests/modules/counts.c. */
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define METHODS                                                                                \
    "method count; method thread; method raise; method beyond; method grab; method drop;"      \
    "method observe; method observe_much;"                                                     \
    "method keep; method let_go; method wait; method note; method pick; method crash; method " \
    "ping;"

static struct server *serve_counts_with(const char *main_text, const char *override)
{
    struct server *server = server_serve_with(
        override, keep_printf("load_module modules/counts.so; %s", main_text), METHODS);

    server->reports_allowed = true; /* "crash" ends its worker */
    return server;
}

static struct server *serve_counts(const char *main_text)
{
    return serve_counts_with(main_text, "");
}

static void call(int client, const char *method, const char *params)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    client_expect(client, "{\"out\":\"done\",\"result\":true}");
}

static const cJSON *counts(const struct server *server)
{
    return cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "modules"), "counts");
}

static double counted(const struct server *server, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(counts(server), name));
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "counts", name);
}

/* Connections are spread over the two workers; some of sixteen are on each. */
START_TEST(metrics_are_summed_over_workers_and_outlive_them)
{
    struct server *server = serve_counts("quarantine_crashes off;");
    int clients[16];

    ck_assert_double_eq(metric(server, "calls"), 0);
    for (int i = 0; i < 16; i++) {
        clients[i] = client_connect(server);
        call(clients[i], "count", "null");
        call(clients[i], "thread", "null");
        call(clients[i], "raise", "{\"by\":3}");
        call(clients[i], "raise", "{\"by\":-1}");
    }
    ck_assert_double_eq(metric(server, "calls"), 32);
    ck_assert_double_eq(metric(server, "level"), 32);
    ck_assert_double_eq(counted(server, "timers"), 2);
    server_reload(server);
    wait_until(metric(server, "level") == 0, "a level outlives its workers");
    ck_assert_double_eq(metric(server, "calls"), 32);
    call(clients[0], "raise", "{\"by\":3}");
    client_send_frame(clients[0], "{\"in\":\"crash\"}");
    client_expect_error(clients[0], "module_crashed");
    wait_until(metric(server, "level") == 0, "a level outlives a crash");
    ck_assert_double_eq(metric(server, "calls"), 32);
    wait_until(counted(server, "timers") == 2, "there are not two workers with a timer each");
}
END_TEST

static const char *histogram(const struct server *server, const char *name)
{
    return keep(cJSON_PrintUnformatted(
        cJSON_GetObjectItem(cJSON_GetObjectItem(counts(server), "metrics"), name)));
}

START_TEST(histograms_are_summed_over_workers_and_outlive_them)
{
    static const char all[] = "{\"count\":64,\"sum\":16176,\"buckets\":[[1,32],[10,16],[100,0],"
                              "[null,16]]}";
    struct server *server = serve_counts("quarantine_crashes off;");
    int clients[16];

    ck_assert_str_eq(histogram(server, "sizes"),
                     "{\"count\":0,\"sum\":0,\"buckets\":[[1,0],[10,0],[100,0],[null,0]]}");
    for (int i = 0; i < 16; i++) {
        clients[i] = client_connect(server);
        call(clients[i], "observe", "{\"value\":1}");
        call(clients[i], "observe", "{\"value\":-0.5}");
        call(clients[i], "observe", "{\"value\":9.5}");
        call(clients[i], "observe", "{\"value\":1001}");
    }
    ck_assert_str_eq(histogram(server, "sizes"), all);
    expect_part(histogram(server, "waits"),
                "\"buckets\":[[0.005,0],[0.01,0],[0.025,0],[0.05,0],[0.1,0],[0.25,0],[0.5,64],"
                "[1,0],[2.5,0],[5,0],[10,0],[null,0]]}");
    server_reload(server);
    ck_assert_str_eq(histogram(server, "sizes"), all);
    client_send_frame(clients[0], "{\"in\":\"crash\"}");
    client_expect_error(clients[0], "module_crashed");
    ck_assert_str_eq(histogram(server, "sizes"), all);
}
END_TEST

/* Neither a value nor a part of the sum is lost. */
START_TEST(threads_observe_at_the_same_time)
{
    struct server *server = serve_counts_with("pool_threads 4;", "worker_processes 1;");
    int client = client_connect(server);

    for (int i = 0; i < 8; i++)
        client_send_frame(client, keep_printf("{\"in\":\"observe_much\",\"id\":%d}", i));
    for (int i = 0; i < 8; i++)
        client_receive(client, NULL);
    ck_assert_str_eq(
        histogram(server, "sizes"),
        "{\"count\":80000,\"sum\":40000,\"buckets\":[[1,80000],[10,0],[100,0],[null,0]]}");
}
END_TEST

START_TEST(a_metric_that_is_not_there_is_logged)
{
    struct server *server = serve_counts("");
    int client = client_connect(server);

    call(client, "beyond", "null");
    server_wait_log(server, "module counts counts in a metric that it does not have: row 9");
    server_wait_log(server, "counts in a histogram, which takes values by pillion_observe: row 2");
    server_wait_log(server, "observes in a metric that is no histogram of its own: row 0");
    server_wait_log(server, "in row 2 of its metrics: no finite number");
    expect_part(histogram(server, "sizes"), "{\"count\":0,\"sum\":0,");
    client_expect_alive(client);
}
END_TEST

START_TEST(memory_is_counted)
{
    struct server *server = serve_counts("");
    int client = client_connect(server);

    ck_assert_double_eq(counted(server, "memory_bytes"), 0);
    call(client, "grab", "{\"bytes\":5000}");
    ck_assert_double_eq(counted(server, "memory_bytes"), 5000);
    call(client, "grab", "{\"bytes\":100000}");
    ck_assert_double_eq(counted(server, "memory_bytes"), 100000);
    call(client, "drop", "null");
    ck_assert_double_eq(counted(server, "memory_bytes"), 0);
    ck_assert_double_eq(counted(server, "cjson_bytes"), 0);
    call(client, "keep", "null");
    ck_assert_double_ge(counted(server, "cjson_bytes"), 64);
    client_send_frame(client, "{\"in\":\"let_go\"}");
    client_expect(client, "{\"out\":\"done\",\"result\":[]}");
    ck_assert_double_eq(counted(server, "cjson_bytes"), 0);
}
END_TEST

START_TEST(requests_that_wait_are_counted)
{
    struct server *server = serve_counts("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"wait\",\"id\":1}");
    client_send_frame(client, "{\"in\":\"wait\",\"id\":2}");
    wait_until(counted(server, "waiting") == 2, "two are not waiting");
    close(client);
    client = client_connect(server);
    client_expect_alive(client);
}
END_TEST

START_TEST(the_log_names_the_client_of_a_request)
{
    static const char params[] = "{\"text\":\"a \\\"b\\\"\\n\xc3\xa9\"}";
    struct server *server = serve_counts_with("", "error_log logs/error.log info json;");
    int client = client_connect(server);
    char *from = NULL;

    client_send_frame(client,
                      keep_printf("{\"in\":\"note\",\"id\":\"x y\",\"params\":%s}", params));
    client_expect(client, "{\"out\":\"done\",\"result\":true,\"id\":\"x y\"}");
    char *log = server_wait_log(server, "it is noted");
    for (char *line = strtok(log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, "it is noted") != NULL)
            from = line;
    }
    cJSON *entry = cJSON_Parse(from);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "message")),
                     "counts: it is noted");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "level")), "warn");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "method")), "note");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "id")), "x y");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "text")), "a \"b\"\n\xc3\xa9");
    ck_assert_double_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(entry, "size")), -5);
    expect_part(cJSON_GetStringValue(cJSON_GetObjectItem(entry, "peer")), "127.0.0.1:");
    cJSON_Delete(entry);
}
END_TEST

START_TEST(the_log_names_the_client_of_a_request_as_text_too)
{
    struct server *server = serve_counts("");
    int client = client_connect(server);

    call(client, "note", "{\"text\":\"word\"}");
    server_wait_log(server, " text=word size=-5\n");
    call(client, "note", "{\"text\":\"two words\"}");
    server_wait_log(server, " text=\"two words\" size=-5\n");
    call(client, "note", "{\"text\":\"line\\nlevel=error\"}");
    server_wait_log(server, " text=\"line\\nlevel=error\" size=-5\n");
    client_send_frame(client, "{\"in\":\"note\",\"id\":7}");
    client_expect(client, "{\"out\":\"done\",\"result\":true,\"id\":7}");
    server_wait_log(server, "counts: it is noted method=note peer=127.0.0.1:");
    server_wait_log(server, " id=7\n");
    char *long_text = memset(calloc(1, 4001), 'x', 4000);
    call(client, "note", keep_printf("{\"text\":\"%s\"}", long_text));
    free(long_text);
    server_wait_log(server, "xxx...\" size=-5\n");
}
END_TEST

START_TEST(json_text_can_be_read_without_a_tree)
{
    struct server *server = serve_counts("");
    int client = client_connect(server);

    client_send_frame(client,
                      "{\"in\":\"pick\",\"params\":{\"b\":{\"a\":1},\"\\u0061\":[1e400, 2]}}");
    client_expect(client, "{\"out\":\"a\",\"result\":[1e400, 2]}");
    client_send_frame(client, "{\"in\":\"pick\",\"params\":[\"a\",1]}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"pick\",\"params\":{\"b\":1}}");
    client_expect_error(client, "invalid_params");
}
END_TEST

START_TEST(tools_tell_of_metrics)
{
    const char *so = keep_printf("%s/tests/modules/counts.so", getenv("PILLION_BUILD"));

    expect_part(pillion("modinfo", so).out, "metrics:");
    expect_part(pillion("modinfo", "--json", so).out,
                "\"metrics\": [{\"name\": \"calls\", \"type\": \"counter\", "
                "\"summary\": \"Calls of count.\"}, ");
    expect_part(pillion("doc", so).out, "| `level` | gauge | What raise has raised. |");
    expect_part(pillion("doc", so).out, "| `waits` | histogram | How long it took. |");
    expect_part(pillion("modinfo", "--json", so).out,
                "{\"name\": \"sizes\", \"type\": \"histogram\", \"summary\": null, "
                "\"bounds\": [1, 10, 100]}");
}
END_TEST

E2E_MAIN("counts", histograms_are_summed_over_workers_and_outlive_them,
         threads_observe_at_the_same_time, metrics_are_summed_over_workers_and_outlive_them,
         a_metric_that_is_not_there_is_logged, memory_is_counted, requests_that_wait_are_counted,
         the_log_names_the_client_of_a_request, the_log_names_the_client_of_a_request_as_text_too,
         json_text_can_be_read_without_a_tree, tools_tell_of_metrics)
