/* The promises of the wire to clients: frames, order, errors, ids, and limits. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PING(params)     "{\"in\":\"ping\",\"params\":" params "}"
#define PONG(result)     "{\"out\":\"pong\",\"result\":" result "}"
#define PONG_ID(r, id)   "{\"out\":\"pong\",\"result\":" r ",\"id\":" id "}"
#define SMALL_MAX        4096
#define MANY_CONNECTIONS 1000

/* Requests, and the replies byte for byte. */
static const struct {
    const char *request, *reply;
} corpus[] = {
    {PING("1"), PONG("1")},
    {"{\"in\":\"ping\"}", PONG("null")},
    {" { \"params\" : [ 1 , 2 ] , \"in\" : \"ping\" } ", PONG("[ 1 , 2 ]")},
    {"{\"\\u0069n\":\"p\\u0069ng\",\"params\":true}", PONG("true")},
    {PING("9007199254740993"), PONG("9007199254740993")},
    {PING("1e400"), PONG("1e400")},
    {PING("0.1000000000000000055"), PONG("0.1000000000000000055")},
    {PING("-0"), PONG("-0")},
    {PING("\"\\u0000 \\ud800 \\/ \xc3\xbc\""), PONG("\"\\u0000 \\ud800 \\/ \xc3\xbc\"")},
    {PING("{\"a\":1,\"a\":2}"), PONG("{\"a\":1,\"a\":2}")},
    {"{\"id\":7,\"in\":\"ping\",\"params\":{}}", PONG_ID("{}", "7")},
    {"{\"in\":\"ping\",\"id\":\"\\u0041\"}", PONG_ID("null", "\"\\u0041\"")},
    {"{\"in\":\"ping\",\"id\":null,\"more\":[{}]}", PONG_ID("null", "null")},
    {"{\"in\":\"ping\",\"id\":123456789012345678901234567890}",
     PONG_ID("null", "123456789012345678901234567890")},
    {"{\"in\":\"ping\",\"id\":-0.0e-0}", PONG_ID("null", "-0.0e-0")},
};

#define CORPUS_COUNT (sizeof(corpus) / sizeof(*corpus))

static const char *request_error(int client, const char *body, const char *code)
{
    client_send_frame(client, body);
    return client_expect_error(client, code);
}

/* ---- frames ---- */

START_TEST(every_frame_of_the_corpus_may_be_split_at_every_byte)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (size_t i = 0; i < CORPUS_COUNT; i++) {
        struct buffer frame = {0};
        buffer_add_frame(&frame, "%s", corpus[i].request);
        for (size_t at = 1; at < frame.size; at++) {
            client_send(client, frame.data, at);
            client_send(client, frame.data + at, frame.size - at);
            client_expect(client, corpus[i].reply);
        }
        free(frame.data);
    }
}
END_TEST

START_TEST(frames_may_come_byte_by_byte)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);
    struct buffer out = {0}, in = {0};

    for (size_t i = 0; i < CORPUS_COUNT; i++) {
        buffer_add_frame(&out, "%s", corpus[i].request);
        buffer_add_frame(&in, "%s", corpus[i].reply);
    }
    client_exchange(client, out.data, out.size, 1, in.data, in.size);
    free(out.data);
    free(in.data);
}
END_TEST

START_TEST(one_to_a_thousand_frames_may_be_pipelined)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (int count = 1; count <= 1000; count += count < 64 ? 1 : 52) {
        struct buffer out = {0}, in = {0};
        for (int i = 0; i < count; i++) {
            buffer_add_frame(&out, PING("%d"), i);
            buffer_add_frame(&in, PONG("%d"), i);
        }
        client_exchange(client, out.data, out.size, 0, in.data, in.size);
        free(out.data);
        free(in.data);
    }
}
END_TEST

START_TEST(pipelined_frames_of_all_sizes_may_be_cut_anywhere)
{
    static const size_t pieces[] = {0, 1, 3, 4, 5, 31, 1000, 4095, 4096, 4097, 70001};
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);
    char *pad = keep(malloc(70001));

    memset(pad, 'x', 70000);
    pad[70000] = '\0';
    for (size_t p = 0; p < sizeof(pieces) / sizeof(*pieces); p++) {
        struct buffer out = {0}, in = {0};
        int most = pieces[p] != 0 && pieces[p] < 32 ? 300 : 70000;
        for (int i = 0; i < 60; i++) {
            int size = i * i * 997 % most;
            buffer_add_frame(&out, PING("\"%.*s\""), size, pad);
            buffer_add_frame(&in, PONG("\"%.*s\""), size, pad);
        }
        client_exchange(client, out.data, out.size, pieces[p], in.data, in.size);
        free(out.data);
        free(in.data);
    }
}
END_TEST

START_TEST(a_frame_of_length_zero_is_answered_and_the_connection_lives)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++) {
        client_announce(client, 0);
        client_expect_error(client, "parse_error");
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(a_frame_of_one_byte_is_answered_and_the_connection_lives)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (int byte = 0; byte < 256; byte++) {
        unsigned char frame[5] = {1, 0, 0, 0, (unsigned char)byte};
        client_send(client, frame, sizeof(frame));
        client_expect_error(client, byte >= '0' && byte <= '9' ? "invalid_request" : "parse_error");
    }
    client_expect_alive(client);
}
END_TEST

/* A ping whose body has `size` bytes. */
static char *ping_of_size(size_t size)
{
    size_t around = strlen(PING("\"\""));
    char *pad = keep(malloc(size + 1));

    memset(pad, 'm', size);
    pad[size - around] = '\0';
    return keep_printf(PING("\"%s\""), pad);
}

START_TEST(a_frame_of_max_frame_bytes_is_answered)
{
    struct server *server = server_serve("", "method ping; max_frame 4k;");
    int client = client_connect(server);

    for (size_t size = SMALL_MAX - 3; size <= SMALL_MAX; size++) {
        client_send_frame(client, ping_of_size(size));
        size_t got;
        client_receive(client, &got);
        ck_assert_uint_eq(got, size - strlen(PING("")) + strlen(PONG("")));
    }
    client_expect_alive(client);
}
END_TEST

START_TEST(a_frame_of_one_mebibyte_is_answered_by_default)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);
    char *request = ping_of_size(1 << 20);
    struct buffer out = {0}, in = {0};

    buffer_add_frame(&out, "%s", request);
    request[strlen(request) - 1] = '\0'; /* the result is what was sent, without the brace */
    buffer_add_frame(&in, PONG("%s"), request + strlen(PING("")) - 1);
    client_exchange(client, out.data, out.size, 0, in.data, in.size);
    client_announce(client, (1 << 20) + 1);
    client_expect_error(client, "frame_too_large");
    client_expect_end(client);
    free(out.data);
    free(in.data);
}
END_TEST

START_TEST(a_too_long_frame_is_refused_after_the_earlier_ones_are_answered)
{
    static const uint32_t lengths[] = {SMALL_MAX + 1, 1u << 20, 1u << 31, UINT32_MAX};
    struct server *server = server_serve("", "method ping; max_frame 4k;");

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        int client = client_connect(server);
        client_send_frame(client, PING("\"before\""));
        client_announce(client, lengths[i]);
        client_expect(client, PONG("\"before\""));
        const char *message = client_expect_error(client, "frame_too_large");
        expect_part(message, keep_printf("%u bytes", lengths[i]));
        expect_part(message, "4096");
        client_expect_end(client);
        close(client);
    }
}
END_TEST

START_TEST(the_refusal_is_not_lost_on_a_client_that_keeps_sending)
{
    struct server *server = server_serve("", "method ping; max_frame 4k;");
    char *garbage = keep(calloc(1, 1 << 20));

    for (int i = 0; i < 20; i++) {
        int client = client_connect(server);
        client_announce(client, 8u << 20);
        /* It sends all that it has announced before it looks at what came. */
        for (int part = 0; part < 8; part++)
            client_send(client, garbage, 1 << 20);
        client_expect_error(client, "frame_too_large");
        client_expect_end(client);
        close(client);
    }
}
END_TEST

START_TEST(a_client_that_has_shut_its_sending_side_gets_its_replies_and_then_the_end)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (int i = 0; i < 3; i++)
        client_send_frame(client, PING("\"x\""));
    client_finish(client);
    for (int i = 0; i < 3; i++)
        client_expect(client, PONG("\"x\""));
    client_expect_end(client);
}
END_TEST

START_TEST(a_client_that_leaves_within_a_frame_disturbs_nobody)
{
    struct server *server = server_serve("", "method ping;");
    int witness = client_connect(server);
    struct buffer frame = {0};

    buffer_add_frame(&frame, PING("[1,2,3]"));
    for (size_t at = 0; at <= frame.size; at++) {
        int orderly = client_connect(server), rude = client_connect(server);
        client_send(orderly, frame.data, at);
        client_send(rude, frame.data, at);
        close(orderly);
        client_vanish(rude);
        client_expect_alive(witness);
    }
    free(frame.data);
    const cJSON *connections = cJSON_GetObjectItem(server_stats(server), "connections");
    ck_assert_ptr_nonnull(connections);
    /* The witness, and the connection that asks. */
    wait_until(cJSON_GetObjectItem(cJSON_GetObjectItem(server_stats(server), "connections"), "open")
                       ->valueint == 2,
               "connections of clients that have left stay open");
}
END_TEST

/* ---- errors and ids ---- */

START_TEST(a_body_that_is_not_json_is_a_parse_error_and_the_connection_lives)
{
    static const char *const bodies[] = {
        " ",
        "{",
        "nul",
        "{\"in\":\"ping\"",
        "{\"in\":\"ping\",}",
        "{\"in\":\"ping\"} x",
        "{\"in\":\"ping\"}{}",
        PING("01"),
        PING("+1"),
        PING("1."),
        PING("NaN"),
        PING("\"\n\""),
        PING("\"\\x\""),
        PING("\"\xff\""),
        PING("\"\xc0\xaf\""),
        PING("\"\xed\xa0\x80\""),
        PING("{\"\\ud800\":1}"),
        PING("[1 2]"),
        "\xef\xbb\xbf{\"in\":\"ping\"}",
    };
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        expect_part(request_error(client, bodies[i], "parse_error"), "at byte ");
    client_expect_alive(client);
}
END_TEST

START_TEST(json_that_is_no_request_is_an_invalid_request_and_the_connection_lives)
{
    static const char *const bodies[] = {
        "null",
        "[]",
        "{}",
        "{\"params\":1}",
        "{\"in\":1}",
        "{\"In\":\"ping\"}",
        "{\"in\":\"ping\",\"in\":\"ping\"}",
        "{\"in\":\"ping\",\"\\u0069n\":\"ping\"}",
        "{\"in\":\"ping\",\"params\":1,\"params\":1}",
        "{\"in\":\"ping\",\"id\":1,\"id\":1}",
        "{\"in\":\"ping\",\"id\":true}",
        "{\"in\":\"ping\",\"id\":[1]}",
        "{\"in\":\"ping\\u0000\"}",
        "{\"in\":\"\\udc00\"}",
    };
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        request_error(client, bodies[i], "invalid_request");
    client_expect_alive(client);
}
END_TEST

START_TEST(a_method_that_is_not_enabled_is_method_not_found)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    expect_part(request_error(client, "{\"in\":\"no.such\"}", "method_not_found"), "no.such");
    request_error(client, "{\"in\":\"\"}", "method_not_found");
    request_error(client, "{\"in\":\"Ping\"}", "method_not_found");
    /* Loaded, but not enabled here. */
    request_error(client, "{\"in\":\"rpc.list\"}", "method_not_found");
    client_expect_alive(client);
}
END_TEST

START_TEST(error_replies_carry_the_id_where_it_can_be_read)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    client_send_frame(client, "{\"in\":\"no.such\",\"id\":\"a\\/b\"}");
    expect_part(client_receive(client, NULL), ",\"id\":\"a\\/b\"}");
    client_send_frame(client, "{\"params\":1,\"id\":-1E5}");
    expect_part(client_receive(client, NULL), ",\"id\":-1E5}");
    client_send_frame(client, "{\"id\":1,\"in\":");
    expect_part(client_receive(client, NULL), ", at byte 13\"},\"id\":1}");
    client_send_frame(client, "{\"in\":,\"id\":1}");
    ck_assert_ptr_null(strstr(client_receive(client, NULL), "\"id\""));
}
END_TEST

START_TEST(errors_keep_their_place_among_pipelined_replies)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);
    struct buffer out = {0};

    for (int i = 0; i < 300; i++) {
        buffer_add_frame(&out, PING("%d"), i);
        buffer_add_frame(&out, i % 2 == 0 ? "{" : "{\"in\":\"no.such\"}");
    }
    client_send(client, out.data, out.size);
    for (int i = 0; i < 300; i++) {
        client_expect(client, keep_printf(PONG("%d"), i));
        client_expect_error(client, i % 2 == 0 ? "parse_error" : "method_not_found");
    }
    free(out.data);
}
END_TEST

START_TEST(the_longest_method_name_is_taken_and_one_byte_more_is_not)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);
    char name[257];

    memset(name, 'n', 256);
    name[255] = '\0';
    request_error(client, keep_printf("{\"in\":\"%s\"}", name), "method_not_found");
    name[255] = 'n';
    name[256] = '\0';
    request_error(client, keep_printf("{\"in\":\"%s\"}", name), "invalid_request");
}
END_TEST

/* ---- limits ---- */

static char *nested(int depth)
{
    struct buffer text = {0};

    for (int i = 0; i < depth; i++)
        buffer_add(&text, "[", 1);
    for (int i = 0; i < depth; i++)
        buffer_add(&text, "]", 1);
    buffer_add(&text, "", 1);
    return keep(text.data);
}

START_TEST(json_depth_and_values_are_limited_by_default_and_by_directive)
{
    struct server *server = server_serve("", "method ping;");
    int client = client_connect(server);

    /* The request itself is one level. */
    client_send_frame(client, keep_printf(PING("%s"), nested(63)));
    client_expect(client, keep_printf(PONG("%s"), nested(63)));
    request_error(client, keep_printf(PING("%s"), nested(64)), "parse_error");

    struct server *strict = server_serve("", "method ping; json_max_depth 3; json_max_values 6;");
    client = client_connect(strict);
    client_send_frame(client, PING("[[1]]"));
    client_expect(client, PONG("[[1]]"));
    request_error(client, PING("[[[1]]]"), "parse_error");
    /* The request, "in", the array and three numbers. */
    client_send_frame(client, PING("[1,2,3]"));
    client_expect(client, PONG("[1,2,3]"));
    request_error(client, PING("[1,2,3,4]"), "parse_error");
    client_expect_alive(client);
}
END_TEST

/* Memory of all processes of the server in KiB, shared pages counted once (proc_pid_smaps_rollup,
 * proc(5)). */
static long server_memory(const struct server *server)
{
    pid_t pids[64];
    size_t count = children_of(server->pid, pids, 63);
    long total = 0;

    pids[count++] = server->pid;
    for (size_t i = 0; i < count; i++) {
        char *path = keep_printf("/proc/%d/smaps_rollup", (int)pids[i]);
        char *pss = strstr(file_read(path, NULL), "\nPss:");
        if (pss == NULL)
            fail_test("%s has no Pss", path);
        total += atol(pss + 5);
    }
    return total;
}

START_TEST(clients_that_announce_large_frames_cost_only_the_bytes_they_send)
{
    struct server *server = server_serve("", "method ping; max_frame 128m;");
    int *clients = keep(malloc(MANY_CONNECTIONS * sizeof(*clients)));

    client_expect_alive(client_connect(server));
    long before = server_memory(server);
    for (int i = 0; i < MANY_CONNECTIONS; i++) {
        clients[i] = client_connect(server);
        client_announce(clients[i], 128u << 20);
    }
    wait_until(server_stat(server, "connections.open") >= MANY_CONNECTIONS + 2,
               "not all were accepted");
    wait_until(server_stat(server, "connections.bytes_in") >= MANY_CONNECTIONS * 4,
               "not all was read");
    long each = (server_memory(server) - before) / MANY_CONNECTIONS;
    ck_assert_int_le(each, 16);
    /* Nor does a part of what was announced. */
    char *part = keep(calloc(1, 3000));
    for (int i = 0; i < MANY_CONNECTIONS; i++)
        client_send(clients[i], part, 3000);
    wait_until(server_stat(server, "connections.bytes_in") >= MANY_CONNECTIONS * 3004,
               "not all was read");
    each = (server_memory(server) - before) / MANY_CONNECTIONS;
    ck_assert_int_le(each, 16);
    client_expect_alive(client_connect(server));
}
END_TEST

START_TEST(a_client_that_does_not_read_is_paused_and_loses_nothing)
{
    struct server *server = server_serve("", "method ping; max_output 64k;");
    int slow = client_connect(server), witness = client_connect(server);
    struct buffer out = {0}, in = {0};
    char *pad = keep(malloc(8001));
    size_t sent = 0;

    memset(pad, 'p', 8000);
    pad[8000] = '\0';
    for (int i = 0; i < 4000; i++) {
        buffer_add_frame(&out, PING("\"%d%s\""), i, pad);
        buffer_add_frame(&in, PONG("\"%d%s\""), i, pad);
    }
    client_expect_alive(witness);
    long before = server_memory(server);
    int64_t deadline = deadline_in(PATIENCE_MS);
    /* It sends for as long as the server takes anything, and reads nothing. */
    while (server_stat(server, "connections.paused_output") == 0) {
        ssize_t more = send(slow, out.data + sent, out.size - sent, MSG_NOSIGNAL);
        sent += more > 0 ? (size_t)more : 0;
        if (deadline_over(deadline) || sent == out.size)
            fail_test("the server does not pause a client that does not read");
        client_expect_alive(witness);
    }
    ck_assert_int_le(server_memory(server) - before, 4096);
    client_exchange(slow, out.data + sent, out.size - sent, 0, in.data, in.size);
    client_expect_alive(slow);
    free(out.data);
    free(in.data);
}
END_TEST

START_TEST(a_thousand_connections_are_served_at_once)
{
    struct server *server = server_serve("", "method ping;");
    int *clients = keep(malloc(MANY_CONNECTIONS * sizeof(*clients)));

    for (int i = 0; i < MANY_CONNECTIONS; i++)
        clients[i] = client_connect(server);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY_CONNECTIONS; i++)
            client_send_frame(clients[i], keep_printf(PING("[%d,%d]"), round, i));
        for (int i = 0; i < MANY_CONNECTIONS; i++)
            client_expect(clients[i], keep_printf(PONG("[%d,%d]"), round, i));
    }
}
END_TEST

E2E_MAIN("wire", every_frame_of_the_corpus_may_be_split_at_every_byte, frames_may_come_byte_by_byte,
         one_to_a_thousand_frames_may_be_pipelined,
         pipelined_frames_of_all_sizes_may_be_cut_anywhere,
         a_frame_of_length_zero_is_answered_and_the_connection_lives,
         a_frame_of_one_byte_is_answered_and_the_connection_lives,
         a_frame_of_max_frame_bytes_is_answered, a_frame_of_one_mebibyte_is_answered_by_default,
         a_too_long_frame_is_refused_after_the_earlier_ones_are_answered,
         the_refusal_is_not_lost_on_a_client_that_keeps_sending,
         a_client_that_has_shut_its_sending_side_gets_its_replies_and_then_the_end,
         a_client_that_leaves_within_a_frame_disturbs_nobody,
         a_body_that_is_not_json_is_a_parse_error_and_the_connection_lives,
         json_that_is_no_request_is_an_invalid_request_and_the_connection_lives,
         a_method_that_is_not_enabled_is_method_not_found,
         error_replies_carry_the_id_where_it_can_be_read,
         errors_keep_their_place_among_pipelined_replies,
         the_longest_method_name_is_taken_and_one_byte_more_is_not,
         json_depth_and_values_are_limited_by_default_and_by_directive,
         clients_that_announce_large_frames_cost_only_the_bytes_they_send,
         a_client_that_does_not_read_is_paused_and_loses_nothing,
         a_thousand_connections_are_served_at_once)
