/* Clients that speak something else than frames of JSON: each is told so in words that it shows. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 60

static char *tell(int port, const void *bytes, size_t size)
{
    int client = client_try_connect(port);

    client_send(client, bytes, size);
    char *answer = client_receive_rest(client);
    close(client);
    return answer;
}

static int frames; /* a port at which nothing else is spoken */

static struct server *serve_frames(void)
{
    frames = free_port();
    return server_serve("",
                        keep_printf("method ping; listen 127.0.0.1:%d protocol=frame;", frames));
}

START_TEST(clients_of_other_protocols_are_told_the_servers_protocol)
{
    static const char spoken[] = "frame is a length (4 bytes, little-endian)";
    struct server *server = serve_frames();
    char *answer = tell(frames, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);

    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    expect_part(answer, "\r\n\r\nthis port speaks frames of JSON, not HTTP");
    expect_part(answer, spoken);
    answer = tell(frames, "POST /rpc HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{}", 48);
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    expect_part(tell(frames, "SSH-2.0-OpenSSH_9.2\r\n", 21), "not SSH");
    /* Hellos of TLS that announce a frame above, and below, max_frame. */
    expect_part(tell(frames, "\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 11), "not TLS");
    expect_part(tell(frames, "\x16\x03\x01\0\xf1\1\0\0\xed\3\3", 11), "not TLS");
    client_expect_alive(client_connect(server));
}
END_TEST

/* What a web page chooses freely of a request of HTTP is its body, and that may be lines. */
START_TEST(lines_behind_a_first_one_that_is_no_message_are_not_run)
{
    static const char *const first[] = {"POST / HTTP/1.1\r\n", "EHLO\n",
                                        "\x16\x03\x01\x02\x0a\1\n"};
    int lines = free_port();
    struct server *server =
        server_serve("", keep_printf("method ping; listen 127.0.0.1:%d protocol=line;", lines));

    for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
        const char *sent = keep_printf("%s\r\n{\"in\":\"ping\"}\n", first[i]);
        char *answer = tell(lines, sent, strlen(sent));
        expect_part(answer, "this port speaks lines of JSON, not ");
        ck_assert_ptr_null(strstr(answer, "pong"));
    }
    server_wait_log(server, keep_printf("speaks HTTP at 127.0.0.1:%d, where lines of JSON", lines));
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"rpc.stats\"}");
    expect_part(client_receive(client, NULL), "\"ping\":{\"calls\":0,");
}
END_TEST

START_TEST(a_hello_of_tls_that_comes_byte_by_byte_is_refused)
{
    static const char hello[] = "\x16\x03\x01\0\xf1\1\0\0\xed\3\3";
    struct server *server = server_serve("", "method ping; max_frame 128m;");
    int client = client_connect(server);

    for (size_t i = 0; i < 6; i++) {
        ck_assert(client_is_silent(client));
        client_send(client, hello + i, 1);
        look_again();
    }
    expect_part(client_receive_rest(client), "not TLS");
}
END_TEST

START_TEST(a_length_the_wrong_way_round_is_told_in_a_frame)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    client_send(client, "\0\0\0\x0f{\"in\": \"ping\" }", 19);
    expect_part(client_expect_error(client, "frame_too_large"), "must be little-endian");
    client_expect_end(client);
}
END_TEST

/* Who has spoken the protocol before speaks it still, and understands a reply. */
START_TEST(text_after_a_frame_is_a_frame_too_large)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"ping\"}");
    client_send(client, "GET / HTTP/1.1\r\n", 16);
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    client_expect_error(client, "frame_too_large");
    client_expect_end(client);
}
END_TEST

START_TEST(the_log_tells_of_strangers_and_is_not_filled_by_them)
{
    struct server *server = serve_frames();
    int lines = 0;

    for (int i = 0; i < MANY; i++)
        tell(frames, "GET / HTTP/1.1\r\n\r\n", 18);
    server_wait_log(server,
                    keep_printf("speaks HTTP at 127.0.0.1:%d, where frames of JSON are", frames));
    for (const char *at = server_log(server); (at = strstr(at, "speaks HTTP")) != NULL; at++)
        lines++;
    ck_assert_int_lt(lines, MANY / 4); /* one for each worker, on a quick machine */
}
END_TEST

E2E_MAIN("strangers", clients_of_other_protocols_are_told_the_servers_protocol,
         lines_behind_a_first_one_that_is_no_message_are_not_run,
         a_hello_of_tls_that_comes_byte_by_byte_is_refused,
         a_length_the_wrong_way_round_is_told_in_a_frame, text_after_a_frame_is_a_frame_too_large,
         the_log_tells_of_strangers_and_is_not_filled_by_them)
