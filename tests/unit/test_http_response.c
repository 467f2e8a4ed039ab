/* Responses of HTTP, as a client reads them. */
#include "wire/http_response.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "unit.h"
#include "wire/http.h"

static const struct frame_limits limits = {.body = 100, .head = 200};

static enum frame_status next(const char *text, struct http_response *response, struct frame *frame)
{
    return http_response_next(bytes_of(text), &limits, response, frame);
}

START_TEST(a_response_is_whole_when_its_last_byte_is_there)
{
    static const struct {
        const char *text, *content;
        unsigned status;
        bool keep_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", "null", 200, true},
        {"HTTP/1.1 404\r\ncontent-length:\t2 \r\nConnection: x, Close\r\n\r\n{}", "{}", 404, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1", "1", 200, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1", "1", 200, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n003;x=y\r\n,2]\r\n"
         "0\r\nTrailer: x\r\n\r\n",
         "[1,2]", 200, true},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", "",
         200, false},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", 204, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n"
         "Content-Length: 1\r\n\r\n5",
         "5", 200, true},
    };
    struct http_response response;
    struct frame frame;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t whole = strlen(cases[i].text);
        for (size_t size = 0; size < whole; size++) {
            struct bytes part = {cases[i].text, size};
            ck_assert_int_eq(http_response_next(part, &limits, &response, &frame), FRAME_PARTIAL);
            ck_assert_uint_eq(frame.body.size, 0);
        }
        char *more = must_alloc(whole + 2);
        memcpy(more, cases[i].text, whole);
        memcpy(more + whole, "H", 2);
        ck_assert_int_eq(next(more, &response, &frame), FRAME_WHOLE);
        if (response.chunked)
            frame.body.size =
                http_chunks_copy(frame.body, more + (frame.body.data - (const char *)more));
        ck_assert(bytes_equal(frame.body, bytes_of(cases[i].content)));
        ck_assert_uint_eq(frame.size, whole);
        ck_assert_uint_eq(response.status, cases[i].status);
        ck_assert(response.keep_alive == cases[i].keep_alive);
        free(more);
    }
}
END_TEST

START_TEST(what_is_not_read_is_refused)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"HTTP/2 200\r\n\r\n", "first line"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "first line"},
        {"HTTP/1.2 200 OK\r\n\r\n", "first line"},
        {"HTTP/1.1 20\r\n\r\n", "first line"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "first line"},
        {"HTTP/1.1 OK\r\n\r\n", "first line"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "no \"Name: value\""},
        {"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "no \"Name: value\""},
        {"HTTP/1.1 200 OK\r\n\r\n", "no Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1", "twice"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n1", "no number"},
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n1", "no number"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         "\"chunked\" only"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "\"chunked\" only"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "exclude"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "begin with its size"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "where its size says"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", "larger"},
    };
    struct http_response response;
    struct frame frame;
    char head[300];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ck_assert_int_eq(next(cases[i].text, &response, &frame), FRAME_REFUSED);
        ck_assert_msg(strstr(frame.why, cases[i].why) != NULL, "%s: %s", cases[i].text, frame.why);
    }
    memset(head, 'x', sizeof(head) - 1);
    head[sizeof(head) - 1] = '\0';
    memcpy(head, "HTTP/1.1 200 OK\r\nA: ", 20);
    ck_assert_int_eq(next(head, &response, &frame), FRAME_REFUSED);
    ck_assert_int_eq(next("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", &response, &frame),
                     FRAME_TOO_LARGE);
    ck_assert_uint_eq(frame.size, 101);
    ck_assert_int_eq(next("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                          &response, &frame),
                     FRAME_TOO_LARGE);
}
END_TEST

UNIT_MAIN("http_response", a_response_is_whole_when_its_last_byte_is_there,
          what_is_not_read_is_refused)
