/* What `pillion call` and `pillion bench` say of servers that do not answer as a Pillion server
 * does, and of input and output that are of no use. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define USAGE     64
#define NO_SERVER 2

struct bytes_sent {
    const char *data;
    size_t size;
};
#define SENT(text)                \
    {                             \
        (text), sizeof(text) - 1u \
    }

/* A server that waits for some bytes of each client, sends these, and ends its side; it reads on,
 * so that the connection ends in order. */
static char *serve_bytes(struct bytes_sent sent)
{
    char request[4096], *address;
    int listener = listen_anywhere(&address);

    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int client = accept(listener, NULL, NULL);
            if (read(client, request, sizeof(request)) > 0 &&
                write(client, sent.data, sent.size) == (ssize_t)sent.size)
                shutdown(client, SHUT_WR);
            while (read(client, request, sizeof(request)) > 0)
                ;
            close(client);
        }
    }
    close(listener);
    return address;
}

#define HTTP_TEXT(status, text) \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" text

static const struct {
    const char *protocol;
    struct bytes_sent sent;
    const char *message;
} strange[] = {
    {"frame", SENT(""),
     " closed the connection before it answered; does it speak frames of JSON, without TLS?\n"},
    {"http", SENT(""), "; does it speak requests of HTTP, without TLS?\n"},
    {"frame", SENT("\x64\0\0\0{\"out\":"),
     " closed the connection after 11 of the 104 bytes of its reply\n"},
    {"frame", SENT("\5\0\0\0hello"), " sent a reply that is not JSON; it says \"hello\"\n"},
    {"frame", SENT("\0\0\0\0"), " sent a reply that is not JSON\n"},
    {"frame", SENT("SSH-2.0-Open\x1b[2JSSH\r\n"),
     " announces a reply of 759714643 bytes, which no Pillion server sends\n"},
    {"frame", SENT("220 mail.example ESMTP\r\nmore"), "; it says \"220 mail.example ESMTP\"\n"},
    {"frame", SENT(HTTP_TEXT("502 Bad Gateway", "")), "; it says \"HTTP/1.1 502 Bad Gateway\"\n"},
    {"line", SENT("{\"out\":\"pong\""),
     " closed the connection before its reply was whole; it says \"{\"out\":\"pong\"\"\n"},
    {"line", SENT("-ERR unknown command\r\n"), "; it says \"-ERR unknown command\"\n"},
    {"line", SENT("{\"a\":1}\n"), " without \"out\" or \"result\"; it says \"{\"a\":1}\"\n"},
    {"line", SENT("\x15\x03\x03\0\x02\x02\x28"),
     " closed the connection before its reply was whole; it speaks TLS\n"},
    {"lsp", SENT("\x18\0\0\0{\"out\":\"x\",\"result\":null}"), "; it speaks frames\n"},
    {"lsp", SENT("Content-Type: x\r\n\r\n{}"),
     "there is no Content-Length before the empty line; it says \"Content-Type: x\"\n"},
    {"http", SENT("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
     " closed the connection after 41 of the 140 bytes of its reply\n"},
    {"http", SENT(HTTP_TEXT("400 Bad Request", "this is a port of TLS\n")),
     " answered with HTTP's status 400, and no JSON; it says \"this is a port of TLS\"\n"},
    {"http", SENT(HTTP_TEXT("502 Bad Gateway", "<html>\n")),
     " answered with HTTP's status 502, and no JSON\n"},
    {"http", SENT("HTTP/1.1 200 OK\r\n\r\n{}"),
     "cannot be read: it has no Content-Length; it says "},
    {"http",
     SENT("HTTP/1.1 413 Content Too Large\r\nContent-Length: 36\r\n\r\n"
          "{\"code\":\"too_large\",\"message\":\"No.\"}\n"),
     "too_large: No.\n"},
};

START_TEST(a_call_tells_what_the_server_has_said)
{
    for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
        char *address = serve_bytes(strange[i].sent);
        struct run run =
            pillion("call", "--server", address, "--protocol", strange[i].protocol, "ping");
        expect_status(&run, strstr(strange[i].message, "too_large") != NULL ? 1 : NO_SERVER);
        expect_text(run.out, "");
        expect_part(run.err, strange[i].message);
    }
}
END_TEST

/* Whatever comes quickly looks like a fast server to whoever only counts. */
START_TEST(a_load_counts_nothing_that_is_no_reply)
{
    static const char zero[] = "\"requests\":\t0,";

    for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
        if (strstr(strange[i].message, "without") != NULL)
            continue; /* an object: no load looks into it */
        char *address = serve_bytes(strange[i].sent);
        struct run run = pillion("bench", "--server", address, "--protocol", strange[i].protocol,
                                 "--json", "-d", "5", "ping");
        expect_status(&run, 1);
        expect_part(run.err, "1 of 1 connections ended early: ");
        if (strstr(strange[i].message, "too_large") == NULL) {
            expect_part(run.out, zero);
            continue;
        }
        expect_part(run.out, "\"too_large\":\t1\n");
        expect_part(run.err, "1 of 1 replies are errors; the first: too_large: No.\n");
    }
    struct run run = pillion("bench", "--server",
                             serve_bytes((struct bytes_sent)SENT("-ERR unknown\r\n-ERR\r\n")),
                             "--protocol", "line", "ping");
    expect_part(run.out, "  0 replies in ");
    expect_part(run.err, " sent a reply that cannot be read; it says \"-ERR unknown\"\n");
}
END_TEST

/* A server answers over HTTP without a message's form what it cannot take as a message. */
START_TEST(what_a_server_refuses_over_http_is_shown)
{
    struct server *server = server_serve("", "method ping; max_frame 1k;");
    char *large = keep_printf("\"%01100d\"", 0);
    char *url = keep_printf("http://127.0.0.1:%d", server->port);

    struct run run = pillion("call", "--http", url, "ping", large);
    expect_status(&run, 1);
    expect_part(run.err, "frame_too_large: ");
    run = pillion("call", "--http", url, "--jsonrpc", "ping", keep_printf("[%s]", large));
    expect_status(&run, 1);
    expect_part(run.err, "frame_too_large: ");
    run = pillion("call", "--http", keep_printf("%s/nix", url), "ping");
    expect_status(&run, 1);
    expect_part(run.err, "method_not_found: there is no method \"nix\" here\n");
    run = pillion("call", "--http", keep_printf("%s/ping", url), "ping");
    expect_status(&run, NO_SERVER);
    expect_part(run.err, "without \"out\" or \"result\"; it says \"{\"in\": \"ping\"");
    run = pillion("bench", "--http", url, "-d", "5", "ping", large);
    expect_status(&run, 1);
    expect_part(run.out, "\n  frame_too_large  ");
}
END_TEST

/* Whatever is spoken there is told at once, and not waited for. */
START_TEST(listeners_of_one_protocol_tell_which)
{
    static const char *const names[] = {"frame", "line", "lsp", "http"},
                             *const spoken[] = {"frames of JSON, not ", "lines of JSON, not ",
                                                "messages with Content-Length, not ",
                                                "requests of HTTP, not "};
    const size_t count = sizeof(names) / sizeof(*names);
    int ports[4];
    struct buffer listens = {0};

    for (size_t i = 0; i < count; i++) {
        ports[i] = free_port();
        char *listen = keep_printf(" listen 127.0.0.1:%d protocol=%s;", ports[i], names[i]);
        buffer_add(&listens, listen, strlen(listen));
    }
    buffer_add(&listens, "", 1);
    server_serve("", keep_printf("method ping;%s", (char *)keep(listens.data)));
    for (size_t i = 0; i < count * count; i++) {
        const char *here = names[i / count], *speaks = names[i % count];
        struct run run = pillion("call", "--server", keep_printf("127.0.0.1:%d", ports[i / count]),
                                 "--protocol", speaks, "ping", "[1]");
        if (here == speaks) {
            expect_text(run.out, "[1]\n");
        } else if (strcmp(here, "http") == 0 && strcmp(speaks, "lsp") == 0) {
            expect_part(run.err, "it says \"HTTP/1.1 400 Bad Request\""); /* lines with a colon */
        } else {
            expect_part(run.err, keep_printf("this port speaks %s", spoken[i / count]));
        }
    }
}
END_TEST

START_TEST(params_of_a_file_are_told_with_its_name)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "/params: PARAMS is not JSON: the text is empty, at byte 0\n"},
        {"[1,2\n\n", "/params: PARAMS is not JSON: the text ends before its value does, at byte 6\n"
                     "    [1,2\n"
                     "        ^\n"},
        {"{\n \"a\": 1,\n \"b\": [1 \n", "\n     \"b\": [1\n            ^\n"},
        {"\x89PNG\r\n", "/params: PARAMS is not JSON: this is not the start of a value"},
    };
    struct server *server = server_new();

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char *path = server_path(server, "params");
        file_write(path, wrong[i].text, strlen(wrong[i].text));
        struct run run = pillion("call", "ping", keep_printf("@%s", path));
        expect_status(&run, USAGE);
        expect_part(run.err, wrong[i].message);
        ck_assert_ptr_null(strstr(run.err, "needs quotes"));
    }
    struct run run = pillion("call", "ping", "-d", "@");
    expect_status(&run, USAGE);
    expect_part(run.err, "@ needs a FILE behind it");
}
END_TEST

START_TEST(a_bad_address_is_told_with_its_option)
{
    struct run run = pillion("call", "--http", "http://127.0.0.1:99999/", "ping");
    expect_status(&run, USAGE);
    expect_part(run.err, "--http takes http://HOST:PORT: \"127.0.0.1:99999\": the port must be");
    run = pillion("bench", "--server", "", "ping");
    expect_status(&run, USAGE);
    expect_part(run.err, "--server takes HOST, HOST:PORT, tls:HOST:PORT or unix:PATH, not \"\"");
    struct server *server = server_serve("", "method ping;");
    run = pillion("call", "--http", keep_printf("HTTP://127.0.0.1:%d", server->port), "ping", "3");
    expect_text(run.out, "3\n");
}
END_TEST

START_TEST(closed_input_and_output_are_errors)
{
    static const struct {
        const char *script, *message;
        int status;
    } rows[] = {
        {"\"$0\" call --server \"$1\" ping 1 >&-", "cannot write to standard output", 1},
        {"\"$0\" list --server \"$1\" >&-", "cannot write to standard output", 1},
        {"\"$0\" bench -d 0.01 --server \"$1\" ping >&-", "cannot write to standard output", 1},
        {"\"$0\" call --server \"$1\" ping - <&-", "cannot read standard input", USAGE},
        {"\"$0\" call --server \"$1\" ping 1 <&- 2>&-", "", 0},
    };
    struct server *server = server_serve("", "method ping; method rpc.list;");
    char *address = keep_printf("127.0.0.1:%d", server->port);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *argv[] = {"/bin/sh", "-c", rows[i].script, pillion_binary(), address, NULL};
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, rows[i].status);
        expect_part(run.err, rows[i].message);
        expect_text(run.out, rows[i].status == 0 ? "1\n" : "");
    }
}
END_TEST

E2E_MAIN("cli_servers", a_call_tells_what_the_server_has_said,
         a_load_counts_nothing_that_is_no_reply, what_a_server_refuses_over_http_is_shown,
         listeners_of_one_protocol_tell_which, params_of_a_file_are_told_with_its_name,
         a_bad_address_is_told_with_its_option, closed_input_and_output_are_errors)
