/* Results that are written as they go: what the client gets, and what comes of mistakes. See
 * core/rpc/result.h. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "rpc/result.h"
#include "wire/frame.h"
#include "wire/http_reply.h"

static struct pool pool;
static struct pillion_request request;
static char sink[8u << 20];

static char *sink_reserve(struct pillion_request *req, size_t size)
{
    (void)req;
    must(size <= sizeof(sink));
    return sink;
}

static struct pillion_request *fresh(void)
{
    static struct pillion_instance instance = {.name = "toy", .version = "1"};
    static struct method method = {.name = BYTES("toy"), .instance = &instance, .own_name = "toy"};

    pool_reset(&pool);
    memset(sink, 0, 256);
    request = (struct pillion_request){
        .method = &method,
        .params = BYTES("null"),
        .pool = &pool,
        .reserve = sink_reserve,
        .max_reply = sizeof(sink),
    };
    return &request;
}

/* The reply is valid JSON, and the result of a reply named `out` is this. */
static void replied(const char *out, const char *result)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;
    char expected[4096];

    ck_assert(request.answered && request.result == NULL);
    struct bytes reply = {sink + FRAME_HEADER_SIZE, request.size - FRAME_HEADER_SIZE};
    ck_assert(json_check(reply, &limits, &error));
    int size = snprintf(expected, sizeof(expected), "{\"out\":\"%s\",\"result\":%s}", out, result);
    ck_assert_uint_eq(reply.size, (size_t)size);
    ck_assert_mem_eq(reply.data, expected, (size_t)size);
    pool_reset(&pool);
}

/* The client is told that the module has made this mistake. */
static void failed_by(const char *mistake)
{
    ck_assert(request.answered && request.failed);
    ck_assert_str_eq(request.code, PILLION_INTERNAL_ERROR);
    ck_assert_msg(strstr(sink + FRAME_HEADER_SIZE, mistake) != NULL, "%s",
                  sink + FRAME_HEADER_SIZE);
    pool_reset(&pool);
}

START_TEST(objects_arrays_and_values_are_written_as_they_come)
{
    struct pillion_request *req = fresh();

    result_begin(req, "order", false);
    result_put_text(req, "name", BYTES("A\"d\\a\n\x01 gr\xc3\xb6\xc3\x9f\xff"));
    result_begin(req, "empty", false);
    result_end(req);
    result_begin(req, "sizes", true);
    result_put_integer(req, NULL, INT64_MIN);
    result_put_integer(req, NULL, 0);
    result_put_integer(req, NULL, INT64_MAX);
    result_begin(req, NULL, true);
    result_end(req);
    result_begin(req, NULL, false);
    result_put_number(req, "x", 0.1);
    result_end(req);
    result_end(req);
    result_put_json(req, "q\"", BYTES("[1, 2]"));
    ck_assert(!req->answered);
    result_end(req);
    replied("order",
            "{\"name\":\"A\\\"d\\\\a\\n\\u0001 gr\xc3\xb6\xc3\x9f\xef\xbf\xbd\",\"empty\":{},"
            "\"sizes\":[-9223372036854775808,0,9223372036854775807,[],{\"x\":0.1}],"
            "\"q\\\"\":[1, 2]}");
}
END_TEST

START_TEST(what_is_not_there_is_null)
{
    struct pillion_request *req = fresh();

    result_begin(req, "list", true);
    result_put_text(req, NULL, (struct bytes){NULL, 0});
    result_put_base64(req, NULL, (struct bytes){NULL, 0});
    result_end(req);
    replied("list", "[null,null]");
}
END_TEST

START_TEST(a_result_may_be_an_array)
{
    struct pillion_request *req = fresh();

    result_begin(req, "list", true);
    result_end(req);
    replied("list", "[]");
    req = fresh();
    result_begin(req, "list", true);
    result_put_text(req, NULL, BYTES(""));
    result_put_base64(req, NULL, BYTES(""));
    result_end(req);
    replied("list", "[\"\",\"\"]");
}
END_TEST

START_TEST(numbers_read_back_the_same)
{
    struct pillion_request *req = fresh();
    static const double values[] = {1e6, -0.5, 1e15, 123456789012345678.0, 1.0 / 3, 5e-324, 1e300};

    result_begin(req, "n", true);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        result_put_number(req, NULL, values[i]);
    result_put_number(req, NULL, (double)INFINITY);
    result_put_number(req, NULL, (double)NAN);
    result_end(req);
    const char *p = strchr(sink + FRAME_HEADER_SIZE, '[');
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char *end;
        ck_assert(strtod(p + 1, &end) == values[i]);
        p = end;
    }
    ck_assert_int_eq(strncmp(p, ",null,null]}", 12), 0);
    ck_assert_ptr_nonnull(strstr(sink + FRAME_HEADER_SIZE, "[1000000,-0.5,1e15,"));
    pool_reset(&pool);
}
END_TEST

START_TEST(bytes_are_base64)
{
    static const struct {
        const char *data, *text;
        size_t size;
    } cases[] = {{"f", "Zg==", 1},
                 {"fo", "Zm8=", 2},
                 {"foo", "Zm9v", 3},
                 {"foob", "Zm9vYg==", 4},
                 {"\xfb\xff\xbf\0", "+/+/AA==", 4}};
    char expected[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct pillion_request *req = fresh();
        result_begin(req, "b", false);
        result_put_base64(req, "data", (struct bytes){cases[i].data, cases[i].size});
        result_end(req);
        snprintf(expected, sizeof(expected), "{\"data\":\"%s\"}", cases[i].text);
        replied("b", expected);
    }
}
END_TEST

/* Texts of every size around those at which the text grows. */
START_TEST(long_results_are_whole)
{
    static char text[5000];

    memset(text, 'x', sizeof(text));
    text[100] = '"';
    for (size_t size = 0; size < sizeof(text); size += size < 900 || size > 1100 ? 53 : 1) {
        struct pillion_request *req = fresh();
        result_begin(req, "r", true);
        for (int i = 0; i < 5; i++)
            result_put_text(req, NULL, (struct bytes){text, size});
        result_end(req);
        const char *p = sink + FRAME_HEADER_SIZE + strlen("{\"out\":\"r\",\"result\":[");
        for (int i = 0; i < 5; i++) {
            size_t escaped = size > 100 ? size + 1 : size;
            must(*p == '"' && p[escaped + 1] == '"');
            must(size <= 100 || (p[101] == '\\' && p[102] == '"'));
            p += escaped + 3;
        }
        must(p[-1] == ']' && p[0] == '}' && req->size == (size_t)(p + 1 - sink));
    }
    pool_reset(&pool);
}
END_TEST

START_TEST(a_million_rows_are_one_result)
{
    struct pillion_request *req = fresh();

    result_begin(req, "rows", true);
    for (int i = 0; i < 1000000; i++)
        result_put_integer(req, NULL, i);
    result_end(req);
    must(req->answered && !req->failed);
    ck_assert_uint_eq(req->size, FRAME_HEADER_SIZE + strlen("{\"out\":\"rows\",\"result\":[]}") +
                                     5888890 + 999999);
    pool_free(&pool);
}
END_TEST

/* And takes no more memory than a reply may have. */
START_TEST(a_result_that_no_reply_holds_is_an_error)
{
    struct pillion_request *req = fresh();

    req->max_reply = 3000;
    result_begin(req, "rows", true);
    for (int i = 0; i < 100000; i++)
        result_put_text(req, NULL, BYTES("0123456789"));
    result_end(req);
    ck_assert_ptr_nonnull(
        strstr(sink + FRAME_HEADER_SIZE, "the reply has 1300001 bytes; at most 3000 can be sent"));
    failed_by("the reply has");
}
END_TEST

START_TEST(mistakes_are_told_at_the_results_end)
{
    struct pillion_request *req = fresh();

    result_begin(req, "a", false);
    result_put_integer(req, NULL, 1);
    result_put_integer(req, "good", 1);
    ck_assert(!req->answered);
    result_end(req);
    failed_by("a member of an object has no name");

    req = fresh();
    result_begin(req, "a", true);
    result_put_integer(req, "name", 1);
    result_end(req);
    failed_by("an element of an array has a name");

    req = fresh();
    result_begin(req, "a", true);
    result_wrong(req, "this is wrong");
    result_wrong(req, "that too");
    result_put_json(req, "none", (struct bytes){NULL, 0}); /* as pillion_put_json is given it */
    result_end(req);
    failed_by("this is wrong");

    req = fresh();
    for (unsigned i = 0; i <= JSON_DEPTH_MAX; i++)
        result_begin(req, i == 0 ? "deep" : NULL, true);
    for (unsigned i = 0; i <= JSON_DEPTH_MAX; i++)
        result_end(req);
    failed_by("more objects and arrays lie in each other");
}
END_TEST

START_TEST(what_is_not_begun_is_neither_written_nor_ended)
{
    struct pillion_request *req = fresh();

    result_put_integer(req, "a", 1);
    result_end(req);
    result_wrong(req, "nothing");
    ck_assert(!req->answered);
    result_begin(req, "a", false);
    result_end(req);
    replied("a", "{}");
}
END_TEST

/* The text goes with the request's memory: under a sanitizer, what is left would be told. */
START_TEST(an_error_may_come_instead_of_the_rest)
{
    struct pillion_request *req = fresh();

    result_begin(req, "a", true);
    for (int i = 0; i < 1000; i++)
        result_put_text(req, NULL, BYTES("0123456789"));
    request_fail(req, "gone", "no more");
    result_put_integer(req, NULL, 1);
    result_end(req); /* is dropped */
    ck_assert_str_eq(req->code, "gone");
    pool_free(&pool);
}
END_TEST

/* A sink with room that grows, and moves each time. */
static char *growing;
static size_t growing_room, moves, given_back;

static char *sink_extend(struct pillion_request *req, size_t used, size_t *size)
{
    char *larger = *size == 0 ? NULL : malloc(growing_room = *size += 100);

    (void)req;
    if (larger != NULL)
        memcpy(larger, growing == NULL ? "" : growing, used);
    else
        given_back++;
    free(growing);
    moves++;
    return growing = larger;
}

static char *sink_settle(struct pillion_request *req, size_t size)
{
    result_over(req);
    must(growing == NULL || size <= growing_room);
    return growing = growing == NULL ? malloc(size) : growing;
}

static struct pillion_request *fresh_growing(uint8_t protocol, uint8_t format)
{
    struct pillion_request *req = fresh();

    req->protocol = protocol;
    req->format = format;
    req->reserve = sink_settle;
    req->extend = sink_extend;
    req->id = BYTES("\"an id\"");
    req->http.date = "Sat, 28 Nov 2026 22:24:01 GMT";
    moves = given_back = 0;
    growing = NULL;
    return req;
}

static void write_rows(struct pillion_request *req)
{
    result_begin(req, "r\xc3\xb6ws\n", true);
    for (int i = 0; i < 5000; i++)
        result_put_integer(req, NULL, i);
}

/* The reply is the one that the same text has when it comes from elsewhere. */
static void same_as_raw(struct pillion_request *req, uint32_t style)
{
    struct bytes grown = {growing, req->size}, result = {NULL, 0};
    size_t size = 2;
    char *text = malloc(5000 * 5);

    for (int i = 0; i < 5000; i++)
        size += (size_t)sprintf(text + size - 1, "%d%c", i, i == 4999 ? ']' : ',');
    text[0] = '[';
    result = (struct bytes){text, size - 1};
    growing = NULL;
    struct pillion_request *raw = fresh_growing(req->protocol, req->format);
    raw->reserve = sink_reserve;
    raw->http.style = style;
    request_reply(raw, "r\xc3\xb6ws\n", result);
    ck_assert_uint_eq(raw->size, grown.size);
    must(memcmp(sink, grown.data, grown.size) == 0);
    free((char *)grown.data);
    free(text);
}

START_TEST(what_is_written_in_the_replys_place_is_the_same_reply)
{
    static const uint8_t formats[] = {ENVELOPE_PILLION, ENVELOPE_JSONRPC, ENVELOPE_BARE,
                                      ENVELOPE_TOOL, ENVELOPE_TOOL_LEGACY};

    for (uint8_t protocol = 0; protocol < PROTOCOLS; protocol++) {
        for (size_t f = 0; f < sizeof(formats); f++) {
            struct pillion_request *req = fresh_growing(protocol, formats[f]);
            bool twice = formats[f] == ENVELOPE_TOOL || formats[f] == ENVELOPE_TOOL_LEGACY;
            write_rows(req);
            must((moves == 0) == twice);
            result_end(req);
            must(req->answered && !req->failed && given_back == 0);
            same_as_raw(req, 0);
        }
    }
}
END_TEST

/* A longer head than was thought: the connection is to end with the reply. */
START_TEST(what_is_written_in_the_replys_place_may_find_too_little_before_it)
{
    struct pillion_request *req = fresh_growing(PROTOCOL_HTTP, ENVELOPE_BARE);

    write_rows(req);
    req->http.style |= HTTP_STYLE_CLOSE;
    result_end(req);
    must(req->answered && !req->failed && given_back == 1);
    same_as_raw(req, HTTP_STYLE_CLOSE);
}
END_TEST

START_TEST(what_is_written_in_the_replys_place_moves_when_its_request_is_deferred)
{
    struct pillion_request *req = fresh_growing(PROTOCOL_FRAME, ENVELOPE_PILLION);

    write_rows(req);
    must(given_back == 0);
    result_keep(req);
    must(given_back == 1);
    size_t before = moves;
    result_put_text(req, NULL, BYTES("more"));
    must(moves == before);
    result_end(req);
    must(req->answered && !req->failed);
    const char end[] = "4999,\"more\"],\"id\":\"an id\"}";
    const size_t size = sizeof(end) - 1;
    must(memcmp(growing + req->size - size, end, size) == 0);
    free(growing);
}
END_TEST

START_TEST(without_memory_the_client_is_told_so)
{
    struct pillion_request *req = fresh();

    pool.limit = 64;
    result_begin(req, "a", true);
    failed_by("no memory to build the reply");
    pool.limit = 0;
}
END_TEST

UNIT_MAIN("result", objects_arrays_and_values_are_written_as_they_come, what_is_not_there_is_null,
          a_result_may_be_an_array, numbers_read_back_the_same, bytes_are_base64,
          long_results_are_whole, a_million_rows_are_one_result,
          a_result_that_no_reply_holds_is_an_error, mistakes_are_told_at_the_results_end,
          what_is_not_begun_is_neither_written_nor_ended, an_error_may_come_instead_of_the_rest,
          what_is_written_in_the_replys_place_is_the_same_reply,
          what_is_written_in_the_replys_place_may_find_too_little_before_it,
          what_is_written_in_the_replys_place_moves_when_its_request_is_deferred,
          without_memory_the_client_is_told_so)
