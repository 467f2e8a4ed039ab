/* What replies promise: see core/wire/reply.h. */
#include "unit.h"

#include <stdio.h>

#include "base/json_escape.h"
#include "guarded.h"
#include "wire/protocol.h"

static const struct json_limits wide = {JSON_DEPTH_MAX, UINT32_MAX};
static char room[4096];

static struct reply reply_of(struct bytes out, struct bytes result, struct bytes id)
{
    struct reply reply = {.result = result, .id = id}, same = reply;

    reply_set_out(&reply, out);
    if (memchr(out.data, '\0', out.size) == NULL) {
        char *string = strndup(out.data, out.size);
        reply_set_out_string(&same, string);
        ck_assert(bytes_equal(same.out, reply.out));
        ck_assert_uint_eq(same.out_size, reply.out_size);
        free(string);
    }
    return reply;
}

/* Writes a reply at the end of readable memory and gives its body. */
static struct bytes body_of_reply(const struct reply *reply)
{
    struct frame frame;
    struct json_error error;
    size_t size = protocol_reply_size(PROTOCOL_FRAME, reply);

    ck_assert_uint_le(size, sizeof(room));
    char *to = (char *)(uintptr_t)guarded((struct bytes){room, size}).data;
    ck_assert_uint_eq(protocol_reply_write(PROTOCOL_FRAME, reply, to), size);
    ck_assert_int_eq(frame_next((struct bytes){to, size}, UINT32_MAX, &frame), FRAME_WHOLE);
    ck_assert_uint_eq(frame.size, size);
    ck_assert(json_check(frame.body, &wide, &error));
    return frame.body;
}

static struct bytes body_of(struct bytes out, struct bytes result, struct bytes id)
{
    const struct reply reply = reply_of(out, result, id);

    return body_of_reply(&reply);
}

START_TEST(reply_is_a_frame_of_out_and_result)
{
    struct bytes body = body_of(BYTES("pong"), BYTES("null"), (struct bytes){NULL, 0});

    ck_assert(bytes_equal(body, BYTES("{\"out\":\"pong\",\"result\":null}")));
}
END_TEST

START_TEST(reply_gives_result_and_id_back_byte_for_byte)
{
    static const char *const values[] = {
        "null", "9007199254740993",      "1e400",        "0.1000000000000000055",   "-0",
        "\"\"", "\"\\u0000\\ud800\\/\"", "\"\xc3\xa9\"", "[ 1 ,\n{ \"a\" : [ ] } ]"};

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct text expected = {0};
        text_printf(&expected, "{\"out\":\"x\",\"result\":%s,\"id\":%s}", values[i], values[i]);
        struct bytes body = body_of(BYTES("x"), bytes_of(values[i]), bytes_of(values[i]));
        ck_assert(bytes_equal(body, (struct bytes){expected.data, expected.size}));
        text_free(&expected);
    }
}
END_TEST

START_TEST(reply_out_is_escaped)
{
    static const struct {
        struct bytes out;
        const char *written;
    } cases[] = {
        {{"", 0}, ""},
        {{"a.b", 3}, "a.b"},
        {{"\"\\/", 3}, "\\\"\\\\/"},
        {{"\b\f\n\r\t", 5}, "\\b\\f\\n\\r\\t"},
        {{"\0\x01\x1f\x7f", 4}, "\\u0000\\u0001\\u001f\x7f"},
        {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {{"\xff", 1}, "\xef\xbf\xbd"},
        {{"a\xc3", 2}, "a\xef\xbf\xbd"},
        {{"\xed\xa0\x80z", 4}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct text expected = {0};
        text_printf(&expected, "{\"out\":\"%s\",\"result\":1}", cases[i].written);
        struct bytes body = body_of(cases[i].out, BYTES("1"), (struct bytes){NULL, 0});
        ck_assert(bytes_equal(body, (struct bytes){expected.data, expected.size}));
        text_free(&expected);
    }
}
END_TEST

/* Two ways to escape exist, one that allocates and one that does not: they agree. */
START_TEST(reply_escapes_as_text_does)
{
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            char out[3] = {(char)first, (char)second, 'z'};
            struct text expected = {0};
            text_append_string(&expected, "{\"out\":\"");
            text_append_json(&expected, (struct bytes){out, 3});
            text_append_string(&expected, "\",\"result\":[]}");
            struct reply reply =
                reply_of((struct bytes){out, 3}, BYTES("[]"), (struct bytes){NULL, 0});
            size_t size = reply_write(&reply, room);
            ck_assert(bytes_equal((struct bytes){room, size},
                                  (struct bytes){expected.data, expected.size}));
            text_free(&expected);
        }
    }
}
END_TEST

static struct bytes retry_result(const char *code, struct bytes message, uint64_t retry_ms,
                                 size_t capacity)
{
    struct json_error error;
    char *to = (char *)(uintptr_t)guarded((struct bytes){room, capacity}).data;
    struct bytes result = reply_error_result(code, message, retry_ms, to, capacity);

    ck_assert_ptr_eq(result.data, to);
    ck_assert_uint_le(result.size, capacity);
    ck_assert_msg(json_check(result, &wide, &error), "%.*s: %s", (int)result.size, result.data,
                  error.reason);
    return result;
}

static struct bytes error_result(const char *code, struct bytes message, size_t capacity)
{
    return retry_result(code, message, 0, capacity);
}

START_TEST(reply_error_has_code_and_message)
{
    struct bytes result = error_result("parse_error", BYTES("the text is \"empty\"\n\xff"), 256);

    ck_assert(bytes_equal(result, BYTES("{\"code\":\"parse_error\",\"message\":"
                                        "\"the text is \\\"empty\\\"\\n\xef\xbf\xbd\"}")));
    result = error_result("", BYTES(""), 256);
    ck_assert(bytes_equal(result, BYTES("{\"code\":\"\",\"message\":\"\"}")));
}
END_TEST

/* Messages of characters that take 1 to 6 bytes are cut between characters, with less room left
 * than one more would take. */
START_TEST(reply_error_message_is_cut_between_characters)
{
    static const struct {
        struct bytes character;
        size_t written;
    } cases[] = {{{"x", 1}, 1},    {{"\"", 1}, 2},           {{"\xc3\xa9", 2}, 2},
                 {{"\xff", 1}, 3}, {{"\xe2\x82\xac", 3}, 3}, {{"\xf0\x9f\x98\x80", 4}, 4},
                 {{"\0", 1}, 6}};
    const size_t fixed = strlen("{\"code\":\"c\",\"message\":\"\"}");

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct text message = {0};
        while (message.size < 1000)
            text_append(&message, cases[i].character);
        for (size_t capacity = 256; capacity < 270; capacity++) {
            struct bytes result =
                error_result("c", (struct bytes){message.data, message.size}, capacity);
            size_t count = (capacity - fixed) / cases[i].written;
            ck_assert_uint_eq(result.size, fixed + count * cases[i].written);
        }
        text_free(&message);
    }
}
END_TEST

/* In seconds, as short as they can be written; a message is cut so that it fits. */
START_TEST(reply_error_tells_when_to_try_again)
{
    static const struct {
        uint64_t ms;
        const char *written;
    } cases[] = {{1, "0.001"},          {10, "0.01"},
                 {100, "0.1"},          {1000, "1"},
                 {1250, "1.25"},        {30000, "30"},
                 {3600001, "3600.001"}, {UINT64_MAX, "18446744073709551.615"}};
    char expected[256], longest[1000];

    memset(longest, 'l', sizeof(longest));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes result = retry_result("limited", BYTES("wait"), cases[i].ms, 256);
        snprintf(expected, sizeof(expected),
                 "{\"code\":\"limited\",\"message\":\"wait\",\"retry_after\":%s}",
                 cases[i].written);
        ck_assert(bytes_equal(result, bytes_of(expected)));
        result =
            retry_result("limited", (struct bytes){longest, sizeof(longest)}, cases[i].ms, 256);
        ck_assert_uint_eq(result.size, 256);
    }
}
END_TEST

START_TEST(reply_error_code_is_cut_when_it_leaves_no_room)
{
    char code[400];

    memset(code, 'c', sizeof(code) - 1);
    code[sizeof(code) - 1] = '\0';
    struct bytes result = error_result(code, BYTES("message"), 256);
    ck_assert_uint_eq(result.size, 256);
    ck_assert(bytes_equal((struct bytes){result.data + 256 - 14, 14}, BYTES(",\"message\":\"\"}")));
}
END_TEST

/* ---- JSON-RPC ---- */

static void expect_jsonrpc(struct reply reply, const char *expected)
{
    reply.format = ENVELOPE_JSONRPC;
    struct bytes body = body_of_reply(&reply);
    ck_assert_msg(bytes_equal(body, bytes_of(expected)), "%.*s instead of %s", (int)body.size,
                  body.data, expected);
}

START_TEST(reply_of_jsonrpc_gives_result_and_id_back_byte_for_byte)
{
    expect_jsonrpc(reply_of(BYTES("any"), BYTES("[ 1e400 ]"), BYTES("\"\\u0041\"")),
                   "{\"jsonrpc\":\"2.0\",\"result\":[ 1e400 ],\"id\":\"\\u0041\"}");
    expect_jsonrpc(reply_of(BYTES("any"), BYTES("19"), BYTES("null")),
                   "{\"jsonrpc\":\"2.0\",\"result\":19,\"id\":null}");
}
END_TEST

START_TEST(reply_of_jsonrpc_has_errors_with_number_message_and_data)
{
    static const struct {
        const char *code, *result, *id, *reply;
    } cases[] = {
        {"parse_error", "{\"code\":\"parse_error\",\"message\":\"a \\\"b\\\"\"}", NULL,
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"a \\\"b\\\"\",\"data\":"
         "{\"code\":\"parse_error\",\"message\":\"a \\\"b\\\"\"}},\"id\":null}"},
        {"timeout", "{\"code\":\"timeout\",\"message\":\"\",\"retry_after\":2}", "\"x\"",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":50400,\"message\":\"\",\"data\":"
         "{\"code\":\"timeout\",\"message\":\"\",\"retry_after\":2}},\"id\":\"x\"}"},
        /* errors that a module has made */
        {"no_cheese", "[\"message\"]", "7",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":50000,\"message\":\"the call failed\","
         "\"data\":[\"message\"]},\"id\":7}"},
        {"no_cheese", "{\"message\":1}", "7",
         "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":50000,\"message\":\"the call failed\","
         "\"data\":{\"message\":1}},\"id\":7}"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes none = {NULL, 0};
        struct reply reply = {.id = cases[i].id == NULL ? none : bytes_of(cases[i].id)};
        reply_set_error(&reply, cases[i].code, bytes_of(cases[i].result));
        expect_jsonrpc(reply, cases[i].reply);
    }
}
END_TEST

UNIT_MAIN("reply", reply_of_jsonrpc_gives_result_and_id_back_byte_for_byte,
          reply_of_jsonrpc_has_errors_with_number_message_and_data,
          reply_is_a_frame_of_out_and_result, reply_gives_result_and_id_back_byte_for_byte,
          reply_out_is_escaped, reply_escapes_as_text_does, reply_error_has_code_and_message,
          reply_error_message_is_cut_between_characters, reply_error_tells_when_to_try_again,
          reply_error_code_is_cut_when_it_leaves_no_room)
