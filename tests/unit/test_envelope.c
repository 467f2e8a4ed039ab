/* What reading a request promises: see core/wire/envelope.h. JSON-RPC's are in
 * test_envelope_jsonrpc.c. */
#include "unit.h"

#include "guarded.h"
#include "json_texts.h"
#include "wire/envelope.h"

static const struct json_limits wide = {JSON_DEPTH_MAX, UINT32_MAX};
static struct envelope envelope;
static struct json_error error;

static enum envelope_status read_body(struct bytes body)
{
    memset(&envelope, 0xaa, sizeof(envelope)); /* nothing may be left as it was */
    error = (struct json_error){SIZE_MAX, NULL};
    return envelope_read(guarded(body), &wide, &envelope, &error);
}

static enum envelope_status read_string(const char *body)
{
    return read_body(bytes_of(body));
}

/* True when the span is `text`; NULL stands for one that is absent. */
static bool is(struct bytes span, const char *text)
{
    if (text == NULL)
        return span.data == NULL && span.size == 0;
    return span.data != NULL && bytes_equal(span, bytes_of(text));
}

static void assert_is(struct bytes span, const char *text)
{
    ck_assert_msg(is(span, text), "'%.*s' instead of '%s'", (int)span.size,
                  span.data == NULL ? "" : span.data, text == NULL ? "nothing" : text);
}

static const struct {
    const char *body, *in, *params, *id;
} requests[] = {
    {"{\"in\":\"ping\"}", "ping", "null", NULL},
    {"{\"in\": \"ping\", \"params\": null}", "ping", "null", NULL},
    {"{\"in\": \"a.b-c_d\", \"params\": [1, 2]}", "a.b-c_d", "[1, 2]", NULL},
    {"{\"params\":{\"a\":1},\"in\":\"x\"}", "x", "{\"a\":1}", NULL},
    {" \n{\t\"in\" : \"x\" ,\r\n\"params\" : \"y\" , \"id\" : 7 } \n", "x", "\"y\"", "7"},
    /* order */
    {"{\"id\":1,\"in\":\"x\",\"params\":2}", "x", "2", "1"},
    {"{\"id\":1,\"params\":2,\"in\":\"x\"}", "x", "2", "1"},
    {"{\"in\":\"x\",\"id\":1,\"params\":2}", "x", "2", "1"},
    {"{\"params\":2,\"id\":1,\"in\":\"x\"}", "x", "2", "1"},
    /* other members, and ours at other depths */
    {"{\"json\":\"2.0\",\"in\":\"x\",\"out\":[{}],\"a\":1,\"a\":2}", "x", "null", NULL},
    {"{\"in\":\"x\",\"params\":{\"in\":1,\"in\":2,\"id\":{},\"params\":0}}", "x",
     "{\"in\":1,\"in\":2,\"id\":{},\"params\":0}", NULL},
    {"{\"a\":{\"id\":5},\"in\":\"x\",\"b\":[{\"in\":\"y\"}]}", "x", "null", NULL},
    {"{\"In\":1,\"in \":2,\"i\":3,\"IN\":4,\"\":5,\"inn\":6,\"ids\":7,\"param\":8,\"in\":\"x\"}",
     "x", "null", NULL},
    {"{\"in\\u0000\":1,\"in\":\"x\",\"\\\\u0069n\":2}", "x", "null", NULL},
    /* the name of the other format's method, which is any other member here */
    {"{\"method\":1,\"in\":\"x\",\"method\":2}", "x", "null", NULL},
    /* names with escapes */
    {"{\"\\u0069n\":\"x\",\"\\u0070arams\":1,\"i\\u0064\":2}", "x", "1", "2"},
    {"{\"\\u0069\\u006e\":\"x\",\"\\u0070\\u0061\\u0072\\u0061\\u006D\\u0073\":1,"
     "\"\\u0069\\u0064\":2}",
     "x", "1", "2"},
    {"{\"\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00\":1,\"in\":\"x\"}", "x", "null", NULL},
    /* `in` with escapes, and with characters that are not ASCII */
    {"{\"in\":\"\"}", "", "null", NULL},
    {"{\"in\":\"p\\u0069ng\"}", "ping", "null", NULL},
    {"{\"in\":\"\\u0070\\u0069\\u006e\\u0067\"}", "ping", "null", NULL},
    {"{\"in\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", "null", NULL},
    {"{\"in\":\"\\\\u0000\"}", "\\u0000", "null", NULL},
    {"{\"in\":\"\xd0\xb0\\u00e9\\u20aC\\ud83d\\uDE00z\"}",
     "\xd0\xb0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", "null", NULL},
    {"{\"in\":\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\"}",
     "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "null", NULL},
    /* every kind of params, byte for byte, without the white space around it */
    {"{\"in\":\"x\",\"params\": true }", "x", "true", NULL},
    {"{\"in\":\"x\",\"params\":\tfalse\n}", "x", "false", NULL},
    {"{\"in\":\"x\",\"params\":9007199254740993}", "x", "9007199254740993", NULL},
    {"{\"in\":\"x\",\"params\":1e400,\"id\":1E400}", "x", "1e400", "1E400"},
    {"{\"in\":\"x\",\"params\":0.1000000000000000055}", "x", "0.1000000000000000055", NULL},
    {"{\"in\":\"x\",\"params\":-0}", "x", "-0", NULL},
    {"{\"in\":\"x\",\"params\": [ 1 ,\r\n\t{ \"a\" : [ ] } ] ,\"id\":1}", "x",
     "[ 1 ,\r\n\t{ \"a\" : [ ] } ]", "1"},
    {"{\"in\":\"x\",\"params\":\"\\u0000\\ud800\\/\"}", "x", "\"\\u0000\\ud800\\/\"", NULL},
    {"{\"in\":\"x\",\"params\":\"in\"}", "x", "\"in\"", NULL},
    {"{\"in\":\"in\",\"params\":\"params\",\"id\":\"id\"}", "in", "\"params\"", "\"id\""},
    /* every kind of id */
    {"{\"in\":\"x\",\"id\":null}", "x", "null", "null"},
    {"{\"in\":\"x\",\"id\":0}", "x", "null", "0"},
    {"{\"in\":\"x\",\"id\":-1.50e+07}", "x", "null", "-1.50e+07"},
    {"{\"in\":\"x\",\"id\":18446744073709551616}", "x", "null", "18446744073709551616"},
    {"{\"in\":\"x\",\"id\":\"\"}", "x", "null", "\"\""},
    {"{\"in\":\"x\",\"id\":\"a\\u0062\\n\"}", "x", "null", "\"a\\u0062\\n\""},
    {"{\"in\":\"x\",\"id\":\"\\u0000\\udead\"}", "x", "null", "\"\\u0000\\udead\""},
};

START_TEST(envelope_members_are_found_and_kept_byte_for_byte)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        ck_assert_msg(read_string(requests[i].body) == ENVELOPE_OK, "%s is refused at %zu: %s",
                      requests[i].body, error.offset, error.reason);
        assert_is(envelope.in, requests[i].in);
        assert_is(envelope.params, requests[i].params);
        assert_is(envelope.id, requests[i].id);
        ck_assert_int_eq(envelope.format, ENVELOPE_PILLION);
        ck_assert(!envelope.notifies);
    }
}
END_TEST

#define NO_OBJECT  "the request is not an object"
#define NO_IN      "the request has no member \"in\""
#define IN_TYPE    "\"in\" is not a string"
#define IN_TWICE   "the request has the member \"in\" twice"
#define IN_HALF    "the method's name in \"in\" holds half of a surrogate pair"
#define IN_NUL     "the method's name in \"in\" holds \\u0000"
#define IN_LONG    "the method's name in \"in\" is too long"
#define PARAMS_TWO "the request has the member \"params\" twice"
#define ID_TWICE   "the request has the member \"id\" twice"
#define ID_TYPE    "\"id\" is not a string, a number or null"

static const struct {
    const char *body;
    size_t offset;
    const char *reason, *id;
} faults[] = {
    {"null", 0, NO_OBJECT, NULL},
    {"\"in\"", 0, NO_OBJECT, NULL},
    {"\n7", 1, NO_OBJECT, NULL},
    {"true", 0, NO_OBJECT, NULL},
    {"{}", 0, NO_IN, NULL},
    {" { } ", 1, NO_IN, NULL},
    {"{\"id\":1}", 0, NO_IN, "1"},
    {"{\"params\":{\"in\":\"x\"},\"id\":\"a\"}", 0, NO_IN, "\"a\""},
    {"{\"In\":\"x\",\"id\":null}", 0, NO_IN, "null"},
    {"{\"in\":null,\"id\":1}", 6, IN_TYPE, "1"},
    {"{\"id\":1,\"in\":1}", 13, IN_TYPE, "1"},
    {"{\"in\":true}", 6, IN_TYPE, NULL},
    {"{\"in\":[\"x\"]}", 6, IN_TYPE, NULL},
    {"{\"in\":{},\"params\":1,\"id\":-5}", 6, IN_TYPE, "-5"},
    {"{\"in\":\"x\",\"in\":\"x\"}", 10, IN_TWICE, NULL},
    {"{\"in\":\"x\",\"in\":\"y\",\"id\":1}", 10, IN_TWICE, "1"},
    {"{\"id\":1,\"in\":\"x\",\"\\u0069n\":\"x\"}", 17, IN_TWICE, "1"},
    {"{\"\\u0069\\u006e\":\"x\",\"in\":7,\"id\":2}", 20, IN_TWICE, "2"},
    {"{\"in\":1,\"in\":\"x\",\"id\":2}", 8, IN_TWICE, "2"},
    {"{\"in\":\"x\",\"in\":\"x\",\"in\":\"x\",\"id\":2}", 10, IN_TWICE, "2"},
    {"{\"in\":\"\\ud800\",\"id\":1}", 6, IN_HALF, "1"},
    {"{\"in\":\"\\udc00\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\ud800x\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\ud800\\n12345\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\ud800\\u0041\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\ud800\\ud800\\udc00\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\ud800\\udc00\\udbff\"}", 6, IN_HALF, NULL},
    {"{\"in\":\"\\u0000\",\"id\":1}", 6, IN_NUL, "1"},
    {"{\"in\":\"ping\\u0000\"}", 6, IN_NUL, NULL},
    {"{\"params\":1,\"in\":\"x\",\"params\":1,\"id\":3}", 21, PARAMS_TWO, "3"},
    {"{\"in\":\"x\",\"params\":1,\"id\":3,\"p\\u0061rams\":null}", 28, PARAMS_TWO, "3"},
    {"{\"in\":\"x\",\"id\":1,\"id\":1}", 17, ID_TWICE, NULL},
    {"{\"id\":1,\"in\":\"x\",\"i\\u0064\":2}", 17, ID_TWICE, NULL},
    {"{\"id\":{},\"in\":\"x\",\"id\":2}", 18, ID_TWICE, NULL},
    {"{\"id\":1,\"id\":2,\"id\":3}", 8, ID_TWICE, NULL},
    {"{\"in\":\"x\",\"in\":\"x\",\"id\":1,\"id\":1}", 10, IN_TWICE, NULL},
    {"{\"in\":\"x\",\"id\":true}", 15, ID_TYPE, NULL},
    {"{\"in\":\"x\",\"id\":false}", 15, ID_TYPE, NULL},
    {"{\"in\":\"x\",\"id\":[1]}", 15, ID_TYPE, NULL},
    {"{\"id\":{},\"in\":\"x\"}", 6, ID_TYPE, NULL},
};

START_TEST(envelope_faults_are_told_and_keep_the_id)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        ck_assert_msg(read_string(faults[i].body) == ENVELOPE_INVALID, "%s", faults[i].body);
        ck_assert_msg(error.offset == faults[i].offset, "%s: %zu: %s", faults[i].body, error.offset,
                      error.reason);
        ck_assert_str_eq(error.reason, faults[i].reason);
        assert_is(envelope.id, faults[i].id);
        ck_assert_int_eq(envelope.format, ENVELOPE_PILLION);
        ck_assert(!envelope.notifies);
        /* And whose request it is, when it names a method, once. */
        const char *reason = faults[i].reason;
        bool named = strstr(faults[i].body, "\"in\":\"x\"") != NULL &&
                     (strcmp(reason, PARAMS_TWO) == 0 || strcmp(reason, ID_TWICE) == 0 ||
                      strcmp(reason, ID_TYPE) == 0);
        assert_is(envelope.in, named ? "x" : NULL);
        assert_is(envelope.params, NULL);
    }
}
END_TEST

/* Bad JSON outweighs every fault of the request, also behind the last member that matters. The id
 * is kept when it stands before the fault, and is whole. */
START_TEST(envelope_that_is_not_json_keeps_the_id_before_the_fault)
{
    static const struct {
        const char *body;
        size_t offset;
        const char *id;
    } cases[] = {
        {"", 0, NULL},
        {"{\"id\":1,\"in\":\"x\"", 16, "1"},
        {"{\"id\":1,\"in\":\"x\"}x", 17, "1"},
        {"{\"id\":1,\"in\":\"x\",}", 17, "1"},
        {"{\"in\":1,\"id\":1,\"a\":[1,]}", 22, "1"},
        {"{\"id\":1,\"id\":2,\"a\":\"\x80\"}", 20, NULL},
        {"{\"id\":1,\"\\ud800\":2}", 9, "1"},
        {"{\"i\\u0064\":\"a\\n\" ,\"in\":+}", 23, "\"a\\n\""},
        {"{\"id\":null,\"params\":{\"id\":2", 27, "null"},
        {"{\"in\":1,\"in\":2,\"id\":-1.5e3 ?", 27, "-1.5e3"},
        {"{\"id\":12", 8, NULL}, /* perhaps 123 */
        {"{\"id\":12x}", 8, NULL},
        {"{\"id\":\"a", 8, NULL},
        {"{\"id\":{},\"in\":?}", 14, NULL},
        {"{\"id\":[1],\"a\"}", 13, NULL},
        {"{\"id\":true,\"a\"}", 14, NULL},
        {"{\"params\":{\"id\":1},?", 19, NULL},
        {"{\"in\":\"\xff\",\"id\":1}", 7, NULL},
        {"[1,2", 4, NULL},
        {"[{\"id\":1},", 10, NULL},
        {"\"x\" 1", 4, NULL},
        {"{1}", 1, NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_assert_msg(read_string(cases[i].body) == ENVELOPE_NOT_JSON, "%s", cases[i].body);
        ck_assert_msg(error.offset == cases[i].offset, "%s: %zu: %s", cases[i].body, error.offset,
                      error.reason);
        ck_assert_ptr_nonnull(error.reason);
        assert_is(envelope.in, NULL);
        assert_is(envelope.params, NULL);
        assert_is(envelope.id, cases[i].id);
    }
    ck_assert_int_eq(envelope_read((struct bytes){NULL, 0}, &wide, &envelope, &error),
                     ENVELOPE_NOT_JSON);
}
END_TEST

/* In its own place among the members, before or after a fault, `id` is found. */
START_TEST(envelope_id_is_found_in_every_place)
{
    static const char *const members[] = {"\"in\":{}", "\"params\":[1]", "\"a\":\"id\"",
                                          "\"params\":2"};

    for (size_t place = 0; place <= COUNT(members); place++) {
        struct text body = {0};
        for (size_t i = 0; i <= COUNT(members); i++) {
            text_append_string(&body, i == 0 ? "{" : ",");
            text_append_string(&body,
                               i == place ? " \"id\" : \"me\" " : members[i < place ? i : i - 1]);
        }
        text_append_string(&body, "}");
        ck_assert_int_eq(read_string(body.data), ENVELOPE_INVALID);
        assert_is(envelope.id, "\"me\"");
        text_free(&body);
    }
}
END_TEST

START_TEST(envelope_spans_point_into_the_body)
{
    struct bytes body = guarded(BYTES("{\"in\":\"ping\",\"params\":[],\"id\":12}"));

    ck_assert_int_eq(envelope_read(body, &wide, &envelope, &error), ENVELOPE_OK);
    ck_assert_ptr_eq(envelope.in.data, body.data + 7);
    ck_assert_ptr_eq(envelope.params.data, body.data + 22);
    ck_assert_ptr_eq(envelope.id.data, body.data + 30);
    body = guarded(BYTES("{\"in\":\"pi\\u006eg\"}"));
    ck_assert_int_eq(envelope_read(body, &wide, &envelope, &error), ENVELOPE_OK);
    ck_assert_ptr_eq(envelope.in.data, envelope.in_buffer);
}
END_TEST

/* A name of `size` bytes, the last `tail` bytes of it written as the escape `escape`. */
static enum envelope_status read_long_name(size_t size, size_t tail, const char *escape)
{
    struct text body = {0};

    text_append_string(&body, "{\"in\":\"");
    for (size_t i = tail; i < size; i++)
        text_append_char(&body, 'n');
    text_append_string(&body, escape);
    text_append_string(&body, "\",\"id\":9}");
    enum envelope_status status = read_string(body.data);
    text_free(&body);
    return status;
}

START_TEST(envelope_method_name_limit_is_inclusive)
{
    static const struct {
        size_t size;
        const char *escape;
    } tails[] = {{0, ""}, {1, "\\u006e"}, {2, "\\u00e9"}, {3, "\\u20ac"}, {4, "\\ud83d\\ude00"}};

    for (size_t i = 0; i < COUNT(tails); i++) {
        ck_assert_int_eq(read_long_name(METHOD_NAME_MAX, tails[i].size, tails[i].escape),
                         ENVELOPE_OK);
        ck_assert_uint_eq(envelope.in.size, METHOD_NAME_MAX);
        for (size_t more = 1; more < 5; more++) {
            ck_assert_int_eq(read_long_name(METHOD_NAME_MAX + more, tails[i].size, tails[i].escape),
                             ENVELOPE_INVALID);
            ck_assert_str_eq(error.reason, IN_LONG);
            ck_assert_uint_eq(error.offset, 6);
            assert_is(envelope.id, "9");
        }
    }
    ck_assert_int_eq(read_long_name(100000, 1, "\\n"), ENVELOPE_INVALID);
}
END_TEST

START_TEST(envelope_method_name_of_escapes_only)
{
    struct text body = {0};

    text_append_string(&body, "{\"in\":\"");
    for (size_t i = 0; i < METHOD_NAME_MAX; i++)
        text_append_string(&body, "\\u006E");
    text_append_string(&body, "\"}");
    ck_assert_int_eq(read_string(body.data), ENVELOPE_OK);
    ck_assert_uint_eq(envelope.in.size, METHOD_NAME_MAX);
    for (size_t i = 0; i < METHOD_NAME_MAX; i++)
        ck_assert_int_eq(envelope.in.data[i], 'n');
    text_free(&body);
}
END_TEST

START_TEST(envelope_limits_count_the_object_itself)
{
    const struct bytes body = BYTES("{\"in\":\"x\",\"params\":[[1]],\"a\":2,\"id\":3}");

    ck_assert_int_eq(envelope_read(body, &(struct json_limits){3, 7}, &envelope, &error),
                     ENVELOPE_OK);
    ck_assert_int_eq(envelope_read(body, &(struct json_limits){2, 7}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
    ck_assert_uint_eq(error.offset, 20);
    ck_assert_int_eq(envelope_read(body, &(struct json_limits){3, 6}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
    ck_assert_uint_eq(error.offset, 36);
    assert_is(envelope.id, NULL);
    ck_assert_int_eq(envelope_read(BYTES("{\"id\":3,\"in\":\"x\",\"params\":[[1]],\"a\":2}"),
                                   &(struct json_limits){3, 6}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
    ck_assert_uint_eq(error.offset, 36);
    assert_is(envelope.id, "3");
    ck_assert_int_eq(envelope_read(body, &(struct json_limits){0, 7}, &envelope, &error),
                     ENVELOPE_NOT_JSON);
    ck_assert_uint_eq(error.offset, 0);
}
END_TEST

static struct bytes request_with(struct text *body, struct bytes params)
{
    text_clear(body);
    text_append_string(body, "{\"in\":\"x\", \"params\":");
    text_append(body, params);
    text_append_string(body, ", \"id\":1}");
    return (struct bytes){body->data, body->size};
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
        text = (struct bytes){text.data + 1, text.size - 1};
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL)
        text.size--;
    return text;
}

START_TEST(envelope_params_may_be_any_valid_text)
{
    struct text body = {0};

    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        ck_assert_int_eq(read_body(request_with(&body, valid_texts[i])), ENVELOPE_OK);
        ck_assert(bytes_equal(envelope.params, trimmed(valid_texts[i])));
        assert_is(envelope.id, "1");
    }
    text_free(&body);
}
END_TEST

START_TEST(envelope_params_may_be_no_invalid_text)
{
    const size_t before = strlen("{\"in\":\"x\", \"params\":");
    struct text body = {0};

    for (size_t i = 0; i < COUNT(invalid_texts); i++) {
        struct bytes params = invalid_texts[i].text;
        struct bytes request = request_with(&body, params);
        bool accepted = read_body(request) == ENVELOPE_OK;
        ck_assert_msg(!accepted, "params %s are accepted", params.data);
        assert_is(envelope.id, NULL);
        /* Where it goes wrong is the same, unless that was its end or start. */
        if (invalid_texts[i].offset < params.size && strcmp(invalid_texts[i].reason, AFTER) != 0 &&
            strcmp(invalid_texts[i].reason, BOM) != 0)
            ck_assert_uint_eq(error.offset, before + invalid_texts[i].offset);
    }
    text_free(&body);
}
END_TEST

/* Both ways of looking at a text agree on whether, where and why it is not JSON. */
START_TEST(envelope_refuses_the_same_texts_as_the_json_check)
{
    struct json_error checked;

    for (size_t i = 0; i < COUNT(invalid_texts); i++) {
        ck_assert_int_eq(read_body(invalid_texts[i].text), ENVELOPE_NOT_JSON);
        ck_assert(!json_check(invalid_texts[i].text, &wide, &checked));
        ck_assert_uint_eq(error.offset, checked.offset);
        ck_assert_str_eq(error.reason, checked.reason);
    }
    for (size_t i = 0; i < COUNT(valid_texts); i++)
        ck_assert(read_body(valid_texts[i]) >= ENVELOPE_INVALID);
    for (size_t i = 0; i < COUNT(requests); i++) {
        struct bytes body = bytes_of(requests[i].body);
        for (size_t size = 0; size < trimmed(body).size; size++) {
            ck_assert_int_eq(read_body((struct bytes){body.data, size}), ENVELOPE_NOT_JSON);
            ck_assert_uint_eq(error.offset, size);
        }
    }
}
END_TEST

START_TEST(json_strings_say_their_size)
{
    static const struct {
        const char *json;
        long size;
        const char *text;
    } cases[] = {
        {"\"\"", 0, ""},
        {"\"abc\"", 3, "abc"},
        {"\"\\u0061\\/\\\"\\n\"", 4, "a/\"\n"},
        {"\"a\\u0000b\"", 3, "a\0b"},
        {"\"\\ud83d\\ude00\"", 4, "\xf0\x9f\x98\x80"},
        {"\"\xc3\xa9\"", 2, "\xc3\xa9"},
        {"\"\\ud800\"", -1, NULL},
        {"\"\\ude00\"", -1, NULL},
        {"1", -1, NULL},
        {"null", -1, NULL},
    };
    char text[64];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes json = guarded(bytes_of(cases[i].json));
        ck_assert_int_eq(json_string_text(json, text, sizeof(text)), cases[i].size);
        if (cases[i].size < 0)
            continue;
        ck_assert_mem_eq(text, cases[i].text, (size_t)cases[i].size);
        ck_assert_int_eq(json_string_text(json, text, (size_t)cases[i].size), cases[i].size);
        if (cases[i].size > 0)
            ck_assert_int_eq(json_string_text(json, text, (size_t)cases[i].size - 1), -1);
    }
    ck_assert(json_has_nul(BYTES("[\"\\\\\\u0000\"]")));
    ck_assert(json_has_nul(BYTES("[\"\\\\u0000 \\u00000\"]"))); /* the second is one */
    ck_assert(!json_has_nul(BYTES("[\"\\\\u0000 \\u0001\"]")));
}
END_TEST

UNIT_MAIN("envelope", json_strings_say_their_size,
          envelope_members_are_found_and_kept_byte_for_byte,
          envelope_faults_are_told_and_keep_the_id,
          envelope_that_is_not_json_keeps_the_id_before_the_fault,
          envelope_id_is_found_in_every_place, envelope_spans_point_into_the_body,
          envelope_method_name_limit_is_inclusive, envelope_method_name_of_escapes_only,
          envelope_limits_count_the_object_itself, envelope_params_may_be_any_valid_text,
          envelope_params_may_be_no_invalid_text, envelope_refuses_the_same_texts_as_the_json_check)
