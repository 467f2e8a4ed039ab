/* Clients that are not friends: those that never read, that hold on to what others need, that are
 * too many. Each is ended, told in the log by its address, and counted; healthy clients go on. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
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

/* ---- Addresses ---- */

/* It ends without a byte: by a FIN, or by a reset if a byte of the client's had come. */
static void expect_closed(int client)
{
    wait_until(client_is_closed(client), "the connection stays");
    close(client);
}

static bool is_served(int client)
{
    static const char ping[] = "{\"in\":\"ping\"}";

    client_send_frame(client, ping);
    wait_until(client_is_closed(client) || !client_is_silent(client), "no answer");
    return !client_is_closed(client) &&
           strcmp(client_receive(client, NULL), "{\"out\":\"pong\",\"result\":null}") == 0;
}

START_TEST(the_first_rule_about_an_address_decides)
{
    char *path;
    struct server *server = server_new();
    server_conf(server, "",
                "method ping; listen unix:run/socket; allow 127.0.0.3 127.0.0.1; "
                "deny 127.0.0.0/30; allow 127.0.0.2; deny 127.0.0.9 10.0.0.0/8;");
    server_start(server);
    path = server_path(server, "run/socket");

    expect_closed(client_connect_from("127.0.0.2", server->port));
    expect_closed(client_connect_from("127.0.0.9", server->port));
    client_expect_alive(client_connect_from("127.0.0.3", server->port));
    client_expect_alive(client_connect_from("127.0.0.4", server->port));
    expect_part(server_wait_log(server, "may not connect (deny)"), "the client 127.0.0.2:");
    ck_assert_double_eq(server_stat(server, "connections.ended.deny"), 2);
    /* sockets of the file system are only denied by their own word; who is there stays */
    int there = client_connect_from("127.0.0.3", server->port);
    client_expect_alive(there);
    server_conf(server, "", "method ping; listen unix:run/socket; allow 127.0.0.1; deny all;");
    server_reload(server);
    expect_closed(client_connect_from("127.0.0.3", server->port));
    client_expect_alive(there);
    client_expect_alive(client_connect_unix(path));
    server_conf(server, "", "method ping; listen unix:run/socket; deny unix:;");
    server_reload(server);
    expect_closed(client_connect_unix(path));
    client_expect_alive(client_connect_from("127.0.0.2", server->port));
}
END_TEST

static void expect_limited(int client)
{
    client_send_frame(client, "{\"in\":\"ping\"}");
    expect_part(client_expect_error(client, "limited"), "(limit_conn)");
    expect_closed(client);
}

/* In all workers together, whichever have the connections; and no count is left of them. */
START_TEST(an_address_has_no_more_connections_than_it_may)
{
    struct server *server = server_serve("", "method ping; limit_conn 3;");
    int clients[3];
    pid_t workers[4];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            clients[i] = -1;
            wait_until(
                clients[i] >= 0 ||
                    (is_served(clients[i] = client_connect_from("127.0.0.2", server->port)) ||
                     (close(clients[i]), clients[i] = -1, false)),
                "there is no room for the client");
        }
        expect_limited(client_connect_from("127.0.0.2", server->port));
        client_expect_alive(client_connect_from("127.0.0.3", server->port));
        if (round == 0) {
            server_reload(server);
        } else if (round == 1) {
            size_t count = server_workers(server, workers, 4);
            for (size_t i = 0; i < count; i++)
                kill(workers[i], SIGKILL);
        }
        for (int i = 0; i < 3; i++)
            client_expect_alive(clients[i]); /* it was taken over, and is counted */
        expect_limited(client_connect_from("127.0.0.2", server->port));
        for (int i = 0; i < 3; i++)
            close(clients[i]);
    }
    expect_part(server_wait_log(server, "(limit_conn)"), "the client 127.0.0.2:");
    ck_assert_double_ge(server_stat(server, "connections.ended.limit_conn"), 6);
}
END_TEST

START_TEST(one_too_many_is_told_in_its_protocol)
{
    struct server *server = server_serve_alone("", "method ping; limit_conn 1;");
    const char *get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int first = client_connect_from("127.0.0.2", server->port);

    client_expect_alive(first);
    int http = client_connect_from("127.0.0.2", server->port),
        line = client_connect_from("127.0.0.2", server->port),
        silent = client_connect_from("127.0.0.2", server->port);
    client_send(http, get, strlen(get));
    const char *response = client_receive_rest(http);
    ck_assert_int_eq(strncmp(response, "HTTP/1.1 429 Too Many Requests\r\n", 32), 0);
    expect_part(response, "\r\nConnection: close\r\n");
    expect_part(response, "\r\nRetry-After: 1\r\n");
    expect_part(response, "{\"code\":\"limited\"");
    client_send(line, "{\"in\":\"ping\"}\n", 14);
    ck_assert_int_eq(strncmp(client_receive_rest(line), "{\"out\":\"error\",", 15), 0);
    client_expect_error(silent, "limited"); /* in a frame, when it has said nothing */
    expect_closed(silent);
    client_expect_alive(first);
}
END_TEST

START_TEST(an_address_comes_no_more_often_than_it_may)
{
    struct server *server = server_serve("", "method ping; limit_conn 100 rate=3/m;");
    unsigned served = 0;

    /* a minute may end in between */
    for (int i = 0; i < 8; i++)
        served += is_served(client_connect_from("127.0.0.2", server->port));
    ck_assert_uint_ge(served, 3);
    ck_assert_uint_le(served, 6);
    client_expect_alive(client_connect_from("127.0.0.3", server->port));
    server_wait_log(server, "(limit_conn, rate)");
    ck_assert_double_eq(server_stat(server, "connections.ended.limit_conn_rate"), 8 - served);
}
END_TEST

/* The client is known by its header, then. */
START_TEST(limits_are_about_the_client_that_a_balancer_tells)
{
    struct server *server = server_new();
    char *path = server_path(server, "run/balanced");
    server_conf(server, "",
                "method ping; listen unix:run/balanced proxy_protocol; deny 192.0.2.9; "
                "limit_conn 1;");
    server_start(server);
    const char *headers[] = {"PROXY TCP4 192.0.2.9 192.0.2.1 1000 80\r\n",
                             "PROXY TCP4 192.0.2.7 192.0.2.1 1001 80\r\n",
                             "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1002 80\r\n",
                             "PROXY TCP6 2001:db8::7 2001:db8::1 1003 80\r\n",
                             "PROXY TCP6 2001:db8::8 2001:db8::1 1004 80\r\n"};
    int clients[5];

    for (int i = 0; i < 5; i++) {
        clients[i] = client_connect_unix(path);
        client_send(clients[i], headers[i], strlen(headers[i]));
        if (i % 2 == 1)
            client_expect_alive(clients[i]);
        else
            expect_closed(clients[i]);
    }
    server_reload(server);
    client_expect_alive(clients[1]);
    int again = client_connect_unix(path);
    client_send(again, headers[1], strlen(headers[1]));
    expect_closed(again);
}
END_TEST

/* ---- Requests of a connection ---- */

START_TEST(a_connection_ends_with_its_last_request)
{
    struct server *server = server_serve_alone("", "method ping; keepalive_requests 3;");
    const char *post = "POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n7";
    int frames = client_connect_from("127.0.0.2", server->port),
        http = client_connect_from("127.0.0.2", server->port);

    for (int i = 0; i < 3; i++)
        ck_assert(is_served(frames));
    client_expect_end(frames);
    for (int i = 0; i < 3; i++)
        client_send(http, post, strlen(post));
    const char *responses = client_receive_rest(http);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(strncmp(responses, "HTTP/1.1 200 OK\r\n", 17), 0);
        const char *end = strstr(responses, "\r\n\r\n7");
        ck_assert_ptr_nonnull(end);
        ck_assert(memmem(responses, (size_t)(end - responses), "close", 5) == NULL);
        responses = end + 5;
    }
    expect_part(responses, "\r\nConnection: close\r\n");
    expect_part(responses, "\r\n\r\n7");
    wait_until(server_stat(server, "connections.ended.keepalive_requests") >= 1,
               "it is not counted");
}
END_TEST

/* ---- The log ---- */

/* A client that sends this, if anything, and is disconnected. */
static void provoke(int client, const char *bytes)
{
    if (bytes != NULL)
        client_try_send(client, bytes, strlen(bytes));
    client_finish(client);
    wait_until(client_is_closed(client) || !client_is_silent(client), "nothing happens");
    close(client);
}

/* Of each kind of line that a client can cause, however often: refused addresses, one too many,
 * strangers, wrong PROXY headers, what is no message. */
START_TEST(clients_cannot_fill_the_log)
{
    struct server *server = server_new();
    char *path = server_path(server, "run/balanced"), *other = server_path(server, "run/other");
    server_conf(server, "",
                "method ping; deny 127.0.0.2; limit_conn 3; listen unix:run/other protocol=frame; "
                "listen unix:run/balanced proxy_protocol;");
    server_start(server);
    for (int i = 0; i < 3; i++)
        client_expect_alive(client_connect_from("127.0.0.3", server->port));
    for (int i = 0; i < 50; i++) {
        expect_closed(client_connect_from("127.0.0.2", server->port));
        provoke(client_connect_from("127.0.0.3", server->port), "{\"in\":\"ping\"}\n");
        provoke(client_connect_unix(other), "SSH-2.0-OpenSSH_9.2\r\n");
        provoke(client_connect_unix(other), "GET / HTTP/1.1\r\n\r\n");
        provoke(client_connect_unix(path), "GET / HTTP/1.1\r\n\r\n");
        provoke(client_connect_unix(path), "PROXY TCP4 127.0.0.2 127.0.0.1 1 2\r\n");
    }
    size_t lines = 0;
    for (const char *at = server_log(server); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    ck_assert_uint_lt(lines, 150); /* of 300, and ten of a kind in each of two workers */
    ck_assert_double_eq(server_stat(server, "connections.ended.deny"), 100);
}
END_TEST

E2E_MAIN("unfriendly", clients_that_never_read_do_not_keep_others_waiting,
         clients_that_stop_in_a_large_message_do_not_keep_others_waiting,
         a_client_that_never_reads_is_ended_by_send_timeout,
         the_first_rule_about_an_address_decides, an_address_has_no_more_connections_than_it_may,
         one_too_many_is_told_in_its_protocol, an_address_comes_no_more_often_than_it_may,
         limits_are_about_the_client_that_a_balancer_tells, a_connection_ends_with_its_last_request,
         clients_cannot_fill_the_log)
