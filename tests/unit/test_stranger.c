/* Which protocol the first bytes of a connection are, and what its clients are told. */
#include "wire/stranger.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"
#include "wire/frame.h"

#define MAX_BODY (1u << 20)

static const struct {
    const char *data;
    size_t size;
    const char *speaks; /* NULL: nothing that is known */
} beginnings[] = {
    {"GET / HTTP/1.1\r\n", 16, "HTTP"},
    {"POST", 4, "HTTP"},
    {"PRI * HTTP/2.0\r\n", 16, "HTTP"},
    {"{\"in", 4, "JSON without frames"},
    {"[{\"jsonrpc\"", 11, "JSON without frames"},
    {" \n\t\r{\"in\":", 10, "JSON without frames"},
    {"\x16\x03\x01\x02\0\1\0\1\xfc", 9, "TLS"},
    {"SSH-2.0-OpenSSH", 15, "SSH"},
    {"PROXY TCP4 ", 11, "the PROXY protocol"},
    {"\r\n\r\n\0\r\nQUIT\n", 12, "the PROXY protocol"},
    {"*1\r\n$4\r\nPING\r\n", 14, "text"},
    {"\0\0\0\x1e{\"in\":", 10, "big-endian lengths"},
    {"\0\0\0\x1e", 4, NULL},
    {"\0\0\x80\0{", 5, NULL}, /* 8 MiB, the right way round */
    {"\xff\xff\xff\xff", 4, NULL},
    {"GET", 3, NULL},
};

START_TEST(first_bytes_tell_the_protocol)
{
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
        const struct stranger *stranger =
            stranger_find((struct bytes){beginnings[i].data, beginnings[i].size}, MAX_BODY);
        const char *speaks = stranger == NULL ? NULL : stranger->speaks;
        ck_assert_msg((speaks == NULL) == (beginnings[i].speaks == NULL) &&
                          (speaks == NULL || strcmp(speaks, beginnings[i].speaks) == 0),
                      "beginning %zu: %s", i, speaks == NULL ? "nothing" : speaks);
    }
}
END_TEST

/* Whoever writes text gets here whatever max_frame is. */
START_TEST(text_is_never_an_allowed_length)
{
    struct frame frame;

    for (unsigned last = '\t'; last < 0x80; last++) {
        char text[] = {'\t', '\t', '\t', (char)last};
        ck_assert_int_eq(frame_next((struct bytes){text, 4}, FRAME_BODY_MAX, &frame),
                         FRAME_TOO_LARGE);
    }
}
END_TEST

START_TEST(a_hello_of_tls_is_told_from_a_frame_that_is_on_its_way)
{
    static const char hello[] = "\x16\x03\x01\0\xf1\1\0\0\xed\3\3";
    static const char frame[] = "\x16\x03\x01\0{\"in\":";

    ck_assert_ptr_nonnull(stranger_find_hello((struct bytes){hello, sizeof(hello) - 1}));
    ck_assert_ptr_null(stranger_find_hello((struct bytes){hello, 5}));
    ck_assert_ptr_null(stranger_find_hello((struct bytes){frame, sizeof(frame) - 1}));
    ck_assert_ptr_null(stranger_find_hello((struct bytes){"", 0}));
}
END_TEST

START_TEST(every_refusal_describes_the_servers_protocol)
{
    char out[STRANGER_REFUSAL_MAX];

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
        const struct stranger *stranger =
            stranger_find((struct bytes){beginnings[i].data, beginnings[i].size}, MAX_BODY);
        if (stranger == NULL || stranger->form == NULL)
            continue;
        size_t size = stranger_refuse(stranger, PROTOCOL_FRAME, out);
        ck_assert_uint_eq(size, strlen(out));
        ck_assert_uint_lt(size, sizeof(out) - 1);
        ck_assert_ptr_nonnull(strstr(out, "4 bytes, little-endian"));
        ck_assert_ptr_nonnull(strstr(out, stranger->speaks));
    }
}
END_TEST

START_TEST(a_first_line_that_is_no_message_tells_the_protocol)
{
    static const struct {
        const char *data;
        size_t size;
        bool whole;
        const char *speaks;
    } lines[] = {
        {"{\"in\":\"ping\"}\n", 14, true, NULL},
        {" \t[{\"jsonrpc\"", 13, false, NULL},
        {"\r\n\r\n", 4, false, NULL},
        {"POST / HTTP/1.1\r\n", 17, true, "HTTP"},
        {"POST", 4, false, "HTTP"},
        {"POS", 3, false, NULL},
        {"1\n", 2, true, "text"},
        {"ping\n", 5, true, "text"},
        {"\x16\x03\x01\x02\0\1", 6, false, "TLS"},
        {"\x0f\0\0\0{\"in\":", 9, false, "frames"},
    };
    char out[STRANGER_REFUSAL_MAX];

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        const struct stranger *stranger =
            stranger_of_line((struct bytes){lines[i].data, lines[i].size}, lines[i].whole);
        ck_assert_msg((stranger == NULL) == (lines[i].speaks == NULL), "line %zu", i);
        if (stranger == NULL)
            continue;
        ck_assert_str_eq(stranger->speaks, lines[i].speaks);
        ck_assert_uint_eq(stranger_refuse(stranger, PROTOCOL_LINE, out), strlen(out));
        ck_assert_ptr_nonnull(strstr(out, "this port speaks lines of JSON, not "));
        ck_assert_int_eq(strncmp(out, "HTTP/1.1 400 ", 13) == 0,
                         strcmp(stranger->speaks, "HTTP") == 0);
    }
}
END_TEST

START_TEST(what_is_no_head_tells_the_protocol)
{
    static const struct {
        const char *data;
        size_t size;
        const char *http, *lsp; /* what a listener of it takes the bytes for; NULL: its own */
    } heads[] = {
        {"POST / HT", 9, NULL, "HTTP"},
        {"Content-L", 9, NULL, NULL},
        {"x-odd: 1", 8, NULL, NULL},
        {"\r\nPOST /", 8, NULL, NULL},
        {"\x0f\0\0\0{\"in\":", 9, "frames", "frames"},
        {"\x16\x03\x01\x02\0\1", 6, "TLS", "TLS"},
        {"{\"in\":\"ping\"}", 13, "JSON alone", "JSON alone"},
        {"{}\n", 3, NULL, NULL},
    };
    char out[STRANGER_REFUSAL_MAX];

    for (size_t i = 0; i < 2 * sizeof(heads) / sizeof(*heads); i++) {
        const unsigned protocol = i % 2 ? PROTOCOL_LSP : PROTOCOL_HTTP;
        const char *speaks = i % 2 ? heads[i / 2].lsp : heads[i / 2].http;
        const struct stranger *stranger =
            stranger_of_head((struct bytes){heads[i / 2].data, heads[i / 2].size}, protocol);
        ck_assert_msg((stranger == NULL) == (speaks == NULL), "head %zu", i);
        if (stranger == NULL)
            continue;
        ck_assert_str_eq(stranger->speaks, speaks);
        stranger_refuse(stranger, protocol, out);
        ck_assert_ptr_nonnull(strstr(out, i % 2 ? "speaks messages with Content-Length, not "
                                                : "speaks requests of HTTP, not "));
    }
}
END_TEST

START_TEST(json_is_refused_in_json)
{
    char out[STRANGER_REFUSAL_MAX];

    stranger_refuse(stranger_find(bytes_of("{\"in\":1}"), MAX_BODY), PROTOCOL_FRAME, out);
    cJSON *reply = cJSON_Parse(out);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(result, "code")), "not_a_frame");
    ck_assert_ptr_nonnull(
        strstr(cJSON_GetStringValue(cJSON_GetObjectItem(result, "message")), "{\"in\": \"ping\""));
    cJSON_Delete(reply);
}
END_TEST

UNIT_MAIN("stranger", first_bytes_tell_the_protocol, text_is_never_an_allowed_length,
          a_hello_of_tls_is_told_from_a_frame_that_is_on_its_way,
          every_refusal_describes_the_servers_protocol,
          a_first_line_that_is_no_message_tells_the_protocol, what_is_no_head_tells_the_protocol,
          json_is_refused_in_json)
