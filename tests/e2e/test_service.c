/* Under a service manager: what it is told (sd_notify(3)), and sockets that it passes
 * (sd_listen_fds(3)). */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- News ---- */

#define NAME_OFFSET offsetof(struct sockaddr_un, sun_path)

/* A socket as a service manager has it. `name` is a path, or begins with @. The servers that this
 * test starts are told of it. */
static int manager_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_uint_lt(size, sizeof(address.sun_path));
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(NAME_OFFSET + size)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next news. */
static const char *news(int manager)
{
    char text[4096];
    ssize_t size = -1;

    wait_until((size = recv(manager, text, sizeof(text) - 1, 0)) >= 0, "there are no news");
    return keep_printf("%.*s", (int)size, text);
}

static struct server *managed(const char *name, int *manager)
{
    struct server *server = server_new();

    *manager = manager_at(name[0] == '@' ? name : server_path(server, name));
    server_conf(server, "", "method ping;");
    server_start(server);
    return server;
}

/* Waits for the end of a reload, or of a start. */
static void expect_ready(int manager, const struct server *server, const char *status)
{
    const char *text = news(manager);

    expect_part(text, keep_printf("READY=1\nMAINPID=%d\nSTATUS=%s", (int)server->pid, status));
    ck_assert_ptr_null(strchr(strstr(text, "STATUS="), '\n'));
}

START_TEST(the_manager_is_told_of_start_reloads_upgrade_and_end)
{
    int manager;
    struct server *server = managed("run/notify", &manager);

    expect_ready(manager, server, "generation 1 serves: 2 workers");
    int64_t before = now_ms();
    server_reload(server);
    const char *text = news(manager);
    expect_part(text, "RELOADING=1\nMONOTONIC_USEC=");
    int64_t at = atoll(strstr(text, "USEC=") + strlen("USEC=")) / 1000;
    ck_assert_int_ge(at, before);
    ck_assert_int_le(at, now_ms());
    expect_ready(manager, server, "generation 2 serves");

    server_write(server, "conf/pillion.conf", "nonsense;");
    server_reload_refused(server, "nonsense");
    expect_part(news(manager), "RELOADING=1\n");
    expect_ready(manager, server, "the last reload failed: ");

    server_conf(server, "", "method ping;");
    server_order(server, "upgrade");
    expect_part(news(manager), "RELOADING=1\n");
    expect_ready(manager, server, "generation 3 serves");

    server_order(server, "quit");
    expect_part(news(manager), "STOPPING=1\nEXTEND_TIMEOUT_USEC=32000000\n");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(a_start_that_fails_is_never_ready)
{
    struct server *server = server_new();
    int manager = manager_at(server_path(server, "run/notify"));

    server_conf(server, "load_module modules/start_fails.so;", "");
    server_spawn(server, (const char *const[]){NULL});
    ck_assert_int_ne(server_wait_exit(server, PATIENCE_MS), 0);
    expect_part(news(manager), "STOPPING=1\n");
    ck_assert_int_lt(recv(manager, &(char){0}, 1, 0), 0);
}
END_TEST

START_TEST(abstract_names_are_told_too)
{
    int manager;
    struct server *server = managed(keep_printf("@pillion-test-%d", (int)getpid()), &manager);

    expect_ready(manager, server, "generation 1 serves");
}
END_TEST

START_TEST(a_manager_that_is_gone_or_never_reads_is_no_harm)
{
    int manager;
    struct server *server = managed("run/notify", &manager);

    for (int i = 0; i < 30; i++) /* net.unix.max_dgram_qlen is 10 or a little more */
        server_reload(server);
    close(manager);
    server_reload(server);
    server_wait_log(server, "the service manager cannot be told news (NOTIFY_SOCKET): ");
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_name_that_is_no_socket_is_said)
{
    struct server *server = server_new();

    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    server_conf(server, "", "method ping;");
    server_start(server);
    server_wait_log(server, "NOTIFY_SOCKET is \"vsock:2:1234\", which is no path and no @name");
}
END_TEST

static bool beaten(int manager)
{
    bool beats = false;
    char text[256];
    ssize_t size;

    while ((size = recv(manager, text, sizeof(text) - 1, 0)) >= 0) {
        text[size] = '\0';
        beats = beats || strcmp(text, "WATCHDOG=1") == 0;
    }
    return beats;
}

START_TEST(a_watchdog_is_answered_also_after_an_upgrade)
{
    int manager;

    setenv("WATCHDOG_USEC", "200000", 1);
    struct server *server = managed("run/notify", &manager);
    for (int i = 0; i < 3; i++)
        wait_until(beaten(manager), "the watchdog hears nothing");
    server_order(server, "upgrade");
    beaten(manager);
    wait_until(beaten(manager), "the watchdog hears nothing after an upgrade");
}
END_TEST

START_TEST(a_watchdog_of_another_process_is_not_answered)
{
    int manager;

    setenv("WATCHDOG_USEC", "1000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    struct server *server = managed("run/notify", &manager);
    server_reload(server);
    ck_assert(!beaten(manager));
}
END_TEST

/* ---- Sockets ---- */

/* Starts the server as systemd does, with these descriptors from 3 on. */
static void start_with_sockets(struct server *server, const int *sockets, int count)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int log = open(server_path(server, "logs/stderr.log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
        char number[16];
        setpgid(0, 0);
        dup2(log, STDERR_FILENO);
        for (int i = 0; i < count; i++) /* away from their targets */
            ((int *)(uintptr_t)sockets)[i] = fcntl(sockets[i], F_DUPFD_CLOEXEC, 100);
        for (int i = 0; i < count; i++)
            dup2(sockets[i], 3 + i);
        snprintf(number, sizeof(number), "%d", (int)getpid());
        setenv("LISTEN_PID", number, 1);
        snprintf(number, sizeof(number), "%d", count);
        setenv("LISTEN_FDS", number, 1);
        execl(pillion_binary(), pillion_binary(), "-p", server->prefix, (char *)NULL);
        _exit(127);
    }
    setpgid(pid, pid);
    server_started_as(server, pid);
}

/* A socket that listens at the server's Unix path. */
static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    return fd;
}

/* A server for two sockets of a manager's, a port and a path, that has not been started. */
static struct server *activated(int sockets[2])
{
    struct server *server = server_new();
    char *address;

    sockets[0] = listen_anywhere(&address);
    server->port = atoi(strchr(address, ':') + 1);
    sockets[1] = listen_unix(server_path(server, "run/p.sock"));
    server_conf(server, "", "listen unix:run/p.sock; method ping;");
    return server;
}

START_TEST(clients_that_came_before_the_server_are_served)
{
    int sockets[2], early[2];
    struct server *server = activated(sockets);

    early[0] = client_connect(server);
    early[1] = client_connect_unix(server_path(server, "run/p.sock"));
    start_with_sockets(server, sockets, 2);
    for (int i = 0; i < 2; i++)
        client_expect_alive(early[i]);

    /* The server ends, and the next one finds those that came meanwhile. */
    server_order(server, "quit");
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    early[0] = client_connect(server);
    early[1] = client_connect_unix(server_path(server, "run/p.sock"));
    start_with_sockets(server, sockets, 2);
    for (int i = 0; i < 2; i++)
        client_expect_alive(early[i]);
}
END_TEST

START_TEST(passed_sockets_are_kept_over_reloads_and_upgrades)
{
    int sockets[2];
    struct server *server = activated(sockets);
    int other = free_port();
    const char *conf = keep_printf("worker_processes 2; error_log stderr info; load_module "
                                   "modules/ping.so; load_module modules/rpc.so; server { listen "
                                   "127.0.0.1:%d; method ping; }",
                                   other);

    start_with_sockets(server, sockets, 2);
    server_wait_ready(server);
    for (int round = 0; round < 2; round++) {
        server_write(server, "conf/pillion.conf", "%s", conf); /* without them */
        server_reload(server);
        int waiting = client_connect(server);
        server_conf(server, "", "listen unix:run/p.sock reuseport; method ping;");
        server_reload(server);
        client_expect_alive(waiting);
        client_expect_alive(client_connect_unix(server_path(server, "run/p.sock")));
        if (round == 0) {
            server_order(server, "upgrade");
        }
    }
}
END_TEST

START_TEST(a_socket_that_no_listen_names_is_said)
{
    int sockets[2];
    struct server *server = activated(sockets);

    server_conf(server, "", "method ping;");
    start_with_sockets(server, sockets, 2);
    server_wait_ready(server);
    server_wait_log(server, keep_printf("listens on unix:%s/run/p.sock, which no `listen` names",
                                        server->prefix));
}
END_TEST

START_TEST(a_descriptor_that_does_not_listen_is_refused)
{
    int sockets[2];
    struct server *server = activated(sockets);

    close(sockets[1]);
    sockets[1] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    start_with_sockets(server, sockets, 2);
    ck_assert_int_ne(server_wait_exit(server, PATIENCE_MS), 0);
    server_wait_log(server, "descriptor 4, which the server was started with (LISTEN_FDS), is no "
                            "listening stream socket");
}
END_TEST

START_TEST(variables_for_another_process_are_not_taken)
{
    struct server *server = server_new();

    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "7", 1);
    server_conf(server, "", "method ping;");
    server_start(server);
}
END_TEST

START_TEST(the_tool_of_systemd_activates_it)
{
    static const char tool[] = "/usr/bin/systemd-socket-activate";
    struct server *server = server_new();

    if (access(tool, X_OK) != 0) {
        fprintf(stderr, "skipped: there is no %s\n", tool);
        return;
    }
    server_conf(server, "", "method ping;");
    server_run(server, (const char *const[]){tool, "-l", keep_printf("127.0.0.1:%d", server->port),
                                             pillion_binary(), "-p", server->prefix, NULL});
    server_wait_ready(server);
    client_expect_alive(client_connect(server));
}
END_TEST

E2E_MAIN("service", the_manager_is_told_of_start_reloads_upgrade_and_end,
         a_start_that_fails_is_never_ready, abstract_names_are_told_too,
         a_manager_that_is_gone_or_never_reads_is_no_harm, a_name_that_is_no_socket_is_said,
         a_watchdog_is_answered_also_after_an_upgrade,
         a_watchdog_of_another_process_is_not_answered,
         clients_that_came_before_the_server_are_served,
         passed_sockets_are_kept_over_reloads_and_upgrades, a_socket_that_no_listen_names_is_said,
         a_descriptor_that_does_not_listen_is_refused, variables_for_another_process_are_not_taken,
         the_tool_of_systemd_activates_it)
