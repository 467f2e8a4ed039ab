/* `pillion bench`: a load that is what it says, and a report that is true. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

static char *address(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

static double number(const cJSON *report, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(report, name);

    if (!cJSON_IsNumber(item))
        fail_test("the report has no number %s", name);
    return item->valuedouble;
}

static cJSON *report_of(const struct run *run)
{
    cJSON *report = cJSON_Parse(run->out);

    if (report == NULL)
        fail_test("no JSON: %s%s", run->out, run->err);
    return report;
}

START_TEST(every_request_of_a_closed_loop_is_sent_and_counted)
{
    struct server *server = server_serve("", "method ping;");
    double before = server_calls(server, "ping", "calls");
    struct run run = pillion("bench", "--server", address(server), "-c", "7", "-P", "5", "-d",
                             "0.4", "--json", "ping", "[1,2]");

    expect_status(&run, 0);
    cJSON *report = report_of(&run);
    const cJSON *latency = cJSON_GetObjectItem(report, "latency_us");
    ck_assert(number(report, "requests") >= 35);
    ck_assert(number(report, "requests") == server_calls(server, "ping", "calls") - before);
    ck_assert(number(report, "errors") == 0);
    ck_assert(number(report, "connections") == 7 && number(report, "in_flight") == 5);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(report, "rate")));
    ck_assert(number(latency, "p50") > 0);
    ck_assert(number(latency, "p50") <= number(latency, "p99"));
    ck_assert(number(latency, "p99") <= number(latency, "max"));
    cJSON_Delete(report);
}
END_TEST

START_TEST(a_rate_is_kept)
{
    struct server *server = server_serve("", "method ping;");
    struct run run = pillion("bench", "--server", address(server), "-c", "3", "-d", "1", "--rate",
                             "500", "--json", "ping");

    expect_status(&run, 0);
    cJSON *report = report_of(&run);
    ck_assert(number(report, "requests") == 500);
    ck_assert(number(report, "rate") == 500);
    cJSON_Delete(report);
}
END_TEST

/* A stall of the server must show in more than the requests that were under way. */
START_TEST(at_a_rate_a_stall_is_charged_to_all_that_were_due)
{
    struct server *server = server_serve("load_module modules/crash.so;", "method sleep;");

    struct run run = pillion("bench", "--server", address(server), "-c", "1", "-P", "1", "-d",
                             "0.5", "--rate", "20", "--json", "sleep", "100");
    expect_status(&run, 0);
    cJSON *report = report_of(&run);
    /* It can do 10 a second: the last of 10 were due half a second before they were answered.
     * Replies are waited for 2 s longer, which slow machines need some of. */
    ck_assert(number(report, "requests") == 10);
    ck_assert(number(cJSON_GetObjectItem(report, "latency_us"), "p90") > 300000);
    cJSON_Delete(report);
}
END_TEST

START_TEST(error_replies_are_counted_and_large_replies_are_read)
{
    struct server *server = server_serve("", "method ping;");
    struct text {
        char bytes[200003];
    } *params = keep(calloc(1, sizeof(*params)));
    struct run run = pillion("bench", "--server", address(server), "-c", "2", "-d", "0.2", "--json",
                             "no.such.method");

    expect_status(&run, 1); /* no other reply came */
    static const char first[] = "method_not_found: there is no method \"no.such.method\" here";
    expect_part(run.err, keep_printf("are errors; the first: %s\n", first));
    cJSON *report = cJSON_Parse(run.out);
    ck_assert(number(report, "requests") > 0);
    ck_assert(number(report, "errors") == number(report, "requests"));
    ck_assert_str_eq(cJSON_GetObjectItem(report, "first_error")->valuestring, first);
    cJSON_Delete(report);

    memset(params->bytes, 'x', sizeof(params->bytes) - 1);
    params->bytes[0] = params->bytes[sizeof(params->bytes) - 2] = '"';
    run = run_command((const char *const[]){pillion_binary(), "bench", "--server", address(server),
                                            "-P", "3", "-d", "0.2", "--json", "ping", "-", NULL},
                      params->bytes, PATIENCE_MS);
    expect_status(&run, 0);
    report = report_of(&run);
    ck_assert(number(report, "requests") > 0);
    ck_assert(number(report, "errors") == 0);
    cJSON_Delete(report);
}
END_TEST

START_TEST(the_report_for_people_has_the_percentiles)
{
    struct server *server = server_serve("", "method ping;");
    struct run run = pillion("bench", "--server", address(server), "-d", "100ms", "ping");

    expect_status(&run, 0);
    static const char *const parts[] = {"1 connection, 1 request in flight on each",
                                        "requests a second",
                                        " on average, ",
                                        "Histogram of the times:\n  up to",
                                        "|####",
                                        "Distribution of the times:\n  p10 ",
                                        "p99.9",
                                        "Codes:\n  ok "};
    const char *at = run.out;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        expect_part(at, parts[i]);
        at = strstr(at, parts[i]);
    }
}
END_TEST

START_TEST(a_server_that_ends_is_reported)
{
    struct server *server = server_serve("", "method ping;");
    struct run run;

    /* Frames of this size are refused, and the connection ends. */
    server_conf(server, "", "method ping; max_frame 1k;");
    server_reload(server);
    run = pillion("bench", "--server", address(server), "-d", "5", "ping",
                  keep_printf("\"%01100d\"", 0));
    expect_status(&run, 1);
    expect_part(run.err, "1 of 1 connections ended early: ");
}
END_TEST

START_TEST(a_bad_command_line_is_refused_with_the_reason)
{
    static const struct {
        const char *arguments[4], *message;
    } cases[] = {
        {{"-c", "0", "ping", NULL}, "-c takes a whole number from 1 to 60000, not \"0\""},
        {{"-P", "4097", "ping", NULL}, "-P takes a whole number from 1 to 4096"},
        {{"-d", "x", "ping", NULL},
         "-d takes a time as in 500ms or 10s, or seconds, 0.001 to 86400"},
        {{"-d", "0s", "ping", NULL}, "not \"0s\""},
        {{"-d", "2d", "ping", NULL}, "not \"2d\""},
        {{"-d", "6 s", "ping", NULL}, "not \"6 s\""},
        {{"--rate", "-1", "ping", NULL}, "--rate takes requests a second"},
        {{"ping", "{", NULL}, "PARAMS is not JSON"},
        {{NULL}, "which METHOD?"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *const *a = cases[i].arguments;
        struct run run = pillion("bench", a[0], a[0] == NULL ? NULL : a[1],
                                 a[0] == NULL || a[1] == NULL ? NULL : a[2]);
        expect_status(&run, 64);
        expect_part(run.err, cases[i].message);
    }
    struct server *server = server_new();
    struct run run = pillion("bench", "--server", address(server), "ping");
    expect_status(&run, 2);
    expect_part(run.err, "no server answers at 127.0.0.1");
}
END_TEST

START_TEST(every_protocol_is_measured)
{
    static const char *const names[] = {"frame", "line", "lsp", "http"};
    struct server *server = server_serve("", "method ping;");

    /* Replies of 30000 bytes come in several reads. */
    char *params = keep_printf("[\"%01200d\", \"%030000d\"]", 0, 0);
    for (size_t i = 0; i < 4 * sizeof(names) / sizeof(*names); i++) {
        const char *argv[] = {pillion_binary(),
                              "bench",
                              "--server",
                              address(server),
                              "-c",
                              "3",
                              "-P",
                              "20",
                              "-d",
                              "0.2",
                              "--json",
                              "--protocol",
                              names[i / 4],
                              "ping",
                              i % 2 ? params : "[1]",
                              i % 4 < 2 ? "--jsonrpc" : NULL,
                              NULL};
        double before = server_calls(server, "ping", "calls");
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, 0);
        cJSON *report = report_of(&run);
        double count = number(report, "requests");
        ck_assert(count >= 60);
        ck_assert(count == server_calls(server, "ping", "calls") - before);
        ck_assert(number(report, "errors") == 0 && number(report, "unanswered") == 0);
        ck_assert(number(cJSON_GetObjectItem(report, "codes"), "ok") == count);
        ck_assert_str_eq(cJSON_GetObjectItem(report, "protocol")->valuestring, names[i / 4]);
        ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(report, "jsonrpc")) == (i % 4 < 2));
        cJSON_Delete(report);
    }
    struct run run = pillion("bench", "--http", keep_printf("http://127.0.0.1:%d", server->port),
                             "-d", "0.1", "ping");
    expect_status(&run, 0);
    expect_part(run.out, " by http: 1 connection");
}
END_TEST

START_TEST(errors_of_every_protocol_are_counted_by_their_codes)
{
    static const char *const names[] = {"frame", "line", "lsp", "http"};
    struct server *server = server_serve("", "method ping;");

    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(*names); i++) {
        const char *argv[] = {pillion_binary(),
                              "bench",
                              "--server",
                              address(server),
                              "-P",
                              "20",
                              "-d",
                              "0.1",
                              "--json",
                              "--protocol",
                              names[i / 2],
                              "nix",
                              i % 2 ? "--jsonrpc" : NULL,
                              NULL};
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, 1);
        expect_part(run.err, "the first: method_not_found: there is no method \"nix\" here\n");
        cJSON *report = cJSON_Parse(run.out);
        const cJSON *codes = cJSON_GetObjectItem(report, "codes");
        ck_assert(number(report, "requests") == number(report, "errors"));
        ck_assert(number(codes, i % 2 ? "-32601" : "method_not_found") == number(report, "errors"));
        ck_assert_int_eq(cJSON_GetArraySize(codes), 1);
        cJSON_Delete(report);
    }
    struct run run = pillion("bench", "--server", address(server), "--jsonrpc", "ping", "5");
    expect_status(&run, 64);
    expect_part(run.err, "with --jsonrpc, PARAMS is an object or an array");
}
END_TEST

E2E_MAIN("bench", every_protocol_is_measured, errors_of_every_protocol_are_counted_by_their_codes,
         every_request_of_a_closed_loop_is_sent_and_counted, a_rate_is_kept,
         at_a_rate_a_stall_is_charged_to_all_that_were_due,
         error_replies_are_counted_and_large_replies_are_read,
         the_report_for_people_has_the_percentiles, a_server_that_ends_is_reported,
         a_bad_command_line_is_refused_with_the_reason)
