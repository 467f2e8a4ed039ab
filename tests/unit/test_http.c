/* What reading HTTP promises: see core/wire/http.h. */
#include "unit.h"

#include <ctype.h>

#include "guarded.h"
#include "wire/http.h"

static const struct frame_limits limits = {.head = 1024, .body = 64};
static struct http_request request;

/* Of all of it at once, with nothing readable behind it. */
static enum http_status read_bytes(struct bytes input)
{
    struct frame_progress progress = {0};

    memset(&request, 0xaa, sizeof(request)); /* nothing may be left as it was */
    return http_next(guarded(input), &limits, &progress, &request);
}

static enum http_status read_string(const char *text)
{
    return read_bytes(bytes_of(text));
}

static void assert_is(struct bytes span, const char *text)
{
    ck_assert_msg(text == NULL ? span.data == NULL
                               : span.data != NULL && bytes_equal(span, bytes_of(text)),
                  "'%.*s' instead of '%s'", (int)span.size, span.data == NULL ? "" : span.data,
                  text == NULL ? "nothing" : text);
}

#define HOST "Host: a\r\n"

static const struct {
    const char *text, *method, *path, *query, *host, *content;
    bool keep_alive, waits;
} accepted[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", NULL, "a", "", true, false},
    {"GET /a%20b?x=1&y=?/ HTTP/1.1\r\nhOsT:\t a:80 \t\r\n\r\n", "GET", "/a%20b", "x=1&y=?/", "a:80",
     "", true, false},
    {"GET /? HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "a", "", true, false},
    {"GET /x HTTP/1.0\r\n\r\n", "GET", "/x", NULL, NULL, "", false, false},
    {"GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/x", NULL, NULL, "", true, false},
    {"GET /x HTTP/1.1\r\n" HOST "Connection: te , ,CLOSE\r\n\r\n", "GET", "/x", NULL, "a", "",
     false, false},
    {"GET /x HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", "GET", "/x", NULL,
     NULL, "", false, false},
    {"GET http://b:1/x?y HTTP/1.1\r\n" HOST "\r\n", "GET", "/x", "y", "b:1", "", true, false},
    {"GET HTTP://[::1] HTTP/1.1\r\n" HOST "\r\n", "GET", "/", NULL, "[::1]", "", true, false},
    {"GET http://b?q HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "q", "b", "", true, false},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", NULL, "a", "", true, false},
    {"X-y!z /x HTTP/1.1\r\nHost:\r\n\r\n", "X-y!z", "/x", NULL, "", "", true, false},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST", "/", NULL, "a", "abc", true,
     false},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0064\r\n\r\n"
     "0123456789012345678901234567890123456789012345678901234567890123",
     "POST", "/", NULL, "a", "0123456789012345678901234567890123456789012345678901234567890123",
     true, false},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na", "POST", "/",
     NULL, "a", "a", true, true},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
     "POST", "/", NULL, "a", "abc", true, true},
    /* RFC 9110 section 10.1.1: a server ignores it in 1.0 */
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", "POST", "/", NULL,
     NULL, "a", false, false},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST", "/", NULL,
     "a", "", true, false},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
     "3\r\nabc\r\n0A;x=\"\ty\"\r\n0123456\r\n9\r\n000;z\r\nTrailer: x\r\nY:\r\n\r\n",
     "POST", "/", NULL, "a", "abc0123456\r\n9", true, false},
    {"GET / HTTP/1.1\r\n" HOST "X: \x80\xff\tz\r\nEmpty:\r\n\r\n", "GET", "/", NULL, "a", "", true,
     false},
};

static void expect_accepted(size_t i)
{
    char room[64];

    ck_assert_msg(request.why == NULL, "row %zu: %s", i, request.why);
    assert_is(request.method, accepted[i].method);
    assert_is(request.path, accepted[i].path);
    assert_is(request.query, accepted[i].query);
    assert_is(request.host, accepted[i].host);
    ck_assert(request.keep_alive == accepted[i].keep_alive);
    ck_assert(request.waits == accepted[i].waits);
    ck_assert_uint_eq(request.size, strlen(accepted[i].text));
    ck_assert_uint_eq(request.length, strlen(accepted[i].content));
    struct bytes content = http_content(bytes_of(accepted[i].text), &request, room);
    assert_is(content, accepted[i].content);
}

START_TEST(requests_are_read_as_they_were_meant)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
        ck_assert_int_eq(read_string(accepted[i].text), HTTP_WHOLE);
        expect_accepted(i);
    }
}
END_TEST

/* Byte by byte, with and without the memory of what was looked at; what follows is another one's.
 */
START_TEST(requests_may_come_in_any_pieces)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
        struct frame_progress progress = {0};
        size_t size = strlen(accepted[i].text);
        char text[1024];

        memcpy(text, accepted[i].text, size);
        memcpy(text + size, "GET /", 5);
        for (size_t part = 0; part < size; part++) {
            ck_assert_msg(read_bytes((struct bytes){text, part}) == HTTP_PARTIAL,
                          "row %zu at %zu: %s", i, part, request.why);
            ck_assert_uint_gt(request.size, part);
            ck_assert_uint_le(request.size, size);
            ck_assert_int_eq(
                http_next(guarded((struct bytes){text, part}), &limits, &progress, &request),
                HTTP_PARTIAL);
            ck_assert_uint_gt(request.size, part);
            /* However often it is asked, once the head is there. */
            if (request.head_size > 0)
                ck_assert(request.waits == accepted[i].waits);
        }
        ck_assert_int_eq(http_next((struct bytes){text, size + 5}, &limits, &progress, &request),
                         HTTP_WHOLE);
        expect_accepted(i);
    }
}
END_TEST

/* Every byte of the content, in one go and with gaps of every size; and the one behind it. */
START_TEST(bytes_of_the_content_are_found_in_the_request)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
        struct bytes input = bytes_of(accepted[i].text);
        size_t size = strlen(accepted[i].content);
        ck_assert_int_eq(read_bytes(input), HTTP_WHOLE);
        for (size_t step = 1; step <= size; step++) {
            struct http_walk walk = {0};
            for (size_t offset = 0; offset < size; offset += step) {
                size_t place = http_content_place(input, &request, offset, &walk);
                ck_assert_uint_lt(place, input.size);
                ck_assert_int_eq(input.data[place], accepted[i].content[offset]);
                ck_assert_uint_eq(http_content_place(input, &request, offset, &walk), place);
                ck_assert_uint_gt(place, request.head_size + offset - 1);
            }
        }
        struct http_walk walk = {0};
        if (request.chunked)
            ck_assert_uint_eq(http_content_place(input, &request, size, &walk), input.size - 1);
    }
}
END_TEST

#define GET(fields)  "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define CHUNKS(text) "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" text

/* Most of them are ways to make two servers read one connection differently. */
static const struct {
    const char *text;
    enum http_status status;
    const char *why; /* a part of it */
} refused[] = {
    {"GET / HTTP/1.1\nHost: a\n\n", 400, "CRLF"},
    {"\nGET / HTTP/1.1\r\n", 400, "CRLF"},
    {"\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "CRLF"},
    {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "control"},
    {"GET /\r\n\r\n", 400, "first line"},
    {"GET / \r\n\r\n", 400, "first line"},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", 400, "percent"},
    {"GET  HTTP/1.1\r\n" HOST "\r\n", 400, "no path"},
    {"GET  HTTP/1.1 HTTP/1.1\r\n" HOST "\r\n", 400, "percent"},
    {" GET / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"G(T / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "first line"},
    {"GET / http/1.1\r\n" HOST "\r\n", 400, "HTTP/1.1"},
    {"GET / HTTP/1.11\r\n" HOST "\r\n", 400, "first line"},
    {"GET / HTTP/1.x\r\n" HOST "\r\n", 400, "HTTP/1.1"},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", 505, "HTTP/1.1"},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", 505, "HTTP/1.1"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, "HTTP/1.1"},
    {"GET x HTTP/1.1\r\n" HOST "\r\n", 400, "path"},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, "path"},
    {"GET https://a/ HTTP/1.1\r\n" HOST "\r\n", 400, "path"},
    {"GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", 400, "target's host"},
    {"CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 400, "path"},
    {"GET /# HTTP/1.1\r\n" HOST "\r\n", 400, "percent"},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400, "percent"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "needs a Host"},
    {GET("Host: a\r\n"), 400, "twice"},
    {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, "twice"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "Host"},
    {GET("X : y\r\n"), 400, "Name: value"},
    {GET(" X: y\r\n"), 400, "folded"},
    {GET("X: y\r\n z\r\n"), 400, "folded"},
    {GET("X: y\r\n\tz\r\n"), 400, "folded"},
    {GET("Transfer-Encoding:\r\n chunked\r\n"), 400, "chunked"},
    {GET(": y\r\n"), 400, "Name: value"},
    {GET("X\r\n"), 400, "Name: value"},
    {GET("X(: y\r\n"), 400, "Name: value"},
    {GET("X\xc3\xa4: y\r\n"), 400, "Name: value"},
    {GET("X: \x01\r\n"), 400, "control"},
    {GET("X: \x7f\r\n"), 400, "control"},
    {GET("Content-Length: 1\r\nContent-Length: 1\r\n") "a", 400, "twice"},
    {GET("Content-Length: 1\r\nContent-Length: 2\r\n") "ab", 400, "twice"},
    {GET("Content-Length: 1, 1\r\n") "a", 400, "no number"},
    {GET("Content-Length: +1\r\n") "a", 400, "no number"},
    {GET("Content-Length: -1\r\n") "a", 400, "no number"},
    {GET("Content-Length: 0x1\r\n") "a", 400, "no number"},
    {GET("Content-Length: 1\t\r\n") "a", 400, "no number"},
    {GET("Content-Length: 1 \t \r\n") "a", 400, "no number"},
    {GET("Content-Length: 1 \v\r\n") "a", 400, "control"},
    {GET("Content-Length:\r\n"), 400, "no number"},
    {GET("Content-Length: 65\r\n"), 413, "larger"},
    {GET("Content-Length: 18446744073709551617\r\n") "a", 413, "larger"},
    {GET("Content-Length: 99999999999999999999999999\r\n"), 413, "larger"},
    {GET("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n", 400, "exclude"},
    {GET("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") "0\r\n\r\n", 400, "exclude"},
    {GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n", 400, "twice"},
    {GET("Transfer-Encoding: xchunked\r\n") "0\r\n\r\n", 400, "chunked"},
    {GET("Transfer-Encoding: chunked, identity\r\n") "0\r\n\r\n", 400, "chunked"},
    {GET("Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n", 400, "chunked"},
    {GET("Transfer-Encoding: chunked;x\r\n") "0\r\n\r\n", 400, "chunked"},
    {GET("Transfer-Encoding: \"chunked\"\r\n") "0\r\n\r\n", 400, "chunked"},
    {GET("Transfer-Encoding:\r\n"), 400, "chunked"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0"},
    {GET("Authorization: a\r\nAuthorization: b\r\n"), 400, "twice"},
    {GET("Origin: a\r\nOrigin: b\r\n"), 400, "twice"},
    {GET("Expect: x\r\n"), 417, "Expect"},
    {CHUNKS("\r\n"), 400, "size"},
    {CHUNKS("g\r\n"), 400, "size"},
    {CHUNKS("-1\r\n"), 400, "size"},
    {CHUNKS("0x1\r\na\r\n0\r\n\r\n"), 400, "size"},
    {CHUNKS("1 \r\na\r\n0\r\n\r\n"), 400, "size"},
    {CHUNKS("1\na\r\n0\r\n\r\n"), 400, "size"},
    {CHUNKS("1;\rx\r\na\r\n0\r\n\r\n"), 400, "size"},
    {CHUNKS("1;x\na\r\n0\r\n\r\n"), 400, "size"},
    {CHUNKS("2\r\na\r\n0\r\n\r\n"), 400, "does not end"},
    {CHUNKS("1\r\nab\r\n0\r\n\r\n"), 400, "does not end"},
    {CHUNKS("1\r\na0\r\n\r\n"), 400, "does not end"},
    {CHUNKS("41\r\n"), 413, "larger"},
    {CHUNKS("1\r\na\r\n40\r\n"), 413, "larger"},
    {CHUNKS("10000000000000001\r\na\r\n0\r\n\r\n"), 413, "larger"},
    {CHUNKS("fffffffffffffffffffffffffffffffff\r\n"), 413, "larger"},
    {CHUNKS("0\r\nX\r\n\r\n"), 400, "Name: value"},
    {CHUNKS("0\r\n X: y\r\n\r\n"), 400, "folded"},
    {CHUNKS("0\r\nX: y\n\r\n"), 400, "trailer"},
    {CHUNKS("0\r\nContent-Length: 1\r\n\r\n"), 400, "belongs"},
    {CHUNKS("0\r\nConnection: close\r\n\r\n"), 400, "belongs"},
};

START_TEST(every_deviation_from_a_request_is_refused)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        enum http_status status = read_string(refused[i].text);

        ck_assert_msg(status == refused[i].status, "row %zu: %d: %s", i, status, refused[i].text);
        ck_assert_msg(strstr(request.why, refused[i].why) != NULL, "row %zu: %s", i, request.why);
    }
}
END_TEST

/* However it comes, it is refused with the same status, at the latest when it is all there. */
START_TEST(a_refused_request_is_refused_in_pieces_too)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct frame_progress progress = {0};
        size_t size = strlen(refused[i].text), part = 0;
        enum http_status status;

        do
            status = http_next(guarded((struct bytes){refused[i].text, part}), &limits, &progress,
                               &request);
        while (status == HTTP_PARTIAL && ++part <= size);
        ck_assert_msg(status == refused[i].status, "row %zu: %d: %s", i, status, refused[i].text);
    }
}
END_TEST

START_TEST(a_nul_is_never_part_of_a_head)
{
    static const char line[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
                      field[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";

    ck_assert_int_eq(read_bytes(BYTES(line)), HTTP_BAD_REQUEST);
    ck_assert_int_eq(read_bytes(BYTES(field)), HTTP_BAD_REQUEST);
}
END_TEST

/* True when the head is accepted with this character at `at`. */
static bool takes(const char *head, size_t at, int c)
{
    char text[256];
    struct bytes input = {text, strlen(head)};

    memcpy(text, head, input.size);
    text[at] = (char)c;
    return read_bytes(input) == HTTP_WHOLE;
}

/* The loops look at several characters at once. */
START_TEST(every_character_is_looked_at_wherever_it_stands)
{
    static const char name[] = "GET / HTTP/1.1\r\nHost: a\r\nabcdefghijklmnopq: x\r\n\r\n",
                      value[] = "GET / HTTP/1.1\r\nHost: a\r\nx: abcdefgh\tijklmnopqrst\r\n\r\n",
                      host[] = "GET / HTTP/1.1\r\nHost: xabcdefghijklmnopqx\r\n\r\n",
                      letters[] = "abcdefghijklmnopq";
    const char *const tokens = "!#$%&'*+-.^_`|~", *const hosts = "!$%&'()*+,-.:;=[]_~";

    for (int c = 0; c < 256; c++) {
        bool alike = isalnum(c) && c < 0x80;
        for (size_t i = 0; i < sizeof(letters) - 1; i++) {
            size_t in_name = (size_t)(strstr(name, letters) - name) + i,
                   in_value = (size_t)(strstr(value, "abc") - value) + i,
                   in_host = (size_t)(strstr(host, letters) - host) + i;
            bool token = alike || (c != '\0' && strchr(tokens, c) != NULL);
            if (c != ':' || i == 0) /* elsewhere it ends the name */
                ck_assert_msg(takes(name, in_name, c) == token, "%#x at %zu of a name", c, i);
            ck_assert_msg(takes(value, in_value, c) == ((c >= 0x20 && c != 0x7f) || c == '\t'),
                          "%#x at %zu of a value", c, i);
            ck_assert_msg(takes(host, in_host, c) ==
                              (alike || (c != '\0' && strchr(hosts, c) != NULL)),
                          "%#x at %zu of a host", c, i);
        }
    }
}
END_TEST

START_TEST(heads_and_trailers_are_as_large_as_they_may_be)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ", end[] = "\r\n\r\n";
    char text[2048];

    for (size_t size = limits.head - 1; size <= limits.head + 1; size++) {
        memset(text, 'x', sizeof(text));
        memcpy(text, start, sizeof(start) - 1);
        memcpy(text + size - 4, end, 4);
        ck_assert_int_eq(read_bytes((struct bytes){text, size}),
                         size <= limits.head ? HTTP_WHOLE : HTTP_HEAD_TOO_LARGE);
    }
    memset(text, 'x', sizeof(text));
    ck_assert_int_eq(read_bytes((struct bytes){text, limits.head - 1}), HTTP_PARTIAL);
    ck_assert_int_eq(read_bytes((struct bytes){text, limits.head}), HTTP_URI_TOO_LONG);

    static const char chunks[] = CHUNKS("0\r\nX: ");
    memcpy(text, chunks, sizeof(chunks) - 1);
    size_t trailer = sizeof(chunks) - 1 - 3; /* where it begins */
    memcpy(text + trailer + limits.head - 4, end, 4);
    ck_assert_int_eq(read_bytes((struct bytes){text, trailer + limits.head}), HTTP_WHOLE);
    memset(text + trailer + limits.head - 4, 'x', 4);
    memcpy(text + trailer + limits.head - 3, end, 4);
    ck_assert_int_eq(read_bytes((struct bytes){text, trailer + limits.head + 1}), HTTP_BAD_REQUEST);
}
END_TEST

START_TEST(lines_of_chunks_are_bounded)
{
    static const char start[] = CHUNKS("0;");
    char text[1024];

    memset(text, 'x', sizeof(text));
    memcpy(text, start, sizeof(start) - 1);
    size_t line = sizeof(start) - 1 - 2;
    ck_assert_int_eq(read_bytes((struct bytes){text, line + HTTP_CHUNK_LINE_MAX - 1}),
                     HTTP_PARTIAL);
    ck_assert_int_eq(read_bytes((struct bytes){text, line + HTTP_CHUNK_LINE_MAX}),
                     HTTP_BAD_REQUEST);
}
END_TEST

START_TEST(fields_and_lists_are_taken_apart)
{
    struct bytes name, value, list = BYTES(" a,, \t,b c ,"), fields;

    ck_assert_int_eq(read_string(GET("X-One:  1 \r\nx-two:2\r\n")), HTTP_WHOLE);
    assert_is(http_find(request.fields, "x-one"), "1");
    assert_is(http_find(request.fields, "x-two"), "2");
    assert_is(http_find(request.fields, "x-three"), NULL);
    assert_is(http_find((struct bytes){NULL, 0}, "x-one"), NULL); /* of no HTTP at all */
    assert_is(request.origin, NULL);
    assert_is(request.type, NULL);
    fields = request.fields;
    ck_assert(http_field(&fields, &name, &value));
    assert_is(name, "Host");
    assert_is(value, "a");
    ck_assert(http_field(&fields, &name, &value) && http_field(&fields, &name, &value));
    ck_assert(!http_field(&fields, &name, &value));

    ck_assert_int_eq(read_string(GET("ORIGIN: null\r\ncontent-TYPE: a/b;c \r\nE:\r\n")),
                     HTTP_WHOLE);
    assert_is(request.origin, "null");
    assert_is(request.type, "a/b;c");
    assert_is(http_find(request.fields, "e"), "");

    ck_assert(http_element(&list, &value));
    assert_is(value, "a");
    ck_assert(http_element(&list, &value));
    assert_is(value, "b c");
    ck_assert(!http_element(&list, &value));
    ck_assert(http_is(BYTES("Keep-ALIVE"), "keep-alive"));
    ck_assert(!http_is(BYTES("keep"), "keep-alive") &&
              !http_is(BYTES("keep-alive2"), "keep-alive"));
    ck_assert(!http_is(BYTES("[eep"), "{eep"));
}
END_TEST

UNIT_MAIN("http", requests_are_read_as_they_were_meant, requests_may_come_in_any_pieces,
          every_deviation_from_a_request_is_refused, a_refused_request_is_refused_in_pieces_too,
          a_nul_is_never_part_of_a_head, every_character_is_looked_at_wherever_it_stands,
          heads_and_trailers_are_as_large_as_they_may_be, lines_of_chunks_are_bounded,
          bytes_of_the_content_are_found_in_the_request, fields_and_lists_are_taken_apart)
