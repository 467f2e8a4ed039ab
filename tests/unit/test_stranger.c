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
        size_t size = stranger_refuse(stranger, out);
        ck_assert_uint_eq(size, strlen(out));
        ck_assert_uint_lt(size, sizeof(out) - 1);
        ck_assert_ptr_nonnull(strstr(out, "4 bytes, little-endian"));
        ck_assert_ptr_nonnull(strstr(out, stranger->speaks));
    }
}
END_TEST

START_TEST(json_is_refused_in_json)
{
    char out[STRANGER_REFUSAL_MAX];

    stranger_refuse(stranger_find(bytes_of("{\"in\":1}"), MAX_BODY), out);
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
          every_refusal_describes_the_servers_protocol, json_is_refused_in_json)
