/* Clients that are not friends: those that never read, that hold on to what others need, that are
 * too many. Each is ended, told in the log by its address, and counted; healthy clients go on. */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Clients that do not read ---- */

#define NEVER_READERS 60
#define LARGE         200000u

/* A ping whose params are a string of `size` letters. */
static void add_ping(struct buffer *to, size_t size)
{
    char *letters = malloc(size + 1);

    ck_assert_ptr_nonnull(letters);
    memset(letters, 'x', size);
    letters[size] = '\0';
    buffer_add_frame(to, "{\"in\":\"ping\",\"params\":\"%s\"}", letters);
    free(letters);
}

/* Clients that send large requests for as long as the server takes any, and read nothing. */
static void send_and_never_read(const struct server *server, int *clients)
{
    struct buffer ping = {0};
    size_t sent[NEVER_READERS] = {0};
    const int small = 4096;

    add_ping(&ping, LARGE);
    for (int i = 0; i < NEVER_READERS; i++) {
        clients[i] = client_connect(server);
        setsockopt(clients[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    for (int still = 0; still < 20; still++) {
        for (int i = 0; i < NEVER_READERS; i++) {
            ssize_t put = send(clients[i], ping.data + sent[i], ping.size - sent[i], MSG_NOSIGNAL);
            if (put <= 0)
                continue;
            sent[i] = (sent[i] + (size_t)put) % ping.size;
            still = 0;
        }
        look_again();
    }
    free(ping.data);
}

/* Requests of every size are answered. */
static void expect_answers(const struct server *server)
{
    static const size_t sizes[] = {100, 1000, 20000, LARGE};
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct buffer ping = {0}, pong = {0};
        add_ping(&ping, sizes[i]);
        buffer_add_frame(&pong, "{\"out\":\"pong\",\"result\":%.*s}", (int)(sizes[i] + 2),
                         ping.data + 4 + strlen("{\"in\":\"ping\",\"params\":"));
        client_exchange(client, ping.data, ping.size, 0, pong.data, pong.size);
        free(ping.data);
        free(pong.data);
    }
    close(client);
}

/* They have all of the arena, and the block that is kept back for a reply that fits nowhere else:
 * for a minute (send_timeout), or for ever, if others did not need it. */
START_TEST(clients_that_never_read_do_not_keep_others_waiting)
{
    struct server *server = server_serve_alone("arena_size 32m;", "method ping;");
    int clients[NEVER_READERS];

    send_and_never_read(server, clients);
    expect_answers(server);
    expect_part(server_wait_log(server, "does not read its replies"), "the client 127.0.0.1:");
    ck_assert_double_gt(server_stat(server, "connections.ended.send_timeout"), 0);
    server_reload(server);
    expect_answers(server);
}
END_TEST

/* The same of messages that stop in the middle: large ones may have three quarters of the arena. */
START_TEST(clients_that_stop_in_a_large_message_do_not_keep_others_waiting)
{
    struct server *server = server_serve_alone("arena_size 64m;", "method ping; max_frame 4m;");
    struct buffer ping = {0};
    int clients[NEVER_READERS];

    add_ping(&ping, 1500000);
    for (int i = 0; i < NEVER_READERS; i++) {
        clients[i] = client_connect(server);
        if (!client_try_send(clients[i], ping.data, ping.size * 3 / 4))
            break; /* it was ended already */
    }
    free(ping.data);
    expect_answers(server);
    expect_part(server_wait_log(server, "does not send the rest of its message"),
                "the client 127.0.0.1:");
    ck_assert_double_gt(server_stat(server, "connections.ended.receive_timeout"), 0);
}
END_TEST

/* With room for all, a client that does not read is ended by its own time. */
START_TEST(a_client_that_never_reads_is_ended_by_send_timeout)
{
    struct server *server = server_serve_alone("", "method ping; send_timeout 300ms;");
    struct buffer pings = {0};
    int idle = client_connect(server), client = client_connect(server);
    const int small = 4096;

    setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 5; i++)
        add_ping(&pings, LARGE);
    client_try_send(client, pings.data, pings.size);
    free(pings.data);
    server_wait_log(server, "does not read its replies");
    ck_assert_double_eq(server_stat(server, "connections.ended.send_timeout"), 1);
    client_expect_alive(idle);
}
END_TEST

E2E_MAIN("unfriendly", clients_that_never_read_do_not_keep_others_waiting,
         clients_that_stop_in_a_large_message_do_not_keep_others_waiting,
         a_client_that_never_reads_is_ended_by_send_timeout)
