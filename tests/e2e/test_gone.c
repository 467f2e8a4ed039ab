/* Clients that have finished sending, or have closed, while their requests wait: which of them are
 * answered, and which are noticed as gone. */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server *serve(const char *server_text)
{
    return server_serve_alone("load_module modules/later.so;",
                              keep_printf("method ping; method wait; %s", server_text));
}

/* Waits for longer than the test does. */
#define LONG "{\"ms\":600000}"

static void hold(int client)
{
    client_send_frame(client, "{\"in\":\"wait\",\"params\":" LONG "}");
}

static void post(int client, const char *method, const char *params)
{
    const char *request =
        keep_printf("POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", method,
                    strlen(params), params);

    client_send(client, request, strlen(request));
}

/* The server has so many requests that wait. */
static void expect_held(const struct server *server, double held)
{
    wait_until(
        cJSON_GetNumberValue(cJSON_GetObjectItem(
            cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "modules"), "later"),
            "waiting")) == held,
        "there are not %g requests that wait", held);
}

/* The requests of so many clients have been given up. */
static void expect_gone(struct server *server, unsigned count)
{
    const char *log, *at;
    unsigned seen;

    wait_until(({
                   log = server_log(server);
                   for (at = log, seen = 0; (at = strstr(at, "a wait is given up")) != NULL; at++)
                       seen++;
                   seen >= count;
               }),
               "%u clients are noticed as gone, not %u", seen, count);
    ck_assert_uint_eq(seen, count);
}

/* ---- HTTP ---- */

START_TEST(a_client_of_http_that_closes_is_gone_at_once)
{
    struct server *server = serve("");
    int client = client_connect(server);

    post(client, "wait", LONG);
    expect_held(server, 1);
    close(client);
    expect_gone(server, 1);
    client = client_connect(server);
    post(client, "wait", LONG);
    client_finish(client);
    expect_gone(server, 2);
    client_expect_end(client);
    ck_assert_double_eq(server_stat(server, "connections.cancelled"), 2);
}
END_TEST

START_TEST(what_needs_no_waiting_is_answered_all_the_same)
{
    struct server *server = serve("");
    int client = client_connect(server);

    post(client, "ping", "1");
    post(client, "ping", "2");
    client_finish(client);
    const char *rest = client_receive_rest(client);
    expect_part(rest, "\r\n\r\n1HTTP/1.1 200 OK");
    expect_part(rest, "\r\n\r\n2");

    client = client_connect(server);
    post(client, "ping", "1");
    post(client, "wait", LONG);
    client_finish(client);
    expect_part(client_receive_rest(client), "\r\n\r\n1");
    expect_gone(server, 1);
}
END_TEST

START_TEST(clients_of_http_are_waited_for_where_the_server_says_so)
{
    struct server *server = serve("half_close on;");
    int client = client_connect(server);

    post(client, "wait", "{\"ms\":50}");
    client_finish(client);
    expect_part(client_receive_rest(client), "\r\n\r\n{\"ms\":50}");
}
END_TEST

/* The old worker, which only waits for the answer, sees it. */
START_TEST(a_client_that_closes_during_a_reload_is_gone)
{
    struct server *server = serve("");
    int client = client_connect(server);

    post(client, "wait", LONG);
    expect_held(server, 1);
    server_reload(server);
    expect_gone(server, 0);
    close(client);
    expect_gone(server, 1);
}
END_TEST

/* ---- Other protocols ---- */

START_TEST(clients_of_frames_may_be_gone_at_once_too)
{
    struct server *server = serve("half_close off;");
    int client = client_connect(server);

    hold(client);
    client_finish(client);
    expect_gone(server, 1);
    /* also while nothing is read, because its next request has to wait for this one */
    client = client_connect(server);
    hold(client);
    client_send_frame(client, "{\"in\":\"ping\"}");
    client_send_frame(client, "{\"in\":\"ping\"}");
    expect_held(server, 1);
    close(client);
    expect_gone(server, 2);
}
END_TEST

START_TEST(a_client_of_a_unix_socket_that_closes_is_gone)
{
    char *path = keep_printf("/tmp/pillion-gone-%d", (int)getpid());
    struct server *server = serve(keep_printf("listen unix:%s;", path));
    int client = client_connect_unix(path), other = client_connect_unix(path);

    client_send_frame(other, "{\"in\":\"wait\",\"params\":{\"ms\":300}}");
    client_finish(other);
    hold(client);
    expect_held(server, 1);
    close(client);
    expect_gone(server, 1);
    client_expect(other, "{\"out\":\"later\",\"result\":{\"ms\":300}}");
    client_expect_end(other);
    unlink(path);
}
END_TEST

/* The kernel tells them apart. */
START_TEST(a_client_that_has_closed_is_found_and_one_that_waits_is_answered)
{
    struct server *server = serve("");
    int waits = client_connect(server), closed = client_connect(server), second = 1;

    client_send_frame(waits, "{\"in\":\"wait\",\"params\":{\"ms\":12000}}");
    client_finish(waits);
    hold(closed);
    expect_held(server, 2);
    /* Its kernel forgets the connection after a second, and not after a minute. */
    ck_assert_int_eq(setsockopt(closed, IPPROTO_TCP, TCP_LINGER2, &second, sizeof(second)), 0);
    close(closed);
    expect_gone(server, 1);
    client_expect(waits, "{\"out\":\"later\",\"result\":{\"ms\":12000}}");
    client_expect_end(waits);
}
END_TEST

E2E_MAIN("gone", a_client_of_http_that_closes_is_gone_at_once,
         what_needs_no_waiting_is_answered_all_the_same,
         clients_of_http_are_waited_for_where_the_server_says_so,
         a_client_that_closes_during_a_reload_is_gone, clients_of_frames_may_be_gone_at_once_too,
         a_client_of_a_unix_socket_that_closes_is_gone,
         a_client_that_has_closed_is_found_and_one_that_waits_is_answered)
