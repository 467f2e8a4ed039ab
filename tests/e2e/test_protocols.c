/* Clients of several protocols on one port: lines, and messages as editors send them. */
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PONG "{\"out\":\"pong\",\"result\":null}"

static void exchange(int client, const char *data, size_t piece, const char *expected)
{
    client_exchange(client, data, strlen(data), piece, expected, strlen(expected));
}

START_TEST(lines_are_answered_by_lines)
{
    struct server *server = server_serve("", "method ping;");

    for (size_t piece = 1; piece < 40; piece++) {
        int client = client_connect(server);
        exchange(client, "{\"in\":\"ping\"}\n\r\n{\"in\":\"ping\",\"id\":7}\r\n", piece,
                 PONG "\n{\"out\":\"pong\",\"result\":null,\"id\":7}\n");
        exchange(client, "{\"in\":\"ping\"}\n", piece, PONG "\n");
        close(client);
    }
}
END_TEST

START_TEST(messages_with_a_length_in_a_header_are_answered_by_such)
{
    struct server *server = server_serve("", "method ping;");

    for (size_t piece = 1; piece < 70; piece++) {
        int client = client_connect(server);
        exchange(client,
                 "Content-Length: 13\r\n\r\n{\"in\":\"ping\"}"
                 "content-type: application/vscode-jsonrpc; charset=utf-8\r\n"
                 "content-length: 13\r\n\r\n{\"in\":\"ping\"}",
                 piece, "Content-Length: 28\r\n\r\n" PONG "Content-Length: 28\r\n\r\n" PONG);
        close(client);
    }
}
END_TEST

START_TEST(a_listener_of_one_protocol_guesses_nothing)
{
    static const char spaces[] = "                               ";
    int line = free_port(), frame = free_port();
    server_serve("", keep_printf("method ping; listen 127.0.0.1:%d protocol=line; "
                                 "listen 127.0.0.1:%d protocol=frame;",
                                 line, frame));

    /* The length of this frame is also the beginning of a line, and the other way round. */
    int client = client_try_connect(frame);
    client_send(client, "{}\n", 3);
    ck_assert(client_is_silent(client));
    client = client_try_connect(line);
    client_send(client, "\n\n\n{}\n", 6);
    client_finish(client);
    expect_part(client_receive_rest(client), "{\"out\":\"error\"");
    client = client_try_connect(frame);
    client_send(client, spaces, sizeof(spaces) - 1);
    expect_part(client_receive_rest(client), "this port speaks frames of JSON, not text");
}
END_TEST

START_TEST(bytes_that_are_no_message_are_refused_in_their_protocol)
{
    struct server *server = server_serve("", "method ping; max_frame 64; max_head 256;");
    int client = client_connect(server);
    char line[100];

    memset(line, ' ', sizeof(line));
    client_send(client, "{\"in\":\"ping\"}\n", 14);
    client_send(client, line, sizeof(line));
    expect_part(client_receive_rest(client), PONG
                "\n{\"out\":\"error\",\"result\":{\"code\":\"frame_too_large\",\"message\":\"");
    client = client_connect(server);
    client_send(client, "Content-Length: two\r\n\r\n{}", 25);
    expect_part(client_receive_rest(client),
                "\r\n\r\n{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"");
    client = client_connect(server);
    client_send(client, "{\"in\":\n{\"in\":\"ping\"}\n", 21);
    client_finish(client);
    const char *rest = client_receive_rest(client);
    expect_part(rest, "\"code\":\"parse_error\"");
    expect_part(rest, "}}\n" PONG "\n");
}
END_TEST

/* Ends the worker, and waits for the next one. */
static void replace_worker(struct server *server)
{
    pid_t worker;

    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    kill(worker, SIGKILL);
    server_wait_log(server, keep_printf("(pid %d) died", (int)worker));
}

/* The bytes come three at a time, and each time another worker has the connection. */
static void expect_to_outlive(const char *request, const char *reply)
{
    struct server *server = server_serve_alone("", "method ping;");
    int client = client_connect(server);
    size_t size = strlen(request);

    for (size_t at = 0; at < size; at += 3) {
        client_send(client, request + at, size - at < 3 ? size - at : 3);
        if (at % 2 == 0)
            replace_worker(server);
        else
            server_reload(server);
    }
    exchange(client, "", 0, reply);
}

START_TEST(lines_outlive_their_workers)
{
    expect_to_outlive("\n\n{\"in\":\"ping\",\"params\":[1,2],\"id\":\"a\"}\n",
                      "{\"out\":\"pong\",\"result\":[1,2],\"id\":\"a\"}\n");
}
END_TEST

START_TEST(messages_with_header_lines_outlive_their_workers)
{
    expect_to_outlive("Content-Length: 22\r\n\r\n{\"in\":\"ping\",\"id\":\"a\"}",
                      "Content-Length: 37\r\n\r\n{\"out\":\"pong\",\"result\":null,\"id\":\"a\"}");
}
END_TEST

E2E_MAIN("protocols", lines_are_answered_by_lines,
         messages_with_a_length_in_a_header_are_answered_by_such,
         a_listener_of_one_protocol_guesses_nothing,
         bytes_that_are_no_message_are_refused_in_their_protocol, lines_outlive_their_workers,
         messages_with_header_lines_outlive_their_workers)
