/* `pillion call`, `list` and `bench` over TLS: which servers they trust, as whom they come, and
 * what they say when it cannot be. */
#include "tls_peer.h"

#include <signal.h>
#include <sys/wait.h>

#define USAGE     64
#define NO_SERVER 2

#define PAIR(name) "ssl_certificate tls/" name ".pem; ssl_certificate_key tls/" name ".key; "

struct there {
    struct server *server;
    int port;       /* at which it speaks TLS */
    const char *to; /* "tls:localhost:PORT" */
    const char *ca;
};

/* A server whose certificate "server" is for `hosts`, signed by "authority". */
static struct there serve(const char *hosts, int days, const char *more)
{
    struct there there = {.server = server_new(), .port = free_port()};
    struct server *server = there.server;

    there.to = keep_printf("tls:localhost:%d", there.port);
    there.ca = server_path(server, "tls/authority.pem");
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "other", "DNS:other", NULL);
    tls_make_for(server, "server", hosts, "authority", days);
    tls_make(server, "client one", "DNS:client", "authority");
    server_conf(
        server, "load_module modules/peer.so;",
        keep_printf("method ping; method peer; method rpc.list; listen 127.0.0.1:%d ssl; %s %s",
                    there.port, PAIR("server"), more));
    server_start(server);
    return there;
}

static const char *at(const char *host, int port)
{
    return keep_printf("%s:%d", host, port);
}

static const char *pem(const struct there *there, const char *name)
{
    return server_path(there->server, keep_printf("tls/%s.pem", name));
}

static const char *key(const struct there *there, const char *name)
{
    return server_path(there->server, keep_printf("tls/%s.key", name));
}

static void expect_printed(struct run run, const char *part)
{
    expect_status(&run, 0);
    expect_part(run.out, part);
}

static void expect_refused(struct run run, const char *words)
{
    expect_status(&run, NO_SERVER);
    expect_text(run.out, "");
    expect_part(run.err, words);
}

/* ---- Calls ---- */

START_TEST(a_server_is_called_over_tls_by_every_protocol)
{
    static const char *const protocols[] = {"frame", "line", "lsp", "http"};
    const struct there there = serve("DNS:localhost,IP:127.0.0.1", 90, "");

    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        test_row(protocols[i]);
        struct run run = pillion("call", "--server", at("localhost", there.port), "--tls", "--ca",
                                 there.ca, "--protocol", protocols[i], "ping", "[1]");
        expect_status(&run, 0);
        expect_text(run.out, "[1]\n");
    }
    test_row(NULL);
    expect_printed(pillion("call", "--server", keep_printf("tls:127.0.0.1:%d", there.port), "--ca",
                           there.ca, "ping", "2"),
                   "2\n");
    expect_printed(pillion("call", "--http", keep_printf("https://localhost:%d/", there.port),
                           "--ca", there.ca, "--jsonrpc", "ping", "[3]"),
                   "[3]\n");
    expect_printed(pillion("list", "--server", there.to, "--ca", there.ca), "ping");
}
END_TEST

/* `pillion call WORDS…` by TLS, with `input` for its params. */
#define call_with(input, there, ...)                                                            \
    run_command((const char *const[]){pillion_binary(), "call", "--server", (there).to, "--ca", \
                                      (there).ca, __VA_ARGS__, NULL},                           \
                input, PATIENCE_MS)
#define call(there, ...) call_with(NULL, there, __VA_ARGS__)

START_TEST(many_calls_go_over_one_session)
{
    const struct there there = serve("DNS:localhost", 90, "");
    struct buffer lines = {0};

    double before = server_stat(there.server, "connections.accepted");
    for (int i = 0; i < 200; i++)
        buffer_add(&lines, keep_printf("%d\n", i), strlen(keep_printf("%d\n", i)));
    buffer_add(&lines, "", 1);
    struct run run = call_with(lines.data, there, "--lines", "ping", "-");
    expect_status(&run, 0);
    expect_text(run.out, lines.data);
    ck_assert_int_eq((int)(server_stat(there.server, "connections.accepted") - before),
                     2); /* one asks */
    free(lines.data);
}
END_TEST

START_TEST(a_large_reply_comes_whole)
{
    const struct there there = serve("DNS:localhost", 90, "max_frame 16m;");
    size_t size = 6 << 20;
    char *text = keep(malloc(size + 4));

    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    text[size] = '\0';
    struct run run = call_with(text, there, "ping", "-");
    expect_status(&run, 0);
    ck_assert_uint_eq(strlen(run.out), size + 1);
    ck_assert_int_eq(strncmp(run.out, text, size), 0);
}
END_TEST

START_TEST(frames_and_http_are_told_by_alpn)
{
    const struct there there = serve("DNS:localhost", 90, "");

    struct run run = call(there, "peer");
    expect_status(&run, 0);
    expect_part(run.out, "\"alpn\":\"pillion/1\"");
    expect_part(run.out, "\"sni\":\"localhost\"");
    expect_printed(call(there, "--protocol", "http", "peer"), "\"alpn\":\"http/1.1\"");
}
END_TEST

START_TEST(the_client_comes_with_its_certificate)
{
    const struct there there = serve(
        "DNS:localhost", 90, "ssl_verify_client on; ssl_client_certificate tls/authority.pem;");
    const char *one = key(&there, "client one"), *other = pem(&there, "other");

    expect_printed(call(there, "--cert", pem(&there, "client one"), "--key", one, "peer"),
                   "\"cn\":\"client one\"");
    expect_refused(call(there, "ping"), "it wants a certificate of the client's, and has got none");
    expect_refused(call(there, "--cert", other, "--key", key(&there, "other"), "ping"),
                   "it does not trust the client's certificate");
    struct run run = call(there, "--cert", other, "--key", one, "ping");
    expect_status(&run, USAGE);
    expect_part(run.err, "does not belong to the certificate");
}
END_TEST

/* ---- Whom it trusts ---- */

/* RFC 9525: the subject's common name, which is "server", is for people, and "*" stands for a whole
 * label. */
START_TEST(a_server_is_called_when_its_certificate_is_for_its_name_and_trusted)
{
#define ANY  "DNS:shop.test,DNS:*.shop.test"
#define ITS  "IP:127.0.0.1,URI:tls://server"
#define MANY "DNS:s*.shop.test,DNS:a,DNS:b,DNS:c,DNS:d"
    static const struct {
        const char *hosts;
        int days;
        const char *words[4]; /* "other.pem" is that file */
        const char *said;     /* NULL: it is called */
    } rows[] = {
        {ITS, 90, {"--ca", "authority.pem"}, NULL},
        {ITS, 90, {"--insecure"}, NULL},
        {ITS,
         90,
         {NULL},
         "its certificate is not trusted: \"authority\", who signed it, is not among the system's "
         "authorities"},
        {ITS, 90, {"--ca", "other.pem"}, "other.pem authorities"},
        {ITS,
         90,
         {"--ca", "authority.pem", "--name", "server"},
         "its certificate is not for \"server\": it is for 127.0.0.1"},
        {ANY,
         90,
         {"--ca", "authority.pem"},
         "its certificate is not for \"127.0.0.1\": it is for shop.test, *.shop.test"},
        {ANY,
         90,
         {"--ca", "authority.pem", "--name", "wrong.test"},
         "its certificate is not for \"wrong.test\""},
        {ANY, 90, {"--ca", "authority.pem", "--name", "eu.shop.test"}, NULL},
        {MANY,
         90,
         {"--ca", "authority.pem", "--name", "sx.shop.test"},
         "it is for s*.shop.test, a, b, c, others"},
        {ITS, -1, {"--ca", "authority.pem"}, "its certificate has expired, at 20"},
    };
    struct there there = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (i == 0 || rows[i].hosts != rows[i - 1].hosts || rows[i].days != rows[i - 1].days)
            there = serve(rows[i].hosts, rows[i].days, "");
        const char *argv[16] = {pillion_binary(), "call", "--server",
                                keep_printf("tls:127.0.0.1:%d", there.port)};
        size_t count = 4;
        for (size_t n = 0; n < 4 && rows[i].words[n] != NULL; n++)
            argv[count++] =
                strstr(rows[i].words[n], ".pem") == NULL
                    ? rows[i].words[n]
                    : server_path(there.server, keep_printf("tls/%s", rows[i].words[n]));
        argv[count++] = "ping";
        argv[count] = "1";
        test_row(keep_printf("row %zu, %s", i, rows[i].said == NULL ? "called" : rows[i].said));
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        if (rows[i].said == NULL)
            expect_printed(run, "1\n");
        else
            expect_refused(run, rows[i].said);
    }
}
END_TEST

/* ---- No TLS there ---- */

START_TEST(a_server_without_tls_is_told_from_one_with)
{
    const struct there there = serve("DNS:localhost", 90, "");

    struct run run =
        pillion("call", "--tls", "--server", at("127.0.0.1", there.server->port), "ping");
    expect_refused(run, "TLS with 127.0.0.1:");
    expect_part(run.err, "it does not speak TLS");
    expect_refused(pillion("call", "--server", at("127.0.0.1", there.port), "ping"),
                   "without TLS?");
}
END_TEST

START_TEST(a_server_that_stops_in_the_handshake_is_given_up)
{
    char *address;
    int listener = listen_anywhere(&address);
    int64_t before = now_ms();

    expect_refused(pillion("call", "--tls", "--server", address, "--timeout", "300ms", "ping"),
                   "has taken the connection, and not the TLS handshake (300 ms)");
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
        {{"--tls", "--cert", some, NULL}, "it holds no key in PEM"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *argv[16] = {pillion_binary(), "call"};
        size_t at_word = 2;
        for (size_t n = 0; rows[i].words[n] != NULL; n++)
            argv[at_word++] = rows[i].words[n];
        argv[at_word] = "ping";
        test_row(rows[i].said);
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
    const struct there there = serve("DNS:localhost", 90, "");

    struct run run = pillion("bench", "--server", there.to, "--ca", there.ca, "-c", "8", "-P", "16",
                             "-d", "0.3", "--json", "ping");
    expect_status(&run, 0);
    cJSON *report = cJSON_Parse(run.out);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(report, "tls")));
    ck_assert_double_gt(cJSON_GetObjectItem(report, "requests")->valuedouble, 100);
    ck_assert_double_eq(cJSON_GetObjectItem(report, "errors")->valuedouble, 0);
    cJSON_Delete(report);
    expect_printed(pillion("bench", "--server", there.to, "--ca", there.ca, "-c", "2", "-d", "0.2",
                           "--protocol", "http", "ping"),
                   "by http over TLS");
    expect_refused(pillion("bench", "--server", there.to, "-d", "0.2", "ping"),
                   "is not among the system's authorities");
}
END_TEST

E2E_MAIN("tls_call", a_server_is_called_over_tls_by_every_protocol, many_calls_go_over_one_session,
         a_large_reply_comes_whole, frames_and_http_are_told_by_alpn,
         the_client_comes_with_its_certificate,
         a_server_is_called_when_its_certificate_is_for_its_name_and_trusted,
         a_server_without_tls_is_told_from_one_with,
         a_server_that_stops_in_the_handshake_is_given_up, what_does_not_go_together_is_told,
         a_missing_plugin_costs_tls_alone, bench_measures_over_tls)
