/* What reading a request of JSON-RPC 2.0 promises: see core/wire/envelope.h. */
#include "unit.h"

#include "guarded.h"
#include "json_texts.h"
#include "wire/envelope.h"

static const struct json_limits wide = {JSON_DEPTH_MAX, UINT32_MAX};
static struct envelope envelope;
static struct json_error error;

static enum envelope_status read_string(const char *body)
{
    memset(&envelope, 0xaa, sizeof(envelope)); /* nothing may be left as it was */
    error = (struct json_error){SIZE_MAX, NULL};
    return envelope_read(guarded(bytes_of(body)), &wide, &envelope, &error);
}

static enum envelope_status read_element(const char *body)
{
    memset(&envelope, 0xaa, sizeof(envelope));
    error = (struct json_error){SIZE_MAX, NULL};
    return envelope_read_element(guarded(bytes_of(body)), &wide, &envelope, &error);
}

/* The span must be `text`; NULL stands for one that is absent. */
static void assert_is(struct bytes span, const char *text)
{
    bool is = text == NULL ? span.data == NULL : bytes_equal(span, bytes_of(text));

    ck_assert_msg(is && (text == NULL) == (span.data == NULL), "'%.*s' instead of '%s'",
                  (int)span.size, span.data == NULL ? "" : span.data,
                  text == NULL ? "nothing" : text);
}

#define V2 "\"jsonrpc\":\"2.0\""

static const struct {
    const char *body, *method, *params, *id;
} requests[] = {
    /* section 7 of the specification */
    {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": [42, 23], \"id\": 1}",
     "subtract", "[42, 23]", "1"},
    {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": {\"subtrahend\": 23, "
     "\"minuend\": 42}, \"id\": 3}",
     "subtract", "{\"subtrahend\": 23, \"minuend\": 42}", "3"},
    {"{\"jsonrpc\": \"2.0\", \"method\": \"update\", \"params\": [1,2,3,4,5]}", "update",
     "[1,2,3,4,5]", NULL},
    {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar\"}", "foobar", "null", NULL},
    {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar\", \"id\": \"1\"}", "foobar", "null", "\"1\""},
    /* in any order, with white space and escapes */
    {"{\"id\":7,\"params\":{},\"method\":\"x\"," V2 "}", "x", "{}", "7"},
    {" {\t\"method\" :\"x\" ,\n\"id\":null,\"jsonrpc\" : \"2.0\" } ", "x", "null", "null"},
    {"{\"json\\u0072pc\":\"2\\u002e0\",\"m\\u0065thod\":\"p\\u0069ng\",\"\\u0069d\":1}", "ping",
     "null", "1"},
    /* Pillion's own members mean nothing */
    {"{" V2 ",\"in\":1,\"method\":\"x\",\"in\":\"y\"}", "x", "null", NULL},
    /* ours at other depths */
    {"{" V2 ",\"method\":\"x\",\"params\":{\"jsonrpc\":1,\"method\":2,\"method\":3,\"id\":{}}}",
     "x", "{\"jsonrpc\":1,\"method\":2,\"method\":3,\"id\":{}}", NULL},
    {"{" V2 ",\"method\":\"\"}", "", "null", NULL},
};

START_TEST(jsonrpc_members_are_found_and_kept_byte_for_byte)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        ck_assert_msg(read_string(requests[i].body) == ENVELOPE_OK, "%s is refused at %zu: %s",
                      requests[i].body, error.offset, error.reason);
        assert_is(envelope.in, requests[i].method);
        assert_is(envelope.params, requests[i].params);
        assert_is(envelope.id, requests[i].id);
        ck_assert_int_eq(envelope.format, ENVELOPE_JSONRPC);
        ck_assert(envelope.notifies == (requests[i].id == NULL));
        ck_assert_int_eq(read_element(requests[i].body), ENVELOPE_OK);
        assert_is(envelope.in, requests[i].method);
        ck_assert(envelope.notifies == (requests[i].id == NULL));
    }
}
END_TEST

#define VERSION "\"jsonrpc\" is not \"2.0\""
#define MISSING "the request has no member \"method\""

static const struct {
    const char *body;
    size_t offset;
    const char *reason, *method, *id;
} faults[] = {
    /* section 7 of the specification */
    {"{\"jsonrpc\": \"2.0\", \"method\": 1, \"params\": \"bar\"}", 29, "\"method\" is not a string",
     NULL, NULL},
    {"{\"jsonrpc\":\"1.0\",\"method\":\"x\",\"id\":1}", 11, VERSION, "x", "1"},
    {"{\"jsonrpc\":2.0,\"method\":\"x\",\"id\":1}", 11, VERSION, "x", "1"},
    {"{\"jsonrpc\":\"2.0 \",\"method\":\"x\"}", 11, VERSION, "x", NULL},
    {"{\"jsonrpc\":\"2.0.0\",\"method\":\"x\"}", 11, VERSION, "x", NULL},
    {"{\"jsonrpc\":\"\",\"method\":\"x\"}", 11, VERSION, "x", NULL},
    {"{\"jsonrpc\":null,\"in\":\"x\",\"id\":1}", 11, VERSION, NULL, "1"},
    {"{" V2 "}", 0, MISSING, NULL, NULL},
    {" {" V2 ",\"in\":\"x\",\"id\":\"a\"}", 1, MISSING, NULL, "\"a\""},
    {"{" V2 ",\"method\":\"\\ud800\",\"id\":2}", 26,
     "the method's name in \"method\" holds half of a surrogate pair", NULL, "2"},
    {"{" V2 ",\"method\":\"a\\u0000\",\"id\":2}", 26,
     "the method's name in \"method\" holds \\u0000", NULL, "2"},
    {"{" V2 ",\"method\":\"x\",\"params\":\"bar\",\"id\":1}", 39,
     "\"params\" is neither an object nor an array", "x", "1"},
    {"{" V2 ",\"method\":\"x\",\"params\":null}", 39,
     "\"params\" is neither an object nor an array", "x", NULL},
    {"{" V2 ",\"method\":\"x\",\"params\":7}", 39, "\"params\" is neither an object nor an array",
     "x", NULL},
    {"{" V2 ",\"method\":\"x\",\"id\":{}}", 35, "\"id\" is not a string, a number or null", "x",
     NULL},
    {"{" V2 ",\"method\":\"x\",\"id\":1,\"id\":2}", 37, "the request has the member \"id\" twice",
     "x", NULL},
    {"{" V2 ",\"method\":\"x\",\"method\":\"x\",\"id\":2}", 30,
     "the request has the member \"method\" twice", NULL, "2"},
    {"{" V2 ",\"method\":\"x\"," V2 ",\"id\":2}", 30,
     "the request has the member \"jsonrpc\" twice", "x", "2"},
    {"{" V2 ",\"method\":\"x\",\"id\":1,\"id\":2," V2 "}", 37,
     "the request has the member \"id\" twice", "x", NULL},
    {"[]", 0, "the batch has no elements", NULL, NULL},
    {" [ \n] ", 1, "the batch has no elements", NULL, NULL},
};

/* An invalid request is no notification: it is answered, with the id null. */
START_TEST(jsonrpc_faults_are_told_in_its_format)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        ck_assert_msg(read_string(faults[i].body) == ENVELOPE_INVALID, "%s", faults[i].body);
        ck_assert_msg(error.offset == faults[i].offset, "%s: %zu: %s", faults[i].body, error.offset,
                      error.reason);
        ck_assert_str_eq(error.reason, faults[i].reason);
        assert_is(envelope.in, faults[i].method);
        assert_is(envelope.id, faults[i].id);
        assert_is(envelope.params, NULL);
        ck_assert_int_eq(envelope.format, ENVELOPE_JSONRPC);
        ck_assert(!envelope.notifies);
    }
}
END_TEST

START_TEST(jsonrpc_that_is_not_json_is_known_by_what_stands_before_the_fault)
{
    static const struct {
        const char *body;
        enum envelope_format format;
        const char *id;
    } cases[] = {
        /* section 7 of the specification */
        {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar, \"params\": \"bar\", \"baz]",
         ENVELOPE_JSONRPC, NULL},
        {"[{\"jsonrpc\": \"2.0\", \"method\": \"sum\", \"params\": [1,2,4], \"id\": \"1\"},"
         "{\"jsonrpc\": \"2.0\", \"method\"]",
         ENVELOPE_JSONRPC, NULL},
        {"{" V2 ",\"id\":5,\"method\":x}", ENVELOPE_JSONRPC, "5"},
        {"{\"id\":5,\"method\":x," V2 "}", ENVELOPE_PILLION, "5"},
        {"{\"jsonrpc\":\"2.0}", ENVELOPE_PILLION, NULL},
        {" [", ENVELOPE_JSONRPC, NULL},
        {"", ENVELOPE_PILLION, NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_assert_int_eq(read_string(cases[i].body), ENVELOPE_NOT_JSON);
        ck_assert_msg(envelope.format == cases[i].format, "%s", cases[i].body);
        ck_assert(!envelope.notifies);
        assert_is(envelope.id, cases[i].id);
    }
}
END_TEST

START_TEST(jsonrpc_method_name_limit_is_inclusive)
{
    for (size_t size = METHOD_NAME_MAX - 1; size <= METHOD_NAME_MAX + 1; size++) {
        struct text body = {0};
        text_append_string(&body, "{" V2 ",\"method\":\"");
        for (size_t i = 0; i < size; i++)
            text_append_char(&body, 'n');
        text_append_string(&body, "\"}");
        enum envelope_status expected = size > METHOD_NAME_MAX ? ENVELOPE_INVALID : ENVELOPE_OK;
        ck_assert_int_eq(read_string(body.data), expected);
        if (expected == ENVELOPE_INVALID)
            ck_assert_str_eq(error.reason, "the method's name in \"method\" is too long");
        text_free(&body);
    }
}
END_TEST

/* ---- Batches ---- */

START_TEST(jsonrpc_batches_are_walked_element_by_element)
{
    static const struct {
        const char *body;
        const char *elements[8];
    } cases[] = {
        {"[1]", {"1"}},
        {"[1,2,3]", {"1", "2", "3"}},
        {" [ {\"a\" : [1,{}]} ,\n\"x,]\"\t, [ [] ] ,null] ",
         {"{\"a\" : [1,{}]}", "\"x,]\"", "[ [] ]", "null"}},
        {"[[],{},[]]", {"[]", "{}", "[]"}},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes body = guarded(bytes_of(cases[i].body)), element;
        size_t at = 0, count = 0;
        ck_assert_int_eq(read_string(cases[i].body), ENVELOPE_BATCH);
        ck_assert_int_eq(envelope.format, ENVELOPE_JSONRPC);
        ck_assert(!envelope.notifies);
        for (; envelope_next(body, &at, &element); count++)
            assert_is(element, cases[i].elements[count]);
        ck_assert_ptr_null(cases[i].elements[count]);
        ck_assert(!envelope_next(body, &at, &element));
    }
}
END_TEST

START_TEST(jsonrpc_limits_count_a_batch_as_a_whole)
{
    const struct bytes body = BYTES("[{" V2 ",\"method\":\"x\"},{" V2 ",\"method\":\"x\"}]");

    ck_assert_int_eq(envelope_read(body, &(struct json_limits){2, 7}, &envelope, &error),
                     ENVELOPE_BATCH);
    ck_assert_int_eq(envelope_read(body, &(struct json_limits){2, 6}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
    ck_assert_int_eq(envelope.format, ENVELOPE_JSONRPC);
    ck_assert_int_eq(envelope_read(body, &(struct json_limits){1, 7}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
}
END_TEST

/* Whatever stands in a batch is answered in the batch's format. */
START_TEST(jsonrpc_elements_are_never_of_another_format)
{
    static const char *const others[] = {"1",
                                         "[1]",
                                         "[]",
                                         "\"x\"",
                                         "{\"foo\": \"boo\"}",
                                         "{\"in\":\"ping\"}",
                                         "{\"in\":\"ping\",\"id\":3}"};

    for (size_t i = 0; i < COUNT(others); i++) {
        ck_assert_int_eq(read_element(others[i]), ENVELOPE_INVALID);
        ck_assert_int_eq(envelope.format, ENVELOPE_JSONRPC);
        ck_assert(!envelope.notifies);
        ck_assert_ptr_nonnull(error.reason);
        assert_is(envelope.in, NULL);
        assert_is(envelope.params, NULL);
        assert_is(envelope.id, strstr(others[i], "\"id\"") == NULL ? NULL : "3");
    }
}
END_TEST

/* Every valid text as an element, and with every invalid one the batch is none. */
START_TEST(jsonrpc_batches_hold_any_valid_text)
{
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        struct text body = {0};
        struct bytes element, trimmed = valid_texts[i];
        size_t at = 0;
        text_append_string(&body, "[[],");
        text_append(&body, trimmed);
        text_append_string(&body, "]");
        ck_assert_int_eq(read_string(text_string(&body)), ENVELOPE_BATCH);
        struct bytes batch = {body.data, body.size};
        ck_assert(envelope_next(batch, &at, &element) && bytes_equal(element, BYTES("[]")));
        ck_assert(envelope_next(batch, &at, &element));
        ck_assert(json_check(element, &wide, &error));
        ck_assert(memmem(trimmed.data, trimmed.size, element.data, element.size) != NULL);
        ck_assert(!envelope_next(batch, &at, &element));
        text_free(&body);
    }
}
END_TEST

UNIT_MAIN("envelope_jsonrpc", jsonrpc_members_are_found_and_kept_byte_for_byte,
          jsonrpc_faults_are_told_in_its_format,
          jsonrpc_that_is_not_json_is_known_by_what_stands_before_the_fault,
          jsonrpc_method_name_limit_is_inclusive, jsonrpc_batches_are_walked_element_by_element,
          jsonrpc_limits_count_a_batch_as_a_whole, jsonrpc_elements_are_never_of_another_format,
          jsonrpc_batches_hold_any_valid_text)
