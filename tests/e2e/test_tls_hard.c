/* TLS where it is hard: what the gate refuses and what it counts, clients that are not friends, and
 * balancers in front. The clients are openssl(1), OpenSSL, and tests that write the bytes
 * themselves. */
#include "haproxy_server.h"
#include "tls_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

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

/* What the page is told. */
static const char *first_sample(const struct server *server)
{
    static const char request[] = "GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int64_t deadline = deadline_in(PATIENCE_MS);
    char data[65536];
    size_t size = 0;
    int fd = connect_from(1, server->port);

    ck_assert_int_eq(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    do {
        ssize_t got = recv(fd, data + size, sizeof(data) - 1 - size, 0);
        if (got <= 0 || deadline_over(deadline))
            fail_test("no sample comes");
        size += (size_t)got;
        data[size] = '\0';
    } while (strstr(data, "\"workers\"") == NULL);
    close(fd);
    return keep_printf("%s", data);
}

START_TEST(handshakes_are_counted_by_version_and_reason)
{
    int port;
    struct server *server =
        serve(&port, "ssl_handshake_timeout 300ms; ssl_protocols TLSv1.2 TLSv1.3; status on;");
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
    shown = pillion("top", "-p", server->prefix, "-d", "0.1", "--once").out;
    expect_part(shown, "TLS: 0 connections by 2 gates; 0 handshakes/s, 0 failed/s, 0 under way");
    expect_part(first_sample(server), "\"tls\":{\"gates\":2,\"open\":0,\"handshaking\":0,"
                                      "\"handshakes\":7,\"failed\":3},");
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
    server_order(server, "upgrade");
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

#define PROBES 20

/* A connection is a worker's with its first bytes, or after a moment; and on a slow machine that
 * may come before a probe's end. */
START_TEST(workers_hear_of_clients_that_stay_or_say_something)
{
    int port;
    struct server *server = serve(&port, "");
    struct tls tls;
    for (int i = 0; i < PROBES; i++) {
        ck_assert(tls_open(&tls, server, port, &(struct tls_options){0}));
        SSL_shutdown(tls.ssl);
        tls_close(&tls);
    }
    meet(server, port, TLS1_3_VERSION); /* after the probes */
    ck_assert_double_lt(metric(server, "connections_accepted_total"), PROBES);

    ck_assert(tls_open(&tls, server, port, &(struct tls_options){0}));
    wait_until(server_stat(server, "connections.open") == 2, "the silent client is nobody's");
    tls_expect_alive(&tls);
    tls_close(&tls);
}
END_TEST

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
    daemon_end(haproxy);
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

/* ---- What is offered: hellos of one's own ---- */

/* A ClientHello of TLS 1.2 and before (RFC 5246 section 7.4.1.2), in one record. */
struct hello {
    unsigned version;         /* 0x0303 is TLS 1.2 */
    const uint16_t *suites;   /* ended by 0xffff */
    const char *compressions; /* with their number in front; NULL: none */
    const char *extension;    /* one more, whole */
    size_t extension_size;
};

static void put16(struct buffer *to, unsigned value)
{
    const char bytes[] = {(char)(value >> 8), (char)value};
    buffer_add(to, bytes, 2);
}

static void put_block(struct buffer *to, const struct buffer *block)
{
    put16(to, (unsigned)block->size);
    buffer_add(to, block->data, block->size);
}

static void put_extensions(struct buffer *body, const struct hello *hello)
{
    static const char common[] = "\0\x0a\0\6\0\4\0\x1d\0\x17"            /* groups: x25519, P-256 */
                                 "\0\x0b\0\2\1\0"                        /* points: uncompressed */
                                 "\0\x0d\0\x0a\0\x08\4\3\x08\4\4\1\2\1"; /* signatures */
    struct buffer extensions = {0};

    buffer_add(&extensions, common, sizeof(common) - 1);
    if (hello->extension != NULL)
        buffer_add(&extensions, hello->extension, hello->extension_size);
    put_block(body, &extensions);
    free(extensions.data);
}

static void hello_write(const struct hello *hello, struct buffer *to)
{
    struct buffer body = {0}, suites = {0};
    char random[32];

    memset(random, 'r', sizeof(random));
    put16(&body, hello->version);
    buffer_add(&body, random, sizeof(random));
    buffer_add(&body, "\0", 1); /* no session */
    for (const uint16_t *suite = hello->suites; *suite != 0xffff; suite++)
        put16(&suites, *suite);
    put_block(&body, &suites);
    const char *compressions = hello->compressions == NULL ? "\1\0" : hello->compressions;
    buffer_add(&body, compressions, 1 + (size_t)compressions[0]);
    put_extensions(&body, hello);
    buffer_add(to, "\x16\x03\x01", 3);
    put16(to, (unsigned)body.size + 4);
    buffer_add(to, "\1\0", 2);
    put16(to, (unsigned)body.size);
    buffer_add(to, body.data, body.size);
    free(body.data);
    free(suites.data);
}

/* The server's first record: 22 is a ServerHello, 21 an alert. */
struct answer {
    unsigned char bytes[16384];
    size_t size; /* 0: it has only closed */
};

static bool take(int fd, void *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = recv(fd, (char *)to + at, size - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static void take_record(int fd, struct answer *answer)
{
    answer->size = 0;
    if (!take(fd, answer->bytes, 5))
        return;
    size_t size = (size_t)answer->bytes[3] << 8 | answer->bytes[4];
    ck_assert_uint_le(size, sizeof(answer->bytes) - 5);
    if (take(fd, answer->bytes + 5, size))
        answer->size = 5 + size;
}

static int say_hello(int port, const struct hello *hello, struct answer *answer)
{
    struct buffer bytes = {0};
    int fd = connect_from(1, port);

    hello_write(hello, &bytes);
    client_send(fd, bytes.data, bytes.size);
    free(bytes.data);
    take_record(fd, answer);
    return fd;
}

static bool is_hello(const struct answer *answer)
{
    return answer->size > 47 && answer->bytes[0] == 22 && answer->bytes[5] == 2;
}

/* The cipher, and behind it the compression, that a ServerHello has chosen. */
static const unsigned char *chosen(const struct answer *answer)
{
    ck_assert(is_hello(answer));
    return answer->bytes + 44 + answer->bytes[43];
}

static unsigned cipher_of(const struct answer *answer)
{
    return (unsigned)chosen(answer)[0] << 8 | chosen(answer)[1];
}

static bool is_alert(const struct answer *answer, int description)
{
    return answer->size == 7 && answer->bytes[0] == 21 && answer->bytes[5] == 2 &&
           answer->bytes[6] == description;
}

enum { HANDSHAKE_FAILURE = 40, PROTOCOL_VERSION = 70 }; /* RFC 5246 section 7.2 */

#define GOOD 0xc02b /* ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 */

START_TEST(former_versions_are_refused_with_an_alert)
{
    static const uint16_t suites[] = {GOOD, 0xc009, 0xc00a, 0xffff};
    int port;
    struct server *server = serve(&port, "");
    struct answer answer;

    for (unsigned version = 0x0300; version < 0x0303; version++) {
        close(say_hello(port, &(struct hello){.version = version, .suites = suites}, &answer));
        ck_assert_msg(is_alert(&answer, version == 0x0300 ? HANDSHAKE_FAILURE : PROTOCOL_VERSION),
                      "version %x is not refused", version); /* SSL 3 has no alert for it */
    }
    close(say_hello(port, &(struct hello){.version = 0x0303, .suites = suites}, &answer));
    ck_assert_uint_eq(cipher_of(&answer), GOOD);
    /* SSL 2 has hellos of its own: 2 bytes of length, a type, a version … */
    int fd = connect_from(1, port);
    client_send(fd,
                "\x80\x1c\1\0\2\0\3\0\0\0\x10\1\0\x80"
                "0123456789abcdef",
                30);
    take_record(fd, &answer);
    ck_assert(!is_hello(&answer));
    close(fd);
    wait_until(failed(server, "protocol") == 4, "a version that is refused is not counted");
}
END_TEST

/* By their numbers, whether or not the OpenSSL of this machine still has them. */
START_TEST(weak_ciphers_are_refused_one_by_one)
{
    static const struct {
        uint16_t suite;
        const char *name;
    } weak[] = {
        {0x0001, "RSA_WITH_NULL_MD5"},
        {0x003b, "RSA_WITH_NULL_SHA256"},
        {0xc006, "ECDHE_ECDSA_WITH_NULL_SHA"},
        {0x0003, "RSA_EXPORT_WITH_RC4_40_MD5"},
        {0x0008, "RSA_EXPORT_WITH_DES40_CBC_SHA"},
        {0x0014, "DHE_RSA_EXPORT_WITH_DES40_CBC_SHA"},
        {0x0005, "RSA_WITH_RC4_128_SHA"},
        {0xc007, "ECDHE_ECDSA_WITH_RC4_128_SHA"},
        {0x0009, "RSA_WITH_DES_CBC_SHA"},
        {0x000a, "RSA_WITH_3DES_EDE_CBC_SHA"},
        {0xc008, "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"},
        {0x0018, "DH_anon_WITH_RC4_128_MD5"},
        {0x006c, "DH_anon_WITH_AES_128_CBC_SHA256"},
        {0xc018, "ECDH_anon_WITH_AES_128_CBC_SHA"},
        {0x009c, "RSA_WITH_AES_128_GCM_SHA256"},
        {0x002f, "RSA_WITH_AES_128_CBC_SHA"},
        {0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
        {0x008c, "PSK_WITH_AES_128_CBC_SHA"},
    };
    int port;
    struct server *server = serve(&port, "");
    struct answer answer;

    (void)server;
    for (size_t i = 0; i < sizeof(weak) / sizeof(*weak); i++) {
        const uint16_t suites[] = {weak[i].suite, 0xffff};
        close(say_hello(port, &(struct hello){.version = 0x0303, .suites = suites}, &answer));
        ck_assert_msg(is_alert(&answer, HANDSHAKE_FAILURE), "%s is not refused", weak[i].name);
    }
}
END_TEST

START_TEST(the_cipher_is_the_servers_choice_and_nothing_is_compressed)
{
    static const uint16_t one[] = {GOOD, 0xc02c, 0xffff}, other[] = {0xc02c, GOOD, 0xffff};
    int port, narrow;
    struct server *server = serve(&port, "");
    struct answer answer;

    (void)server;
    close(say_hello(port, &(struct hello){.version = 0x0303, .suites = one}, &answer));
    unsigned first = cipher_of(&answer);
    close(say_hello(port,
                    &(struct hello){.version = 0x0303, .suites = other, .compressions = "\2\1\0"},
                    &answer));
    ck_assert_uint_eq(cipher_of(&answer), first);
    ck_assert_uint_eq(chosen(&answer)[2], 0);
    serve(&narrow, "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;");
    close(say_hello(narrow, &(struct hello){.version = 0x0303, .suites = other}, &answer));
    ck_assert_uint_eq(cipher_of(&answer), GOOD);
}
END_TEST

START_TEST(a_name_may_have_a_certificate_for_each_type_of_key)
{
    static const struct {
        const char *ciphers, *shown;
    } rows[] = {{"ECDHE-ECDSA-AES128-GCM-SHA256", "CN = localhost"},
                {"ECDHE-RSA-AES128-GCM-SHA256", "CN = of RSA"}};
    struct server *server = server_new();
    int port = free_port();

    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "other", "DNS:other", NULL);
    tls_shell(server, "openssl req -x509 -newkey rsa:2048 -nodes -days 20 -subj '/CN=of RSA' "
                      "-addext subjectAltName=DNS:localhost -keyout rsa.key -out rsa.pem");
    server_conf(server, "",
                keep_printf("method ping; listen 127.0.0.1:%d ssl; " PAIR("other") PAIR("localhost")
                                PAIR("rsa"),
                            port));
    server_start(server);
    server_wait_log(server, "the certificate of \"of RSA\" expires in ");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct run run = s_client(port,
                                  (const char *const[]){"-tls1_2", "-cipher", rows[i].ciphers,
                                                        "-servername", "localhost", NULL},
                                  "");
        expect_part(run.out, keep_printf("subject=%s", rows[i].shown));
    }
}
END_TEST

/* RFC 7301 section 3.2: no_application_protocol, 120. */
START_TEST(alpn_without_anything_in_common_gets_the_alert_for_it)
{
    static const char h2[] = "\0\x10\0\5\0\3\2h2", both[] = "\0\x10\0\x0e\0\x0c\2h2\x08http/1.1";
    static const uint16_t suites[] = {GOOD, 0xffff};
    int port;
    struct server *server = serve(&port, "");
    struct answer answer;
    struct hello hello = {
        .version = 0x0303, .suites = suites, .extension = h2, .extension_size = sizeof(h2) - 1};

    (void)server;
    close(say_hello(port, &hello, &answer));
    ck_assert(is_alert(&answer, 120));
    hello.extension = both;
    hello.extension_size = sizeof(both) - 1;
    close(say_hello(port, &hello, &answer));
    ck_assert(is_hello(&answer));
    struct run run = s_client(port, (const char *const[]){"-alpn", "h2", NULL}, "");
    expect_part(run.err, "no application protocol");
}
END_TEST

/* A name that no certificate has gets the first one; what is no name gets an alert, or the first
 * certificate, and harms nobody. */
START_TEST(names_that_are_none_harm_nobody)
{
    static const struct {
        const char *bytes;
        size_t size;
        int good; /* -1: as the library likes */
    } rows[] = {
        {"\0\0\0\x0c\0\x0a\0\0\7unknown", 16, 1},
        {"\0\0\0\x0c\0\x0a\0\0\7unk\0own", 16, 0},
        {"\0\0\0\x05\0\3\0\0\0", 9, -1},
        {"\0\0\0\x02\0\0", 6, 0},
        {"\0\0\0\x0c\0\x0a\0\0\x40unknown", 16, 0},
    };
    static const uint16_t suites[] = {GOOD, 0xffff};
    int port;
    struct server *server = serve(&port, "");
    struct answer answer;
    static char longest[309];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        close(say_hello(port,
                        &(struct hello){.version = 0x0303,
                                        .suites = suites,
                                        .extension = rows[i].bytes,
                                        .extension_size = rows[i].size},
                        &answer));
        ck_assert_msg(rows[i].good < 0 || is_hello(&answer) == rows[i].good, "row %zu", i);
    }
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "\0\0\1\x31\1\x2f\0\1\x2c", 9); /* 300 bytes: longer than a name can be */
    close(say_hello(port,
                    &(struct hello){.version = 0x0303,
                                    .suites = suites,
                                    .extension = longest,
                                    .extension_size = sizeof(longest)},
                    &answer));
    ck_assert(!is_hello(&answer));
    meet(server, port, TLS1_3_VERSION);
}
END_TEST

/* What leaked memory in 2014 (CVE-2014-0160): it is not agreed on, and not answered. */
START_TEST(heartbeats_are_not_answered)
{
    static const uint16_t suites[] = {GOOD, 0xffff};
    static const char extension[] = "\0\x0f\0\1\1", request[] = "\x18\3\3\0\3\1\x40\0";
    int port;
    struct server *server = serve(&port, "");
    struct answer answer;

    int fd = say_hello(port,
                       &(struct hello){.version = 0x0303,
                                       .suites = suites,
                                       .extension = extension,
                                       .extension_size = sizeof(extension) - 1},
                       &answer);
    ck_assert(is_hello(&answer));
    const unsigned char *end = answer.bytes + answer.size, *at = chosen(&answer) + 5;
    for (; at + 4 <= end; at += 4 + ((size_t)at[2] << 8 | at[3]))
        ck_assert_msg(at[0] != 0 || at[1] != 15, "heartbeats are agreed on");
    client_send(fd, request, sizeof(request) - 1);
    do {
        take_record(fd, &answer);
        ck_assert(answer.size == 0 || answer.bytes[0] != 24);
    } while (answer.size > 0);
    close(fd);
    meet(server, port, TLS1_2_VERSION);
}
END_TEST

static int ticket_allows = -1;

static int note_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    ticket_allows = (int)SSL_SESSION_get_max_early_data(session);
    return 0;
}

/* Data before the end of the handshake could be sent twice by anybody (RFC 8446 section 8). */
START_TEST(no_ticket_allows_early_data)
{
    int port;
    struct server *server = serve(&port, "");
    const char *kept = server_path(server, "session"), *data = server_path(server, "data");
    struct tls tls;

    tls.context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(tls.context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(tls.context, note_ticket);
    tls.fd = connect_from(1, port);
    tls.ssl = SSL_new(tls.context);
    SSL_set_fd(tls.ssl, tls.fd);
    ck_assert_int_eq(SSL_connect(tls.ssl), 1);
    tls_expect_alive(&tls);
    tls_close(&tls);
    ck_assert_int_eq(ticket_allows, 0);
    server_write(server, "data", "%s", "GET /ping HTTP/1.1\r\n\r\n");
    s_client(port, (const char *const[]){"-tls1_3", "-sess_out", kept, NULL}, "");
    struct run run = s_client(
        port, (const char *const[]){"-tls1_3", "-sess_in", kept, "-early_data", data, NULL}, "");
    ck_assert_ptr_null(strstr(run.out, "Early data was accepted"));
}
END_TEST

/* Resumed in TLS 1.3, by whatever gate. */
static bool goes_on(const struct server *server, int port, SSL_SESSION **session)
{
    struct tls tls;

    ck_assert(tls_open(&tls, server, port,
                       &(struct tls_options){.version = TLS1_3_VERSION, .session = *session}));
    tls_expect_alive(&tls); /* the next tickets have come with its answer */
    bool reused = SSL_session_reused(tls.ssl) == 1;
    if (*session != NULL)
        SSL_SESSION_free(*session);
    *session = SSL_get1_session(tls.ssl);
    SSL_shutdown(tls.ssl);
    tls_close(&tls);
    return reused;
}

START_TEST(tickets_outlive_their_gates)
{
    int port;
    struct server *server = serve_as(&port, 1, "", "");
    SSL_SESSION *session = NULL;

    ck_assert(!goes_on(server, port, &session));
    ck_assert(goes_on(server, port, &session));
    pid_t first = a_gate(server);
    kill(first, SIGKILL);
    wait_until(!process_lives(first), "a gate lives");
    ck_assert(goes_on(server, port, &session));
    tls_make(server, "renewed", "DNS:localhost", NULL);
    rename(server_path(server, "tls/renewed.key"), server_path(server, "tls/localhost.key"));
    rename(server_path(server, "tls/renewed.pem"), server_path(server, "tls/localhost.pem"));
    pid_t second = a_gate(server);
    server_reload(server);
    wait_until(!process_lives(second), "the former gate does not end");
    ck_assert(goes_on(server, port, &session));
    SSL_SESSION_free(session);
}
END_TEST

/* ---- Clients that are not friends ---- */

START_TEST(what_is_no_hello_ends_and_is_counted)
{
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\x16\x03\x01\xff\xff", 5},                 /* a record that is too long */
        {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9}, /* a message of 16 MiB */
        {"\x16\x03\x01\x00\x04\x02\0\0\0", 9},       /* a ServerHello */
        {"\x16\x03\x01\x00\x05\x01\0\0\1\3", 10},    /* a hello of one byte */
        {"\x17\x03\x03\x00\x01x", 6},                /* data before the handshake */
        {"\x14\x03\x03\x00\x01\x01", 6},             /* ChangeCipherSpec */
        {"\x15\x03\x03\x00\x02\x02\x28", 7},         /* an alert */
        {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", 41},
        {"SSH-2.0-OpenSSH_9.2\r\n", 21},
    };
    enum { ROWS = sizeof(rows) / sizeof(*rows), RANDOM = 200 };
    int port;
    struct server *server = serve(&port, "ssl_handshake_timeout 60s;");
    char bytes[512];

    for (int i = 0; i < ROWS; i++) {
        int fd = connect_from(1, port);
        client_send(fd, rows[i].bytes, rows[i].size);
        wait_until(has_ended(fd) || recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0,
                   "row %d is waited on", i);
        close(fd);
    }
    srandom(1);
    for (int i = 0; i < RANDOM; i++) {
        int fd = connect_from(1, port);
        for (size_t n = 0; n < sizeof(bytes); n++)
            bytes[n] = (char)random();
        if (i % 2 == 0)
            memcpy(bytes, "\x16\x03\x01\x01\xfb\x01\0\1\xf7\x03\x03", 11); /* it begins well */
        client_try_send(fd, bytes, sizeof(bytes));
        close(fd);
    }
    meet(server, port, TLS1_3_VERSION);
    wait_until(stat_of(server, "handshaking") == 0, "a handshake does not end");
    double all = failed(server, "protocol") + failed(server, "closed");
    ck_assert_double_eq(all, ROWS + RANDOM);
    ck_assert_double_ge(failed(server, "protocol"), ROWS);
    ck_assert_double_eq(metric(server, "gate_restarts_total"), 0);
}
END_TEST

START_TEST(plain_http_is_answered_and_counted)
{
    int port;
    struct server *server = serve(&port, "");

    for (int i = 0; i < 4; i++) {
        static const char *const methods[] = {"GET", "POST", "HEAD", "PUT"};
        int fd = connect_from(1, port);
        const char *request =
            keep_printf("%s /ping HTTP/1.1\r\nHost: localhost\r\n\r\n", methods[i]);
        client_send(fd, request, strlen(request));
        char answer[512] = "";
        for (size_t at = 0, got = 1; got > 0; at += got) {
            ssize_t more = recv(fd, answer + at, sizeof(answer) - 1 - at, 0);
            ck_assert_int_ge(more, 0); /* it is no reset that loses the answer */
            got = (size_t)more;
        }
        ck_assert_int_eq(strncmp(answer, "HTTP/1.1 400 ", 13), 0);
        expect_part(answer, "\r\n\r\nThis port speaks TLS alone: use https://\n");
        close(fd);
    }
    wait_until(failed(server, "http") == 4, "they are not counted");
}
END_TEST

/* The time is for the whole handshake: a byte now and then does not prolong it. */
START_TEST(a_hello_that_drips_is_taken_in_time_and_ended_beyond)
{
    static const uint16_t suites[] = {GOOD, 0xffff};
    int port;
    struct server *server = serve(&port, "ssl_handshake_timeout 2s;");
    struct buffer bytes = {0};
    struct answer answer;

    hello_write(&(struct hello){.version = 0x0303, .suites = suites}, &bytes);
    int fd = connect_from(1, port);
    for (size_t i = 0; i < bytes.size; i++) {
        ck_assert(client_try_send(fd, bytes.data + i, 1));
        look_again();
    }
    take_record(fd, &answer);
    ck_assert(is_hello(&answer));
    close(fd);

    int64_t began = now_ms();
    fd = connect_from(1, port);
    for (size_t i = 0; i + 1 < bytes.size && !has_ended(fd); i++) {
        client_try_send(fd, bytes.data + i, 1);
        for (int n = 0; n < 40 && !has_ended(fd); n++)
            look_again();
    }
    wait_until(has_ended(fd), "a hello that drips is waited on for ever");
    ck_assert_int_ge((int)(now_ms() - began), 1900);
    close(fd);
    free(bytes.data);
    wait_until(failed(server, "timeout") == 1, "it is not counted");
}
END_TEST

/* Handshakes that stop after nothing, after a part of a hello, and after a whole one. */
static void stop_in_handshake(int fd, int how, const struct buffer *hello)
{
    if (how == 1)
        client_try_send(fd, hello->data, hello->size / 2);
    else if (how == 2)
        client_try_send(fd, hello->data, hello->size);
}

START_TEST(five_thousand_handshakes_that_stop_hold_up_nobody)
{
    enum { STOPPED = 5000, HOSTS = 10, CALLS = 200 };
    static const uint16_t suites[] = {GOOD, 0xffff};
    static int fds[STOPPED];
    struct rlimit files;
    struct buffer hello = {0};
    struct tls tls;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 16000) {
        printf("skipped: 5,000 clients need 16,000 open files, and %llu are allowed\n",
               (unsigned long long)files.rlim_max);
        return;
    }
    int port;
    struct server *server = serve(&port, "ssl_handshake_timeout 20s;");
    tls_connect(&tls, server, port);
    hello_write(&(struct hello){.version = 0x0303, .suites = suites}, &hello);
    for (int i = 0; i < STOPPED; i++) {
        fds[i] = connect_from(2 + i % HOSTS, port);
        stop_in_handshake(fds[i], i % 3, &hello);
    }
    wait_until(stat_of(server, "handshaking") == STOPPED, "not all of them are there");
    for (int i = 0; i < CALLS; i++) {
        int64_t until = deadline_in(5000);
        tls_expect_alive(&tls);
        if (i % 10 == 0)
            meet(server, port, i % 20 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
        ck_assert_msg(!deadline_over(until), "call %d, or its handshake, took too long", i);
    }
    ck_assert_double_eq(stat_of(server, "handshaking"), STOPPED);
    for (int i = 0; i < STOPPED; i++)
        wait_until(has_ended(fds[i]) || recv(fds[i], (char[4096]){0}, 4096, MSG_DONTWAIT) == 0,
                   "a handshake that has stopped is not ended");
    wait_until(stat_of(server, "handshaking") == 0, "ended ones are counted");
    ck_assert_double_eq(failed(server, "timeout"), STOPPED);
    tls_expect_alive(&tls);
    tls_close(&tls);
    for (int i = 0; i < STOPPED; i++)
        close(fds[i]);
    free(hello.data);
}
END_TEST

E2E_MAIN("tls_hard", handshakes_are_counted_by_version_and_reason,
         certificates_that_are_not_taken_are_counted_whoever_refuses_them,
         counts_outlive_gates_and_upgrades, workers_hear_of_clients_that_stay_or_say_something,
         denied_addresses_get_no_handshake, an_address_holds_so_many_handshakes_and_no_more,
         handshakes_of_a_dead_gate_are_not_held_against_their_address,
         limit_conn_is_heard_before_the_handshake, the_rate_of_an_address_bounds_its_handshakes,
         behind_haproxy_in_mode_tcp_the_address_is_the_clients,
         a_header_may_come_in_pieces_and_must_come, former_versions_are_refused_with_an_alert,
         weak_ciphers_are_refused_one_by_one,
         the_cipher_is_the_servers_choice_and_nothing_is_compressed,
         a_name_may_have_a_certificate_for_each_type_of_key,
         alpn_without_anything_in_common_gets_the_alert_for_it, names_that_are_none_harm_nobody,
         heartbeats_are_not_answered, no_ticket_allows_early_data, tickets_outlive_their_gates,
         what_is_no_hello_ends_and_is_counted, plain_http_is_answered_and_counted,
         a_hello_that_drips_is_taken_in_time_and_ended_beyond,
         five_thousand_handshakes_that_stop_hold_up_nobody)
