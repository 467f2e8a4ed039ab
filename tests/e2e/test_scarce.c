/* Workers that run out of something: memory for replies, descriptors. No client loses its
 * connection by that, and none is kept waiting. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct server *serve_scarce(const char *main_text)
{
    struct server *server =
        server_serve_alone(keep_printf("load_module modules/scarce.so;\n%s", main_text),
                           "max_frame 256k; max_output 64m; method ping; method scarce; method "
                           "plenty; method offloaded; "
                           "method files; method rpc.health;");

    server->reports_allowed = true; /* some methods end their worker */
    return server;
}

#ifndef __SANITIZE_ADDRESS__ /* which takes its memory as it likes */

static void expect_lack(int client, const char *id)
{
    const char *body = client_receive(client, NULL);

    expect_part(body,
                "{\"out\":\"error\",\"result\":{\"code\":\"internal_error\",\"message\":\"out "
                "of memory for a reply of ");
    expect_part(body, keep_printf("\"id\":%s}", id));
}

START_TEST(a_deferred_reply_without_memory_costs_an_error)
{
    struct server *server = serve_scarce("");
    int client = client_connect(server), neighbour = client_connect(server);
    pid_t before[2], after[2];

    client_expect_alive(neighbour);
    ck_assert_uint_eq(server_workers(server, before, 2), 1);
    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"offloaded\",\"id\":7}");
        expect_lack(client, "7");
        client_expect_alive(client);
    }
    client_expect_alive(neighbour);
    ck_assert_double_eq(server_calls(server, "offloaded", "errors"), 3);
    ck_assert_uint_eq(server_workers(server, after, 2), 1);
    ck_assert_int_eq(before[0], after[0]);
    server_wait_log(server, "module scarce: out of memory for a reply of ");
}
END_TEST

enum { FULL = 8, EACH = 20 }; /* clients whose replies fill the arena, and how many each has */

/* Fills the arena with replies that nobody reads. */
static void fill(struct server *server, int *clients)
{
    for (int i = 0; i < FULL; i++) {
        clients[i] = client_connect(server);
        for (int n = 0; n < EACH; n++)
            client_send_frame(clients[i], "{\"in\":\"plenty\"}");
    }
    wait_until(server_stat(server, "connections.paused_arena") >= FULL, "the arena is not full");
}

/* In turn, and beside a request of its connection that is under way. */
START_TEST(a_reply_that_waits_for_room_without_memory_costs_an_error)
{
    struct server *server = serve_scarce("arena_size 4m;");
    int clients[FULL], client = client_connect(server), beside = client_connect(server);

    client_expect_alive(client);
    fill(server, clients);
    client_send_frame(client, "{\"in\":\"scarce\",\"id\":1}");
    client_send_frame(beside, "{\"in\":\"offloaded\",\"id\":2}");
    client_send_frame(beside, "{\"in\":\"scarce\",\"id\":3}");
    wait_until(server_calls(server, "scarce", "errors") == 2 &&
                   server_calls(server, "offloaded", "errors") == 1,
               "they are not answered while the arena is full");
    for (int i = 0; i < FULL; i++)
        close(clients[i]);
    expect_lack(client, "1");
    const cJSON *two = client_receive_json(beside), *three = client_receive_json(beside);
    for (int i = 0; i < 2; i++) {
        const cJSON *result = cJSON_GetObjectItem(i == 0 ? two : three, "result");
        ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(result, "code")),
                         "internal_error");
    }
    client_expect_alive(client);
    client_expect_alive(beside);
}
END_TEST

#endif

/* ---- Descriptors ---- */

static const int limits[] = {0, 8}; /* so low that poll(2) fails too, and that accept(2) does */

/* Clients that come after the limit is `limit`, a soft and a hard one, are served as others. */
static void expect_served_below(struct server *server, const char *limit)
{
    int client = client_connect(server), other = client_connect(server);

    client_expect_alive(other);
    client_send_frame(client, keep_printf("{\"in\":\"files\",\"params\":%s}", limit));
    client_expect(client, "{\"out\":\"files\",\"result\":true}");
    for (int i = 0; i < 20; i++)
        client_expect_alive(client_connect(server));
    client_expect_alive(client);
    client_expect_alive(other);
    ck_assert(!server_logged(server, "died"));
}

START_TEST(a_lowered_limit_on_open_files_keeps_no_client_waiting)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct server *server = serve_scarce("");
        pid_t before[2], after[2];
        ck_assert_uint_eq(server_workers(server, before, 2), 1);
        expect_served_below(server, keep_printf("[%d,-1]", limits[i]));
        server_wait_log(server, keep_printf("to %d: it is set again", limits[i]));
        ck_assert_uint_eq(server_workers(server, after, 2), 1);
        ck_assert_int_eq(before[0], after[0]);
    }
}
END_TEST

START_TEST(a_worker_that_may_open_no_more_files_is_replaced)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct server *server = serve_scarce("");
        pid_t before[2], after[2];
        ck_assert_uint_eq(server_workers(server, before, 2), 1);
        expect_served_below(server, keep_printf("[%d,%d]", limits[i], limits[i]));
        server_wait_log(server, "may open no more files: another one takes its place");
        wait_until(server_workers(server, after, 2) == 1 && before[0] != after[0],
                   "the worker is not replaced");
    }
}
END_TEST

E2E_MAIN("scarce", a_lowered_limit_on_open_files_keeps_no_client_waiting,
         a_worker_that_may_open_no_more_files_is_replaced,
#ifndef __SANITIZE_ADDRESS__
         a_deferred_reply_without_memory_costs_an_error,
         a_reply_that_waits_for_room_without_memory_costs_an_error,
#endif
)
