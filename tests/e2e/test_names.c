/* `listen` with a host name: looked up when the configuration is read, in limited time, with all
 * the addresses that the name has. Names that end in ".test" have those that a preloaded library
 * says (preload/names.c). */
#include "harness.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As server_conf has it, listening to `names` at the server's port. */
static void conf_names(const struct server *server, const char *main_text, const char *name)
{
    server_write(server, "conf/pillion.conf",
                 "worker_processes 2; load_module modules/ping.so; %s\n"
                 "server { listen %s:%d; method ping; }",
                 main_text, name, server->port);
}

static int connect_to(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool answers_at(const char *host, int port)
{
    static const char request[] = "\x0d\0\0\0{\"in\":\"ping\"}";
    char header[4];

    int fd = connect_to(host, port);
    bool good = fd >= 0 && send(fd, request, 17, MSG_NOSIGNAL) == 17 &&
                recv(fd, header, 4, MSG_WAITALL) == 4;
    if (fd >= 0)
        close(fd);
    return good;
}

static void expect_not_good(struct server *server, const char *words)
{
    struct run run = pillion("-t", "-p", server->prefix);

    expect_status(&run, 1);
    expect_part(run.err, words);
    run = pillion("-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, words);
}

START_TEST(localhost_is_every_address_that_it_has)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct server *server = server_new();
    int count = 0;

    conf_names(server, "", "localhost");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    server_start(server);
    client_expect_alive(client_connect(server));
    ck_assert_int_eq(getaddrinfo("localhost", keep_printf("%d", server->port), &hints, &found), 0);
    for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* ::1 may be in /etc/hosts of a machine that has no IPv6. */
        bool connected = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0;
        ck_assert(connected || a->ai_family == AF_INET6);
        count += connected;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    ck_assert_int_ge(count, 1);
    server_reload(server);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(an_unknown_name_is_an_error_with_its_place)
{
    struct server *server = server_new();

    conf_names(server, "lookup_timeout 5s;", "nosuch.invalid");
    expect_not_good(server,
                    keep_printf("conf/pillion.conf:2:17: \"nosuch.invalid:%d\": ", server->port));
    conf_names(server, "", "127.0.0.256");
    expect_not_good(server, "conf/pillion.conf:2:17: \"127.0.0.256:");
    server_write(server, "conf/pillion.conf",
                 "load_module modules/ping.so; server { listen localhost:%d; method ping; }\n"
                 "server { listen 127.0.0.1:%d; method ping; }",
                 server->port, server->port);
    expect_not_good(server, keep_printf("conf/pillion.conf:2:17: 127.0.0.1:%d is listened on "
                                        "already, by line 1",
                                        server->port));
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* its library has to come before all others */

static struct server *server_with_names(const char *names)
{
    struct server *server = server_new();

    server_write(server, "names", "%s", names);
    setenv("PILLION_NAMES", server_path(server, "names"), 1);
    setenv("LD_PRELOAD", keep_printf("%s/tests/e2e/names.so", getenv("PILLION_BUILD")), 1);
    return server;
}

START_TEST(a_name_is_looked_up_anew_by_a_reload)
{
    struct server *server = server_with_names("many.test 127.0.0.1 127.0.0.2 127.0.0.1\n");

    conf_names(server, "", "many.test");
    server_start(server);
    int kept = client_connect(server);
    client_expect_alive(kept);
    ck_assert(answers_at("127.0.0.2", server->port));
    ck_assert(!answers_at("127.0.0.3", server->port));
    server_write(server, "names", "many.test 127.0.0.1 127.0.0.3\n");
    server_reload(server);
    ck_assert(answers_at("127.0.0.1", server->port));
    ck_assert(answers_at("127.0.0.3", server->port));
    wait_until(!answers_at("127.0.0.2", server->port), "a former address is still served");
    client_expect_alive(kept);
    server_write(server, "names", "other.test 127.0.0.1\n");
    server_reload_refused(server, "conf/pillion.conf:2:17: \"many.test:");
    ck_assert(answers_at("127.0.0.3", server->port));
    client_expect_alive(kept);
}
END_TEST

START_TEST(addresses_of_other_machines_are_left_out_of_a_name)
{
    struct server *server = server_with_names("here.test 192.0.2.7 127.0.0.1\n"
                                              "there.test 192.0.2.7\n");

    conf_names(server, "", "here.test");
    server_start(server);
    client_expect_alive(client_connect(server));
    server_wait_log(server, keep_printf("is also 192.0.2.7:%d, which is no address of this machine",
                                        server->port));
    struct server *other = server_new();
    conf_names(other, "", "there.test");
    setenv("PILLION_NAMES", server_path(server, "names"), 1);
    expect_not_good(other, "which is no address of this machine");
}
END_TEST

/* However many name servers are silent, and however long. */
START_TEST(names_that_are_not_found_in_time_fail_the_reload_and_nothing_else)
{
    struct server *server = server_with_names("name.test 127.0.0.1\nslow.test hangs\n"
                                              "mute.test hangs\n");

    conf_names(server, "", "name.test");
    server_start(server);
    int kept = client_connect(server);
    pid_t children[16];
    size_t before = children_of(server->pid, children, 16);
    server_write(server, "conf/pillion.conf",
                 "lookup_timeout 300ms; load_module modules/ping.so;\n"
                 "server { listen slow.test:%d;\n listen mute.test:%d; method ping; }",
                 server->port, server->port);
    struct run run = server_ask(server, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "conf/pillion.conf:2:17: \"slow.test:");
    expect_part(run.err, "conf/pillion.conf:3:9: \"mute.test:");
    expect_part(run.err, "could not be looked up within 300 ms (lookup_timeout)");
    client_expect_alive(kept);
    /* What has looked up is ended, and gone as soon as it is reaped. */
    wait_until(children_of(server->pid, children, 16) == before, "a process that looks up is left");
}
END_TEST

#endif

E2E_MAIN("names", localhost_is_every_address_that_it_has, an_unknown_name_is_an_error_with_its_place
#ifndef __SANITIZE_ADDRESS__
         ,
         a_name_is_looked_up_anew_by_a_reload, addresses_of_other_machines_are_left_out_of_a_name,
         names_that_are_not_found_in_time_fail_the_reload_and_nothing_else
#endif
)
