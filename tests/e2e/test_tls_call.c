/* `pillion call`, `list` and `bench` over TLS: which servers they trust, as whom they come, and
 * what they say when it cannot be. */
#include "tls_peer.h"

#include <signal.h>
#include <sys/wait.h>

#define USAGE     64
#define NO_SERVER 2

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

/* A server whose certificate "server" is for `hosts`, signed by "authority". */
static struct server *serve(int *port, const char *hosts, int days, const char *more)
{
    struct server *server = server_new();

    *port = free_port();
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "other", "DNS:other", NULL);
    tls_make_for(server, "server", hosts, "authority", days);
    tls_make(server, "client one", "DNS:client", "authority");
    server_conf(
        server, "load_module modules/peer.so;",
        keep_printf("method ping; method peer; method rpc.list; listen 127.0.0.1:%d ssl; %s %s",
                    *port, PAIR("server"), more));
    server_start(server);
    return server;
}

static const char *at(const char *host, int port)
{
    return keep_printf("%s:%d", host, port);
}

static const char *pem(const struct server *server, const char *name)
{
    return server_path(server, keep_printf("tls/%s.pem", name));
}

static const char *key(const struct server *server, const char *name)
{
    return server_path(server, keep_printf("tls/%s.key", name));
}

static void expect_refused(const struct run *run, const char *words)
{
    expect_status(run, NO_SERVER);
    ck_assert_str_eq(run->out, "");
    expect_part(run->err, words);
}

/* ---- Calls ---- */

START_TEST(a_server_is_called_over_tls_by_every_protocol)
{
    static const char *const protocols[] = {"frame", "line", "lsp", "http"};
    int port;
    struct server *server = serve(&port, "DNS:localhost,IP:127.0.0.1", 90, "");
    const char *ca = pem(server, "authority");

    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        struct run run = pillion("call", "--server", at("localhost", port), "--tls", "--ca", ca,
                                 "--protocol", protocols[i], "ping", "[1]");
        expect_status(&run, 0);
        expect_text(run.out, "[1]\n");
    }
    struct run run =
        pillion("call", "--server", keep_printf("tls:127.0.0.1:%d", port), "--ca", ca, "ping", "2");
    expect_status(&run, 0);
    expect_text(run.out, "2\n");
    run = pillion("call", "--http", keep_printf("https://localhost:%d/", port), "--ca", ca,
                  "--jsonrpc", "ping", "[3]");
    expect_status(&run, 0);
    expect_text(run.out, "[3]\n");
    run = pillion("list", "--server", keep_printf("tls:localhost:%d", port), "--ca", ca);
    expect_status(&run, 0);
    expect_part(run.out, "ping");
}
END_TEST

START_TEST(many_calls_go_over_one_session)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "");
    struct buffer lines = {0};
    const char *argv[] = {pillion_binary(),
                          "call",
                          "--server",
                          keep_printf("tls:localhost:%d", port),
                          "--ca",
                          pem(server, "authority"),
                          "--lines",
                          "ping",
                          "-",
                          NULL};

    double before = server_stat(server, "connections.accepted");
    for (int i = 0; i < 200; i++)
        buffer_add(&lines, keep_printf("%d\n", i), strlen(keep_printf("%d\n", i)));
    buffer_add(&lines, "", 1);
    struct run run = run_command(argv, lines.data, PATIENCE_MS);
    expect_status(&run, 0);
    expect_text(run.out, lines.data);
    ck_assert_int_eq((int)(server_stat(server, "connections.accepted") - before), 2); /* one asks */
    free(lines.data);
}
END_TEST

START_TEST(a_large_reply_comes_whole)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "max_frame 16m;");
    size_t size = 6 << 20;
    char *text = keep(malloc(size + 4));
    const char *argv[] = {pillion_binary(),
                          "call",
                          "--server",
                          keep_printf("tls:localhost:%d", port),
                          "--ca",
                          pem(server, "authority"),
                          "ping",
                          "-",
                          NULL};

    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    text[size] = '\0';
    struct run run = run_command(argv, text, PATIENCE_MS);
    expect_status(&run, 0);
    ck_assert_uint_eq(strlen(run.out), size + 1);
    ck_assert_int_eq(strncmp(run.out, text, size), 0);
}
END_TEST

START_TEST(frames_and_http_are_told_by_alpn)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "");
    const char *to = keep_printf("tls:localhost:%d", port), *ca = pem(server, "authority");

    struct run run = pillion("call", "--server", to, "--ca", ca, "peer");
    expect_status(&run, 0);
    expect_part(run.out, "\"alpn\":\"pillion/1\"");
    expect_part(run.out, "\"sni\":\"localhost\"");
    run = pillion("call", "--server", to, "--ca", ca, "--protocol", "http", "peer");
    expect_part(run.out, "\"alpn\":\"http/1.1\"");
}
END_TEST

START_TEST(the_client_comes_with_its_certificate)
{
    int port;
    struct server *server =
        serve(&port, "DNS:localhost", 90,
              "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    const char *to = keep_printf("tls:localhost:%d", port), *ca = pem(server, "authority");

    struct run run = pillion("call", "--server", to, "--ca", ca, "--cert",
                             pem(server, "client one"), "--key", key(server, "client one"), "peer");
    expect_status(&run, 0);
    expect_part(run.out, "\"cn\":\"client one\"");
    run = pillion("call", "--server", to, "--ca", ca, "ping");
    expect_refused(&run, "it wants a certificate of the client's, and has got none");
    run = pillion("call", "--server", to, "--ca", ca, "--cert", pem(server, "other"), "--key",
                  key(server, "other"), "ping");
    expect_refused(&run, "it does not trust the client's certificate");
    run = pillion("call", "--server", to, "--ca", ca, "--cert", pem(server, "other"), "--key",
                  key(server, "client one"), "ping");
    expect_status(&run, USAGE);
    expect_part(run.err, "does not belong to the certificate");
}
END_TEST

/* ---- Whom it trusts ---- */

START_TEST(a_certificate_that_nobody_trusts_is_refused)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "");
    const char *to = keep_printf("tls:localhost:%d", port);

    struct run run = pillion("call", "--server", to, "ping");
    expect_refused(&run, "its certificate is not trusted: \"authority\", who signed it, is not "
                         "among the system's authorities");
    run = pillion("call", "--server", to, "--ca", pem(server, "other"), "ping");
    expect_refused(&run, "other.pem authorities");
    run = pillion("call", "--server", to, "--insecure", "ping", "1");
    expect_status(&run, 0);
    expect_text(run.out, "1\n");
}
END_TEST

START_TEST(a_certificate_of_another_name_is_refused)
{
    int port;
    struct server *server = serve(&port, "DNS:shop.test,DNS:*.shop.test", 90, "");
    const char *to = keep_printf("tls:127.0.0.1:%d", port), *ca = pem(server, "authority");

    struct run run = pillion("call", "--server", to, "--ca", ca, "ping");
    expect_refused(&run,
                   "its certificate is not for \"127.0.0.1\": it is for shop.test, *.shop.test");
    run = pillion("call", "--server", to, "--ca", ca, "--name", "wrong.test", "ping");
    expect_refused(&run, "its certificate is not for \"wrong.test\"");
    run = pillion("call", "--server", to, "--ca", ca, "--name", "eu.shop.test", "ping", "1");
    expect_status(&run, 0);
    expect_text(run.out, "1\n");
}
END_TEST

/* RFC 9525: the subject's common name is for people, and "*" stands for a whole label. */
START_TEST(a_common_name_and_a_part_of_a_label_are_no_names)
{
    int port;
    struct server *server = serve(&port, "IP:127.0.0.1,URI:tls://server", 90, "");
    const char *to = keep_printf("tls:127.0.0.1:%d", port), *ca = pem(server, "authority");

    struct run run = pillion("call", "--server", to, "--ca", ca, "--name", "server", "ping");
    expect_refused(&run, "its certificate is not for \"server\": it is for 127.0.0.1");
    run = pillion("call", "--server", to, "--ca", ca, "ping", "1");
    expect_status(&run, 0);
    server = serve(&port, "DNS:s*.shop.test,DNS:a,DNS:b,DNS:c,DNS:d", 90, "");
    to = keep_printf("tls:127.0.0.1:%d", port);
    run = pillion("call", "--server", to, "--ca", pem(server, "authority"), "--name",
                  "sx.shop.test", "ping");
    expect_refused(&run, "it is for s*.shop.test, a, b, c, others");
}
END_TEST

START_TEST(a_certificate_that_has_expired_is_refused)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", -1, "");

    struct run run = pillion("call", "--server", keep_printf("tls:localhost:%d", port), "--ca",
                             pem(server, "authority"), "ping");
    expect_refused(&run, "its certificate has expired, at 20");
}
END_TEST

/* ---- No TLS there ---- */

START_TEST(a_server_without_tls_is_told_from_one_with)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "");

    struct run run = pillion("call", "--tls", "--server", at("127.0.0.1", server->port), "ping");
    expect_refused(&run, "TLS with 127.0.0.1:");
    expect_part(run.err, "it does not speak TLS");
    run = pillion("call", "--server", at("127.0.0.1", port), "ping");
    expect_refused(&run, "without TLS?");
}
END_TEST

START_TEST(a_server_that_stops_in_the_handshake_is_given_up)
{
    char *address;
    int listener = listen_anywhere(&address);
    int64_t before = now_ms();

    struct run run = pillion("call", "--tls", "--server", address, "--timeout", "300ms", "ping");
    expect_refused(&run, "has taken the connection, and not the TLS handshake (300 ms)");
    ck_assert_int_ge(now_ms() - before, 300);
    close(listener);
}
END_TEST

/* ---- The command line ---- */

START_TEST(what_does_not_go_together_is_told)
{
    struct server *server = server_new();
    const char *some = server_path(server, "tls/other.pem");

    tls_make(server, "other", "DNS:other", NULL);
    const struct {
        const char *const words[6], *said;
    } rows[] = {
        {{"--ca", some, NULL}, "--ca is of TLS alone: say --tls, too"},
        {{"--insecure", NULL}, "--insecure is of TLS alone"},
        {{"--name", "a", NULL}, "--name is of TLS alone"},
        {{"--tls", "--key", some, NULL}, "--key needs --cert"},
        {{"--tls", "--ca", some, "--insecure", NULL}, "--insecure looks at no certificate"},
        {{"--tls", "--http", "http://a", NULL}, "write https://"},
        {{"--tls", "--server", "unix:run/x", NULL}, "needs --name"},
        {{"--tls", "--ca", "/nowhere.pem", NULL}, "/nowhere.pem cannot be used: No such file"},
        {{"--tls", "--ca", "/dev/null", NULL}, "/dev/null cannot be used: there is none in it"},
        {{"--tls", "--cert", some, NULL}, "cannot be used"}, /* it has no key */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *argv[16] = {pillion_binary(), "call"};
        size_t at_word = 2;
        for (size_t n = 0; rows[i].words[n] != NULL; n++)
            argv[at_word++] = rows[i].words[n];
        argv[at_word] = "ping";
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, USAGE);
        expect_part(run.err, rows[i].said);
    }
}
END_TEST

/* The binary stands alone in a folder: no tls.so is beside it. */
START_TEST(a_missing_plugin_costs_tls_alone)
{
    struct server *server = server_serve("", "method ping;");
    const char *alone = binary_alone(server, "tls.so");

    if (alone == NULL)
        return; /* an installed one is found */
    struct run run =
        run_command((const char *const[]){alone, "call", "--tls", "ping", NULL}, NULL, PATIENCE_MS);
    expect_status(&run, USAGE);
    expect_part(run.err, "TLS needs tls.so, which cannot be loaded");
    run = run_command((const char *const[]){alone, "call", "--server",
                                            at("127.0.0.1", server->port), "ping", "1", NULL},
                      NULL, PATIENCE_MS);
    expect_status(&run, 0);
}
END_TEST

/* ---- Load ---- */

START_TEST(bench_measures_over_tls)
{
    int port;
    struct server *server = serve(&port, "DNS:localhost", 90, "");
    const char *to = keep_printf("tls:localhost:%d", port), *ca = pem(server, "authority");

    struct run run = pillion("bench", "--server", to, "--ca", ca, "-c", "8", "-P", "16", "-d",
                             "0.3", "--json", "ping");
    expect_status(&run, 0);
    cJSON *report = cJSON_Parse(run.out);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(report, "tls")));
    ck_assert_double_gt(cJSON_GetObjectItem(report, "requests")->valuedouble, 100);
    ck_assert_double_eq(cJSON_GetObjectItem(report, "errors")->valuedouble, 0);
    cJSON_Delete(report);
    run = pillion("bench", "--server", to, "--ca", ca, "-c", "2", "-d", "0.2", "--protocol", "http",
                  "ping");
    expect_status(&run, 0);
    expect_part(run.out, "by http over TLS");
    run = pillion("bench", "--server", to, "-d", "0.2", "ping");
    expect_refused(&run, "is not among the system's authorities");
}
END_TEST

E2E_MAIN("tls_call", a_server_is_called_over_tls_by_every_protocol, many_calls_go_over_one_session,
         a_large_reply_comes_whole, frames_and_http_are_told_by_alpn,
         the_client_comes_with_its_certificate, a_certificate_that_nobody_trusts_is_refused,
         a_certificate_of_another_name_is_refused, a_common_name_and_a_part_of_a_label_are_no_names,
         a_certificate_that_has_expired_is_refused, a_server_without_tls_is_told_from_one_with,
         a_server_that_stops_in_the_handshake_is_given_up, what_does_not_go_together_is_told,
         a_missing_plugin_costs_tls_alone, bench_measures_over_tls)
