/* Processes: signals, deaths, hangs, limits. The end of a worker costs the guilty request an error
 * and other clients nothing. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CRASH_METHODS                                                                       \
    "method null; method abort; method exit0; method exit1; method overflow; method hang; " \
    "method kill; method killall; method closefds; method eat; method sleep; method ping;"

static void conf_crash(const struct server *server, const char *main_text)
{
    server_conf(server,
                keep_printf("load_module modules/crash.so { journal %s; }\n%s",
                            server_path(server, "run/journal"), main_text),
                CRASH_METHODS);
    chmod(server_path(server, "run"), 0777); /* workers write the journal, as nobody */
}

static struct server *serve_crash(const char *main_text)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    conf_crash(server, main_text);
    server_start(server);
    return server;
}

/* The log in a file, with `log` behind its name. */
static void conf_own_log(const struct server *server, const char *log)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log logs/own.log %s;\n"
                 "load_module modules/ping.so;\nserver { listen 127.0.0.1:%d; method ping; }\n",
                 log, server->port);
}

static size_t lines_of(const char *path)
{
    size_t count = 0;

    if (access(path, F_OK) != 0)
        return 0;
    for (const char *c = file_read(path, NULL); *c != '\0'; c++)
        count += *c == '\n';
    return count;
}

/* ---- crashes ---- */

START_TEST(a_crash_costs_the_guilty_request_and_nothing_else)
{
    static const char *const methods[] = {"null",     "abort", "exit0",   "exit1",
                                          "overflow", "kill",  "killall", "closefds"};
    struct server *server = serve_crash("quarantine_crashes off;");
    int neighbours[20];

    for (int i = 0; i < 20; i++) {
        neighbours[i] = client_connect(server);
        client_send(neighbours[i], "\x18\0\0\0{\"in\":\"pi", 13);
    }
    int client = client_connect(server);
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        client_send_frame(client, "{\"in\":\"ping\",\"params\":1,\"id\":1}");
        client_send_frame(client, keep_printf("{\"in\":\"%s\",\"id\":\"g%zu\"}", methods[i], i));
        client_send_frame(client, "{\"in\":\"ping\",\"params\":3,\"id\":3}");
        client_expect(client, "{\"out\":\"pong\",\"result\":1,\"id\":1}");
        char *reply = client_receive(client, NULL);
        expect_part(reply, "{\"out\":\"error\",\"result\":{\"code\":\"module_crashed\"");
        expect_part(reply, keep_printf("\"id\":\"g%zu\"", i));
        expect_part(reply, methods[i]);
        client_expect(client, "{\"out\":\"pong\",\"result\":3,\"id\":3}");
        server_wait_log(server, keep_printf("died while it ran \"%s\"", methods[i]));
        ck_assert_uint_eq(lines_of(server_path(server, "run/journal")), i + 1);
    }
    for (int i = 0; i < 20; i++) {
        client_send(neighbours[i], "ng\",\"params\":1}", 15);
        client_expect(neighbours[i], "{\"out\":\"pong\",\"result\":1}");
    }
    const cJSON *stats = server_stats(server);
    ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItem(stats, "crashes")), 8);
    ck_assert_ptr_null(strstr(server_log(server), "the vault ended"));
    expect_part(server_log(server), "SIGSEGV");
    expect_part(server_log(server), "exit status 1");
}
END_TEST

/* handler_timeout and quarantine_crashes, written as a number. */
START_TEST(nought_switches_watchdog_and_quarantine_off)
{
    struct server *server = serve_crash("handler_timeout 0; quarantine_crashes 0;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"sleep\",\"params\":1000}");
    client_expect(client, "{\"out\":\"slept\",\"result\":1000}");
    for (int i = 0; i < 7; i++) {
        client_send_frame(client, "{\"in\":\"abort\"}");
        client_expect_error(client, "module_crashed");
    }
    ck_assert(!server_logged(server, "handler_timeout"));
}
END_TEST

START_TEST(a_method_that_crashes_again_and_again_is_quarantined_until_a_reload)
{
    struct server *server = serve_crash("quarantine_crashes 3; quarantine_window 1m;");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"abort\"}");
        client_expect_error(client, "module_crashed");
    }
    client_send_frame(client, "{\"in\":\"abort\",\"id\":7}");
    expect_part(client_expect_error(client, "method_quarantined"), "until the next reload");
    ck_assert_uint_eq(lines_of(server_path(server, "run/journal")), 3);
    client_send_frame(client, "{\"in\":\"exit0\"}");
    client_expect_error(client, "module_crashed");
    client_expect_alive(client);
    server_wait_log(server, "out of service until the next reload");
    server_reload(server);
    client_send_frame(client, "{\"in\":\"abort\"}");
    client_expect_error(client, "module_crashed");
}
END_TEST

START_TEST(a_handler_that_hangs_is_ended_and_answered)
{
    struct server *server = serve_crash("handler_timeout 2s;");
    int neighbour = client_connect(server), client = client_connect(server);

    client_send_frame(client, "{\"in\":\"hang\",\"id\":1}");
    client_send_frame(client, "{\"in\":\"ping\",\"params\":2}");
    int64_t asked = now_ms();
    expect_part(client_expect_error(client, "timeout"), "handler_timeout");
    ck_assert_msg(now_ms() - asked >= 1900, "it was ended after %d ms", (int)(now_ms() - asked));
    client_expect(client, "{\"out\":\"pong\",\"result\":2}");
    client_expect_alive(neighbour);
    server_wait_log(server, "\"hang\" ran for longer than it may");
    ck_assert_uint_eq(lines_of(server_path(server, "run/journal")), 1);
    /* A worker that is only slow is left alone. */
    client_send_frame(client, "{\"in\":\"sleep\",\"params\":100}");
    client_expect(client, "{\"out\":\"slept\",\"result\":100}");
}
END_TEST

START_TEST(a_method_may_have_a_timeout_of_its_own)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server, "load_module modules/crash.so;",
                "method sleep { timeout 100ms; } method nap { handler crash.sleep; }");
    server_start(server);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"nap\",\"params\":400}");
    client_expect(client, "{\"out\":\"slept\",\"result\":400}");
    client_send_frame(client, "{\"in\":\"sleep\",\"params\":5000}");
    client_expect_error(client, "timeout");
}
END_TEST

START_TEST(a_worker_killed_from_outside_is_replaced_and_nobody_notices)
{
    struct server *server = serve_crash("");
    int clients[30];
    pid_t workers[8];

    for (int i = 0; i < 30; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    for (int round = 0; round < 3; round++) {
        /* One that has died is named for as long as it has not ended altogether. */
        wait_until(server_workers(server, workers, 8) == 2, "there are not two workers");
        kill(workers[round % 2], SIGKILL);
        for (int i = 0; i < 30; i++)
            client_expect_alive(clients[i]);
    }
    server_wait_log(server, "died with no method running: SIGKILL");
}
END_TEST

/* Which worker a client talks to. */
static int worker_of(int client)
{
    client_send_frame(client, "{\"in\": \"hello.count\"}");
    return cJSON_GetObjectItem(cJSON_GetObjectItem(client_receive_json(client), "result"), "worker")
        ->valueint;
}

/* A worker with more than its share is woken for a client now and then, and no other is. */
START_TEST(a_lone_client_is_answered_however_uneven_the_workers_are)
{
    struct server *server =
        server_serve("load_module modules/hello.so;", "method ping; method hello.count;");
    int clients[60];

    for (int i = 0; i < 60; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    for (int i = 0; i < 60; i++) {
        if (worker_of(clients[i]) == 0)
            close(clients[i]);
    }
    for (int i = 0; i < 300; i++) {
        int client = client_connect(server);
        client_expect_alive(client);
        close(client);
    }
}
END_TEST

/* A count of rpc.stats, asked for on a connection that is there. */
static double connections(int client, const char *name)
{
    client_send_frame(client, "{\"in\":\"rpc.stats\"}");
    const cJSON *stats = cJSON_GetObjectItem(client_receive_json(client), "result");
    return cJSON_GetNumberValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(stats, "connections"), name));
}

START_TEST(the_vault_is_replaced_and_keeps_on_protecting)
{
    struct server *server = serve_crash("");
    int clients[30];
    pid_t workers[8];

    ck_assert_uint_eq(server_workers(server, workers, 8), 2);
    for (int i = 0; i < 30; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    wait_until(connections(clients[0], "open") == 30, "there are others than these");
    kill(server_vault(server), SIGKILL);
    server_wait_log(server, "the vault ended (SIGKILL)");
    wait_until(connections(clients[0], "vault_held") == 30,
               "the workers did not hand their sockets to the new vault");
    for (int i = 0; i < 2; i++)
        kill(workers[i], SIGKILL);
    for (int i = 0; i < 30; i++)
        client_expect_alive(clients[i]);
}
END_TEST

/* Another vault than `former`. */
static pid_t next_vault(const struct server *server, pid_t former)
{
    pid_t vault;

    wait_until((vault = server_vault(server)) > 0 && vault != former, "there is no other vault");
    return vault;
}

/* The hand-over hangs on a vault that hangs, and goes on with the next one, or the one after that:
 * the worker that leaves still has the connections that no worker has taken over. */
START_TEST(a_vault_that_dies_in_a_hand_over_costs_nobody)
{
    enum { CLIENTS = 600 }; /* several batches for each worker */
    struct server *server = serve_crash("");
    int clients[CLIENTS];
    pid_t before[8], after[8];

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    wait_until(connections(clients[0], "open") == CLIENTS, "there are others than these");
    for (int round = 0; round < 3; round++) {
        ck_assert_uint_eq(server_workers(server, before, 8), 2);
        pid_t vault = server_vault(server);
        ck_assert_int_eq(kill(vault, SIGSTOP), 0);
        server_reload(server);
        for (int deaths = 0; deaths < round; deaths++) {
            kill(vault, SIGKILL);
            vault = next_vault(server, vault);
            kill(vault, SIGSTOP);
        }
        kill(vault, SIGKILL);
        for (int i = 0; i < CLIENTS; i++)
            client_expect_alive(clients[i]);
        wait_until(connections(clients[0], "open") == CLIENTS, "not all are counted, or others");
        for (int i = 0; i < 2; i++)
            wait_until(!process_lives(before[i]), "a worker that left does not end");
    }
    wait_until(server_workers(server, after, 8) == 2, "there are not two workers");
    wait_until(connections(clients[0], "vault_held") == CLIENTS,
               "the last vault has not got all, or has others");
    for (int i = 0; i < 2; i++)
        kill(after[i], SIGKILL);
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
    ck_assert_ptr_null(strstr(server_log(server), "could not be taken over"));
    ck_assert_ptr_null(strstr(server_log(server), "that nobody took over"));
}
END_TEST

/* A worker and the vault at once: then it is over, and nobody counts on it. */
START_TEST(lost_connections_are_not_counted_as_open)
{
    enum { CLIENTS = 20 };
    struct server *server = server_new();
    int clients[CLIENTS];
    pid_t workers[8];

    server->reports_allowed = true;
    conf_crash(server, "");
    server_start_alone(server);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    ck_assert_uint_eq(server_workers(server, workers, 8), 1);
    wait_until(connections(clients[0], "open") == CLIENTS, "there are others than these");
    kill(server_vault(server), SIGSTOP);
    kill(workers[0], SIGKILL);
    kill(server_vault(server), SIGKILL);
    for (int i = 0; i < CLIENTS; i++)
        wait_until(client_is_closed(clients[i]), "a connection is left");
    int client = client_connect(server);
    wait_until(connections(client, "open") == 1, "what was lost is counted as open");
}
END_TEST

/* A hand-over that hangs keeps no process from ending. */
START_TEST(quitting_does_not_wait_for_a_hand_over_that_hangs)
{
    struct server *server = serve_crash("");
    int client = client_connect(server);

    client_expect_alive(client);
    kill(server_vault(server), SIGSTOP);
    server_reload(server);
    server_signal(server, SIGQUIT);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* A connection that could not be handed over is not accepted: it waits where a worker's death does
 * not hurt it. */
START_TEST(a_vault_that_is_slow_costs_new_clients_nothing)
{
    enum { CLIENTS = 900, WAITING = 300 };
    struct server *server = server_new();
    int clients[CLIENTS], count = 0;
    pid_t workers[8];

    server->reports_allowed = true;
    conf_crash(server, "vault_processes 1;"); /* another one would be quick */
    server_start_alone(server);
    ck_assert_uint_eq(server_workers(server, workers, 8), 1);
    pid_t vault = server_vault(server);
    int served = client_connect(server);
    client_expect_alive(served);
    ck_assert_int_eq(kill(vault, SIGSTOP), 0);
    /* One by one, because those that come together take less room on their way to the vault: until
     * one is not accepted. The worker has had a whole turn for it when it has answered twice. */
    double accepted = connections(served, "accepted"), before;
    do {
        ck_assert_msg(count < CLIENTS - WAITING, "it accepts and accepts");
        clients[count++] = client_connect(server);
        connections(served, "accepted");
        before = accepted;
        accepted = connections(served, "accepted");
    } while (accepted > before);
    while (count < CLIENTS)
        clients[count++] = client_connect(server);
    kill(workers[0], SIGKILL);
    kill(vault, SIGCONT);
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
    client_expect_alive(served);
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* which takes all address space for itself */
START_TEST(memory_exhaustion_by_a_module_costs_its_request_only)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    conf_crash(server, "arena_size 64m;");
    /* Stands in for the kernel's killer: what is taken beyond this fails. Mappings of which no page
     * is used count, too: two arenas, the board, the directory of services. */
    const rlim_t most = (rlim_t)1536 << 20;
    const struct rlimit limit = {most, most};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    server_start(server);
    int neighbour = client_connect(server), client = client_connect(server);
    client_send_frame(client, "{\"in\":\"eat\",\"id\":1}");
    client_expect_error(client, "module_crashed");
    client_expect_alive(client);
    client_expect_alive(neighbour);
}
END_TEST

#endif

/* ---- orders ---- */

START_TEST(quit_finishes_the_requests_that_have_begun)
{
    struct server *server = serve_crash("");
    int busy = client_connect(server), idle = client_connect(server);

    client_expect_alive(idle);
    client_send_frame(busy, "{\"in\":\"sleep\",\"params\":300}");
    client_send_frame(busy, "{\"in\":\"ping\",\"params\":2}");
    wait_until(lines_of(server_path(server, "run/journal")) == 1, "the handler did not begin");
    server_signal(server, SIGQUIT);
    client_expect(busy, "{\"out\":\"slept\",\"result\":300}");
    client_expect(busy, "{\"out\":\"pong\",\"result\":2}");
    client_expect_end(busy);
    client_expect_end(idle);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    ck_assert(access(server_path(server, "run/pillion.pid"), F_OK) != 0);
    ck_assert(access(server_path(server, "run/pillion.control"), F_OK) != 0);
}
END_TEST

START_TEST(quit_is_bounded_by_drain_timeout)
{
    struct server *server = serve_crash("drain_timeout 200ms;");
    int client = client_connect(server);

    /* A frame that never comes, behind one whose reply shows that all of it was read. */
    client_send(client, "\x0d\0\0\0{\"in\":\"ping\"}\x64\0\0", 21);
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    server_order(server, "quit");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    expect_part(server_log(server), "drain_timeout");
}
END_TEST

START_TEST(stop_ends_at_once)
{
    static const int signals[] = {SIGTERM, SIGINT};

    for (size_t i = 0; i < 2; i++) {
        struct server *server = serve_crash("drain_timeout 1h;");
        int client = client_connect(server);
        client_announce(client, 100);
        client_expect_alive(client_connect(server));
        server_signal(server, signals[i]);
        ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    }
    struct server *server = serve_crash("");
    server_order(server, "stop");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(when_the_master_is_killed_everything_ends_and_the_port_is_free)
{
    struct server *server = serve_crash("vault_processes 1;");
    pid_t children[16];
    size_t count;

    /* Two workers and the vault, once the probe is gone. */
    wait_until((count = children_of(server->pid, children, 16)) == 3, "%zu children", count);
    kill(server->pid, SIGKILL);
    server_wait_exit(server, PATIENCE_MS);
    for (size_t i = 0; i < count; i++)
        wait_until(!process_lives(children[i]), "process %d lives on", (int)children[i]);
    ck_assert_int_eq(client_try_connect(server->port), -1);
    /* The pid file and the control socket that it left do not keep the next one from starting. */
    server_start(server);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(reopening_the_log_loses_no_line)
{
    struct server *server = server_new();
    size_t lines = 0;

    conf_own_log(server, "info");
    server_start(server);
    for (int i = 0; i < 5; i++) {
        rename(server_path(server, "logs/own.log"),
               server_path(server, keep_printf("logs/own.log.%d", i)));
        server_reload(server);
        server_order(server, "reopen");
    }
    server_reload(server);
    for (int i = -1; i < 5; i++) {
        char *text = file_read(
            server_path(server, i < 0 ? "logs/own.log" : keep_printf("logs/own.log.%d", i)), NULL);
        for (char *at = text; (at = strstr(at, "serves: ")) != NULL; at++)
            lines++;
    }
    ck_assert_uint_eq(lines, 7); /* the start and six reloads */
}
END_TEST

/* A worker that cannot answer is waited for, and one that is gone has nothing to open. */
START_TEST(reopening_waits_for_every_worker)
{
    struct server *server = server_new();
    pid_t workers[2];

    server->reports_allowed = true; /* a worker is killed on purpose */
    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "worker_processes 2;", NULL});
    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    kill(workers[0], SIGSTOP);
    pid_t pid = fork();
    if (pid == 0) {
        server_wait_log(server, "reopen was asked for by the control socket");
        kill(workers[0], SIGKILL);
        _exit(0);
    }
    server_order(server, "reopen");
    expect_part(server_log(server), keep_printf("(pid %d) died", workers[0]));
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(log_lines_can_be_json)
{
    struct server *server = server_new();

    conf_own_log(server, "debug json");
    server_start(server);
    wait_until(strstr(file_read(server_path(server, "logs/own.log"), NULL), "serves: ") != NULL,
               "the log does not say that it serves"); /* a worker may be faster than that line */
    char *text = file_read(server_path(server, "logs/own.log"), NULL);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        cJSON *json = cJSON_Parse(line);
        ck_assert_msg(cJSON_IsString(cJSON_GetObjectItem(json, "message")), "not a line: %s", line);
        cJSON_Delete(json);
    }
    ck_assert_int_ge(lines, 5);
}
END_TEST

START_TEST(a_daemon_says_whether_it_serves)
{
    struct server *server = server_new();

    conf_own_log(server, "info; daemon on");
    struct run run = pillion("-p", server->prefix);
    server_detached(server);
    expect_status(&run, 0);
    client_expect_alive(client_connect(server));
    run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "a server is running here already");
    client_expect_alive(client_connect(server));
    run = server_order(server, "stop");
    conf_own_log(server, "info; daemon on; load_module modules/start_fails.so");
    run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "the oven is cold");
    /* The log has the reason, too. */
    expect_part(file_read(server_path(server, "logs/own.log"), NULL), "the oven is cold");
}
END_TEST

/* ---- limits ---- */

START_TEST(out_of_descriptors_accepting_pauses_and_goes_on)
{
    struct server *server = server_serve_alone("worker_rlimit_nofile 64;", "method ping;");
    int clients[120];

    for (int i = 0; i < 120; i++)
        clients[i] = client_connect(server);
    server_wait_log(server, "accepting pauses");
    client_expect_alive(clients[0]);
    for (int i = 0; i < 60; i++)
        close(clients[i]);
    for (int i = 60; i < 110; i++) {
        client_expect_alive(clients[i]);
        close(clients[i]);
    }
    client_expect_alive(clients[119]);
}
END_TEST

START_TEST(a_full_arena_pauses_and_drops_nobody)
{
    struct server *server = server_new();
    int clients[40];
    size_t size = 60000;
    char *text = keep(malloc(size + 1));

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; arena_size 1m; load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; max_frame 60k; max_output 4k; method ping; }\n",
                 server->port);
    server_start(server);
    memset(text, 'x', size);
    text[size] = '\0';
    struct buffer frame = {0}, reply = {0};
    buffer_add_frame(&frame, "{\"in\":\"ping\",\"params\":\"%s\"}", text);
    buffer_add_frame(&reply, "{\"out\":\"pong\",\"result\":\"%s\"}", text);
    for (int i = 0; i < 40; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], frame.data, frame.size - 1);
    }
    server_wait_log(server, "the arena is full");
    client_expect_alive(client_connect(server)); /* small frames have room left for them */
    for (int i = 0; i < 40; i++)
        client_send(clients[i], frame.data + frame.size - 1, 1);
    for (int i = 0; i < 40; i++)
        client_exchange(clients[i], "", 0, 0, reply.data, reply.size);
    free(frame.data);
    free(reply.data);
}
END_TEST

/* ---- core dumps ---- */

/* Blocks of 512 bytes that a memory file of the process has. */
static uint64_t memory_blocks(pid_t pid, const char *name)
{
    struct stat status;
    char target[256];

    for (int fd = 0; fd < 256; fd++) {
        char *path = keep_printf("/proc/%d/fd/%d", (int)pid, fd);
        ssize_t size = readlink(path, target, sizeof(target) - 1);
        target[size < 0 ? 0 : size] = '\0';
        if (strstr(target, name) != NULL && stat(path, &status) == 0)
            return (uint64_t)status.st_blocks;
    }
    fail_test("process %d has no memory file \"%s\"", (int)pid, name);
}

/* A sanitizer keeps its process from dumping, and an ordinary user cannot raise a limit of 0. */
static bool can_dump(void)
{
    struct rlimit limit;

#if defined(__SANITIZE_ADDRESS__)
    return false;
#endif
    return getrlimit(RLIMIT_CORE, &limit) == 0 && (geteuid() == 0 || limit.rlim_max > (1 << 20));
}

/* Runs a method that crashes, and returns what the log says of the dump. */
static const char *crash_in(struct server *server, mode_t mode)
{
    char *directory = server_path(server, "dumps");

    ck_assert_int_eq(mkdir(directory, mode), 0);
    chmod(directory, mode);
    conf_crash(server, "working_directory dumps; worker_rlimit_core unlimited; zone z 64m;");
    server_start(server);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"null\"}");
    client_expect_error(client, "module_crashed");
    char *log = server_wait_log(server, "core dump");
    return strstr(strstr(log, "died while it ran"), "core dump");
}

START_TEST(the_log_says_where_a_core_dump_is_and_it_costs_no_memory)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    if (!can_dump())
        return;
    crash_in(server, 0777);
    const char *pattern = file_read("/proc/sys/kernel/core_pattern", NULL);
    /* An absolute place is the machine's: whether workers may write there is not for us to say. */
    char *log = server_wait_log(server, pattern[0] == '|'   ? "the core dump was given to "
                                        : pattern[0] == '/' ? "core dump"
                                                            : "the core dump is ");
    if (pattern[0] != '|' && pattern[0] != '/' && strchr(pattern, '%') == NULL) {
        const char *path = strstr(log, "the core dump is ") + strlen("the core dump is ");
        char *file = keep_printf("%.*s", (int)strcspn(path, "\n"), path);
        expect_part(file, "/dumps/");
        wait_until(access(file, F_OK) == 0, "there is no %s", file);
    }
    ck_assert_uint_lt(memory_blocks(server->pid, "pillion board") * 512, 16u << 20);
    ck_assert_uint_lt(memory_blocks(server->pid, "pillion zone") * 512, 16u << 20);
}
END_TEST

START_TEST(the_log_says_that_a_core_dump_could_not_be_written)
{
    struct server *server = server_new();
    const char *pattern = file_read("/proc/sys/kernel/core_pattern", NULL);

    server->reports_allowed = true;
    if (!can_dump() || pattern[0] == '|' || pattern[0] == '/')
        return;
    expect_part(crash_in(server, 0555), "core dump could be written as ");
    server_wait_log(server, "write there, and is there room? (working_directory)");
}
END_TEST

START_TEST(a_directory_that_workers_cannot_enter_fails_a_reload)
{
    struct server *server = server_serve("", "method ping;");

    server_conf(server, "working_directory nowhere;", "method ping;");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "workers cannot go to the working_directory ");
    expect_part(run.err, "/nowhere: ");
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "workers cannot go to the working_directory ");
    int client = client_connect(server);
    client_expect_alive(client);
}
END_TEST

E2E_MAIN("process", a_crash_costs_the_guilty_request_and_nothing_else,
         nought_switches_watchdog_and_quarantine_off,
         a_method_that_crashes_again_and_again_is_quarantined_until_a_reload,
         a_handler_that_hangs_is_ended_and_answered, a_method_may_have_a_timeout_of_its_own,
         a_worker_killed_from_outside_is_replaced_and_nobody_notices,
         a_lone_client_is_answered_however_uneven_the_workers_are,
         the_vault_is_replaced_and_keeps_on_protecting,
         a_vault_that_dies_in_a_hand_over_costs_nobody, lost_connections_are_not_counted_as_open,
         quitting_does_not_wait_for_a_hand_over_that_hangs,
         a_vault_that_is_slow_costs_new_clients_nothing,
#ifndef __SANITIZE_ADDRESS__
         memory_exhaustion_by_a_module_costs_its_request_only,
#endif
         quit_finishes_the_requests_that_have_begun, quit_is_bounded_by_drain_timeout,
         stop_ends_at_once, when_the_master_is_killed_everything_ends_and_the_port_is_free,
         reopening_the_log_loses_no_line, reopening_waits_for_every_worker, log_lines_can_be_json,
         a_daemon_says_whether_it_serves, out_of_descriptors_accepting_pauses_and_goes_on,
         a_full_arena_pauses_and_drops_nobody,
         the_log_says_where_a_core_dump_is_and_it_costs_no_memory,
         the_log_says_that_a_core_dump_could_not_be_written,
         a_directory_that_workers_cannot_enter_fails_a_reload)
