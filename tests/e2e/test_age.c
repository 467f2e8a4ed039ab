/* max_connection_age: old connections end, with all replies, whichever worker has them by then. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define METHODS "method ping; method wait; method crash_now; "

static struct server *serve(const char *age)
{
    struct server *server = server_serve_alone("load_module modules/later.so;",
                                               keep_printf(METHODS "max_connection_age %s;", age));

    server->reports_allowed = true; /* a method ends its worker */
    return server;
}

START_TEST(an_old_connection_ends_when_it_has_nothing_under_way)
{
    struct server *server = serve("1s");
    int busy = client_connect(server), idle = client_connect(server);

    client_send_frame(busy, "{\"in\":\"wait\",\"params\":{\"ms\":4000}}");
    client_expect_end(idle);
    ck_assert(client_is_silent(busy));
    client_expect(busy, "{\"out\":\"later\",\"result\":{\"ms\":4000}}");
    client_expect_end(busy);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

/* Two others come and go one after the other: by then the first one is too old as well. */
START_TEST(a_frame_that_has_begun_to_arrive_is_answered_before_the_end)
{
    static const char body[] = "{\"in\":\"ping\",\"params\":1}";
    struct server *server = serve("1s");
    int client = client_connect(server);

    client_announce(client, sizeof(body) - 1);
    client_send(client, body, 5);
    client_expect_end(client_connect(server));
    client_expect_end(client_connect(server));
    ck_assert(client_is_silent(client));
    client_send(client, body + 5, sizeof(body) - 1 - 5);
    client_expect(client, "{\"out\":\"pong\",\"result\":1}");
    client_expect_end(client);
}
END_TEST

START_TEST(the_age_counts_over_reloads_and_crashes)
{
    struct server *server = serve("5s");
    int client = client_connect(server);

    for (int64_t until = deadline_in(PATIENCE_MS); !client_is_closed(client);) {
        if (deadline_over(until))
            fail_test("the connection does not end while the server is reloaded");
        server_reload(server);
        int other = client_connect(server);
        client_send_frame(other, "{\"in\":\"crash_now\"}");
        client_expect_error(other, "module_crashed");
        close(other);
        server_conf(server, "load_module modules/later.so; quarantine_crashes off;",
                    METHODS "max_connection_age 5s;");
    }
    client_expect_end(client);
}
END_TEST

/* Of clients that were there before, it counts from the reload on. */
START_TEST(the_age_comes_and_goes_with_a_reload)
{
    struct server *server = serve("off");
    int client = client_connect(server);

    client_expect_alive(client);
    server_conf(server, "load_module modules/later.so;", METHODS "max_connection_age 1s;");
    server_reload(server);
    client_expect_end(client);
    for (int64_t until = deadline_in(PATIENCE_MS);; close(client)) {
        client = client_connect(server);
        server_conf(server, "load_module modules/later.so;", METHODS);
        server_reload(server);
        if (!client_is_closed(client))
            break;
        /* the reload took longer than the client may live */
        ck_assert_msg(!deadline_over(until), "the age does not go");
        server_conf(server, "load_module modules/later.so;", METHODS "max_connection_age 1s;");
        server_reload(server);
    }
    client_expect_alive(client);
}
END_TEST

/* Calls `ping` once. False when the connection has ended before, in order. */
static bool call(int client, int number)
{
    const char *body = keep_printf("{\"in\":\"ping\",\"params\":%d}", number);
    const char *reply = keep_printf("{\"out\":\"pong\",\"result\":%d}", number);
    uint32_t length = (uint32_t)strlen(body);
    char frame[100], byte;

    memcpy(frame, &length, sizeof(length));
    memcpy(frame + sizeof(length), body, length);
    if (!client_try_send(client, frame, sizeof(length) + length))
        fail_test("the connection is reset: %s", strerror(errno));
    poll(&(struct pollfd){.fd = client, .events = POLLIN}, 1, PATIENCE_MS);
    ssize_t got = recv(client, &byte, 1, MSG_PEEK);
    if (got < 0)
        fail_test("%s instead of a reply or the end", strerror(errno));
    if (got == 0)
        return false;
    client_expect(client, reply);
    return true;
}

START_TEST(a_client_that_calls_all_the_time_sees_replies_or_the_end)
{
    struct server *server = serve("1s");
    int number = 0;

    for (int i = 0; i < 3; i++) {
        int client = client_connect(server), first = number;
        while (call(client, number))
            number++;
        ck_assert_int_gt(number, first);
        close(client);
    }
    ck_assert_double_eq(server_calls(server, "ping", "errors"), 0);
}
END_TEST

/* Sends a request of HTTP. The response; NULL when the connection has ended before. */
static const char *get(int client)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static char response[4096];
    size_t size = 0;

    if (!client_try_send(client, request, sizeof(request) - 1))
        fail_test("the connection is reset: %s", strerror(errno));
    do {
        poll(&(struct pollfd){.fd = client, .events = POLLIN}, 1, PATIENCE_MS);
        ssize_t got = recv(client, response + size, sizeof(response) - 1 - size, 0);
        if (got < 0)
            fail_test("%s instead of a response or the end", strerror(errno));
        if (got == 0)
            return NULL;
        response[size += (size_t)got] = '\0';
    } while (strstr(response, "{\"status\":\"ok\"}") == NULL);
    return response;
}

/* A client that calls now and then is told so before. On a machine that is slow it may not call in
 * that time. */
START_TEST(the_last_response_of_http_says_that_it_is)
{
    struct server *server = serve("2s");
    bool told = false;

    for (int64_t until = deadline_in(3 * PATIENCE_MS); !told;) {
        int client = client_connect(server);
        const char *response;
        while (!told && (response = get(client)) != NULL)
            told = strstr(response, "\r\nConnection: close\r\n") != NULL;
        client_expect_end(client);
        ck_assert_msg(!deadline_over(until), "no client is told");
        close(client);
    }
}
END_TEST

E2E_MAIN("age", an_old_connection_ends_when_it_has_nothing_under_way,
         a_frame_that_has_begun_to_arrive_is_answered_before_the_end,
         the_age_counts_over_reloads_and_crashes, the_age_comes_and_goes_with_a_reload,
         a_client_that_calls_all_the_time_sees_replies_or_the_end,
         the_last_response_of_http_says_that_it_is)
