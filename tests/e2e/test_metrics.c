/* GET /metrics: what Prometheus, its tool and its alerts make of it. */
#include "harness.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROMETHEUS "/usr/bin/prometheus"
#define PROMTOOL   "/usr/bin/promtool"

static bool is_missing(const char *tool)
{
    bool missing = access(tool, X_OK) != 0;

    if (missing)
        fprintf(stderr, "skipped: there is no %s\n", tool);
    return missing;
}

static const char *get(const struct server *server, const char *path, const char *fields)
{
    return client_round(server->port,
                        keep_printf("GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: "
                                    "close\r\n\r\n",
                                    path, fields));
}

/* The body of a scrape. */
static const char *scrape(const struct server *server)
{
    const char *response = get(server, "/metrics", "");

    expect_part(response, "HTTP/1.1 200 OK\r\n");
    expect_part(response, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    return strstr(response, "\r\n\r\n") + 4;
}

/* The number of the series of this name and labels. */
static double sample(const char *text, const char *series)
{
    const char *line = strstr(text, keep_printf("\n%s ", series));

    if (line == NULL)
        fail_test("there is no %s in:\n%s", series, text);
    return strtod(line + 1 + strlen(series), NULL);
}

/* The same of the methods' metrics, for the server block that the test calls. */
static double of_server(const struct server *server, const char *text, const char *name,
                        const char *labels)
{
    return sample(
        text, keep_printf("pillion_%s{server=\"127.0.0.1:%d\",%s}", name, server->port, labels));
}

/* A server that is asked for numbers, and whose methods crash, wait and fail. */
/* `more` is outside of its server block. */
static struct server *serve_with(const char *more)
{
    struct server *server =
        server_serve(keep_printf("quarantine_crashes 2; pool slow threads=3; load_module "
                                 "modules/crash.so; load_module modules/later.so pool=slow; %s",
                                 more),
                     "status on; half_close off; method ping; method kill; method noted; method "
                     "quote\\\"s { handler "
                     "ping.ping; } method hold;");

    server->reports_allowed = true;
    return server;
}

static struct server *serve(void)
{
    return serve_with("");
}

/* A registry and a name server that nobody answers for, which have metrics all the same. */
static struct server *serve_registered(void)
{
    struct server *server =
        serve_with("registry etcd http://127.0.0.1:1 { prefix /s; }\nresolver 127.0.0.1:1;\n"
                   "load_module modules/services.so { services srv:_pillion._tcp.shop.example; }");

    wait_until(strstr(scrape(server), "pillion_registry_connected 0") != NULL,
               "there is no metric of the registry");
    wait_until(strstr(scrape(server), "pillion_dns_names 1") != NULL,
               "there is no metric of servers from DNS");
    return server;
}

START_TEST(every_outcome_is_a_series)
{
    struct server *server = serve();
    int client = client_connect(server);

    for (int i = 0; i < 3; i++)
        client_call(client, "ping", "1");
    for (int i = 0; i < 3; i++)
        client_call(client, "kill", "null");
    client_call(client, "quote\\\"s", "null");
    const char *text = scrape(server);
    ck_assert_double_eq(of_server(server, text, "requests_total", "method=\"ping\",code=\"ok\""),
                        3);
    ck_assert_double_eq(
        of_server(server, text, "requests_total", "method=\"ping\",code=\"module_crashed\""), 0);
    ck_assert_double_eq(
        of_server(server, text, "requests_total", "method=\"kill\",code=\"module_crashed\""), 2);
    ck_assert_double_eq(
        of_server(server, text, "requests_total", "method=\"kill\",code=\"method_quarantined\""),
        1);
    ck_assert_double_eq(
        of_server(server, text, "requests_total", "method=\"quote\\\"s\",code=\"ok\""), 1);
    ck_assert_double_eq(of_server(server, text, "method_quarantined", "method=\"kill\""), 1);
    ck_assert_double_eq(sample(text, "pillion_worker_crashes_total"), 2);
    ck_assert_double_eq(
        of_server(server, text, "request_duration_seconds_bucket", "method=\"ping\",le=\"+Inf\""),
        3);
    ck_assert_double_eq(
        of_server(server, text, "request_duration_seconds_count", "method=\"ping\""), 3);
    ck_assert_double_eq(sample(text, "pillion_pool_threads_busy{pool=\"slow\"}"), 0);
    ck_assert_double_ge(sample(text, "pillion_module_memory_bytes{module=\"ping\"}"), 0);
    ck_assert_double_eq(sample(text, "pillion_last_reload_success"), 1);

    server_write(server, "conf/pillion.conf", "nonsense;");
    server_reload_refused(server, "nonsense");
    text = scrape(server);
    ck_assert_double_eq(sample(text, "pillion_last_reload_success"), 0);
    ck_assert_double_eq(sample(text, "pillion_reloads_total{result=\"failed\"}"), 1);
}
END_TEST

/* Two blocks that offer the same methods; the second by a Unix socket. */
static struct server *serve_two(const char *directives)
{
    struct server *server = server_new();

    server_conf(server,
                "load_module modules/crash.so;\n"
                "server { listen unix:run/two.sock; method ping; method kill; }",
                "status on; method ping; method kill;");
    server_start_with(server, (const char *const[]){"-g", directives, NULL});
    server->reports_allowed = true;
    return server;
}

START_TEST(servers_count_apart_and_rpc_stats_has_the_sum)
{
    struct server *server = serve_two("worker_processes 1;");
    int one = client_connect(server);
    int two = client_connect_unix(server_path(server, "run/two.sock"));
    double before = server_calls(server, "ping", "calls"); /* harness_start has pinged */

    for (int i = 0; i < 5; i++)
        client_call(i < 2 ? one : two, "ping", "1");
    const char *text = scrape(server);
    ck_assert_double_eq(of_server(server, text, "requests_total", "method=\"ping\",code=\"ok\""),
                        before + 2);
    static const char other[] = "server=\"unix:run/two.sock\",method=\"ping\"";
    ck_assert_double_eq(sample(text, keep_printf("pillion_requests_total{%s,code=\"ok\"}", other)),
                        3);
    ck_assert_double_eq(
        sample(text, keep_printf("pillion_request_duration_seconds_count{%s}", other)), 3);
    ck_assert_double_eq(server_calls(server, "ping", "calls"), before + 5);
    /* and goes on to, in a new generation, and in a new order of the blocks */
    server_reload(server);
    client_call(two, "ping", "1");
    ck_assert_double_eq(
        sample(scrape(server), keep_printf("pillion_requests_total{%s,code=\"ok\"}", other)), 4);
}
END_TEST

START_TEST(a_method_is_quarantined_in_every_server)
{
    struct server *server = serve_two("quarantine_crashes 2;");
    int one = client_connect(server);
    int two = client_connect_unix(server_path(server, "run/two.sock"));

    client_call(one, "kill", "null");
    client_call(two, "kill", "null");
    expect_part(client_call(one, "kill", "null"), "method_quarantined");
    expect_part(client_call(two, "kill", "null"), "method_quarantined");
    const char *text = scrape(server);
    ck_assert_double_eq(of_server(server, text, "method_quarantined", "method=\"kill\""), 1);
    ck_assert_double_eq(
        sample(text, "pillion_method_quarantined{server=\"unix:run/two.sock\",method=\"kill\"}"),
        1);
}
END_TEST

START_TEST(a_module_s_own_metrics_are_there)
{
    struct server *server = server_serve("load_module modules/counts.so;",
                                         "status on; method raise; method count; method observe;");
    int client = client_connect(server);

    client_call(client, "raise", "{\"by\":5}");
    client_call(client, "count", "1");
    for (int size = 5; size <= 500; size *= 10)
        client_call(client, "observe", keep_printf("{\"value\":%d}", size));
    const char *text = scrape(server);
    expect_part(text, "# TYPE pillion_module_counts_level gauge\n");
    ck_assert_double_eq(sample(text, "pillion_module_counts_level"), 5);
    ck_assert_double_eq(sample(text, "pillion_module_counts_calls_total"), 1);
    expect_part(text, "# TYPE pillion_module_counts_sizes histogram\n");
    ck_assert_double_eq(sample(text, "pillion_module_counts_sizes_bucket{le=\"1\"}"), 0);
    ck_assert_double_eq(sample(text, "pillion_module_counts_sizes_bucket{le=\"100\"}"), 2);
    ck_assert_double_eq(sample(text, "pillion_module_counts_sizes_bucket{le=\"+Inf\"}"), 3);
    ck_assert_double_eq(sample(text, "pillion_module_counts_sizes_sum"), 5 + 50 + 500);
    ck_assert_double_eq(sample(text, "pillion_module_counts_sizes_count"), 3);
}
END_TEST

START_TEST(requests_that_wait_are_in_flight)
{
    struct server *server = serve();
    int clients[3];

    for (int i = 0; i < 3; i++) {
        clients[i] = client_connect(server);
        client_send_frame(clients[i], "{\"in\":\"hold\"}");
    }
    wait_until(of_server(server, scrape(server), "requests_in_flight", "method=\"hold\"") == 3,
               "they do not wait");
    close(clients[0]);
    wait_until(of_server(server, scrape(server), "requests_in_flight", "method=\"hold\"") == 2,
               "it is counted though its client has gone");
}
END_TEST

START_TEST(the_path_is_there_only_with_status_on_and_behind_the_filters)
{
    struct server *server = server_serve("", "method ping;");

    expect_part(get(server, "/metrics", ""), "HTTP/1.1 404 Not Found\r\n");
    server_conf(server, "load_module modules/auth.so;",
                "status on; method ping; filter auth { token secret; }");
    server_reload(server);
    expect_part(get(server, "/metrics", ""), "HTTP/1.1 401 Unauthorized\r\n");
    expect_part(get(server, "/metrics", "Authorization: Bearer secret\r\n"), "HTTP/1.1 200 OK\r\n");
    expect_part(get(server, "/metrics", "Authorization: Bearer secret\r\nOrigin: http://evil\r\n"),
                "HTTP/1.1 403 Forbidden\r\n");
}
END_TEST

START_TEST(promtool_finds_nothing)
{
    if (is_missing(PROMTOOL))
        return;
    struct server *server = serve_registered();
    int client = client_connect(server);

    client_call(client, "kill", "null");
    client_call(client, "ping", "1");
    struct run run = run_command((const char *const[]){PROMTOOL, "check", "metrics", NULL},
                                 scrape(server), PATIENCE_MS);
    expect_status(&run, 0);
    expect_text(run.out, "");
    expect_text(run.err, "");
}
END_TEST

/* The files in conf/monitoring name metrics: each must be there. */
START_TEST(rules_and_dashboard_speak_of_what_there_is)
{
    static const char *const files[] = {"pillion.rules.yml", "grafana.json"};
    static const char prefix[] = "pillion_";
    const char *text = scrape(serve_registered());
    size_t seen = 0;

    for (int i = 0; i < 2; i++) {
        const char *at = file_read(
            keep_printf("%s/conf/monitoring/%s", getenv("PILLION_BUILD"), files[i]), NULL);
        while ((at = strstr(at, prefix)) != NULL) {
            size_t size = strlen(prefix);
            while (isalnum((unsigned char)at[size]) || at[size] == '_')
                size++;
            if (at[-1] != ':') { /* not of a recording's name */
                const char *family = keep_printf("\n# TYPE %.*s ", (int)size, at);
                if (strstr(text, family) == NULL) /* a part of a histogram */
                    expect_part(text, keep_printf("\n%.*s", (int)size, at));
                seen++;
            }
            at += size;
        }
    }
    ck_assert_uint_gt(seen, 40);
}
END_TEST

/* The answer of Prometheus. */
static const char *ask_prometheus(const struct server *prometheus, const char *path)
{
    return get(prometheus, path, "");
}

START_TEST(prometheus_scrapes_it_and_alerts_when_a_method_crashes)
{
    if (is_missing(PROMETHEUS))
        return;
    struct server *server = serve(), *prometheus = server_new();
    const char *rules =
        keep_printf("%s/conf/monitoring/pillion.rules.yml", getenv("PILLION_BUILD"));

    server_write(prometheus, "prometheus.yml",
                 "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: "
                 "200ms}\nrule_files: [%s]\nscrape_configs:\n  - job_name: pillion\n    "
                 "static_configs: [{targets: ['127.0.0.1:%d']}]\n",
                 rules, server->port);
    server_run(prometheus,
               (const char *const[]){
                   PROMETHEUS,
                   keep_printf("--config.file=%s", server_path(prometheus, "prometheus.yml")),
                   keep_printf("--storage.tsdb.path=%s", server_path(prometheus, "data")),
                   keep_printf("--web.listen-address=127.0.0.1:%d", prometheus->port), NULL});
    int fd = -1;
    wait_until((fd = client_try_connect(prometheus->port)) >= 0, "Prometheus does not listen");
    close(fd);
    wait_until(strstr(ask_prometheus(prometheus, "/api/v1/query?query=pillion_build_info"),
                      "\"version\":\"") != NULL,
               "Prometheus has scraped nothing");
    ck_assert_ptr_null(strstr(ask_prometheus(prometheus, "/api/v1/alerts"), "firing"));

    int client = client_connect(server);
    client_call(client, "kill", "null");
    client_call(client, "kill", "null");
    static const char *const names[] = {"PillionMethodCrashes", "PillionWorkerCrashes",
                                        "PillionMethodQuarantined"};
    for (int i = 0; i < 3; i++)
        wait_until(strstr(ask_prometheus(prometheus, "/api/v1/alerts"), names[i]) != NULL,
                   "%s does not fire", names[i]);
    const char *alerts = ask_prometheus(prometheus, "/api/v1/alerts");
    expect_part(alerts, "\"method\":\"kill\"");
    expect_part(alerts, "kill has crashed too often and is out of service");
}
END_TEST

E2E_MAIN("metrics", every_outcome_is_a_series, servers_count_apart_and_rpc_stats_has_the_sum,
         a_method_is_quarantined_in_every_server, a_module_s_own_metrics_are_there,
         requests_that_wait_are_in_flight,
         the_path_is_there_only_with_status_on_and_behind_the_filters, promtool_finds_nothing,
         rules_and_dashboard_speak_of_what_there_is,
         prometheus_scrapes_it_and_alerts_when_a_method_crashes)
