/* Modules that do what they can against their worker, the vault and the master (modules/hostile.c):
 * the server goes on, and every client that comes is served. Workers are not locked down here, as
 * they cannot be everywhere; test_sandbox tries what a locked-down one is refused. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct server *serve_hostile(void)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server,
                "load_module modules/hostile.so; load_module modules/limit.so; zone shared 64k;\n"
                "sandbox off; quarantine_crashes off; handler_timeout 5s; drain_timeout 2s;",
                "method rpc.health; method wild; method board; method header; method truncates; "
                "method linger;"
                "method spy; method ping { filter limit { zone shared; rate 1000000/s; } }");
    server_start(server);
    return server;
}

/* Waits for the reply, or for the end of the connection. */
static void begin(int client, const char *method, const char *params)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    wait_until(!client_is_silent(client) || client_is_closed(client), "%s is not answered", method);
}

/* The result, or -1 when the request or its connection was the price. */
static double call(int client, const char *method, const char *params)
{
    begin(client, method, params);
    if (client_is_closed(client))
        return -1;
    const cJSON *reply = client_receive_json(client);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    return cJSON_IsNumber(result) ? result->valuedouble : -1;
}

static void expect_all_well(struct server *server)
{
    for (int i = 0; i < 20; i++)
        client_expect_alive(client_connect(server));
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"rpc.health\"}");
    const cJSON *health = cJSON_GetObjectItem(client_receive_json(client), "result");
    ck_assert_int_eq(cJSON_GetObjectItem(health, "workers")->valueint, 2);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(server_stats(server), "methods"));
    ck_assert(process_lives(server->pid));
}

static void store_all_over(const char *map)
{
    struct server *server = serve_hostile();

    for (int seed = 0; seed < 25; seed++) {
        int client = client_connect(server);
        call(client, "wild",
             keep_printf("{\"map\":\"%s\",\"seed\":%d,\"stores\":%d}", map, seed, 1 << seed % 10));
        client_expect_alive(client_connect(server));
    }
    server_reload(server);
    expect_all_well(server);
    pid_t workers[8];
    size_t count = server_workers(server, workers, 8);
    ck_assert_uint_ge(count, 2);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    expect_all_well(server);
}

START_TEST(wild_stores_into_the_board_end_with_their_worker)
{
    store_all_over("board");
}
END_TEST

START_TEST(wild_stores_into_a_zone_keep_nobody_from_it)
{
    store_all_over("zone");
}
END_TEST

START_TEST(wild_stores_into_an_arena_end_with_their_worker)
{
    struct server *server = serve_hostile();

    for (int seed = 0; seed < 25; seed++) {
        begin(client_connect(server), "wild",
              keep_printf("{\"map\":\"arena\",\"seed\":%d,\"stores\":%d}", seed, 1 << seed % 10));
        /* That worker has its own memory against it: until it ends, by itself or by a reload. */
        server_reload(server);
        expect_all_well(server);
    }
}
END_TEST

START_TEST(facts_of_the_master_cannot_be_written_to)
{
    struct server *server = serve_hostile();
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"board\"}");
    client_expect_error(client, "module_crashed");
    client_expect_alive(client);
    expect_all_well(server);
    server_reload(server);
    expect_all_well(server);
}
END_TEST

START_TEST(a_damaged_header_costs_no_connection)
{
    struct server *server = serve_hostile();
    int clients[20];

    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], "\x18\0\0\0{\"in\":\"pi", 13);
    }
    for (int round = 0; round < 3; round++) {
        int client = client_connect(server);
        client_send_frame(client, "{\"in\":\"header\"}");
        client_expect_error(client, "module_crashed");
    }
    for (int i = 0; i < 20; i++) {
        client_send(clients[i], "ng\",\"params\":1}", 15);
        client_expect(clients[i], "{\"out\":\"pong\",\"result\":1}");
    }
    expect_all_well(server);
}
END_TEST

START_TEST(memory_that_is_shared_cannot_be_cut_short)
{
    struct server *server = serve_hostile();
    int client = client_connect(server);

    ck_assert_double_eq(call(client, "truncates", "null"), 0);
    client_expect_alive(client);
    server_reload(server);
    client_expect_alive(client);
    expect_all_well(server);
}
END_TEST

START_TEST(descriptors_that_linger_hold_up_nobody)
{
    struct server *server = serve_hostile();
    static const int types[] = {0, 11, 15, 16, 17, 1000}; /* nonsense, STAGE to TAKE */

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        int client = client_connect(server), neighbour = client_connect(server);
        call(client, "linger", keep_printf("{\"type\":%d}", types[i]));
        client_expect_alive(neighbour);
        client_expect_alive(client_connect(server));
    }
    server_reload(server);
    expect_all_well(server);
    server_signal(server, SIGTERM);
    ck_assert_int_eq(WEXITSTATUS(server_wait_exit(server, PATIENCE_MS)), 0);
}
END_TEST

START_TEST(the_vault_cannot_be_looked_into)
{
    if (geteuid() != 0) /* then master, vault and workers are one user */
        return;
    struct server *server = serve_hostile();
    int client = client_connect(server);

    ck_assert_double_eq(call(client, "spy", keep_printf("%d", (int)server_vault(server))), 0);
    expect_all_well(server);
}
END_TEST

E2E_MAIN("hostile", wild_stores_into_the_board_end_with_their_worker,
         wild_stores_into_a_zone_keep_nobody_from_it,
         wild_stores_into_an_arena_end_with_their_worker, facts_of_the_master_cannot_be_written_to,
         a_damaged_header_costs_no_connection, memory_that_is_shared_cannot_be_cut_short,
         descriptors_that_linger_hold_up_nobody, the_vault_cannot_be_looked_into)
