/* Orders that come while another one is carried out, and what a starter leaves to the server. Every
 * pair is in tests/unit/test_orders.c; here are those that hung, with real processes. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The probe waits in the module's check until the file is there. */
static const char *gate(const struct server *server)
{
    return server_path(server, "run/gate");
}

static void conf_gated(const struct server *server)
{
    server_conf(server,
                keep_printf("load_module modules/check_waits.so { gate %s; }\n", gate(server)),
                "method ping;");
    chmod(server_path(server, "run"), 0777);
}

/* Serves, and the next reload's probe will wait. */
static struct server *serve_gated(void)
{
    struct server *server = server_new();

    conf_gated(server);
    file_write(gate(server), "", 0);
    server_start(server);
    unlink(gate(server));
    return server;
}

static pid_t probe_of(const struct server *server)
{
    return server_child(server, "pillion: probe");
}

static pid_t wait_probe(const struct server *server)
{
    pid_t probe = 0;

    wait_until((probe = probe_of(server)) != 0, "no probe is started");
    return probe;
}

/* The master hears of the order first, and then reads what the probe has said before it. */
static void order_before_ready(struct server *server, int number)
{
    pid_t probe = wait_probe(server);

    server_signal(server, SIGSTOP);
    file_write(gate(server), "", 0);
    wait_until(!process_lives(probe), "the probe does not end");
    server_signal(server, number);
    server_signal(server, SIGCONT);
}

START_TEST(an_end_in_a_reload_ends_the_server)
{
    static const int signals[] = {SIGTERM, SIGQUIT, SIGINT};

    for (size_t i = 0; i < 3; i++) {
        struct server *server = serve_gated();
        int client = client_connect(server);
        client_expect_alive(client);
        server_signal(server, SIGHUP);
        order_before_ready(server, signals[i]);
        ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
        ck_assert(!server_logged(server, "generation 2 serves"));
    }
}
END_TEST

START_TEST(an_end_in_a_start_ends_the_server)
{
    struct server *server = server_new();

    conf_gated(server);
    server_spawn(server, (const char *const[]){NULL});
    order_before_ready(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    ck_assert(!server_logged(server, "serves"));
    ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.control"), F_OK), 0);
}
END_TEST

START_TEST(a_caller_that_waits_for_a_reload_is_told_that_the_server_ends)
{
    struct server *server = serve_gated();
    int control = client_connect_unix(server_path(server, "run/pillion.control"));
    char answer[256] = "";
    size_t size = 0;

    client_send(control, "reload\n", 7);
    wait_probe(server);
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    for (ssize_t got = 1; got > 0; size += got > 0 ? (size_t)got : 0)
        got = read(control, answer + size, sizeof(answer) - 1 - size);
    ck_assert_str_eq(answer, "failed\nthe server is ending\n");
}
END_TEST

/* ---- What a starter leaves ---- */

/* Everything is ignored and blocked, as some launchers do it. */
static void spawn_deaf(struct server *server)
{
    sigset_t all, before;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_IGN);
    }
    server_spawn(server, (const char *const[]){NULL});
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    server_wait_ready(server);
}

START_TEST(a_starter_that_ignores_every_signal_does_no_harm)
{
    struct server *server = server_new();
    pid_t workers[2];

    server_conf(server, "", "method ping;");
    spawn_deaf(server);
    int client = client_connect(server);
    client_expect_alive(client);
    ck_assert_uint_eq(server_workers(server, workers, 2), 2);
    for (int i = 0; i < 2; i++)
        kill(workers[i], SIGKILL);
    server_wait_log(server, "died with no method running");
    client_expect_alive(client);
    kill(server_vault(server), SIGKILL);
    server_wait_log(server, "the vault ended");
    client_expect_alive(client);
    server_reload(server);
    client_expect_alive(client);
    server_order(server, "stop");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* The mask behind `name`, without the two signals that are libc's own (signal(7)) and that no
 * program can set by it. */
static unsigned long long mask_in(const char *reply, const char *name)
{
    const char *mask = strstr(reply, name);

    ck_assert_ptr_nonnull(mask);
    return strtoull(mask + strlen(name), NULL, 16) & ~(3ull << 31);
}

START_TEST(programs_that_modules_start_get_every_signal)
{
    static const char *const methods[] = {"in_handler", "in_thread"};
    struct server *server = server_new();

    server_conf(server, "load_module modules/children.so;", "method in_handler; method in_thread;");
    spawn_deaf(server);
    int client = client_connect(server);
    for (int i = 0; i < 2; i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\"}", methods[i]));
        const char *reply = client_receive(client, NULL);
        ck_assert_uint_eq(mask_in(reply, "SigBlk:\\t"), 0);
        ck_assert_uint_eq(mask_in(reply, "SigIgn:\\t"), 0);
    }
}
END_TEST

/* The probe's end is waited for, with status and all. */
START_TEST(a_test_of_the_configuration_under_ignored_children_is_right)
{
    struct server *server = server_new();

    server_conf(server, "load_module modules/check_crashes.so;", "method ping;");
    signal(SIGCHLD, SIG_IGN);
    int status = system(
        keep_printf("%s -t -p %s 2>%s/out", pillion_binary(), server->prefix, server->prefix));
    signal(SIGCHLD, SIG_DFL);
    (void)status; /* nobody can have it while SIGCHLD is ignored */
    expect_part(file_read(server_path(server, "out"), NULL),
                "crashed while running its check hook (SIG");
}
END_TEST

/* A process that traces `pid` as a debugger does: it never asks for the end of what it traces, so
 * that the kernel reports it to nobody. -1 when it may not. */
static pid_t trace(pid_t pid)
{
    int ready[2];
    char seized = 0;

    ck_assert_int_eq(pipe(ready), 0);
    pid_t tracer = fork();
    if (tracer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        seized = ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
        if (write(ready[1], &seized, 1) == 1 && seized)
            for (;;)
                pause();
        _exit(1);
    }
    ck_assert_int_eq(read(ready[0], &seized, 1), 1);
    close(ready[0]);
    close(ready[1]);
    if (!seized)
        waitpid(tracer, NULL, 0);
    return seized ? tracer : -1;
}

/* A worker that was told to end, one that was killed before, and a probe. */
START_TEST(the_end_waits_for_no_process_that_is_traced_from_outside)
{
    static const int orders[] = {SIGTERM, SIGQUIT, SIGTERM};
    struct server *servers[3];
    pid_t traced[3], tracers[3];

    for (int i = 0; i < 3; i++) {
        servers[i] =
            i == 2 ? serve_gated() : server_serve_alone("drain_timeout 100ms;", "method ping;");
        servers[i]->reports_allowed = true;
        if (i == 2) {
            server_signal(servers[i], SIGHUP);
            traced[i] = wait_probe(servers[i]);
        } else {
            ck_assert_uint_eq(server_workers(servers[i], &traced[i], 1), 1);
        }
        if ((tracers[i] = trace(traced[i])) < 0) {
            ck_assert_int_eq(i, 0);
            fprintf(stderr, "not tested: this machine lets no process trace another one\n");
            return;
        }
        if (i == 1) {
            client_expect_alive(client_connect(servers[i]));
            kill(traced[i], SIGKILL);
            server_wait_log(servers[i], "were taken over");
        }
    }
    for (int i = 0; i < 3; i++)
        server_signal(servers[i], orders[i]);
    for (int i = 0; i < 3; i++) {
        int status = server_wait_exit(servers[i], 60000);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        expect_part(server_log(servers[i]), keep_printf("(pid %d, slot 0) was killed", traced[i]));
        expect_part(server_log(servers[i]), "the server ends, and leaves it behind");
        expect_part(server_log(servers[i]), "the server has ended");
        ck_assert_int_ne(access(server_path(servers[i], "run/pillion.pid"), F_OK), 0);
        kill(tracers[i], SIGKILL);
        waitpid(tracers[i], NULL, 0);
    }
}
END_TEST

/* The same of a reload, and the probe that is late. */
START_TEST(a_reload_waits_for_no_process_that_is_traced_from_outside)
{
    static const char *const late = "did not finish running its check hook within";
    struct server *server = serve_gated();

    server->reports_allowed = true;
    server_write(server, "conf/pillion.conf", "load_timeout 3s;\n%s",
                 file_read(server_path(server, "conf/pillion.conf"), NULL));
    server_signal(server, SIGHUP);
    pid_t probe = wait_probe(server), tracer = trace(probe);
    if (tracer < 0) {
        fprintf(stderr, "not tested: this machine lets no process trace another one\n");
        return;
    }
    for (int64_t until = deadline_in(60000); !server_logged(server, late); look_again())
        ck_assert(!deadline_over(until));
    client_expect_alive(client_connect(server));
    ck_assert_int_eq(kill(probe, 0), 0);
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
    wait_until(kill(probe, 0) < 0, "the probe is left over");
    file_write(gate(server), "", 0);
    server_reload(server);
}
END_TEST

E2E_MAIN("orders", a_reload_waits_for_no_process_that_is_traced_from_outside,
         the_end_waits_for_no_process_that_is_traced_from_outside,
         an_end_in_a_reload_ends_the_server, an_end_in_a_start_ends_the_server,
         a_caller_that_waits_for_a_reload_is_told_that_the_server_ends,
         a_starter_that_ignores_every_signal_does_no_harm,
         programs_that_modules_start_get_every_signal,
         a_test_of_the_configuration_under_ignored_children_is_right)
