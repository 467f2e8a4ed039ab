/* TLS to servers behind, as modules speak it through the core (pillion_tls_connect): the proxy
 * module in front of Pillions with `ssl`, of servers of OpenSSL, and of none. */
#include "tls_peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

#define FORWARDED                                                                                  \
    "method ping { handler proxy.forward; idempotent on; } method peer { handler proxy.forward; }" \
    "method wait { handler proxy.forward; } method crash { handler proxy.forward; }"

struct behind {
    struct server *server;
    int port; /* at which it speaks TLS */
};

/* Certificates: "server" for `hosts` and "client one", by "authority"; and "other". */
static struct behind behind_new(const char *hosts, int days)
{
    struct behind behind = {.server = server_new(), .port = free_port()};

    tls_make(behind.server, "authority", "DNS:authority", NULL);
    tls_make(behind.server, "other", "DNS:other", NULL);
    tls_make_for(behind.server, "server", hosts, "authority", days);
    tls_make(behind.server, "client one", "DNS:client", "authority");
    return behind;
}

static void behind_start(const struct behind *behind, const char *more)
{
    struct server *server = behind->server;

    server_conf(server,
                "load_module modules/peer.so; load_module modules/later.so;"
                "load_module modules/crash.so;",
                keep_printf("method ping; method peer; method wait { handler later.wait; }"
                            "method crash { handler crash.null; }"
                            "listen 127.0.0.1:%d ssl; %s %s",
                            behind->port, PAIR("server"), more));
    server->reports_allowed = true; /* a method ends its worker */
    server_start(server);
}

static struct behind behind(const char *hosts)
{
    struct behind made = behind_new(hosts, 90);

    behind_start(&made, "");
    return made;
}

static const char *file(const struct behind *behind, const char *name)
{
    return server_path(behind->server, keep_printf("tls/%s", name));
}

/* `ssl` are directives of the module's block. */
static void configure(struct server *front, int port, const char *ssl)
{
    server_conf(front,
                keep_printf("load_module modules/proxy.so { upstream 127.0.0.1:%d; ssl on; "
                            "timeout 5s; %s }",
                            port, ssl),
                FORWARDED);
}

static struct server *in_front(int port, const char *ssl)
{
    struct server *front = server_new();

    configure(front, port, ssl);
    server_start(front);
    return front;
}

static const char *trusts(const struct behind *behind, const char *name)
{
    return keep_printf("ssl_trusted_certificate %s;", file(behind, keep_printf("%s.pem", name)));
}

static void comes(int client)
{
    wait_until(strstr(client_ask(client, "{\"in\":\"ping\"}"), "\"pong\"") != NULL,
               "the server behind does not come");
}

/* Requests are refused, clients are not told of certificates and addresses, and the log is. */
static void expect_refused(const struct server *front, const char *words)
{
    int client = client_connect(front);

    server_wait_log(front, words);
    client_send_frame(client, "{\"in\":\"ping\"}");
    const char *message = client_expect_error(client, "upstream_unavailable");
    ck_assert_msg(strstr(message, "127.0.0.1") == NULL, "%s", message);
    ck_assert_msg(strstr(message, ".pem") == NULL, "%s", message);
    close(client);
}

/* ---- What is agreed on ---- */

START_TEST(a_server_behind_is_asked_over_tls)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = in_front(there.port, trusts(&there, "authority"));
    int client = client_connect(front);

    comes(client);
    const char *reply = client_ask(client, "{\"in\":\"peer\"}");
    expect_part(reply, "\"alpn\":\"pillion/1\"");
    expect_part(reply, "\"cn\":null");
    close(client);
}
END_TEST

START_TEST(the_server_is_asked_by_its_name_and_with_a_certificate)
{
    struct behind there = behind_new("DNS:shop.test", 90);

    behind_start(&there, "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    chmod(file(&there, "client one.key"), 0600); /* root's alone, where the tests are root's */
    struct server *front = in_front(
        there.port, keep_printf("ssl_name shop.test; %s ssl_certificate \"%s\"; "
                                "ssl_certificate_key \"%s\";",
                                trusts(&there, "authority"), file(&there, "client one.pem"),
                                file(&there, "client one.key")));
    int client = client_connect(front);
    comes(client);
    const char *reply = client_ask(client, "{\"in\":\"peer\"}");
    expect_part(reply, "\"sni\":\"shop.test\"");
    expect_part(reply, "\"cn\":\"client one\"");
    close(client);
}
END_TEST

/* ---- What is refused ---- */

START_TEST(a_server_that_cannot_be_verified_is_refused)
{
    static const struct {
        const char *hosts;
        int days;
        const char *trusted, *more, *said;
    } rows[] = {
        {"IP:127.0.0.1", 90, NULL, "",
         "TLS: its certificate is not trusted: \"authority\", who signed it, is not among the "
         "system's authorities"},
        {"IP:127.0.0.1", 90, "other", "", "other.pem authorities"},
        {"DNS:shop.test,IP:127.0.0.9", 90, "authority", "",
         "its certificate is not for \"127.0.0.1\": it is for shop.test, 127.0.0.9"},
        {"DNS:shop.test,IP:127.0.0.9", 90, "authority", "ssl_name bank.test;",
         "its certificate is not for \"bank.test\""},
        {"IP:127.0.0.1", -1, "authority", "", "its certificate has expired, at 20"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct behind there = behind_new(rows[i].hosts, rows[i].days);
        test_row(rows[i].said);
        behind_start(&there, "");
        const char *trusted = rows[i].trusted == NULL ? "" : trusts(&there, rows[i].trusted);
        expect_refused(in_front(there.port, keep_printf("%s %s", trusted, rows[i].more)),
                       rows[i].said);
    }
}
END_TEST

START_TEST(a_server_that_need_not_be_verified_is_asked)
{
    struct behind there = behind("IP:127.0.0.1");
    int client = client_connect(in_front(there.port, "ssl_verify off;"));

    comes(client);
    close(client);
}
END_TEST

/* TLS 1.3 tells the client that it wants a certificate only after the handshake. */
START_TEST(a_client_without_the_certificate_is_told)
{
    struct behind there = behind_new("IP:127.0.0.1", 90);

    behind_start(&there, "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    struct server *front = in_front(there.port, trusts(&there, "authority"));
    server_wait_log(front, "TLS: it wants a certificate of the client's, and has got none");
    front = in_front(there.port, keep_printf("%s ssl_certificate %s; ssl_certificate_key %s;",
                                             trusts(&there, "authority"), file(&there, "other.pem"),
                                             file(&there, "other.key")));
    server_wait_log(front, "TLS: it does not trust the client's certificate");
}
END_TEST

START_TEST(a_server_without_tls_is_told_from_one_with)
{
    struct behind there = behind("IP:127.0.0.1");

    expect_refused(in_front(there.server->port, trusts(&there, "authority")),
                   "TLS: it does not speak TLS");
}
END_TEST

START_TEST(a_server_that_stops_in_the_handshake_is_given_up)
{
    char *address;
    int listener = listen_anywhere(&address);
    int port = atoi(strrchr(address, ':') + 1);
    struct server *front = in_front(port, "ssl_handshake_timeout 200ms;");

    server_wait_log(front, "TLS: the handshake was not done in time (ssl_handshake_timeout)");
    server_reload(front); /* with handshakes under way */
    close(listener);
    server_wait_log(front, "Connection refused");
}
END_TEST

/* ---- Configurations ---- */

START_TEST(files_that_cannot_be_used_are_refused)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = in_front(there.port, trusts(&there, "authority"));
    const char *pem = file(&there, "other.pem"), *key = file(&there, "server.key"),
               *rsa = file(&there, "rsa.key");
    const struct {
        const char *directives, *said;
    } rows[] = {
        {"ssl_trusted_certificate nowhere.pem;", "cannot read"},
        {"ssl_trusted_certificate conf;", "is no regular file"},
        {"ssl_trusted_certificate conf/pillion.conf;", "there is none in it"},
        {keep_printf("ssl_certificate %s;", pem), "it needs ssl_certificate_key"},
        {keep_printf("ssl_certificate_key %s;", key), "it needs ssl_certificate"},
        {keep_printf("ssl_certificate %s; ssl_certificate_key %s;", pem, key),
         "does not belong to the certificate"},
        {keep_printf("ssl_certificate %s; ssl_certificate_key %s;", pem, rsa),
         "does not belong to the certificate"},
        {keep_printf("ssl_verify off; ssl_trusted_certificate %s;", pem),
         "looks at no certificate"},
        {"ssl_name \"\";", "it takes a name"},
    };

    tls_shell(there.server, "openssl genrsa -out rsa.key 2048");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        configure(front, there.port, rows[i].directives);
        server_reload_refused(front, rows[i].said);
    }
    int client = client_connect(front);
    comes(client); /* by the former one */
    close(client);
}
END_TEST

/* The binary stands alone in a folder: no tls.so is beside it. */
START_TEST(a_missing_plugin_costs_ssl_alone)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = server_new();
    const char *alone = binary_alone(front, "tls.so");
    const char *const try[] = {alone, "-t", "-p", front->prefix, NULL};

    if (alone == NULL)
        return; /* an installed one is found */
    configure(front, there.port, trusts(&there, "authority"));
    struct run run = run_command(try, NULL, PATIENCE_MS);
    expect_status(&run, 1);
    expect_part(run.err, "TLS needs tls.so, which cannot be loaded");
    server_conf(front, "load_module modules/proxy.so { upstream 127.0.0.1:1; }", FORWARDED);
    run = run_command(try, NULL, PATIENCE_MS);
    expect_status(&run, 0);
}
END_TEST

START_TEST(a_reload_takes_new_authorities)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = server_new();

    file_copy(file(&there, "other.pem"), server_path(front, "trusted.pem"));
    configure(front, there.port, "ssl_trusted_certificate trusted.pem;");
    server_start(front);
    expect_refused(front, "its certificate is not trusted");
    file_copy(file(&there, "authority.pem"), server_path(front, "trusted.pem"));
    server_reload(front);
    int client = client_connect(front);
    comes(client);
    close(client);
}
END_TEST

/* Certificates are renewed one file after the other, and a worker may die in between. */
START_TEST(a_worker_has_the_files_that_its_generation_began_with)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = server_new();

    file_copy(file(&there, "authority.pem"), server_path(front, "trusted.pem"));
    configure(front, there.port, "ssl_trusted_certificate trusted.pem;");
    front->reports_allowed = true; /* workers are killed */
    server_start(front);
    int client = client_connect(front);
    comes(client);
    file_write(server_path(front, "trusted.pem"), "half of it", 10);
    pid_t workers[8];
    size_t count = server_workers(front, workers, 8);
    for (size_t i = 0; i < count; i++) {
        kill(workers[i], SIGKILL);
        wait_until(server_stat(front, "crashes") == (double)i + 1, "no worker dies");
        comes(client);
    }
    ck_assert_ptr_null(strstr(server_log(front), "could not be replaced"));
    struct run run = server_ask(front, "reload");
    expect_status(&run, 1);
    expect_part(run.err, "trusted.pem cannot be used");
    comes(client);
    close(client);
}
END_TEST

/* ---- Bytes ---- */

/* More than the sockets hold, in both directions at once. */
START_TEST(large_messages_pass_in_both_directions)
{
    struct behind there = behind_new("IP:127.0.0.1", 90);
    size_t size = 4 << 20;
    char *text = keep(malloc(size + 64));

    behind_start(&there, "max_frame 16m;");
    struct server *front = server_new();
    server_conf(front,
                keep_printf("load_module modules/proxy.so { upstream 127.0.0.1:%d; ssl on; "
                            "timeout 50s; max_frame 16m; connections 1; %s }",
                            there.port, trusts(&there, "authority")),
                "max_frame 16m; method ping { handler proxy.forward; }");
    server_start(front);
    int at = sprintf(text, "{\"in\":\"ping\",\"params\":\"");
    memset(text + at, 'x', size);
    strcpy(text + at + size, "\"}");
    int clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = client_connect(front);
        client_send_frame(clients[i], text);
    }
    for (int i = 0; i < 4; i++) {
        size_t got;
        client_receive(clients[i], &got);
        ck_assert_uint_eq(got, size + strlen("{\"out\":\"pong\",\"result\":\"\"}"));
        close(clients[i]);
    }
}
END_TEST

/* ---- Connections end ---- */

static size_t descriptors(pid_t pid)
{
    DIR *folder = opendir(keep_printf("/proc/%d/fd", (int)pid));
    size_t count = 0;

    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

START_TEST(a_server_that_comes_again_is_asked_again_and_nothing_is_left)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = server_new();
    pid_t worker;

    configure(front, there.port, trusts(&there, "authority"));
    server_start_alone(front);
    int client = client_connect(front);
    comes(client);
    server_workers(front, &worker, 1);
    size_t before = descriptors(worker);
    for (int i = 0; i < 3; i++) {
        server_signal(there.server, SIGTERM);
        server_wait_exit(there.server, PATIENCE_MS);
        wait_until(server_metric(front, "proxy", "connected") == 0, "its end is not noticed");
        server_start(there.server);
        comes(client);
    }
    server_wait_log(front, "closed the connection");
    wait_until(descriptors(worker) <= before, "descriptors are left");
    close(client);
}
END_TEST

static void kill_one_worker(const struct server *server)
{
    pid_t pids[8];

    if (server_workers(server, pids, 8) > 0)
        kill(pids[0], SIGKILL);
}

/* A client of a chain of two: nothing is lost or wrong while workers of both are killed. */
START_TEST(a_chain_over_tls_outlives_workers_of_both)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front =
        in_front(there.port, keep_printf("%s retries 10;", trusts(&there, "authority")));
    int client = client_connect(front);

    front->reports_allowed = true;
    comes(client);
    for (int i = 0; i < 600; i++) {
        if (i % 100 == 50)
            kill_one_worker(there.server);
        if (i % 100 == 99)
            kill_one_worker(front);
        expect_text(client_ask(client, keep_printf("{\"in\":\"ping\",\"params\":%d}", i)),
                    keep_printf("{\"out\":\"pong\",\"result\":%d}", i));
    }
    close(client);
}
END_TEST

START_TEST(a_crash_behind_is_answered_over_tls)
{
    struct behind there = behind("IP:127.0.0.1");
    struct server *front = in_front(there.port, trusts(&there, "authority"));
    int client = client_connect(front);

    comes(client);
    client_send_frame(client, "{\"in\":\"crash\"}");
    client_expect_error(client, "module_crashed");
    comes(client);
    close(client);
}
END_TEST

/* ---- By HTTP ---- */

static void configure_http(struct server *front, int port, const char *ssl)
{
    server_conf(front,
                keep_printf("load_module modules/proxy_http.so { upstream https://localhost:%d/; "
                            "%s }",
                            port, ssl),
                "method ping { handler proxy_http.forward; idempotent on; }"
                "method peer { handler proxy_http.forward; }");
}

/* libcurl speaks TLS; the files are the worker's all the same, and may be root's alone. */
START_TEST(a_service_of_https_is_asked_with_a_certificate)
{
    struct behind there = behind_new("DNS:localhost", 90);
    struct server *front = server_new();
    const char *own = keep_printf("ca %s; ssl_certificate \"%s\"; ssl_certificate_key \"%s\";",
                                  file(&there, "authority.pem"), file(&there, "client one.pem"),
                                  file(&there, "client one.key"));

    behind_start(&there, "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    chmod(file(&there, "client one.key"), 0600);
    chmod(file(&there, "authority.pem"), 0600);
    configure_http(front, there.port, own);
    server_start(front);
    int client = client_connect(front);
    wait_until(strstr(client_ask(client, "{\"in\":\"ping\"}"), "\"error\"") == NULL,
               "the service does not come");
    const char *reply = client_ask(client, "{\"in\":\"peer\"}");
    expect_part(reply, "\"cn\":\"client one\"");
    expect_part(reply, "\"alpn\":\"http/1.1\"");
    configure_http(front, there.port, keep_printf("ca %s;", file(&there, "authority.pem")));
    server_reload(front);
    wait_until(strstr(client_ask(client, "{\"in\":\"ping\"}"), "upstream_unavailable") != NULL,
               "it is asked without a certificate");
    server_wait_log(front, "does not take the client's certificate, or its lack");
    server_wait_log(front, "had no good answer");
    configure_http(front, there.port, keep_printf("ca %s;", file(&there, "other.pem")));
    server_reload(front);
    client_ask(client, "{\"in\":\"ping\"}");
    server_wait_log(front, "unable to get local issuer certificate");
    tls_shell(there.server, TLS_LOCK "'client one.key'");
    configure_http(front, there.port,
                   keep_printf("ca %s; ssl_certificate \"%s\"; ssl_certificate_key %s;",
                               file(&there, "authority.pem"), file(&there, "client one.pem"),
                               file(&there, "locked.key")));
    server_reload(front);
    expect_part(client_ask(client, "{\"in\":\"ping\"}"), "upstream_unavailable");
    server_wait_log(front, "unable to set private key file");
    configure_http(front, there.port, "ssl_certificate_key /dev/null;");
    server_reload_refused(front, "is no regular file");
    configure_http(front, there.port,
                   keep_printf("ssl_certificate_key %s;", file(&there, "other.key")));
    server_reload_refused(front, "need each other");
    close(client);
}
END_TEST

/* ---- A module of one's own ---- */

/* Accepts a connection, and does the handshake as "server". */
static void peer_accept(struct tls *peer, const struct behind *behind, int listener)
{
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

    peer->context = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(
        SSL_CTX_use_certificate_file(peer->context, file(behind, "server.pem"), SSL_FILETYPE_PEM),
        1);
    ck_assert_int_eq(
        SSL_CTX_use_PrivateKey_file(peer->context, file(behind, "server.key"), SSL_FILETYPE_PEM),
        1);
    peer->fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer->fd, 0);
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    peer->ssl = SSL_new(peer->context);
    SSL_set_fd(peer->ssl, peer->fd);
    ck_assert_int_eq(SSL_accept(peer->ssl), 1);
}

static const char *peer_read_all(struct tls *peer)
{
    char *text = keep(calloc(1, 4096));
    size_t size = 0;
    int got;

    while ((got = SSL_read(peer->ssl, text + size, (int)(4095 - size))) > 0)
        size += (size_t)got;
    ck_assert_int_eq(SSL_get_error(peer->ssl, got), SSL_ERROR_ZERO_RETURN); /* in order */
    return text;
}

/* A client whose method has a module talk, by TLS, to a listener of the test's. */
struct talk {
    struct behind there;
    int listener, port, client;
    struct tls peer;
};

static struct server *talk_server(const char *settings)
{
    return server_serve(keep_printf("load_module modules/talk.so { %s }", settings),
                        "method talk;");
}

/* The module says `text`; `more` are further params, from a comma on. */
static void talk_begin(struct talk *talk, const char *text, const char *more)
{
    char *address;

    talk->there = behind_new("IP:127.0.0.1", 90);
    talk->listener = listen_anywhere(&address);
    talk->port = atoi(strrchr(address, ':') + 1);
    talk->client = client_connect(talk_server(trusts(&talk->there, "authority")));
    client_send_frame(talk->client, keep_printf("{\"in\":\"talk\",\"params\":{\"port\":%d,"
                                                "\"text\":\"%s\"%s}}",
                                                talk->port, text, more));
}

static void talk_accept(struct talk *talk)
{
    peer_accept(&talk->peer, &talk->there, talk->listener);
}

static void talk_end(struct talk *talk)
{
    tls_close(&talk->peer);
    close(talk->client);
    close(talk->listener);
}

START_TEST(a_module_that_has_finished_sending_gets_what_comes)
{
    struct talk talk;

    talk_begin(&talk, "all of it", "");
    talk_accept(&talk);
    expect_text(peer_read_all(&talk.peer), "all of it");
    ck_assert_int_eq(SSL_write(talk.peer.ssl, "and the answer", 14), 14);
    SSL_shutdown(talk.peer.ssl);
    client_expect(talk.client, "{\"out\":\"said\",\"result\":\"and the answer\"}");
    talk_end(&talk);
}
END_TEST

START_TEST(what_a_module_leaves_behind_is_still_sent)
{
    struct talk talk;

    talk_begin(&talk, "the last word", ",\"leave\":true");
    talk_accept(&talk);
    client_expect(talk.client, "{\"out\":\"left\",\"result\":null}");
    expect_text(peer_read_all(&talk.peer), "the last word");
    talk_end(&talk);
}
END_TEST

/* Records that are none, after the handshake: the module hears of it. */
START_TEST(a_module_hears_of_what_breaks_later)
{
    struct talk talk;

    talk_begin(&talk, "x", "");
    talk_accept(&talk);
    ck_assert_int_eq(send(talk.peer.fd, "this is no record of TLS", 24, MSG_NOSIGNAL), 24);
    expect_part(client_expect_error(talk.client, "broken"), "TLS: ");
    talk_end(&talk);
}
END_TEST

/* Words that begin with "TLS: " are the log's: a reset is not among them. */
START_TEST(a_reset_is_the_networks_and_not_of_tls)
{
    const struct linger at_once = {.l_onoff = 1};
    struct talk talk;

    talk_begin(&talk, "x", "");
    talk_accept(&talk);
    setsockopt(talk.peer.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(talk.peer.fd);
    talk.peer.fd = -1;
    ck_assert_str_eq(client_expect_error(talk.client, "broken"), strerror(ECONNRESET));
    talk_end(&talk);
}
END_TEST

START_TEST(a_module_whose_client_goes_ends_the_handshake)
{
    struct talk talk;
    char rest[4096];

    talk_begin(&talk, "x", "");
    int peer = accept(talk.listener, NULL, NULL);
    ck_assert_int_gt(recv(peer, rest, 1, 0), 0); /* it has begun */
    close(talk.client);
    while (recv(peer, rest, sizeof(rest), 0) > 0) {
    }
    close(peer);
    close(talk.listener);
}
END_TEST

static const char *ask_talk(int client, int port, const char *name)
{
    return client_call(client, "talk",
                       keep_printf("{\"port\":%d,\"text\":\"\",\"name\":\"%s\"}", port, name));
}

/* OpenSSL would take any certificate for the name "". */
START_TEST(a_connection_has_a_name)
{
    struct behind there = behind("DNS:shop.test");
    struct server *server = talk_server(trusts(&there, "authority"));
    int client = client_connect(server);
    const char *const rows[][2] = {
        {"shop.test", "\"said\""},
        {"shop.test.", "\"said\""},
        {"other.test", "TLS: its certificate is not for"},
        {"", "Invalid argument"},
        {keep_printf("%0256d", 0), "Invalid argument"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        test_row(rows[i][0]);
        expect_part(ask_talk(client, there.port, rows[i][0]), rows[i][1]);
    }
    expect_part(server_log(server), "without a name of 1 to 255 bytes");
    close(client);
}
END_TEST

/* What a module forgets to set does not make it trust anybody. */
START_TEST(settings_of_zeros_verify)
{
    struct behind there = behind("IP:127.0.0.1");
    int client = client_connect(talk_server("bare on;"));

    expect_part(ask_talk(client, there.port, "127.0.0.1"), "TLS: its certificate is not trusted");
    close(client);
}
END_TEST

/* ---- Servers of OpenSSL ---- */

/* `openssl s_server`, which writes to the file "got" all that it is sent. */
static pid_t s_server(const struct behind *behind, int port, const char *option)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int got = open(file(behind, "got"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        int none[2];
        if (got >= 0 && pipe(none) == 0 && dup2(got, STDOUT_FILENO) >= 0 &&
            dup2(none[0], STDIN_FILENO) >= 0) /* it ends at the end of its input */
            execl("/usr/bin/openssl", "openssl", "s_server", "-quiet", "-accept",
                  keep_printf("127.0.0.1:%d", port), "-cert", file(behind, "server.pem"), "-key",
                  file(behind, "server.key"), option, NULL);
        _exit(127);
    }
    return pid;
}

static bool got_part(const struct behind *behind, const char *part)
{
    size_t size;
    const char *got = file_read(file(behind, "got"), &size);

    return memmem(got, size, part, strlen(part)) != NULL;
}

START_TEST(a_server_of_openssl_gets_the_frames)
{
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};
    struct behind there = behind_new("IP:127.0.0.1", 90);

    for (size_t i = 0; i < 2; i++) {
        int port = free_port();
        pid_t pid = s_server(&there, port, versions[i]);
        struct server *front = server_new();
        configure(front, port, keep_printf("%s connections 1;", trusts(&there, "authority")));
        /* s_server has one client at a time. */
        server_start_alone(front);
        wait_until(server_metric(front, "proxy", "connected") >= 1, "it is not connected");
        int client = client_connect(front);
        client_send_frame(client, "{\"in\":\"ping\",\"params\":\"over TLS\"}");
        wait_until(got_part(&there, "\"params\":\"over TLS\""), "s_server gets no frame");
        close(client);
        daemon_end(pid);
    }
}
END_TEST

E2E_MAIN("tls_out", a_server_behind_is_asked_over_tls,
         the_server_is_asked_by_its_name_and_with_a_certificate,
         a_server_that_cannot_be_verified_is_refused, a_server_that_need_not_be_verified_is_asked,
         a_client_without_the_certificate_is_told, a_server_without_tls_is_told_from_one_with,
         a_server_that_stops_in_the_handshake_is_given_up, files_that_cannot_be_used_are_refused,
         a_missing_plugin_costs_ssl_alone, a_reload_takes_new_authorities,
         a_worker_has_the_files_that_its_generation_began_with,
         large_messages_pass_in_both_directions,
         a_server_that_comes_again_is_asked_again_and_nothing_is_left,
         a_chain_over_tls_outlives_workers_of_both, a_crash_behind_is_answered_over_tls,
         a_service_of_https_is_asked_with_a_certificate,
         a_module_that_has_finished_sending_gets_what_comes,
         what_a_module_leaves_behind_is_still_sent, a_module_hears_of_what_breaks_later,
         a_reset_is_the_networks_and_not_of_tls, a_module_whose_client_goes_ends_the_handshake,
         a_connection_has_a_name, settings_of_zeros_verify, a_server_of_openssl_gets_the_frames)
