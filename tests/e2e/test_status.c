/* The statuses of HTTP that this server answers with: one test each, by its number. Requests that
 * two servers in a row might read in two ways are each refused, and end their connection. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST  "Host: localhost\r\n"
#define CLOSE HOST "Connection: close\r\n"

/* Sends the request, which the connection's end follows, and returns the response. */
static const char *ask(const struct server *server, const char *request)
{
    return client_round(server->port, request);
}

static const char *post(const char *path, const char *fields, const char *body)
{
    return keep_printf("POST %s HTTP/1.1\r\n" CLOSE "%sContent-Length: %zu\r\n\r\n%s", path, fields,
                       strlen(body), body);
}

/* The response has this status line, and this among its fields and in its body. */
static void expect_status_line(const char *response, const char *line, const char *part)
{
    ck_assert_msg(strncmp(response, "HTTP/1.1 ", 9) == 0 &&
                      strncmp(response + 9, line, strlen(line)) == 0 &&
                      response[9 + strlen(line)] == '\r',
                  "not %s: %s", line, response);
    expect_part(response, part);
}

/* The seconds in its Retry-After. */
static long retry_after(const char *response)
{
    const char *field = strstr(response, "\r\nRetry-After: ");

    ck_assert_msg(field != NULL, "%s", response);
    return strtol(field + strlen("\r\nRetry-After: "), NULL, 10);
}

START_TEST(status_400)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(ask(server, post("/", "", "{\"in\":")), "400 Bad Request",
                       "\"code\":\"parse_error\"");
    expect_status_line(ask(server, post("/", "", "{}")), "400 Bad Request",
                       "\"code\":\"invalid_request\"");
    expect_status_line(ask(server, "GET / HTTP/1.1\r\n\r\n"), "400 Bad Request",
                       "\r\nConnection: close\r\n");
}
END_TEST

START_TEST(status_404)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(ask(server, post("/none", "", "")), "404 Not Found",
                       "{\"code\":\"method_not_found\"");
    expect_status_line(ask(server, "GET /none HTTP/1.1\r\n" CLOSE "\r\n"), "404 Not Found",
                       "{\"code\":\"method_not_found\"");
}
END_TEST

START_TEST(status_405)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(ask(server, "GET /ping HTTP/1.1\r\n" CLOSE "\r\n"), "405 Method Not Allowed",
                       "\r\nAllow: POST, OPTIONS\r\n");
    expect_status_line(ask(server, "DELETE /ping HTTP/1.1\r\n" CLOSE "\r\n"),
                       "405 Method Not Allowed", "\r\nAllow: POST, OPTIONS\r\n");
    expect_status_line(ask(server, post("/healthz", "", "")), "405 Method Not Allowed",
                       "\r\nAllow: GET, HEAD, OPTIONS\r\n");
}
END_TEST

/* tests/e2e/test_slow.c has all the places in which a client may stop. */
START_TEST(status_408)
{
    struct server *server = server_serve("", "receive_timeout 100ms; method ping;");

    expect_status_line(ask(server, "POST /ping HTTP/1.1\r\n" HOST), "408 Request Timeout",
                       "\r\nConnection: close\r\n");
}
END_TEST

START_TEST(status_411)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(ask(server, "POST / HTTP/1.1\r\n" CLOSE "\r\n"), "411 Length Required",
                       "{\"code\":\"invalid_request\"");
}
END_TEST

START_TEST(status_413)
{
    struct server *server = server_serve("", "method ping; max_frame 1k;");
    const char *chunks = "POST /ping HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";

    expect_status_line(ask(server, "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1025\r\n\r\n"),
                       "413 Content Too Large", "{\"code\":\"frame_too_large\"");
    expect_status_line(ask(server, keep_printf("%s401\r\n", chunks)), "413 Content Too Large",
                       "\r\nConnection: close\r\n");
}
END_TEST

START_TEST(status_415)
{
    struct server *server = server_serve("", "method ping; allow_origin https://a.test;");
    const char *origin = "Origin: https://a.test\r\n";

    expect_status_line(ask(server, post("/ping", origin, "1")), "415 Unsupported Media Type",
                       "{\"code\":\"invalid_request\"");
    expect_status_line(
        ask(server, post("/ping", keep_printf("%sContent-Type: text/plain\r\n", origin), "1")),
        "415 Unsupported Media Type", "application/json");
}
END_TEST

START_TEST(status_421)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(
        ask(server, "POST /ping HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"),
        "421 Misdirected Request", "{\"code\":\"forbidden\"");
}
END_TEST

START_TEST(status_429)
{
    struct server *server =
        server_serve("load_module modules/limit.so; zone limits 1m;",
                     "method ping { filter limit { zone limits; rate 30/h; burst 1; key all; } }");

    expect_status_line(ask(server, post("/ping", "", "1")), "200 OK", "\r\n\r\n1");
    const char *response = ask(server, post("/ping", "", "1"));
    expect_status_line(response, "429 Too Many Requests", "{\"code\":\"limited\"");
    long seconds = retry_after(response);
    ck_assert_int_gt(seconds, 0);
    ck_assert_int_le(seconds, 120);
    expect_part(response, "\"retry_after\":");
}
END_TEST

START_TEST(status_431)
{
    struct server *server = server_serve("", "method ping; max_head 1k;");
    char head[1100];

    memset(head, 'a', sizeof(head) - 1);
    head[sizeof(head) - 1] = '\0';
    expect_status_line(ask(server, keep_printf("GET / HTTP/1.1\r\nX: %s", head)),
                       "431 Request Header Fields Too Large", "\r\nConnection: close\r\n");
    expect_status_line(ask(server, keep_printf("GET /%s", head)), "414 URI Too Long",
                       "\r\nConnection: close\r\n");
}
END_TEST

START_TEST(status_500)
{
    struct server *server =
        server_serve("load_module modules/crash.so;", "method ping; method null;");

    server->reports_allowed = true; /* "null" ends its worker */
    expect_status_line(ask(server, post("/null", "", "1")), "500 Internal Server Error",
                       "{\"code\":\"module_crashed\"");
}
END_TEST

START_TEST(status_503)
{
    struct server *server = server_serve("load_module modules/crash.so; quarantine_crashes 1;",
                                         "method ping; method null;");

    server->reports_allowed = true; /* "null" ends its worker */
    ask(server, post("/null", "", "1"));
    expect_status_line(ask(server, post("/null", "", "1")), "503 Service Unavailable",
                       "{\"code\":\"method_quarantined\"");
}
END_TEST

/* As the server behind has said it. */
START_TEST(a_proxy_hands_retry_after_on)
{
    struct server *behind =
        server_serve("load_module modules/limit.so; zone limits 1m;",
                     "method ping { filter limit { zone limits; rate 1/h; burst 1; key all; } }");
    struct server *front = server_serve(
        keep_printf("load_module modules/proxy.so { upstream 127.0.0.1:%d; }", behind->port),
        "method limited { handler proxy.forward; to ping; }");
    wait_until(strstr(ask(front, post("/limited", "", "1")), "HTTP/1.1 429 ") != NULL,
               "the server behind does not come");
    const char *response = ask(front, post("/limited", "", "1"));
    long seconds = retry_after(response);
    ck_assert_int_gt(seconds, 3000);
    ck_assert_int_le(seconds, 3600);
    /* JSON-RPC's errors are successes of HTTP's, and say it in the body alone */
    response = ask(front, post("/", "", "{\"jsonrpc\":\"2.0\",\"method\":\"limited\",\"id\":1}"));
    expect_status_line(response, "200 OK", "\"retry_after\":");
    ck_assert_ptr_null(strstr(response, "Retry-After"));
}
END_TEST

START_TEST(status_505)
{
    struct server *server = server_serve("", "method ping;");

    expect_status_line(ask(server, "GET / HTTP/2.0\r\n" HOST "\r\n"),
                       "505 HTTP Version Not Supported", "\r\nConnection: close\r\n");
    expect_status_line(ask(server, "GET / HTTP/1.2\r\n" HOST "\r\n"),
                       "505 HTTP Version Not Supported", "HTTP/1.1 and HTTP/1.0");
}
END_TEST

/* ---- Smuggling: a server in front of this one may read each of these differently ---- */

#define POST        "POST /ping HTTP/1.1\r\n" HOST
#define CHUNKED     "Transfer-Encoding: chunked\r\n"
#define CHUNKS(...) POST CHUNKED "\r\n" __VA_ARGS__

/* The request that such a server would take for the first one's body, or the other way round. It
 * must not be run. */
#define HIDDEN "POST /hidden HTTP/1.1\r\n" HOST "\r\n"

static const struct {
    const char *name, *request;
} smuggled[] = {
    {"a folded field", POST "X: a\r\n b\r\n\r\n"},
    {"a folded field, by a tab", POST "X: a\r\n\tb\r\n\r\n"},
    {"a folded Transfer-Encoding", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
    {"Transfer-Encoding in HTTP/1.0", "POST /ping HTTP/1.0\r\n" CHUNKED "\r\n0\r\n\r\n"},
    {"two Hosts", POST HOST "\r\n"},
    {"two Hosts in HTTP/1.0", "POST /ping HTTP/1.0\r\n" HOST "host: a\r\n\r\n"},
    {"no Host", "POST /ping HTTP/1.1\r\n\r\n"},
    {"HTTP/0.9", "GET /ping\r\n\r\n"},
    {"a first line without a version, and fields", "GET /x\nHost: a\r\nContent-Length: 5\r\n\r\n"},
    {"LF alone behind the first line", "POST /ping HTTP/1.1\n" HOST "\r\n"},
    {"LF alone behind a field", "POST /ping HTTP/1.1\r\nHost: localhost\n\r\n"},
    {"LF alone as the empty line", POST "\n"},
    {"two Content-Lengths, equal", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1"},
    {"two Content-Lengths", POST "Content-Length: 1\r\nContent-Length: 0\r\n\r\n1"},
    {"a list in Content-Length", POST "Content-Length: 1, 1\r\n\r\n1"},
    {"a sign in Content-Length", POST "Content-Length: +3\r\n\r\n123"},
    {"a minus in Content-Length", POST "Content-Length: -1\r\n\r\n"},
    {"Content-Length in hexadecimal", POST "Content-Length: 0x1\r\n\r\n1"},
    {"an empty Content-Length", POST "Content-Length:\r\n\r\n"},
    {"Content-Length and Transfer-Encoding", POST "Content-Length: 5\r\n" CHUNKED "\r\n0\r\n\r\n"},
    {"both, the other way round", POST CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n"},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    {"chunked, identity", POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
    {"identity, chunked", POST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"},
    {"Transfer-Encoding twice", POST CHUNKED CHUNKED "\r\n0\r\n\r\n"},
    {"a quoted coding", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
    {"a vertical tab before the coding", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"},
    {"a chunk size that is none", CHUNKS("x\r\n1\r\n0\r\n\r\n")},
    {"a chunk size with a prefix", CHUNKS("0x1\r\n1\r\n0\r\n\r\n")},
    {"a chunk size with a sign", CHUNKS("+1\r\n1\r\n0\r\n\r\n")},
    {"a space behind a chunk size", CHUNKS("1 \r\n1\r\n0\r\n\r\n")},
    {"LF alone behind a chunk size", CHUNKS("1\n1\r\n0\r\n\r\n")},
    {"LF alone in a chunk extension", CHUNKS("1;a\n1\r\n0\r\n\r\n")},
    {"CR alone in a chunk extension", CHUNKS("1;a\rb\r\n1\r\n0\r\n\r\n")},
    {"a chunk that is longer than it says", CHUNKS("1\r\n12\r\n0\r\n\r\n")},
    {"LF alone behind a chunk", CHUNKS("1\r\n1\n0\r\n\r\n")},
    {"Content-Length in a trailer", CHUNKS("0\r\nContent-Length: 1\r\n\r\n")},
    {"Transfer-Encoding in a trailer", CHUNKS("0\r\n" CHUNKED "\r\n")},
    {"CR alone in a field", POST "X: a\rb\r\n\r\n"},
    {"CR alone behind a field", POST "X: a\rContent-Length: 1\r\n\r\n"},
    {"a space before a colon", POST "Content-Length : 1\r\n\r\n1"},
    {"a tab before a colon", POST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"},
    {"a leading space", "POST /ping HTTP/1.1\r\n Host: localhost\r\n\r\n"},
    {"a field without a name", POST ": x\r\n\r\n"},
    {"a field without a colon", POST "Content-Length\r\n\r\n"},
    {"an empty line before the request",
     "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n\r\n"},
    {"two spaces in the first line", "POST  /ping HTTP/1.1\r\n" HOST "\r\n"},
    {"a tab in the first line", "POST\t/ping HTTP/1.1\r\n" HOST "\r\n"},
    {"a space behind the version", "POST /ping HTTP/1.1 \r\n" HOST "\r\n"},
};

START_TEST(requests_that_could_be_read_in_two_ways_are_refused_and_end_the_connection)
{
    struct server *server = server_serve("", "method ping; method hidden { handler ping.ping; }");

    for (size_t i = 0; i < sizeof(smuggled) / sizeof(*smuggled); i++) {
        const char *request = smuggled[i].request;
        const char *response = ask(server, keep_printf("%s" HIDDEN, request));
        const char *refusal = strstr(response, "HTTP/1.1 400 Bad Request\r\n");
        ck_assert_msg(refusal != NULL, "%s: %s", smuggled[i].name, response);
        ck_assert_msg(strstr(refusal, "\r\nConnection: close\r\n") != NULL, "%s", smuggled[i].name);
        const char *date = strstr(refusal, "\r\nDate: ");
        ck_assert_msg(date != NULL && strstr(date + 1, "\r\nDate: ") == NULL, "%s: %s",
                      smuggled[i].name, response); /* it is the last response */
    }
    ck_assert_double_eq(server_calls(server, "hidden", "calls"), 0);
    client_expect_alive(client_connect(server));
}
END_TEST

/* A size that no number holds is too large rather than wrong, and ends the connection as well. */
START_TEST(sizes_that_no_number_holds_are_too_large)
{
    static const char *const requests[] = {
        POST "Content-Length: 18446744073709551617\r\n\r\n1" HIDDEN,
        POST "Content-Length: 99999999999999999999999999\r\n\r\n1" HIDDEN,
        CHUNKS("10000000000000001\r\n1\r\n0\r\n\r\n") HIDDEN,
        CHUNKS("fffffffffffffffff\r\n1\r\n0\r\n\r\n") HIDDEN,
    };
    struct server *server = server_serve("", "method ping; method hidden { handler ping.ping; }");

    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
        expect_status_line(ask(server, requests[i]), "413 Content Too Large",
                           "\r\nConnection: close\r\n");
    ck_assert_double_eq(server_calls(server, "hidden", "calls"), 0);
}
END_TEST

E2E_MAIN("status", status_400, status_404, status_405, status_408, status_411, status_413,
         status_415, status_421, status_429, status_431, status_500, status_503, status_505,
         a_proxy_hands_retry_after_on,
         requests_that_could_be_read_in_two_ways_are_refused_and_end_the_connection,
         sizes_that_no_number_holds_are_too_large)
