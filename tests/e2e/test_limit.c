/* The limit module: rates and what is under way, by every key, shared by all workers, over reloads
 * and deaths. */
#include "harness.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct server *serve_limit_with(const char *workers, const char *server_text)
{
    struct server *server = server_serve_with(
        workers, "zone limits 1m; load_module modules/limit.so; load_module modules/later.so;",
        server_text);

    server->reports_allowed = true; /* a worker is ended on purpose */
    return server;
}

static struct server *serve_limit(const char *server_text)
{
    return serve_limit_with("worker_processes 2;", server_text);
}

/* How many of `count` calls are let in. */
static int let_in(int client, const char *members, int count)
{
    int in = 0;

    for (int i = 0; i < count; i++) {
        client_send_frame(client, keep_printf("{\"in\":\"ping\"%s}", members));
        char *reply = client_receive(client, NULL);
        if (strstr(reply, "\"pong\"") != NULL)
            in++;
        else
            expect_part(reply, "\"limited\"");
    }
    return in;
}

START_TEST(a_rate_holds_for_all_workers_together)
{
    struct server *server =
        serve_limit("method ping { filter limit { zone limits; rate 10/h; } } method hold;");
    int in = 0;

    for (int i = 0; i < 8; i++) /* connections go to both workers */
        in += let_in(client_connect(server), "", 5);
    ck_assert_int_eq(in, 1); /* less than one a second: one at once */
    client_send_frame(client_connect(server), "{\"in\":\"ping\"}");
    server_reload(server);
    ck_assert_int_eq(let_in(client_connect(server), "", 3), 0); /* it is not forgotten */
    server_order(server, "upgrade");
    ck_assert_int_eq(let_in(client_connect(server), "", 3), 0);
}
END_TEST

/* A client of its own address, whose connection is accepted. */
static int connect_from(const struct server *server, const char *address)
{
    int client = client_connect_from(address, server->port);

    client_send_frame(client, "{\"in\":\"plain\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    return client;
}

/* The worker is held up until the clients, which have sent a request each, have reset their
 * connections: then their sockets tell no address any more. */
START_TEST(clients_that_reset_are_told_apart)
{
    struct server *server = server_serve_alone(
        "zone limits 1m; load_module modules/limit.so; load_module modules/crash.so;",
        "method sleep; method plain { handler ping.ping; }"
        "method few { handler ping.ping; filter limit { zone limits; rate 1/h; } }");
    int clients[3];

    int busy = client_connect(server);
    for (size_t i = 0; i < sizeof(clients) / sizeof(*clients); i++)
        clients[i] = connect_from(server, keep_printf("127.0.0.%zu", 2 + i));
    client_send_frame(busy, "{\"in\":\"sleep\",\"params\":300}");
    for (size_t i = 0; i < sizeof(clients) / sizeof(*clients); i++) {
        client_send_frame(clients[i], "{\"in\":\"few\"}");
        client_vanish(clients[i]);
    }
    client_receive(busy, NULL);
    wait_until(server_calls(server, "few", "calls") == 3, "not all calls are counted");
    ck_assert_double_eq(server_calls(server, "few", "errors"), 0);
}
END_TEST

START_TEST(a_burst_may_come_at_once_and_time_brings_more)
{
    struct server *server =
        serve_limit("method ping { filter limit { zone limits; rate 20/s; burst 7; } }");
    int client = client_connect(server);
    int64_t since = now_ms();

    int in = let_in(client, "", 50);
    int64_t passed = now_ms() - since;
    ck_assert_int_ge(in, 7);
    ck_assert_int_le(in, 8 + (int)(passed / 50));
    wait_until(let_in(client, "", 1) == 1, "none is let in any more");
    client_send_frame(client, "{\"in\":\"ping\"}");
    char *reply = client_receive(client, NULL);
    if (strstr(reply, "limited") != NULL)
        expect_part(reply, "more than 20/s; try again in 0.0");
}
END_TEST

/* The next reply is an error: the time that it gives, in seconds; 0: none, or it is no error. */
static double retry_after(int client)
{
    const cJSON *result = cJSON_GetObjectItem(client_receive_json(client), "result");
    const cJSON *seconds = cJSON_GetObjectItem(result, "retry_after");

    return cJSON_IsNumber(seconds) ? seconds->valuedouble : 0;
}

/* A client that waits so long is let in; the time is a number, so that no client reads words. */
START_TEST(a_refused_request_is_told_when_to_try_again)
{
    struct server *server = serve_limit("method ping { filter limit { zone limits; rate 1/s; } }"
                                        "method rare { handler ping.ping;"
                                        "    filter limit { zone limits; rate 2/h; burst 1; } }");
    int client = client_connect(server);
    double seconds = 0;

    for (int64_t until = deadline_in(PATIENCE_MS); seconds == 0 && !deadline_over(until);) {
        client_send_frame(client, "{\"in\":\"ping\"}");
        seconds = retry_after(client);
    }
    ck_assert_double_gt(seconds, 0);
    ck_assert_double_le(seconds, 1.001);
    usleep((useconds_t)(seconds * 1e6));
    client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"rare\"}");
    client_receive(client, NULL);
    client_send_frame(client, "{\"in\":\"rare\"}");
    seconds = retry_after(client);
    ck_assert_double_gt(seconds, 1700);
    ck_assert_double_le(seconds, 1800.001);
    client_send_frame(client, "{\"jsonrpc\":\"2.0\",\"method\":\"rare\",\"id\":1}");
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "\"error\":{\"code\":42900,\"message\":\"more than 2/h");
    expect_part(reply, "\"data\":{\"code\":\"limited\",\"message\":\"more than 2/h");
    expect_part(reply, "\"retry_after\":1");
    struct run run = pillion("call", "--server", keep_printf("127.0.0.1:%d", server->port), "rare");
    expect_status(&run, 1);
    expect_part(run.err, " s (retry_after 1");
}
END_TEST

/* A server whose methods `ping` and `other` have the same limit. */
static int serve_two(const char *key)
{
    const char *filter =
        keep_printf("filter limit { zone limits; rate 3/h; burst 3; key %s; }", key);
    struct server *server = serve_limit(
        keep_printf("method ping { %s } method other { handler ping.ping; %s }", filter, filter));

    return client_connect(server);
}

START_TEST(each_value_of_a_member_has_a_limit_of_its_own)
{
    int client = serve_two("member:token");
    char longer[300];

    ck_assert_int_eq(let_in(client, ",\"token\":\"a\"", 5), 3);
    ck_assert_int_eq(let_in(client, ",\"token\":\"b\"", 5), 3);
    ck_assert_int_eq(let_in(client, "", 5), 3);
    for (char last = 'x'; last <= 'y'; last++) {
        memset(longer, 'l', sizeof(longer));
        longer[sizeof(longer) - 2] = last;
        longer[sizeof(longer) - 1] = '\0';
        ck_assert_int_eq(let_in(client, keep_printf(",\"token\":\"%s\"", longer), 5), 3);
    }
    client = serve_two("method");
    ck_assert_int_eq(let_in(client, "", 5), 3);
    client_send_frame(client, "{\"in\":\"other\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client = serve_two("all");
    ck_assert_int_eq(let_in(client, "", 5), 3);
    client_send_frame(client, "{\"in\":\"other\"}");
    client_expect_error(client, "limited");
    client = serve_two("client");
    ck_assert_int_eq(let_in(client, "", 5), 3);
}
END_TEST

START_TEST(a_member_is_counted_by_its_text_however_it_is_escaped)
{
    static const char *const spellings[] = {"\"abc\"", "\"\\u0061bc\"", "\"a\\u0062c\"",
                                            "\"\\u0061\\u0062\\u0063\""};
    int client = serve_two("member:token");
    int in = 0;

    for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++)
        in += let_in(client, keep_printf(",\"token\":%s", spellings[i]), 2);
    ck_assert_int_eq(in, 3);
    ck_assert_int_eq(let_in(client, ",\"token\":\"abc\\u0000\"", 5), 3); /* another one */
    ck_assert_int_eq(let_in(client, ",\"token\":\"abc\\u0000d\"", 5), 3);
    ck_assert_int_eq(let_in(client, ",\"token\":\"1\"", 5), 3);
    ck_assert_int_eq(let_in(client, ",\"token\":1", 5), 3);
    ck_assert_int_eq(let_in(client, ",\"token\":\"\"", 5), 3);
    ck_assert_int_eq(let_in(client, ",\"token\":\"\\ud800\"", 2), 2);
    ck_assert_int_eq(let_in(client, ",\"token\":\"\\ud800x\"", 5), 1);
    ck_assert_int_eq(let_in(client, "", 5), 3);
}
END_TEST

START_TEST(statements_of_different_rates_count_apart)
{
    struct server *server = serve_limit(
        "filter limit { zone limits; rate 1000/s; burst 2000; }"
        "filter limit { zone limits; rate 1000/s; burst 2000; key member:user; }"
        "method ping { filter limit { zone limits; rate 2/h; burst 2; } }"
        "method other { handler ping.ping; filter limit { zone limits; rate 120/m; burst 5; }"
        " filter limit { zone limits; rate 5/h; burst 5; key member:token; } }");
    int client = client_connect(server), in = 0;

    ck_assert_int_eq(let_in(client, ",\"user\":\"u\"", 9), 2);
    usleep(20000); /* at the server's rate there would be twenty more */
    ck_assert_int_eq(let_in(client, ",\"user\":\"u\"", 9), 0);
    for (int i = 0; i < 9; i++) { /* five: not what a smaller burst has left */
        client_send_frame(client, "{\"in\":\"other\",\"token\":\"u\"}");
        in += strstr(client_receive(client, NULL), "\"pong\"") != NULL;
    }
    ck_assert_int_eq(in, 5);
}
END_TEST

static bool is_limited(int client)
{
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":1}}");
    return strstr(client_receive(client, NULL), "limited") != NULL;
}

/* Begins a wait of a minute, and sees it begun: what is asked for behind it is answered. */
static void begin_wait(int client)
{
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
}

START_TEST(concurrency_bounds_the_requests_under_way)
{
    struct server *server =
        serve_limit("method wait { filter limit { zone limits; concurrency 2; } }"
                    "method hold { filter limit { zone limits; concurrency 2; } }"
                    "method let_go; method ping; method crash_now;");
    int one = client_connect(server), two = client_connect(server), three = client_connect(server);
    pid_t pids[8];

    for (int i = 0; i < 3; i++) { /* what has timed out does not count */
        client_send_frame(one, "{\"in\":\"wait\",\"params\":{\"ms\":60000,\"timeout\":20}}");
        client_expect_error(one, "timeout");
    }
    begin_wait(one);
    client_send_frame(two, "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(two, "{\"in\":\"ping\",\"id\":2}");
    client_expect(two, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    for (int i = 0; i < 5; i++)
        ck_assert_msg(is_limited(three), "a third is let in");
    client_expect_alive(three);
    client_send_frame(two, "{\"in\":\"let_go\",\"params\":{\"key\":1}}"); /* the same worker */
    expect_part(client_receive(two, NULL), "\"out\":");
    expect_part(client_receive(two, NULL), "\"out\":");
    for (int i = 0; i < 5; i++)
        ck_assert(!is_limited(three)); /* what is refused, and what is over, does not count */
    /* Nor do requests that were under way in workers that are dead. */
    begin_wait(two);
    ck_assert_msg(is_limited(three), "a third is let in");
    size_t count = server_workers(server, pids, 8);
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    client_expect_error(one, "module_crashed");
    client_expect_error(two, "module_crashed");
    wait_until(!is_limited(three), "the dead count for ever");
}
END_TEST

START_TEST(statements_of_different_concurrency_count_apart)
{
    struct server *server = serve_limit(
        "filter limit { zone limits; concurrency 4; key all; } method ping;"
        "method hold; method wait { filter limit { zone limits; concurrency 1; key all; } }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":1},\"id\":1}");
    client_send_frame(client, "{\"in\":\"hold\",\"params\":{\"key\":2},\"id\":1}");
    begin_wait(client); /* the only one, though it is the third of the server */
    ck_assert(is_limited(client_connect(server)));
}
END_TEST

/* Begins a wait of a minute, as begin_wait, and tells whether it is let in. */
static bool may_wait(int client)
{
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000},\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    bool limited = strstr(client_receive(client, NULL), "limited") != NULL;
    if (limited)
        client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
    return !limited;
}

static int count_waiting(const struct server *server, int tries)
{
    int in = 0;
    while (tries-- > 0)
        in += may_wait(client_connect(server));
    return in;
}

START_TEST(old_and_new_workers_are_counted)
{
    enum { MOST = 100 };
    struct server *server =
        serve_limit_with("worker_processes 24;",
                         "method wait { filter limit { zone limits; concurrency 100; key all; } }"
                         "method ping;");
    int clients[MOST];
    pid_t pids[64];

    for (int i = 0; i < MOST / 2; i++)
        ck_assert_msg(may_wait(clients[i] = client_connect(server)), "%d are under way", i);
    size_t count = server_workers(server, pids, 64);
    ck_assert_uint_ge(count, 24);
    struct run run = server_ask(server, "reload"); /* the old workers have theirs to wait for */
    expect_status(&run, 0);
    for (int i = MOST / 2; i < MOST; i++)
        ck_assert_msg(may_wait(clients[i] = client_connect(server)), "%d are under way", i);
    ck_assert_int_eq(count_waiting(server, 20), 0);
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    for (int i = 0; i < MOST / 2; i++)
        client_expect_error(clients[i], "module_crashed");
    /* Where one is refused, what the dead had may still be counted: until the next recount. */
    for (int in = 0; in < MOST / 2; in++)
        wait_until(may_wait(client_connect(server)), "the dead count for ever: %d are let in", in);
    usleep(200000); /* so that a recount is due */
    ck_assert_int_eq(count_waiting(server, 20), 0);
}
END_TEST

/* A process with this very pid, which only root can ask for: -1 otherwise. It ends with the test.
 */
static pid_t process_of(pid_t pid)
{
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};
    pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        pause();
}

START_TEST(a_pid_that_is_used_again_is_another_worker)
{
    struct server *server = serve_limit_with(
        "worker_processes 1;",
        "method wait { filter limit { zone limits; concurrency 1; key all; } } method ping;");
    int client = client_connect(server);
    pid_t pid;

    begin_wait(client);
    ck_assert_uint_eq(server_workers(server, &pid, 1), 1);
    ck_assert(is_limited(client_connect(server)));
    kill(pid, SIGKILL);
    client_expect_error(client, "module_crashed");
    pid_t other = -1;
    /* The client is answered before the last of the dead worker is gone. */
    wait_until((other = process_of(pid)) >= 0 || errno != EEXIST, "the worker is never gone");
    if (other < 0)
        return;
    ck_assert_int_eq(other, pid);
    client = client_connect(server);
    wait_until(!is_limited(client), "another process counts as the worker");
    kill(other, SIGKILL);
}
END_TEST

START_TEST(modules_count_together_in_a_zone)
{
    struct server *server = serve_limit("method ping; method hits;");

    for (int i = 0; i < 6; i++) { /* the third call forgets; connections go to both workers */
        int client = client_connect(server);
        client_send_frame(client, "{\"in\":\"hits\",\"params\":{\"key\":\"k\"}}");
        client_expect(client, keep_printf("{\"out\":\"hits\",\"result\":{\"found\":%d,"
                                          "\"before\":%d,\"now\":%d}}",
                                          i % 3 == 0 ? -1 : 8, i % 3, i % 3 + 1));
    }
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"hits\",\"params\":{\"key\":\"third\"}}");
    client_expect(client, "{\"out\":\"hits\",\"result\":{\"found\":1,\"before\":107,\"now\":1}}");
}
END_TEST

START_TEST(wrong_configurations_are_refused)
{
    static const struct {
        const char *main_text, *filter, *message;
    } cases[] = {
        {"", "filter limit { zone limits; rate 1/s; }",
         "there is no zone \"limits\"; write \"zone limits 1m;\""},
        {"zone limits 1m;", "filter limit { zone limits; }", "it limits nothing"},
        {"zone limits 1m;", "filter limit { zone limits; concurrency 1; burst 2; }",
         "burst does nothing without a rate: give rate"},
        {"zone limits 1m;", "filter limit { rate 1/s; }", "\"zone\" is missing"},
        {"zone limits 1m;", "filter limit { zone limits; rate 1; }", "\"1\" is no rate"},
        {"zone limits 1m;", "filter limit { zone limits; rate -1/s; }", "\"-1/s\" is no rate"},
        {"zone limits 1m;", "filter limit { zone limits; rate 1/s; key token; }",
         "\"token\" is no key: there are client, method, user, cn, member:NAME and all"},
        {"zone limits 1k;", "", "the size of a zone must be from 64k"},
        {"zone limits;", "", "zone NAME SIZE"},
        {"zone limits 1m; zone limits 2m;", "", "appears twice"},
    };
    struct server *server = serve_limit("method ping;");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        server_conf(server, keep_printf("load_module modules/limit.so; %s", cases[i].main_text),
                    keep_printf("%s method ping;", cases[i].filter));
        server_reload_refused(server, cases[i].message);
    }
    client_expect_alive(client_connect(server));
    server_conf(server, "zone other 64k;", "method ping;");
    server_reload(server);
    server_wait_log(server, "the zone \"limits\" of 1048576 bytes is not configured any more");
}
END_TEST

E2E_MAIN("limit", a_rate_holds_for_all_workers_together,
         a_refused_request_is_told_when_to_try_again, clients_that_reset_are_told_apart,
         a_burst_may_come_at_once_and_time_brings_more,
         each_value_of_a_member_has_a_limit_of_its_own,
         a_member_is_counted_by_its_text_however_it_is_escaped,
         statements_of_different_rates_count_apart, concurrency_bounds_the_requests_under_way,
         statements_of_different_concurrency_count_apart, old_and_new_workers_are_counted,
         a_pid_that_is_used_again_is_another_worker, modules_count_together_in_a_zone,
         wrong_configurations_are_refused)
