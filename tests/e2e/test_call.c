/* `pillion call`: what it prints, and its exit statuses. */
#include "harness.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define USAGE 64

static char *address_of(const struct server *server)
{
    return keep_printf("127.0.0.1:%d", server->port);
}

START_TEST(call_prints_the_result_as_it_was_sent)
{
    static const char *const values[] = {"null",        "9007199254740993",
                                         "1e400",       "-5",
                                         "\"\\u00e9\"", "{\"a\" : [1,\t2],\n\"in\":{\"out\":1}}",
                                         "[]",          "\"}],:\""};
    struct server *server = server_serve("", "method ping;");
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
    struct server *server = server_serve("", "method ping;");
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
        /* No server listens there, but the message is about PARAMS. */
        struct run run = pillion("call", "--server", "127.0.0.1:1", "ping", wrong[i]);
        expect_status(&run, USAGE);
        expect_part(run.err, ", at byte ");
    }
}
END_TEST

START_TEST(call_shows_an_error_reply_and_ends_with_one)
{
    struct server *server = server_serve("", "method ping;");

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
    struct server *server = server_serve("", "method ping;");
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
    run = pillion("call", "--server", "no.such.host.invalid", "ping");
    expect_status(&run, 2);
    expect_part(run.err, "\"no.such.host.invalid:8080\": no address for");
}
END_TEST

START_TEST(call_gives_up_on_a_server_that_does_not_answer)
{
    struct server *server = server_serve("", "method ping;");

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

/* ---- Where it calls ---- */

/* `pillion` with a variable of the environment. */
static struct run pillion_with(const char *variable, const char *const words[])
{
    const char *argv[16] = {"/usr/bin/env", variable, pillion_binary()};

    for (size_t i = 0; words[i] != NULL; i++)
        argv[3 + i] = words[i];
    return run_command(argv, NULL, PATIENCE_MS);
}

START_TEST(the_environment_says_where_to_call_and_the_option_says_it_better)
{
    struct server *server = server_serve("", "method ping;");
    const char *variable = keep_printf("PILLION_SERVER=%s", address_of(server));

    struct run run = pillion_with(variable, (const char *[]){"call", "ping", "1", NULL});
    expect_status(&run, 0);
    expect_text(run.out, "1\n");
    run = pillion_with(variable, (const char *[]){"bench", "-d", "0.05", "ping", NULL});
    expect_status(&run, 0);
    expect_part(run.out, keep_printf("ping at %s: ", address_of(server)));
    run = pillion_with("PILLION_SERVER=127.0.0.1:1",
                       (const char *[]){"call", "--server", address_of(server), "ping", NULL});
    expect_status(&run, 0);
    run = pillion_with("PILLION_SERVER=127.0.0.1:none", (const char *[]){"call", "ping", NULL});
    expect_status(&run, USAGE);
    expect_part(run.err, "PILLION_SERVER takes HOST, HOST:PORT, tls:HOST:PORT or unix:PATH");
}
END_TEST

START_TEST(an_address_that_cannot_be_one_is_a_mistake_of_the_command_line)
{
    static const char *const wrong[] = {"",        "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:x",
                                        ":8080",   "[::1",       "unix:",       "127.0.0.1:65536",
                                        "[::1]x:1"};
    static const char *const commands[] = {"call", "bench", "describe"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        for (size_t c = 0; c < sizeof(commands) / sizeof(*commands); c++) {
            struct run run = pillion(commands[c], "--server", wrong[i], "ping");
            expect_status(&run, USAGE);
            expect_part(run.err, "--server takes HOST, HOST:PORT, tls:HOST:PORT or unix:PATH");
        }
    }
}
END_TEST

START_TEST(a_host_without_a_port_is_called_at_8080)
{
    static const char *const rows[][2] = {{"no.such.host.invalid", "\"no.such.host.invalid:8080\""},
                                          {"::1%none", "\"[::1%none]:8080\""},
                                          {"[::1%none]", "\"[::1%none]:8080\""}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct run run = pillion("call", "--server", rows[i][0], "ping");
        expect_status(&run, 2);
        expect_part(run.err, rows[i][1]);
    }
}
END_TEST

/* ---- The command line ---- */

START_TEST(options_may_follow_the_method_and_params)
{
    char *address = address_of(server_serve("", "method ping;"));

    struct run run = pillion("call", "ping", "-5", "--server", address, "--timeout=5s");
    expect_status(&run, 0);
    expect_text(run.out, "-5\n");
    run = pillion("call", "ping", "--server", address, "-1.5e3");
    expect_text(run.out, "-1.5e3\n");
    run = pillion("call", "--server", address, "--", "ping", "7");
    expect_text(run.out, "7\n");
    run = pillion("call", "--server", address, "--", "--ping");
    expect_status(&run, 1);
    expect_part(run.err, "--ping");
}
END_TEST

START_TEST(a_word_without_quotes_is_explained)
{
    struct run run = pillion("call", "ping", "hello");
    expect_status(&run, USAGE);
    expect_part(run.err, "a string needs quotes: '\"hello\"'\n");
    run = pillion("bench", "ping", "two words");
    expect_status(&run, USAGE);
    expect_part(run.err, "a string needs quotes: '\"two words\"'\n");
    run = pillion("bench", "ping", "times=3");
    expect_status(&run, USAGE);
    expect_part(run.err, "here it is '{\"NAME\": VALUE}'\n");
    run = pillion("call", "ping", "{hello}");
    ck_assert_ptr_null(strstr(run.err, "needs quotes"));
}
END_TEST

START_TEST(lines_are_calls_and_a_bad_line_does_not_end_the_others)
{
    char *address = address_of(server_serve("", "method ping;"));
    const char *argv[] = {pillion_binary(), "call",     "ping",  "-",
                          "--lines",        "--server", address, NULL};

    struct run run = run_command(argv, "1\n\n {\"a\":\t[1,  2]} \r\n\"x\"", PATIENCE_MS);
    expect_status(&run, 0);
    expect_text(run.out, "1\n{\"a\":\t[1,  2]}\n\"x\"\n");
    ck_assert_str_eq(run.err, "");
    run = run_command(argv, "1\nnone\n2\n", PATIENCE_MS);
    expect_status(&run, USAGE);
    expect_text(run.out, "1\n2\n");
    expect_part(run.err, "line 2: PARAMS is not JSON");
    run = run_command(argv, "", PATIENCE_MS);
    expect_status(&run, 0);
    argv[2] = "no.such";
    run = run_command(argv, "1\n2\n", PATIENCE_MS);
    expect_status(&run, 1);
    expect_part(run.err, "line 1: method_not_found: ");
    expect_part(run.err, "line 2: method_not_found: ");
    argv[6] = "127.0.0.1:1";
    run = run_command(argv, "1\n2\n", PATIENCE_MS);
    expect_status(&run, 2);
    ck_assert_ptr_null(strstr(strstr(run.err, "no server answers") + 1, "no server answers"));
    run = pillion("call", "ping", "--lines");
    expect_status(&run, USAGE);
    expect_part(run.err, "--lines needs \"-\"");
}
END_TEST

START_TEST(many_values_without_lines_are_told_of_it)
{
    const char *argv[] = {pillion_binary(), "call", "ping", "-", NULL};

    struct run run = run_command(argv, "1\n2\n", PATIENCE_MS);
    expect_status(&run, USAGE);
    expect_part(run.err, "something follows the value");
    expect_part(run.err, "give --lines");
}
END_TEST

START_TEST(a_pipe_that_is_not_read_is_told_of_it)
{
    char *address = address_of(server_serve("", "method ping;"));
    const char *script = "echo 5 | \"$0\" call --server \"$1\" ping";
    const char *argv[] = {"/bin/sh", "-c", script, pillion_binary(), address, NULL};

    /* The echo may come late: then there is nothing to be told. It is tried until it is not. */
    struct run run = run_command(argv, NULL, PATIENCE_MS);
    wait_until((run = run_command(argv, NULL, PATIENCE_MS),
                strstr(run.err, "the piped input was not read") != NULL),
               "the pipe is not mentioned: %s", run.err);
    expect_status(&run, 0);
    expect_text(run.out, "null\n");
    run = pillion("call", "--server", address, "ping");
    ck_assert_str_eq(run.err, "");
}
END_TEST

/* ---- Terminals ---- */

/* What `pillion ARGUMENTS` writes to a terminal, by script(1)'s way: a pseudoterminal. */
static char *on_a_terminal(const char *const argv[], int *status)
{
    char buffer[4096];
    struct buffer shown = {0};
    int terminal, wait_status;
    ssize_t size;

    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    if (pid == 0) {
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while ((size = read(terminal, buffer, sizeof(buffer))) > 0)
        buffer_add(&shown, buffer, (size_t)size);
    close(terminal);
    ck_assert_int_eq(waitpid(pid, &wait_status, 0), pid);
    *status = WEXITSTATUS(wait_status);
    buffer_add(&shown, "", 1);
    return keep(shown.data);
}

/* A server that answers each request with the same bytes. */
static char *parrot_bytes(struct buffer answer)
{
    char request[4096], *address;
    int listener = listen_anywhere(&address);

    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int client = accept(listener, NULL, NULL);
            while (read(client, request, sizeof(request)) > 0 &&
                   write(client, answer.data, answer.size) == (ssize_t)answer.size)
                ;
            close(client);
        }
    }
    close(listener);
    return address;
}

static char *parrot(const char *reply)
{
    struct buffer answer = {0};

    buffer_add_frame(&answer, "%s", reply);
    char *address = parrot_bytes(answer);
    free(answer.data);
    return address;
}

#define EVIL_SENT  \
    "\x7f\xc2\x9b" \
    "2J\xe2\x80\xae\xe2\x80\x8b\\u001b[2J"
#define EVIL_SHOWN "\\u007f\\u009b2J\\u202e\\u200b"

static void expect_harmless(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < 0x20 && strchr("\r\n", *c) == NULL) || (unsigned char)*c >= 0x7f)
            fail_test("the byte %02x reaches the terminal: %s", (unsigned char)*c, text);
    }
}

START_TEST(a_reply_cannot_drive_the_terminal)
{
    if (!terminals_exist())
        return;
    setenv("NO_COLOR", "1", 1);
    char *failing = parrot("{\"out\":\"error\",\"result\":{\"code\":\"odd\","
                           "\"message\":\"" EVIL_SENT "\"}}");
    char *odd = parrot("{\"out\":\"error\",\"result\":[\"" EVIL_SENT "\"]}");
    char *listing = parrot("{\"out\":\"x\",\"result\":[{\"name\":\"" EVIL_SENT
                           "\",\"summary\":\"" EVIL_SENT "\",\"module\":\"" EVIL_SENT "\"}]}");
    const char *const lines[][7] = {
        {"call", "--server", failing, "ping"},
        {"call", "--server", odd, "ping"},
        {"list", "--server", failing},
        {"describe", "--server", failing, "ping"},
        {"describe", "--server", odd, "ping"},
        {"bench", "--server", failing, "-d", "0.05", "ping"},
        {"bench", "--server", odd, "-d", "0.05", "ping"},
        {"list", "--server", listing},
        {"call", "--server", listing, "ping"},
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        const char *argv[9] = {pillion_binary()};
        int status;
        memcpy(argv + 1, lines[i], sizeof(lines[i]));
        char *shown = on_a_terminal(argv, &status);
        expect_harmless(shown);
        expect_part(shown, EVIL_SHOWN);
        ck_assert_int_eq(status, lines[i][2] == listing ? 0 : 1);
        if (lines[i][2] == listing) /* results, on no terminal, are as they were sent */
            continue;
        struct run run = run_command(argv, NULL, PATIENCE_MS); /* errors go to logs */
        expect_harmless(run.err);
    }
    struct run run = pillion("call", "--server", listing, "ping");
    expect_part(run.out, EVIL_SENT);
    run = pillion("describe", "--server", listing, "ping");
    expect_status(&run, 2); /* an array */
    run = pillion("call", "--server", parrot(" [1]"), "ping");
    expect_status(&run, 2);
    expect_part(run.err, "without \"out\" or \"result\"");

    /* Nothing behind a NUL is hidden. */
    char *cut = parrot("{\"out\":\"error\",\"result\":{\"code\":\"odd\\u0000er\","
                       "\"message\":\"seen\\u0000as well \\ud800\"}}");
    run = pillion("call", "--server", cut, "ping");
    expect_status(&run, 1);
    expect_part(run.err, "odd\\u0000er: ");
    expect_part(run.err, "as well");
}
END_TEST

START_TEST(results_are_indented_on_a_terminal_and_keep_every_digit)
{
    if (!terminals_exist())
        return;
    setenv("NO_COLOR", "1", 1);
    char *address = address_of(server_serve("", "method ping;"));
    const char *argv[] = {pillion_binary(), "call", "--server", address, "ping", NULL, NULL};
    int status;

    argv[5] = "{\"a\":[1,2.50,1e400],\"b\":\"\\u00e9, \\\" ]\"}";
    ck_assert_str_eq(on_a_terminal(argv, &status),
                     "{\"a\": [1, 2.50, 1e400], \"b\": \"\\u00e9, \\\" ]\"}\r\n");
    argv[5] = "{\"a\":[],\"long\":[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",{\"x\":{}},"
              "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]}";
    ck_assert_str_eq(on_a_terminal(argv, &status),
                     "{\r\n  \"a\": [],\r\n  \"long\": [\r\n"
                     "    \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\r\n    {\"x\": {}},\r\n"
                     "    \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"\r\n  ]\r\n}\r\n");
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- What there is to call ---- */

START_TEST(results_have_colours_on_a_terminal_that_wants_them)
{
    if (!terminals_exist())
        return;
    char *address = address_of(server_serve("", "method ping;"));
    const char *argv[] = {pillion_binary(),          "call", "--server", address, "ping",
                          "{\"a\":[-1,\"b\",null]}", NULL};
    const char *plain = "{\"a\": [-1, \"b\", null]}\r\n";
    int status;

    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    ck_assert_str_eq(on_a_terminal(argv, &status),
                     "{\033[36m\"a\"\033[0m: [\033[33m-1\033[0m, \033[32m\"b\"\033[0m, "
                     "\033[35mnull\033[0m]}\r\n");
    struct run run = run_command(argv, NULL, PATIENCE_MS);
    expect_text(run.out, "{\"a\":[-1,\"b\",null]}\n");
    setenv("TERM", "dumb", 1);
    ck_assert_str_eq(on_a_terminal(argv, &status), plain);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    ck_assert_str_eq(on_a_terminal(argv, &status), plain);
}
END_TEST

START_TEST(list_and_describe_show_the_methods_of_a_server)
{
    struct server *server = server_new();
    server_conf(server, "load_module modules/hello.so;",
                "method rpc.list; method rpc.describe; method greet { handler hello.greet; }");
    server_start(server);
    char *address = address_of(server);

    struct run run = pillion("list", "--server", address);
    expect_status(&run, 0);
    expect_part(run.out, "greet                     Greets somebody by name.\n");
    expect_part(run.out, "\nrpc.describe              Describes one method.\n");
    run = pillion("describe", "greet", "--server", address);
    expect_status(&run, 0);
    ck_assert_int_eq(strncmp(run.out, "greet\nGreets somebody by name.\n\nModule: hello ", 46), 0);
    expect_part(run.out, "\nTitle: Greet somebody\n\nPromises: additive\n");
    expect_part(run.out, "\nParams:\n{\n  \"type\": \"object\",\n");
    expect_part(run.out, "\nResult:\n{\"type\": \"string\"}\n");
    run = pillion("describe", "nosuch", "--server", address);
    expect_status(&run, 1);
    expect_part(run.err, "there is no method \"nosuch\" here");
    ck_assert_ptr_null(strstr(run.err, "rpc.so"));
    run = pillion("describe");
    expect_status(&run, USAGE);
    run = pillion("list", "more");
    expect_status(&run, USAGE);
}
END_TEST

START_TEST(a_server_that_does_not_list_is_told_how_to)
{
    char *address = address_of(server_serve("", "method ping;"));

    struct run run = pillion("list", "--server", address);
    expect_status(&run, 1);
    expect_part(run.err, "\"method rpc.list;\"");
    run = pillion("describe", "ping", "--server", address);
    expect_status(&run, 1);
    expect_part(run.err, "\"method rpc.describe;\"");
    run = pillion("list", "--server", "127.0.0.1:1");
    expect_status(&run, 2);
}
END_TEST

/* ---- Other protocols ---- */

static const char *const protocols[] = {"frame", "line", "lsp", "http"};

#define PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

START_TEST(every_protocol_gives_the_same_results_and_errors)
{
    struct server *server = server_serve("", "method ping;");
    char *address = address_of(server);

    for (size_t i = 0; i < 2 * PROTOCOLS; i++) {
        const char *format = i % 2 ? "--jsonrpc" : "--members={\"id\": 1}";
        struct run run = pillion("call", "--server", address, "--protocol", protocols[i / 2],
                                 format, "ping", "[1,2.50, 1e400]");
        expect_status(&run, 0);
        expect_text(run.out, "[1,2.50, 1e400]\n");
        run = pillion("call", "--server", address, "--protocol", protocols[i / 2], format, "ping");
        expect_status(&run, 0);
        expect_text(run.out, "null\n");
        run = pillion("call", "--server", address, "--protocol", protocols[i / 2], format, "nix");
        expect_status(&run, 1);
        ck_assert_str_eq(run.out, "");
        ck_assert_str_eq(run.err, "method_not_found: there is no method \"nix\" here\n");
        run = pillion("list", "--server", address, "--protocol", protocols[i / 2], format);
        expect_status(&run, 1);
        expect_part(run.err, "\"method rpc.list;\"");
    }
}
END_TEST

START_TEST(a_connection_of_every_protocol_is_used_again)
{
    struct server *server = server_serve_alone("", "method ping;");
    char *address = address_of(server);

    for (size_t i = 0; i < PROTOCOLS; i++) {
        const char *argv[] = {
            pillion_binary(), "call", "--server", address,     "--lines", "--protocol",
            protocols[i],     "ping", "-",        "--jsonrpc", NULL};
        struct run run = run_command(argv, "[1]\n2\n{\"a\":3}\n[4]", PATIENCE_MS);
        expect_status(&run, USAGE); /* a number is no params of JSON-RPC */
        expect_text(run.out, "[1]\n{\"a\":3}\n[4]\n");
        expect_part(run.err, "with --jsonrpc, PARAMS is an object or an array");
    }
}
END_TEST

START_TEST(params_on_several_lines_fit_one_of_the_protocol)
{
    char *address = address_of(server_serve("", "method ping;"));

    struct run run =
        pillion("call", "--server", address, "--protocol", "line", "ping", "[1,\r\n \"\\n\"]");
    expect_status(&run, 0);
    expect_text(run.out, "[1,   \"\\n\"]\n");
}
END_TEST

START_TEST(params_come_from_a_file)
{
    struct server *server = server_serve("", "method ping;");
    char *address = address_of(server);
    char *path = server_path(server, "params.json");

    file_write(path, "{\"a\": 1}\n", 9);
    struct run run = pillion("call", "--server", address, "ping", "-d", keep_printf("@%s", path));
    expect_status(&run, 0);
    expect_text(run.out, "{\"a\": 1}\n");
    run = pillion("call", "--server", address, "ping", keep_printf("@%s", path));
    expect_text(run.out, "{\"a\": 1}\n");
    run = pillion("call", "--server", address, "ping", "--data", "5");
    expect_text(run.out, "5\n");
    run = pillion("call", "--server", address, "ping", "-d", "@/nowhere/params.json");
    expect_status(&run, USAGE);
    expect_part(run.err, "cannot read /nowhere/params.json: ");
    run = pillion("call", "--server", address, "ping", "-d", "1", "2");
    expect_status(&run, USAGE);
    file_write(path, "[1,\n  x]", 8);
    run = pillion("call", "--server", address, "ping", keep_printf("@%s", path));
    expect_status(&run, USAGE);
    expect_part(run.err, "\n      x]\n      ^\n");
}
END_TEST

START_TEST(a_url_says_where_to_call_by_http)
{
    struct server *server = server_serve("", "method ping;");
    static const struct {
        const char *url, *message;
    } wrong[] = {
        {"https://", "--http takes http://HOST:PORT"},
        {"localhost:80", "--http takes http://HOST:PORT"},
        {"http://", "--http takes http://HOST:PORT"},
        {"http:///ping", "--http takes http://HOST:PORT"},
        {"http://unix:/x", "--http takes http://HOST:PORT"},
        {"http://a@b/", "--http takes http://HOST:PORT"},
        {"http://localhost/\r\nX: y", "--http takes a URL of printable ASCII"},
    };

    for (int i = 0; i < 2; i++) {
        char *url = keep_printf("http://127.0.0.1:%d%s", server->port, i ? "/" : "");
        struct run run = pillion("call", "--http", url, "ping", "[1]");
        expect_status(&run, 0);
        expect_text(run.out, "[1]\n");
    }
    struct run run = pillion("call", "--http", keep_printf("http://127.0.0.1:%d/nix", server->port),
                             "ping", "[1]");
    expect_status(&run, 1);
    run = pillion("call", "--http", "http://127.0.0.1", "--server", "127.0.0.1", "ping");
    expect_status(&run, USAGE);
    run = pillion("call", "--http", "http://127.0.0.1", "--protocol", "line", "ping");
    expect_status(&run, USAGE);
    run = pillion("call", "--protocol", "smtp", "ping");
    expect_status(&run, USAGE);
    expect_part(run.err, "frame, line, lsp or http, not \"smtp\"");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        run = pillion("call", "--http", wrong[i].url, "ping");
        expect_status(&run, USAGE);
        expect_part(run.err, wrong[i].message);
    }
}
END_TEST

START_TEST(answers_that_are_none_of_the_protocol_are_told_of)
{
    /* The parrot speaks frames. */
    char *address = parrot("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"No\"},"
                           "\"id\":1}");

    struct run run = pillion("call", "--server", address, "--jsonrpc", "ping");
    expect_status(&run, 1);
    ck_assert_str_eq(run.err, "-32601: No\n");
    run = pillion("call", "--server", address, "--protocol", "http", "ping");
    expect_status(&run, 2);
    expect_part(run.err, "sent a reply that cannot be read: its first line is none of HTTP/1.1");
    run = pillion("call", "--server", address, "--protocol", "lsp", "ping", "--timeout", "500ms");
    expect_status(&run, 2);
    address = parrot("{\"jsonrpc\":\"2.0\",\"id\":1}");
    run = pillion("call", "--server", address, "--jsonrpc", "ping");
    expect_status(&run, 2);
    expect_part(run.err, "without \"result\" or \"error\"");
}
END_TEST

/* As servers in front of a Pillion may send them on. */
START_TEST(responses_in_chunks_are_read)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "10\r\n{\"out\":\"pong\",\"r\r\n7;x=y\r\nesult\":\r\n"
                                   "4\r\n[1]}\r\n0\r\nTrailer: x\r\n\r\n";
    char *address = parrot_bytes((struct buffer){(char *)response, sizeof(response) - 1, 0});

    struct run run = pillion("call", "--server", address, "--protocol", "http", "ping");
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "[1]\n");
    run = pillion("bench", "--server", address, "--protocol", "http", "-d", "0.05", "-c", "1",
                  "ping");
    expect_status(&run, 0);
    address = parrot_bytes((struct buffer){(char *)response, sizeof(response) - 60, 0});
    run = pillion("call", "--server", address, "--protocol", "http", "--timeout", "500ms", "ping");
    expect_status(&run, 2);
    expect_part(run.err, "no answer from");
}
END_TEST

E2E_MAIN("call", results_have_colours_on_a_terminal_that_wants_them,
         call_prints_the_result_as_it_was_sent, call_reads_params_from_standard_input,
         call_checks_params_before_anything_is_sent, call_shows_an_error_reply_and_ends_with_one,
         call_gets_the_reply_to_a_frame_that_is_too_large, call_without_a_server_ends_with_two,
         call_gives_up_on_a_server_that_does_not_answer, call_reaches_unix_sockets_and_ipv6,
         the_environment_says_where_to_call_and_the_option_says_it_better,
         an_address_that_cannot_be_one_is_a_mistake_of_the_command_line,
         a_host_without_a_port_is_called_at_8080, options_may_follow_the_method_and_params,
         a_word_without_quotes_is_explained, lines_are_calls_and_a_bad_line_does_not_end_the_others,
         many_values_without_lines_are_told_of_it, a_pipe_that_is_not_read_is_told_of_it,
         a_reply_cannot_drive_the_terminal, results_are_indented_on_a_terminal_and_keep_every_digit,
         list_and_describe_show_the_methods_of_a_server, a_server_that_does_not_list_is_told_how_to,
         every_protocol_gives_the_same_results_and_errors,
         a_connection_of_every_protocol_is_used_again,
         params_on_several_lines_fit_one_of_the_protocol, params_come_from_a_file,
         a_url_says_where_to_call_by_http, answers_that_are_none_of_the_protocol_are_told_of,
         responses_in_chunks_are_read)
