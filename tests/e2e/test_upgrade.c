/* Replacing the running binary: no client loses its connection, and a binary that cannot take over
 * does not. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS 40

static void serve_upgradable_with(struct server *server, const char *main_text,
                                  const char *server_text)
{
    server_conf(server, main_text, keep_printf("method ping; %s", server_text));
    server_put_binary(server, pillion_binary());
    setenv("PILLION_BUILD", server_path(server, "binary"), 1);
    server_start(server);
}

static struct server *serve_upgradable(void)
{
    struct server *server = server_new();

    serve_upgradable_with(server, "", "");
    return server;
}

/* Clients in every state: idle, with half a frame sent, with replies unread. */
static void connect_all(const struct server *server, int clients[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        if (i % 3 == 1)
            client_send(clients[i], "\x18\0\0\0{\"in\":\"pi", 13);
        if (i % 3 == 2)
            client_send_frame(clients[i], "{\"in\":\"ping\",\"params\":2}");
    }
    /* All of it has arrived and is handled when a later request is answered by each worker. */
    for (int i = 2; i < CLIENTS; i += 3)
        wait_until(!client_is_silent(clients[i]), "client %d was not answered", i);
}

static void expect_all(int clients[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 3 == 1) {
            client_send(clients[i], "ng\",\"params\":1}", 15);
            client_expect(clients[i], "{\"out\":\"pong\",\"result\":1}");
        }
        if (i % 3 == 2)
            client_expect(clients[i], "{\"out\":\"pong\",\"result\":2}");
        client_expect_alive(clients[i]);
    }
}

static void upgrade(const struct server *server)
{
    struct run run = server_order(server, "upgrade");
    expect_part(run.out, "serves");
}

/* By which readers know whether counts go on or have begun anew. */
static double started_at(const struct server *server)
{
    return cJSON_GetObjectItem(server_stats(server), "started_at_ms")->valuedouble;
}

START_TEST(an_upgrade_keeps_every_connection_and_the_pid)
{
    struct server *server = serve_upgradable();
    int clients[CLIENTS];

    connect_all(server, clients);
    double before = started_at(server);
    upgrade(server);
    ck_assert_double_eq(started_at(server), before);
    ck_assert(process_lives(server->pid));
    expect_all(clients);
    expect_part(server_log(server), "has taken over as the master");
}
END_TEST

START_TEST(records_of_another_arena_layout_are_imported)
{
    const char *build = keep_printf("%s", getenv("PILLION_BUILD"));
    struct server *server = serve_upgradable();
    int clients[CLIENTS];

    connect_all(server, clients);
    double before = started_at(server);
    server_put_binary(server, keep_printf("%s/tests/layout/pillion", build));
    upgrade(server);
    expect_all(clients);
    /* The board, of another layout too, is a new one: it is the new workers'. */
    wait_until(cJSON_GetArraySize(cJSON_GetObjectItem(server_stats(server), "workers")) == 2,
               "the new workers are not on the board");
    ck_assert_double_gt(started_at(server), before);

    /* The older binary cannot read the newer layout: it says so, and is not put to use. */
    server_put_binary(server, keep_printf("%s/pillion", build));
    struct run run = server_ask(server, "upgrade");
    expect_status(&run, 1);
    expect_part(run.err, "arenas have layout 1000");
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
}
END_TEST

/* Behind a balancer: who the client is, and that a header is half there. */
START_TEST(what_balancers_tell_outlives_an_upgrade)
{
    static const char header[] = "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n";
    const char *build = keep_printf("%s", getenv("PILLION_BUILD"));
    struct server *server = server_new();
    int port = free_port(), clients[2];

    serve_upgradable_with(server, "load_module modules/peer.so;",
                          keep_printf("method peer; listen 127.0.0.1:%d proxy_protocol; proxy_from "
                                      "127.0.0.1; proxy_timeout 10m;",
                                      port));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_ge(clients[i] = client_try_connect(port), 0);
        client_send(clients[i], header, i == 0 ? sizeof(header) - 1 : 9);
    }
    expect_part(client_ask(clients[0], "{\"in\":\"peer\"}"), "\"192.0.2.1:50122\"");
    wait_until(server_stat(server, "connections.open") >= 2, "they are not accepted");
    upgrade(server);
    expect_part(client_ask(clients[0], "{\"in\":\"peer\"}"), "\"192.0.2.1:50122\"");
    client_send(clients[1], header + 9, 9);
    server_put_binary(server, keep_printf("%s/tests/layout/pillion", build));
    upgrade(server);
    client_send(clients[1], header + 18, sizeof(header) - 1 - 18);
    for (int i = 0; i < 2; i++)
        expect_part(client_ask(clients[i], "{\"in\":\"peer\"}"), "\"192.0.2.1:50122\"");
}
END_TEST

START_TEST(a_binary_that_fails_is_not_put_to_use)
{
    static const char script[] = "#!/bin/sh\necho 'cannot do it' >&2\nexit 7\n";
    struct server *server = serve_upgradable();
    int clients[CLIENTS];

    connect_all(server, clients);
    unlink(server_binary(server));
    file_write(server_binary(server), script, strlen(script));
    chmod(server_binary(server), 0755);
    server_signal(server, SIGUSR2);
    server_wait_log(server, "upgrade failed");
    expect_part(server_log(server), "cannot do it");
    expect_all(clients);
}
END_TEST

START_TEST(a_binary_that_never_answers_is_ended_and_that_is_said)
{
    static const char script[] = "#!/bin/sh\necho 'just a moment' >&2\nexec sleep 600\n";
    struct server *server = server_new();

    serve_upgradable_with(server, "lookup_timeout 100ms; load_timeout 3s;", "");
    int client = client_connect(server);
    client_expect_alive(client);
    unlink(server_binary(server));
    file_write(server_binary(server), script, strlen(script));
    chmod(server_binary(server), 0755);
    server_signal(server, SIGUSR2);
    int64_t until = deadline_in(3 * PATIENCE_MS);
    while (!server_logged(server, "upgrade failed")) {
        ck_assert(!deadline_over(until));
        look_again();
    }
    server_wait_log(server, "has not said within 13100 ms that it can take over");
    server_wait_log(server, "just a moment");
    client_expect_alive(client);
}
END_TEST

/* It ends well, and has rehearsed nothing. */
START_TEST(a_binary_that_is_no_pillion_is_not_put_to_use)
{
    static const char script[] = "#!/bin/sh\necho 'all is well'\nexit 0\n";
    const char *build = keep_printf("%s", getenv("PILLION_BUILD"));
    struct server *server = serve_upgradable();
    int clients[CLIENTS];

    connect_all(server, clients);
    setenv("PILLION_BUILD", build, 1); /* with its binary the server is asked */
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            server_put_binary(server, "/bin/true");
        } else {
            unlink(server_binary(server));
            file_write(server_binary(server), script, strlen(script));
            chmod(server_binary(server), 0755);
        }
        struct run run = server_ask(server, "upgrade");
        expect_status(&run, 1);
        expect_part(run.err, keep_printf("%s is no Pillion, or one that does not know how to take "
                                         "over",
                                         server_binary(server)));
        if (round == 1)
            expect_part(run.err, "all is well");
        ck_assert(process_lives(server->pid));
        ck_assert(!server_logged(server, "becoming"));
        for (int i = 0; round == 0 && i < CLIENTS; i += 3)
            client_expect_alive(clients[i]);
    }
    expect_all(clients);
}
END_TEST

/* What the control socket answers, to its end. */
static const char *control_answer(int control)
{
    char answer[1024] = "";
    size_t size = 0;
    ssize_t got = -1;

    while (got != 0) {
        wait_until((got = recv(control, answer + size, sizeof(answer) - 1 - size, 0)) >= 0,
                   "the control socket does not answer");
        size += (size_t)got;
    }
    return keep_printf("%.*s", (int)size, answer);
}

/* One waits for a worker that has other things to do, one has said half of what it wants, and one
 * nothing yet. */
START_TEST(orders_that_wait_are_answered_after_an_upgrade)
{
    struct server *server = server_new();
    const char *gate = server_path(server, "run/gate");
    int asking[3];

    chmod(server_path(server, "run"), 0777);
    serve_upgradable_with(server,
                          keep_printf("handler_timeout 1m; drain_timeout 1m;\n"
                                      "load_module modules/check_waits.so { handler_gate %s; }\n",
                                      gate),
                          "method wait_for_gate;");
    client_send_frame(client_connect(server), "{\"in\":\"wait_for_gate\"}");
    wait_until(access(keep_printf("%s.waiting", gate), F_OK) == 0, "no worker is in the handler");
    for (int i = 0; i < 3; i++)
        asking[i] = client_connect_unix(server_path(server, "run/pillion.control"));
    client_send(asking[1], "reo", 3);
    client_send(asking[0], "reopen\n", 7);
    server_wait_log(server, "reopen was asked for by the control socket");
    upgrade(server);
    for (int i = 0; i < 3; i++)
        ck_assert(client_is_silent(asking[i]));
    client_send(asking[1], "pen\n", 4);
    client_send(asking[2], "frobnicate\n", 11);
    ck_assert_str_eq(control_answer(asking[2]), "failed\nunknown verb\n");
    file_write(gate, "", 0);
    for (int i = 0; i < 2; i++)
        expect_part(control_answer(asking[i]), "ok\nlog files are opened anew");
}
END_TEST

START_TEST(after_an_upgrade_everything_works_as_before)
{
    struct server *server = serve_upgradable();
    int clients[CLIENTS];
    pid_t workers[8];

    connect_all(server, clients);
    server_signal(server, SIGUSR2);
    server_wait_log(server, "has taken over as the master");
    server_wait_log(server, "generation 2 serves");
    wait_until(server_workers(server, workers, 8) == 2, "there are not two workers");
    for (int i = 0; i < 2; i++)
        kill(workers[i], SIGKILL);
    expect_all(clients);
    server_reload(server);
    upgrade(server);
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
    server_order(server, "quit");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* ---- What changes between the rehearsal and the new binary ---- */

/* Serves with a module whose check waits for a file of another prefix, and a log and a pid file in
 * directories of their own. */
struct gated {
    struct server *server;
    const char *gate, *build;
};

static struct gated serve_gated(void)
{
    struct gated gated = {.server = server_new(),
                          .build = keep_printf("%s", getenv("PILLION_BUILD"))};
    const struct server *elsewhere = server_new();

    gated.gate = server_path(elsewhere, "run/gate");
    chmod(elsewhere->prefix, 0755);
    server_conf(gated.server,
                keep_printf("pid pid/pid;\n"
                            "load_module modules/check_waits.so { gate %s; }\n",
                            gated.gate),
                "method ping;");
    mkdir(server_path(gated.server, "log"), 0755);
    mkdir(server_path(gated.server, "pid"), 0755);
    server_put_binary(gated.server, pillion_binary());
    setenv("PILLION_BUILD", server_path(gated.server, "binary"), 1);
    file_write(gated.gate, "", 0);
    server_start_with(gated.server, (const char *const[]){"-g", "error_log log/log;", NULL});
    unlink(gated.gate);
    return gated;
}

/* True when the rehearsal tries the modules: it is the child of the master's that has one itself.
 */
static bool rehearses(const struct server *server)
{
    pid_t children[16], probe;
    size_t count = children_of(server->pid, children, 16);

    for (size_t i = 0; i < count; i++) {
        if (children_of(children[i], &probe, 1) == 1)
            return true;
    }
    return false;
}

/* Asks for an upgrade, and returns when all is read that the rehearsal reads. */
static int ask_gated(const struct gated *gated)
{
    int control = client_connect_unix(server_path(gated->server, "run/pillion.control"));

    client_send(control, "upgrade\n", 8);
    wait_until(rehearses(gated->server), "nothing rehearses");
    return control;
}

/* The rehearsal ends; the answer comes from the new binary. */
static const char *go_on(const struct gated *gated, int control)
{
    file_write(gated->gate, "", 0);
    return control_answer(control);
}

static void expect_served(const struct gated *gated, int clients[CLIENTS])
{
    ck_assert(process_lives(gated->server->pid));
    for (int i = 0; i < CLIENTS; i++)
        client_expect_alive(clients[i]);
    client_expect_alive(client_connect(gated->server));
}

static void connect_idle(const struct server *server, int clients[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
}

/* New connections may still speak any protocol of their listener. */
static void expect_http(const struct server *server)
{
    static const char request[] =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    int client = client_connect(server);

    client_send(client, request, sizeof(request) - 1);
    expect_part(client_receive_rest(client), "HTTP/1.1 200 OK\r\n");
}

START_TEST(a_configuration_that_is_being_edited_is_a_failed_reload)
{
    struct gated gated = serve_gated();
    struct server *server = gated.server;
    char *conf = file_read(server->conf, NULL);
    int clients[CLIENTS];
    pid_t workers[8], before[8];

    connect_idle(server, clients);
    ck_assert_uint_eq(server_workers(server, before, 8), 2);
    int control = ask_gated(&gated);
    server_write(server, "conf/pillion.conf", "%s\nworker_processes", conf);
    const char *answer = go_on(&gated, control);
    expect_part(answer, "failed\nthe new binary has taken over, and generation 1 of the former one "
                        "serves on: the configuration was not put to use\n");
    expect_part(answer, "pillion.conf:");
    expect_served(&gated, clients);
    ck_assert_uint_eq(server_workers(server, workers, 8), 2);

    /* A worker that dies is replaced, with the sealed modules, and watchdog and vault are there. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++)
            kill(workers[i], SIGKILL);
        expect_served(&gated, clients);
        wait_until(server_workers(server, workers, 8) == 2 && workers[0] != before[0] &&
                       workers[0] != before[1] && workers[1] != before[0] &&
                       workers[1] != before[1],
                   "there are not two other workers");
        memcpy(before, workers, sizeof(before));
        expect_http(server);
    }
    /* Once more, from a binary that has inherited all it knows. */
    unlink(gated.gate);
    file_write(server->conf, conf, strlen(conf));
    control = ask_gated(&gated);
    server_write(server, "conf/pillion.conf", "nonsense;");
    expect_part(go_on(&gated, control), "failed\nthe new binary has taken over");
    expect_served(&gated, clients);
    file_write(server->conf, conf, strlen(conf));
    server_reload(server);
    expect_served(&gated, clients);
    server_order(server, "quit");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(directories_that_are_gone_end_nothing)
{
    static const char *const names[] = {"log", "pid", "conf", "modules", "binary"};
    struct gated gated = serve_gated();
    struct server *server = gated.server;
    int clients[CLIENTS];

    connect_idle(server, clients);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *gone = server_path(server, "gone"), *name = server_path(server, names[i]);
        unlink(gated.gate);
        int control = ask_gated(&gated);
        ck_assert_int_eq(rename(name, gone), 0);
        go_on(&gated, control);
        expect_served(&gated, clients);
        if (i == 0) /* the former's descriptor goes on */
            expect_part(file_read(server_path(server, "gone/log"), NULL), "has taken over");
        ck_assert_int_eq(rename(gone, name), 0);
        server_reload(server);
        expect_served(&gated, clients);
    }
    /* The prefix as a whole. */
    unlink(gated.gate);
    const char *gone = keep_printf("%s-gone", server->prefix);
    int control = ask_gated(&gated);
    ck_assert_int_eq(rename(server->prefix, gone), 0);
    go_on(&gated, control);
    ck_assert_int_eq(rename(gone, server->prefix), 0);
    expect_served(&gated, clients);
}
END_TEST

START_TEST(the_binary_that_has_rehearsed_is_the_one_executed)
{
    struct gated gated = serve_gated();
    int clients[CLIENTS];

    connect_idle(gated.server, clients);
    int control = ask_gated(&gated);
    server_put_binary(gated.server, "/bin/true");
    expect_part(go_on(&gated, control), "ok\n");
    expect_served(&gated, clients);
    /* The next one is what is at that place by then. */
    setenv("PILLION_BUILD", gated.build, 1);
    struct run run = server_ask(gated.server, "upgrade");
    expect_status(&run, 1);
    expect_part(run.err, "is no Pillion");
    server_put_binary(gated.server, keep_printf("%s/pillion", gated.build));
    upgrade(gated.server);
    expect_served(&gated, clients);
}
END_TEST

E2E_MAIN("upgrade", an_upgrade_keeps_every_connection_and_the_pid,
         records_of_another_arena_layout_are_imported, what_balancers_tell_outlives_an_upgrade,
         a_binary_that_fails_is_not_put_to_use,
         a_binary_that_never_answers_is_ended_and_that_is_said,
         a_binary_that_is_no_pillion_is_not_put_to_use,
         orders_that_wait_are_answered_after_an_upgrade,
         after_an_upgrade_everything_works_as_before,
         a_configuration_that_is_being_edited_is_a_failed_reload,
         directories_that_are_gone_end_nothing, the_binary_that_has_rehearsed_is_the_one_executed)
