/* A real HAProxy for end-to-end tests, which ends with the test. Its runtime socket is asked as its
 * management guide says (section 9.3). */
#ifndef PILLION_TESTS_HAPROXY_SERVER_H
#define PILLION_TESTS_HAPROXY_SERVER_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define HAPROXY "/usr/sbin/haproxy"

/* Starts it with `conf` behind defaults that suit a test. Its files are in the server's prefix. */
static inline pid_t haproxy_start(const struct server *server, const char *conf)
{
    server_write(server, "haproxy.cfg",
                 "global\n  stats socket %s level admin\n"
                 "defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 5m\n"
                 "  timeout server 5m\n%s",
                 server_path(server, "haproxy.sock"), conf);
    if (access(HAPROXY, X_OK) != 0)
        fail_test("there is no " HAPROXY ": make deps-test");
    return daemon_start(
        (const char *const[]){HAPROXY, "-db", "-f", server_path(server, "haproxy.cfg"), NULL},
        server_path(server, "haproxy.log"));
}

static inline int connect_when_there(int port)
{
    int client = -1;

    wait_until((client = client_try_connect(port)) >= 0, "haproxy does not come");
    return client;
}

/* What it answers to a command at its runtime socket. */
static inline const char *haproxy_ask(const struct server *server, const char *command)
{
    const char *path = server_path(server, "haproxy.sock"), *line = keep_printf("%s\n", command);
    int client = -1;

    /* It is there before it is listened to. */
    wait_until((client = client_try_connect_unix(path)) >= 0, "haproxy has no runtime socket");
    client_send(client, line, strlen(line));
    const char *said = client_receive_rest(client);
    close(client);
    return said;
}

/* The `column`th field of a line of comma-separated values. */
static inline const char *csv_field(const char *line, int column)
{
    for (; column > 0 && line != NULL; column--) {
        line += strcspn(line, ",\n");
        line = *line == ',' ? line + 1 : NULL;
    }
    return line == NULL ? "" : keep_printf("%.*s", (int)strcspn(line, ",\n"), line);
}

static inline int csv_column(const char *head, const char *name)
{
    int column = 0;

    for (; strcmp(csv_field(head, column), name) != 0; column++) {
        if (column > 200)
            fail_test("haproxy's statistics have no %s", name);
    }
    return column;
}

/* A field of `show stat` for a server of a backend: "status", "weight", "stot". "" when there is no
 * such server. */
static inline const char *haproxy_stat(const struct server *server, const char *backend,
                                       const char *name, const char *field)
{
    const char *all = haproxy_ask(server, "show stat"), *head = all + strspn(all, "# ");
    const char *found = strstr(all, keep_printf("\n%s,%s,", backend, name));

    return found == NULL ? "" : csv_field(found + 1, csv_column(head, field));
}

#endif
