/* TLS: what the gate offers, and that connections outlive workers, reloads, new certificates and
 * upgrades. The clients are OpenSSL's and curl's. */
#include "tls_peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#define MODULES \
    "load_module modules/peer.so; load_module modules/later.so; load_module modules/crash.so;"
#define METHODS                                                                             \
    "method ping; method peer; method wait { handler later.wait; } method crash { handler " \
    "crash.null; } "

/* A server that has its certificates by tls_make already; `more` is in its server block. */
static struct server *serve_tls(struct server *server, int port, const char *certificates,
                                const char *more)
{
    server_conf(server, MODULES,
                keep_printf(METHODS "listen 127.0.0.1:%d ssl; %s %s", port, certificates, more));
    server->reports_allowed = true; /* a method ends its worker */
    server_start(server);
    return server;
}

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

static struct server *serve(int *port, const char *more)
{
    struct server *server = server_new();

    *port = free_port();
    tls_make(server, "localhost", "DNS:localhost,IP:127.0.0.1", NULL);
    return serve_tls(server, *port, PAIR("localhost"), more);
}

/* A process's title; "" when it has gone. */
static const char *title_of(pid_t pid)
{
    char title[64] = "";
    FILE *file = fopen(keep_printf("/proc/%d/cmdline", (int)pid), "re");

    if (file != NULL) {
        title[fread(title, 1, sizeof(title) - 1, file)] = '\0';
        fclose(file);
    }
    return keep_printf("%s", title);
}

/* The pids of the server's gates that do not leave. */
static size_t gates(const struct server *server, pid_t *pids, size_t most)
{
    pid_t children[64];
    size_t count = 0, all = children_of(server->pid, children, 64);

    for (size_t i = 0; i < all && count < most; i++) {
        const char *title = title_of(children[i]);
        if (strncmp(title, "pillion: gate ", 14) == 0 && strstr(title, "leaving") == NULL)
            pids[count++] = children[i];
    }
    return count;
}

/* ---- What is offered ---- */

START_TEST(curl_calls_a_method_over_tls)
{
    int port;
    struct server *server = serve(&port, "");
    struct run run = run_command(
        (const char *const[]){"/usr/bin/curl", "-sS", "--cacert",
                              server_path(server, "tls/localhost.pem"), "-d", "{\"a\": 1}",
                              keep_printf("https://localhost:%d/ping", port), NULL},
        NULL, PATIENCE_MS);

    expect_status(&run, 0);
    expect_text(run.out, "{\"a\": 1}");
}
END_TEST

/* The page's rule of loopback addresses is for plain HTTP: here the certificate has told whose name
 * the client has called. */
START_TEST(any_name_of_the_certificate_may_be_called)
{
    int port;
    struct server *server = serve(&port, "");
    struct run run = run_command(
        (const char *const[]){"/usr/bin/curl", "-sSk", "-H", "Host: shop.example", "-d", "1",
                              keep_printf("https://127.0.0.1:%d/ping", port), NULL},
        NULL, PATIENCE_MS);

    (void)server;
    expect_status(&run, 0);
    expect_text(run.out, "1");
}
END_TEST

START_TEST(modules_see_the_client_and_what_was_agreed_on)
{
    struct server *server = server_new();
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    int port = free_port();
    struct tls tls;

    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "client one", "DNS:client", "authority");
    serve_tls(server, port, PAIR("localhost"),
              "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    ck_assert(tls_open(
        &tls, server, port,
        &(struct tls_options){.name = "localhost", .alpn = "pillion/1", .identity = "client one"}));
    getsockname(tls.fd, (struct sockaddr *)&own, &size);
    expect_text(tls_ask(&tls, "{\"in\":\"peer\"}"),
                keep_printf("{\"out\":\"peer\",\"result\":{\"peer\":\"127.0.0.1:%d\",\"sni\":"
                            "\"localhost\",\"alpn\":\"pillion/1\",\"cn\":\"client one\","
                            "\"other\":null}}",
                            ntohs(own.sin_port)));
    tls_close(&tls);
}
END_TEST

/* What is not the certificate's own name, or a wildcard's, gets the first one. */
START_TEST(the_certificate_is_the_one_of_the_name)
{
    static const struct {
        const char *asked, *shown;
    } rows[] = {{"a.test", "first"},       {"x.b.test", "second"}, {"y.b.test", "second"},
                {"x.y.b.test", "first"},   {"c.test", "third"},    {"C.TEST", "third"},
                {"unknown.test", "first"}, {NULL, "first"}};
    struct server *server = server_new();
    int port = free_port();
    struct tls tls;

    tls_make(server, "first", "DNS:a.test", NULL);
    tls_make(server, "second", "DNS:*.b.test", NULL);
    tls_make(server, "third", "DNS:c.test", NULL);
    serve_tls(server, port, PAIR("first") PAIR("second") PAIR("third"), "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert(tls_open(&tls, server, port, &(struct tls_options){.name = rows[i].asked}));
        expect_text(tls_peer(&tls), rows[i].shown);
        tls_close(&tls);
    }
}
END_TEST

/* TLS 1.3 tells a client that it has no certificate only after its handshake. */
static bool is_served(struct server *server, int port, const struct tls_options *options)
{
    struct tls tls;
    char byte[4];

    bool good = tls_open(&tls, server, port, options);
    if (good) {
        good = tls_try_frame(&tls, "{\"in\":\"ping\"}") && tls_take(&tls, byte, sizeof(byte));
    }
    tls_close(&tls);
    ERR_clear_error();
    return good;
}

START_TEST(clients_certificates_are_asked_for_as_configured)
{
    struct server *server = server_new();
    int port = free_port(), lenient = free_port();
    const struct tls_options none = {0}, good = {.identity = "client"}, bad = {.identity = "other"};

    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "client", "DNS:client", "authority");
    tls_make(server, "other", "DNS:other", NULL);
    server_conf(server,
                keep_printf("server { listen 127.0.0.1:%d ssl; %s method ping; "
                            "ssl_verify_client optional; "
                            "ssl_client_certificate tls/authority.pem; }",
                            lenient, PAIR("localhost")),
                keep_printf("listen 127.0.0.1:%d ssl; %s method ping; ssl_verify_client on; "
                            "ssl_client_certificate tls/authority.pem;",
                            port, PAIR("localhost")));
    server_start(server);
    ck_assert(is_served(server, port, &good));
    ck_assert(!is_served(server, port, &none));
    ck_assert(!is_served(server, port, &bad));
    ck_assert(is_served(server, lenient, &good));
    ck_assert(is_served(server, lenient, &none));
    ck_assert(!is_served(server, lenient, &bad));
    server_wait_log(server, "has failed: it has shown no certificate, which ssl_verify_client");
    server_wait_log(server,
                    "has failed: its certificate (\"other\") is not trusted: it is signed by "
                    "itself");
}
END_TEST

/* Of an authority that another one has signed: only its own clients, and the other one's file is
 * not needed. */
START_TEST(an_authority_below_another_is_trusted_by_itself)
{
    struct server *server = server_new();
    int port = free_port();

    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "root", "DNS:root", NULL);
    tls_make(server, "between", "DNS:between\nbasicConstraints=critical,CA:TRUE", "root");
    tls_make(server, "client", "DNS:client", "between");
    tls_make(server, "roots", "DNS:roots", "root");
    serve_tls(server, port, PAIR("localhost"),
              "ssl_verify_client on; ssl_client_certificate tls/between.pem;");
    ck_assert(is_served(server, port, &(struct tls_options){.identity = "client"}));
    ck_assert(!is_served(server, port, &(struct tls_options){.identity = "roots"}));
    server_wait_log(server,
                    "its certificate (\"roots\") is not trusted: \"root\", who signed it, is "
                    "not among");
}
END_TEST

/* A session is not verified again. Clients of another address, who were verified in another way or
 * not at all, cannot go on here, nor can those of an authority that a reload has removed. */
START_TEST(a_session_goes_on_only_where_clients_are_verified_alike)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct server *server = server_new();
    int strict = free_port(), open = free_port(), other = free_port();

    tls_make(server, "localhost", "DNS:localhost", NULL);
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "another", "DNS:another", NULL);
    tls_make(server, "good", "DNS:good", "authority");
    tls_make(server, "bad", "DNS:bad", "another");
    const char *strictly = "server { listen 127.0.0.1:%d ssl; %s method ping; "
                           "ssl_verify_client on; ssl_client_certificate tls/%s.pem; }";
    const char *more = keep_printf("%s server { listen 127.0.0.1:%d ssl; %s method ping; }",
                                   keep_printf(strictly, other, PAIR("localhost"), "another"), open,
                                   PAIR("localhost"));
    server_conf(
        server,
        keep_printf("%s %s", keep_printf(strictly, strict, PAIR("localhost"), "authority"), more),
        "method ping;");
    server_start(server);
    for (int i = 0; i < 2; i++) {
        const struct {
            int port;
            const char *identity;
            bool goes_on;
        } rows[] = {{strict, "good", true}, {open, NULL, false}, {other, "bad", false}};
        SSL_SESSION *sessions[3];
        for (int n = 0; n < 3; n++) {
            struct tls_options options = {.version = versions[i], .identity = rows[n].identity};
            struct tls tls;
            ck_assert(tls_open(&tls, server, rows[n].port, &options));
            tls_expect_alive(&tls);
            sessions[n] = SSL_get1_session(tls.ssl);
            SSL_shutdown(tls.ssl);
            tls_close(&tls);
            options = (struct tls_options){.version = versions[i], .session = sessions[n]};
            ck_assert_int_eq(is_served(server, strict, &options), rows[n].goes_on);
        }
        for (int n = 0; n < 3; n++)
            SSL_SESSION_free(sessions[n]);
    }
    struct tls tls;
    ck_assert(tls_open(&tls, server, strict,
                       &(struct tls_options){.version = TLS1_2_VERSION, .identity = "good"}));
    tls_expect_alive(&tls);
    SSL_SESSION *session = SSL_get1_session(tls.ssl);
    tls_close(&tls);
    rename(server_path(server, "tls/another.pem"), server_path(server, "tls/authority.pem"));
    tls_make(server, "another", "DNS:another", NULL);
    server_reload(server);
    struct tls_options options = {.version = TLS1_2_VERSION, .session = session};
    wait_until(!is_served(server, strict, &options), "an authority that is gone still lets in");
    SSL_SESSION_free(session);
}
END_TEST

START_TEST(versions_are_those_that_are_configured)
{
    static const struct {
        const char *directive;
        bool v11, v12, v13;
    } rows[] = {{"", false, true, true},
                {"ssl_protocols TLSv1.2;", false, true, false},
                {"ssl_protocols TLSv1.3;", false, false, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int port;
        struct server *server = serve(&port, rows[i].directive);
        ck_assert_int_eq(is_served(server, port, &(struct tls_options){.version = TLS1_1_VERSION}),
                         rows[i].v11);
        ck_assert_int_eq(is_served(server, port, &(struct tls_options){.version = TLS1_2_VERSION}),
                         rows[i].v12);
        ck_assert_int_eq(is_served(server, port, &(struct tls_options){.version = TLS1_3_VERSION}),
                         rows[i].v13);
    }
}
END_TEST

START_TEST(a_protocol_that_is_not_spoken_is_refused)
{
    int port;
    struct server *server = serve(&port, "");

    ck_assert(is_served(server, port, &(struct tls_options){.alpn = "pillion/1"}));
    ck_assert(!is_served(server, port, &(struct tls_options){.alpn = "h2"}));
}
END_TEST

START_TEST(nobody_negotiates_anew)
{
    int port;
    struct server *server = serve(&port, "");
    struct run run = s_client(port, (const char *const[]){"-tls1_2", NULL}, "R\n");

    (void)server;
    expect_part(run.out, "Secure Renegotiation IS supported");
    expect_part(run.err, "no renegotiation");
    struct tls tls;
    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    tls_close(&tls);
}
END_TEST

START_TEST(weak_ciphers_are_not_offered)
{
    int port;
    struct server *server = serve(&port, "");
    static const char *const weak[] = {"NULL", "aNULL", "RC4", "3DES", "kRSA", "SHA1"};

    for (size_t i = 0; i < sizeof(weak) / sizeof(*weak); i++) {
        struct run run =
            s_client(port,
                     (const char *const[]){"-tls1_2", "-cipher",
                                           keep_printf("%s@SECLEVEL=0", weak[i]), NULL},
                     "");
        ck_assert_msg(run.status != 0, "%s was agreed on", weak[i]);
    }
    (void)server;
}
END_TEST

/* ---- Bytes ---- */

START_TEST(large_messages_pass_in_both_directions)
{
    int port;
    struct server *server = serve(&port, "max_frame 16m;");
    size_t size = 8 << 20;
    char *text = keep(malloc(size + 64));
    struct tls tls;

    int at = sprintf(text, "{\"in\":\"ping\",\"params\":\"");
    memset(text + at, 'x', size);
    strcpy(text + at + size, "\"}");
    tls_connect(&tls, server, port);
    for (int i = 0; i < 2; i++) {
        const char *reply = tls_ask(&tls, text);
        ck_assert_uint_eq(strlen(reply), size + strlen("{\"out\":\"pong\",\"result\":\"\"}"));
        ck_assert_uint_eq(strspn(reply + strlen("{\"out\":\"pong\",\"result\":\""), "x"), size);
    }
    tls_close(&tls);
}
END_TEST

/* The gate reads no more from the workers than the client takes. */
START_TEST(a_client_that_does_not_read_holds_up_nobody)
{
    int port;
    struct server *server = serve(&port, "");
    char *text = keep(malloc(70000));
    struct tls slow, other;

    int at = sprintf(text, "{\"in\":\"ping\",\"params\":\"");
    memset(text + at, 'x', 60000);
    strcpy(text + at + 60000, "\"}");
    tls_connect(&slow, server, port);
    fcntl(slow.fd, F_SETFL, O_NONBLOCK);
    struct buffer frame = {0};
    buffer_add_frame(&frame, "%s", text);
    int sent = 0;
    while (sent < 1000 && SSL_write(slow.ssl, frame.data, (int)frame.size) > 0)
        sent++;
    ck_assert_int_lt(sent, 1000);
    tls_connect(&other, server, port);
    for (int i = 0; i < 20; i++)
        tls_ask(&other, text);
    fcntl(slow.fd, F_SETFL, 0);
    for (int i = 0; i < sent; i++)
        tls_receive(&slow);
    free(frame.data);
    tls_close(&slow);
    tls_close(&other);
}
END_TEST

/* The worker gives it up, and so does the gate: it is not told that a part of its reply is all. */
START_TEST(a_client_that_never_reads_is_reset)
{
    int port;
    struct server *server = serve(&port, "send_timeout 1s; max_frame 16m;");
    size_t size = 12 << 20;
    char *text = keep(malloc(size + 64));
    struct pollfd reset = {.events = 0};
    struct tls tls;

    int at = sprintf(text, "{\"in\":\"ping\",\"params\":\"");
    memset(text + at, 'x', size);
    strcpy(text + at + size, "\"}");
    tls_connect(&tls, server, port);
    tls_send_frame(&tls, text);
    reset.fd = tls.fd;
    wait_until(poll(&reset, 1, 0) == 1 && (reset.revents & POLLERR) != 0,
               "a client that never reads keeps its connection");
    tls_close(&tls);
}
END_TEST

/* Sends many updates of keys (RFC 8446 section 4.6.3) and a request at once. */
static void send_updates(struct tls *tls, int count)
{
    BIO *made = BIO_new(BIO_s_mem());
    char *bytes;

    BIO_up_ref(made);
    SSL_set0_wbio(tls->ssl, made);
    for (int i = 0; i < count; i++) {
        SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        ck_assert_int_eq(SSL_do_handshake(tls->ssl), 1);
    }
    tls_send_frame(tls, "{\"in\":\"ping\"}");
    long size = BIO_get_mem_data(made, &bytes);
    client_send(tls->fd, bytes, (size_t)size);
    SSL_set0_wbio(tls->ssl, BIO_new_socket(tls->fd, BIO_NOCLOSE));
    BIO_free(made);
}

/* On a busy machine the other client may not have its turn before the updates are over: then once
 * more. */
START_TEST(a_client_that_only_changes_keys_holds_up_nobody)
{
    struct server *server = server_new();
    int port = free_port();
    struct tls busy, other;
    bool first = false;

    tls_make(server, "localhost", "DNS:localhost", NULL);
    server_conf(server, "gate_processes 1;",
                keep_printf("method ping; listen 127.0.0.1:%d ssl; " PAIR("localhost"), port));
    server_start(server);
    ck_assert(tls_open(&busy, server, port, &(struct tls_options){.version = TLS1_3_VERSION}));
    tls_expect_alive(&busy);
    tls_connect(&other, server, port);
    tls_expect_alive(&other);
    for (int i = 0; i < 8 && !first; i++) {
        struct pollfd reply = {.fd = busy.fd, .events = POLLIN};
        send_updates(&busy, 20000);
        for (int n = 0; n < 3; n++)
            tls_expect_alive(&other);
        first = poll(&reply, 1, 0) == 0;
        tls_receive(&busy);
    }
    ck_assert_msg(first, "updates of keys are all read before anything else");
    tls_close(&busy);
    tls_close(&other);
}
END_TEST

START_TEST(a_client_that_has_finished_sending_gets_its_replies)
{
    int port;
    struct server *server = serve(&port, "");
    struct tls tls;

    tls_connect(&tls, server, port);
    tls_send_frame(&tls, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    tls_send_frame(&tls, "{\"in\":\"ping\",\"params\":2}");
    ck_assert_int_eq(SSL_shutdown(tls.ssl), 0);
    tls_receive(&tls);
    tls_receive(&tls);
    char byte;
    ck_assert(!tls_take(&tls, &byte, 1));
    ck_assert_int_eq(SSL_get_shutdown(tls.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    tls_close(&tls);
}
END_TEST

/* ---- What connections outlive ---- */

enum { CLIENTS = 12 };

static void connect_all(struct tls clients[CLIENTS], const struct server *server, int port)
{
    for (int i = 0; i < CLIENTS; i++)
        tls_connect(&clients[i], server, port);
}

static void expect_all(struct tls clients[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++)
        tls_expect_alive(&clients[i]);
}

static void kill_workers(const struct server *server)
{
    pid_t pids[8];
    size_t count = server_workers(server, pids, 8);

    for (size_t i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        wait_until(!process_lives(pids[i]), "a worker lives");
    }
    /* Some of them may have been about to leave, after a reload or an upgrade. */
    wait_until(server_workers(server, pids, 8) == 2, "the workers are not replaced");
}

START_TEST(connections_outlive_workers_vaults_and_reloads)
{
    struct tls clients[CLIENTS];
    int port;
    struct server *server = serve(&port, "");

    connect_all(clients, server, port);
    expect_all(clients);
    kill_workers(server);
    expect_all(clients);
    server_reload(server);
    expect_all(clients);
    kill(server_vault(server), SIGKILL);
    expect_all(clients);
    server_wait_log(server, "another is started");
    kill_workers(server);
    expect_all(clients);
    for (int i = 0; i < CLIENTS; i++)
        tls_close(&clients[i]);
}
END_TEST

START_TEST(a_crash_is_answered_and_costs_no_connection)
{
    struct tls clients[CLIENTS];
    int port;
    struct server *server = serve(&port, "");

    connect_all(clients, server, port);
    for (int i = 1; i < CLIENTS; i++)
        tls_send_frame(&clients[i], "{\"in\":\"ping\",\"params\":1}");
    expect_part(tls_ask(&clients[0], "{\"in\":\"crash\"}"), "module_crashed");
    for (int i = 1; i < CLIENTS; i++)
        expect_text(tls_receive(&clients[i]), "{\"out\":\"pong\",\"result\":1}");
    expect_all(clients);
    for (int i = 0; i < CLIENTS; i++)
        tls_close(&clients[i]);
}
END_TEST

/* True when a new client is shown the certificate of this name. */
static bool shows(const struct server *server, int port, const char *name)
{
    struct tls tls;

    tls_connect(&tls, server, port);
    bool shown = strcmp(tls_peer(&tls), name) == 0;
    tls_expect_alive(&tls);
    tls_close(&tls);
    return shown;
}

START_TEST(a_new_certificate_costs_no_connection)
{
    struct tls clients[CLIENTS];
    pid_t before[8], after[8];
    int port;
    struct server *server = serve(&port, "");

    connect_all(clients, server, port);
    wait_until(gates(server, before, 8) == 2, "there are no gates");
    server_reload(server); /* nothing has changed: the gates stay */
    ck_assert_uint_eq(gates(server, after, 8), 2);
    ck_assert(after[0] == before[0] && after[1] == before[1]);
    tls_make(server, "renewed", "DNS:localhost", NULL);
    rename(server_path(server, "tls/renewed.key"), server_path(server, "tls/localhost.key"));
    rename(server_path(server, "tls/renewed.pem"), server_path(server, "tls/localhost.pem"));
    server_reload(server);
    wait_until(shows(server, port, "renewed"), "the former certificate is still shown");
    expect_all(clients);
    kill_workers(server);
    expect_all(clients);
    ck_assert(process_lives(before[0]) || process_lives(before[1])); /* they serve their clients */
    for (int i = 0; i < CLIENTS; i++)
        tls_close(&clients[i]);
    wait_until(!process_lives(before[0]) && !process_lives(before[1]),
               "a gate without clients does not end");
}
END_TEST

static const char *metrics_of(const struct server *server)
{
    return pillion("status", "--prometheus", "-p", server->prefix).out;
}

static void renew(const struct server *server)
{
    tls_make(server, "renewed", "DNS:localhost", NULL);
    rename(server_path(server, "tls/renewed.key"), server_path(server, "tls/localhost.key"));
    rename(server_path(server, "tls/renewed.pem"), server_path(server, "tls/localhost.pem"));
}

START_TEST(former_gates_end_when_their_time_is_over_and_the_log_tells_it)
{
    struct server *server = server_new();
    int port = free_port();
    pid_t before[8];
    struct tls stays;

    tls_make(server, "localhost", "DNS:localhost", NULL);
    server_conf(server, "gate_processes 1;",
                keep_printf("method ping; listen 127.0.0.1:%d ssl; " PAIR("localhost"), port));
    server_start(server);
    ck_assert(tls_open(&stays, server, port, &(struct tls_options){0}));
    tls_expect_alive(&stays);
    wait_until(gates(server, before, 8) == 1, "there is no gate");
    renew(server);
    server_reload(server);
    wait_until(shows(server, port, "renewed"), "the former certificate is still shown");
    expect_part(metrics_of(server), "pillion_gates_leaving 1\n");
    expect_part(metrics_of(server), "pillion_gates 2\n");
    tls_expect_alive(&stays); /* there is no limit */
    server_conf(server, "gate_processes 1; gate_shutdown_timeout 100ms;",
                keep_printf("method ping; listen 127.0.0.1:%d ssl; " PAIR("localhost"), port));
    server_reload(server); /* which holds for gates that are former ones already */
    wait_until(!process_lives(before[0]), "the former gate stays");
    server_wait_log(server, "still has clients when its time is over (gate_shutdown_timeout)");
    tls_close(&stays);
    wait_until(strstr(metrics_of(server), "pillion_gates_leaving 0\n") != NULL,
               "it is still counted");
    ck_assert(shows(server, port, "renewed"));
}
END_TEST

START_TEST(connections_outlive_an_upgrade)
{
    struct tls clients[CLIENTS];
    int port;
    struct server *server = serve(&port, "");

    connect_all(clients, server, port);
    server_order(server, "upgrade");
    expect_all(clients);
    kill_workers(server);
    expect_all(clients);
    ck_assert(shows(server, port, "localhost"));
    for (int i = 0; i < CLIENTS; i++)
        tls_close(&clients[i]);
}
END_TEST

/* A client goes on with its ticket, whatever gate it meets. */
START_TEST(tickets_outlive_reloads_and_upgrades)
{
    int port;
    struct server *server = serve(&port, "");
    const char *kept = server_path(server, "run/session");
    const char *const save[] = {"-tls1_2", "-sess_out", kept, NULL};
    const char *const use[] = {"-tls1_2", "-sess_in", kept, NULL};

    expect_part(s_client(port, save, "").out, "New, TLSv1.2");
    expect_part(s_client(port, use, "").out, "Reused, TLSv1.2");
    tls_make(server, "another", "DNS:another", NULL);
    server_write(server, "conf/more.conf", "%s", "");
    server_conf(server, MODULES,
                keep_printf(METHODS "listen 127.0.0.1:%d ssl; ssl_handshake_timeout 9s; %s", port,
                            PAIR("localhost")));
    server_reload(server);
    expect_part(s_client(port, use, "").out, "Reused, TLSv1.2");
    server_order(server, "upgrade");
    expect_part(s_client(port, use, "").out, "Reused, TLSv1.2");
}
END_TEST

/* How many of the clients were its own is the kernel's choice: maybe all. */
START_TEST(a_gate_that_dies_is_replaced_and_nothing_else_ends)
{
    struct tls clients[CLIENTS];
    pid_t before[8], after[8];
    int port;
    struct server *server = serve(&port, "");
    int plain = client_connect(server);

    connect_all(clients, server, port);
    expect_all(clients);
    wait_until(gates(server, before, 8) == 2, "there are no gates");
    kill(before[0], SIGKILL);
    for (int i = 0; i < CLIENTS; i++) {
        char head[4];
        if (tls_try_frame(&clients[i], "{\"in\":\"ping\"}"))
            tls_take(&clients[i], head, sizeof(head)); /* or its end */
        ERR_clear_error();
        tls_close(&clients[i]);
    }
    client_expect_alive(plain);
    wait_until(gates(server, after, 8) == 2, "no other gate is started");
    ck_assert(after[0] == before[1] || after[1] == before[1]);
    ck_assert(shows(server, port, "localhost"));
    server_wait_log(server, "its clients are disconnected, and another is started");
    ck_assert_int_eq((int)server_stat(server, "crashes"), 0);
}
END_TEST

/* A gate reads the files as they are when it begins: here after a renewal that is half done. */
START_TEST(gates_that_cannot_begin_are_tried_again_and_that_is_seen)
{
    pid_t pids[8];
    int port;
    struct server *server = serve(&port, "");
    const char *key = server_path(server, "tls/localhost.key"),
               *kept = server_path(server, "tls/kept.key");

    ck_assert(shows(server, port, "localhost"));
    tls_make(server, "other", "DNS:other", NULL);
    ck_assert_int_eq(rename(key, kept), 0);
    ck_assert_int_eq(rename(server_path(server, "tls/other.key"), key), 0);
    wait_until(gates(server, pids, 8) == 2, "there are no gates");
    kill(pids[0], SIGKILL);
    kill(pids[1], SIGKILL);
    server_wait_log(server, "could not begin to serve (exit status 1): another is tried");
    wait_until(strstr(pillion("status", "-p", server->prefix).out,
                      "TLS: 0 connections by 0 gates") != NULL,
               "the status does not show that there is no gate");
    ck_assert_int_eq(rename(kept, key), 0);
    ck_assert(shows(server, port, "localhost"));
}
END_TEST

static size_t open_files(pid_t pid)
{
    DIR *folder = opendir(keep_printf("/proc/%d/fd", (int)pid));
    size_t count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Clients that come one after the other wake the same gate. It leaves the other one its share, so
 * that the end of either costs some of the clients and not all. */
START_TEST(the_end_of_a_gate_costs_its_share_of_the_clients)
{
    enum { MOST = 300, SOME = 10 };
    struct tls clients[MOST];
    pid_t pids[8];
    int port, count = 0, lost = 0;
    size_t own[2], has[2];
    struct server *server = serve(&port, "");

    wait_until(gates(server, pids, 8) == 2, "there are no gates");
    for (int i = 0; i < 2; i++)
        own[i] = open_files(pids[i]);
    do { /* a gate may not get a processor for a while */
        tls_connect(&clients[count], server, port);
        tls_expect_alive(&clients[count++]);
        for (int i = 0; i < 2; i++)
            has[i] = open_files(pids[i]);
    } while (count < MOST && (has[0] < own[0] + 3 * SOME || has[1] < own[1] + 3 * SOME));
    kill(pids[0], SIGKILL);
    for (int i = 0; i < count; i++) {
        char head[4];
        if (!tls_try_frame(&clients[i], "{\"in\":\"ping\"}") ||
            !tls_take(&clients[i], head, sizeof(head)))
            lost++;
        ERR_clear_error();
        tls_close(&clients[i]);
    }
    ck_assert_int_ge(lost, SOME);
    ck_assert_int_ge(count - lost, SOME);
}
END_TEST

/* The queue is every worker's, so one module can end it for all, around libc. */
START_TEST(a_queue_that_a_module_has_shut_down_is_made_anew_by_a_reload)
{
    struct server *server = server_new();
    int port = free_port();
    struct tls tls;

    tls_make(server, "localhost", "DNS:localhost", NULL);
    server_conf(
        server, "load_module modules/descriptors.so; sandbox off; heartbeat_timeout 500ms;",
        keep_printf("listen 127.0.0.1:%d ssl; " PAIR("localhost") "method raw; method ping;",
                    port));
    server_start(server);
    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    int client = client_connect(server);
    client_send_frame(client,
                      "{\"in\":\"raw\",\"params\":{\"kind\":\"queue\",\"call\":\"shutdown\"}}");
    ck_assert_double_eq(
        cJSON_GetNumberValue(cJSON_GetObjectItem(client_receive_json(client), "result")), 1);
    server_wait_log(server, "the queue of TLS clients down, for all workers, by a system call; a "
                            "reload makes it anew");
    ck_assert(!is_served(server, port, &(struct tls_options){0}));
    client_expect_alive(client);
    tls_expect_alive(&tls);
    server_reload(server);
    wait_until(is_served(server, port, &(struct tls_options){0}), "the queue is not made anew");
    tls_expect_alive(&tls);
    client_expect_alive(client);
    tls_close(&tls);
}
END_TEST

START_TEST(a_quit_answers_what_is_under_way)
{
    int port;
    struct server *server = serve(&port, "");
    struct tls tls;

    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    tls_send_frame(&tls, "{\"in\":\"wait\",\"params\":{\"ms\":700}}");
    server_wait_log(server, "generation 1 serves");
    wait_until(server_calls(server, "wait", "in_flight") == 1, "the call has not begun");
    server_signal(server, SIGQUIT);
    expect_part(tls_receive(&tls), "\"out\"");
    char byte;
    ck_assert(!tls_take(&tls, &byte, 1));
    tls_close(&tls);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

/* ---- Clients that are not friends ---- */

START_TEST(handshakes_that_stop_are_ended)
{
    enum { MANY = 300 };
    int port, stopped[MANY];
    struct server *server = serve(&port, "ssl_handshake_timeout 1s;");
    struct tls tls;

    for (int i = 0; i < MANY; i++) {
        stopped[i] = client_try_connect(port);
        ck_assert_int_ge(stopped[i], 0);
        if (i % 3 != 0) /* a record of a handshake, cut short */
            client_send(stopped[i], "\x16\x03\x01\x02\0\x01", i % 3 == 1 ? 6 : 3);
    }
    tls_connect(&tls, server, port);
    tls_expect_alive(&tls);
    for (int i = 0; i < MANY; i++)
        wait_until(client_is_closed(stopped[i]), "a handshake that has stopped is not ended");
    tls_expect_alive(&tls);
    tls_close(&tls);
    server_wait_log(server, "it was not done in time (ssl_handshake_timeout)");
}
END_TEST

START_TEST(clients_that_speak_no_tls_are_told_in_the_log)
{
    int port;
    struct server *server = serve(&port, "");
    int client = client_try_connect(port);

    client_send(client, "GET / HTTP/1.1\r\n\r\n", 18);
    expect_part(client_receive_rest(client), "This port speaks TLS alone: use https://");
    server_wait_log(server, "has failed: it sent a request of HTTP without TLS");
    client = client_try_connect(port);
    client_send_frame(client, "{\"in\":\"ping\"}");
    server_wait_log(server, "has failed: wrong version number");
}
END_TEST

/* ---- Keys ---- */

/* The key as the file has it, a line of base64 from its middle, and as it is in memory. */
START_TEST(no_process_but_the_gates_has_a_key)
{
    int port;
    struct server *server = serve(&port, "");
    pid_t children[64];
    size_t known = 0;

    if (getuid() != 0) {
        printf("skipped: only root may look into the processes\n");
        return;
    }
    kill_workers(server);
    server_reload(server);
    struct run run = run_command(
        (const char *const[]){"/bin/sh", "-c",
                              "openssl pkey -in \"$0\" -noout -text | sed -n '/priv:/,/pub:/p' | "
                              "grep -v : -e priv -e pub | tr -d ' \\n'; openssl pkey -in \"$0\" "
                              "-noout -text | sed -n '/priv:/,/pub:/p' | grep '^ ' | tr -d ' \\n:'",
                              server_path(server, "tls/localhost.key"), NULL},
        NULL, PATIENCE_MS);
    size_t digits = strlen(run.out) < 64 ? 0 : 64;
    ck_assert_uint_eq(digits, 64);
    const char *hex = run.out + strlen(run.out) - digits;
    char key[32], turned[32]; /* numbers may lie in memory with the lowest byte first */
    for (int i = 0; i < 32; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        key[i] = turned[31 - i] = (char)byte;
    }
    size_t count = children_of(server->pid, children, 63);
    children[count++] = server->pid;
    for (size_t i = 0; i < count; i++) {
        const char *title = title_of(children[i]);
        bool has =
            process_has(children[i], key + 8, 16) || process_has(children[i], turned + 8, 16);
        bool is_gate = strncmp(title, "pillion: gate ", 14) == 0;
        ck_assert_msg(!has || is_gate, "%s has the key", title);
        known += has;
    }
    ck_assert_uint_gt(known, 0); /* the search finds it where it is */
}
END_TEST

/* The kernel's word on the process: "Seccomp:" is 2 under a filter. */
START_TEST(gates_are_locked_down_and_serve)
{
    int port;
    struct server *server = serve(&port, "");
    pid_t pids[8];

    wait_until(gates(server, pids, 8) == 2, "there are no gates");
    ck_assert(is_served(server, port, &(struct tls_options){0}));
    for (int i = 0; i < 2; i++) {
        const char *path = keep_printf("/proc/%d/status", (int)pids[i]);
        wait_until(strstr(file_read(path, NULL), "Seccomp:\t2") != NULL,
                   "a gate may make every system call");
    }
}
END_TEST

/* ---- Configurations ---- */

static struct run test_conf(const struct server *server)
{
    return run_command((const char *const[]){pillion_binary(), "-t", "-p", server->prefix, NULL},
                       NULL, PATIENCE_MS);
}

START_TEST(certificates_that_cannot_be_used_are_refused)
{
    static const struct {
        const char *directives, *words;
    } rows[] = {
        {"", "with ssl\" needs \"ssl_certificate\" and"},
        {"ssl_certificate tls/localhost.pem;",
         "1 \"ssl_certificate\" and 0 \"ssl_certificate_key\""},
        {"ssl_certificate tls/none.pem; ssl_certificate_key tls/localhost.key;",
         "tls/none.pem cannot be used: No such file or directory"},
        {"ssl_certificate tls/localhost.pem; ssl_certificate_key tls/other.key;",
         "does not belong to the certificate"},
        {"ssl_certificate tls/localhost.key; ssl_certificate_key tls/localhost.key;",
         "tls/localhost.key cannot be used: it holds no certificate in PEM"},
        {"ssl_certificate tls/localhost.pem; ssl_certificate_key tls/localhost.pem;",
         "tls/localhost.pem cannot be used: it holds no key in PEM"},
        {"ssl_certificate tls/localhost.pem; ssl_certificate_key tls/rsa.key;",
         "tls/localhost.pem, whose first one is that of \"localhost\""},
        {"ssl_certificate tls/localhost.pem; ssl_certificate_key tls/locked.key;",
         "tls/locked.key cannot be used: it has a passphrase"},
        {PAIR("localhost") "ssl_ciphers none-such;", "names no cipher that OpenSSL knows"},
        {PAIR("localhost") "ssl_verify_client on;", "needs \"ssl_client_certificate\""},
        {PAIR("localhost") "ssl_verify_client on; ssl_client_certificate tls/none.pem;",
         "certificates of authorities in"},
        {PAIR("localhost") "ssl_protocols TLSv1.1;", "\"ssl_protocols\" must be"},
        {PAIR("localhost") "listen 127.0.0.1:1 ssl proxy_protocol;", "needs \"proxy_from\""},
        {PAIR("localhost") "ssl_handshakes 0;", "\"ssl_handshakes\" must be"},
    };
    int port;
    struct server *server = serve(&port, "");

    tls_make(server, "other", "DNS:other", NULL);
    tls_shell(server, TLS_LOCK "localhost.key; openssl genrsa -out rsa.key 2048");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        server_conf(
            server, "",
            keep_printf("method ping; listen 127.0.0.1:%d ssl; %s", port, rows[i].directives));
        struct run run = test_conf(server);
        ck_assert_msg(run.status == 1, "this is good: %s", rows[i].directives);
        expect_part(run.err, i == 0 ? "needs \"ssl_certificate\"" : rows[i].words);
        server_reload_refused(server, i == 0 ? "needs \"ssl_certificate\"" : rows[i].words);
    }
    ck_assert(shows(server, port, "localhost"));
}
END_TEST

START_TEST(certificates_that_expire_soon_are_told)
{
    struct server *server = server_new();
    int port = free_port();

    tls_make_for(server, "soon", "DNS:localhost", NULL, 10);
    tls_make(server, "root", "DNS:root", NULL);
    tls_make_for(server, "between", "DNS:between\nbasicConstraints=critical,CA:TRUE", "root", 20);
    tls_make(server, "lasts", "DNS:lasts", "between");
    tls_shell(server, "cat lasts.pem between.pem >chain.pem");
    serve_tls(server, port, PAIR("soon"),
              "ssl_certificate tls/chain.pem; ssl_certificate_key tls/lasts.key;");
    server_wait_log(server, "the certificate of \"soon\" expires in ");
    server_wait_log(server, "the certificate of \"between\" (behind \"lasts\") expires in ");
    const struct run run = pillion("status", "--prometheus", "-p", server->prefix);
    const char *shown = strstr(run.out, "\npillion_certificate_expiry_timestamp_seconds ");
    ck_assert_ptr_nonnull(shown);
    long left = strtol(strchr(shown + 1, ' '), NULL, 10) - (long)time(NULL);
    ck_assert_int_gt(left, 8 * 86400);
    ck_assert_int_le(left, 10 * 86400);
}
END_TEST

E2E_MAIN("tls", curl_calls_a_method_over_tls, any_name_of_the_certificate_may_be_called,
         modules_see_the_client_and_what_was_agreed_on, the_certificate_is_the_one_of_the_name,
         clients_certificates_are_asked_for_as_configured,
         an_authority_below_another_is_trusted_by_itself,
         a_session_goes_on_only_where_clients_are_verified_alike,
         versions_are_those_that_are_configured, a_protocol_that_is_not_spoken_is_refused,
         nobody_negotiates_anew, weak_ciphers_are_not_offered,
         large_messages_pass_in_both_directions, a_client_that_does_not_read_holds_up_nobody,
         a_client_that_never_reads_is_reset, a_client_that_only_changes_keys_holds_up_nobody,
         a_client_that_has_finished_sending_gets_its_replies,
         connections_outlive_workers_vaults_and_reloads,
         a_crash_is_answered_and_costs_no_connection, a_new_certificate_costs_no_connection,
         former_gates_end_when_their_time_is_over_and_the_log_tells_it,
         connections_outlive_an_upgrade, tickets_outlive_reloads_and_upgrades,
         a_gate_that_dies_is_replaced_and_nothing_else_ends,
         gates_that_cannot_begin_are_tried_again_and_that_is_seen,
         the_end_of_a_gate_costs_its_share_of_the_clients,
         a_queue_that_a_module_has_shut_down_is_made_anew_by_a_reload,
         a_quit_answers_what_is_under_way, handshakes_that_stop_are_ended,
         clients_that_speak_no_tls_are_told_in_the_log, no_process_but_the_gates_has_a_key,
         gates_are_locked_down_and_serve, certificates_that_cannot_be_used_are_refused,
         certificates_that_expire_soon_are_told)
