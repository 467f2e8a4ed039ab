/* Behind a balancer: PROXY headers tell who the client is, and a client's address is its own
 * whichever worker has the connection. A real HAProxy says it, and tests that write the bytes
 * themselves say what HAProxy never would. */
#include "certificates.h"
#include "haproxy_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULES "load_module modules/peer.so; load_module modules/crash.so;"
#define METHODS "method ping; method peer; method peer_later; method crash { handler crash.null; } "

#define V1                              "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n"
#define V2_TO(command_and_family, size) "\r\n\r\n\0\r\nQUIT\n" command_and_family "\0" size
#define V2                                             \
    V2_TO("!\x11", "\x15")                             \
    "\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\xca\x1f\x90" \
    "\x02\0\x06"                                       \
    "b.test"

/* Sends a string literal's bytes. */
#define SEND(client, literal) client_send(client, literal, sizeof(literal) - 1)

/* A server with one worker that listens at two ports, the second behind balancers; `more` is in its
 * server block. */
static struct server *serve(int port, const char *more)
{
    struct server *server = server_serve_alone(
        MODULES, keep_printf(METHODS "listen 127.0.0.1:%d proxy_protocol; %s", port, more));

    server->reports_allowed = true; /* a method ends its worker */
    return server;
}

/* What the client's own end says. */
static const char *own_address(int client)
{
    struct sockaddr_in own;
    socklen_t size = sizeof(own);

    ck_assert_int_eq(getsockname(client, (struct sockaddr *)&own, &size), 0);
    return keep_printf("127.0.0.1:%d", ntohs(own.sin_port));
}

static const char *told(int client, const char *method, const char *what)
{
    client_send_frame(client, keep_printf("{\"in\":\"%s\"}", method));
    const cJSON *result = cJSON_GetObjectItem(client_receive_json(client), "result");
    const cJSON *item = cJSON_GetObjectItem(result, what);
    ck_assert_ptr_nonnull(item);
    return cJSON_IsString(item) ? item->valuestring : "null";
}

#define expect_told(client, what, text) ck_assert_str_eq(told(client, "peer", what), text)

/* The worker dies of one connection's request. */
static void crash(const struct server *server)
{
    int other = client_connect(server);

    client_send_frame(other, "{\"in\":\"crash\"}");
    client_expect_error(other, "module_crashed");
    close(other);
}

/* ---- HAProxy ---- */

static const char *frontend(int port, const char *bind, int to, const char *options)
{
    return keep_printf("listen p%d\n  bind 127.0.0.1:%d %s\n  server s 127.0.0.1:%d %s\n", port,
                       port, bind, to, options);
}

/* With either version, through what replaces a worker, and for requests that wait meanwhile. */
START_TEST(behind_haproxy_the_address_is_the_clients_whichever_worker_answers)
{
    int behind = free_port(), ports[] = {free_port(), free_port()}, clients[2];
    struct server *server = serve(behind, "proxy_from 127.0.0.0/8;");
    pid_t haproxy = haproxy_start(
        server, keep_printf("%s%s", frontend(ports[0], "", behind, "send-proxy check inter 100"),
                            frontend(ports[1], "", behind,
                                     "send-proxy-v2 proxy-v2-options crc32c,unique-id check "
                                     "check-send-proxy inter 100")));

    for (int i = 0; i < 2; i++) {
        clients[i] = connect_when_there(ports[i]);
        expect_told(clients[i], "peer", own_address(clients[i]));
        expect_told(clients[i], "sni", "null");
    }
    server_reload(server);
    for (int i = 0; i < 2; i++)
        expect_told(clients[i], "peer", own_address(clients[i]));
    crash(server);
    for (int i = 0; i < 2; i++) {
        expect_told(clients[i], "peer", own_address(clients[i]));
        client_send_frame(clients[i], "{\"in\":\"peer_later\"}");
    }
    wait_until(server_stat(server, "connections.deferred") >= 2, "no request waits");
    crash(server);
    for (int i = 0; i < 2; i++) {
        expect_part(client_receive(clients[i], NULL), own_address(clients[i]));
        expect_told(clients[i], "peer", own_address(clients[i]));
    }
    server_reload(server);
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(told(clients[i], "peer_later", "peer"), own_address(clients[i]));
    ck_assert(!server_logged(server, "PROXY header"));
    daemon_end(haproxy);
}
END_TEST

/* One request through TLS, by openssl's client. Its input stays open until the reply has come. */
static const char *ask_through_tls(const struct server *server, int port, const char *options)
{
    static const char body[] = "\x0d\0\0\0{\"in\":\"peer\"}";
    const char *line =
        keep_printf("cd %s && { cat ask; while ! grep -q '\"out\"' answer; do sleep "
                    "0.1; done; } | openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:%d "
                    "%s >answer 2>tls.log; cat answer",
                    server->prefix, port, options);

    file_write(server_path(server, "ask"), body, sizeof(body) - 1);
    file_write(server_path(server, "answer"), "", 0);
    return run_command((const char *const[]){"/bin/sh", "-c", line, NULL}, NULL, PATIENCE_MS).out +
           4;
}

START_TEST(what_haproxy_knows_of_a_tls_session_reaches_the_module)
{
    int behind = free_port(), port = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.1;");

    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "client one", "DNS:client", "authority");
    tls_make(server, "stranger", "DNS:stranger", NULL);
    const char *authority = server_path(server, "tls/authority.pem");
    server_write(server, "pair.pem", "%s%s", file_read(authority, NULL),
                 file_read(server_path(server, "tls/authority.key"), NULL));
    const char *bind = keep_printf("ssl crt %s ca-file %s verify optional crt-ignore-err all "
                                   "ca-ignore-err all alpn pillion/1,http/1.1",
                                   server_path(server, "pair.pem"), authority);
    pid_t haproxy = haproxy_start(
        server, frontend(port, bind, behind,
                         "send-proxy-v2 proxy-v2-options ssl,cert-cn,authority,crc32c"));
    close(connect_when_there(port));

    const char *reply = ask_through_tls(
        server, port,
        "-servername b.test -alpn pillion/1 -cert 'tls/client one.pem' -key 'tls/client one.key'");
    expect_part(reply, "\"sni\":\"b.test\",\"alpn\":\"pillion/1\",\"cn\":\"client one\"");
    expect_part(reply, "\"other\":null");
    /* HAProxy is told to let anybody's certificate pass, and names it; its name is nobody's. */
    expect_part(ask_through_tls(server, port,
                                "-servername b.test -cert tls/stranger.pem -key tls/stranger.key"),
                "\"sni\":\"b.test\",\"alpn\":null,\"cn\":null");
    expect_part(ask_through_tls(server, port, "-noservername"),
                "\"sni\":null,\"alpn\":null,\"cn\":null");
    daemon_end(haproxy);
}
END_TEST

/* ---- Headers, byte by byte ---- */

static const struct {
    const char *header;
    size_t size;
    const char *peer, *sni; /* NULL: the balancer's own address */
} headers[] = {
    {V1, sizeof(V1) - 1, "192.0.2.1:50122", "null"},
    {"PROXY UNKNOWN\r\n", 15, NULL, "null"},
    {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", 32, "[2001:db8::1]:1", "null"},
    {V2, sizeof(V2) - 1, "192.0.2.1:50122", "b.test"},
    {V2_TO(" \0", "\0"), 16, NULL, "null"},
};
#define HEADERS (sizeof(headers) / sizeof(*headers))

static void expect_header(int client, size_t i)
{
    expect_told(client, "peer", headers[i].peer != NULL ? headers[i].peer : own_address(client));
    expect_told(client, "sni", headers[i].sni);
}

START_TEST(a_header_may_come_in_any_pieces)
{
    int behind = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.1; proxy_timeout 10m;");

    (void)server;
    for (size_t i = 0; i < HEADERS; i++) {
        struct buffer both = {0};
        int client = client_connect_to(behind), whole = client_connect_to(behind),
            parts = client_connect_to(behind);

        for (size_t n = 0; n < headers[i].size; n++) {
            client_send(client, headers[i].header + n, 1);
            look_again();
        }
        expect_header(client, i);
        client_send(parts, headers[i].header, headers[i].size);
        look_again();
        expect_header(parts, i);
        /* In one piece with two requests. */
        buffer_add(&both, headers[i].header, headers[i].size);
        buffer_add_frame(&both, "{\"in\":\"ping\",\"params\":1}");
        buffer_add_frame(&both, "{\"in\":\"ping\",\"params\":2}");
        client_send(whole, both.data, both.size);
        client_expect(whole, "{\"out\":\"pong\",\"result\":1}");
        client_expect(whole, "{\"out\":\"pong\",\"result\":2}");
        expect_header(whole, i);
        free(both.data);
        /* What the client speaks is told by what follows the header. */
        static const char line[] = "{\"in\":\"ping\"}\n",
                          pong[] = "{\"out\":\"pong\",\"result\":null}\n";
        int lines = client_connect_to(behind);
        client_send(lines, headers[i].header, headers[i].size);
        client_exchange(lines, line, sizeof(line) - 1, 1, pong, sizeof(pong) - 1);
    }
}
END_TEST

/* As it would be told without a balancer: see test_strangers.c. */
START_TEST(a_client_of_another_protocol_is_told_so_behind_a_header_too)
{
    static const char hello[] = "\x16\x03\x01\x02\0\1\0\1\xfc\3\3";
    int behind = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.1;");

    for (size_t i = 0; i < HEADERS; i++) {
        int client = client_connect_to(behind);
        client_send(client, headers[i].header, headers[i].size);
        client_send(client, hello, sizeof(hello) - 1);
        expect_part(client_receive_rest(client), "not TLS");
    }
    server_wait_log(server, "the client 192.0.2.1:50122 speaks TLS at 127.0.0.1:");
}
END_TEST

/* A header with the name in a certificate that the balancer has verified. */
#define V2_CN(name)                                    \
    V2_TO("!\x11", "\x18")                             \
    "\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\xca\x1f\x90" \
    "\x20\0\x09\7\0\0\0\0"                             \
    "\x22\0\1" name

static int connect_as(int port, const char *header, size_t size)
{
    int client = client_connect_to(port);

    client_send(client, header, size);
    return client;
}

/* The address is the same for all of them. A name is counted by for as long as its request is under
 * way, also when its client is gone by then. */
START_TEST(names_in_certificates_have_limits_of_their_own)
{
    int behind = free_port();
    struct server *server = server_serve_alone(
        MODULES "load_module modules/limit.so; zone limits 1m;",
        keep_printf("method ping { filter limit { zone limits; rate 1/h; burst 2; key cn; } }"
                    "method peer_later { filter limit { zone limits; concurrency 1; key cn; } }"
                    "listen 127.0.0.1:%d proxy_protocol; proxy_from 127.0.0.1;",
                    behind));
    int one = connect_as(behind, V2_CN("a"), sizeof(V2_CN("a")) - 1),
        two = connect_as(behind, V2_CN("a"), sizeof(V2_CN("a")) - 1),
        other = connect_as(behind, V2_CN("b"), sizeof(V2_CN("b")) - 1),
        nobody = connect_as(behind, V1, sizeof(V1) - 1);

    client_expect_alive(one);
    client_expect_alive(two);
    client_send_frame(one, "{\"in\":\"ping\"}");
    client_expect_error(one, "limited");
    client_expect_alive(other);
    client_expect_alive(nobody);

    for (int i = 0; i < 3; i++) {
        int gone = connect_as(behind, V2_CN("a"), sizeof(V2_CN("a")) - 1);
        wait_until(strstr(client_ask(gone, "{\"in\":\"peer_later\"}"), "limited") == NULL,
                   "what was under way is counted for ever");
        client_send_frame(gone, "{\"in\":\"peer_later\"}");
        wait_until(strstr(client_ask(two, "{\"in\":\"peer_later\"}"), "limited") != NULL,
                   "another one is not refused");
        client_vanish(gone);
    }
    (void)server;
}
END_TEST

START_TEST(a_header_in_pieces_outlives_workers)
{
    int behind = free_port(), clients[HEADERS];
    struct server *server = serve(behind, "proxy_from 127.0.0.1; proxy_timeout 10m;");

    for (size_t i = 0; i < HEADERS; i++) {
        clients[i] = client_connect_to(behind);
        client_send(clients[i], headers[i].header, 1);
    }
    wait_until(server_stat(server, "connections.open") >= HEADERS, "they are not accepted");
    server_reload(server);
    for (size_t i = 0; i < HEADERS; i++)
        client_send(clients[i], headers[i].header + 1, 6);
    crash(server);
    for (size_t i = 0; i < HEADERS; i++)
        client_send(clients[i], headers[i].header + 7, headers[i].size - 7);
    server_reload(server);
    for (size_t i = 0; i < HEADERS; i++)
        expect_header(clients[i], i);
}
END_TEST

/* A connection is of the kind that it was when it came. */
START_TEST(a_reload_that_changes_the_listener_changes_no_connection)
{
    int port = free_port();
    struct server *server = serve(port, "proxy_from 127.0.0.1; proxy_timeout 10m;");
    int proxied = client_connect_to(port), half = client_connect_to(port);

    SEND(proxied, V1);
    expect_told(proxied, "peer", "192.0.2.1:50122");
    SEND(half, "PROXY TCP4 ");
    wait_until(server_stat(server, "connections.open") >= 3, "they are not accepted");
    server_conf(server, MODULES, keep_printf(METHODS "listen 127.0.0.1:%d;", port));
    server_reload(server);
    int plain = client_connect_to(port), silent = client_connect_to(port);
    expect_told(plain, "peer", own_address(plain));
    wait_until(server_stat(server, "connections.open") >= 5, "they are not accepted");
    expect_told(proxied, "peer", "192.0.2.1:50122");
    SEND(half, "192.0.2.9 192.0.2.2 1 8080\r\n");
    expect_told(half, "peer", "192.0.2.9:1");
    server_conf(
        server, MODULES,
        keep_printf(METHODS "listen 127.0.0.1:%d proxy_protocol; proxy_from 127.0.0.1;", port));
    server_reload(server);
    expect_told(plain, "peer", own_address(plain));
    expect_told(silent, "peer", own_address(silent));
    expect_told(half, "peer", "192.0.2.9:1");
}
END_TEST

START_TEST(logs_show_what_was_told)
{
    int behind = free_port();
    struct server *server = server_new();

    mkdir(server_path(server, "access"), 0777);
    chmod(server_path(server, "access"), 0777);
    server_conf(server, "load_module modules/access_log.so;",
                keep_printf("method ping { filter access_log { path access/a.log; buffer 0;"
                            "  format '<$peer $sni $cn>'; } }"
                            "listen 127.0.0.1:%d proxy_protocol; proxy_from 127.0.0.1;",
                            behind));
    server_start_alone(server);
    int told = client_connect_to(behind), plain = client_connect(server);
    SEND(told, V2);
    client_expect_alive(told);
    client_expect_alive(plain);
    const char *path = server_path(server, "access/a.log"),
               *line = keep_printf("<%s - ->\n", own_address(plain));
    wait_until(strstr(file_read(path, NULL), line) != NULL, "no line says %s", line);
    expect_part(file_read(path, NULL), "<192.0.2.1:50122 b.test ->\n");
}
END_TEST

/* ---- What is refused ---- */

START_TEST(a_connection_without_a_header_is_closed_and_the_log_says_why)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *why;
    } wrong[] = {
        {"\x0d\0\0\0{\"in\":\"peer\"}", 17, "it does not begin as one does"},
        {"GET / HTTP/1.1\r\n\r\n", 18, "it does not begin as one does"},
        {"PROXY TCP4 192.0.2.1\r\n", 22, "its line has not the form of"},
        {V2_TO("1\x11", "\0"), 16, "its version is neither 1 nor 2"},
    };
    int behind = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.1;");
    int good = client_connect_to(behind);

    SEND(good, V1);
    expect_told(good, "peer", "192.0.2.1:50122");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        int client = client_connect_to(behind);
        const char *line = keep_printf("127.0.0.1:%d: %s sent no PROXY header, with which each "
                                       "connection begins there (proxy_protocol): %s",
                                       behind, own_address(client), wrong[i].why);
        client_send(client, wrong[i].bytes, wrong[i].size);
        wait_until(client_is_closed(client), "the connection stays open");
        server_wait_log(server, line);
    }
    /* What connects and leaves, as a health check does, is nothing to tell of. */
    close(client_connect_to(behind));
    expect_told(good, "peer", "192.0.2.1:50122");
    server_reload(server);
    expect_told(good, "peer", "192.0.2.1:50122");
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(a_header_has_to_come_in_its_time_however_it_drips)
{
    int behind = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.1; proxy_timeout 2s;");
    int good = client_connect_to(behind), silent = client_connect_to(behind),
        slow = client_connect_to(behind);

    SEND(good, V1);
    expect_told(good, "peer", "192.0.2.1:50122");
    for (size_t n = 0; !client_is_closed(slow) && n < 40; n++) {
        client_try_send(slow, n == 0 ? "PROXY UNKNOWN " : "x", n == 0 ? 14 : 1);
        for (int64_t until = deadline_in(200); !deadline_over(until);)
            look_again();
    }
    wait_until(client_is_closed(slow) && client_is_closed(silent), "they stay open");
    server_wait_log(server,
                    keep_printf("127.0.0.1:%d: %s sent no whole PROXY header within 2000 ms "
                                "(proxy_timeout)",
                                behind, own_address(silent)));
    expect_told(good, "peer", "192.0.2.1:50122");
}
END_TEST

START_TEST(only_balancers_may_connect)
{
    int behind = free_port();
    struct server *server = serve(behind, "proxy_from 127.0.0.64/26 ::1;");
    int stranger = client_connect_to(behind);

    wait_until(client_is_closed(stranger), "the connection stays open");
    server_wait_log(server, keep_printf("127.0.0.1:%d: %s is not among the balancers, which alone "
                                        "may connect there (proxy_from)",
                                        behind, own_address(stranger)));

    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("127.0.0.65")},
                       to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)behind),
                             .sin_addr.s_addr = inet_addr("127.0.0.1")};
    int balancer = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(balancer, (struct sockaddr *)&own, sizeof(own)), 0);
    ck_assert_int_eq(connect(balancer, (struct sockaddr *)&to, sizeof(to)), 0);
    SEND(balancer, V1);
    expect_told(balancer, "peer", "192.0.2.1:50122");
    server_conf(
        server, MODULES,
        keep_printf(METHODS "listen 127.0.0.1:%d proxy_protocol; proxy_from 0.0.0.0/0;", behind));
    server_reload(server);
    expect_told(balancer, "peer", "192.0.2.1:50122");
    int client = client_connect_to(behind);
    SEND(client, V2);
    expect_told(client, "peer", "192.0.2.1:50122");
    close(balancer);
}
END_TEST

START_TEST(a_unix_socket_needs_no_list_of_balancers)
{
    struct server *server =
        server_serve_alone(MODULES, METHODS "listen unix:run/behind.sock proxy_protocol;");
    int client = client_connect_unix(server_path(server, "run/behind.sock"));

    SEND(client, V2);
    expect_told(client, "peer", "192.0.2.1:50122");
    expect_told(client, "sni", "b.test");
    int own = client_connect_unix(server_path(server, "run/behind.sock"));
    client_send(own, V2_TO(" \0", "\0"), 16);
    expect_told(own, "peer", "unix:");
    server_reload(server);
    expect_told(client, "peer", "192.0.2.1:50122");
    expect_told(own, "peer", "unix:");
}
END_TEST

START_TEST(a_port_without_a_list_of_balancers_is_an_error)
{
    struct server *server = server_serve_alone("", "method ping;");

    server_conf(server, "", "method ping; listen 127.0.0.1:2 proxy_protocol;");
    server_reload_refused(server,
                          "\"listen 127.0.0.1:2\" with proxy_protocol needs \"proxy_from\"");
    server_conf(server, "", "method ping; proxy_from 10.0.0.1/8;");
    server_reload_refused(server, "\"10.0.0.1/8\" has more bits than the 8 of the network");
}
END_TEST

E2E_MAIN("balancer", behind_haproxy_the_address_is_the_clients_whichever_worker_answers,
         what_haproxy_knows_of_a_tls_session_reaches_the_module, a_header_may_come_in_any_pieces,
         a_client_of_another_protocol_is_told_so_behind_a_header_too,
         names_in_certificates_have_limits_of_their_own, a_header_in_pieces_outlives_workers,
         a_reload_that_changes_the_listener_changes_no_connection, logs_show_what_was_told,
         a_connection_without_a_header_is_closed_and_the_log_says_why,
         a_header_has_to_come_in_its_time_however_it_drips, only_balancers_may_connect,
         a_unix_socket_needs_no_list_of_balancers, a_port_without_a_list_of_balancers_is_an_error)
