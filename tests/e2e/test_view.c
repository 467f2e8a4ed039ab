/* `pillion status`: what it shows, and that it is answered whatever the workers do. */
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct run status_of(const struct server *server, const char *form)
{
    return form == NULL ? pillion("status", "-p", server->prefix)
                        : pillion("status", "-p", server->prefix, form);
}

START_TEST(it_shows_sums_workers_and_methods)
{
    struct server *server = server_serve("quarantine_crashes 1; load_module modules/crash.so;",
                                         "method ping; method kill;");
    int client = client_connect(server);

    server->reports_allowed = true;
    client_call(client, "ping", "1");
    client_call(client, "kill", "1");
    client_call(client, "ping", "1");
    struct run run = status_of(server, NULL);
    expect_status(&run, 0);
    expect_part(run.out, "generation 1, up ");
    expect_part(run.out, "; 1 crashes, 0 hangs\n1 connections, 0 of them in no vault; accepted ");
    expect_part(run.out, "\nWORKER ");
    expect_part(run.out, "  serving ");
    expect_part(run.out, "\nping                               2       0      0  ");
    expect_part(run.out, "\nkill                               1       1      0       -       -  "
                         "quarantined\n");
    for (const char *line = run.out; *line != '\0'; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 80);
}
END_TEST

START_TEST(json_is_what_rpc_stats_gives)
{
    struct server *server = server_serve("", "method ping;");
    struct run run = status_of(server, "--json");

    expect_status(&run, 0);
    cJSON *shown = cJSON_Parse(run.out);
    const cJSON *stats = server_stats(server), *item, *same;
    ck_assert_ptr_nonnull(shown);
    cJSON_ArrayForEach(item, stats)
    {
        same = cJSON_GetObjectItemCaseSensitive(shown, item->string);
        ck_assert_msg(same != NULL && same->type == item->type, "%s", item->string);
    }
    cJSON_Delete(shown);
    run = status_of(server, "--prometheus");
    expect_status(&run, 0);
    expect_part(run.out, "\npillion_config_generation 1\n");
    run = pillion("status", "-p", server->prefix, "--json", "--prometheus");
    expect_status(&run, 64);
}
END_TEST

START_TEST(it_is_answered_while_no_worker_runs)
{
    struct server *server = server_serve("heartbeat_timeout 10m;", "method ping;");
    pid_t workers[8];
    size_t count = server_workers(server, workers, 8);

    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGSTOP);
    struct run run = status_of(server, NULL);
    expect_status(&run, 0);
    expect_part(run.out, "generation 1, up ");
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGCONT);
}
END_TEST

START_TEST(without_a_server_that_is_said)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    struct run run = status_of(server, NULL);
    expect_status(&run, 1);
    expect_part(run.err, "pillion status: no server is running: nobody answers at ");
}
END_TEST

/* More than a socket takes at once, for a client that takes its time. */
START_TEST(a_long_answer_arrives_whole_and_holds_nobody_up)
{
    struct server *server = server_new();
    struct buffer methods = {0}, answer = {0};
    char data[4096];
    ssize_t size;

    for (int i = 0; i < 600; i++) {
        const char *line = keep_printf("method m%d_%0100d { handler ping.ping; }\n", i, 0);
        buffer_add(&methods, line, strlen(line));
    }
    buffer_add(&methods, "", 1);
    server_conf(server, "", methods.data);
    server_start(server);
    int client = client_connect_unix(server_path(server, "run/pillion.control"));
    client_send(client, "metrics\n", 8);
    struct run run = status_of(server, NULL);
    expect_status(&run, 0);
    server_reload(server);
    struct pollfd readable = {.fd = client, .events = POLLIN};
    while (poll(&readable, 1, PATIENCE_MS) == 1 && (size = recv(client, data, sizeof(data), 0)) > 0)
        buffer_add(&answer, data, (size_t)size);
    ck_assert_uint_gt(answer.size, 1000000);
    ck_assert(memcmp(answer.data, "ok\n# HELP ", 10) == 0);
    ck_assert_int_eq(answer.data[answer.size - 1], '\n');
    free(methods.data);
    free(answer.data);

    /* A client that reads nothing is no reason not to upgrade. */
    client = client_connect_unix(server_path(server, "run/pillion.control"));
    client_send(client, "metrics\n", 8);
    run = server_order(server, "upgrade");
}
END_TEST

E2E_MAIN("view", it_shows_sums_workers_and_methods, json_is_what_rpc_stats_gives,
         it_is_answered_while_no_worker_runs, without_a_server_that_is_said,
         a_long_answer_arrives_whole_and_holds_nobody_up)
