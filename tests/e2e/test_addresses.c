/* Addresses and server blocks that a reload removes: what becomes of the connections that are open
 * on them. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The methods that tell blocks apart: only the harness's own block has rpc.stats. */
#define WAITS "load_module modules/later.so;"

/* A second server block at `port`. */
static const char *block(int port)
{
    return keep_printf(WAITS "server { listen 127.0.0.1:%d; method ping; method wait; }", port);
}

static int connect_to(int port)
{
    int client = client_connect_to(port);

    client_expect_alive(client);
    return client;
}

static void begin_wait(int client, int ms)
{
    client_send_frame(client, keep_printf("{\"in\":\"wait\",\"params\":{\"ms\":%d},\"id\":1}", ms));
    client_send_frame(client, "{\"in\":\"ping\",\"id\":2}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null,\"id\":2}");
}

START_TEST(an_address_is_removed_and_its_connections_stay)
{
    struct server *server = server_new();
    int port = free_port();

    server_conf(server, "", keep_printf("listen 127.0.0.1:%d; method ping;", port));
    server_start(server);
    int client = connect_to(port);
    client_send(client, "\x18\0\0\0{\"in\":\"pi", 13);
    server_conf(server, "", "method ping; method rpc.list;");
    server_reload(server);
    wait_until(client_try_connect(port) == -1, "the address is still listened on");
    client_send(client, "ng\",\"params\":1}", 15);
    client_expect(client, "{\"out\":\"pong\",\"result\":1}");
    expect_part(client_call(client, "rpc.list", "null"), "rpc.stats"); /* the block as it is now */
    server_kill_workers(server);
    client_expect_alive(client);
    server_reload(server);
    client_expect_alive(client);
    ck_assert(!server_logged(server, "closed instead of taken over"));
}
END_TEST

/* One worker hangs in a handler and hears of no reload: it has the port's socket all the while. */
START_TEST(a_port_is_taken_back_while_a_worker_hangs)
{
    struct server *server = server_new();
    int port = free_port();
    const char *journal = server_path(server, "run/journal");
    char *modules = keep_printf("load_module modules/crash.so { journal %s; }", journal);
    char *with = keep_printf("method ping; method hang; listen 127.0.0.1:%d;", port);

    server_conf(server, modules, with);
    chmod(server_path(server, "run"), 0777); /* workers write the journal, as nobody */
    server_start(server);
    int client = connect_to(port);
    client_send_frame(client, "{\"in\":\"hang\"}");
    wait_until(access(journal, F_OK) == 0, "no worker hangs");
    server_conf(server, modules, "method ping; method hang;");
    server_reload(server);
    ck_assert_int_eq(client_try_connect(port), -1);
    server_conf(server, modules, with);
    server_reload(server);
    connect_to(port);
    client_expect_alive(client_connect(server));
    ck_assert(!server_logged(server, "a module has shut"));
}
END_TEST

START_TEST(a_block_changes_its_only_address_and_keeps_its_connections)
{
    struct server *server = server_new();
    int port = free_port(), other = free_port();

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int client = connect_to(port);
    server_conf(server, block(other), "method ping;");
    server_reload(server);
    wait_until(client_try_connect(port) == -1, "the former address is still listened on");
    client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"rpc.stats\"}");
    client_expect_error(client, "method_not_found"); /* of the other block */
    client_expect_alive(connect_to(other));
}
END_TEST

/* From a worker that stays, through two reloads, to one that never knew the address. */
START_TEST(a_request_that_waits_finds_the_heir_of_its_heir)
{
    struct server *server = server_new();
    int ports[] = {free_port(), free_port(), free_port()};

    server_conf(server, block(ports[0]), "method ping;");
    server_start(server);
    int client = connect_to(ports[0]);
    begin_wait(client, 2000);
    for (int i = 1; i < 3; i++) {
        server_conf(server, block(ports[i]), "method ping;");
        server_reload(server);
    }
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":2000},\"id\":1}");
    client_expect_alive(client);
}
END_TEST

START_TEST(an_upgrade_knows_the_heirs)
{
    struct server *server = server_new();
    int port = free_port();

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int client = connect_to(port);
    begin_wait(client, 2000);
    server_conf(server, block(free_port()), "method ping;");
    server_reload(server);
    server_order(server, "upgrade");
    client_expect(client, "{\"out\":\"later\",\"result\":{\"ms\":2000},\"id\":1}");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_removed_block_ends_its_connections_when_they_are_answered)
{
    struct server *server = server_new();
    int port = free_port();

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int idle = connect_to(port), busy = connect_to(port), partial = connect_to(port),
        stays = client_connect(server);
    double closed = server_stat(server, "connections.closed");
    begin_wait(busy, 1000);
    client_send(partial, "\x0d\0\0\0{\"in\":", 10);
    server_conf(server, WAITS, "method ping; method wait;");
    server_reload(server);
    client_expect_end(idle);
    client_expect(busy, "{\"out\":\"later\",\"result\":{\"ms\":1000},\"id\":1}");
    client_expect_end(busy);
    /* The connection's requests are answered, and not by methods of a block that is not its own. */
    client_send(partial, "\"ping\"}", 7);
    client_expect_error(partial, "method_not_found");
    client_expect_end(partial);
    client_expect_alive(stays);
    server_wait_log(server, "their server block is no longer configured");
    wait_until(server_stat(server, "connections.closed") >= closed + 3, "they are not counted");
}
END_TEST

/* The only other block does not inherit the connection: it may be meant for other clients. */
START_TEST(a_removed_block_leaves_its_connections_to_no_other)
{
    struct server *server = server_new();
    int port = free_port();

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int client = client_connect(server);
    client_expect_alive(client);
    server_write(server, "conf/pillion.conf",
                 "daemon off; worker_processes 1; load_module modules/ping.so;\n%s\n", block(port));
    server_reload(server);
    client_expect_end(client);
    connect_to(port);
}
END_TEST

START_TEST(half_a_frame_of_a_removed_block_ends_in_time)
{
    struct server *server = server_new();
    int port = free_port();

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int client = connect_to(port);
    client_send(client, "\x0d\0\0\0{\"in\":", 10);
    server_conf(server, "drain_timeout 100ms;", "method ping;");
    server_reload(server);
    client_expect_end(client);
}
END_TEST

START_TEST(a_worker_that_answers_for_a_removed_block_may_die)
{
    struct server *server = server_new();
    int port = free_port();
    pid_t pids[16];

    server_conf(server, block(port), "method ping;");
    server_start(server);
    int client = connect_to(port);
    begin_wait(client, 60000);
    size_t count = server_workers(server, pids, 16);
    server_conf(server, WAITS, "method ping; method wait;");
    server_reload(server);
    /* One of them stays. */
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    client_expect_error(client, "module_crashed");
    client_expect_end(client);
    client_expect_alive(client_connect(server));
}
END_TEST

E2E_MAIN("addresses", an_address_is_removed_and_its_connections_stay,
         a_port_is_taken_back_while_a_worker_hangs,
         a_block_changes_its_only_address_and_keeps_its_connections,
         a_request_that_waits_finds_the_heir_of_its_heir, an_upgrade_knows_the_heirs,
         a_removed_block_ends_its_connections_when_they_are_answered,
         a_removed_block_leaves_its_connections_to_no_other,
         half_a_frame_of_a_removed_block_ends_in_time,
         a_worker_that_answers_for_a_removed_block_may_die)
