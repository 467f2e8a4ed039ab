/* Where messages of lines, and with header lines, end; and which protocol first bytes are. */
#include "wire/protocol.h"

#include <string.h>

#include "guarded.h"
#include "unit.h"
#include "wire/http_reply.h"

static const struct frame_limits limits = {.body = 16, .head = 64};

/* ---- Framings ---- */

/* A stream, and what is found in it: bodies, and at the end a status other than FRAME_WHOLE. */
struct row {
    unsigned protocol;
    const char *stream;
    const char *bodies[3];
    enum frame_status last;
    uint64_t size; /* of the last */
};

static const struct row rows[] = {
    {PROTOCOL_LINE, "", {NULL}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "{}", {NULL}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "{}\n", {"{}"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "{}\r\n[]\n", {"{}", "[]"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "\n\r\n{}\n\n", {"{}"}, FRAME_EMPTY, 1},
    {PROTOCOL_LINE, "\r\n\n", {NULL}, FRAME_EMPTY, 3},
    {PROTOCOL_LINE, "a\rb\n", {"a\rb"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, " \n", {" "}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "1234567890123456\n", {"1234567890123456"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "1234567890123456\r\n", {"1234567890123456"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LINE, "12345678901234567", {NULL}, FRAME_TOO_LARGE, 17},
    {PROTOCOL_LINE, "{}\n12345678901234567\n", {"{}"}, FRAME_TOO_LARGE, 17},
    {PROTOCOL_LSP, "", {NULL}, FRAME_PARTIAL, 0},
    {PROTOCOL_LSP, "Content-Length: 2\r\n\r\n{}", {"{}"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LSP, "content-LENGTH:\t02 \r\nX: y\r\n\r\n{}Con", {"{}"}, FRAME_PARTIAL, 0},
    {PROTOCOL_LSP, "Content-Type: a; b=c\r\nContent-Length: 0\r\n\r\n", {""}, FRAME_PARTIAL, 0},
    {PROTOCOL_LSP, "Content-Length: 2\r\n\r\n{", {NULL}, FRAME_PARTIAL, 23},
    {PROTOCOL_LSP, "Content-Length: 17\r\n\r\n", {NULL}, FRAME_TOO_LARGE, 17},
    {PROTOCOL_LSP,
     "Content-Length: 99999999999999999999999\r\n\r\n",
     {NULL},
     FRAME_TOO_LARGE,
     UINT32_MAX + 1ull},
    {PROTOCOL_LSP, "Content-Length: 2\r\nContent-Length: 2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "Content-Length: -2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "Content-Length: 2, 2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "Content-Length: \r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "Content-Lengthy: 2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "Content-Length 2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, "\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP, ": 2\r\n\r\n", {NULL}, FRAME_REFUSED, 0},
    {PROTOCOL_LSP,
     "X: 1234567890123456789012345678901234567890123456789012345678901234567890",
     {NULL},
     FRAME_REFUSED,
     0},
};

/* Reads the stream, as it arrives in pieces. */
static void check_row(const struct row *row, size_t piece)
{
    size_t size = strlen(row->stream), taken = 0, arrived = 0, body = 0;
    struct frame_progress progress = {0};
    enum frame_status status = FRAME_PARTIAL;
    struct frame frame;

    do {
        arrived = size - arrived < piece ? size : arrived + piece;
        do {
            struct bytes input = {row->stream + taken, arrived - taken};
            status = protocol_next(row->protocol, guarded(input), &limits, &progress, &frame);
            ck_assert_msg((status == FRAME_REFUSED) == (frame.why != NULL), "%s", row->stream);
            if (status != FRAME_WHOLE)
                break;
            const char *expected = row->bodies[body++];
            ck_assert_ptr_nonnull(expected);
            ck_assert_msg(bytes_equal(frame.body, bytes_of(expected)), "%s: not %s", row->stream,
                          expected);
            taken += (size_t)frame.size;
            progress = (struct frame_progress){0};
        } while (true);
    } while (arrived < size && (status == FRAME_PARTIAL || status == FRAME_EMPTY));
    ck_assert_msg(row->bodies[body] == NULL, "%s: %s is missing", row->stream, row->bodies[body]);
    ck_assert_msg(status == row->last, "%s: %d", row->stream, status);
    if (piece >= size)
        ck_assert_uint_eq(frame.size, row->size);
}

START_TEST(messages_end_where_their_protocol_says)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t piece = 1; piece <= 100; piece++)
            check_row(&rows[i], piece);
    }
}
END_TEST

START_TEST(a_line_that_arrives_slowly_is_searched_once)
{
    struct frame_progress progress = {0};
    struct frame frame;

    ck_assert_int_eq(protocol_next(PROTOCOL_LINE, BYTES("{\"in\""), &limits, &progress, &frame),
                     FRAME_PARTIAL);
    ck_assert_uint_eq(progress.at, 5);
}
END_TEST

/* Requests of HTTP have tests of their own (test_http.c): here only what their frame is. */
START_TEST(a_request_of_http_is_a_frame_with_its_head)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                               "Content-Length: 2\r\n\r\n";
    const struct frame_limits wide = {.body = 100, .head = 100};
    struct bytes input = {head, sizeof(head) - 1};
    struct frame frame;

    input.size--;
    ck_assert_int_eq(protocol_next(PROTOCOL_HTTP, input, &wide, NULL, &frame), FRAME_PARTIAL);
    ck_assert(!frame.waits);
    ck_assert_uint_eq(frame.size, 0);
    input.size++;
    ck_assert_int_eq(protocol_next(PROTOCOL_HTTP, input, &wide, NULL, &frame), FRAME_PARTIAL);
    ck_assert(frame.waits);
    ck_assert_uint_eq(frame.size, input.size + 2);
    ck_assert_int_eq(protocol_next(PROTOCOL_HTTP, BYTES("GET /\r\n\r\n"), &wide, NULL, &frame),
                     FRAME_REFUSED);
    ck_assert_uint_eq(frame.refused, HTTP_BAD_REQUEST);
}
END_TEST

/* ---- First bytes ---- */

static const struct {
    const char *data;
    size_t size;
    unsigned protocol;
} beginnings[] = {
    {"", 0, PROTOCOL_AUTO},
    {"{}\n", 3, PROTOCOL_AUTO}, /* or the length 687,483 */
    {"\x1e\0\0\0", 4, PROTOCOL_FRAME},
    {"\0\0\0\x08", 4, PROTOCOL_FRAME},
    {"{\"in", 4, PROTOCOL_LINE},
    {"[{\"j", 4, PROTOCOL_LINE},
    {"{}\n\n", 4, PROTOCOL_LINE},
    {"  {}", 4, PROTOCOL_LINE},
    {"\n\n\n\n", 4, PROTOCOL_LINE},
    {"\r\n{}", 4, PROTOCOL_LINE},
    {"Content-Length: 2", 17, PROTOCOL_LSP},
    {"content-length: 2", 17, PROTOCOL_LSP},
    {"\r\n\r\n\0\r\nQUIT\n", 12, PROTOCOL_FRAME}, /* PROXY, which is refused */
    {"GET / HTTP/1.1", 14, PROTOCOL_HTTP},
    {"POST", 4, PROTOCOL_HTTP},
    {"OPTIONS * ", 10, PROTOCOL_HTTP},
    {"PRI * HTTP/2.0", 14, PROTOCOL_HTTP},
    {"SSH-2.0-", 8, PROTOCOL_FRAME},
    {"\x16\x03\x01\x02\0\1", 6, PROTOCOL_FRAME}, /* TLS */
};

START_TEST(four_bytes_tell_the_protocol)
{
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
        struct bytes input = {beginnings[i].data, beginnings[i].size};
        ck_assert_msg(protocol_guess(guarded(input)) == beginnings[i].protocol, "beginning %zu", i);
    }
}
END_TEST

START_TEST(protocols_have_names)
{
    for (unsigned i = 0; i < PROTOCOLS; i++)
        ck_assert_uint_eq(protocol_find(protocols[i].name), i);
    ck_assert_uint_eq(protocol_find("gopher"), PROTOCOLS);
}
END_TEST

/* ---- Replies ---- */

START_TEST(replies_are_wrapped_as_requests_are)
{
    static const char body[] = "{\"out\":\"pong\",\"result\":1}";
    struct reply reply = {.result = BYTES("1")};
    char text[256];

    reply_set_out_string(&reply, "pong");
    for (unsigned i = 0; i < PROTOCOL_HTTP; i++) {
        const struct frame_limits wide = {.body = 100, .head = 100};
        struct frame frame;
        size_t size = protocol_reply_size(i, &reply);
        ck_assert_uint_eq(protocol_reply_write(i, &reply, text), size);
        ck_assert_int_eq(protocol_next(i, (struct bytes){text, size}, &wide, NULL, &frame),
                         FRAME_WHOLE);
        ck_assert_uint_eq(frame.size, size);
        ck_assert(bytes_equal(frame.body, BYTES(body)));
    }
}
END_TEST

/* ---- Heads of responses ---- */

START_TEST(responses_of_http_say_what_came_of_it)
{
    struct reply_http http = {.date = "Sun, 06 Nov 1994 08:49:37 GMT"};
    struct reply reply = {.result = BYTES("[1]"), .format = ENVELOPE_BARE, .http = &http};
    char text[1024];

    size_t size = protocol_reply_write(PROTOCOL_HTTP, &reply, text);
    ck_assert_uint_eq(size, protocol_reply_size(PROTOCOL_HTTP, &reply));
    text[size] = '\0';
    ck_assert_str_eq(text, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]");
    http.style = HTTP_STYLE_HEAD | HTTP_STYLE_CLOSE;
    http.retry_s = 12;
    reply_set_error(&reply, "limited", BYTES("{}"));
    size = protocol_reply_write(PROTOCOL_HTTP, &reply, text);
    ck_assert_uint_eq(size, protocol_reply_size(PROTOCOL_HTTP, &reply));
    text[size] = '\0';
    ck_assert_str_eq(text, "HTTP/1.1 429 Too Many Requests\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Content-Type: application/json\r\nContent-Length: 2\r\n"
                           "Retry-After: 12\r\nConnection: close\r\n\r\n");
    http = (struct reply_http){.date = http.date, .style = 204u << HTTP_STYLE_STATUS_SHIFT};
    size = protocol_reply_write(PROTOCOL_HTTP, &reply, text);
    text[size] = '\0';
    ck_assert_str_eq(text,
                     "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
}
END_TEST

START_TEST(dates_are_those_of_the_standard)
{
    char date[HTTP_DATE_SIZE + 1];

    http_date(784111777, date);
    ck_assert_str_eq(date, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 section 5.6.7 */
    http_date(0, date);
    ck_assert_str_eq(date, "Thu, 01 Jan 1970 00:00:00 GMT");
}
END_TEST

UNIT_MAIN("protocol", a_request_of_http_is_a_frame_with_its_head,
          responses_of_http_say_what_came_of_it, dates_are_those_of_the_standard,
          messages_end_where_their_protocol_says, a_line_that_arrives_slowly_is_searched_once,
          four_bytes_tell_the_protocol, protocols_have_names, replies_are_wrapped_as_requests_are)
