/* Results that handlers write as they go: what the client gets in each protocol, however long they
 * are, and whatever comes in between. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Around the sizes at which the text moves to a larger place. */
static const int sizes[] = {0,    1,     100,   300,   400,    3000,  3500,
                            4000, 20000, 25000, 28000, 100000, 170000};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static struct server *serve(void)
{
    struct server *server = server_serve_alone("load_module modules/written.so;",
                                               "method written; method ping; max_output 1m;");

    server->reports_allowed = true;
    return server;
}

/* The array of the first `rows` numbers. */
static const char *list_of(int rows)
{
    struct buffer list = {0};
    char number[16];

    buffer_add(&list, "[", 1);
    for (int i = 0; i < rows; i++)
        buffer_add(&list, number, (size_t)sprintf(number, i == 0 ? "%d" : ",%d", i));
    buffer_add(&list, "]", 2);
    return keep(list.data);
}

static const char *asked(int rows, const char *how)
{
    return keep_printf("{\"rows\":%d,\"how\":\"%s\"}", rows, how);
}

static const char *own(int rows)
{
    return keep_printf("{\"out\":\"written\",\"result\":%s}", list_of(rows));
}

static void exchange(int client, const struct buffer *requests, const struct buffer *replies)
{
    client_exchange(client, requests->data, requests->size, 0, replies->data, replies->size);
    free(requests->data);
    free(replies->data);
}

static void add(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

/* Three of each size, so that some are written behind others, and then all at once. */
START_TEST(written_results_are_whole_in_frames)
{
    struct server *server = serve();
    struct buffer all = {0}, all_replies = {0};

    for (size_t i = 0; i < SIZES; i++) {
        struct buffer requests = {0}, replies = {0};
        for (int n = 0; n < 3; n++) {
            const char *params = asked(sizes[i], "ends");
            buffer_add_frame(&requests, "{\"in\":\"written\",\"params\":%s,\"id\":\"é%d\"}", params,
                             n);
            buffer_add_frame(&replies, "{\"out\":\"written\",\"result\":%s,\"id\":\"é%d\"}",
                             list_of(sizes[i]), n);
            buffer_add_frame(&requests,
                             "{\"jsonrpc\":\"2.0\",\"method\":\"written\",\"params\":%s,\"id\":%d}",
                             params, n);
            buffer_add_frame(&replies, "{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":%d}",
                             list_of(sizes[i]), n);
        }
        buffer_add(&all, requests.data, requests.size);
        buffer_add(&all_replies, replies.data, replies.size);
        exchange(client_connect(server), &requests, &replies);
    }
    exchange(client_connect(server), &all, &all_replies);
}
END_TEST

START_TEST(written_results_are_whole_in_lines_and_behind_lengths)
{
    struct server *server = serve();

    for (size_t i = 0; i < SIZES; i++) {
        const char *request =
            keep_printf("{\"in\":\"written\",\"params\":%s}", asked(sizes[i], "ends"));
        struct buffer lines = {0}, line_replies = {0}, lsp = {0}, lsp_replies = {0};
        for (int n = 0; n < 2; n++) {
            add(&lines, keep_printf("%s\n", request));
            add(&line_replies, keep_printf("%s\n", own(sizes[i])));
            add(&lsp, keep_printf("Content-Length: %zu\r\n\r\n%s", strlen(request), request));
            add(&lsp_replies,
                keep_printf("Content-Length: %zu\r\n\r\n%s", strlen(own(sizes[i])), own(sizes[i])));
        }
        exchange(client_connect(server), &lines, &line_replies);
        exchange(client_connect(server), &lsp, &lsp_replies);
    }
}
END_TEST

/* The head, which says how long the result is, comes before it. */
START_TEST(written_results_are_whole_over_http)
{
    struct server *server = serve();

    for (size_t i = 0; i < SIZES; i++) {
        const char *params = asked(sizes[i], "ends");
        struct buffer requests = {0};
        for (int n = 0; n < 3; n++)
            add(&requests,
                keep_printf("POST /written HTTP/1.1\r\nHost: localhost\r\n%s"
                            "Content-Length: %zu\r\n\r\n%s",
                            n == 2 ? "Connection: close\r\n" : "", strlen(params), params));
        int client = client_connect(server);
        client_send(client, requests.data, requests.size);
        free(requests.data);
        const char *rest = client_receive_rest(client), *list = list_of(sizes[i]);
        const char *length = keep_printf("\r\nContent-Length: %zu\r\n", strlen(list));
        for (int n = 0; n < 3; n++) {
            ck_assert_int_eq(strncmp(rest, "HTTP/1.1 200 OK\r\n", 17), 0);
            const char *body = strstr(rest, "\r\n\r\n");
            ck_assert_ptr_nonnull(body);
            const char *said = strstr(rest, length);
            ck_assert(said != NULL && said < body);
            ck_assert_int_eq(strncmp(body + 4, list, strlen(list)), 0);
            rest = body + 4 + strlen(list);
        }
        ck_assert_str_eq(rest, "");
    }
}
END_TEST

/* A batch, a tool's reply, which has the text twice, and a notification, which has none. */
START_TEST(written_results_are_whole_where_they_have_no_place_of_their_own)
{
    struct server *server = serve();

    for (size_t i = 0; i < SIZES; i++) {
        const char *params = asked(sizes[i], "ends"), *list = list_of(sizes[i]);
        struct buffer requests = {0}, replies = {0};
        const char *call =
            keep_printf("{\"jsonrpc\":\"2.0\",\"method\":\"written\",\"params\":%s", params);
        buffer_add_frame(&requests, "%s}", call);
        buffer_add_frame(&requests, "[%s,\"id\":1},%s},%s,\"id\":2}]", call, call, call);
        buffer_add_frame(&replies,
                         "[{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":1},"
                         "{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":2}]",
                         list, list);
        exchange(client_connect(server), &requests, &replies);
    }
}
END_TEST

/* What a handler does with a result that it does not end, in turn, and behind a request that is
 * deferred; each is between two others. */
START_TEST(what_becomes_of_written_results_is_told_to_the_client)
{
    static const struct {
        const char *how, *part;
    } ways[] = {
        {"fails", "{\"out\":\"error\",\"result\":{\"code\":\"gone\""},
        {"another", "{\"out\":\"another\",\"result\":[0]"},
        {"unended", "the method gave no answer"},
        {"wrong", "an element of an array has a name"},
    };
    struct server *server = serve();

    for (size_t i = 0; i < SIZES; i++) {
        const char *good =
            keep_printf("{\"in\":\"written\",\"params\":%s,\"id\":7}", asked(sizes[i], "ends"));
        const char *list =
            keep_printf("{\"out\":\"written\",\"result\":%s,\"id\":7}", list_of(sizes[i]));
        for (size_t w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
            struct buffer requests = {0};
            int client = client_connect(server);
            buffer_add_frame(&requests, "%s", good);
            buffer_add_frame(&requests, "{\"in\":\"written\",\"params\":%s,\"id\":8}",
                             asked(sizes[i], ways[w].how));
            buffer_add_frame(&requests, "%s", good);
            client_send(client, requests.data, requests.size);
            free(requests.data);
            client_expect(client, list);
            expect_part(client_receive(client, NULL), ways[w].part);
            client_expect(client, list);
        }
    }
}
END_TEST

START_TEST(written_results_are_whole_when_their_requests_are_deferred)
{
    static const char *const ways[] = {"defers", "later", "again"};
    struct server *server = serve();

    for (size_t i = 0; i < SIZES; i++) {
        const char *reply = own(sizes[i]);
        for (size_t w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
            struct buffer requests = {0}, replies = {0};
            for (int n = 0; n < 3; n++) {
                buffer_add_frame(&requests, "{\"in\":\"written\",\"params\":%s}",
                                 asked(sizes[i], n == 1 ? "ends" : ways[w]));
                buffer_add_frame(&replies, "%s", reply);
            }
            exchange(client_connect(server), &requests, &replies);
            const char *batch = keep_printf("[{\"jsonrpc\":\"2.0\",\"method\":\"written\","
                                            "\"params\":%s,\"id\":1}]",
                                            asked(sizes[i], ways[w]));
            requests = replies = (struct buffer){0};
            buffer_add_frame(&requests, "%s", batch);
            buffer_add_frame(&replies, "[{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":1}]",
                             list_of(sizes[i]));
            exchange(client_connect(server), &requests, &replies);
        }
    }
}
END_TEST

/* An arena that holds no more than three of these replies at once: they wait for room. */
START_TEST(written_results_that_find_no_room_wait_for_it)
{
    struct server *server =
        server_serve_with("worker_processes 1; arena_size 1m;", "load_module modules/written.so;",
                          "method written; method ping; max_frame 64k;");
    int clients[3];
    struct buffer requests = {0}, replies = {0};

    for (int i = 0; i < 5; i++) {
        buffer_add_frame(&requests, "{\"in\":\"written\",\"params\":%s}", asked(45000, "ends"));
        buffer_add_frame(&replies, "%s", own(45000));
    }
    for (size_t i = 0; i < 3; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], requests.data, requests.size);
    }
    for (size_t i = 3; i-- > 0;)
        client_exchange(clients[i], "", 0, 0, replies.data, replies.size);
    free(requests.data);
    free(replies.data);
}
END_TEST

/* The text grows beyond what a reply may have: 256 KiB of this arena. */
START_TEST(written_results_that_no_reply_holds_are_refused)
{
    struct server *server =
        server_serve_with("worker_processes 1; arena_size 1m;", "load_module modules/written.so;",
                          "method written; method ping; max_frame 64k;");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++) {
        expect_part(client_call(client, "written", asked(1000000, "ends")),
                    "the reply has 6888891 bytes; at most 262144 can be sent");
        client_send_frame(client,
                          keep_printf("{\"in\":\"written\",\"params\":%s}", asked(45000, "ends")));
        client_expect(client, own(45000));
    }
}
END_TEST

static long most_kib(pid_t pid)
{
    const char *most = strstr(file_read(keep_printf("/proc/%d/status", (int)pid), NULL), "VmHWM:");

    ck_assert_ptr_nonnull(most);
    return atol(most + strlen("VmHWM:"));
}

/* Not beside itself in another place, which would be twice. */
START_TEST(a_written_result_is_in_memory_once)
{
    struct server *server = serve();
    int client = client_connect(server);
    pid_t worker;
    size_t size;

    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    client_call(client, "written", asked(1000, "ends"));
    long before = most_kib(worker);
    client_send_frame(client,
                      keep_printf("{\"in\":\"written\",\"params\":%s}", asked(2000000, "ends")));
    client_receive(client, &size);
    ck_assert_uint_gt(size, 14u << 20);
    long more = most_kib(worker) - before;
    ck_assert_msg(more < (long)(size / 1024) * 3 / 2, "%ld KiB for a reply of %zu bytes", more,
                  size);
}
END_TEST

/* The client has read nothing of its replies when their worker dies. */
START_TEST(written_results_outlive_their_worker)
{
    struct server *server = serve();
    struct buffer requests = {0}, replies = {0};
    pid_t worker;

    for (size_t i = 0; i < SIZES; i++) {
        buffer_add_frame(&requests, "{\"in\":\"written\",\"params\":%s}", asked(sizes[i], "ends"));
        buffer_add_frame(&replies, "%s", own(sizes[i]));
    }
    int client = client_connect(server);
    client_send(client, requests.data, requests.size);
    wait_until(server_calls(server, "written", "calls") == SIZES ||
                   server_stat(server, "paused_output") > 0,
               "the requests are not answered");
    ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
    kill(worker, SIGKILL);
    client_exchange(client, "", 0, 0, replies.data, replies.size);
    free(requests.data);
    free(replies.data);
}
END_TEST

E2E_MAIN("written", written_results_are_whole_in_frames,
         written_results_are_whole_in_lines_and_behind_lengths, written_results_are_whole_over_http,
         written_results_are_whole_where_they_have_no_place_of_their_own,
         what_becomes_of_written_results_is_told_to_the_client,
         written_results_are_whole_when_their_requests_are_deferred,
         written_results_that_find_no_room_wait_for_it,
         written_results_that_no_reply_holds_are_refused, a_written_result_is_in_memory_once,
         written_results_outlive_their_worker)
