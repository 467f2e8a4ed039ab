/* Structures that are written by their table: what the client gets, and what comes of values that
 * are not as the table says. See core/rpc/param_write.h. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "must.h"
#include "rpc/param_read.h"
#include "rpc/param_table.h"
#include "rpc/param_write.h"
#include "rpc/result.h"
#include "wire/frame.h"

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
    pillion_array items, numbers, moods, names;
    bool gave_any, gave_one;
};

static const char *const moods[] = {"calm", "größer", NULL};

static const pillion_param item_rows[] = {
    PILLION_PARAM(struct item, sku, PILLION_STRING, .min = 1, .max = 8, .required = true,
                  .summary = "What."),
    PILLION_PARAM(struct item, price, PILLION_NUMBER, .fallback = "1.5", .from = 0, .to = 1e6,
                  .given = offsetof(struct item, priced)),
    {0},
};

static const pillion_param rows[] = {
    PILLION_PARAM(struct order, flag, PILLION_FLAG),
    PILLION_PARAM(struct order, whole, PILLION_INTEGER, .min = 1, .max = 9, .required = true),
    PILLION_PARAM(struct order, any, PILLION_INTEGER, .given = offsetof(struct order, gave_any)),
    PILLION_PARAM(struct order, number, PILLION_NUMBER),
    PILLION_PARAM(struct order, name, PILLION_STRING, .min = 2, .max = 5),
    PILLION_PARAM(struct order, mood, PILLION_ENUM, .words = moods),
    PILLION_PARAM(struct order, text, PILLION_TEXT, .max = 3),
    PILLION_PARAM(struct order, blob, PILLION_BYTES, .max = 4),
    PILLION_PARAM(struct order, raw, PILLION_JSON),
    PILLION_PARAM(struct order, one, PILLION_OBJECT, PILLION_MEMBERS(struct item, item_rows),
                  .given = offsetof(struct order, gave_one)),
    PILLION_PARAM(struct order, items, PILLION_OBJECT, .list = true, .most = 3,
                  PILLION_MEMBERS(struct item, item_rows)),
    PILLION_PARAM(struct order, numbers, PILLION_INTEGER, .min = -5, .max = 5, .list = true),
    PILLION_PARAM(struct order, moods, PILLION_ENUM, .words = moods, .list = true),
    PILLION_PARAM(struct order, names, PILLION_STRING, .list = true),
    {0},
};

static struct pool pool;
static struct pillion_request request;
static struct method method;
static char sink[1 << 16];

static char *sink_reserve(struct pillion_request *req, size_t size)
{
    (void)req;
    must(size <= sizeof(sink));
    return sink;
}

/* A request of a method that gives this; NULL: nothing by table. */
static struct pillion_request *fresh(const struct param_table *gives)
{
    static struct pillion_instance instance = {.name = "toy", .version = "1"};

    pool_reset(&pool);
    memset(sink, 0, sizeof(sink));
    method = (struct method){
        .name = BYTES("toy"), .instance = &instance, .own_name = "toy", .gives = gives};
    request = (struct pillion_request){
        .method = &method,
        .params = BYTES("null"),
        .pool = &pool,
        .reserve = sink_reserve,
        .max_reply = sizeof(sink),
    };
    return &request;
}

static struct param_table *made(void)
{
    struct error error = {0};
    struct param_table *table = param_table_make_gives(rows, sizeof(struct order), &error);

    ck_assert_msg(table != NULL, "%s", error.text);
    return table;
}

static struct order good_order(void)
{
    return (struct order){.whole = 1};
}

/* The result of the reply. */
static const char *replied(void)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;
    static char result[4096];

    ck_assert_msg(request.answered && !request.failed, "%s", sink + FRAME_HEADER_SIZE);
    struct bytes reply = {sink + FRAME_HEADER_SIZE, request.size - FRAME_HEADER_SIZE};
    ck_assert(json_check(reply, &limits, &error));
    struct bytes value = envelope_member(reply, BYTES("result"));
    snprintf(result, sizeof(result), "%.*s", (int)value.size, value.data);
    return result;
}

/* The client is told that the module has made this mistake. */
static void failed_by(const char *mistake)
{
    char text[1024], expected[1024];

    ck_assert(request.answered && request.failed);
    ck_assert_str_eq(request.code, PILLION_INTERNAL_ERROR);
    struct bytes reply = {sink + FRAME_HEADER_SIZE, request.size - FRAME_HEADER_SIZE};
    struct bytes message =
        envelope_member(envelope_member(reply, BYTES("result")), BYTES("message"));
    long size = json_string_text(message, text, sizeof(text) - 1);
    ck_assert_int_gt(size, 0);
    text[size] = '\0';
    snprintf(expected, sizeof(expected), "\"toy\" wrote a wrong result (module toy): %s", mistake);
    ck_assert_str_eq(text, expected);
}

/* ---- What is written ---- */

START_TEST(every_type_is_written_and_reads_back_the_same)
{
    struct param_table *table = made();
    struct error error;
    struct param_table *takes = param_table_make(rows, sizeof(struct order), false, &error);
    struct item items[] = {{"a\"b", 0.1, true}, {"c", 7, false}};
    int64_t numbers[] = {-5, 0, 5};
    int some[] = {1, 0};
    const char *names[] = {"", "gr\xc3\xb6\xc3\x9f\x01"};
    const struct order order = {
        .flag = true,
        .whole = 9,
        .any = INT64_MIN,
        .gave_any = true,
        .number = -0.5,
        .name = "A\\d\xc3\xa4",
        .mood = 1,
        .text = {"t\0", 2},
        .blob = {"\xff\0b", 3},
        .raw = {"{\"x\": [1e400]}", 14},
        .one = {"one", 1e6, true},
        .gave_one = true,
        .items = {items, 2},
        .numbers = {numbers, 3},
        .moods = {some, 2},
        .names = {names, 2},
    };

    param_reply(fresh(table), "order", &order);
    const char *result = replied();
    ck_assert_str_eq(result,
                     "{\"flag\":true,\"whole\":9,\"any\":-9223372036854775808,\"number\":-0.5,"
                     "\"name\":\"A\\\\d\xc3\xa4\",\"mood\":\"gr\xc3\xb6\xc3\x9f"
                     "er\",\"text\":\"t\\u0000\",\"blob\":\"/wBi\",\"raw\":{\"x\": [1e400]},"
                     "\"one\":{\"sku\":\"one\",\"price\":1000000},"
                     "\"items\":[{\"sku\":\"a\\\"b\",\"price\":0.1},{\"sku\":\"c\"}],"
                     "\"numbers\":[-5,0,5],\"moods\":[\"gr\xc3\xb6\xc3\x9f"
                     "er\",\"calm\"],\"names\":[\"\",\"gr\xc3\xb6\xc3\x9f\\u0001\"]}");
    struct pillion_request *req = fresh(table);
    method.args = takes;
    req->params = bytes_of(result);
    ck_assert(param_read(req));
    const struct order *back = req->args;
    ck_assert(back->flag && back->gave_any && back->any == INT64_MIN && back->number == -0.5);
    ck_assert_uint_eq(back->text.size, 2);
    ck_assert_mem_eq(back->blob.data, "\xff\0b", 3);
    char kept[4096];
    snprintf(kept, sizeof(kept), "%s", result);
    req->params = bytes_of(kept);
    param_reply(req, "order", back);
    ck_assert_str_eq(replied(), kept);
    pool_reset(&pool);
    param_table_free(table);
    param_table_free(takes);
}
END_TEST

START_TEST(what_is_not_there_is_left_out)
{
    struct param_table *table = made();
    struct order order = good_order();

    order.any = 7;
    param_reply(fresh(table), "order", &order);
    ck_assert_str_eq(replied(), "{\"flag\":false,\"whole\":1,\"number\":0,\"mood\":\"calm\","
                                "\"items\":[],\"numbers\":[],\"moods\":[],\"names\":[]}");
    order.text = (pillion_bytes){"", 0};
    order.blob = (pillion_bytes){"", 0};
    order.gave_any = true;
    param_reply(fresh(table), "order", &order);
    ck_assert_str_eq(replied(), "{\"flag\":false,\"whole\":1,\"any\":7,\"number\":0,"
                                "\"mood\":\"calm\",\"text\":\"\",\"blob\":\"\","
                                "\"items\":[],\"numbers\":[],\"moods\":[],\"names\":[]}");
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(structures_are_written_into_what_is_written)
{
    struct param_table *table = made();
    struct item items[] = {{"a", 0, false}, {"b", 2, true}};
    struct order order = good_order();
    struct pillion_request *req = fresh(table);

    result_begin(req, "all", false);
    result_begin(req, "items", true);
    for (size_t i = 0; i < 2; i++)
        param_put(req, NULL, item_rows, &items[i]);
    result_end(req);
    param_put(req, "order", rows, &order);
    ck_assert(!req->answered);
    result_end(req);
    ck_assert_str_eq(replied(),
                     "{\"items\":[{\"sku\":\"a\"},{\"sku\":\"b\",\"price\":2}],\"order\":"
                     "{\"flag\":false,\"whole\":1,\"number\":0,\"mood\":\"calm\","
                     "\"items\":[],\"numbers\":[],\"moods\":[],\"names\":[]}}");
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(the_schema_says_what_is_always_there)
{
    struct param_table *table = made();

    ck_assert_str_eq(
        table->schema,
        "{\"type\":\"object\",\"properties\":{"
        "\"flag\":{\"type\":\"boolean\"},"
        "\"whole\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9},"
        "\"any\":{\"type\":\"integer\"},"
        "\"number\":{\"type\":\"number\"},"
        "\"name\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":5},"
        "\"mood\":{\"type\":\"string\",\"enum\":[\"calm\",\"gr\xc3\xb6\xc3\x9f"
        "er\"]},"
        "\"text\":{\"type\":\"string\",\"maxLength\":3},"
        "\"blob\":{\"type\":\"string\",\"contentEncoding\":\"base64\",\"maxLength\":8},"
        "\"raw\":{},"
        "\"one\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"minLength\":1,"
        "\"maxLength\":8,\"description\":\"What.\"},\"price\":{\"type\":\"number\",\"minimum\":0,"
        "\"maximum\":1e6}},\"required\":[\"sku\"]},"
        "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"sku\":"
        "{\"type\":\"string\",\"minLength\":1,\"maxLength\":8,\"description\":\"What.\"},"
        "\"price\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1e6}},"
        "\"required\":[\"sku\"]},\"maxItems\":3},"
        "\"numbers\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":-5,"
        "\"maximum\":5}},"
        "\"moods\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"calm\","
        "\"gr\xc3\xb6\xc3\x9f"
        "er\"]}},"
        "\"names\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
        "\"required\":[\"flag\",\"whole\",\"number\",\"mood\",\"items\",\"numbers\",\"moods\","
        "\"names\"]}");
    param_table_free(table);
}
END_TEST

/* ---- Mistakes ---- */

/* A structure of which one member is wrong. */
static void wrong_whole(struct order *order)
{
    order->whole = 10;
}

static void wrong_number(struct order *order)
{
    order->number = (double)NAN;
}

static void wrong_bound(struct order *order)
{
    order->gave_one = true;
    order->one = (struct item){"a", -0.25, true};
}

static void wrong_required(struct order *order)
{
    order->gave_one = true;
}

static void wrong_word(struct order *order)
{
    order->mood = 2;
}

static void wrong_low_word(struct order *order)
{
    order->mood = -1;
}

static void wrong_text(struct order *order)
{
    order->name = "a\xff";
}

static void wrong_length(struct order *order)
{
    order->name = "gr\xc3\xb6\xc3\x9f"
                  "er";
}

static void wrong_bytes(struct order *order)
{
    order->blob = (pillion_bytes){"12345", 5};
}

static void wrong_json(struct order *order)
{
    order->raw = (pillion_bytes){"{\"a\":}", 6};
}

static void wrong_count(struct order *order)
{
    static struct item items[4] = {{"a", 0, 0}, {"a", 0, 0}, {"a", 0, 0}, {"a", 0, 0}};

    order->items = (pillion_array){items, 4};
}

static void wrong_item(struct order *order)
{
    static struct item items[2] = {{"a", 0, 0}, {"a", (double)INFINITY, true}};

    order->items = (pillion_array){items, 2};
}

static void wrong_list(struct order *order)
{
    order->numbers = (pillion_array){NULL, 3};
}

static void wrong_element(struct order *order)
{
    static const char *names[] = {"a", NULL};

    order->names = (pillion_array){names, 2};
}

static const struct {
    void (*change)(struct order *order);
    const char *mistake;
} mistakes[] = {
    {wrong_whole, "result.whole: a whole number from 1 to 9, got 10"},
    {wrong_number, "result.number: a number, got nan"},
    {wrong_bound, "result.one.price: a number from 0 to 1e6, got -0.25"},
    {wrong_required, "result.one.sku: a string of 1 to 8 characters, got NULL"},
    {wrong_word, "result.mood: one of \"calm\", \"gr\xc3\xb6\xc3\x9f"
                 "er\", got the index 2, which is no word's"},
    {wrong_low_word, "result.mood: one of \"calm\", \"gr\xc3\xb6\xc3\x9f"
                     "er\", got the index -1, which is no word's"},
    {wrong_text, "result.name: a string of 2 to 5 characters, got bytes that are no UTF-8"},
    {wrong_length, "result.name: a string of 2 to 5 characters, got 6 characters"},
    {wrong_bytes, "result.blob: base64 of at most 4 bytes, got 5 bytes"},
    {wrong_json, "result.raw: any value, got no valid JSON: a value is missing, at byte 5"},
    {wrong_count, "result.items: a list of at most 3 items, got 4"},
    {wrong_item, "result.items[1].price: a number from 0 to 1e6, got inf"},
    {wrong_list, "result.numbers: a list, got 3 at NULL"},
    {wrong_element, "result.names[1]: a string, got NULL"},
};

START_TEST(values_that_are_not_as_the_table_says_are_mistakes)
{
    struct param_table *table = made();

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        struct order order = good_order();
        mistakes[i].change(&order);
        param_reply(fresh(table), "order", &order);
        failed_by(mistakes[i].mistake);
    }
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(required_members_have_to_be_given)
{
    static const pillion_param needs[] = {PILLION_PARAM(struct item, price, PILLION_NUMBER,
                                                        .required = true,
                                                        .given = offsetof(struct item, priced)),
                                          {0}};
    struct error error;
    struct param_table *table = param_table_make_gives(needs, sizeof(struct item), &error);

    param_reply(fresh(table), "item", &(struct item){0});
    failed_by("result.price: a number, got nothing");
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(a_mistake_in_a_part_is_told_by_the_parts_name)
{
    struct param_table *table = made();
    struct pillion_request *req = fresh(table);

    result_begin(req, "all", false);
    param_put(req, "first", item_rows, &(struct item){"a", -1, true});
    param_put(req, "second", item_rows, &(struct item){NULL, 0, false});
    result_end(req);
    failed_by("first.price: a number from 0 to 1e6, got -1");
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(misuse_is_told)
{
    struct param_table *table = made();
    struct order order = good_order();
    static const struct filter_use filter = {0};

    param_reply(fresh(NULL), "order", &order);
    failed_by("pillion_reply_struct is for handlers of methods with PILLION_GIVES");
    struct pillion_request *req = fresh(table);
    req->filter = &filter;
    param_reply(req, "order", &order);
    failed_by("pillion_reply_struct is for handlers of methods with PILLION_GIVES");
    param_reply(fresh(table), "order", NULL);
    failed_by("pillion_reply_struct was given NULL");
    req = fresh(table);
    result_begin(req, "all", false);
    param_reply(req, "order", &order);
    failed_by("pillion_reply_struct within a result that it has begun (pillion_put_struct)");
    req = fresh(table);
    result_begin(req, "all", false);
    param_put(req, "x", rows + 1, &order);
    result_end(req);
    failed_by("pillion_put_struct was given a table that is not in its method's PILLION_GIVES");
    req = fresh(table);
    result_begin(req, "all", false);
    param_put(req, "x", rows, NULL);
    result_end(req);
    failed_by("pillion_put_struct was given NULL");
    req = fresh(table);
    param_put(req, "x", rows, &order); /* begun is nothing: it is dropped, and logged */
    ck_assert(!req->answered && req->result == NULL);
    pool_reset(&pool);
    param_table_free(table);
}
END_TEST

START_TEST(mistakes_in_a_table_call_its_rows_members)
{
    static const pillion_param twice[] = {
        PILLION_PARAM(struct item, sku, PILLION_STRING),
        PILLION_PARAM(struct item, sku, PILLION_STRING),
        {0},
    };
    struct error error = {0};

    ck_assert_ptr_null(param_table_make_gives(twice, sizeof(struct item), &error));
    ck_assert_str_eq(error.text, "the member \"sku\" is in the table twice");
}
END_TEST

UNIT_MAIN("param_write", every_type_is_written_and_reads_back_the_same,
          what_is_not_there_is_left_out, structures_are_written_into_what_is_written,
          the_schema_says_what_is_always_there, values_that_are_not_as_the_table_says_are_mistakes,
          required_members_have_to_be_given, a_mistake_in_a_part_is_told_by_the_parts_name,
          misuse_is_told, mistakes_in_a_table_call_its_rows_members)
