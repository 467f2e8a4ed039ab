/* A module's calls on descriptors of its server: calls of libc are stopped, and the damage of calls
 * around libc is mended. The module may do anything to its own descriptors. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METHODS                                                                                   \
    "method ping; method breaks; method raw; method pooled; method threaded; method own; method " \
    "child; method streams; method prints;"

/* With one server on a port and a Unix socket, and a log in a file. */
static void configure(const struct server *server, int workers, const char *directives,
                      const char *main_text)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes %d;\nerror_log logs/error.log info;\nquarantine_crashes off;\n"
                 "load_module modules/ping.so;\nload_module modules/rpc.so;\n"
                 "load_module modules/descriptors.so { %s }\n%s\n"
                 "server {\n    listen 127.0.0.1:%d;\n    listen unix:%s;\n    method rpc.stats;\n"
                 "    " METHODS "\n}\n",
                 workers, directives, main_text, server->port, server_path(server, "run/socket"));
}

static struct server *serve(int workers, const char *main_text)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    configure(server, workers, "", main_text);
    mkdir(server_path(server, "logs"), 0777);
    chmod(server_path(server, "run"), 0777);
    server_start(server);
    return server;
}

static const char *what(const char *kind, const char *call)
{
    return keep_printf("{\"kind\":\"%s\",\"call\":\"%s\"}", kind, call);
}

/* ---- Standard streams ---- */

/* The next connections would have their descriptors, and what is printed would be sent there. */
START_TEST(printed_output_never_reaches_a_client)
{
    struct server *server = serve(1, "");
    int client = client_connect(server), others[5];

    client_send_frame(client, "{\"in\":\"streams\"}");
    client_expect(client, "{\"out\":\"streams\",\"result\":true}");
    for (int i = 0; i < 5; i++) {
        others[i] = client_connect(server);
        client_expect_alive(others[i]);
    }
    client_send_frame(client, "{\"in\":\"prints\"}");
    client_expect(client, "{\"out\":\"prints\",\"result\":24}");
    for (int i = 0; i < 5; i++)
        client_expect_alive(others[i]);
    server_reload(server);
    for (int i = 0; i < 5; i++)
        client_expect_alive(others[i]);
}
END_TEST

static bool has_streams(int client)
{
    client_send_frame(client, "{\"in\":\"prints\"}");
    return strstr(client_receive(client, NULL), "\"result\":24}") != NULL;
}

/* Without another client, too. */
START_TEST(standard_streams_that_a_module_has_closed_come_back)
{
    struct server *server = serve(1, "heartbeat_timeout 1s;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"streams\"}");
    client_expect(client, "{\"out\":\"streams\",\"result\":true}");
    wait_until(has_streams(client), "they stay closed");
}
END_TEST

/* The log is standard error, and a file of the module's takes its place. */
START_TEST(a_line_of_the_log_arrives_after_standard_error_is_closed)
{
    struct server *server = server_serve("load_module modules/descriptors.so;",
                                         "method ping; method streams; method mute;");

    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"streams\"}");
    client_expect(client, "{\"out\":\"streams\",\"result\":true}");
    client_send_frame(client, "{\"in\":\"mute\"}");
    client_receive_json(client);
    server_wait_log(server, "\"mute\" returned without an answer");
    client_expect_alive(client);
}
END_TEST

/* ---- By libc ---- */

START_TEST(a_call_that_breaks_a_descriptor_of_the_server_ends_its_worker_alone)
{
    static const struct {
        const char *kind, *call;
        int times; /* that the log has the call's name then */
    } rows[] = {
        {"listener", "shutdown", 1},
        {"listener", "fcntl(F_SETFL)", 1},
        {"listener", "fcntl64(F_SETFL)", 2},
        {"listener", "ioctl(FIONBIO)", 1},
        {"listener", "ioctl(FIOASYNC)", 1},
        {"listener", "listen", 1},
        {"listener", "connect", 1},
        {"listener", "setsockopt", 1},
        {"listener", "close", 1},
        {"listener", "close_range", 1},
        {"listener", "dup2", 1},
        {"listener", "dup3", 1},
        {"unix", "shutdown", 2},
        {"client", "shutdown", 3},
        {"client", "fcntl(F_SETFL)", 3},
        {"channel", "shutdown", 4},
        {"channel", "ioctl(FIONBIO)", 2},
        {"log", "close", 2},
        {"log", "fcntl(F_SETFL)", 4},
    };
    const size_t count = sizeof(rows) / sizeof(*rows);
    struct server *server = serve(2, "");
    int neighbours[20], client = client_connect(server);

    for (int i = 0; i < 20; i++) {
        neighbours[i] = client_connect(server);
        client_send(neighbours[i], "\x18\0\0\0{\"in\":\"pi", 13);
    }
    for (size_t i = 0; i < count; i++) {
        client_send_frame(client, keep_printf("{\"in\":\"breaks\",\"params\":%s}",
                                              what(rows[i].kind, rows[i].call)));
        client_expect_error(client, "module_crashed");
        const char *name =
            strcmp(rows[i].call, "fcntl64(F_SETFL)") == 0 ? "fcntl(F_SETFL)" : rows[i].call;
        server_wait_log_times(server, keep_printf("\"breaks\" called %s on descriptor", name),
                              rows[i].times);
        client_expect_alive(client);
    }
    for (int i = 0; i < 20; i++) {
        client_send(neighbours[i], "ng\",\"params\":1}", 15);
        client_expect(neighbours[i], "{\"out\":\"pong\",\"result\":1}");
    }
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect_unix(server_path(server, "run/socket")));
    /* The client has its answer before the last worker's end is counted. */
    wait_until((size_t)server_stat(server, "crashes") >= count, "an end is not counted");
    ck_assert_uint_eq((size_t)server_stat(server, "crashes"), count);
}
END_TEST

START_TEST(a_thread_is_stopped_as_a_handler_is)
{
    static const char *const methods[] = {"pooled", "threaded"};
    struct server *server = serve(2, "");
    int client = client_connect(server);

    for (size_t i = 0; i < 2; i++) {
        client_send_frame(
            client, keep_printf("{\"in\":\"%s\",\"params\":{\"call\":\"shutdown\"}}", methods[i]));
        client_expect_error(client, "module_crashed");
        client_expect_alive(client_connect(server));
        ck_assert_int_eq((int)server_calls(server, methods[i], "errors"), 1);
    }
    server_wait_log(server, "module descriptors: a thread called shutdown on descriptor");
    server_wait_log(server, "module ?: a thread called shutdown on descriptor");
}
END_TEST

START_TEST(a_hook_is_stopped_as_a_handler_is)
{
    struct server *server = serve(2, "");
    int client = client_connect(server);

    configure(server, 2, "start_breaks on;", "");
    server_reload_refused(server, "descriptors.so crashed while running its start hook (SIGABRT)");
    expect_part(server_log(server), "called shutdown on descriptor");
    client_expect_alive(client);
    client_expect_alive(client_connect(server));
}
END_TEST

/* A worker that accepts nothing for now does not watch the listeners. */
START_TEST(a_listener_is_the_servers_while_accepting_pauses)
{
    struct server *server = serve(2, "worker_connections 1;");
    int client = client_connect(server);

    client_expect_alive(client);
    for (int i = 0; i < 3; i++) {
        client_send_frame(
            client, keep_printf("{\"in\":\"breaks\",\"params\":%s}", what("listener", "shutdown")));
        client_expect_error(client, "module_crashed");
        client_expect_alive(client);
    }
    close(client);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_module_may_close_and_replace_its_own_descriptors)
{
    struct server *server = serve(2, "");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(client_ask(client, "{\"in\":\"own\"}"),
                         "{\"out\":\"own\",\"result\":true}");
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(a_child_of_a_module_may_close_any_descriptor)
{
    struct server *server = serve(2, "");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"child\"}");
    client_expect(client, "{\"out\":\"child\",\"result\":true}");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "which is the server's"));
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}
END_TEST

/* ---- Around libc ---- */

/* Does it to all descriptors of that kind in the worker of `client`, which is answered. */
static void raw(int client, const char *kind, const char *call)
{
    const cJSON *reply;

    client_send_frame(client, keep_printf("{\"in\":\"raw\",\"params\":%s}", what(kind, call)));
    reply = client_receive_json(client);
    ck_assert_double_ge(cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "result")), 1);
}

static bool is_open(const struct server *server)
{
    int client = client_try_connect(server->port);

    if (client >= 0)
        close(client);
    return client >= 0;
}

/* Clients that came before are served all the while. */
static void expect_served(const struct server *server, int client)
{
    for (int i = 0; i < 8; i++) {
        client_expect_alive(client_connect(server));
        client_expect_alive(client_connect_unix(server_path(server, "run/socket")));
    }
    client_expect_alive(client);
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}

START_TEST(a_port_that_is_shut_down_listens_again)
{
    static const char *const calls[] = {"shutdown", "connect"};
    struct server *server = serve(2, "heartbeat_timeout 500ms;");
    int client = client_connect(server);

    for (size_t i = 0; i < 2; i++) {
        raw(client, "listener", calls[i]);
        wait_until(is_open(server), "nobody listens after %s", calls[i]);
        expect_served(server, client);
    }
    server_wait_log(server, "shut the listening socket down, for all workers, by a system call; it "
                            "listens again");
    ck_assert(!server_logged(server, "tcp_mem"));
}
END_TEST

START_TEST(a_reload_listens_again_on_a_socket_that_was_shut_down)
{
    struct server *server = serve(2, "heartbeat_timeout off;");
    int client = client_connect(server);

    for (int i = 0; i < 2; i++) {
        raw(client, "listener", "shutdown");
        raw(client, "unix", "shutdown");
        ck_assert(!is_open(server));
        client_expect_alive(client);
        server_reload(server);
        expect_served(server, client);
    }
    server_wait_log(server, keep_printf("cannot accept on 127.0.0.1:%d, which does not listen any "
                                        "more: a module has shut it down",
                                        server->port));
    server_wait_log(server, "run/socket, which does not listen any more");
    server_wait_log(server, "it listens again");
    server_wait_log(server, "its file is made anew");
}
END_TEST

START_TEST(an_upgrade_listens_again_on_a_socket_that_was_shut_down)
{
    struct server *server = serve(2, "heartbeat_timeout off;");
    int client = client_connect(server);

    raw(client, "listener", "shutdown");
    raw(client, "unix", "shutdown");
    ck_assert(!is_open(server));
    server_order(server, "upgrade");
    expect_served(server, client);
}
END_TEST

/* One that is lost holds up nobody who comes by another. */
START_TEST(the_other_listeners_go_on)
{
    struct server *server = serve(2, "heartbeat_timeout 500ms;");
    int client = client_connect(server);

    raw(client, "unix", "shutdown");
    server_wait_log(server, "a reload makes it anew");
    for (int i = 0; i < 8; i++)
        client_expect_alive(client_connect(server));
    server_reload(server);
    expect_served(server, client);
}
END_TEST

START_TEST(a_socket_that_blocks_holds_nobody_up)
{
    static const char *const kinds[] = {"listener", "unix", "client", "channel"};
    struct server *server = serve(2, "heartbeat_timeout off;");
    pid_t before[2], after[2];
    int client = client_connect(server);

    ck_assert_uint_eq(server_workers(server, before, 2), 2);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        raw(client, kinds[i], "fcntl(F_SETFL)");
        expect_served(server, client);
    }
    ck_assert_uint_eq(server_workers(server, after, 2), 2);
    ck_assert_mem_eq(before, after, sizeof(before));
    server_reload(server);
    expect_part(server_log(server), "has cleared O_NONBLOCK of the listening socket");
    expect_served(server, client);
}
END_TEST

static bool is_replaced(const struct server *server)
{
    return server_logged(server, "gives no sign of life (heartbeat_timeout)");
}

/* It waits in accept(2) for a client that never comes. */
START_TEST(a_worker_that_waits_in_a_system_call_is_replaced)
{
    struct server *server = serve(1, "heartbeat_timeout 500ms;");
    int client = client_connect(server);

    /* The master may undo it before a worker has a client to accept: then once more. A client that
     * was accepted just before the wait is in no vault yet. */
    for (int i = 0; i < 3 && !is_replaced(server); i++) {
        raw(client, "listener", "wait");
        client_connect(server);
        for (int64_t until = deadline_in(PATIENCE_MS); !is_replaced(server);) {
            if (deadline_over(until))
                break;
            look_again();
        }
    }
    ck_assert(is_replaced(server));
    /* It is gone: what connects from now on is not accepted by it. */
    server_wait_log(server, "of worker 0 were taken over");
    server_wait_log(server, "has cleared O_NONBLOCK of the listening socket");
    expect_served(server, client);
    ck_assert_int_ge((int)server_stat(server, "hangs"), 1);
}
END_TEST

/* What it accepts then would be in no vault, and lost by a reload. */
START_TEST(a_worker_that_is_cut_off_from_a_vault_is_replaced)
{
    struct server *server = serve(1, "");
    int before = client_connect(server);
    pid_t workers[2];

    ck_assert_uint_eq(server_workers(server, workers, 2), 1);
    client_call(before, "raw", what("vault", "shutdown")); /* it may be ended within that */
    wait_until(!process_lives(workers[0]), "the worker is not ended");
    int after = client_connect(server);
    client_expect_alive(after);
    server_wait_log(server, keep_printf("(pid %d) is cut off from the vault", (int)workers[0]));
    server_reload(server);
    client_expect_alive(before);
    client_expect_alive(after);
    ck_assert_int_eq((int)server_stat(server, "vault_restarts"), 0);
}
END_TEST

E2E_MAIN("descriptors", printed_output_never_reaches_a_client,
         standard_streams_that_a_module_has_closed_come_back,
         a_line_of_the_log_arrives_after_standard_error_is_closed,
         a_call_that_breaks_a_descriptor_of_the_server_ends_its_worker_alone,
         a_thread_is_stopped_as_a_handler_is, a_hook_is_stopped_as_a_handler_is,
         a_listener_is_the_servers_while_accepting_pauses,
         a_module_may_close_and_replace_its_own_descriptors,
         a_child_of_a_module_may_close_any_descriptor, a_port_that_is_shut_down_listens_again,
         a_reload_listens_again_on_a_socket_that_was_shut_down,
         an_upgrade_listens_again_on_a_socket_that_was_shut_down, the_other_listeners_go_on,
         a_socket_that_blocks_holds_nobody_up, a_worker_that_waits_in_a_system_call_is_replaced,
         a_worker_that_is_cut_off_from_a_vault_is_replaced)
