/* The module proxy_http before services that the test plays itself: what it sends, byte by byte;
 * replies of every kind; services that break the protocol, fail, or fall silent. */
#include "harness.h"
#include "http_peer.h"

#define METHODS                                                                        \
    "method ping; method ask { handler proxy_http.forward; }"                          \
    "method again { handler proxy_http.forward; to ask; idempotent on; }"              \
    "method brief { handler proxy_http.forward; to ask; reply_timeout 50ms; }"         \
    "method named { handler proxy_http.forward; to \"a\\\"b\"; header \"X-Key: k 1\";" \
    "               pass_header authorization x-trace; }"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct server *in_front(const char *settings)
{
    return server_serve_alone(keep_printf("load_module modules/proxy_http.so { %s }", settings),
                              METHODS);
}

static const char *at(const struct server *place)
{
    return keep_printf("http://127.0.0.1:%d/rpc?v=1", place->port);
}

static double metric(const struct server *server, const char *name)
{
    return server_metric(server, "proxy_http", name);
}

/* The error of a request that no service has answered: it never says where they are. */
static const char *expect_unserved(int client, const char *code)
{
    const char *message = client_expect_error(client, code);

    ck_assert_msg(strstr(message, "127.0.0.1") == NULL, "%s", message);
    return message;
}

/* ---- What is sent ---- */

START_TEST(requests_are_json_rpc_over_http)
{
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    client_send_frame(client, "{\"in\":\"ask\",\"params\":[1e400, {\"a\":\"\\u00e9\"}],\"id\":7}");
    int peer = peer_accept(listener);
    const char *request = peer_request(peer);
    ck_assert_msg(strncmp(request, "POST /rpc?v=1 HTTP/1.1\r\n", 24) == 0, "%s", request);
    expect_part(request, keep_printf("\r\nHost: 127.0.0.1:%d\r\n", place->port));
    expect_part(request, "\r\nContent-Type: application/json\r\n");
    expect_part(request, "\r\nAccept: application/json\r\n");
    ck_assert_msg(strstr(request, "Deadline-Ms") == NULL, "%s", request);
    ck_assert_msg(strstr(request, "Expect") == NULL, "%s", request);
    ck_assert_msg(strstr(request, "trace") == NULL, "%s", request);
    expect_part(request, keep_printf("\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ask\","
                                     "\"params\":[1e400, {\"a\":\"\\u00e9\"}]}",
                                     peer_id(request)));
    peer_reply(
        peer, "200 OK",
        keep_printf("{\"jsonrpc\":\"2.0\",\"result\":{\"n\":1.50},\"id\":%d}", peer_id(request)));
    client_expect(client, "{\"out\":\"result\",\"result\":{\"n\":1.50},\"id\":7}");

    /* On the same connection. What is null is left out. */
    client_send_frame(client, "{\"in\":\"named\",\"deadline\":500000,\"traceparent\":\"" TRACE
                              "\",\"tracestate\":\"a=b\"}");
    request = peer_request(peer);
    expect_part(request, "\r\ntraceparent: " TRACE "\r\n");
    expect_part(request, "\r\ntracestate: a=b\r\n");
    const char *deadline = strstr(request, "\r\nDeadline-Ms: ");
    ck_assert_msg(deadline != NULL, "%s", request);
    ck_assert_int_gt(atoi(deadline + 15), 400000);
    ck_assert_int_le(atoi(deadline + 15), 500000);
    expect_part(request, "\r\nX-Key: k 1\r\n");
    expect_part(request, keep_printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"a\\\"b\"}",
                                     peer_id(request)));
    peer_reply(peer, "200 OK", keep_printf("{\"result\":null,\"id\":%d}", peer_id(request)));
    client_expect(client, "{\"out\":\"result\",\"result\":null}");
    client_send_frame(client, "{\"in\":\"ask\",\"params\":5}");
    expect_part(client_expect_error(client, "invalid_params"), "an object or an array");
    ck_assert_double_eq(metric(front, "sent"), 2);
    ck_assert_double_eq(metric(front, "connected"), 1);
    close(peer);
    close(listener);
}
END_TEST

/* A field of the client's goes along where its name is configured, and nowhere else. */
START_TEST(credentials_are_handed_on_only_where_configured)
{
    static const char request[] =
        "POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer s3cret\r\n"
        "Cookie: a=b\r\nX-Trace: 1\r\nContent-Length: 2\r\n\r\n[]";
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front), peer = -1;

    for (int passed = 0; passed < 2; passed++) {
        const char *text = keep_printf(request, passed ? "named" : "ask");
        client_send(client, text, strlen(text));
        if (peer < 0)
            peer = peer_accept(listener);
        const char *sent = peer_request(peer);
        ck_assert(passed == (strstr(sent, "\r\nauthorization: Bearer s3cret\r\n") != NULL));
        ck_assert(passed == (strstr(sent, "\r\nx-trace: 1\r\n") != NULL));
        ck_assert(passed || strstr(sent, "s3cret") == NULL);
        ck_assert(strstr(sent, "a=b") == NULL);
        peer_reply(peer, "200 OK", keep_printf("{\"result\":1,\"id\":%d}", peer_id(sent)));
        wait_until(!client_is_silent(client), "there is no reply");
        char reply[1024];
        ck_assert_int_gt(recv(client, reply, sizeof(reply), 0), 0);
    }
    close(peer);
    close(listener);
}
END_TEST

/* ---- What comes back ---- */

/* Each is the reply to a request of its own, with its id for the %d, if it has one. */
START_TEST(errors_of_services_come_through)
{
    static const struct {
        const char *head, *reply, *expected;
    } cases[] = {
        {"200 OK",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"no \\u00e9\","
         "\"data\":[1e400]},\"id\":%d}",
         "{\"code\":\"upstream_error\",\"message\":\"no \\u00e9\",\"number\":-32000,"
         "\"data\":[1e400]}"},
        {"500 Internal Server Error",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,\"message\":\"x\"},\"id\":%d}",
         "{\"code\":\"upstream_error\",\"message\":\"x\",\"number\":-32603}"},
        {"404 Not Found",
         "{\"error\":{\"code\":-32601,\"message\":\"x\"},\"result\":null,\"id\":%d}",
         "{\"code\":\"method_not_found\",\"message\":\"x\",\"number\":-32601}"},
        {"200 OK", "{\"error\":{\"code\":-32602,\"message\":\"x\",\"data\":null},\"id\":%d}",
         "{\"code\":\"invalid_params\",\"message\":\"x\",\"number\":-32602,\"data\":null}"},
        {"200 OK", "{\"error\":{\"code\":\"E1\",\"message\":5},\"id\":%d}",
         "{\"code\":\"upstream_error\",\"message\":\"the service behind gives no message\"}"},
        {"200 OK", "{\"error\":{},\"id\":%d}",
         "{\"code\":\"upstream_error\",\"message\":\"the service behind gives no message\"}"},
        /* Pillion's own, from a Pillion. */
        {"429 Too Many Requests",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":42900,\"message\":\"x\",\"data\":"
         "{\"code\":\"limited\",\"message\":\"x\",\"retry_after\":3}},\"id\":%d}",
         "{\"code\":\"limited\",\"message\":\"x\",\"retry_after\":3}"},
        {"200 OK",
         "{\"error\":{\"code\":1,\"message\":\"x\",\"data\":{\"code\":\"mine\"}},\"id\":%d}",
         "{\"code\":\"upstream_error\",\"message\":\"x\",\"number\":1,\"data\":{\"code\":\"mine\"}"
         "}"},
        /* A service that could not read the request does not know its id. */
        {"400 Bad Request", "{\"error\":{\"code\":-32700,\"message\":\"x\"},\"id\":null}",
         "{\"code\":\"upstream_error\",\"message\":\"x\",\"number\":-32700}"},
    };
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front), peer = -1;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        if (peer < 0)
            peer = peer_accept(listener);
        const char *request = peer_request(peer), *id = strstr(cases[i].reply, "%d");
        char *body = keep_printf("%s", cases[i].reply);
        if (id != NULL)
            body = keep_printf("%.*s%d%s", (int)(id - cases[i].reply), cases[i].reply,
                               peer_id(request), id + 2);
        peer_reply(peer, cases[i].head, body);
        client_expect(client, keep_printf("{\"out\":\"error\",\"result\":%s}", cases[i].expected));
    }
    /* A reply of JSON-RPC 1.0 has both. */
    client_send_frame(client, "{\"in\":\"ask\"}");
    peer_reply(
        peer, "200 OK",
        keep_printf("{\"result\":[1],\"error\":null,\"id\":%d}", peer_id(peer_request(peer))));
    client_expect(client, "{\"out\":\"result\",\"result\":[1]}");
    ck_assert_double_eq(metric(front, "failed"), 0);
    close(peer);
    close(listener);
}
END_TEST

/* The body of a response, or a response, whole; and what the client is told. */
static const struct {
    const char *body, *response, *code, *words;
} bad[] = {
    {"<html", NULL, "upstream_bad_reply", "its reply is no JSON"},
    {"", NULL, "upstream_bad_reply", "its reply is empty"},
    {"[{\"result\":1,\"id\":1}", NULL, "upstream_bad_reply", "no JSON"},
    {"[{\"result\":1,\"id\":1}]", NULL, "upstream_bad_reply", "no object"},
    {"{\"result\":1,\"id\":99999999}", NULL, "upstream_bad_reply", "another request's"},
    {"{\"result\":1,\"id\":\"\"}", NULL, "upstream_bad_reply", "another request's"},
    {"{\"result\":1,\"id\":null}", NULL, "upstream_bad_reply", "another request's"},
    {"{\"result\":1}", NULL, "upstream_bad_reply", "its reply has no `id`"},
    {"{\"error\":\"x\",\"id\":null}", NULL, "upstream_bad_reply",
     "the `error` of its reply is no object"},
    {"{\"result\":\"\xff\xfe\"} ", NULL, "upstream_bad_reply", "its reply is no JSON"},
    {"{\"result\":\"\x01\"}", NULL, "upstream_bad_reply", "its reply is no JSON"},
    {"{\"result\":NaN}", NULL, "upstream_bad_reply", "its reply is no JSON"},
    {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\":1", "upstream_unavailable",
     "carried the request out or not"},
    {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", "upstream_bad_reply",
     "larger than max_reply"},
    {NULL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"res",
     "upstream_unavailable", "carried the request out or not"},
    {NULL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "upstream_unavailable",
     "carried the request out or not"},
    {NULL, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", "upstream_bad_reply",
     "it answered with HTTP status 500"},
    {NULL, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\noops", "upstream_bad_reply",
     "it answered with HTTP status 404"},
    {NULL, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
     "upstream_bad_reply", "it answered with HTTP status 401"},
    {NULL, "HTTP/1.1 204 No Content\r\n\r\n", "upstream_bad_reply", "its reply is empty"},
    {NULL, "HTTP/1.1 503 Wait\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
     "upstream_unavailable", "it answered with HTTP status 503"},
    {NULL, "no HTTP at all\r\n\r\n", "upstream_unavailable", "carried the request out or not"},
    {NULL, "", "upstream_unavailable", "carried the request out or not"},
};

START_TEST(bad_replies_have_clear_errors)
{
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; max_reply 1k; max_fails 0;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (size_t i = 0; i <= sizeof(bad) / sizeof(*bad); i++) {
        bool large = i == sizeof(bad) / sizeof(*bad); /* and a head that is larger than any */
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listener);
        peer_request(peer);
        if (large) {
            char *text = memset(calloc(1, 70001), 'x', 70000);
            const char *head = keep_printf("HTTP/1.1 200 OK\r\nX: %s\r\n\r\n", (char *)keep(text));
            client_try_send(peer, head, strlen(head));
        } else if (strstr(bad[i].words, "max_reply") != NULL) {
            char *text = memset(calloc(1, 2001), ' ', 2000);
            client_send(peer, bad[i].response, strlen(bad[i].response));
            client_try_send(peer, keep(text), 2000);
        } else if (bad[i].body != NULL) {
            peer_reply(peer, "200 OK", bad[i].body);
        } else {
            client_send(peer, bad[i].response, strlen(bad[i].response));
        }
        shutdown(peer, SHUT_WR);
        const char *message = expect_unserved(client, large ? "upstream_unavailable" : bad[i].code);
        expect_part(message, large ? "the head of its response" : bad[i].words);
        wait_until(metric(front, "connected") <= 1, "connections are left");
        close(peer);
    }
    client_expect_alive(client);
    close(listener);
}
END_TEST

/* When another try is worth it is told to the client. */
START_TEST(a_service_that_is_overloaded_says_when_to_come_again)
{
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    client_send_frame(client, "{\"in\":\"ask\"}");
    int peer = peer_accept(listener);
    peer_request(peer);
    peer_reply(peer, "503 Busy\r\nRetry-After: 7", "busy");
    const char *reply = client_receive(client, NULL);
    expect_part(reply, "\"code\":\"upstream_unavailable\"");
    expect_part(reply, "\"retry_after\":7");
    close(peer);
    close(listener);
}
END_TEST

START_TEST(redirects_are_not_followed)
{
    struct server *place = server_new(), *other = server_new();
    struct server *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), elsewhere = peer_listen(other);
    int client = client_connect(front);

    client_send_frame(client, "{\"in\":\"again\"}");
    int peer = peer_accept(listener);
    peer_request(peer);
    peer_reply(peer, keep_printf("307 Moved\r\nLocation: http://127.0.0.1:%d/", other->port), "");
    expect_part(expect_unserved(client, "upstream_bad_reply"),
                "it redirects (HTTP status 307), and redirects are not followed");
    ck_assert(!peer_is_asked(elsewhere));
    close(peer);
    close(listener);
    close(elsewhere);
}
END_TEST

/* ---- Connections ---- */

/* libcurl connects anew then, and would send the request again by itself. */
START_TEST(a_request_is_sent_once_over_a_connection_that_ends)
{
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (int idempotent = 0; idempotent < 2; idempotent++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listener);
        peer_answer(peer, "1");
        client_expect(client, "{\"out\":\"result\",\"result\":1}");
        client_send_frame(client, idempotent ? "{\"in\":\"again\"}" : "{\"in\":\"ask\"}");
        peer_request(peer); /* the service has it whole */
        close(peer);
        peer = peer_accept(listener);
        client_expect_end(peer);
        close(peer);
        if (idempotent) {
            peer = peer_accept(listener);
            peer_answer(peer, "2");
            client_expect(client, "{\"out\":\"result\",\"result\":2}");
            close(peer);
        } else {
            expect_part(expect_unserved(client, "upstream_unavailable"),
                        "it may have carried the request out or not");
            ck_assert(!peer_is_asked(listener));
        }
    }
    ck_assert_double_eq(metric(front, "sent"), 5);
    ck_assert_double_eq(metric(front, "retried"), 1);
    close(listener);
}
END_TEST

/* A connection that the service has closed while it was not used costs nothing. */
START_TEST(a_closed_connection_is_not_used_again)
{
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (int i = 0; i < 3; i++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listener);
        peer_answer(peer, "1");
        client_expect(client, "{\"out\":\"result\",\"result\":1}");
        close(peer);
    }
    ck_assert_double_eq(metric(front, "failed"), 0);
    close(listener);
}
END_TEST

/* What nobody has asked for is not the reply to the next request. */
START_TEST(a_response_too_many_is_given_to_nobody)
{
    struct server *place = server_new(), *front = in_front(keep_printf("upstream %s;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (int later = 0; later < 2; later++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listener), id = peer_id(peer_request(peer));
        const char *body = keep_printf("{\"result\":\"old\",\"id\":%d}", id);
        const char *one =
            keep_printf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
        const char *first = later ? one : keep_printf("%s%s", one, one);
        client_send(peer, first, strlen(first));
        client_expect(client, "{\"out\":\"result\",\"result\":\"old\"}");
        if (later)
            client_send(peer, one, strlen(one));
        client_send_frame(client, "{\"in\":\"ask\"}");
        int fresh = -1;
        wait_until((fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 ||
                       !client_is_silent(client),
                   "nothing comes of it");
        if (fresh >= 0) {
            peer_answer(fresh, "\"new\"");
            client_expect(client, "{\"out\":\"result\",\"result\":\"new\"}");
            close(fresh);
        } else {
            expect_part(expect_unserved(client, "upstream_bad_reply"), "another request's `id`");
        }
        close(peer);
    }
    close(listener);
}
END_TEST

START_TEST(requests_wait_for_a_connection)
{
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; connections 2; max_pending 3; timeout 1m;", at(place)));
    int listener = peer_listen(place), client = client_connect(front), peers[2];

    for (int i = 0; i < 6; i++)
        client_send_frame(client, keep_printf("{\"in\":\"ask\",\"id\":%d}", i));
    expect_part(client_receive(client, NULL), "\"code\":\"overloaded\"");
    for (int i = 0; i < 2; i++)
        peers[i] = peer_accept(listener);
    for (int i = 0; i < 5; i++) {
        peer_answer(peers[i % 2], "1");
        expect_part(client_receive(client, NULL), keep_printf("\"result\":1,\"id\":%d}", i));
        ck_assert(!peer_is_asked(listener));
    }
    ck_assert_double_eq(metric(front, "sent"), 5);
    for (int i = 0; i < 2; i++)
        close(peers[i]);
    close(listener);
}
END_TEST

/* Whoever waits in line when the service is gone is told. */
START_TEST(the_line_ends_with_its_service)
{
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; connections 1; timeout 1m; max_fails 1;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (int i = 0; i < 3; i++)
        client_send_frame(client, keep_printf("{\"in\":\"ask\",\"id\":%d}", i));
    int peer = peer_accept(listener);
    peer_request(peer);
    close(listener);
    close(peer);
    for (int i = 0; i < 3; i++)
        expect_unserved(client, "upstream_unavailable");
    client_expect_alive(client);
}
END_TEST

/* Nobody waits for what the service does any more, so its connection ends. */
START_TEST(a_request_ends_with_its_client)
{
    struct server *place = server_new();
    struct server *front = in_front(keep_printf("upstream %s; timeout 1h;", at(place)));
    int listener = peer_listen(place);

    for (int gone = 0; gone < 3; gone++) {
        int client = client_connect(front);
        client_send_frame(client, gone == 0   ? "{\"in\":\"ask\"}"
                                  : gone == 1 ? "{\"in\":\"ask\",\"deadline\":100}"
                                              : "{\"in\":\"brief\"}");
        int peer = peer_accept(listener);
        peer_request(peer);
        if (gone == 0)
            client_vanish(client);
        else if (gone == 1)
            expect_unserved(client, "deadline_exceeded");
        else
            expect_part(expect_unserved(client, "timeout"), "it did not answer within 50 ms");
        wait_until(client_is_closed(peer), "the request goes on");
        close(peer);
    }
    wait_until(metric(front, "connected") == 0, "a connection is left");
    ck_assert_double_eq(metric(front, "overdue"), 1);
    close(listener);
}
END_TEST

/* ---- Several ---- */

START_TEST(another_service_is_asked_when_one_fails)
{
    struct server *a = server_new(), *b = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s %s; max_fails 0; timeout 1m;", at(a), at(b)));
    int listeners[2] = {peer_listen(a), peer_listen(b)}, client = client_connect(front);

    for (int idempotent = 0; idempotent < 2; idempotent++) {
        client_send_frame(client, idempotent ? "{\"in\":\"again\"}" : "{\"in\":\"ask\"}");
        int peer = -1, first = 0;
        wait_until((peer = accept4(listeners[first ^= 1], NULL, NULL, SOCK_NONBLOCK)) >= 0,
                   "nobody is asked");
        peer_request(peer);
        peer_reply(peer, "502 Bad\r\nConnection: close", "");
        if (idempotent) {
            int other = peer_accept(listeners[!first]);
            peer_answer(other, "2");
            client_expect(client, "{\"out\":\"result\",\"result\":2}");
            close(other);
        } else {
            expect_part(expect_unserved(client, "upstream_bad_reply"), "HTTP status 502");
        }
        close(peer);
    }
    ck_assert(!peer_is_asked(listeners[0]) && !peer_is_asked(listeners[1]));
    /* One that does not listen has seen nothing: any request may go elsewhere. */
    close(listeners[0]);
    for (int i = 0; i < 10; i++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listeners[1]);
        peer_request(peer);
        peer_reply(peer, "200 OK\r\nConnection: close",
                   "{\"error\":{\"message\":\"x\"},\"id\":null}");
        expect_part(client_receive(client, NULL), "upstream_error");
        close(peer);
    }
    server_wait_log(
        front, keep_printf("http://127.0.0.1:%d: Connection refused; it is tried again", a->port));
    ck_assert(strstr(server_log(front), "/rpc") == NULL); /* a path may be a secret */
    close(listeners[1]);
}
END_TEST

/* As a Pillion says it. */
START_TEST(another_service_is_asked_when_one_has_too_much_to_do)
{
    static const char busy[] = "{\"error\":{\"code\":50300,\"message\":\"x\",\"data\":{\"code\":"
                               "\"overloaded\",\"message\":\"x\"}},\"id\":%d}";
    struct server *a = server_new(), *b = server_new();
    struct server *front = in_front(keep_printf("upstream %s %s; timeout 1m;", at(a), at(b)));
    int listeners[2] = {peer_listen(a), peer_listen(b)}, client = client_connect(front);

    for (int idempotent = 0; idempotent < 2; idempotent++) {
        client_send_frame(client, idempotent ? "{\"in\":\"again\"}" : "{\"in\":\"ask\"}");
        int peer = -1, first = 0;
        wait_until((peer = accept4(listeners[first ^= 1], NULL, NULL, SOCK_NONBLOCK)) >= 0,
                   "nobody is asked");
        peer_reply(peer, "503 Busy\r\nConnection: close",
                   keep_printf(busy, peer_id(peer_request(peer))));
        if (idempotent) {
            int other = peer_accept(listeners[!first]);
            peer_answer(other, "2");
            client_expect(client, "{\"out\":\"result\",\"result\":2}");
            close(other);
        } else {
            client_expect_error(client, "overloaded");
        }
        close(peer);
    }
    ck_assert_double_eq(metric(front, "failed"), 0);
    for (int i = 0; i < 2; i++)
        close(listeners[i]);
}
END_TEST

START_TEST(a_service_that_fails_is_left_out_and_tried_again)
{
    struct server *place = server_new();
    struct server *front =
        in_front(keep_printf("upstream %s; max_fails 2; fail_timeout 100ms;", at(place)));
    int listener = peer_listen(place), client = client_connect(front);

    for (int i = 0; i < 2; i++) {
        client_send_frame(client, "{\"in\":\"ask\"}");
        int peer = peer_accept(listener);
        peer_request(peer);
        peer_reply(peer, "500 Oops\r\nConnection: close", "");
        expect_unserved(client, "upstream_bad_reply");
        close(peer);
    }
    server_wait_log(front, "2 requests in a row had no good answer; it is left out for 100 ms");
    /* Then one at a time is sent, until one is answered. */
    int peer = -1;
    wait_until((client_send_frame(client, "{\"in\":\"ask\",\"id\":1}"), look_again(),
                peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0,
               "it is never tried again");
    client_send_frame(client, "{\"in\":\"ask\",\"id\":2}");
    const char *reply;
    do
        expect_part(reply = client_receive(client, NULL), "upstream_unavailable");
    while (strstr(reply, "\"id\":2") == NULL);
    ck_assert(!peer_is_asked(listener));
    peer_answer(peer, "3");
    expect_part(client_receive(client, NULL), "\"result\":3");
    server_wait_log(front, "is there again");
    close(peer);
    close(listener);
}
END_TEST

/* An idempotent request goes to another one when the first takes too long. */
START_TEST(a_slow_service_is_not_waited_for_when_there_is_another)
{
    struct server *a = server_new(), *b = server_new();
    struct server *front = in_front(
        keep_printf("upstream %s %s; timeout 1m; try_timeout 100ms; max_fails 0;", at(a), at(b)));
    int listeners[2] = {peer_listen(a), peer_listen(b)}, client = client_connect(front);
    int slow = -1, first = 0;

    client_send_frame(client, "{\"in\":\"again\"}");
    wait_until((slow = accept4(listeners[first ^= 1], NULL, NULL, SOCK_NONBLOCK)) >= 0,
               "nobody is asked");
    int peer = peer_accept(listeners[!first]);
    peer_answer(peer, "1");
    client_expect(client, "{\"out\":\"result\",\"result\":1}");
    ck_assert_double_eq(metric(front, "overdue"), 1);
    server_wait_log(front, "a request had no answer in time");
    for (int i = 0; i < 2; i++)
        close(listeners[i]);
    close(slow);
    close(peer);
}
END_TEST

E2E_MAIN("proxy_http_peers", requests_are_json_rpc_over_http,
         credentials_are_handed_on_only_where_configured, errors_of_services_come_through,
         bad_replies_have_clear_errors, a_service_that_is_overloaded_says_when_to_come_again,
         redirects_are_not_followed, a_request_is_sent_once_over_a_connection_that_ends,
         a_closed_connection_is_not_used_again, a_response_too_many_is_given_to_nobody,
         requests_wait_for_a_connection, the_line_ends_with_its_service,
         a_request_ends_with_its_client, another_service_is_asked_when_one_fails,
         another_service_is_asked_when_one_has_too_much_to_do,
         a_service_that_fails_is_left_out_and_tried_again,
         a_slow_service_is_not_waited_for_when_there_is_another)
