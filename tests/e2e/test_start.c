/* A start as a person sees it: its first lines, and its end with the terminal. */
#include "harness.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count(const char *text, const char *part)
{
    size_t found = 0;

    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        found++;
    return found;
}

/* ---- What is said ---- */

START_TEST(a_start_prints_its_addresses_and_a_call_to_try)
{
    struct server *server = server_serve("", "listen unix:run/p.sock; method ping;");

    server_wait_log(server,
                    keep_printf("serving on 127.0.0.1:%d, unix:%s/run/p.sock; try: %s call "
                                "--server 127.0.0.1:%d ping 1\n",
                                server->port, server->prefix, pillion_binary(), server->port));
    /* What it says to try works as it is said. */
    char *command = keep(strdup(strstr(server_log(server), "try: ") + strlen("try: ")));
    *strchr(command, '\n') = '\0';
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    struct run run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "1\n");
    server_reload(server);
    ck_assert_uint_eq(count(server_log(server), "serving on "), 1);
}
END_TEST

START_TEST(a_command_to_try_is_proposed_only_where_rpc_list_is_enabled)
{
    struct server *server = server_serve("", "method rpc.list;");

    server_wait_log(server, keep_printf("; try: %s list --server ", pillion_binary()));
    server = server_new();
    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "error_log logs/error.log;", NULL});
    server_wait_log(server, keep_printf("serving on 127.0.0.1:%d\n", server->port));
    ck_assert_ptr_null(strstr(server_log(server), "try:"));
}
END_TEST

START_TEST(load_addresses_are_logged_at_level_debug_only)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "error_log stderr info;", NULL});
    server_wait_log(server, "serving on ");
    ck_assert_ptr_null(strstr(server_log(server), " at 0x"));
    server = server_new();
    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "error_log stderr debug;", NULL});
    server_wait_log(server, " at 0x");
}
END_TEST

/* Runs a second server on the same files, which cannot start. */
static struct run start_again(const struct server *server, const char *directives)
{
    return pillion("-p", server->prefix, "-g", directives);
}

START_TEST(a_start_that_fails_says_once_why)
{
    struct server *server = server_serve("", "method ping;");

    struct run run = start_again(server, "error_log stderr info;");
    expect_status(&run, 1);
    ck_assert_uint_eq(count(run.err, "a server is running here already"), 1);
    ck_assert_ptr_null(strstr(run.err, "has ended"));
    ck_assert_uint_eq(count(run.err, "\n"), 1);

    /* In the log as well, where that is another place. */
    run = start_again(server, "error_log logs/second.log info;");
    expect_status(&run, 1);
    ck_assert_uint_eq(count(run.err, "\n"), 1);
    char *log = file_read(server_path(server, "logs/second.log"), NULL);
    ck_assert_uint_eq(count(log, "a server is running here already"), 1);
    ck_assert_ptr_null(strstr(log, "has ended"));

    /* And from behind. */
    run = start_again(server, "error_log stderr info; daemon on;");
    expect_status(&run, 1);
    ck_assert_uint_eq(count(run.err, "a server is running here already"), 1);

    /* One that fails later, in its first generation. */
    struct server *other = server_new();
    server_conf(other, "load_module modules/start_fails.so;", "method ping;");
    run = start_again(other, "error_log stderr info;");
    expect_status(&run, 1);
    ck_assert_uint_eq(count(run.err, "start_fails.so: "), 1);
    ck_assert_ptr_null(strstr(run.err, "the server has ended"));
    client_expect_alive(client_connect(server));
}
END_TEST

/* ---- Terminals ---- */

/* Starts the server with a terminal of its own, whose other side is returned. `shell` runs it as a
 * command of a shell, which leads the session. */
static int start_on_terminal(struct server *server, const char *shell)
{
    int terminal;

    server_conf(server, "load_module modules/talks.so; load_module modules/children.so;",
                "method ping; method says; method asks; method in_handler;");
    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        signal(SIGHUP, SIG_DFL); /* the tests may run under nohup(1) */
        if (shell != NULL)
            execl("/bin/sh", "sh", "-c", shell, pillion_binary(), server->prefix, NULL);
        else
            execl(pillion_binary(), "pillion", "-p", server->prefix, NULL);
        _exit(127);
    }
    server_started_as(server, pid);
    server_wait_ready(server);
    return terminal;
}

static pid_t master_of(const struct server *server)
{
    return (pid_t)atoi(file_read(server_path(server, "run/pillion.pid"), NULL));
}

START_TEST(a_server_in_front_ends_with_its_terminal)
{
    if (!terminals_exist())
        return;
    static const char *const shells[] = {NULL, "\"$0\" -p \"$1\"; true"};

    for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
        struct server *server = server_new();
        int terminal = start_on_terminal(server, shells[i]);
        pid_t master = master_of(server);
        close(terminal);
        wait_until(!process_lives(master), "the server goes on without its terminal");
        wait_until(client_try_connect(server->port) < 0, "its port is still open");
    }
}
END_TEST

START_TEST(a_sent_hangup_is_a_reload)
{
    if (!terminals_exist())
        return;
    struct server *server = server_new();
    int terminal = start_on_terminal(server, NULL);
    int client = client_connect(server);

    server_signal(server, SIGHUP);
    wait_until(cJSON_GetObjectItem(server_stats(server), "reloads")->valueint == 1,
               "the signal does not reload");
    client_expect_alive(client);
    close(terminal);
    wait_until(!process_lives(server->pid), "the server goes on without its terminal");
}
END_TEST

START_TEST(nohup_keeps_a_server_without_its_terminal)
{
    if (!terminals_exist())
        return;
    struct server *server = server_new();
    int terminal = start_on_terminal(server, "trap '' HUP; exec \"$0\" -p \"$1\"");
    int client = client_connect(server);

    close(terminal);
    /* A reload is answered after the hangup, which the kernel has sent before. */
    server_reload(server);
    client_expect_alive(client);
    server_signal(server, SIGHUP);
    wait_until(cJSON_GetObjectItem(server_stats(server), "reloads")->valueint == 2,
               "a hangup that is sent does not reload");
    client_expect_alive(client);
}
END_TEST

/* Workers are in the background of their terminal, which the log may, but need not share. */
START_TEST(no_terminal_stops_a_worker_whose_module_reads_or_prints)
{
    if (!terminals_exist())
        return;
    static const char *const shells[] = {
        "stty tostop; exec \"$0\" -p \"$1\" 2>\"$1/logs/stderr.log\"",
        "stty tostop; exec \"$0\" -p \"$1\"",
    };

    for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
        struct server *server = server_new();
        mkdir(server_path(server, "logs"), 0777);
        int terminal = start_on_terminal(server, shells[i]);
        int client = client_connect(server);

        client_send_frame(client, "{\"in\":\"says\",\"params\":3}");
        client_expect(client, "{\"out\":\"says\",\"result\":true}");
        client_send_frame(client, "{\"in\":\"asks\"}");
        client_expect(client, "{\"out\":\"asks\",\"result\":false}");
        /* Nor do programs that it starts ignore the signal for that. */
        client_send_frame(client, "{\"in\":\"in_handler\"}");
        const char *ignored = strstr(client_receive(client, NULL), "SigIgn:\\t");
        ck_assert_ptr_nonnull(ignored);
        ck_assert_uint_eq(strtoull(ignored + strlen("SigIgn:\\t"), NULL, 16) >> (SIGTTOU - 1) & 1,
                          0);
        close(terminal);
        wait_until(!process_lives(server->pid), "the server goes on without its terminal");
    }
}
END_TEST

E2E_MAIN("start", a_start_prints_its_addresses_and_a_call_to_try,
         a_command_to_try_is_proposed_only_where_rpc_list_is_enabled,
         load_addresses_are_logged_at_level_debug_only, a_start_that_fails_says_once_why,
         a_server_in_front_ends_with_its_terminal, a_sent_hangup_is_a_reload,
         nohup_keeps_a_server_without_its_terminal,
         no_terminal_stops_a_worker_whose_module_reads_or_prints)
