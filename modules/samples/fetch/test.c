/* The sample fetch, called by <pillion/test.h>. The server that it fetches from is a thread here.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../check_main.h"

static int listener, port;

/* Answers each path in its own way; /silent not at all, and /end ends it. */
static void *serve(void *unused)
{
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 6\r\n\r\nh\xc3\xa9l\"o";
    static const char none[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    char head[4096];

    for (bool end = false; !end;) {
        int client = accept(listener, NULL, NULL);
        size_t size = 0;
        ssize_t more;
        head[0] = '\0';
        while (strstr(head, "\r\n\r\n") == NULL &&
               (more = recv(client, head + size, sizeof(head) - 1 - size, 0)) > 0)
            head[size += (size_t)more] = '\0';
        end = strncmp(head, "GET /end ", 9) == 0;
        if (strncmp(head, "GET /silent ", 12) == 0) {
            while (recv(client, head, sizeof(head), 0) > 0)
                ;
        } else if (strncmp(head, "GET /page ", 10) == 0) {
            send(client, page, sizeof(page) - 1, MSG_NOSIGNAL);
        } else {
            send(client, none, sizeof(none) - 1, MSG_NOSIGNAL);
        }
        close(client);
    }
    return unused;
}

static pthread_t server_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    pthread_t thread;

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listener, 10), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    return thread;
}

/* {"url": "http://127.0.0.1:PORT/PATH"MORE} */
static const char *params(const char *path, const char *more)
{
    static char text[256];

    snprintf(text, sizeof(text), "{\"url\":\"http://127.0.0.1:%d/%s\"%s}", port, path, more);
    return text;
}

static void server_end(pthread_t thread)
{
    ck_assert_result("fetch", params("end", ""), "{\"status\":404,\"type\":null,\"page\":\"\"}");
    pthread_join(thread, NULL);
    ck_assert_int_eq(pillion_test_metric("fetch", "watched"), 0);
    ck_assert(pillion_test_stop());
}

START_TEST(pages_are_fetched)
{
    pthread_t server = server_start();

    ck_assert_started("load_module ./fetch.so { hosts 127.0.0.1; }", "method fetch;");
    ck_assert_result("fetch", params("page", ""),
                     "{\"status\":200,\"type\":\"text/plain\",\"page\":\"hél\\\"o\"}");
    ck_assert_result("fetch", params("page", ",\"form\":\"base64\""),
                     "{\"status\":200,\"type\":\"text/plain\",\"page\":\"aMOpbCJv\"}");
    ck_assert_result("fetch", params("page", ",\"most\":6"),
                     "{\"status\":200,\"type\":\"text/plain\",\"page\":\"hél\\\"o\"}");
    ck_assert_error("fetch", params("page", ",\"most\":5"), "too_large");
    server_end(server);
}
END_TEST

START_TEST(only_pages_of_allowed_hosts_are_fetched)
{
    ck_assert_started("load_module ./fetch.so { hosts 127.0.0.1; }", "method fetch;");
    ck_assert_error("fetch", "{\"url\":\"http://127.0.0.2/\"}", "forbidden");
    ck_assert_error("fetch", "{\"url\":\"http://127.0.0.1@127.0.0.2/\"}", "forbidden");
    ck_assert_error("fetch", "{\"url\":\"file://127.0.0.1/etc/passwd\"}", "forbidden");
    ck_assert_error("fetch", "{\"url\":\"ftp://127.0.0.1/\"}", "fetch_failed");
    ck_assert_error("fetch", "{\"url\":\"no url\"}", "forbidden");
    ck_assert_error("fetch", "{\"url\":\"\",\"form\":\"xml\"}", "invalid_params");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_transfer_ends_with_its_request)
{
    pthread_t server = server_start();

    ck_assert_started("load_module ./fetch.so { hosts 127.0.0.1; } defer_timeout 30s;",
                      "method fetch;");
    /* The client leaves; the server behind sees the end of the connection, and takes the next. */
    char body[512];
    snprintf(body, sizeof(body), "{\"in\":\"fetch\",\"params\":%s}", params("silent", ""));
    unsigned waiting = pillion_test_begin(body);
    pillion_test_run(20);
    pillion_test_leave(waiting);
    /* The client waits no longer. */
    snprintf(body, sizeof(body), "{\"in\":\"fetch\",\"params\":%s,\"deadline\":50}",
             params("silent", ""));
    ck_assert_str_eq(pillion_test_request(body).code, "deadline_exceeded");
    server_end(server);
}
END_TEST

SAMPLE_TESTS("fetch", pages_are_fetched, only_pages_of_allowed_hosts_are_fetched,
             a_transfer_ends_with_its_request)
