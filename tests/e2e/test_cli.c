/* The command line: options, and what -t, -T and -s say. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define USAGE 64

/* ---- options ---- */

START_TEST(version_and_build_are_printed)
{
    struct run run = pillion("-v");
    expect_status(&run, 0);
    ck_assert_int_eq(strncmp(run.out, "pillion ", 8), 0);
    ck_assert_str_eq(run.err, "");

    char *version = run.out;
    run = pillion("-V", "-p", "/srv");
    expect_status(&run, 0);
    ck_assert_int_eq(strncmp(run.out, version, strlen(version)), 0);
    expect_part(run.out, "built with: ");
    expect_part(run.out, "module interface: ");
    expect_part(run.out, "\nprefix: /srv\n");
    expect_part(run.out, "/srv/conf/pillion.conf");
    expect_part(run.out, "/srv/run/pillion.pid");
}
END_TEST

START_TEST(help_names_every_option_signal_and_command)
{
    static const char *const parts[] = {"-c",           "-p",           "-g",
                                        "-q",           "-t",           "-T",
                                        "-s",           "-v",           "-V",
                                        "-h",           "reload",       "quit",
                                        "reopen",       "stop",         "pillion call",
                                        "pillion new",  "pillion dev",  "pillion modinfo",
                                        "pillion doc",  "pillion list", "pillion describe",
                                        "pillion bench"};
    struct run run = pillion("-h");

    expect_status(&run, 0);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        expect_part(run.out, keep_printf("  %s", parts[i]));
    struct run same = pillion("--help");
    expect_status(&same, 0);
    expect_text(same.out, run.out);
    run = pillion("call", "-h");
    expect_status(&run, 0);
    expect_part(run.out, "--server");
    run = pillion("doc", "--help");
    expect_status(&run, 0);
}
END_TEST

START_TEST(help_fits_a_terminal_of_80_columns)
{
    static const char *const commands[] = {"-q",  "call", "list",    "describe", "bench",
                                           "new", "dev",  "modinfo", "doc",      "try"};

    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        struct run run = pillion(commands[i], "-h");
        expect_status(&run, 0);
        size_t width = 0;
        for (const char *c = run.out; *c != '\0'; c++) {
            width += ((unsigned char)*c & 0xc0) != 0x80;
            if (*c == '\n')
                width = 0;
            if (width > 79)
                fail_test("a line of `pillion %s -h` is too long: %s", commands[i], run.out);
        }
    }
}
END_TEST

START_TEST(unknown_words_are_refused_and_the_nearest_one_suggested)
{
    static const struct {
        const char *words[4], *says;
    } rows[] = {
        {{"-x"}, "unknown option -x"},
        {{"-tx"}, "unknown option -x"},
        {{"--tset"}, "did you mean --test?"},
        {{"--nothing-like-it"}, "unknown option --nothing-like-it"},
        {{"--test=1"}, "--test takes no value"},
        {{"-c"}, "-c needs FILE"},
        {{"-s"}, "-s needs SIGNAL"},
        {{"-s", "relaod"}, "did you mean \"reload\"?"},
        {{"-s", "xyzzy"}, "stop, quit, reload, reopen"},
        {{"cal"}, "did you mean \"pillion call\"?"},
        {{"reload"}, "did you mean \"pillion -s reload\"?"},
        {{"stop"}, "did you mean \"pillion -s stop\"?"},
        {{"stp"}, "no command \"stp\"\n"},
        {{"quti"}, "no command \"quti\"\n"},
        {{"xyzzy"}, "no command \"xyzzy\""},
        {{"-t", "-T"}, "cannot be given together"},
        {{"-t", "file"}, "\"file\" is not expected here"},
        {{"call"}, "METHOD"},
        {{"call", "--sever", "x"}, "did you mean --server?"},
        {{"call", "ping", "1", "2"}, "\"2\" is one too many"},
        {{"-q", "call", "ping"}, "the command comes first, and has options of its own"},
        {{"call", "--timeout", "soon", "ping"}, "\"soon\""},
        {{"call", "--timeout", "0", "ping"}, "\"0\""},
        {{"doc", "configuratoin"}, "did you mean \"configuration\"?"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *argv[6] = {pillion_binary()};
        for (size_t w = 0; w < 4 && rows[i].words[w] != NULL; w++)
            argv[w + 1] = rows[i].words[w];
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, USAGE);
        expect_part(run.err, rows[i].says);
        expect_part(run.err, "usage: pillion");
        ck_assert_str_eq(run.out, "");
    }
}
END_TEST

START_TEST(a_prefix_that_is_no_directory_is_refused)
{
    struct run run = pillion("-t", "-p", "/no/such/directory");
    expect_status(&run, 1);
    expect_part(run.err, "/no/such/directory");
    run = pillion("-t", "-p", "/dev/null");
    expect_status(&run, 1);
    expect_part(run.err, "Not a directory");
}
END_TEST

START_TEST(documentation_comes_from_the_program)
{
    struct run run = pillion("doc", "configuration");
    expect_status(&run, 0);
    expect_part(run.out, "# Configuration");
    expect_part(run.out, "### worker_processes");
    run = pillion("doc");
    expect_status(&run, 0);
    expect_part(run.out, "configuration");
}
END_TEST

START_TEST(a_full_disk_is_no_success)
{
    const char *argv[] = {
        "/bin/sh", "-c", keep_printf("'%s' doc configuration > /dev/full", pillion_binary()), NULL};
    struct run run = run_command(argv, NULL, PATIENCE_MS);

    expect_status(&run, 1);
    expect_part(run.err, "cannot write to standard output: No space left on device (ENOSPC)");
}
END_TEST

/* ---- -t and -T ---- */

START_TEST(a_good_configuration_passes_the_test_and_a_running_server_is_not_touched)
{
    struct server *server = server_serve("", "method ping;");
    pid_t before[8], after[8];

    size_t count = server_workers(server, before, 8);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    expect_part(run.err, "configuration file conf/pillion.conf is good");
    run = pillion("-tq", "-p", server->prefix, "-g", "error_log stderr error;");
    expect_status(&run, 0);
    ck_assert_str_eq(run.err, "");
    ck_assert_str_eq(run.out, "");
    ck_assert_uint_eq(server_workers(server, after, 8), count);
    ck_assert_mem_eq(before, after, count * sizeof(*before));
}
END_TEST

START_TEST(all_errors_are_shown_with_place_line_caret_and_suggestion)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf", "%s",
                 "worker_processes 0;\n"
                 "server {\n"
                 "\tlisen 127.0.0.1:8080;\n"
                 "    listen 127.0.0.1:8080;\n"
                 "    max_frame 1q; # too much\n"
                 "}\n");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_text(run.err,
                "conf/pillion.conf:1:18: \"worker_processes\" must be auto or from 1 to 128, not "
                "\"0\"\n"
                "    1 | worker_processes 0;\n"
                "      |                  ^\n"
                "conf/pillion.conf:3:2: unknown directive \"lisen\"; did you mean \"listen\"?\n"
                "    3 | \tlisen 127.0.0.1:8080;\n"
                "      | \t^~~~~\n"
                "conf/pillion.conf:5:15: \"max_frame\" must be a size, such as 512, 16k or 1m, not "
                "\"1q\"\n"
                "    5 |     max_frame 1q; # too much\n"
                "      |               ^~\n"
                "configuration file conf/pillion.conf is not good\n");
    /* A server does not start with it, and says the same. */
    server_spawn(server, (const char *const[]){NULL});
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    expect_part(server_log(server), "conf/pillion.conf:3:2: unknown directive \"lisen\"");
}
END_TEST

START_TEST(an_unprovided_method_is_an_error_that_lists_the_provided_ones)
{
    struct server *server = server_new();

    server_conf(server, "", "method pin;");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "conf/pillion.conf:");
    expect_part(run.err, "\"pin\"; did you mean \"ping\"?");
    expect_part(run.err, "rpc.health");
    expect_part(run.err, "    method pin;\n");
    expect_part(run.err, "^~~");
}
END_TEST

START_TEST(an_address_that_is_none_fails_the_test)
{
    static const char *const addresses[] = {"127.0.0.1", "no.such.host.invalid:8080",
                                            "127.0.0.1:99999", "::1:80"};
    struct server *server = server_new();

    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        server_conf(server, "", keep_printf("method ping; listen %s;", addresses[i]));
        struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_part(run.err, keep_printf("\"%s\"", addresses[i]));
        expect_part(run.err, "conf/pillion.conf:");
    }
}
END_TEST

START_TEST(a_missing_configuration_is_named)
{
    struct server *server = server_new();

    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, server->conf);
    expect_part(run.err, "No such file or directory");
    run = pillion("-t", "-p", server->prefix, "-c", "conf/other.conf");
    expect_status(&run, 1);
    expect_part(run.err, "conf/other.conf");
}
END_TEST

START_TEST(the_dump_shows_the_configuration_with_its_includes)
{
    struct server *server = server_new();

    mkdir(server_path(server, "conf/more"), 0755);
    server_write(server, "conf/more/b.conf", "method ping;\n");
    server_write(server, "conf/more/a.conf", "max_frame 2k;");
    server_conf(server, "# kept as it is", "include conf/more/*.conf;");
    struct run run =
        pillion("-T", "-p", server->prefix, "-g", "worker_processes 1;", "-g", "daemon off;");
    expect_status(&run, 0);
    expect_part(run.out, "# conf/pillion.conf:\nworker_processes 2;\n");
    expect_part(run.out, "# kept as it is\n");
    expect_part(run.out, "worker_processes 1;\ndaemon off;\n");
    const char *a = strstr(run.out, "max_frame 2k;\n"), *b = strstr(run.out, "method ping;\n");
    ck_assert(a != NULL && b != NULL && a < b);
    server_write(server, "conf/more/c.conf", "methud ping;\n");
    run = pillion("-T", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "c.conf:1:1: unknown directive \"methud\"");
    ck_assert_str_eq(run.out, "");
}
END_TEST

START_TEST(other_files_and_relative_prefixes_can_be_named)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    rename(server->conf, server_path(server, "other.conf"));
    struct run run = pillion("-t", "-p", server->prefix, "-c", "other.conf");
    expect_status(&run, 0);
    run = pillion("-t", "-p", server->prefix, "-c", server_path(server, "other.conf"));
    expect_status(&run, 0);
    const char *argv[] = {
        "/bin/sh", "-c",
        keep_printf("cd '%s/conf' && '%s' -tp .. -cother.conf", server->prefix, pillion_binary()),
        NULL};
    run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 0);
}
END_TEST

/* The option's value lies where process titles are written. */
START_TEST(another_file_serves_and_is_reloaded)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    rename(server->conf, server_path(server, "other.conf"));
    server_start_with(server, (const char *const[]){"-c", "other.conf", NULL});
    struct run run = pillion("-p", server->prefix, "-c", "other.conf", "-s", "reload");
    expect_status(&run, 0);
    expect_part(run.out, "generation 2 serves");
    client_expect_alive(client_connect(server));
}
END_TEST

/* ---- -s ---- */

START_TEST(signals_without_a_server_say_where_was_looked)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "no server is running");
    expect_part(run.err, server_path(server, "run/pillion.control"));
    expect_part(run.err, server_path(server, "run/pillion.pid"));
    /* A pid file that was left behind, of a process that is no server. */
    server_write(server, "run/pillion.pid", "%d\n", (int)getppid());
    run = server_ask(server, "stop");
    expect_status(&run, 1);
    expect_part(run.err, "no server");
}
END_TEST

START_TEST(a_reload_waits_for_its_outcome_and_tells_it)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    struct run run = server_order(server, "reload");
    expect_part(run.out, "generation 2");
    run = pillion("-q", "-s", "reload", "-p", server->prefix);
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "");
    ck_assert_int_eq(cJSON_GetObjectItem(server_stats(server), "generation")->valueint, 3);
    server_conf(server, "", "method ping;\n    lisen 127.0.0.1:1;");
    run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "unknown directive \"lisen\"; did you mean \"listen\"?");
    expect_part(run.err, "^~~~~");
    ck_assert_int_eq(cJSON_GetObjectItem(server_stats(server), "generation")->valueint, 3);
    client_expect_alive(client);
}
END_TEST

static void expect_ended(struct server *server)
{
    int status = server_wait_exit(server, PATIENCE_MS);

    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
    ck_assert_int_ne(access(server_path(server, "run/pillion.control"), F_OK), 0);
    ck_assert_int_lt(client_try_connect(server->port), 0);
}

START_TEST(stop_and_quit_return_when_the_server_has_ended)
{
    static const char *const verbs[] = {"stop", "quit"};

    for (size_t i = 0; i < 2; i++) {
        struct server *server = server_serve("", "method ping;");
        struct run run = server_ask(server, verbs[i]);
        expect_status(&run, 0);
        expect_text(run.out, "the server has ended\n");
        ck_assert_int_lt(client_try_connect(server->port), 0);
        expect_ended(server);
    }
}
END_TEST

/* Any process may listen there. */
START_TEST(a_control_sockets_answer_cannot_drive_the_terminal)
{
    static const char says[] = "failed\nfirst \x1b[2J\xc2\x9b\xe2\x80\xae\nsecond\x7f\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct server *server = server_new();
    char line[64];

    server_conf(server, "", "method ping;");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             server_path(server, "run/pillion.control"));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int client = accept(listener, NULL, NULL);
        _exit(read(client, line, sizeof(line)) > 0 && write(client, says, strlen(says)) > 0 ? 0
                                                                                            : 1);
    }
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_text(run.err, "first \\u001b[2J\\u009b\\u202e\nsecond\\u007f\n");
    close(listener);
}
END_TEST

START_TEST(signals_act_as_the_verbs_of_the_same_meaning)
{
    static const struct {
        int number;
        const char *verb;
    } rows[] = {{SIGHUP, "reload"}, {SIGUSR1, "reopen"}};
    static const int ends[] = {SIGTERM, SIGINT, SIGQUIT};

    for (size_t i = 0; i < 3; i++) {
        struct server *server = server_serve("", "method ping;");
        for (size_t r = 0; r < 2; r++)
            server_signal(server, rows[r].number);
        server_wait_log(server, "generation 2 serves");
        client_expect_alive(client_connect(server));
        server_signal(server, ends[i]);
        expect_ended(server);
    }
}
END_TEST

START_TEST(a_server_can_be_stopped_whatever_became_of_its_configuration)
{
    struct server *server = server_serve("", "method ping;");

    server_write(server, "conf/pillion.conf", "server { nonsense");
    struct run run = server_order(server, "stop");
    expect_ended(server);
    server = server_serve("", "method ping;");
    run = pillion("-s", "stop", "-p", server->prefix, "-c", "conf/tpyo.conf");
    expect_status(&run, 1);
    expect_part(run.err, "conf/tpyo.conf: No such file");
    client_expect_alive(client_connect(server));
    unlink(server->conf);
    run = server_order(server, "stop");
    expect_ended(server);
}
END_TEST

START_TEST(without_a_control_socket_the_signal_goes_to_the_process_of_the_pid_file)
{
    struct server *server = server_serve("", "method ping;");

    unlink(server_path(server, "run/pillion.control"));
    struct run run = server_order(server, "reload");
    expect_part(run.out, keep_printf("process %d", (int)server->pid));
    expect_part(run.out, "log");
    server_wait_log(server, "generation 2 serves");
    run = server_order(server, "stop");
    expect_ended(server);
}
END_TEST

START_TEST(a_second_server_in_the_same_place_is_refused)
{
    struct server *server = server_serve("", "method ping;");

    struct run run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "a server is running here already");
    client_expect_alive(client_connect(server));
    server_reload(server);
}
END_TEST

START_TEST(a_daemon_has_started_when_the_command_returns)
{
    struct server *server = server_new();

    server_conf(server, "daemon on;", "method ping;");
    struct run run = pillion("-p", server->prefix, "-g", "error_log logs/error.log info;");
    expect_status(&run, 0);
    server_detached(server);
    client_expect_alive(client_connect(server));
    server_reload(server);
    run = server_order(server, "stop");
    wait_until(!process_lives(server->group), "the daemon lives on");

    server_conf(server, "daemon on;", "method no.such;");
    run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "no.such");
}
END_TEST

E2E_MAIN("cli", version_and_build_are_printed, help_names_every_option_signal_and_command,
         help_fits_a_terminal_of_80_columns,
         unknown_words_are_refused_and_the_nearest_one_suggested,
         a_prefix_that_is_no_directory_is_refused, documentation_comes_from_the_program,
         a_full_disk_is_no_success,
         a_good_configuration_passes_the_test_and_a_running_server_is_not_touched,
         all_errors_are_shown_with_place_line_caret_and_suggestion,
         an_unprovided_method_is_an_error_that_lists_the_provided_ones,
         an_address_that_is_none_fails_the_test, a_missing_configuration_is_named,
         the_dump_shows_the_configuration_with_its_includes,
         other_files_and_relative_prefixes_can_be_named, another_file_serves_and_is_reloaded,
         signals_without_a_server_say_where_was_looked, a_reload_waits_for_its_outcome_and_tells_it,
         stop_and_quit_return_when_the_server_has_ended,
         a_control_sockets_answer_cannot_drive_the_terminal,
         signals_act_as_the_verbs_of_the_same_meaning,
         a_server_can_be_stopped_whatever_became_of_its_configuration,
         without_a_control_socket_the_signal_goes_to_the_process_of_the_pid_file,
         a_second_server_in_the_same_place_is_refused,
         a_daemon_has_started_when_the_command_returns)
