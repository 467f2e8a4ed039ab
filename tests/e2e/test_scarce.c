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

E2E_MAIN("scarce",
#ifndef __SANITIZE_ADDRESS__
         a_deferred_reply_without_memory_costs_an_error,
         a_reply_that_waits_for_room_without_memory_costs_an_error,
#endif
)
