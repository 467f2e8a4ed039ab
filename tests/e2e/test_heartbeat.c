/* Processes that give no sign of life, though they are there: stopped by a signal, as a rule. They
 * are replaced as if they had died, and a reload is not good before. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS 24
#define QUICK   "heartbeat_timeout 500ms;"

static int clients[CLIENTS];

static struct server *serve_methods(const char *main_text, const char *methods)
{
    struct server *server = server_new();

    server_conf(server,
                keep_printf("load_module modules/crash.so { journal %s; }\n%s",
                            server_path(server, "run/journal"), main_text),
                methods);
    chmod(server_path(server, "run"), 0777);
    server_start(server);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    return server;
}

static struct server *serve_clients(const char *main_text)
{
    return serve_methods(main_text, "method ping; method sleep;");
}

static void expect_all(const struct server *server)
{
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
    for (int i = 0; i < 8; i++)
        client_expect_alive(client_connect(server));
}

/* Every worker dies: whatever the vault does not hold is lost. */
static void expect_held(const struct server *server)
{
    pid_t workers[8];

    wait_until(server_workers(server, workers, 8) == 2, "there are not two workers");
    for (int i = 0; i < 2; i++)
        kill(workers[i], SIGKILL);
    expect_all(server);
}

#define RELOAD_MS 40000 /* on a slow machine, beside what it waits for */

static struct run reload(const struct server *server)
{
    return run_command(
        (const char *const[]){pillion_binary(), "-s", "reload", "-p", server->prefix, NULL}, NULL,
        RELOAD_MS);
}

static double count_of(const struct server *server, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(server_stats(server), name));
}

START_TEST(an_idle_worker_that_is_stopped_is_replaced)
{
    struct server *server = serve_clients(QUICK);
    pid_t workers[2], stopped;

    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    for (int i = 0; i < 2; i++) { /* one of them has clients, whichever */
        stopped = workers[i];
        kill(stopped, SIGSTOP);
        wait_until(!process_lives(stopped), "worker %d is not ended", (int)stopped);
        expect_all(server);
    }
    server_wait_log(
        server, keep_printf("(pid %d) gives no sign of life (heartbeat_timeout)", (int)stopped));
    ck_assert(count_of(server, "hangs") == 2);
    ck_assert(count_of(server, "crashes") == 0);
    expect_held(server);
}
END_TEST

START_TEST(a_vault_that_is_stopped_is_replaced)
{
    struct server *server = serve_clients(QUICK);
    pid_t vault = server_vault(server);

    kill(vault, SIGSTOP);
    wait_until(!process_lives(vault), "the vault is not ended");
    server_wait_log(server, "the vault ended (SIGKILL)");
    expect_part(server_log(server), "the vault");
    expect_part(server_log(server), "gives no sign of life (heartbeat_timeout)");
    expect_all(server);
    /* The workers have handed over, which a reload waits for. */
    struct run run = reload(server);
    expect_status(&run, 0);
    expect_held(server);
}
END_TEST

START_TEST(vault_and_worker_together_are_replaced)
{
    struct server *server = serve_clients(QUICK);
    pid_t workers[2], vault = server_vault(server);

    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    kill(vault, SIGSTOP);
    kill(workers[0], SIGSTOP);
    wait_until(!process_lives(vault) && !process_lives(workers[0]), "they are not ended");
    /* A worker that cannot hand over before it dies loses what it has: two failures at once. The
     * server goes on, and the other one's clients with it. */
    client_expect_alive(client_connect(server));
    ck_assert(process_lives(workers[1]));
}
END_TEST

/* The vault, or a worker that is idle. */
static pid_t stop_one(const struct server *server, bool vault)
{
    pid_t workers[2], stopped;

    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    stopped = vault ? server_vault(server) : workers[0];
    kill(stopped, SIGSTOP);
    return stopped;
}

/* A reload is asked for while one is stopped, and not found yet: it waits. */
static void reload_waits(bool vault)
{
    struct server *server = serve_clients("heartbeat_timeout 2s;");
    pid_t stopped = stop_one(server, vault);

    struct run run = reload(server);
    expect_status(&run, 0);
    wait_until(!process_lives(stopped), "process %d is not ended", (int)stopped);
    expect_all(server);
    expect_held(server);
}

START_TEST(a_reload_waits_until_a_stopped_vault_is_replaced)
{
    reload_waits(true);
}
END_TEST

START_TEST(a_reload_waits_until_a_stopped_worker_is_replaced)
{
    reload_waits(false);
}
END_TEST

/* No process finds out: the reload fails, and the old generation serves on. */
static void reload_fails(bool vault)
{
    struct server *server = serve_clients("heartbeat_timeout off; load_timeout 5s;");
    pid_t stopped = stop_one(server, vault);

    struct run run = reload(server);
    expect_status(&run, 1);
    expect_part(run.err, "gives no sign of life: its connections could not be handed over");
    kill(stopped, SIGCONT);
    expect_all(server);
    run = reload(server);
    expect_status(&run, 0);
    expect_all(server);
}

START_TEST(a_reload_fails_when_the_vault_stays_silent)
{
    reload_fails(true);
}
END_TEST

START_TEST(a_reload_fails_when_a_worker_stays_silent)
{
    reload_fails(false);
}
END_TEST

/* ---- What is no silence ---- */

START_TEST(a_long_handler_is_the_other_watchdogs_affair)
{
    struct server *server = serve_clients("heartbeat_timeout 100ms;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"sleep\",\"params\":1500}");
    char *reply = client_receive(client, NULL);
    expect_part(reply, "\"out\":\"slept");
    ck_assert(!server_logged(server, "no sign of life"));
    expect_all(server);
}
END_TEST

/* Only the master's own turns count, and what has been answered meanwhile is read first. */
START_TEST(a_master_that_did_not_run_finds_nobody_silent)
{
    struct server *server = serve_clients("heartbeat_timeout 100ms;");

    for (int i = 0; i < 3; i++) {
        server_signal(server, SIGSTOP);
        usleep(300000);
        server_signal(server, SIGCONT);
        expect_all(server);
        struct run run = reload(server);
        expect_status(&run, 0);
    }
    ck_assert(!server_logged(server, "no sign of life"));
}
END_TEST

static void stop_all(const struct server *server, pid_t *workers)
{
    server_signal(server, SIGSTOP);
    for (int i = 0; i < 2; i++) {
        const char *path = keep_printf("/proc/%d/stat", (int)workers[i]);
        kill(workers[i], SIGSTOP);
        wait_until(strstr(file_read(path, NULL), ") T ") != NULL, "it is not stopped");
    }
}

static void go_on(const pid_t *workers)
{
    for (int i = 0; i < 2; i++)
        kill(workers[i], SIGCONT);
}

/* As in a container or a machine that is paused. */
START_TEST(a_handler_that_was_paused_with_the_master_has_not_run_for_long)
{
    /* A method that nobody calls has the master look every 5 ms. */
    struct server *server =
        serve_methods("handler_timeout 2s; heartbeat_timeout off;",
                      "method ping; method sleep; method noted { timeout 20ms; }");
    const char *journal = server_path(server, "run/journal");
    pid_t workers[2];

    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"sleep\",\"params\":1000}");
    wait_until(access(journal, R_OK) == 0 && file_read(journal, NULL)[0] != '\0',
               "the handler does not run");
    for (int i = 0; i < 3; i++) /* and the master sees that it does */
        pillion("events", "-p", server->prefix);
    stop_all(server, workers);
    usleep(2500000);
    server_signal(server, SIGCONT);
    /* It goes on first, and looks at them before it answers. */
    struct run run = pillion("events", "-p", server->prefix);
    expect_status(&run, 0);
    go_on(workers);
    expect_part(client_receive(client, NULL), "\"out\":\"slept");
    ck_assert(process_lives(workers[0]) && process_lives(workers[1]));
}
END_TEST

START_TEST(a_request_that_came_while_a_worker_was_stopped_is_answered)
{
    struct server *server =
        serve_methods("heartbeat_timeout off;", "method ping; idle_timeout 1s;");
    pid_t workers[2];

    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    stop_all(server, workers);
    for (int i = 0; i < CLIENTS; i++)
        client_send_frame(clients[i], "{\"in\":\"ping\"}");
    usleep(2500000);
    server_signal(server, SIGCONT);
    go_on(workers);
    for (int i = 0; i < CLIENTS; i++)
        client_expect(clients[i], "{\"out\":\"pong\",\"result\":null}");
}
END_TEST

E2E_MAIN("heartbeat", an_idle_worker_that_is_stopped_is_replaced,
         a_vault_that_is_stopped_is_replaced, vault_and_worker_together_are_replaced,
         a_reload_waits_until_a_stopped_vault_is_replaced,
         a_reload_waits_until_a_stopped_worker_is_replaced,
         a_reload_fails_when_the_vault_stays_silent, a_reload_fails_when_a_worker_stays_silent,
         a_long_handler_is_the_other_watchdogs_affair,
         a_master_that_did_not_run_finds_nobody_silent,
         a_handler_that_was_paused_with_the_master_has_not_run_for_long,
         a_request_that_came_while_a_worker_was_stopped_is_answered)
