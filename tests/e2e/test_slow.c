/* Clients that begin a message and stop, or send it by drops: they are told, in their protocol, and
 * their connection ends by `receive_timeout`; those that only wait go on. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: localhost\r\n"

#define LSP  "Content-Length: 226\r\n\r\n{\"jsonrpc\":\"2.0\",\"error\":{\"code\":40800,"
#define LATE "did not arrive within 300 ms (receive_timeout)"

static struct server *serve(void)
{
    return server_serve_alone("load_module modules/later.so;",
                              "receive_timeout 300ms; method ping; method wait;");
}

/* A client that sends the beginning of a message. */
static int begin(const struct server *server, const char *bytes, size_t size)
{
    int client = client_connect(server);

    client_send(client, bytes, size);
    return client;
}

START_TEST(a_request_of_http_that_stops_is_told_408)
{
    static const char *const beginnings[] = {
        "POST",
        "POST /ping HTTP/1.1\r\n" HOST "Content-Le",
        "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n",
        "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n[1",
        "POST /ping HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n[1",
        "POST /ping HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n",
        "POST /ping HTTP/1.0\r\nContent-Length: 4\r\n\r\n",
    };
    const char *behind =
        "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
        "POST /ping HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    const size_t count = sizeof(beginnings) / sizeof(*beginnings);
    struct server *server = serve();
    int clients[sizeof(beginnings) / sizeof(*beginnings)];

    for (size_t i = 0; i < count; i++)
        clients[i] = begin(server, beginnings[i], strlen(beginnings[i]));
    for (size_t i = 0; i < count; i++) {
        const char *response = client_receive_rest(clients[i]);
        ck_assert_msg(strncmp(response, "HTTP/1.1 408 Request Timeout\r\n", 30) == 0, "%zu: %s", i,
                      response);
        expect_part(response, "\r\nConnection: close\r\n");
        expect_part(response, "\r\n\r\n{\"code\":\"request_timeout\",\"message\":\"");
        expect_part(response, LATE);
    }
    /* also behind others, and after the word that the client has waited for */
    const char *response = client_receive_rest(begin(server, behind, strlen(behind)));
    ck_assert_int_eq(strncmp(response, "HTTP/1.1 200 OK\r\n", 17), 0);
    expect_part(response, "\r\n\r\n1HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 Request Timeout\r\n");
}
END_TEST

START_TEST(other_messages_that_stop_are_told_so_in_their_protocol)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *start; /* of the answer */
    } beginnings[] = {
        {"\x10\0\0\0{\"in\"", 9, "{\"out\":\"error\",\"result\":{\"code\":\"request_timeout\""},
        {"\x10\0\0\0", 4, "{\"out\":\"error\""},
        {"\x10", 1, "{\"out\":\"error\""}, /* nobody can tell what this will be */
        {"{\"in\":", 6, "{\"out\":\"error\",\"result\":{\"code\":\"request_timeout\""},
        {"Content-Length: 1", 17, LSP},
        {"Content-Length: 9\r\n\r\n{", 22, LSP},
    };
    const size_t count = sizeof(beginnings) / sizeof(*beginnings);
    struct server *server = serve();
    int clients[sizeof(beginnings) / sizeof(*beginnings)];

    for (size_t i = 0; i < count; i++)
        clients[i] = begin(server, beginnings[i].bytes, beginnings[i].size);
    for (size_t i = 0; i < count; i++) {
        const char *answer = client_receive_rest(clients[i]);
        answer += beginnings[i].bytes[0] == 0x10 ? 4 : 0; /* its length */
        ck_assert_msg(strncmp(answer, beginnings[i].start, strlen(beginnings[i].start)) == 0,
                      "%zu: %s", i, answer);
        expect_part(answer, LATE);
    }
}
END_TEST

/* It is the whole message that has to come in time. */
START_TEST(a_message_that_drips_is_no_better)
{
    static const char request[] = "POST /ping HTTP/1.1\r\n" HOST;
    struct server *server = serve();
    int client = client_connect(server);
    int64_t deadline = deadline_in(PATIENCE_MS);

    client_send(client, request, sizeof(request) - 1);
    while (client_try_send(client, "X: y\r\n", 6) && client_is_silent(client)) {
        ck_assert_msg(!deadline_over(deadline), "it may drip for ever");
        look_again();
    }
    ck_assert_int_eq(strncmp(client_receive_rest(client), "HTTP/1.1 408", 12), 0);
    close(client);
}
END_TEST

/* Receives until `part` has come, whatever comes before it. */
static void expect_until(int client, const char *part)
{
    struct buffer got = {0};
    int64_t deadline = deadline_in(PATIENCE_MS);
    char piece[4096];

    do {
        ssize_t size = recv(client, piece, sizeof(piece), 0);
        if (size > 0)
            buffer_add(&got, piece, (size_t)size);
        else
            look_again();
        ck_assert_msg(!deadline_over(deadline), "\"%s\" does not come", part);
    } while (got.size == 0 || memmem(got.data, got.size, part, strlen(part)) == NULL);
    free(got.data);
}

/* No message has begun, or it is the server that is waited for: for longer than receive_timeout. */
START_TEST(a_client_that_waits_is_not_late)
{
    struct server *server = serve();
    int idle = client_connect(server), kept = client_connect(server),
        waiting = client_connect(server);
    const char *request = "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1";
    const char *two = "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n2500"
                      "POST /ping HTTP/1.1\r\n" HOST;

    client_send(kept, request, strlen(request));
    expect_until(kept, "\r\n\r\n1");
    /* a part of a request behind one that is deferred */
    client_send(waiting, two, strlen(two));
    expect_until(waiting, "\r\n\r\n2500");
    client_expect_alive(idle);
    client_send(kept, request, strlen(request));
    expect_until(kept, "\r\n\r\n1");
    /* only now is that client waited for */
    expect_part(client_receive_rest(waiting), "HTTP/1.1 408");
}
END_TEST

/* It has come in time, while the worker was busy with another one. */
START_TEST(a_message_that_waits_in_the_socket_is_not_late)
{
    struct server *server = server_serve_alone("load_module modules/crash.so; handler_timeout 60s;",
                                               "receive_timeout 3s; method sleep;");
    int unread = client_connect(server), blocking = client_connect(server);

    client_send(unread, "\x02\0\0\0{", 5);
    client_send_frame(blocking, "{\"in\":\"sleep\",\"params\":5000}");
    client_send(unread, "}", 1);
    client_expect_error(unread, "invalid_request");
}
END_TEST

/* What was there before a reload goes on after it, and in a new worker's time. */
START_TEST(a_late_message_outlives_reloads_and_is_told_then)
{
    struct server *server = serve();
    int client = client_connect(server);

    client_send(client, "{\"in\":\"pi", 9);
    server_reload(server);
    client_send(client, "ng\"", 3);
    expect_part(client_receive_rest(client), LATE);
    close(client);
}
END_TEST

E2E_MAIN("slow", a_request_of_http_that_stops_is_told_408,
         other_messages_that_stop_are_told_so_in_their_protocol, a_message_that_drips_is_no_better,
         a_client_that_waits_is_not_late, a_message_that_waits_in_the_socket_is_not_late,
         a_late_message_outlives_reloads_and_is_told_then)
