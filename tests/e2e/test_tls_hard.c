/* TLS where it is hard: what the gate refuses and what it counts, clients that are not friends, and
 * balancers in front. The clients are openssl(1), OpenSSL, and tests that write the bytes
 * themselves. */
#include "tls_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

static int free_port(void)
{
    return server_new()->port;
}

/* A server of `gates` gates; `listen` follows its address, and `more` is in its server block. */
static struct server *serve_as(int *port, int gates, const char *listen, const char *more)
{
    struct server *server = server_new();

    *port = free_port();
    tls_make(server, "localhost", "DNS:localhost,IP:127.0.0.1", NULL);
    server_conf(server,
                keep_printf("load_module modules/peer.so; gate_processes %d; "
                            "load_module modules/later.so;",
                            gates),
                keep_printf("method ping; method peer; method wait { handler later.wait; } "
                            "listen 127.0.0.1:%d ssl %s; " PAIR("localhost") "%s",
                            *port, listen, more));
    server_start(server);
    return server;
}

static struct server *serve(int *port, const char *more)
{
    return serve_as(port, 2, "", more);
}

/* A socket from 127.0.0.`host`. */
static int connect_from(int host, int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)host)},
                       to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A handshake over a socket that is connected. */
static bool shake_hands(struct tls *tls, int fd)
{
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->fd = fd;
    tls->ssl = SSL_new(tls->context);
    SSL_set_fd(tls->ssl, fd);
    bool good = SSL_connect(tls->ssl) == 1;
    ERR_clear_error();
    return good;
}

static bool is_served_from(int host, int port)
{
    struct tls tls;

    bool good = shake_hands(&tls, connect_from(host, port)) &&
                tls_try_frame(&tls, "{\"in\":\"ping\"}") && tls_take(&tls, (char[4]){0}, 4);
    ERR_clear_error();
    tls_close(&tls);
    return good;
}

/* True once the server has ended the connection, in order or not. */
static bool has_ended(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    return got == 0 || (got < 0 && errno != EAGAIN);
}

static struct run s_client(int port, const char *const more[], const char *input)
{
    const char *argv[20] = {"/usr/bin/openssl", "s_client", "-connect",
                            keep_printf("127.0.0.1:%d", port)};

    for (size_t i = 0; more[i] != NULL; i++)
        argv[4 + i] = more[i];
    return run_command(argv, input, PATIENCE_MS);
}

static double stat_of(const struct server *server, const char *path)
{
    return server_stat(server, keep_printf("tls.%s", path));
}

static double failed(const struct server *server, const char *reason)
{
    return stat_of(server, keep_printf("failed.%s", reason));
}

/* The value of a metric, which is given with its labels. */
static double metric(const struct server *server, const char *name)
{
    const struct run run = pillion("status", "--prometheus", "-p", server->prefix);
    const char *at = strstr(run.out, keep_printf("\npillion_%s ", name));

    ck_assert_msg(at != NULL, "there is no metric %s", name);
    return strtod(strchr(at + 1, ' '), NULL);
}

/* ---- Counts ---- */

static void meet(const struct server *server, int port, int version)
{
    struct tls tls;

    ck_assert(tls_open(&tls, server, port, &(struct tls_options){.version = version}));
    tls_expect_alive(&tls);
    tls_close(&tls);
}

START_TEST(handshakes_are_counted_by_version_and_reason)
{
    int port;
    struct server *server =
        serve(&port, "ssl_handshake_timeout 300ms; ssl_protocols TLSv1.2 TLSv1.3;");
    const char *kept = server_path(server, "session");
    struct tls tls;

    for (int i = 0; i < 3; i++)
        meet(server, port, TLS1_2_VERSION);
    meet(server, port, TLS1_3_VERSION);
    expect_part(s_client(port, (const char *const[]){"-tls1_2", "-sess_out", kept, NULL}, "").out,
                "New, TLSv1.2");
    expect_part(s_client(port, (const char *const[]){"-tls1_2", "-sess_in", kept, NULL}, "").out,
                "Reused, TLSv1.2");
    wait_until(stat_of(server, "handshaking") == 0, "a handshake is counted as under way for ever");
    ck_assert_double_eq(metric(server, "tls_handshakes_total{version=\"TLSv1.2\",resumed=\"no\"}"),
                        4);
    ck_assert_double_eq(metric(server, "tls_handshakes_total{version=\"TLSv1.2\",resumed=\"yes\"}"),
                        1);
    ck_assert_double_eq(metric(server, "tls_handshakes_total{version=\"TLSv1.3\",resumed=\"no\"}"),
                        1);

    tls_connect(&tls, server, port);
    wait_until(metric(server, "tls_connections{version=\"TLSv1.3\"}") == 1, "none is open");
    tls_close(&tls);
    wait_until(metric(server, "tls_connections{version=\"TLSv1.3\"}") == 0, "one is still open");
    ck_assert_double_eq(metric(server, "tls_connections{version=\"TLSv1.2\"}"), 0);

    int silent = connect_from(1, port);
    wait_until(failed(server, "timeout") == 1, "a timeout is not counted");
    close(silent);
    struct run run = s_client(port, (const char *const[]){"-alpn", "h2", NULL}, "");
    ck_assert_int_ne(run.status, 0);
    wait_until(failed(server, "protocol") == 1, "a failure is not counted");
    int gone = connect_from(1, port);
    close(gone);
    wait_until(failed(server, "closed") == 1, "a client that goes is not counted");
    ck_assert_double_eq(metric(server, "gates"), 2);
    const char *shown = pillion("status", "-p", server->prefix).out;
    expect_part(shown, "TLS: 0 connections by 2 gates; 7 handshakes, 1 resumed, 3 failed, 0 under");
}
END_TEST

START_TEST(certificates_that_are_not_taken_are_counted_whoever_refuses_them)
{
    int port;
    struct server *server = server_new();

    port = free_port();
    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "authority", "DNS:authority", NULL);
    server_conf(
        server, "",
        keep_printf(
            "method ping; listen 127.0.0.1:%d ssl; " PAIR(
                "localhost") "ssl_verify_client on; ssl_client_certificate tls/authority.pem;",
            port));
    server_start(server);
    s_client(port, (const char *const[]){NULL}, "");
    wait_until(failed(server, "certificate") == 1, "a client without a certificate is not counted");
    s_client(port,
             (const char *const[]){"-verify_return_error", "-CAfile",
                                   server_path(server, "tls/authority.pem"), NULL},
             "");
    wait_until(failed(server, "certificate") == 2, "a client's refusal is not counted");
}
END_TEST

static pid_t a_gate(const struct server *server)
{
    pid_t children[64];
    size_t count = children_of(server->pid, children, 64);

    for (size_t i = 0; i < count; i++) {
        const char *title = file_read(keep_printf("/proc/%d/cmdline", (int)children[i]), NULL);
        if (strncmp(title, "pillion: gate ", 14) == 0 && strstr(title, "leaving") == NULL)
            return children[i];
    }
    fail_test("there is no gate");
}

START_TEST(counts_outlive_gates_and_upgrades)
{
    int port;
    struct server *server = serve_as(&port, 1, "", "");
    struct tls tls;

    for (int i = 0; i < 5; i++)
        meet(server, port, TLS1_3_VERSION);
    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    pid_t first = a_gate(server);
    kill(first, SIGKILL);
    wait_until(stat_of(server, "open") == 0, "a dead gate's connections are open");
    ck_assert_double_eq(stat_of(server, "handshakes"), 6);
    wait_until(metric(server, "gates") == 1, "no gate is back");
    ck_assert_double_eq(metric(server, "gate_restarts_total"), 1);
    tls_close(&tls);
    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    struct run run = server_ask(server, "upgrade");
    expect_status(&run, 0);
    ck_assert_double_eq(stat_of(server, "handshakes"), 7);
    ck_assert_double_eq(stat_of(server, "open"), 1);
    tls_expect_alive(&tls);
    tls_close(&tls);
    wait_until(stat_of(server, "open") == 0, "the former gate's connections are open");
    wait_until(metric(server, "gates") == 1, "the former gate does not end");
    meet(server, port, TLS1_3_VERSION);
    ck_assert_double_eq(stat_of(server, "handshakes"), 8);
}
END_TEST

/* ---- Limits by address ---- */

START_TEST(denied_addresses_get_no_handshake)
{
    int port;
    struct server *server = serve(&port, "deny 127.0.0.2 127.0.0.4; allow all;");
    struct tls tls;

    ck_assert(is_served_from(1, port));
    double begun = stat_of(server, "handshakes");
    ck_assert(!shake_hands(&tls, connect_from(2, port)));
    tls_close(&tls);
    wait_until(metric(server, "connections_ended_total{reason=\"deny\"}") == 1, "no deny counted");
    ck_assert_double_eq(stat_of(server, "handshakes"), begun);
    ck_assert_double_eq(stat_of(server, "handshaking"), 0);
    for (int reason = 0; reason < 2; reason++) /* it is none of these: none was begun */
        ck_assert_double_eq(failed(server, reason == 0 ? "closed" : "protocol"), 0);
    ck_assert(is_served_from(3, port));
    server_wait_log(server, "gets no handshake: it may not connect (deny)");
}
END_TEST

START_TEST(an_address_holds_so_many_handshakes_and_no_more)
{
    enum { MOST = 5, MORE = 3 };
    int port, silent[MOST + MORE];
    struct server *server = serve(&port, "ssl_handshakes 5; ssl_handshake_timeout 60s;");

    for (int i = 0; i < MOST; i++)
        silent[i] = connect_from(2, port);
    wait_until(stat_of(server, "handshaking") == MOST, "not all of them are there");
    for (int i = MOST; i < MOST + MORE; i++) {
        silent[i] = connect_from(2, port);
        wait_until(has_ended(silent[i]), "one too many is let in");
    }
    ck_assert(!is_served_from(2, port));
    ck_assert(is_served_from(3, port));
    ck_assert_double_eq(metric(server, "connections_ended_total{reason=\"ssl_handshakes\"}"),
                        MORE + 1);
    for (int i = 0; i < MOST; i++)
        ck_assert(!has_ended(silent[i]));
    close(silent[0]);
    wait_until(is_served_from(2, port), "one that has gone is still counted");
    server_wait_log(server, "too many handshakes of its address are under way (ssl_handshakes)");
}
END_TEST

/* They are counted in memory of the gates', which a dead one's part leaves. */
START_TEST(handshakes_of_a_dead_gate_are_not_held_against_their_address)
{
    int port;
    struct server *server = serve_as(&port, 1, "", "ssl_handshakes 2; ssl_handshake_timeout 60s;");
    int one = connect_from(2, port), other = connect_from(2, port);

    wait_until(stat_of(server, "handshaking") == 2, "not both of them are there");
    ck_assert(!is_served_from(2, port));
    kill(a_gate(server), SIGKILL);
    wait_until(has_ended(one) && has_ended(other), "a dead gate's clients are connected");
    wait_until(is_served_from(2, port), "they are still counted");
    ck_assert_double_eq(failed(server, "unknown"), 2);
}
END_TEST

START_TEST(limit_conn_is_heard_before_the_handshake)
{
    int port;
    struct server *server = serve(&port, "limit_conn 2 rate=100/m;");
    struct tls clients[2], more;

    for (int i = 0; i < 2; i++) {
        ck_assert(shake_hands(&clients[i], connect_from(2, port)));
        tls_expect_alive(&clients[i]);
    }
    ck_assert(!shake_hands(&more, connect_from(2, port)));
    tls_close(&more);
    ck_assert_double_eq(metric(server, "connections_ended_total{reason=\"limit_conn\"}"), 1);
    ck_assert_double_eq(stat_of(server, "handshakes"), 2);
    ck_assert(is_served_from(3, port));
    tls_expect_alive(&clients[0]);
    tls_close(&clients[0]);
    wait_until(is_served_from(2, port), "one that has gone is still counted");
    tls_close(&clients[1]);
}
END_TEST

/* Handshakes that fail count as well: they cost as much. */
START_TEST(the_rate_of_an_address_bounds_its_handshakes)
{
    int port;
    struct server *server = serve(&port, "limit_conn 1000 rate=8/m;");
    int refused = 0;

    for (int i = 0; i < 20; i++) {
        int fd = connect_from(2, port);
        client_try_send(fd, "no TLS at all", 13);
        close(fd);
    }
    wait_until(
        (refused = (int)metric(server, "connections_ended_total{reason=\"limit_conn_rate\"}")) >= 4,
        "any number may come");
    wait_until(stat_of(server, "handshaking") == 0, "a handshake does not end");
    ck_assert(is_served_from(3, port));
}
END_TEST

/* ---- Behind balancers ---- */

static pid_t haproxy_start(const struct server *server, const char *conf)
{
    server_write(server, "haproxy.cfg",
                 "defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 5m\n"
                 "  timeout server 5m\n%s",
                 conf);
    if (access("/usr/sbin/haproxy", X_OK) != 0)
        fail_test("there is no /usr/sbin/haproxy: make deps-test");
    const char *file = server_path(server, "haproxy.cfg"),
               *log = server_path(server, "haproxy.log");
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen(log, "w", stdout) != NULL && dup2(1, 2) == 2)
            execl("/usr/sbin/haproxy", "haproxy", "-db", "-f", file, NULL);
        _exit(127);
    }
    return pid;
}

static bool listens(int port)
{
    int client = client_try_connect(port);

    if (client >= 0)
        close(client);
    return client >= 0;
}

/* HAProxy lets TLS through and tells of the client; its checks are its own. */
START_TEST(behind_haproxy_in_mode_tcp_the_address_is_the_clients)
{
    int port, fronts[2] = {free_port(), free_port()};
    struct server *server =
        serve_as(&port, 2, "proxy_protocol", "proxy_from 127.0.0.1; deny 127.0.0.9;");
    pid_t haproxy = haproxy_start(
        server, keep_printf("listen a\n  bind 127.0.0.1:%d\n  server s 127.0.0.1:%d send-proxy-v2 "
                            "check check-send-proxy check-ssl verify none inter 100\n"
                            "listen b\n  bind 127.0.0.1:%d\n  server s 127.0.0.1:%d send-proxy\n",
                            fronts[0], port, fronts[1], port));

    for (int i = 0; i < 2; i++) {
        struct sockaddr_in own;
        socklen_t size = sizeof(own);
        struct tls tls;
        wait_until(listens(fronts[i]), "haproxy does not come");
        ck_assert(shake_hands(&tls, connect_from(5, fronts[i])));
        getsockname(tls.fd, (struct sockaddr *)&own, &size);
        expect_part(tls_ask(&tls, "{\"in\":\"peer\"}"),
                    keep_printf("\"peer\":\"127.0.0.5:%d\"", ntohs(own.sin_port)));
        tls_close(&tls);
        ck_assert(!shake_hands(&tls, connect_from(9, fronts[i])));
        tls_close(&tls);
    }
    wait_until(metric(server, "connections_ended_total{reason=\"deny\"}") == 2, "no deny counted");
    /* Its checks come through the handshake, from its own address. */
    wait_until(stat_of(server, "handshakes") > 4, "haproxy's checks do not pass");
    kill(haproxy, SIGKILL);
    waitpid(haproxy, NULL, 0);
}
END_TEST

#define V1 "PROXY TCP4 192.0.2.1 192.0.2.2 50122 8080\r\n"

START_TEST(a_header_may_come_in_pieces_and_must_come)
{
    int port;
    struct server *server = serve_as(&port, 2, "proxy_protocol",
                                     "proxy_from 127.0.0.1 127.0.0.2; proxy_timeout 400ms;");
    struct tls tls;

    int fd = connect_from(1, port);
    for (size_t i = 0; i < sizeof(V1) - 1; i++) {
        client_send(fd, V1 + i, 1);
        look_again();
    }
    ck_assert(shake_hands(&tls, fd));
    expect_part(tls_ask(&tls, "{\"in\":\"peer\"}"), "\"peer\":\"192.0.2.1:50122\"");
    tls_close(&tls);

    fd = connect_from(3, port); /* no balancer */
    client_try_send(fd, V1, sizeof(V1) - 1);
    wait_until(has_ended(fd), "anybody may say who they are");
    ck_assert_double_eq(metric(server, "connections_ended_total{reason=\"proxy_from\"}"), 1);
    close(fd);
    ck_assert(!shake_hands(&tls, connect_from(1, port))); /* no header */
    tls_close(&tls);
    ck_assert_double_eq(metric(server, "connections_ended_total{reason=\"proxy_timeout\"}"), 1);
    fd = connect_from(2, port);
    client_send(fd, V1, 20);
    wait_until(has_ended(fd), "half a header holds a connection");
    ck_assert_double_eq(metric(server, "connections_ended_total{reason=\"proxy_timeout\"}"), 2);
    close(fd);
    fd = connect_from(2, port);
    client_send(fd, V1, 20);
    client_finish(fd);
    wait_until(has_ended(fd), "a balancer that has gone holds a connection");
    close(fd);
}
END_TEST

E2E_MAIN("tls_hard", handshakes_are_counted_by_version_and_reason,
         certificates_that_are_not_taken_are_counted_whoever_refuses_them,
         counts_outlive_gates_and_upgrades, denied_addresses_get_no_handshake,
         an_address_holds_so_many_handshakes_and_no_more,
         handshakes_of_a_dead_gate_are_not_held_against_their_address,
         limit_conn_is_heard_before_the_handshake, the_rate_of_an_address_bounds_its_handshakes,
         behind_haproxy_in_mode_tcp_the_address_is_the_clients,
         a_header_may_come_in_pieces_and_must_come)
