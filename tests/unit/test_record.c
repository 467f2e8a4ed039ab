/* Records of a registry: what is written can be read, and what others have written is believed only
 * after a look. */
#include "registry/record.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "registry/method_sets.h"

#include "unit.h"

#define KEY "/pillion/shop/10.0.0.1:8080"

static struct error error;

static bool reads(const char *key, const char *value, struct record *record)
{
    return record_read(bytes_of(key), bytes_of(value), record, &error);
}

static void expect_bad(const char *value, const char *why)
{
    struct record record;

    ck_assert(!reads(KEY, value, &record));
    ck_assert_str_eq(error.text, why);
}

START_TEST(what_is_written_can_be_read)
{
    const struct registry_offer offer = {.address = "10.0.0.1:8080",
                                         .weight = 50,
                                         .methods = "[{\"name\":\"pay\",\"idempotent\":true}]",
                                         .generation = 7,
                                         .started = "2026-01-31T12:34:56.789Z"};
    struct text text = {0};
    struct record record;

    record_write(&offer, &text);
    cJSON *value = cJSON_Parse(text_string(&text));
    ck_assert_ptr_nonnull(value);
    ck_assert_int_eq(cJSON_GetObjectItem(value, "generation")->valueint, 7);
    ck_assert_str_eq(cJSON_GetObjectItem(value, "started")->valuestring, offer.started);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(value, "version"));
    cJSON_Delete(value);
    ck_assert_msg(reads(KEY, text_string(&text), &record), "%s", error.text);
    ck_assert_str_eq(record.address, "10.0.0.1:8080");
    ck_assert_uint_eq(record.weight, 50);
    ck_assert_int_eq(cJSON_GetArraySize(record.methods), 1);
    record_free(&record);
    text_free(&text);
}
END_TEST

START_TEST(methods_that_are_no_json_are_not_written)
{
    static const char *const wrong[] = {"", "[", "{}", "[1],\"weight\":9,\"x\":[", "[\"\xff\"]"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        const struct registry_offer offer = {.address = "10.0.0.1:8080",
                                             .weight = 100,
                                             .methods = wrong[i],
                                             .started = "2026-01-31T12:34:56.789Z"};
        struct text text = {0};
        struct record record;
        record_write(&offer, &text);
        ck_assert_msg(reads(KEY, text_string(&text), &record), "%s", error.text);
        ck_assert_ptr_null(record.methods);
        ck_assert_uint_eq(record.weight, 100);
        record_free(&record);
        text_free(&text);
    }
}
END_TEST

START_TEST(a_record_needs_no_more_than_its_address)
{
    struct record record;

    ck_assert(reads(KEY, "{\"address\":\"10.0.0.1:8080\",\"of a later version\":[{}]}", &record));
    ck_assert_uint_eq(record.weight, RECORD_WEIGHT);
    ck_assert_ptr_null(record.methods);
    record_free(&record);
    ck_assert(reads("/shop/unix:/run/shop.sock", "{\"address\":\"unix:/run/shop.sock\"}", &record));
    record_free(&record);
    ck_assert(reads("/shop/[2001:db8::1]:80", "{\"address\":\"[2001:db8::1]:80\"}", &record));
    record_free(&record);
}
END_TEST

START_TEST(records_that_make_no_sense_are_refused)
{
    expect_bad("", "it is no JSON: the text is empty, at byte 0");
    expect_bad("[]", "it is no JSON object");
    expect_bad("{}", "it has no \"address\"");
    expect_bad("{\"address\":7}", "it has no \"address\"");
    expect_bad("{\"address\":\"shop.example:8080\"}", "its \"address\" is none that can be called");
    expect_bad("{\"address\":\"10.0.0.1:08080\"}", "its \"address\" is none that can be called");
    expect_bad("{\"address\":\"unix:relative\"}", "its \"address\" is none that can be called");
    expect_bad("{\"address\":\"10.0.0.2:8080\"}",
               "its \"address\" is not the one that its key ends with");
    expect_bad("{\"address\":\"10.0.0.1:8080\",\"weight\":0}",
               "its \"weight\" is no number from 1 to 1000");
    expect_bad("{\"address\":\"10.0.0.1:8080\",\"weight\":1.5}",
               "its \"weight\" is no number from 1 to 1000");
    expect_bad("{\"address\":\"10.0.0.1:8080\",\"weight\":1e300}",
               "its \"weight\" is no number from 1 to 1000");
    expect_bad("{\"address\":\"10.0.0.1:8080\",\"methods\":{}}",
               "its \"methods\" are no list of at most 1024");
    expect_bad("{\"address\":\"10.0.0.1:8080\",\"a\":\"\\u0000\"}", "it has a \\u0000");
}
END_TEST

START_TEST(a_record_has_its_bounds)
{
    struct text text = {0};
    struct record record;

    text_append_string(&text, "{\"address\":\"10.0.0.1:8080\",\"x\":\"");
    while (text.size < RECORD_MAX)
        text_append_char(&text, 'x');
    text_append_string(&text, "\"}");
    ck_assert(!reads(KEY, text_string(&text), &record));
    ck_assert_ptr_nonnull(strstr(error.text, "and may have 524288"));
    text_free(&text);
    text_append_string(&text, "{\"address\":\"10.0.0.1:8080\",\"x\":");
    for (unsigned i = 0; i < RECORD_DEPTH_MAX; i++)
        text_append_char(&text, '[');
    for (unsigned i = 0; i < RECORD_DEPTH_MAX; i++)
        text_append_char(&text, ']');
    text_append_string(&text, "}");
    ck_assert(!reads(KEY, text_string(&text), &record));
    text_free(&text);
}
END_TEST

START_TEST(equal_methods_are_one_set)
{
    cJSON *one = cJSON_Parse("[{\"name\":\"b\",\"summary\":\"B\"},{\"name\":\"a\"}]");
    cJSON *same = cJSON_Parse("[{\"name\": \"b\", \"summary\": \"B\"}, {\"name\": \"a\"}]");
    cJSON *other = cJSON_Parse("[{\"name\":\"a\"}]");

    struct method_set *set = method_sets_take(one);
    ck_assert_ptr_eq(method_sets_take(same), set);
    struct method_set *another = method_sets_take(other);
    ck_assert_ptr_ne(another, set);
    ck_assert_uint_eq(set->methods.count, 2);
    ck_assert_str_eq(set->methods.items[0].name, "a");
    ck_assert_str_eq(set->methods.items[0].about, "{}");
    ck_assert_str_eq(set->methods.items[1].name, "b");
    ck_assert_str_eq(set->methods.items[1].about, "{\"summary\":\"B\"}");
    method_sets_release(set);
    method_sets_release(set);
    method_sets_release(another);
    cJSON_Delete(one);
    cJSON_Delete(same);
    cJSON_Delete(other);
}
END_TEST

START_TEST(methods_without_a_right_name_are_left_out)
{
    cJSON *array = cJSON_Parse("[{\"name\":\"a\"},{\"name\":\"a\",\"summary\":\"twice\"},{},7,"
                               "{\"name\":\"\"},{\"name\":\"with space\"},{\"name\":7}]");
    struct method_set *set = method_sets_take(array);

    ck_assert_uint_eq(set->methods.count, 1);
    ck_assert_str_eq(set->methods.items[0].name, "a");
    method_sets_release(set);
    cJSON_Delete(array);
}
END_TEST

START_TEST(there_are_only_so_many_different_sets)
{
    struct method_set *sets[METHOD_SETS_MAX];
    char text[64];

    for (unsigned i = 0; i <= METHOD_SETS_MAX; i++) {
        snprintf(text, sizeof(text), "[{\"name\":\"m%u\"}]", i);
        cJSON *array = cJSON_Parse(text);
        struct method_set *set = method_sets_take(array);
        ck_assert((set == NULL) == (i == METHOD_SETS_MAX));
        if (set != NULL)
            sets[i] = set;
        cJSON_Delete(array);
    }
    for (unsigned i = 0; i < METHOD_SETS_MAX; i++)
        method_sets_release(sets[i]);
}
END_TEST

UNIT_MAIN("record", what_is_written_can_be_read, methods_that_are_no_json_are_not_written,
          a_record_needs_no_more_than_its_address, records_that_make_no_sense_are_refused,
          a_record_has_its_bounds, equal_methods_are_one_set,
          methods_without_a_right_name_are_left_out, there_are_only_so_many_different_sets)
