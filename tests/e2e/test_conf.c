/* A configuration's effect on a running server: addresses, methods, modules, logs, limits. */
#include "harness.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const no_options[] = {NULL};

/* Another port that is free: that of a server that is never started. */
static int another_port(void)
{
    return free_port();
}

/* The server ends at once, with status 1, and says `words`. */
static void expect_no_start(struct server *server, const char *words)
{
    server_spawn(server, no_options);
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    expect_part(server_log(server), words);
}

/* ---- addresses ---- */

START_TEST(ipv4_ipv6_and_unix_addresses_are_served)
{
    struct server *server = server_new();
    struct stat status;
    int any = another_port();

    server_conf(server, "",
                keep_printf("method ping; listen *:%d; listen [::1]:%d backlog=16;"
                            " listen unix:run/p.sock;",
                            any, server->port));
    server_start(server);
    char *path = server_path(server, "run/p.sock");
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect_to(any));
    client_expect_alive(client_connect_v6(server->port));
    client_expect_alive(client_connect_unix(path));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0666);
    server_order(server, "stop");
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_unix_socket_that_was_left_behind_is_replaced_and_another_file_is_not)
{
    struct server *server = server_serve("", "method ping; listen unix:run/p.sock;");
    char *path = server_path(server, "run/p.sock");
    pid_t pids[16];

    size_t count = children_of(server->pid, pids, 16);
    kill(-server->group, SIGKILL);
    server_wait_exit(server, PATIENCE_MS);
    for (size_t i = 0; i < count; i++)
        wait_until(!process_lives(pids[i]), "a process outlives SIGKILL");
    ck_assert_int_eq(access(path, F_OK), 0);
    server_start(server);
    client_expect_alive(client_connect_unix(path));
    server_order(server, "stop");
    server_wait_exit(server, PATIENCE_MS);

    server_write(server, "run/p.sock", "precious");
    expect_no_start(server, "no socket, and would be lost");
    ck_assert_str_eq(file_read(path, NULL), "precious");
}
END_TEST

START_TEST(an_address_that_is_taken_is_named_with_its_place)
{
    struct server *first = server_serve("", "method ping;"), *second = server_new();

    second->port = first->port;
    server_conf(second, "", "method ping;");
    expect_no_start(second,
                    keep_printf("127.0.0.1:%d: another process listens there", first->port));
    expect_part(server_log(second), "conf/pillion.conf:");
    client_expect_alive(client_connect(first));
}
END_TEST

/* -t and a start give the same messages. */
static void expect_not_good(struct server *server, const char *words)
{
    struct run run = pillion("-t", "-p", server->prefix);

    expect_status(&run, 1);
    expect_part(run.err, words);
    expect_no_start(server, words);
}

START_TEST(addresses_that_get_in_each_others_way_are_named_with_both_lines)
{
    struct server *server = server_new();
    int port = server->port;

    server_write(server, "conf/pillion.conf",
                 "server { listen 127.0.0.1:%d; }\nserver { listen %d; }", port, port);
    expect_not_good(server, keep_printf("conf/pillion.conf:2:17: 0.0.0.0:%d and 127.0.0.1:%d, on "
                                        "line 1, cannot both be listened on",
                                        port, port));
    server_write(server, "conf/pillion.conf", "server { listen *:%d; }\nserver { listen %d; }",
                 port, port);
    expect_not_good(server,
                    keep_printf("conf/pillion.conf:2:17: 0.0.0.0:%d is listened on already, "
                                "by line 1",
                                port));
    /* Another family, another port, or each worker's queue its own: nothing in the way. */
    server_write(server, "conf/pillion.conf",
                 "load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d reuseport; listen [::]:%d; method ping; }\n"
                 "server { listen *:%d reuseport; listen %d; }",
                 port, port, port, another_port());
    server_start(server);
}
END_TEST

START_TEST(a_reload_onto_every_address_of_a_port_names_the_one_that_is_in_use)
{
    struct server *server = server_serve("", "method ping;");

    server_write(server, "conf/pillion.conf",
                 "load_module modules/ping.so;\nserver { listen %d; method ping; }", server->port);
    server_reload_refused(server,
                          keep_printf("conf/pillion.conf:2:17: 0.0.0.0:%d cannot be listened on, "
                                      "because this server listens on 127.0.0.1:%d",
                                      server->port, server->port));
    client_expect_alive(client_connect(server));
}
END_TEST

#define ZEROS_100                                        \
    "00000000000000000000000000000000000000000000000000" \
    "00000000000000000000000000000000000000000000000000"
#define ZEROS ZEROS_100 ZEROS_100 ZEROS_100 ZEROS_100 ZEROS_100 ZEROS_100 ZEROS_100 ZEROS_100

START_TEST(files_and_processors_that_cannot_be_had_are_found_by_the_test_with_their_place)
{
    static const struct {
        const char *statement, *says;
    } rows[] = {
        {"pid none/a.pid;",
         "conf/pillion.conf:1:5: the pid file, \"pid\", cannot be made: there is no directory "},
        {"pid run;", "conf/pillion.conf:1:5: the pid file, \"pid\", cannot be made: "},
        {"control none/c;",
         "conf/pillion.conf:1:9: the control socket, \"control\", cannot be made: there is no "},
        {"working_directory none;", "conf/pillion.conf:1:19: workers cannot go to the "
                                    "working_directory "},
        {"error_log none/e.log;", "conf/pillion.conf:1:11: the log, \"error_log\", cannot be "
                                  "opened: there is no directory "},
        {"error_log run;", "conf/pillion.conf:1:11: the log, \"error_log\", cannot be opened: "},
        {"worker_cpu_affinity 1 1" ZEROS ";", "conf/pillion.conf:1:23: \"10000000000"},
        {"arena_size 1m;", "conf/pillion.conf:1:12: arena_size is 1048576 bytes, but frames of "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *server = server_new();
        server_write(server, "conf/pillion.conf", "%s server { listen 127.0.0.1:%d; }",
                     rows[i].statement, server->port);
        expect_not_good(server, rows[i].says);
        ck_assert_int_ne(access(server_path(server, "run/pillion.pid"), F_OK), 0);
    }
    struct server *server = server_new();
    server_write(server, "conf/pillion.conf", "server { listen 127.0.0.1:%d; }", server->port);
    ck_assert_int_eq(rmdir(server_path(server, "run")), 0);
    expect_not_good(server, "conf/pillion.conf: the pid file, \"pid\", cannot be made");
}
END_TEST

START_TEST(a_unix_socket_that_cannot_be_made_has_a_place)
{
    static const struct {
        const char *path, *says;
    } rows[] = {
        {"run", " is a directory and no socket, and would be lost"},
        {"data.db", " is a regular file and no socket, and would be lost"},
        {"none/s", ": there is no directory "},
        {"run/c", " is the control socket (\"control\") already"},
        {"run/p", " is the pid file (\"pid\") already"},
        {"conf/pillion.conf", " is the configuration, which would be spoiled"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *server = server_new();
        server_write(server, "data.db", "precious");
        server_write(server, "conf/pillion.conf",
                     "pid run/p; control run/c;\nserver { listen 127.0.0.1:%d;\nlisten unix:%s; }",
                     server->port, rows[i].path);
        const char *says = keep_printf("conf/pillion.conf:3:8: cannot listen on unix:%s",
                                       server_path(server, rows[i].path));
        expect_not_good(server, says);
        expect_not_good(server, rows[i].says);
    }
    /* A server that runs has its sockets already. */
    struct server *server = server_new();
    server_conf(server, "",
                keep_printf("method ping; listen unix:%s;", server_path(server, "run/s")));
    server_start(server);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    server_conf(server, "control run/s;",
                keep_printf("method ping; listen unix:%s;", server_path(server, "run/s")));
    server_signal(server, SIGHUP); /* `pillion -s` asks where the configuration says */
    server_wait_log(server, " is the control socket (\"control\") already");
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(each_server_block_has_its_own_methods_and_limits)
{
    struct server *server = server_new();
    int other = another_port();

    server_conf(
        server,
        keep_printf("server { listen 127.0.0.1:%d; max_frame 64; method rpc.list; }", other),
        "method ping;");
    server_start(server);
    int client = client_connect(server), stranger = client_connect_to(other);
    client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"rpc.list\"}");
    client_expect_error(client, "method_not_found");
    client_send_frame(stranger, "{\"in\":\"ping\"}");
    client_expect_error(stranger, "method_not_found");
    client_send_frame(stranger, "{\"in\":\"rpc.list\"}");
    const cJSON *list = cJSON_GetObjectItem(client_receive_json(stranger), "result");
    ck_assert_int_eq(cJSON_GetArraySize(list), 1);
    client_announce(stranger, 65);
    client_expect_error(stranger, "frame_too_large");
    client_expect_end(stranger);
    client_announce(client, 65);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_reload_adds_and_removes_addresses)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server), other = another_port();

    client_expect_alive(client);
    server_conf(server, "", keep_printf("method ping; listen 127.0.0.1:%d;", other));
    server_reload(server);
    client_expect_alive(client_connect_to(other));
    client_expect_alive(client);
    server_conf(server, "", "method ping;");
    server_reload(server);
    /* The old workers, which have it too, may take a moment to end. */
    wait_until(client_try_connect(other) < 0, "the removed address is still listened on");
    client_expect_alive(client);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_reload_onto_an_address_that_is_taken_leaves_everything_as_it_was)
{
    struct server *server = server_serve("", "method ping;"),
                  *other = server_serve("", "method ping;");
    int client = client_connect(server), third = another_port();

    client_expect_alive(client);
    server_conf(
        server, "",
        keep_printf("method ping; listen 127.0.0.1:%d; listen 127.0.0.1:%d;", third, other->port));
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, keep_printf("127.0.0.1:%d", other->port));
    expect_part(run.err, "conf/pillion.conf:");
    ck_assert_int_lt(client_try_connect(third), 0);
    client_expect_alive(client);
    client_expect_alive(client_connect(other));
}
END_TEST

/* ---- methods and modules ---- */

/* `count` methods, each on a line of its own. */
static char *many_methods(const char *name, int count)
{
    struct buffer text = {0};

    for (int i = 0; i < count; i++) {
        const char *line = keep_printf("method %s%d { handler ping.ping; }\n", name, i);
        buffer_add(&text, line, strlen(line));
    }
    buffer_add(&text, "", 1);
    return keep(text.data);
}

/* rpc.stats is one of them; the 1021st of the others is too many. */
START_TEST(more_methods_than_there_may_be_are_refused_where_the_first_of_them_stands)
{
    struct server *server = server_new();

    server_conf(server, "", many_methods("m", 1020));
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    server_conf(server, "", keep_printf("\n%s", many_methods("m", 1100)));
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err,
                ":8: \"m1020\" is one method too many: there may be 1021 of different names");
    /* The same names elsewhere are no more methods. */
    server_conf(
        server,
        keep_printf("server { listen 127.0.0.1:%d; %s }", another_port(), many_methods("m", 1000)),
        many_methods("m", 1018));
    server_start(server);
}
END_TEST

START_TEST(methods_of_a_configuration_that_failed_do_not_count)
{
    static const char fails[] = "load_module modules/check_fails.so;";
    struct server *server =
        server_serve("", keep_printf("method ping; %s", many_methods("a", 600)));

    for (int i = 0; i < 3; i++) {
        server_conf(server, fails,
                    keep_printf("method ping; %s", many_methods(keep_printf("b%d_", i), 400)));
        server_reload_refused(server, "the moon is full");
    }
    server_conf(server, "", keep_printf("method ping; %s", many_methods("c", 400)));
    server_reload(server);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"c399\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    server_conf(server, "", keep_printf("method ping; %s", many_methods("d", 400)));
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err,
                "those of former configurations counted, and there can be no more; restart");
    /* The next binary, which may be the same, forgets them. */
    run = server_ask(server, "upgrade");
    expect_status(&run, 0);
    client_send_frame(client, "{\"in\":\"d399\"}");
    client_expect(client, "{\"out\":\"pong\",\"result\":null}");
    expect_part(server_log(server), "all counters begin again");
}
END_TEST

START_TEST(a_method_can_be_given_another_name)
{
    struct server *server = server_serve("", "method 'echo this' { handler ping.ping; }");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"echo this\",\"params\":[1]}");
    client_expect(client, "{\"out\":\"pong\",\"result\":[1]}");
    client_send_frame(client, "{\"in\":\"ping\"}");
    client_expect_error(client, "method_not_found");
}
END_TEST

START_TEST(a_module_gets_its_own_directives_and_a_reload_brings_new_ones)
{
    static const char *const request = "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}";
    struct server *server =
        server_serve("load_module modules/hello.so { greeting 'Good morning'; }", "method greet;");
    int client = client_connect(server);

    client_send_frame(client, request);
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Good morning, Ada!\"}");
    server_conf(server, "load_module modules/hello.so { greeting Ahoy; mood calm; }",
                "method greet;");
    server_reload(server);
    client_send_frame(client, request);
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Ahoy, Ada.\"}");
    server_conf(server, "load_module modules/hello.so { greting Ahoy; }", "method greet;");
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "conf/pillion.conf:5:32: ");
    expect_part(run.err, "did you mean \"greeting\"?");
    client_send_frame(client, request);
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Ahoy, Ada.\"}");
}
END_TEST

START_TEST(a_module_loaded_twice_is_an_error)
{
    struct server *server = server_new();

    file_copy(server_path(server, "modules/ping.so"), server_path(server, "modules/other.so"));
    server_conf(server, "load_module modules/other.so;", "method ping;");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "other.so");
    expect_part(run.err, "\"ping\"");
}
END_TEST

START_TEST(a_module_that_is_missing_or_no_module_is_named)
{
    struct server *server = server_new();

    server_conf(server, "load_module modules/nowhere.so;", "");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "nowhere.so");
    expect_part(run.err, "No such file or directory");
    server_write(server, "modules/text.so", "this is text\n");
    server_conf(server, "load_module modules/text.so;", "");
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "text.so");
    expect_part(run.err, "ELF");
}
END_TEST

/* ---- where directives come from ---- */

START_TEST(includes_are_read_sorted_and_where_they_stand)
{
    struct server *server = server_new();
    int other = another_port();

    mkdir(server_path(server, "conf/servers"), 0755);
    server_write(server, "conf/servers/x.conf",
                 "server { listen 127.0.0.1:%d; include conf/methods; }", other);
    server_write(server, "conf/servers/ignored.txt", "nonsense");
    server_write(server, "conf/methods", "method ping;");
    server_conf(server, "include conf/servers/*.conf;", "include conf/methods;");
    server_start(server);
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect_to(other));
}
END_TEST

START_TEST(directives_of_the_command_line_override_the_file_through_reloads)
{
    struct server *server = server_new();
    pid_t pids[8];

    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "worker_processes 3;", NULL});
    ck_assert_uint_eq(server_workers(server, pids, 8), 3);
    server_reload(server);
    wait_until(server_workers(server, pids, 8) == 3, "there are not three workers");
}
END_TEST

START_TEST(the_number_of_workers_changes_with_a_reload_and_connections_stay)
{
    static const int counts[] = {1, 4, 2, 3};
    struct server *server = server_serve("", "method ping;");
    int clients[40];
    pid_t pids[16];

    for (int i = 0; i < 40; i++)
        clients[i] = client_connect(server);
    for (size_t c = 0; c < 4; c++) {
        char *conf = file_read(server->conf, NULL);
        char *digit = strstr(conf, "worker_processes ") + strlen("worker_processes ");
        *digit = (char)('0' + counts[c]);
        file_write(server->conf, conf, strlen(conf));
        server_reload(server);
        for (int i = 0; i < 40; i++)
            client_expect_alive(clients[i]);
        wait_until(server_workers(server, pids, 16) == (size_t)counts[c],
                   "there are not %d workers", counts[c]);
    }
}
END_TEST

/* ---- logs ---- */

/* Every line of it is whole. The number. */
static int count_lines(const char *log, bool json)
{
    int count = 0;

    for (const char *line = log; *line != '\0'; count++) {
        const char *end = strchr(line, '\n');
        if (end == NULL)
            fail_test("the last line of a log is cut off: %s", line);
        cJSON *tree = json ? cJSON_ParseWithLength(line, (size_t)(end - line)) : NULL;
        bool good = json ? cJSON_IsObject(tree) : strncmp(line, "20", 2) == 0;
        cJSON_Delete(tree);
        if (!good)
            fail_test("this is no line of a log: %.*s", (int)(end - line), line);
        line = end + 1;
    }
    return count;
}

START_TEST(the_log_can_be_a_file_and_each_line_json)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    server_start_with(server,
                      (const char *const[]){"-g", "error_log logs/error.log info json;", NULL});
    server_reload(server);
    char *log = server_wait_log(server, "generation 2 serves");
    ck_assert_int_ge(count_lines(log, true), 5);
    ck_assert_str_eq(file_read(server_path(server, "logs/stderr.log"), NULL), "");
}
END_TEST

START_TEST(a_log_that_is_moved_away_and_reopened_loses_no_line)
{
    struct server *server = server_new();
    struct buffer all = {0};

    server_conf(server, "", "method ping;");
    server_start_with(server, (const char *const[]){"-g", "error_log logs/error.log info;", NULL});
    char *log = server_path(server, "logs/error.log");
    for (int i = 2; i < 8; i++) {
        char *old = keep_printf("%s.%d", log, i);
        ck_assert_int_eq(rename(log, old), 0);
        /* Nothing is lost that is logged between the move and the reopening. */
        server_signal(server, SIGUSR1);
        server_reload(server);
        server_order(server, "reopen");
        expect_part(file_read(log, NULL), "the log was opened anew");
        char *text = file_read(old, NULL);
        buffer_add(&all, text, strlen(text));
    }
    char *text = file_read(log, NULL);
    buffer_add(&all, text, strlen(text) + 1);
    for (int i = 1; i < 8; i++)
        expect_part(all.data, keep_printf("generation %d serves", i));
    count_lines(all.data, false);
    free(all.data);
}
END_TEST

START_TEST(workers_write_to_the_log_that_was_reopened)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; worker_connections 3;\n"
                 "error_log logs/error.log info;\n"
                 "load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    server_start(server);
    char *log = server_path(server, "logs/error.log");
    rename(log, server_path(server, "logs/old"));
    server_order(server, "reopen");
    for (int i = 0; i < 5; i++)
        client_connect(server);
    server_wait_log(server, "worker_connections");
    expect_part(file_read(log, NULL), "worker 0");
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_anew_is_said_and_goes_on)
{
    struct server *server = server_new();

    server_conf(server, "", "method ping;");
    mkdir(server_path(server, "own"), 0777);
    server_start_with(server, (const char *const[]){"-g", "error_log own/error.log info;", NULL});
    char *own = server_path(server, "own"), *away = server_path(server, "away");
    ck_assert_int_eq(rename(own, away), 0);
    struct run run = server_ask(server, "reopen");
    expect_status(&run, 1);
    expect_part(run.err, "master: the log stays where it was: cannot open the log ");
    expect_part(run.err, "own/error.log: No such file or directory");
    ck_assert_int_eq(rename(away, own), 0);
    run = server_order(server, "reopen");
    expect_part(file_read(server_path(server, "own/error.log"), NULL),
                "the log stays where it was");
}
END_TEST

/* ---- limits ---- */

START_TEST(a_worker_that_is_full_leaves_connections_waiting_until_one_is_closed)
{
    struct server *server = server_new();
    int clients[5];

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; worker_connections 5;\n"
                 "load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    server_start(server);
    for (int i = 0; i < 5; i++) {
        clients[i] = client_connect(server);
        client_expect_alive(clients[i]);
    }
    int waiting = client_connect(server);
    client_send_frame(waiting, "{\"in\":\"ping\",\"params\":\"at last\"}");
    server_wait_log(server, "worker_connections");
    for (int i = 0; i < 5; i++)
        client_expect_alive(clients[i]);
    ck_assert(client_is_silent(waiting));
    close(clients[3]);
    client_expect(waiting, "{\"out\":\"pong\",\"result\":\"at last\"}");
}
END_TEST

START_TEST(out_of_descriptors_accepting_pauses_and_goes_on)
{
    struct server *server = server_new();
    int clients[100];

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; worker_rlimit_nofile 64;\n"
                 "load_module modules/ping.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    server_start(server);
    for (int i = 0; i < 100; i++) {
        clients[i] = client_connect(server);
        client_send_frame(clients[i], "{\"in\":\"ping\",\"params\":\"alive\"}");
    }
    server_wait_log(server, "accepting pauses");
    for (int i = 0; i < 100; i++) {
        client_expect(clients[i], "{\"out\":\"pong\",\"result\":\"alive\"}");
        close(clients[i]);
    }
}
END_TEST

START_TEST(an_idle_connection_is_closed_only_when_that_is_wanted)
{
    struct server *server = server_new();
    int other = another_port();

    server_conf(server,
                keep_printf("server { listen 127.0.0.1:%d; idle_timeout 3s; method ping; }", other),
                "method ping;");
    server_start(server);
    int patient = client_connect(server), idle = client_connect_to(other);
    client_expect_alive(patient);
    client_expect_alive(idle);
    client_expect_end(idle);
    client_expect_alive(patient);
}
END_TEST

/* ---- processes ---- */

static char *proc_line(pid_t pid, const char *file, const char *name)
{
    char *text = file_read(keep_printf("/proc/%d/%s", (int)pid, file), NULL);
    char *line = strstr(text, name);

    if (line == NULL)
        fail_test("/proc/%d/%s has no %s", (int)pid, file, name);
    return keep_printf("%.*s", (int)strcspn(line, "\n"), line);
}

START_TEST(the_pid_file_and_the_titles_identify_each_process)
{
    struct server *server = server_serve("", "method ping;");
    pid_t pids[8];

    ck_assert_int_eq(atoi(file_read(server_path(server, "run/pillion.pid"), NULL)), server->pid);
    expect_part(proc_line(server->pid, "cmdline", "pillion"), "master");
    size_t count = server_workers(server, pids, 8);
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < count; i++) {
        char *title = proc_line(pids[i], "cmdline", "pillion");
        expect_part(title, keep_printf("worker %zu", i));
        expect_part(title, "generation 1");
    }
    server_reload(server);
    wait_until(server_workers(server, pids, 8) == 2, "there are not two workers");
    expect_part(proc_line(pids[0], "cmdline", "pillion"), "generation 2");
}
END_TEST

START_TEST(workers_have_no_privileges)
{
    struct server *server = server_serve("", "method ping;");
    pid_t pids[8];

    size_t count = server_workers(server, pids, 8);
    for (size_t i = 0; i < count; i++) {
        int user = -1, privileges = -1;
        sscanf(proc_line(pids[i], "status", "Uid:"), "Uid: %d", &user);
        sscanf(proc_line(pids[i], "status", "NoNewPrivs:"), "NoNewPrivs: %d", &privileges);
        ck_assert_int_eq(privileges, 1);
        ck_assert_int_ge(user, 0);
        if (geteuid() == 0)
            ck_assert_int_ne(user, 0);
        else
            ck_assert_int_eq(user, (int)geteuid());
    }
}
END_TEST

START_TEST(workers_are_bound_to_the_processors_of_their_masks)
{
    struct server *server = server_serve("worker_cpu_affinity 1;", "method ping;");
    pid_t pids[8];

    size_t count = server_workers(server, pids, 8);
    for (size_t i = 0; i < count; i++) {
        char *line = proc_line(pids[i], "status", "Cpus_allowed_list:");
        ck_assert_str_eq(line, "Cpus_allowed_list:\t0");
    }
}
END_TEST

START_TEST(the_examples_are_good)
{
    const char *pattern = keep_printf("%s/conf/examples/*.conf", getenv("PILLION_BUILD"));
    struct server *server = server_new(); /* for its modules */
    glob_t found;

    mkdir(server_path(server, "run/access"), 0777);
    chmod(server_path(server, "run/access"), 0777); /* for the access log of workers, as nobody */
    ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct run run = pillion("-t", "-p", server->prefix, "-c", found.gl_pathv[i]);
        expect_part(run.err, "is good");
        expect_status(&run, 0);
    }
    ck_assert_uint_ge(found.gl_pathc, 6);
    globfree(&found);
}
END_TEST

/* What the module says of its own directives points at them, wherever they stand. */
START_TEST(modules_check_their_directives)
{
    static const struct {
        const char *block, *at, *words;
    } wrong[] = {
        {"word x; even 3;", ":2:", "\"even\": 3 is odd"},
        {"list a b c; even 2;", ":2:", "\"list\": the module gave no reason"},
        {"list a b;\nlist c;\nlist d; even 2;", ":3:6:", "\"list\": the module gave no reason"},
        {"even 4;\nword bad;", ":3:6:", "\"bad\" with 4"},
        {"even 4;\nword lost;", ":1:", "there is no list"},
    };
    static const char *const places[][2] = {
        {"load_module modules/picky.so {\n%s\n}", "server { listen 127.0.0.1:1; }"},
        {"load_module modules/picky.so; server { listen 127.0.0.1:1; method give {\n%s\n} }", ""},
        {"load_module modules/picky.so; server { listen 127.0.0.1:1; filter picky {\n%s\n} }", ""},
    };
    struct server *server = server_new();

    for (size_t p = 0; p < sizeof(places) / sizeof(*places); p++) {
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
            const char *cut = strstr(places[p][0], "%s");
            server_write(server, "conf/pillion.conf", "%.*s%s%s %s\n", (int)(cut - places[p][0]),
                         places[p][0], wrong[i].block, cut + 2, places[p][1]);
            struct run run = pillion("-t", "-p", server->prefix);
            expect_status(&run, 1);
            expect_part(run.err, wrong[i].words);
            expect_part(run.err, keep_printf("conf/pillion.conf%s", wrong[i].at));
        }
        const char *cut = strstr(places[p][0], "%s");
        server_write(server, "conf/pillion.conf", "%.*s even 2; word good; list a; %s %s\n",
                     (int)(cut - places[p][0]), places[p][0], cut + 2, places[p][1]);
        struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 0);
    }
}
END_TEST

E2E_MAIN("conf", modules_check_their_directives, the_examples_are_good,
         ipv4_ipv6_and_unix_addresses_are_served,
         a_unix_socket_that_was_left_behind_is_replaced_and_another_file_is_not,
         an_address_that_is_taken_is_named_with_its_place,
         addresses_that_get_in_each_others_way_are_named_with_both_lines,
         a_reload_onto_every_address_of_a_port_names_the_one_that_is_in_use,
         files_and_processors_that_cannot_be_had_are_found_by_the_test_with_their_place,
         a_unix_socket_that_cannot_be_made_has_a_place,
         each_server_block_has_its_own_methods_and_limits, a_reload_adds_and_removes_addresses,
         a_reload_onto_an_address_that_is_taken_leaves_everything_as_it_was,
         more_methods_than_there_may_be_are_refused_where_the_first_of_them_stands,
         methods_of_a_configuration_that_failed_do_not_count, a_method_can_be_given_another_name,
         a_module_gets_its_own_directives_and_a_reload_brings_new_ones,
         a_module_loaded_twice_is_an_error, a_module_that_is_missing_or_no_module_is_named,
         includes_are_read_sorted_and_where_they_stand,
         directives_of_the_command_line_override_the_file_through_reloads,
         the_number_of_workers_changes_with_a_reload_and_connections_stay,
         the_log_can_be_a_file_and_each_line_json,
         a_log_that_is_moved_away_and_reopened_loses_no_line,
         workers_write_to_the_log_that_was_reopened,
         a_log_that_cannot_be_opened_anew_is_said_and_goes_on,
         a_worker_that_is_full_leaves_connections_waiting_until_one_is_closed,
         out_of_descriptors_accepting_pauses_and_goes_on,
         an_idle_connection_is_closed_only_when_that_is_wanted,
         the_pid_file_and_the_titles_identify_each_process, workers_have_no_privileges,
         workers_are_bound_to_the_processors_of_their_masks)
