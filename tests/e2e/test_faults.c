/* System calls that fail or fall short change nothing that a client can see: EINTR, EAGAIN, ENOMEM,
 * ENOBUFS, ECONNABORTED, EMFILE, ENFILE, ETOOMANYREFS, and reads and writes of a few bytes, all
 * over the place in every worker (preload/faults.c). */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS  24
#define REQUESTS 200

static void start_with_faults(struct server *server)
{
    const char *build = getenv("PILLION_BUILD");

    setenv("LD_PRELOAD", keep_printf("%s/tests/e2e/faults.so", build), 1);
    server_start(server);
    unsetenv("LD_PRELOAD");
}

static struct server *serve_with_faults(void)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    start_with_faults(server);
    return server;
}

static void exchange(int client, int from, int count)
{
    struct buffer requests = {0}, replies = {0};

    for (int i = from; i < from + count; i++) {
        buffer_add_frame(&requests, "{\"in\":\"ping\",\"params\":[%d,\"%*s\"],\"id\":%d}", i,
                         i % 70, "", i);
        buffer_add_frame(&replies, "{\"out\":\"pong\",\"result\":[%d,\"%*s\"],\"id\":%d}", i,
                         i % 70, "", i);
    }
    client_exchange(client, requests.data, requests.size, 0, replies.data, replies.size);
    free(requests.data);
    free(replies.data);
}

START_TEST(every_reply_is_right_while_system_calls_fail)
{
    struct server *server = serve_with_faults();
    int clients[CLIENTS];

    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_connect(server);
    for (int i = 0; i < CLIENTS; i++)
        exchange(clients[i], i, REQUESTS);
    ck_assert(!server_logged(server, "died"));
}
END_TEST

START_TEST(connections_change_workers_while_system_calls_fail)
{
    struct server *server = serve_with_faults();
    int clients[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], "\x18\0\0\0{\"in\":\"pi", 13); /* half a frame */
    }
    for (int round = 0; round < 5; round++) {
        server_reload(server);
    }
    for (int i = 0; i < CLIENTS; i++) {
        client_send(clients[i], "ng\",\"params\":1}", 15);
        client_expect(clients[i], "{\"out\":\"pong\",\"result\":1}");
        exchange(clients[i], i, 20);
    }
    ck_assert(!server_logged(server, "died"));
}
END_TEST

START_TEST(a_client_that_pipelines_a_megabyte_gets_all_of_it_back)
{
    struct server *server = serve_with_faults();
    int client = client_connect(server);
    char *text = keep(malloc(300001));

    memset(text, 'x', 300000);
    text[300000] = '\0';
    struct buffer requests = {0}, replies = {0};
    for (int i = 0; i < 3; i++) {
        buffer_add_frame(&requests, "{\"in\":\"ping\",\"params\":\"%s\"}", text);
        buffer_add_frame(&replies, "{\"out\":\"pong\",\"result\":\"%s\"}", text);
    }
    client_exchange(client, requests.data, requests.size, 0, replies.data, replies.size);
    free(requests.data);
    free(replies.data);
}
END_TEST

/* A client that was told that the server has ended may start another one in its place. */
START_TEST(a_server_that_was_stopped_leaves_its_place_to_the_next)
{
    static const char *const verbs[] = {"stop", "quit"};
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    for (size_t i = 0; i < 2; i++) {
        start_with_faults(server);
        pid_t before = server->pid;
        struct run run = server_ask(server, verbs[i]);
        expect_status(&run, 0);
        server->pid = 0; /* it may still be ending */
        server_start(server);
        waitpid(before, NULL, 0);
        run = server_order(server, "reload");
        expect_part(run.out, "generation 2 serves");
        ck_assert_int_eq(atoi(file_read(server_path(server, "run/pillion.pid"), NULL)),
                         server->pid);
        server_signal(server, SIGTERM);
        server_wait_exit(server, PATIENCE_MS);
    }
}
END_TEST

/* A machine's clock may be set back: nothing waits until it is as late again. */
START_TEST(an_access_log_is_followed_whatever_the_clock_says)
{
    struct server *server = server_new();
    char *log = server_path(server, "access/log"), *back = server_path(server, "back");

    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777);
    server_conf(server, "load_module modules/access_log.so;",
                "filter access_log { path access/log; buffer 0; } method ping;");
    setenv("PILLION_TEST_BACK", back, 1);
    start_with_faults(server);
    unsetenv("PILLION_TEST_BACK");
    int client = client_connect(server);
    wait_until((client_expect_alive(client), access(log, R_OK) == 0), "there is no log");
    file_write(back, "", 0);
    ck_assert_int_eq(rename(log, server_path(server, "access/log.1")), 0);
    wait_until((client_expect_alive(client), access(log, R_OK) == 0),
               "the log is not opened anew when the clock was set back");
}
END_TEST

/* The system as a whole is out of files, or of memory for sockets: no client is refused, and the
 * log says what to raise. */
START_TEST(failures_to_accept_are_told_and_pass)
{
    static const struct {
        int number;
        const char *advice;
    } rows[] = {{EMFILE, "cannot accept (EMFILE): accepting pauses for 200 ms; raise "
                         "worker_rlimit_nofile"},
                {ENFILE, "raise fs.file-max"},
                {ENOBUFS, "net.ipv4.tcp_mem"},
                {ENOMEM, "net.ipv4.tcp_mem"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *server = server_new();
        server_conf(server, "", "method ping;");
        setenv("FAULTS_ACCEPT", keep_printf("%d", rows[i].number), 1);
        start_with_faults(server);
        unsetenv("FAULTS_ACCEPT");
        for (int n = 0; n < 8; n++)
            client_expect_alive(client_connect(server));
        server_wait_log(server, rows[i].advice);
    }
}
END_TEST

E2E_MAIN("faults", failures_to_accept_are_told_and_pass,
         a_server_that_was_stopped_leaves_its_place_to_the_next,
         every_reply_is_right_while_system_calls_fail,
         connections_change_workers_while_system_calls_fail,
         a_client_that_pipelines_a_megabyte_gets_all_of_it_back,
         an_access_log_is_followed_whatever_the_clock_says)
