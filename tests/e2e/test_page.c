/* The page of a server that can be watched, and the stream of events by which it lives. What the
 * page makes of them in a browser is tests/browser's. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "Host: localhost\r\n"

/* ---- Requests ---- */

static const char *ask(const struct server *server, const char *line, const char *fields)
{
    return client_round(
        server->port,
        keep_printf("%s HTTP/1.1\r\n" HOST "%sConnection: close\r\n\r\n", line, fields));
}

static void expect_status_line(const char *response, const char *line)
{
    const char *whole = keep_printf("HTTP/1.1 %s\r\n", line);

    ck_assert_msg(strncmp(response, whole, strlen(whole)) == 0, "not %s: %.800s", line, response);
}

static const char *body_of(const char *response)
{
    const char *end = strstr(response, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    return end + 4;
}

/* The part of the text behind `before`, up to `end`. */
static const char *between(const char *text, const char *before, char end)
{
    const char *start = strstr(text, before);

    if (start == NULL)
        fail_test("there is no %s in: %.800s", before, text);
    start += strlen(before);
    return keep_printf("%.*s", (int)(strchr(start, end) - start), start);
}

/* ---- Streams ---- */

struct stream {
    int client;
    struct buffer text; /* received and not handed out; NUL-terminated by next_event */
    bool over;          /* the server has ended it in order */
    char *kind, *id;    /* of the last event; id "" when it had none */
};

/* Receives what there is, for a moment at most. */
static void stream_receive(struct stream *stream)
{
    char piece[65536];
    struct pollfd readable = {.fd = stream->client, .events = POLLIN};

    if (poll(&readable, 1, 50) <= 0)
        return;
    ssize_t got = recv(stream->client, piece, sizeof(piece), 0);
    if (got < 0 && errno != EAGAIN)
        fail_test("the stream is reset: %s", strerror(errno));
    if (got == 0)
        stream->over = true;
    if (got > 0)
        buffer_add(&stream->text, piece, (size_t)got);
}

/* The text up to `end`, which is taken from the stream with it; NULL when the stream has ended
 * before it, between two of them. */
static char *stream_take(struct stream *stream, const char *end)
{
    int64_t deadline = deadline_in(PATIENCE_MS);

    for (;;) {
        char *found = stream->text.size == 0
                          ? NULL
                          : memmem(stream->text.data, stream->text.size, end, strlen(end));
        if (found != NULL) {
            size_t size = (size_t)(found - stream->text.data) + strlen(end);
            char *taken = keep_printf("%.*s", (int)size, stream->text.data);
            memmove(stream->text.data, stream->text.data + size, stream->text.size - size);
            stream->text.size -= size;
            return taken;
        }
        if (stream->over) {
            ck_assert_msg(stream->text.size == 0, "the stream ends within an event: %.*s",
                          (int)stream->text.size, stream->text.data);
            return NULL;
        }
        if (deadline_over(deadline))
            fail_test("no event comes; so far: %.*s", (int)stream->text.size, stream->text.data);
        stream_receive(stream);
    }
}

/* Sends the request, and returns the response's head. */
static const char *stream_ask(struct stream *stream, const char *fields)
{
    const char *request = keep_printf("GET /status/events HTTP/1.1\r\n" HOST "%s\r\n", fields);

    client_send(stream->client, request, strlen(request));
    return stream_take(stream, "\r\n\r\n");
}

/* A place for it, which no other test's stream has at the same time. */
static struct stream *stream_new(int client)
{
    static struct stream streams[64];
    static unsigned next;
    struct stream *stream = &streams[next++ % (sizeof(streams) / sizeof(*streams))];

    stream->client = client;
    stream->text.size = 0;
    stream->over = false;
    return stream;
}

static struct stream *stream_on(int client)
{
    struct stream *stream = stream_new(client);
    const char *head = stream_ask(stream, "");
    expect_status_line(head, "200 OK");
    expect_part(head, "\r\nContent-Type: text/event-stream\r\n");
    return stream;
}

static struct stream *stream_open(const struct server *server)
{
    return stream_on(client_connect(server));
}

/* Valid until so many others have been parsed. */
static const cJSON *parse(const char *text)
{
    static cJSON *parsed[16];
    static unsigned next;
    cJSON **place = &parsed[next++ % (sizeof(parsed) / sizeof(*parsed))];

    cJSON_Delete(*place);
    *place = cJSON_Parse(text);
    ck_assert_msg(*place != NULL, "no JSON: %s", text);
    return *place;
}

/* The data of the next event, whole; NULL when the stream has ended. */
static const cJSON *next_event(struct stream *stream)
{
    char *text = stream_take(stream, "\n\n");

    while (text != NULL && strstr(text, "data: ") == NULL) /* such as `retry` */
        text = stream_take(stream, "\n\n");
    if (text == NULL)
        return NULL;
    stream->kind = keep_printf("%s", between(text, "event: ", '\n'));
    stream->id = strstr(text, "id: ") == NULL ? "" : keep_printf("%s", between(text, "id: ", '\n'));
    return parse(strstr(text, "data: ") + strlen("data: "));
}

/* The next sample; NULL when the stream has ended. */
static const cJSON *next_sample(struct stream *stream)
{
    const cJSON *event;

    while ((event = next_event(stream)) != NULL && strcmp(stream->kind, "sample") != 0) {
    }
    return event;
}

static double number(const cJSON *sample, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(sample, name);

    if (!cJSON_IsNumber(item))
        fail_test("there is no number \"%s\" in %s", name, cJSON_PrintUnformatted(sample));
    return item->valuedouble;
}

static bool is_whole(const cJSON *sample)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(sample, "whole"));
}

/* Reads until a sample has this number. */
static const cJSON *wait_sample(struct stream *stream, const char *name, double value)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    const cJSON *sample;

    do {
        sample = next_sample(stream);
        if (sample == NULL)
            fail_test("the stream has ended, and %s was never %g", name, value);
        if (deadline_over(deadline))
            fail_test("%s is not %g: %s", name, value, cJSON_PrintUnformatted(sample));
    } while (number(sample, name) != value);
    return sample;
}

static void expect_goes_on(struct stream *stream)
{
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(next_sample(stream));
}

/* The row of a method in a sample, by its index; NULL when it has none there. */
static const cJSON *row_of(const cJSON *sample, int index)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(sample, "methods"))
    {
        if (cJSON_GetArrayItem(row, 0)->valueint == index)
            return row;
    }
    return NULL;
}

/* The index of a method, by the names of a whole sample. */
static int index_of(const cJSON *whole, const char *name)
{
    const cJSON *item;
    int at = 0;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(whole, "names"))
    {
        if (strcmp(item->valuestring, name) == 0)
            return at;
        at++;
    }
    fail_test("no method %s in %s", name, cJSON_PrintUnformatted(whole));
}

/* ---- The page ---- */

START_TEST(page_is_there_where_status_is_on_and_nowhere_else)
{
    struct server *server = server_serve("", "status on; method ping;");
    const char *response = ask(server, "GET /", "");

    expect_status_line(response, "200 OK");
    expect_part(response, "\r\nContent-Type: text/html; charset=utf-8\r\n");
    expect_part(response, "\r\nX-Content-Type-Options: nosniff\r\n");
    expect_part(response, "\r\nCache-Control: no-store\r\n");
    expect_part(body_of(response), "<!doctype html>");
    expect_status_line(ask(server, "PUT /", ""), "405 Method Not Allowed");
    expect_part(ask(server, "POST /", "Content-Length: 13\r\n\r\n{\"in\":\"ping\"}"), "pong");

    server_conf(server, "", "method ping;");
    server_reload(server);
    expect_status_line(ask(server, "GET /", ""), "405 Method Not Allowed");
    expect_status_line(ask(server, "GET /status/events", ""), "404 Not Found");
    expect_status_line(ask(server, "GET /status/methods", ""), "404 Not Found");
}
END_TEST

/* So that nothing that finds its way into the page is run. */
START_TEST(each_page_has_a_nonce_of_its_own_and_no_other_script_runs)
{
    struct server *server = server_serve("", "status on;");
    const char *first = ask(server, "GET /", ""), *second = ask(server, "GET /", "");
    const char *policy = between(first, "\r\nContent-Security-Policy: ", '\r');
    const char *nonce = between(policy, "script-src 'nonce-", '\'');

    expect_part(policy, "default-src 'none'; connect-src 'self';");
    expect_part(policy, "frame-ancestors 'none'");
    ck_assert_ptr_null(strstr(policy, "unsafe"));
    ck_assert_uint_eq(strlen(nonce), 32);
    ck_assert_str_ne(nonce, between(second, "script-src 'nonce-", '\''));
    expect_part(body_of(first), keep_printf("<script nonce=\"%s\">", nonce));
    expect_part(body_of(first), keep_printf("<style nonce=\"%s\">", nonce));
    ck_assert_ptr_null(strstr(body_of(first), "NONCE"));
    /* Nothing is asked of anybody else. */
    ck_assert_ptr_null(strstr(body_of(first), "https:"));
    ck_assert_ptr_null(strstr(body_of(first), "@include"));
}
END_TEST

START_TEST(head_tells_what_get_would)
{
    struct server *server = server_serve("", "status on;");
    const char *page = ask(server, "HEAD /", ""), *events = ask(server, "HEAD /status/events", "");
    size_t size = strlen(body_of(ask(server, "GET /", "")));

    expect_part(page, keep_printf("\r\nContent-Length: %zu\r\n", size));
    expect_text(body_of(page), "");
    expect_status_line(events, "200 OK");
    expect_part(events, "\r\nContent-Type: text/event-stream\r\n");
    expect_text(body_of(events), "");
}
END_TEST

START_TEST(filters_guard_the_page_and_all_that_it_asks_for)
{
    static const char *const paths[] = {"/", "/status/events", "/status/methods", "/metrics"};
    struct server *server = server_serve_with("", "load_module modules/auth.so;",
                                              "status on; status_calls on; filter auth { token "
                                              "secret; } method ping;");

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const char *response = ask(server, keep_printf("GET %s", paths[i]), "");
        expect_status_line(response, "401 Unauthorized");
        expect_part(response, "\r\nWWW-Authenticate: Bearer\r\n");
        /* Without a token a person sees the page, which asks for one, and nothing else. */
        bool page = strcmp(paths[i], "/") == 0;
        expect_part(response, page ? "\r\nContent-Type: text/html; charset=utf-8\r\n"
                                   : "\r\nContent-Type: application/json\r\n");
        ck_assert(strstr(response, "secret") == NULL && strstr(response, "\"ping\"") == NULL);
        response =
            ask(server, keep_printf("HEAD %s", paths[i]), "Authorization: Bearer secret\r\n");
        expect_status_line(response, "200 OK");
    }
    struct stream *stream = stream_new(client_connect(server));
    expect_status_line(stream_ask(stream, "Authorization: Bearer secret\r\n"), "200 OK");
    ck_assert_ptr_nonnull(next_sample(stream));
}
END_TEST

START_TEST(pages_of_other_people_learn_nothing)
{
    static const char *const paths[] = {"/", "/status/events", "/status/methods"};
    struct server *server = server_serve("", "status on; status_calls on; method ping;");

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const char *line = keep_printf("GET %s", paths[i]);
        expect_status_line(ask(server, line, "Origin: https://evil.test\r\n"), "403 Forbidden");
        expect_status_line(ask(server, line,
                               "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: "
                               "iframe\r\n"),
                           "403 Forbidden");
        int client = client_connect(server);
        const char *request =
            keep_printf("%s HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", line);
        client_send(client, request, strlen(request));
        expect_status_line(client_receive_rest(client), "421 Misdirected Request");
    }
}
END_TEST

START_TEST(methods_of_all_blocks_are_told_and_params_where_calls_are_on)
{
    const char *block = "server { listen unix:run/other.sock; method elsewhere { handler "
                        "ping.ping; } } load_module modules/hello.so;";
    struct server *server = server_serve(block, "status on; method greet;");
    const char *body = body_of(ask(server, "GET /status/methods", ""));

    expect_part(body, "{\"started_at_ms\":");
    expect_part(body, "\"calls\":false");
    expect_part(body, "{\"name\":\"greet\",\"module\":\"hello\",\"version\":\"1.0.0\"");
    expect_part(body, "{\"name\":\"elsewhere\",\"module\":\"ping\"");
    ck_assert_ptr_null(strstr(body, "\"params\""));

    server_conf(server, block, "status on; status_calls on; method greet;");
    server_reload(server);
    body = body_of(ask(server, "GET /status/methods", ""));
    parse(body);
    expect_part(body, "\"calls\":true");
    expect_part(body, "\"here\":true,\"params\":{\"type\":\"object\"");
    expect_part(body, "\"here\":false}");
}
END_TEST

/* ---- The stream ---- */

START_TEST(samples_come_and_have_what_has_changed)
{
    struct server *server = server_serve("status_interval 50ms;", "status on; method ping;");
    struct stream *stream = stream_open(server);
    const cJSON *first = next_sample(stream);
    int ping = index_of(first, "ping");

    ck_assert(is_whole(first));
    ck_assert_double_eq(number(first, "interval_ms"), 50);
    ck_assert_ptr_null(row_of(first, ping)); /* it was never called */
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(first, "workers")), 2);
    int client = client_connect(server);
    for (int i = 0; i < 3; i++)
        client_call(client, "ping", "1");
    const cJSON *row = NULL;
    wait_until((row = row_of(next_sample(stream), ping)) != NULL &&
                   cJSON_GetArrayItem(row, 1)->valueint == 3,
               "the three calls are in no sample");
    /* What has not changed is not sent again. */
    const cJSON *sample = next_sample(stream);
    ck_assert(!is_whole(sample));
    ck_assert_ptr_null(row_of(sample, ping));
    ck_assert_double_eq(number(sample, "streams"), 1);
}
END_TEST

/* No sample is made while nobody reads. */
START_TEST(a_stream_whose_reader_has_gone_is_counted_no_more)
{
    struct server *server = server_serve("status_interval 50ms;", "status on;");
    struct stream *gone = stream_open(server), *stays = stream_open(server);

    wait_sample(stays, "streams", 2);
    close(gone->client);
    wait_sample(stays, "streams", 1);
}
END_TEST

START_TEST(a_stream_goes_on_over_reloads)
{
    struct server *server = server_serve("status_interval 50ms;", "status on;");
    struct stream *stream = stream_open(server);

    for (int generation = 2; generation <= 4; generation++) {
        server_reload(server);
        const cJSON *sample = wait_sample(stream, "generation", generation);
        ck_assert_double_eq(number(sample, "reloads"), generation - 1);
    }
    expect_goes_on(stream);
    wait_sample(stream, "streams", 1); /* nor is it counted twice */
    ck_assert_double_eq(server_stat(server, "connections.invalid_records"), 0);
}
END_TEST

/* Each event is there whole or not at all, whatever its worker was doing when it died: otherwise
 * next_event finds no JSON. */
START_TEST(a_stream_goes_on_over_the_kill_of_its_worker)
{
    struct server *server = server_serve_alone("status_interval 50ms;", "status on;");
    struct stream *stream = stream_open(server);

    for (int i = 1; i <= 5; i++) {
        pid_t worker;
        ck_assert_uint_eq(server_workers(server, &worker, 1), 1);
        kill(worker, SIGKILL);
        wait_sample(stream, "crashes", i);
    }
    expect_goes_on(stream);
}
END_TEST

START_TEST(a_stream_goes_on_over_the_crash_of_a_method)
{
    struct server *server =
        server_serve_alone("status_interval 50ms; load_module modules/crash.so { journal "
                           "run/journal; }",
                           "status on; method kill;");
    struct stream *stream = stream_open(server);

    server->reports_allowed = true;
    int kills = index_of(next_sample(stream), "kill"), client = client_connect(server);
    client_send_frame(client, "{\"in\":\"kill\"}");
    client_expect_error(client, "module_crashed");
    const cJSON *sample = wait_sample(stream, "crashes", 1);
    wait_until(row_of(sample, kills) != NULL || (sample = next_sample(stream)) == NULL,
               "no row of the method that has crashed");
    ck_assert_int_eq(cJSON_GetArrayItem(row_of(sample, kills), 1)->valueint, 1);
    expect_goes_on(stream);
}
END_TEST

START_TEST(a_stream_goes_on_over_an_upgrade)
{
    struct server *server = server_new();

    server_conf(server, "status_interval 50ms;", "status on;");
    mkdir(server_path(server, "binary"), 0755);
    file_copy(pillion_binary(), server_path(server, "binary/pillion"));
    chmod(server_path(server, "binary/pillion"), 0755);
    setenv("PILLION_BUILD", server_path(server, "binary"), 1);
    server_start(server);
    struct stream *stream = stream_open(server);
    ck_assert_ptr_nonnull(next_sample(stream));
    server_order(server, "upgrade");
    expect_goes_on(stream);
}
END_TEST

/* Reads until the journal's next event of this kind, and returns it. */
static const cJSON *wait_event(struct stream *stream, const char *kind)
{
    int64_t deadline = deadline_in(PATIENCE_MS);
    const cJSON *event;

    do {
        event = next_event(stream);
        if (event == NULL || deadline_over(deadline))
            fail_test("there is no event \"%s\"", kind);
    } while (strcmp(stream->kind, "event") != 0 ||
             strcmp(cJSON_GetObjectItemCaseSensitive(event, "kind")->valuestring, kind) != 0);
    ck_assert_str_eq(stream->id, keep_printf("%.0f", number(event, "id")));
    return event;
}

START_TEST(events_of_the_journal_come_as_they_happen)
{
    struct server *server =
        server_serve("status_interval 50ms; load_module modules/crash.so { journal run/journal; }",
                     "status on; method kill;");
    struct stream *stream = stream_open(server);

    server->reports_allowed = true;
    wait_event(stream, "started"); /* what was before is told, too */
    server_reload(server);
    const cJSON *event = wait_event(stream, "reload");
    ck_assert_double_eq(number(event, "generation"), 2);
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"kill\"}");
    client_expect_error(client, "module_crashed");
    event = wait_event(stream, "crash");
    ck_assert_str_eq(cJSON_GetObjectItemCaseSensitive(event, "method")->valuestring, "kill");
    expect_goes_on(stream);
}
END_TEST

START_TEST(a_reader_that_comes_back_is_told_what_it_has_missed)
{
    struct server *server = server_serve("status_interval 50ms;", "status on;");
    struct stream *stream = stream_open(server);

    server_reload(server);
    wait_event(stream, "reload");
    const char *last = keep_printf("Last-Event-ID: %s\r\n", stream->id);
    close(stream->client);
    server_conf(server, "", "status on; method none;");
    server_reload_refused(server, "none");
    struct stream *back = stream_new(client_connect(server));
    stream_ask(back, last);
    next_event(back);
    ck_assert_str_eq(back->kind, "event"); /* the first thing that comes, and not the start */
    ck_assert_str_ne(back->id, stream->id);
    struct stream *other = stream_open(server);
    wait_event(other, "started");
    wait_event(other, "reload_failed");
}
END_TEST

START_TEST(what_comes_behind_the_request_of_a_stream_is_dropped)
{
    struct server *server = server_serve("status_interval 50ms;", "status on; method ping;");
    int client = client_connect(server);
    const char *two = "GET /status/events HTTP/1.1\r\n" HOST "\r\n"
                      "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n";

    client_send(client, two, strlen(two));
    struct stream *stream = stream_new(client);
    expect_part(stream_take(stream, "\r\n\r\n"), "text/event-stream");
    client_send(client, "\"no\"", 4);
    expect_goes_on(stream);
    server_reload(server);
    expect_goes_on(stream);
    ck_assert_double_eq(server_calls(server, "ping", "calls"), 0);
}
END_TEST

START_TEST(more_streams_than_there_may_be_are_refused)
{
    struct server *server = server_serve("status_interval 50ms;", "status on; status_streams 3;");
    struct stream *streams[3];

    for (int i = 0; i < 3; i++)
        streams[i] = stream_open(server);
    wait_sample(streams[2], "streams", 3);
    const char *response = ask(server, "GET /status/events", "");
    expect_status_line(response, "503 Service Unavailable");
    expect_part(response, "3 streams of events are read already (status_streams)");
    expect_part(response, "\r\nRetry-After: 1\r\n");
    close(streams[0]->client);
    wait_sample(streams[2], "streams", 2);
    ck_assert_ptr_nonnull(next_sample(stream_open(server)));
}
END_TEST

/* True when the socket takes no more for its reader, who has not read: `fast` reads meanwhile. */
static bool is_full(int client, struct stream *fast)
{
    int before = 0, after = 0;

    ioctl(client, FIONREAD, &before);
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(next_sample(fast));
    ioctl(client, FIONREAD, &after);
    return before > 0 && before == after;
}

/* A server with much to send, whose readers may come by a Unix socket, which takes little. */
static struct server *serve_slow_readers(const char *interval)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "worker_processes 8; status_interval %s; error_log stderr info;"
                 "load_module modules/ping.so; load_module modules/rpc.so;"
                 "server { listen 127.0.0.1:%d; listen unix:run/http.sock; status on;"
                 "         method ping; method rpc.stats; }",
                 interval, server->port);
    server_start(server);
    return server;
}

START_TEST(a_slow_reader_misses_samples_and_is_told_all_then)
{
    struct server *server = serve_slow_readers("100ms");
    struct stream *slow = stream_on(client_connect_unix(server_path(server, "run/http.sock")));
    struct stream *fast = stream_open(server);

    wait_until(is_full(slow->client, fast), "the reader's socket is never full");
    for (int i = 0; i < 5; i++)
        next_sample(fast);
    double last = 0;
    bool missed = false;
    for (int i = 0; i < 2000 && !missed; i++) {
        const cJSON *sample = next_sample(slow);
        double now = number(sample, "uptime_ms");
        missed = last > 0 && now - last > 300 && is_whole(sample);
        last = now;
    }
    ck_assert_msg(missed, "all that the reader did not read was kept for it");
    expect_goes_on(slow);
}
END_TEST

START_TEST(a_reader_that_never_reads_is_closed)
{
    struct server *server = serve_slow_readers("50ms");
    struct stream *slow = stream_on(client_connect_unix(server_path(server, "run/http.sock")));
    struct stream *fast = stream_open(server);

    wait_sample(fast, "streams", 2);
    wait_sample(fast, "streams", 1);
    server_wait_log(server, "has read nothing of its stream of events for 60 samples");
    ck_assert(!slow->over);
}
END_TEST

START_TEST(idle_timeout_is_not_for_readers_that_read)
{
    struct server *server =
        server_serve("status_interval 3s;", "status on; idle_timeout 100ms; method ping;");
    struct stream *stream = stream_open(server);

    for (int i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(next_sample(stream));
}
END_TEST

START_TEST(an_old_stream_ends_between_two_events)
{
    struct server *server =
        server_serve("status_interval 50ms;", "status on; max_connection_age 1s;");
    struct stream *stream = stream_open(server);

    while (next_sample(stream) != NULL) {
    }
    ck_assert(stream->over);
}
END_TEST

START_TEST(a_stream_ends_with_the_server)
{
    struct server *server = server_serve("status_interval 50ms; drain_timeout 1h;", "status on;");
    struct stream *stream = stream_open(server);

    ck_assert_ptr_nonnull(next_sample(stream));
    server_signal(server, SIGQUIT);
    while (next_sample(stream) != NULL) {
    }
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}
END_TEST

START_TEST(a_stream_ends_where_status_is_off_from_now_on)
{
    struct server *server = server_serve("status_interval 50ms;", "status on;");
    struct stream *stream = stream_open(server);

    ck_assert_ptr_nonnull(next_sample(stream));
    server_conf(server, "", "");
    server_reload(server);
    while (next_sample(stream) != NULL) {
    }
}
END_TEST

E2E_MAIN("page", page_is_there_where_status_is_on_and_nowhere_else,
         each_page_has_a_nonce_of_its_own_and_no_other_script_runs, head_tells_what_get_would,
         filters_guard_the_page_and_all_that_it_asks_for, pages_of_other_people_learn_nothing,
         methods_of_all_blocks_are_told_and_params_where_calls_are_on,
         samples_come_and_have_what_has_changed, a_stream_whose_reader_has_gone_is_counted_no_more,
         a_stream_goes_on_over_reloads, a_stream_goes_on_over_the_kill_of_its_worker,
         a_stream_goes_on_over_the_crash_of_a_method, a_stream_goes_on_over_an_upgrade,
         events_of_the_journal_come_as_they_happen,
         a_reader_that_comes_back_is_told_what_it_has_missed,
         what_comes_behind_the_request_of_a_stream_is_dropped,
         more_streams_than_there_may_be_are_refused,
         a_slow_reader_misses_samples_and_is_told_all_then, a_reader_that_never_reads_is_closed,
         idle_timeout_is_not_for_readers_that_read, an_old_stream_ends_between_two_events,
         a_stream_ends_with_the_server, a_stream_ends_where_status_is_off_from_now_on)
