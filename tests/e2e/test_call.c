/* `pillion call`: what it prints, and its exit statuses. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define USAGE 64

static struct server *serve(void)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    server_start(server);
    return server;
}

static char *address_of(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

static void expect_text(const char *text, const char *whole)
{
    if (strcmp(text, whole) != 0)
        fail_test("this was printed:\n%s\nand not\n%s", text, whole);
}

START_TEST(call_prints_the_result_as_it_was_sent)
{
    static const char *const values[] = {"null",        "9007199254740993",
                                         "1e400",       "-5",
                                         "\"\\u00e9\"", "{\"a\" : [1,\t2],\n\"in\":{\"out\":1}}",
                                         "[]",          "\"}],:\""};
    struct server *server = serve();
    char *address = address_of(server);

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct run run = pillion("call", "--server", address, "ping", values[i]);
        expect_status(&run, 0);
        expect_text(run.out, keep_printf("%s\n", values[i]));
        ck_assert_str_eq(run.err, "");
    }
    struct run run = pillion("call", keep_printf("--server=%s", address), "ping");
    expect_status(&run, 0);
    expect_text(run.out, "null\n");
    run = pillion("call", "--server", keep_printf("localhost:%d", server->port), "ping", "1");
    expect_status(&run, 0);
    expect_text(run.out, "1\n");
}
END_TEST

START_TEST(call_reads_params_from_standard_input)
{
    struct server *server = serve();
    struct buffer input = {0};

    buffer_add(&input, "[", 1);
    for (int i = 0; i < 90000; i++)
        buffer_add(&input, "10,", 3);
    buffer_add(&input, "1]", 3);
    const char *argv[] = {pillion_binary(), "call", "--server", address_of(server),
                          "ping",           "-",    NULL};
    struct run run = run_command(argv, input.data, PATIENCE_MS);
    expect_status(&run, 0);
    expect_text(run.out, keep_printf("%s\n", input.data));
    run = run_command(argv, "[1,\n  x]", PATIENCE_MS);
    expect_status(&run, USAGE);
    expect_part(run.err, "at byte 6");
    expect_part(run.err, "\n      x]\n      ^\n");
    run = run_command(argv, "", PATIENCE_MS);
    expect_status(&run, USAGE);
    free(input.data);
}
END_TEST

START_TEST(call_checks_params_before_anything_is_sent)
{
    static const char *const wrong[] = {"", "{", "[1,]", "'a'", "nul", "01", "{\"a\":1} x"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        /* Nobody listens there, and that is not what is said. */
        struct run run = pillion("call", "--server", "127.0.0.1:1", "ping", wrong[i]);
        expect_status(&run, USAGE);
        expect_part(run.err, "PARAMS is not JSON: at byte ");
    }
}
END_TEST

START_TEST(call_shows_an_error_reply_and_ends_with_one)
{
    struct server *server = serve();

    struct run run = pillion("call", "--server", address_of(server), "no.such");
    expect_status(&run, 1);
    ck_assert_str_eq(run.out, "");
    ck_assert_int_eq(strncmp(run.err, "method_not_found: ", 18), 0);
    expect_part(run.err, "no.such");
    run = pillion("call", "--server", address_of(server), "quote\"and\\slash");
    expect_status(&run, 1);
    expect_part(run.err, "quote\"and\\slash");
}
END_TEST

START_TEST(call_gets_the_reply_to_a_frame_that_is_too_large)
{
    struct server *server = serve();
    char *text = keep(malloc((8 << 20) + 3));

    memset(text, 'x', (8 << 20) + 2);
    text[0] = text[(8 << 20) + 1] = '"';
    text[(8 << 20) + 2] = '\0';
    const char *argv[] = {pillion_binary(), "call", "--server", address_of(server),
                          "ping",           "-",    NULL};
    struct run run = run_command(argv, text, PATIENCE_MS);
    expect_status(&run, 1);
    ck_assert_int_eq(strncmp(run.err, "frame_too_large: ", 17), 0);
}
END_TEST

START_TEST(call_without_a_server_ends_with_two)
{
    struct server *server = server_new(); /* only for its port */

    struct run run = pillion("call", "--server", address_of(server), "ping");
    expect_status(&run, 2);
    expect_part(run.err, "no server answers at");
    expect_part(run.err, "refused");
    run = pillion("call", "--server", keep_printf("unix:%s/no.sock", server->prefix), "ping");
    expect_status(&run, 2);
    run = pillion("call", "--server", "127.0.0.1", "ping");
    expect_status(&run, 2);
    expect_part(run.err, "has no port");
}
END_TEST

START_TEST(call_gives_up_on_a_server_that_does_not_answer)
{
    struct server *server = serve();

    /* It accepts nothing any more; the kernel does. */
    server_signal(server, SIGSTOP);
    pid_t pids[16];
    size_t count = children_of(server->pid, pids, 16);
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGSTOP);
    struct run run =
        pillion("call", "--server", address_of(server), "--timeout", "200ms", "ping", "1");
    for (size_t i = 0; i < count; i++)
        kill(pids[i], SIGCONT);
    server_signal(server, SIGCONT);
    expect_status(&run, 2);
    expect_part(run.err, "within 200 ms");
}
END_TEST

START_TEST(call_reaches_unix_sockets_and_ipv6)
{
    struct server *server = server_new();
    char *path = keep_printf("unix:%s/run/p.sock", server->prefix);

    server_conf(server, "",
                keep_printf("listen unix:run/p.sock; listen [::1]:%d; method ping;", server->port));
    server_start(server);
    struct run run = pillion("call", "--server", path, "ping", "\"unix\"");
    expect_status(&run, 0);
    expect_text(run.out, "\"unix\"\n");
    run = pillion("call", "--server", keep_printf("[::1]:%d", server->port), "ping", "6");
    expect_status(&run, 0);
    expect_text(run.out, "6\n");
}
END_TEST

E2E_MAIN("call", call_prints_the_result_as_it_was_sent, call_reads_params_from_standard_input,
         call_checks_params_before_anything_is_sent, call_shows_an_error_reply_and_ends_with_one,
         call_gets_the_reply_to_a_frame_that_is_too_large, call_without_a_server_ends_with_two,
         call_gives_up_on_a_server_that_does_not_answer, call_reaches_unix_sockets_and_ipv6)
