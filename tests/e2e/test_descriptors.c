/* What a module does to descriptors of its server: by libc it is stopped, around libc it is mended.
 * What it does to its own is its own affair. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METHODS "method ping; method breaks; method raw; method own; method child;"

/* With one server on a port and a Unix socket, and a log in a file. */
static struct server *serve(const char *main_text)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2;\nerror_log logs/error.log info;\nquarantine_crashes off;\n"
                 "load_module modules/ping.so;\nload_module modules/rpc.so;\n"
                 "load_module modules/descriptors.so;\n%s\n"
                 "server {\n    listen 127.0.0.1:%d;\n    listen unix:%s;\n    method rpc.stats;\n"
                 "    " METHODS "\n}\n",
                 main_text, server->port, server_path(server, "run/socket"));
    mkdir(server_path(server, "logs"), 0777);
    chmod(server_path(server, "run"), 0777);
    server_start(server);
    return server;
}

static const char *what(const char *kind, const char *call)
{
    return keep_printf("{\"kind\":\"%s\",\"call\":\"%s\"}", kind, call);
}

/* ---- By libc ---- */

START_TEST(a_call_that_breaks_a_descriptor_of_the_server_ends_its_worker_alone)
{
    static const struct {
        const char *kind, *call;
    } rows[] = {
        {"listener", "shutdown"},
        {"listener", "fcntl(F_SETFL)"},
        {"listener", "fcntl64(F_SETFL)"},
        {"listener", "ioctl(FIONBIO)"},
        {"listener", "ioctl(FIOASYNC)"},
        {"listener", "listen"},
        {"listener", "connect"},
        {"listener", "setsockopt"},
        {"listener", "close"},
        {"listener", "close_range"},
        {"listener", "dup2"},
        {"listener", "dup3"},
        {"unix", "shutdown"},
        {"client", "shutdown"},
        {"client", "fcntl(F_SETFL)"},
        {"channel", "shutdown"},
        {"channel", "ioctl(FIONBIO)"},
        {"log", "close"},
        {"log", "fcntl(F_SETFL)"},
    };
    const size_t count = sizeof(rows) / sizeof(*rows);
    struct server *server = serve("");
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
        server_wait_log(server, keep_printf("\"breaks\" called %s on descriptor", name));
        client_expect_alive(client);
    }
    for (int i = 0; i < 20; i++) {
        client_send(neighbours[i], "ng\",\"params\":1}", 15);
        client_expect(neighbours[i], "{\"out\":\"pong\",\"result\":1}");
    }
    client_expect_alive(client_connect(server));
    client_expect_alive(client_connect_unix(server_path(server, "run/socket")));
    ck_assert_int_eq((int)server_stat(server, "crashes"), (int)count);
}
END_TEST

/* A worker that accepts nothing for now does not watch the listeners. */
START_TEST(a_listener_is_the_servers_while_accepting_pauses)
{
    struct server *server = serve("worker_connections 1;");
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

START_TEST(a_module_does_to_its_own_descriptors_what_it_likes)
{
    struct server *server = serve("");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(client_ask(client, "{\"in\":\"own\"}"),
                         "{\"out\":\"own\",\"result\":true}");
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(a_child_closes_what_it_likes)
{
    struct server *server = serve("");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"child\"}");
    client_expect(client, "{\"out\":\"child\",\"result\":true}");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "which is the server's"));
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}
END_TEST

E2E_MAIN("descriptors", a_call_that_breaks_a_descriptor_of_the_server_ends_its_worker_alone,
         a_listener_is_the_servers_while_accepting_pauses,
         a_module_does_to_its_own_descriptors_what_it_likes, a_child_closes_what_it_likes)
