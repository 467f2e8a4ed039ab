/* More clients than one process may hold, at small limits on open files: connections that vaults
 * cannot hold are not accepted, accepted ones survive reloads and deaths, and a reload that cannot
 * hand everything over does not begin. See docs/scale.md. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES                                                                          \
    120 /* the limit of each process: a vault of two workers holds 97, a worker has 80 \
         */
#define CLIENTS 150

static void conf(const struct server *server, const char *main_text)
{
    bool own = strstr(main_text, "worker_connections") != NULL;

    server_write(server, "conf/pillion.conf",
                 "%s %s\nload_module modules/ping.so; load_module modules/rpc.so;\n"
                 "server { listen 127.0.0.1:%d backlog=1024; method ping; method rpc.stats;\n"
                 "         method rpc.health; }\n",
                 own ? "" : "worker_connections 80;", main_text, server->port);
}

static struct server *serve_many(const char *main_text)
{
    struct server *server = server_new();

    server->files = FILES;
    conf(server, main_text);
    server_start(server);
    return server;
}

static void connect_all(const struct server *server, int *clients, int count)
{
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
}

static void all_alive(const int *clients, int count)
{
    for (int i = 0; i < count; i++)
        client_expect_alive(clients[i]);
}

/* Asks on a connection that is there, because others may not be accepted. */
static const cJSON *ask(int client, const char *method)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\"}", method));
    return cJSON_GetObjectItem(client_receive_json(client), "result");
}

static double vaults_say(int client, const char *what)
{
    const cJSON *vaults = cJSON_GetObjectItem(ask(client, "rpc.stats"), "vaults");
    return cJSON_GetObjectItem(vaults, what)->valuedouble;
}

static const char *health(int client)
{
    return cJSON_GetObjectItem(ask(client, "rpc.health"), "status")->valuestring;
}

static void kill_workers(int client)
{
    const cJSON *worker;

    cJSON_ArrayForEach(worker, cJSON_GetObjectItem(ask(client, "rpc.stats"), "workers"))
        kill(cJSON_GetObjectItem(worker, "pid")->valueint, SIGKILL);
}

/* The process in a seat; 0 where there is none. */
static pid_t vault_of(const struct server *server, int seat)
{
    return server_child(server, keep_printf("pillion: vault %d", seat));
}

/* The same user may do that (prlimit(2)): as root, vaults have to be root, too. */
static void limit_files(pid_t pid, uint64_t soft)
{
    ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &(struct rlimit){soft, FILES}, NULL), 0);
}

START_TEST(a_reload_keeps_more_clients_than_one_process_may_hold)
{
    struct server *server = serve_many("worker_processes 2;");
    int clients[CLIENTS];

    connect_all(server, clients, CLIENTS);
    wait_until(vaults_say(clients[0], "held") == CLIENTS, "the vaults do not hold all");
    ck_assert_double_eq(vaults_say(clients[0], "processes"), 2);
    for (int i = 0; i < 3; i++) {
        server_reload(server);
        all_alive(clients, CLIENTS);
    }
    kill_workers(clients[0]);
    all_alive(clients, CLIENTS);
    ck_assert_double_eq(vaults_say(clients[0], "held"), CLIENTS);
    ck_assert_str_eq(health(clients[0]), "ok");
}
END_TEST

START_TEST(the_death_of_one_of_several_vaults_hands_over_its_share_only)
{
    struct server *server = serve_many("worker_processes 2;");
    int clients[CLIENTS];

    connect_all(server, clients, CLIENTS);
    wait_until(vaults_say(clients[0], "held") == CLIENTS, "the vaults do not hold all");
    for (int seat = 1; seat >= 0; seat--) {
        pid_t vault = vault_of(server, seat), other = vault_of(server, 1 - seat);
        kill(vault, SIGKILL);
        wait_until(vault_of(server, seat) != 0 && vault_of(server, seat) != vault,
                   "there is no other vault in seat %d", seat);
        wait_until(vaults_say(clients[0], "held") == CLIENTS, "the new vault has not all");
        ck_assert_int_eq(vault_of(server, 1 - seat), other);
    }
    kill_workers(clients[0]);
    all_alive(clients, CLIENTS);
    server_reload(server);
    all_alive(clients, CLIENTS);
}
END_TEST

START_TEST(connections_beyond_the_vaults_room_are_not_accepted)
{
    struct server *server = serve_many("worker_processes 2; vault_processes 1;");
    int clients[CLIENTS], room = 0;

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(server);
        client_send_frame(clients[i], "{\"in\":\"ping\",\"params\":\"here\"}");
    }
    client_expect(clients[0], "{\"out\":\"pong\",\"result\":\"here\"}");
    room = (int)vaults_say(clients[0], "room");
    ck_assert_int_lt(room, CLIENTS);
    wait_until(strcmp(health(clients[0]), "full") == 0, "health does not say that it is full");
    server_wait_log(server, "accepting pauses");
    ck_assert_double_le(vaults_say(clients[0], "held"), room);
    wait_until(vaults_say(clients[0], "held") >= room - 1, "they do not hold what they could");
    ck_assert_double_gt(
        cJSON_GetObjectItem(cJSON_GetObjectItem(ask(clients[0], "rpc.stats"), "connections"),
                            "paused_accept")
            ->valuedouble,
        0);
    server_reload(server);
    kill_workers(clients[0]);
    for (int i = 1; i < CLIENTS; i++) { /* a client that leaves makes room for one that waits */
        client_expect(clients[i], "{\"out\":\"pong\",\"result\":\"here\"}");
        close(clients[i]);
    }
    client_expect_alive(clients[0]);
    wait_until(strcmp(health(clients[0]), "ok") == 0, "health does not say that there is room");
}
END_TEST

START_TEST(a_connection_that_a_vault_cannot_receive_goes_to_another)
{
    struct server *server = serve_many("user root; worker_processes 2; vault_processes 2;");
    int clients[60];

    connect_all(server, clients, 20);
    wait_until(vaults_say(clients[0], "held") == 20, "the vault does not hold all");
    limit_files(vault_of(server, 0), 30); /* its messages are truncated from here on */
    connect_all(server, clients + 20, 40);
    wait_until(vaults_say(clients[0], "held") == 60, "the vaults do not hold all");
    ck_assert_double_gt(vaults_say(clients[0], "refused"), 0);
    server_wait_log(server, "out of descriptors");
    ck_assert_double_eq(vaults_say(clients[0], "unheld"), 0);
    limit_files(vault_of(server, 0), FILES);
    kill_workers(clients[0]);
    all_alive(clients, 60);
    server_reload(server);
    all_alive(clients, 60);
}
END_TEST

START_TEST(connections_in_no_vault_are_told_and_no_reload_begins)
{
    struct server *server = serve_many("user root; worker_processes 1; vault_processes 1;");
    int clients[40];

    connect_all(server, clients, 20);
    wait_until(vaults_say(clients[0], "held") == 20, "the vault does not hold all");
    limit_files(vault_of(server, 0), 16);
    for (int i = 20; i < 40; i++)
        clients[i] = client_connect(server);
    wait_until(vaults_say(clients[0], "unheld") > 0, "nobody says that they are not held");
    ck_assert_str_eq(health(clients[0]), "unheld");
    server_reload_refused(server,
                          "vault 0 has no descriptor left for the channel of another worker");
    all_alive(clients, 20);
    limit_files(vault_of(server, 0), FILES);
    wait_until(vaults_say(clients[0], "held") == 40, "the vault does not take them later either");
    ck_assert_double_eq(vaults_say(clients[0], "unheld"), 0);
    server_reload(server);
    all_alive(clients, 40);
}
END_TEST

START_TEST(a_reload_to_workers_that_could_not_have_all_does_not_begin)
{
    struct server *server = serve_many("worker_processes 2;");
    int clients[CLIENTS];

    connect_all(server, clients, CLIENTS);
    conf(server, "worker_processes 1; worker_connections 20000;");
    server_reload_refused(server,
                          "150 connections are open, and 1 workers of the new configuration would");
    all_alive(clients, CLIENTS);
    for (int i = 40; i < CLIENTS; i++)
        close(clients[i]);
    wait_until(vaults_say(clients[0], "held") == 40, "the vaults hold what is closed");
    server_reload(server);
    all_alive(clients, 40);
}
END_TEST

START_TEST(fewer_workers_take_over_all_that_they_have_room_for)
{
    struct server *server = serve_many("worker_processes 4; worker_connections 36;");
    int clients[140];

    connect_all(server, clients, 140);
    conf(server, "worker_processes 2; worker_connections 36;");
    server_reload(server);
    all_alive(clients, 140);
    conf(server, "worker_processes 3; worker_connections 36;");
    server_reload(server);
    all_alive(clients, 140);
    kill_workers(clients[0]);
    all_alive(clients, 140);
}
END_TEST

START_TEST(fewer_connections_than_are_open_are_a_limit_for_new_ones_only)
{
    struct server *server = serve_many("worker_processes 2;");
    int clients[100];

    connect_all(server, clients, 100);
    conf(server, "worker_processes 2; worker_connections 10;");
    server_reload(server);
    all_alive(clients, 100);
    server_reload(server);
    all_alive(clients, 100);
    int late = client_connect(server);
    client_send_frame(late, "{\"in\":\"ping\",\"params\":\"late\"}");
    server_reload(server);
    all_alive(clients, 100);
    ck_assert(client_is_silent(late));
    for (int i = 1; i < 100; i++)
        close(clients[i]);
    client_expect(late, "{\"out\":\"pong\",\"result\":\"late\"}");
}
END_TEST

START_TEST(vaults_come_and_go_by_reload)
{
    struct server *server = serve_many("worker_processes 2; vault_processes 1;");
    int clients[CLIENTS];

    connect_all(server, clients, 20);
    ck_assert_int_eq(vault_of(server, 1), 0);
    conf(server, "worker_processes 2; vault_processes 3;");
    server_reload(server);
    connect_all(server, clients + 20, CLIENTS - 20);
    wait_until(vaults_say(clients[0], "held") == CLIENTS, "the vaults do not hold all");
    ck_assert_int_ne(vault_of(server, 2), 0);
    conf(server, "worker_processes 2; vault_processes 1;");
    server_reload(server);
    all_alive(clients, CLIENTS);
    wait_until(vault_of(server, 2) == 0, "a vault that is empty and not needed stays");
    ck_assert_int_ne(vault_of(server, 1), 0); /* it has connections still */
    kill_workers(clients[0]);
    all_alive(clients, CLIENTS);
    for (int i = 1; i < CLIENTS; i++)
        close(clients[i]);
    wait_until(vault_of(server, 1) == 0, "a vault that has become empty stays");
    ck_assert(!server_logged(server, "the vault ended"));
    client_expect_alive(clients[0]);
    conf(server, "worker_processes 2; vault_processes 3;");
    server_reload(server);
    wait_until(vault_of(server, 1) != 0 && vault_of(server, 2) != 0, "there are no other vaults");
    client_expect_alive(clients[0]);
}
END_TEST

START_TEST(an_arena_too_small_for_the_adopted_connections_is_larger_for_once)
{
    struct server *server = server_new();
    const char *text = "worker_processes 1; arena_size %s;\nload_module modules/ping.so;\n"
                       "server { listen 127.0.0.1:%d; max_frame 60k; method ping; }\n";
    size_t size = 50000;
    int clients[60];
    char *filler = keep(malloc(size + 1));

    memset(filler, 'x', size);
    filler[size] = '\0';
    struct buffer frame = {0}, reply = {0};
    buffer_add_frame(&frame, "{\"in\":\"ping\",\"params\":\"%s\"}", filler);
    buffer_add_frame(&reply, "{\"out\":\"pong\",\"result\":\"%s\"}", filler);
    server_write(server, "conf/pillion.conf", text, "8m", server->port);
    server_start(server);
    for (int i = 0; i < 60; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], frame.data, frame.size - 1);
    }
    client_expect_alive(client_connect(server));
    server_write(server, "conf/pillion.conf", text, "1m", server->port);
    for (int round = 0; round < 2; round++)
        server_reload(server);
    for (int i = 0; i < 60; i++)
        client_exchange(clients[i], frame.data + frame.size - 1, 1, 0, reply.data, reply.size);
    ck_assert(!server_logged(server, "no room for it"));
    free(frame.data);
    free(reply.data);
}
END_TEST

START_TEST(a_test_of_the_configuration_names_the_limit_to_raise)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "worker_processes 4; worker_connections 1000000; vault_processes 1;\n"
                 "load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    struct run run = pillion("-p", server->prefix, "-t");
    expect_status(&run, 0);
    expect_part(run.err, "worker_connections is 1000000, but a worker has descriptors for");
    expect_part(run.err, "no more are accepted; raise vault_processes");
    server_start(server);
    run = server_order(server, "reload");
    expect_part(run.out, "but beware: worker_connections is 1000000");
    server_wait_log(server, "worker_connections is 1000000, but a worker has descriptors for");
}
END_TEST

/* Nobody has asked for the default, but so few clients are hardly meant. */
START_TEST(a_limit_that_leaves_few_clients_is_told_at_the_default_too)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    struct run run = pillion("-p", server->prefix, "-t");
    expect_status(&run, 0);
    ck_assert_ptr_null(strstr(run.err, "beware"));
    server->files = 64;
    server_start(server);
    server_wait_log(server, "worker_connections is 20000, but a worker has descriptors for");
}
END_TEST

/* The master has the channels and arenas of two generations while it reloads. */
START_TEST(descriptors_that_are_too_few_for_a_reload_alone_are_told_and_it_does_not_begin)
{
    struct server *server = server_new();
    int clients[12];

    server->files = 64;
    conf(server, "worker_processes 12; worker_connections 2;");
    server_start(server);
    server_wait_log(server, "a reload has two generations of 12 workers at once");
    connect_all(server, clients, 12);
    for (int i = 0; i < 3; i++) {
        struct run run = server_ask(server, "reload");
        expect_status(&run, 1);
        all_alive(clients, 12);
    }
    kill_workers(clients[0]);
    all_alive(clients, 12);
}
END_TEST

/* Binaries of the first version know one vault: connections in the others would be lost. */
START_TEST(a_binary_that_knows_one_vault_does_not_take_over_from_several)
{
    static const char script[] = "#!/bin/sh\necho 'pillion rehearses to take over' >&2\n";
    struct server *server = server_new();
    const char *build = keep_printf("%s", getenv("PILLION_BUILD"));
    const char *binary = server_path(server, "binary/pillion");
    int clients[CLIENTS];

    mkdir(server_path(server, "binary"), 0755);
    file_copy(pillion_binary(), binary);
    server->files = FILES;
    conf(server, "worker_processes 2;");
    setenv("PILLION_BUILD", server_path(server, "binary"), 1);
    server_start(server);
    setenv("PILLION_BUILD", build, 1);
    connect_all(server, clients, CLIENTS);
    wait_until(vaults_say(clients[0], "held") == CLIENTS, "the vaults do not hold all");
    unlink(binary);
    file_write(binary, script, sizeof(script) - 1);
    chmod(binary, 0755);
    struct run run = server_ask(server, "upgrade");
    expect_status(&run, 1);
    expect_part(run.err, "knows one vault only, and");
    all_alive(clients, CLIENTS);
    /* One that knows them takes them over. */
    unlink(binary);
    file_copy(pillion_binary(), binary);
    run = server_order(server, "upgrade");
    all_alive(clients, CLIENTS);
    kill_workers(clients[0]);
    all_alive(clients, CLIENTS);
    ck_assert_double_eq(vaults_say(clients[0], "held"), CLIENTS);
}
END_TEST

E2E_MAIN("scale", a_reload_keeps_more_clients_than_one_process_may_hold,
         the_death_of_one_of_several_vaults_hands_over_its_share_only,
         connections_beyond_the_vaults_room_are_not_accepted,
         a_connection_that_a_vault_cannot_receive_goes_to_another,
         connections_in_no_vault_are_told_and_no_reload_begins,
         a_reload_to_workers_that_could_not_have_all_does_not_begin,
         fewer_workers_take_over_all_that_they_have_room_for,
         fewer_connections_than_are_open_are_a_limit_for_new_ones_only,
         vaults_come_and_go_by_reload,
         an_arena_too_small_for_the_adopted_connections_is_larger_for_once,
         a_test_of_the_configuration_names_the_limit_to_raise,
         a_limit_that_leaves_few_clients_is_told_at_the_default_too,
         descriptors_that_are_too_few_for_a_reload_alone_are_told_and_it_does_not_begin,
         a_binary_that_knows_one_vault_does_not_take_over_from_several)
