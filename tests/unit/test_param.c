/* Params by table: what is read to where, and what clients are told of what is wrong. See
 * core/rpc/param_read.h and pillion_param in <pillion/module.h>. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "guarded.h"
#include "must.h"
#include "rpc/param_read.h"
#include "rpc/param_table.h"
#include "wire/frame.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct item {
    const char *sku;
    double price;
    bool priced;
};

struct order {
    bool flag;
    int64_t whole, any;
    double number;
    const char *name;
    int mood;
    pillion_bytes text, blob, raw;
    struct item one;
    pillion_array items, numbers, flags, moods, blobs, raws;
    bool gave_any;
};

static const char *const moods[] = {"calm", "cheerful", "größer", NULL};

static const pillion_param item_rows[] = {
    PILLION_PARAM(struct item, sku, PILLION_STRING, .min = 1, .max = 8, .required = true),
    PILLION_PARAM(struct item, price, PILLION_NUMBER, .fallback = "1.5", .from = 0, .to = 1e6,
                  .given = offsetof(struct item, priced)),
    {0},
};

static const pillion_param rows[] = {
    PILLION_PARAM(struct order, flag, PILLION_FLAG, .fallback = "true"),
    PILLION_PARAM(struct order, whole, PILLION_INTEGER, .min = 1, .max = 9, .required = true,
                  .summary = "How \"often\"."),
    PILLION_PARAM(struct order, any, PILLION_INTEGER, .given = offsetof(struct order, gave_any)),
    PILLION_PARAM(struct order, number, PILLION_NUMBER, .fallback = "-0.5"),
    PILLION_PARAM(struct order, name, PILLION_STRING, .fallback = "\"Bob\"", .min = 2, .max = 5),
    PILLION_PARAM(struct order, mood, PILLION_ENUM, .fallback = "\"cheerful\"", .words = moods),
    PILLION_PARAM(struct order, text, PILLION_TEXT, .max = 3),
    PILLION_PARAM(struct order, blob, PILLION_BYTES, .max = 4),
    PILLION_PARAM(struct order, raw, PILLION_JSON),
    PILLION_PARAM(struct order, one, PILLION_OBJECT, PILLION_MEMBERS(struct item, item_rows)),
    PILLION_PARAM(struct order, items, PILLION_OBJECT, .list = true, .least = 1, .most = 3,
                  PILLION_MEMBERS(struct item, item_rows)),
    PILLION_PARAM(struct order, numbers, PILLION_INTEGER, .fallback = "[4, 5]", .min = 1,
                  .list = true),
    PILLION_PARAM(struct order, flags, PILLION_FLAG, .list = true),
    PILLION_PARAM(struct order, moods, PILLION_ENUM, .words = moods, .list = true),
    PILLION_PARAM(struct order, blobs, PILLION_BYTES, .list = true),
    PILLION_PARAM(struct order, raws, PILLION_JSON, .list = true),
    {0},
};

static struct pool pool;
static struct pillion_request request;
static char sink[1 << 16];

static char *sink_reserve(struct pillion_request *req, size_t size)
{
    (void)req;
    must(size <= sizeof(sink));
    return sink;
}

static struct param_table *made(const pillion_param *params, size_t size, bool open)
{
    struct error error = {0};
    struct param_table *table = param_table_make(params, size, open, &error);

    ck_assert_msg(table != NULL, "%s", error.text);
    return table;
}

/* Reads params by a table. The structure, or NULL after an answer, which is in the sink. */
static const void *read_as(const struct param_table *table, const char *params,
                           enum envelope_format format)
{
    static struct pillion_instance instance = {.name = "toy", .version = "1"};
    static struct method method = {.name = BYTES("toy"), .instance = &instance, .own_name = "toy"};

    pool_reset(&pool);
    memset(sink, 0, sizeof(sink));
    method.args = table;
    request = (struct pillion_request){
        .method = &method,
        .params = guarded(bytes_of(params)),
        .pool = &pool,
        .reserve = sink_reserve,
        .max_reply = sizeof(sink),
        .format = (uint8_t)format,
    };
    bool good = param_read(&request);
    ck_assert(good != request.answered);
    ck_assert((request.args != NULL) == good);
    return request.args;
}

static const struct order *read_order(const struct param_table *table, const char *params)
{
    const struct order *order = read_as(table, params, ENVELOPE_PILLION);

    ck_assert_msg(order != NULL, "%s: %s", params, sink + FRAME_HEADER_SIZE);
    return order;
}

/* These params are refused, with this message. */
static void refused_as(const struct param_table *table, const char *params, const char *message,
                       enum envelope_format format)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;
    char text[8192];

    ck_assert_msg(read_as(table, params, format) == NULL, "%s is taken", params);
    struct bytes reply = {sink + FRAME_HEADER_SIZE, request.size - FRAME_HEADER_SIZE};
    ck_assert_msg(json_check(reply, &limits, &error), "%s", reply.data);
    struct bytes result = envelope_member(reply, BYTES("result"));
    if (format == ENVELOPE_JSONRPC)
        result = envelope_member(envelope_member(reply, BYTES("error")), BYTES("data"));
    ck_assert(bytes_equal(envelope_member(result, BYTES("code")), BYTES("\"invalid_params\"")));
    long size = json_string_text(envelope_member(result, BYTES("message")), text, sizeof(text) - 1);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    ck_assert_str_eq(text, message);
}

static void refused(const struct param_table *table, const char *params, const char *message)
{
    refused_as(table, params, message, ENVELOPE_PILLION);
}

/* ---- What is read ---- */

START_TEST(params_that_are_not_given_are_their_defaults)
{
    struct param_table *table = made(rows, sizeof(struct order), false);
    const struct order *order = read_order(table, "{\"whole\":7}");

    ck_assert_int_eq(order->whole, 7);
    ck_assert(order->flag);
    ck_assert(!order->gave_any);
    ck_assert_int_eq(order->any, 0);
    ck_assert_double_eq(order->number, -0.5);
    ck_assert_str_eq(order->name, "Bob");
    ck_assert_int_eq(order->mood, 1);
    ck_assert_ptr_null(order->text.data);
    ck_assert_ptr_null(order->raw.data);
    ck_assert_ptr_null(order->one.sku);
    ck_assert_double_eq(order->one.price, 1.5);
    ck_assert_uint_eq(order->items.count, 0);
    ck_assert_uint_eq(order->numbers.count, 2);
    ck_assert_int_eq(((const int64_t *)order->numbers.items)[1], 5);
    param_table_free(table);
}
END_TEST

START_TEST(every_type_is_read_to_its_member)
{
    struct param_table *table = made(rows, sizeof(struct order), false);
    const struct order *order = read_order(
        table,
        " { \"raws\" : [ {\"a\":[1]} , \"]\" , -1.5e3,null ] ,\n\"flag\":false,\"whole\":9,"
        "\"any\":-9223372036854775808,\"number\":2.5e-3,\"name\":\"\\u00c4\\uD83D\\ude00a\","
        "\"mood\":\"gr\\u00f6\\u00dfer\",\"text\":\"a\\u0000b\",\"blob\":\"A\\/8=\","
        "\"raw\" : {\"x\": [1, 2]} ,\"one\":{\"sku\":\"x\",\"price\":0},"
        "\"items\":[{\"price\":1e6,\"sku\":\"a\"},{\"sku\":\"b\"}],\"numbers\":[ 1,2 , 3e2 ],"
        "\"flags\":[true,false,true],\"moods\":[\"calm\"],\"blobs\":[\"\",\"AAAA\"]} ");

    ck_assert(!order->flag);
    ck_assert_int_eq(order->whole, 9);
    ck_assert(order->gave_any);
    ck_assert_int_eq(order->any, INT64_MIN);
    ck_assert_double_eq(order->number, 0.0025);
    ck_assert_str_eq(order->name, "Ä😀a");
    ck_assert_int_eq(order->mood, 2);
    ck_assert_uint_eq(order->text.size, 3);
    ck_assert_mem_eq(order->text.data, "a\0b", 3);
    ck_assert_uint_eq(order->blob.size, 2);
    ck_assert_mem_eq(order->blob.data, "\x03\xff", 2);
    ck_assert_uint_eq(order->raw.size, 13);
    ck_assert_mem_eq(order->raw.data, "{\"x\": [1, 2]}", 13);
    ck_assert_str_eq(order->one.sku, "x");
    ck_assert_double_eq(order->one.price, 0);
    ck_assert(order->one.priced);
    const struct item *items = order->items.items;
    ck_assert_uint_eq(order->items.count, 2);
    ck_assert_double_eq(items[0].price, 1e6);
    ck_assert_str_eq(items[1].sku, "b");
    ck_assert_double_eq(items[1].price, 1.5);
    ck_assert(items[0].priced && !items[1].priced);
    ck_assert_uint_eq(order->numbers.count, 3);
    ck_assert_int_eq(((const int64_t *)order->numbers.items)[2], 300);
    ck_assert_uint_eq(order->flags.count, 3);
    ck_assert(!((const bool *)order->flags.items)[1]);
    ck_assert_int_eq(((const int *)order->moods.items)[0], 0);
    ck_assert_uint_eq(((const pillion_bytes *)order->blobs.items)[1].size, 3);
    const pillion_bytes *raws = order->raws.items;
    ck_assert_uint_eq(order->raws.count, 4);
    ck_assert_mem_eq(raws[0].data, "{\"a\":[1]}", raws[0].size);
    ck_assert_mem_eq(raws[2].data, "-1.5e3", raws[2].size);
    param_table_free(table);
}
END_TEST

START_TEST(names_are_compared_without_their_escapes)
{
    struct param_table *table = made(rows, sizeof(struct order), false);

    ck_assert_int_eq(read_order(table, "{\"wh\\u006fle\":7}")->whole, 7);
    refused(table, "{\"whole\":7,\"wh\\u006fle\":8}", "params.whole: it is there twice");
    param_table_free(table);
}
END_TEST

START_TEST(long_lists_and_texts_are_whole)
{
    struct param_table *table = made(rows, sizeof(struct order), false);
    struct text params = {0};

    text_append_string(&params, "{\"whole\":1,\"numbers\":[");
    for (unsigned i = 1; i <= 10000; i++)
        text_printf(&params, "%s%u", i == 1 ? "" : ",", i);
    text_append_string(&params, "],\"moods\":[\"calm\"],\"raws\":[]}");
    const struct order *order = read_order(table, text_string(&params));
    ck_assert_uint_eq(order->numbers.count, 10000);
    for (int64_t i = 0; i < 10000; i++)
        ck_assert_int_eq(((const int64_t *)order->numbers.items)[i], i + 1);
    text_free(&params);
    param_table_free(table);
}
END_TEST

START_TEST(params_by_position_are_in_the_order_of_the_table)
{
    struct param_table *table = made(rows, sizeof(struct order), false);
    const struct order *order = read_as(table, "[false, 3, null, 1.5, \"Ada\"]", ENVELOPE_JSONRPC);

    ck_assert_ptr_nonnull(order);
    ck_assert(!order->flag && !order->gave_any);
    ck_assert_int_eq(order->whole, 3);
    ck_assert_str_eq(order->name, "Ada");
    ck_assert_int_eq(order->mood, 1);
    refused_as(table, "[]", "params.whole: a whole number from 1 to 9, got nothing",
               ENVELOPE_JSONRPC);
    refused_as(table, "[true, null]", "params.whole: a whole number from 1 to 9, got null",
               ENVELOPE_JSONRPC);
    refused_as(table, "[true,1,1,1,null,null,null,null,1,null,null,null,null,null,null,null,1]",
               "params: at most 16 by position", ENVELOPE_JSONRPC);
    refused(table, "[true, 1]", "params: an object, got a list");
    param_table_free(table);
}
END_TEST

/* ---- What is wrong ---- */

START_TEST(each_fault_tells_its_place_and_what_was_wanted)
{
    static const char *const cases[][2] = {
        {"5", "params: an object, got 5"},
        {"\"x\"", "params: an object, got a string"},
        {"null", "params.whole: a whole number from 1 to 9, got nothing"},
        {"{}", "params.whole: a whole number from 1 to 9, got nothing"},
        {"{\"whole\":0}", "params.whole: a whole number from 1 to 9, got 0"},
        {"{\"whole\":10}", "params.whole: a whole number from 1 to 9, got 10"},
        {"{\"whole\":\"1\"}", "params.whole: a whole number from 1 to 9, got a string"},
        {"{\"whole\":1.5}", "params.whole: a whole number from 1 to 9, got 1.5"},
        {"{\"whole\":1e-400}", "params.whole: a whole number from 1 to 9, got 1e-400"},
        {"{\"whole\":null}", "params.whole: a whole number from 1 to 9, got null"},
        {"{\"whole\":1,\"any\":9223372036854775808}",
         "params.any: a whole number, got one beyond 64 bits (-9223372036854775808 to "
         "9223372036854775807)"},
        {"{\"whole\":1,\"any\":0.100000000000000000000000000000000000001}",
         "params.any: a whole number, got 0.100000000000000000000000000000…"},
        {"{\"whole\":1,\"number\":1e400}", "params.number: a number, got one beyond 1.8e308"},
        {"{\"whole\":1,\"number\":true}", "params.number: a number, got true"},
        {"{\"whole\":1,\"flag\":0}", "params.flag: true or false, got 0"},
        {"{\"whole\":1,\"name\":\"\\u00c4\"}",
         "params.name: a string of 2 to 5 characters, got 1 character"},
        {"{\"whole\":1,\"name\":\"Arthur\"}",
         "params.name: a string of 2 to 5 characters, got 6 characters"},
        {"{\"whole\":1,\"name\":\"a\\u0000b\"}",
         "params.name: a string of 2 to 5 characters, got \\u0000 in it"},
        {"{\"whole\":1,\"name\":\"a\\ud800b\"}",
         "params.name: a string of 2 to 5 characters, got half of a surrogate pair in it"},
        {"{\"whole\":1,\"text\":\"abcd\"}",
         "params.text: a string of at most 3 characters, got 4 characters"},
        {"{\"whole\":1,\"mood\":\"angry\"}",
         "params.mood: one of \"calm\", \"cheerful\", \"größer\", got \"angry\""},
        {"{\"whole\":1,\"mood\":\"\\u001b[31m\\u202e\"}",
         "params.mood: one of \"calm\", \"cheerful\", \"größer\", got \"\\u001b[31m\\u202e\""},
        {"{\"whole\":1,\"mood\":"
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
         "params.mood: one of \"calm\", \"cheerful\", \"größer\", got "
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…\""},
        {"{\"whole\":1,\"mood\":1}",
         "params.mood: one of \"calm\", \"cheerful\", \"größer\", got 1"},
        {"{\"whole\":1,\"blob\":\"AAAAAAAA\"}",
         "params.blob: base64 of at most 4 bytes, got 6 bytes"},
        {"{\"whole\":1,\"blob\":\"?\"}",
         "params.blob: base64 of at most 4 bytes, got a string that is none"},
        {"{\"whole\":1,\"one\":[]}", "params.one: an object, got a list"},
        {"{\"whole\":1,\"one\":{}}", "params.one.sku: a string of 1 to 8 characters, got nothing"},
        {"{\"whole\":1,\"items\":{}}", "params.items: a list of 1 to 3 items, got an object"},
        {"{\"whole\":1,\"items\":[]}", "params.items: a list of 1 to 3 items, got 0"},
        {"{\"whole\":1,\"items\":[{\"sku\":\"a\"},{\"sku\":\"a\"},{\"sku\":\"a\"},5,{}]}",
         "params.items: a list of 1 to 3 items, got 5"},
        {"{\"whole\":1,\"items\":[{\"sku\":\"a\"},{\"sku\":\"a\",\"price\":\"1\"}]}",
         "params.items[1].price: a number from 0 to 1e6, got a string"},
        {"{\"whole\":1,\"items\":[{\"sku\":\"a\"},7]}", "params.items[1]: an object, got 7"},
        {"{\"whole\":1,\"items\":[{\"sku\":\"a\",\"size\":7}]}",
         "params.items[0].size: there is no param of this name"},
        {"{\"whole\":1,\"numbers\":[1,0]}",
         "params.numbers[1]: a whole number of at least 1, got 0"},
        {"{\"whole\":1,\"nmae\":[1,{\"a\":\"]}\"}]}",
         "params.nmae: there is no param of this name; did you mean \"name\"?"},
        {"{\"whole\":1,\"\\n\":1}", "params.\\u000a: there is no param of this name"},
        {"{\"whole\":1,\"\":1}", "params.: there is no param of this name"},
        {"{\"whole\":1,\"any\":2,\"any\":3}", "params.any: it is there twice"},
        {"{\"flag\":1,\"name\":2,\"mood\":3}",
         "params.flag: true or false, got 1; params.name: a string of 2 to 5 characters, got 2; "
         "params.mood: one of \"calm\", \"cheerful\", \"größer\", got 3; params.whole: a whole "
         "number from 1 to 9, got nothing"},
    };
    struct param_table *table = made(rows, sizeof(struct order), false);

    for (size_t i = 0; i < COUNT(cases); i++)
        refused(table, cases[i][0], cases[i][1]);
    refused_as(table, "{\"whole\":0}", "params.whole: a whole number from 1 to 9, got 0",
               ENVELOPE_JSONRPC);
    param_table_free(table);
}
END_TEST

START_TEST(eight_faults_are_told_and_the_others_counted)
{
    struct param_table *table = made(rows, sizeof(struct order), false);

    refused(table, "{\"whole\":1,\"numbers\":[0,0,0,0,0,0,0,0,0,0]}",
            "params.numbers[0]: a whole number of at least 1, got 0; "
            "params.numbers[1]: a whole number of at least 1, got 0; "
            "params.numbers[2]: a whole number of at least 1, got 0; "
            "params.numbers[3]: a whole number of at least 1, got 0; "
            "params.numbers[4]: a whole number of at least 1, got 0; "
            "params.numbers[5]: a whole number of at least 1, got 0; "
            "params.numbers[6]: a whole number of at least 1, got 0; "
            "params.numbers[7]: a whole number of at least 1, got 0; and 2 more");
    ck_assert_ptr_nonnull(
        strstr(sink + FRAME_HEADER_SIZE,
               "\"errors\":[{\"path\":\"params.numbers[0]\",\"message\":\"a whole "
               "number of at least 1, got 0\"},{"));
    param_table_free(table);
}
END_TEST

START_TEST(an_open_table_passes_over_what_it_does_not_have)
{
    struct param_table *table = made(rows, sizeof(struct order), true);
    const struct order *order =
        read_order(table, "{\"x\":{\"y\":[\"}\",1]},\"whole\":2,\"x\":null,\"z\\n\":-1.0 }");

    ck_assert_int_eq(order->whole, 2);
    param_table_free(table);
}
END_TEST

START_TEST(an_empty_table_takes_nothing)
{
    static const pillion_param none[] = {{0}};
    struct param_table *table = made(none, 0, false);

    ck_assert_ptr_nonnull(read_as(table, "null", ENVELOPE_PILLION));
    ck_assert_ptr_nonnull(read_as(table, "{ }", ENVELOPE_PILLION));
    ck_assert_ptr_nonnull(read_as(table, "[]", ENVELOPE_JSONRPC));
    refused(table, "{\"a\":1}", "params.a: there is no param of this name");
    ck_assert_str_eq(table->schema,
                     "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}");
    param_table_free(table);
}
END_TEST

START_TEST(without_memory_the_client_is_told_so)
{
    struct param_table *table = made(rows, sizeof(struct order), false);

    for (size_t limit = 16; limit < 4000; limit += 16) {
        pool_reset(&pool);
        pool.limit = limit;
        const void *got = read_as(table,
                                  "{\"whole\":1,\"numbers\":[1,2,3,4,5,6,7,8,9,10],\"items\":["
                                  "{\"sku\":\"a\"},{\"sku\":\"b\\n\"}],\"blob\":\"AAA=\"}",
                                  ENVELOPE_PILLION);
        ck_assert(got != NULL || strcmp(request.code, PILLION_OVERLOADED) == 0);
    }
    pool.limit = 0;
    param_table_free(table);
}
END_TEST

/* ---- Tables ---- */

START_TEST(the_schema_says_what_is_enforced)
{
    struct param_table *table = made(rows, sizeof(struct order), false);

    ck_assert_str_eq(
        table->schema,
        "{\"type\":\"object\",\"properties\":{\"flag\":{\"type\":\"boolean\",\"default\":true},"
        "\"whole\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,\"description\":\"How "
        "\\\"often\\\".\"},\"any\":{\"type\":\"integer\"},\"number\":{\"type\":\"number\","
        "\"default\":-0.5},\"name\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":5,"
        "\"default\":\"Bob\"},\"mood\":{\"type\":\"string\",\"enum\":[\"calm\",\"cheerful\","
        "\"größer\"],\"default\":\"cheerful\"},\"text\":{\"type\":\"string\",\"maxLength\":3},"
        "\"blob\":{\"type\":\"string\",\"contentEncoding\":\"base64\",\"maxLength\":8},\"raw\":{},"
        "\"one\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"minLength\":1,"
        "\"maxLength\":8},\"price\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1e6,"
        "\"default\":1.5}},\"required\":[\"sku\"],\"additionalProperties\":false},"
        "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"sku\":{"
        "\"type\":\"string\",\"minLength\":1,\"maxLength\":8},\"price\":{\"type\":\"number\","
        "\"minimum\":0,\"maximum\":1e6,\"default\":1.5}},\"required\":[\"sku\"],"
        "\"additionalProperties\":false},\"minItems\":1,\"maxItems\":3},\"numbers\":{\"type\":"
        "\"array\",\"items\":{\"type\":\"integer\",\"minimum\":1},\"default\":[4, 5]},\"flags\":{"
        "\"type\":\"array\",\"items\":{\"type\":\"boolean\"}},\"moods\":{\"type\":\"array\","
        "\"items\":{\"type\":\"string\",\"enum\":[\"calm\",\"cheerful\",\"größer\"]}},\"blobs\":{"
        "\"type\":\"array\",\"items\":{\"type\":\"string\",\"contentEncoding\":\"base64\"}},"
        "\"raws\":{\"type\":\"array\",\"items\":{}}},\"required\":[\"whole\"],"
        "\"additionalProperties\":false}");
    param_table_free(table);
}
END_TEST

static pillion_param wrong_row[2];

/* A table of this row has this mistake. */
static void wrong(pillion_param row, const char *words)
{
    struct error error = {0};

    wrong_row[0] = row;
    ck_assert_msg(param_table_make(wrong_row, 16, false, &error) == NULL, "not found: %s", words);
    ck_assert_msg(strstr(error.text, words) != NULL, "%s: %s", words, error.text);
}

START_TEST(mistakes_of_tables_are_found_when_the_module_is_loaded)
{
    static const pillion_param twice[] = {
        {.name = "a", .type = PILLION_FLAG}, {.name = "a", .type = PILLION_FLAG}, {0}};
    static const pillion_param no_room[] = {{.name = "b", .type = PILLION_FLAG, .offset = 8}, {0}};
    static const char *const no_words[] = {NULL}, *const same_words[] = {"x", "y", "x", NULL};
    static const pillion_param askew[] = {{.name = "b", .type = PILLION_INTEGER}, {0}};
    struct error error = {0};

    ck_assert_ptr_null(param_table_make(twice, 8, false, &error));
    ck_assert_str_eq(error.text, "the param \"a\" is in the table twice");
    wrong((pillion_param){.name = "", .type = PILLION_FLAG}, "correct row 1");
    wrong((pillion_param){.name = "a\"b", .type = PILLION_FLAG}, "without quotes");
    wrong((pillion_param){.name = "a", .type = PILLION_SIZE}, "is of no type that a param");
    wrong((pillion_param){.name = "a"}, "is of no type that a param");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .offset = 9}, "lies outside");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .width = 4},
          "fills 8 bytes, and its member has 4");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .width = 8, .list = true},
          "(a list is a pillion_array)");
    wrong((pillion_param){.name = "a", .type = PILLION_FLAG, .given = 16}, ".given outside");
    wrong((pillion_param){.name = "a", .type = PILLION_ENUM}, "without words");
    wrong((pillion_param){.name = "a", .type = PILLION_ENUM, .words = no_words}, "without words");
    wrong((pillion_param){.name = "a", .type = PILLION_ENUM, .words = same_words},
          "has the word \"x\" twice");
    wrong((pillion_param){.name = "a", .type = PILLION_STRING, .words = same_words},
          "has .words, which are for PILLION_ENUM");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .members = askew, .size = 8},
          "has PILLION_MEMBERS, which is for PILLION_OBJECT");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .open = true},
          "has .open, which is for PILLION_OBJECT");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .offset = 3},
          "is at byte 3 of the structure");
    wrong(
        (pillion_param){
            .name = "a", .type = PILLION_OBJECT, .members = askew, .size = 8, .offset = 4},
        "is at byte 4 of the structure");
    wrong((pillion_param){.name = "a", .type = PILLION_OBJECT}, "without PILLION_MEMBERS");
    wrong((pillion_param){.name = "a", .type = PILLION_OBJECT, .members = no_room, .size = 8},
          "in \"a\": the param \"b\" lies outside");
    wrong((pillion_param){.name = "a", .type = PILLION_OBJECT, .members = wrong_row, .size = 8},
          "nested deeper than 16 tables");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .min = 5, .max = 4},
          "a lower bound above");
    wrong((pillion_param){.name = "a", .type = PILLION_NUMBER, .from = 5, .to = 4},
          "a lower bound above");
    wrong((pillion_param){.name = "a", .type = PILLION_NUMBER, .min = 5, .max = 6},
          "give .from and .to");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .from = 5, .to = 6},
          "give .min and .max");
    wrong((pillion_param){.name = "a", .type = PILLION_STRING, .min = -1, .max = 6},
          "a bound below 0");
    wrong((pillion_param){.name = "a", .type = PILLION_FLAG, .most = 4}, "for lists");
    wrong((pillion_param){.name = "a", .type = PILLION_FLAG, .fallback = "on"},
          "has a fallback that is not JSON");
    wrong((pillion_param){.name = "a", .type = PILLION_FLAG, .fallback = "1"},
          "has a wrong fallback: params.a: true or false, got 1");
    wrong((pillion_param){.name = "a", .type = PILLION_INTEGER, .fallback = "7", .max = 6},
          "a whole number from 0 to 6, got 7");
    wrong((pillion_param){.name = "a", .type = PILLION_FLAG, .fallback = "true", .required = true},
          "is required, and has a fallback");
}
END_TEST

/* What the rows `a` and `b` fill is apart, or it is refused in these words. */
static void together(pillion_param a, pillion_param b, const char *words)
{
    pillion_param both[] = {a, b, {0}};
    struct error error = {0};

    both[0].name = "a";
    both[1].name = "b";
    struct param_table *table = param_table_make(both, 32, false, &error);
    if (words != NULL)
        ck_assert_msg(table == NULL && strcmp(error.text, words) == 0, "%s: %s", words, error.text);
    else
        ck_assert_msg(table != NULL, "%s", error.text);
    param_table_free(table);
    /* A result only reads its structure, and may show the same twice. */
    table = param_table_make_gives(both, 32, &error);
    ck_assert_msg(table != NULL, "%s", error.text);
    param_table_free(table);
}

START_TEST(no_two_params_fill_the_same_bytes)
{
    const pillion_param integer = {.type = PILLION_INTEGER}, string = {.type = PILLION_STRING},
                        wide = {.type = PILLION_TEXT}, list = {.type = PILLION_FLAG, .list = true},
                        flag = {.type = PILLION_FLAG, .offset = 15},
                        behind = {.type = PILLION_INTEGER, .offset = 16},
                        seven = {.type = PILLION_INTEGER, .given = 7},
                        given = {.type = PILLION_INTEGER, .given = 20},
                        shared = {.type = PILLION_INTEGER, .offset = 8, .given = 20};
    static const char same[] = "the param \"b\" fills the same bytes of the structure as \"a\"; "
                               "see its .offset";

    together(integer, string, same);
    together(wide, flag, same);
    together(flag, wide, same);
    together(list, flag, same);
    together(wide, behind, NULL);
    together(behind, list, NULL);
    together(seven, behind, "the param \"a\" has its .given in the member of \"a\"");
    together(given, behind, "the param \"a\" has its .given in the member of \"b\"");
    together(behind, given, "the param \"b\" has its .given in the member of \"a\"");
    together(given, shared, NULL);
}
END_TEST

START_TEST(a_table_has_sixty_four_rows_at_most)
{
    static pillion_param many[66];
    static char names[65][8];
    struct error error;
    char params[64];

    for (size_t i = 0; i < 65; i++) {
        snprintf(names[i], sizeof(names[i]), "p%zu", i);
        many[i] = (pillion_param){
            .name = names[i], .type = PILLION_FLAG, .offset = i, .required = i == 63};
    }
    ck_assert_ptr_null(param_table_make(many, 65, false, &error));
    ck_assert_str_eq(error.text, "a table of params has 64 rows at most, and not 65");
    many[64].name = NULL;
    struct param_table *table = made(many, 64, false);
    snprintf(params, sizeof(params), "{\"p63\":true,\"p0\":true}");
    const char *got = read_as(table, params, ENVELOPE_PILLION);
    ck_assert(got != NULL && got[63] == 1 && got[0] == 1 && got[1] == 0);
    refused(table, "{}", "params.p63: true or false, got nothing");
    param_table_free(table);
}
END_TEST

UNIT_MAIN("param", params_that_are_not_given_are_their_defaults, every_type_is_read_to_its_member,
          names_are_compared_without_their_escapes, long_lists_and_texts_are_whole,
          params_by_position_are_in_the_order_of_the_table,
          each_fault_tells_its_place_and_what_was_wanted,
          eight_faults_are_told_and_the_others_counted,
          an_open_table_passes_over_what_it_does_not_have, an_empty_table_takes_nothing,
          without_memory_the_client_is_told_so, the_schema_says_what_is_enforced,
          mistakes_of_tables_are_found_when_the_module_is_loaded,
          a_table_has_sixty_four_rows_at_most, no_two_params_fill_the_same_bytes)
