/* Crashes and hangs elsewhere than in a handler, in threads, timers and callbacks: each is put down
 * to its own method, whose request is answered, and no other method is blamed. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One worker, so that all connections are in the same one. */
static struct server *serve_threads(const char *main_text, const char *server_text)
{
    struct server *server =
        server_serve_alone(main_text, keep_printf("method ping; %s", server_text));

    server->reports_allowed = true; /* some methods end their worker */
    return server;
}

#define THREADS "load_module modules/threads.so;"

static void ask(int client, const char *method, const char *where, const char *what, int ms)
{
    client_send_frame(client,
                      keep_printf("{\"in\":\"%s\",\"params\":{\"where\":\"%s\",\"what\":\"%s\","
                                  "\"ms\":%d}}",
                                  method, where, what, ms));
}

static double connection_stat(const struct server *server, const char *name)
{
    return cJSON_GetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "connections"), name));
}

static bool is_quarantined(const struct server *server, const char *method)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "methods"), method),
        "quarantined"));
}

START_TEST(a_crash_is_its_own_methods_wherever_it_happens)
{
    static const struct {
        const char *where, *what, *logged;
    } rows[] = {
        {"work", "segv", "work in a thread of module threads): SIGSEGV"},
        {"work", "overflow", "work in a thread of module threads): SIGSEGV"},
        {"work", "abort", "work in a thread of module threads): SIGABRT"},
        {"work", "exit", "work in a thread of module threads): exit status 3"},
        {"work", "_exit", "work in a thread of module threads): exit status 4"},
        {"done", "trap", "the callback after work in a thread of module threads): SIG"},
        {"timer", "segv", "a timer of module threads): SIGSEGV"},
        {"resumed", "segv", "a timer of module threads): SIGSEGV"},
        {"watch", "exit", "a watch of module threads): exit status 3"},
        {"posted", "abort", "a posted call of module threads): SIGABRT"},
        {"thread", "segv", "a thread of module threads): SIGSEGV"},
        {"thread", "overflow", "a thread of module threads): SIGSEGV"},
        {"thread", "_exit", "a thread of module threads): exit status 4"},
        {"cancel", "abort", "an on_cancel of module threads): SIGABRT"},
        {"filter", "", "a filter of module threads): SIGABRT"},
    };
    enum { ROWS = sizeof(rows) / sizeof(*rows) };
    char *methods = "method bystander { handler threads.harm; }";

    for (int i = 0; i < ROWS; i++)
        methods = keep_printf("%s method m%d { handler threads.%s; filter after; }", methods, i,
                              i % 2 == 0 ? "harm" : "again");
    struct server *server = serve_threads(THREADS "quarantine_crashes 1;", methods);
    int client = client_connect(server), idle = client_connect(server);
    client_expect_alive(idle);
    for (int i = 0; i < ROWS; i++) {
        char *method = keep_printf("m%d", i);
        ask(client, method, rows[i].where, rows[i].what, 0);
        const char *message = client_expect_error(client, "module_crashed");
        expect_part(message, keep_printf("\"%s\" crashed while it handled", method));
        server_wait_log(server,
                        keep_printf("died while it ran \"%s\" (%s", method, rows[i].logged));
        wait_until(is_quarantined(server, method), "%s is not quarantined", method);
        ask(client, method, "handler", "", 0);
        client_expect_error(client, "method_quarantined");
    }
    client_expect_alive(idle);
    ck_assert_double_eq(server_stat(server, "crashes"), ROWS);
    ck_assert_double_eq(connection_stat(server, "retried"), 0); /* not the idempotent ones either */
    ck_assert(!is_quarantined(server, "bystander"));
    ck_assert_ptr_null(strstr(server_log(server), "no method running"));
}
END_TEST

START_TEST(code_that_the_loop_runs_meanwhile_is_not_blamed)
{
    struct server *server =
        serve_threads(THREADS "quarantine_crashes 2; handler_timeout 30s;",
                      "method harm; method again; method slow { handler threads.harm; }");
    int client = client_connect(server), other = client_connect(server),
        third = client_connect(server);

    for (int round = 0; round < 2; round++) {
        ask(client, "harm", "work", "abort", 100);
        client_expect_alive(third); /* it has begun */
        ask(other, round == 0 ? "slow" : "again", "handler", round == 0 ? "hang" : "", 2000);
        expect_part(client_expect_error(client, "module_crashed"), "\"harm\" crashed");
        if (round == 0)
            expect_part(client_expect_error(other, "module_crashed"), "\"slow\" ended before");
        else /* a bystander that may be run again */
            expect_part(client_receive(other, NULL), "\"out\":\"done\"");
    }
    wait_until(is_quarantined(server, "harm"), "the culprit is not quarantined");
    ck_assert(!is_quarantined(server, "slow") && !is_quarantined(server, "again"));
    ck_assert_ptr_null(strstr(server_log(server), "ran \"slow\""));
    ck_assert_ptr_null(strstr(server_log(server), "ran \"again\""));
}
END_TEST

START_TEST(a_hang_is_a_timeout_and_has_a_name)
{
    static const struct {
        const char *where, *logged;
        int times; /* that it is logged then */
    } rows[] = {
        {"timer", "a timer of module threads", 1},
        {"resumed", "a timer of module threads", 2},
        {"done", "the callback after work in a thread of module threads", 1},
        {"watch", "a watch of module threads", 1},
        {"posted", "a posted call of module threads", 1},
    };
    struct server *server =
        serve_threads(THREADS "handler_timeout 1s; quarantine_crashes off;", "method again;");
    int client = client_connect(server), idle = client_connect(server);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ask(client, "again", rows[i].where, "hang", 0);
        expect_part(client_expect_error(client, "timeout"), "handler_timeout");
        server_wait_log_times(
            server,
            keep_printf("was ended: \"again\" (%s) ran for longer than it may", rows[i].logged),
            rows[i].times);
    }
    client_expect_alive(idle);
    ck_assert_double_eq(connection_stat(server, "retried"), 0);
}
END_TEST

/* The master has become the tracer of the worker, or of its thread: waitpid(2) reports that it has
 * stopped. It must not be taken for dead, nor stay stopped. */
START_TEST(a_worker_that_stops_as_traced_by_its_master_is_ended)
{
    static const char *const places[] = {"handler", "timer", "work", "thread"};
    struct server *server =
        serve_threads(THREADS "quarantine_crashes off; sandbox off;", "method harm;");
    int client = client_connect(server);
    pid_t pids[4], children[16];
    size_t usual = children_of(server->pid, children, 16);

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        wait_until(server_workers(server, pids, 4) == 1, "there is not one worker");
        ask(client, "harm", places[i], "traced", 0);
        client_expect_error(client, "module_crashed");
        server_wait_log(server, keep_printf("(pid %d) died", pids[0]));
        expect_part(server_log(server), "has stopped (SIGTRAP), traced by its parent");
        wait_until(kill(pids[0], 0) < 0, "the worker is still there, in a %s", places[i]);
    }
    expect_part(server_log(server), "died while it ran \"harm\": SIGKILL");
    expect_part(server_log(server),
                "died while it ran \"harm\" (a timer of module threads): SIGKILL");
    ck_assert_ptr_null(strstr(server_log(server), "exit status 5"));
    wait_until(children_of(server->pid, children, 16) == usual, "processes are left over");
}
END_TEST

START_TEST(a_crash_outside_of_methods_is_blamed_on_its_module)
{
    struct server *server =
        serve_threads("load_module modules/threads.so { early on; }", "method harm;");
    int client = client_connect(server);

    server_wait_log(server, "died while it ran a timer of module threads: SIGABRT");
    client_expect_alive(client);
    ck_assert_ptr_null(strstr(server_log(server), "no method running"));
}
END_TEST

START_TEST(a_signal_from_outside_is_nobodys_fault)
{
    struct server *server =
        serve_threads(THREADS "quarantine_crashes 1;", "method harm; method again;");
    int client = client_connect(server), other = client_connect(server);
    pid_t pids[4];

    ck_assert_uint_eq(server_workers(server, pids, 4), 1);
    ask(client, "again", "work", "", 300);
    ask(other, "again", "handler", "", 300);
    usleep(100000);
    ck_assert_int_eq(kill(pids[0], SIGSEGV), 0);
    expect_part(client_receive(client, NULL), "\"out\":\"done\"");
    expect_part(client_receive(other, NULL), "\"out\":\"done\"");
    server_wait_log(server, "died with no method running: SIGSEGV");
    ck_assert(!is_quarantined(server, "again"));
}
END_TEST

static const cJSON *health_of(int client)
{
    client_send_frame(client, "{\"in\":\"rpc.health\"}");
    return cJSON_GetObjectItem(client_receive_json(client), "result");
}

static double pool_stat(const struct server *server, const char *name)
{
    return cJSON_GetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "pool"), name));
}

START_TEST(threads_that_are_stuck_are_told_of_and_left_behind)
{
    struct server *server = serve_threads(
        THREADS "pool_threads 4; defer_timeout 300ms; handler_timeout 1s; quarantine_crashes 2;",
        "method rpc.health; method harm; method works { handler threads.harm; }");
    int client = client_connect(server), idle = client_connect(server),
        health = client_connect(server);
    pid_t before[4], after[4];

    client_expect_alive(idle);
    ck_assert_uint_eq(server_workers(server, before, 4), 1);
    ask(client, "harm", "work", "hang", 0);
    client_expect_error(client, "timeout");
    ck_assert_double_eq(pool_stat(server, "busy"), 1);
    server_wait_log(server, "module threads: the work of \"harm\" still runs");
    ck_assert_double_eq(pool_stat(server, "stuck"), 1);
    const cJSON *sick = health_of(health);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(sick, "status")), "degraded");
    ck_assert_double_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(sick, "stuck_threads")), 1);
    ask(client, "works", "work", "", 0); /* there are other threads */
    expect_part(client_receive(client, NULL), "\"out\":\"done\"");
    ck_assert(!is_quarantined(server, "harm"));

    ask(client, "harm", "work", "hang", 0);
    client_expect_error(client, "timeout");
    server_wait_log(server, "has too many threads that are stuck: another one takes its place");
    wait_until(is_quarantined(server, "harm"), "it is not quarantined");
    ck_assert(!is_quarantined(server, "works"));
    wait_until(server_workers(server, after, 4) == 1 && after[0] != before[0],
               "there is no other worker");
    ck_assert_double_eq(pool_stat(server, "stuck"), 0);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(health_of(health), "status")), "ok");
    for (int i = 0; i < 8; i++) {
        ask(client, "works", "work", "", 0);
        expect_part(client_receive(client, NULL), "\"out\":\"done\"");
    }
    client_expect_alive(idle);
    ck_assert_double_eq(server_stat(server, "hangs"), 2);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
    wait_until(!process_lives(before[0]), "the former worker does not end");
}
END_TEST

START_TEST(work_that_ends_after_all_frees_its_thread)
{
    struct server *server =
        serve_threads(THREADS "pool_threads 4; defer_timeout 100ms; handler_timeout 200ms;",
                      "method harm { timeout 300ms; }");
    int client = client_connect(server);

    ask(client, "harm", "work", "", 2000);
    client_expect_error(client, "timeout");
    server_wait_log(server, "the work of \"harm\" still runs");
    server_wait_log(server, "the work of \"harm\" has ended after all");
    ck_assert_double_eq(pool_stat(server, "stuck"), 0);
    ck_assert_double_eq(pool_stat(server, "busy"), 0);
    client_expect_alive(client);
}
END_TEST

START_TEST(a_thread_that_work_ends_is_replaced)
{
    enum { THREADS_OF_POOL = 3 };
    struct server *server = serve_threads(THREADS "pool_threads 3; defer_timeout 1m;",
                                          "method harm; method works { handler threads.harm; }");
    int client = client_connect(server);

    for (int i = 0; i < 2 * THREADS_OF_POOL; i++) {
        ask(client, "harm", "work", "leave", 0);
        expect_part(client_expect_error(client, "internal_error"),
                    "the work of \"harm\" has ended its thread");
    }
    server_wait_log(server, "module threads: the work of \"harm\" has ended its thread");
    for (int i = 0; i < THREADS_OF_POOL; i++) {
        ask(client, "works", "work", "", 0);
        expect_part(client_receive(client, NULL), "\"out\":\"done\"");
    }
    ck_assert_double_eq(pool_stat(server, "busy"), 0);
    client_expect_alive(client);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* So many are answered so. */
static int replies_with(int client, const char *part, int count)
{
    int found = 0;

    for (int i = 0; i < count; i++)
        found += strstr(client_receive(client, NULL), part) != NULL;
    return found;
}

static void ask_with_id(int client, const char *method, const char *what, int ms, int id)
{
    client_send_frame(client,
                      keep_printf("{\"in\":\"%s\",\"params\":{\"where\":\"work\",\"what\":\"%s\","
                                  "\"ms\":%d},\"id\":%d}",
                                  method, what, ms, id));
}

START_TEST(requests_waiting_for_a_thread_are_run_by_the_next_worker)
{
    struct server *server = serve_threads(THREADS "pool_threads 2; quarantine_crashes off;",
                                          "method harm; max_inflight 64;");
    int acting = client_connect(server), waiting = client_connect(server),
        other = client_connect(server);
    pid_t pids[4];

    for (int death = 0; death < 3; death++) {
        double before = connection_stat(server, "retried");
        for (int i = 0; i < 2; i++)
            ask_with_id(acting, "harm", "hang", 0, i);
        wait_until(pool_stat(server, "busy") == 2, "the threads are not busy");
        for (int i = 0; i < 20; i++)
            ask_with_id(waiting, "harm", "", 0, i);
        wait_until(pool_stat(server, "queued") == 20, "they are not queued");
        if (death == 0) {
            ck_assert_uint_eq(server_workers(server, pids, 4), 1);
            kill(pids[0], SIGKILL);
        } else {
            ask(other, "harm", death == 1 ? "handler" : "timer", "segv", 0);
            client_expect_error(other, "module_crashed");
        }
        ck_assert_int_eq(replies_with(acting, "module_crashed", 2), 2);
        ck_assert_int_eq(replies_with(waiting, "\"out\":\"done\"", 20), 20);
        ck_assert_double_eq(connection_stat(server, "retried") - before, 20);
    }
    client_expect_alive(waiting);
}
END_TEST

/* Of those that waited, some have been begun by now. */
START_TEST(work_that_a_thread_has_begun_is_not_run_again)
{
    struct server *server = serve_threads(THREADS "pool_threads 1; quarantine_crashes off;",
                                          "method harm; max_inflight 64;");
    int client = client_connect(server), other = client_connect(server);

    ask_with_id(client, "harm", "", 300, 0);
    wait_until(pool_stat(server, "busy") == 1, "the thread is not busy");
    ask_with_id(client, "harm", "hang", 0, 1);
    ask_with_id(client, "harm", "", 0, 2);
    expect_part(client_receive(client, NULL), "\"out\":\"done\"");
    wait_until(pool_stat(server, "queued") == 1, "the second has not begun");
    ask(other, "harm", "handler", "abort", 0);
    client_expect_error(other, "module_crashed");
    for (int i = 0; i < 2; i++) {
        char *reply = client_receive(client, NULL);
        expect_part(reply,
                    strstr(reply, "\"id\":1}") != NULL ? "module_crashed" : "\"out\":\"done\"");
    }
    ck_assert_double_eq(connection_stat(server, "retried"), 1);
    client_expect_alive(client);
}
END_TEST

START_TEST(a_stuck_pool_leaves_waiting_requests_to_the_next_worker)
{
    struct server *server =
        serve_threads(THREADS "pool_threads 1; handler_timeout 500ms; drain_timeout 20s;",
                      "method harm; method works { handler threads.harm; }");
    int client = client_connect(server), waiting = client_connect(server);

    ask(client, "harm", "work", "hang", 300);
    client_expect_error(client, "timeout");
    ask(waiting, "works", "work", "", 0); /* no thread will ever come to it in this worker */
    expect_part(client_receive(waiting, NULL), "\"out\":\"done\"");
    client_expect_alive(waiting);
}
END_TEST

/* The replies of HTTP have an order: none of its requests is left to the next worker before those
 * behind it are. */
START_TEST(a_stuck_pool_leaves_a_pipeline_to_the_next_worker)
{
    static const char body[] = "{\"where\":\"work\",\"what\":\"\"}";
    struct server *server =
        serve_threads(THREADS "pool_threads 1; handler_timeout 500ms; drain_timeout 20s;",
                      "method harm; method works { handler threads.harm; }");
    int client = client_connect(server), waiting = client_connect(server);

    ask(client, "harm", "work", "hang", 300);
    client_expect_error(client, "timeout");
    for (int i = 0; i < 4; i++) {
        const char *request = keep_printf(
            "POST /works HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s",
            i == 3 ? "Connection: close\r\n" : "", strlen(body), body);
        client_send(waiting, request, strlen(request));
    }
    const char *rest = client_receive_rest(waiting);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg((rest = strstr(rest, "HTTP/1.1 200 ")) != NULL, "response %d is missing", i);
        rest++;
    }
}
END_TEST

/* An answer that is held stays with its worker, and so does what it waits for. */
START_TEST(a_stuck_pool_strands_no_answer)
{
    static const char requests[] =
        "POST /works HTTP/1.1\r\nHost: localhost\r\nContent-Length: 26\r\n\r\n"
        "{\"where\":\"work\",\"what\":\"\"}"
        "POST /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1";
    struct server *server =
        serve_threads(THREADS "pool_threads 1; handler_timeout 500ms; drain_timeout 1s;",
                      "method harm; method works { handler threads.harm; }");
    int client = client_connect(server), waiting = client_connect(server);

    ask(client, "harm", "work", "hang", 300);
    client_expect_error(client, "timeout");
    client_send(waiting, requests, strlen(requests));
    const char *rest = client_receive_rest(waiting);
    /* The first may have come too late for the worker whose thread is stuck. */
    if (strncmp(rest, "HTTP/1.1 504 ", 13) == 0)
        expect_part(rest, "(drain_timeout)");
    else
        ck_assert_msg(strncmp(rest, "HTTP/1.1 200 ", 13) == 0, "%s", rest);
    expect_part(rest + 1, "HTTP/1.1 200 ");
}
END_TEST

START_TEST(requests_waiting_for_a_connection_are_run_by_the_next_worker)
{
    struct server *server =
        serve_threads(THREADS "quarantine_crashes off;", "method harm; method waiting;");
    int waiting = client_connect(server), sent = client_connect(server),
        other = client_connect(server);

    ask(waiting, "waiting", server_path(server, "run/connected"), "", 0);
    ask(sent, "waiting", server_path(server, "run/connected"), "sent", 0);
    wait_until(connection_stat(server, "deferred") == 2, "they do not wait");
    server_write(server, "run/connected", " ");
    ask(other, "harm", "handler", "abort", 0);
    client_expect_error(other, "module_crashed");
    expect_part(client_receive(waiting, NULL), "\"out\":\"done\"");
    client_expect_error(sent, "module_crashed");
    ck_assert_double_eq(connection_stat(server, "retried"), 1);
}
END_TEST

E2E_MAIN("threads", a_worker_that_stops_as_traced_by_its_master_is_ended,
         a_thread_that_work_ends_is_replaced,
         requests_waiting_for_a_thread_are_run_by_the_next_worker,
         work_that_a_thread_has_begun_is_not_run_again,
         a_stuck_pool_leaves_waiting_requests_to_the_next_worker,
         a_stuck_pool_leaves_a_pipeline_to_the_next_worker, a_stuck_pool_strands_no_answer,
         requests_waiting_for_a_connection_are_run_by_the_next_worker,
         threads_that_are_stuck_are_told_of_and_left_behind,
         work_that_ends_after_all_frees_its_thread, a_crash_is_its_own_methods_wherever_it_happens,
         code_that_the_loop_runs_meanwhile_is_not_blamed, a_hang_is_a_timeout_and_has_a_name,
         a_crash_outside_of_methods_is_blamed_on_its_module, a_signal_from_outside_is_nobodys_fault)
