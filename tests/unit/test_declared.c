/* What a configuration may declare of a method: see core/module/declared.h. */
#include "unit.h"

#include <string.h>

#include "module/declared.h"

static struct pool pool;
static struct declared declared;
static struct text advice;
static struct error error;

static bool read_it(const char *text, bool lenient)
{
    text_clear(&advice);
    return declared_read(text, lenient, &pool, &declared, &advice, &error);
}

START_TEST(what_is_declared_is_read)
{
    ck_assert(read_it(" {\"summary\":\"Buys \\\"it\\\".\",\"title\":\"B\\u00fcy\","
                      "\"params\": {\"type\":\"object\"} ,\"result\":{\"type\":\"string\"},"
                      "\"idempotent\":true,\"read_only\":false} ",
                      false));
    ck_assert_str_eq(declared.summary, "Buys \"it\".");
    ck_assert_str_eq(declared.title, "B\xc3\xbcy");
    ck_assert_str_eq(declared.params, "{\"type\":\"object\"}");
    ck_assert_str_eq(declared.result, "{\"type\":\"string\"}");
    ck_assert(*declared.idempotent);
    ck_assert(!*declared.read_only);
    ck_assert_ptr_null(declared.additive);
    ck_assert(read_it("{}", false));
    ck_assert_ptr_null(declared.summary);
}
END_TEST

static const struct {
    const char *text, *wrong;
    bool unknown; /* and passed over in silence where it is lenient */
} mistakes[] = {
    {"", "not valid JSON", false},
    {"{\"summary\":\"x\"", "not valid JSON", false},
    {"[]", "no JSON object", false},
    {"{\"summary\":5}", "\"summary\" is no string of one line", false},
    {"{\"summary\":\"a\\nb\"}", "\"summary\" is no string of one line", false},
    {"{\"title\":\"a\\u0000b\"}", "\"title\" is no string of one line", false},
    {"{\"title\":\"\\ud800\"}", "\"title\" is no string of one line", false},
    {"{\"params\":{\"type\":\"objekt\"}}", "\"params\" is no schema that can be enforced: /type",
     false},
    {"{\"result\":5}", "\"result\" is no schema that can be enforced", false},
    {"{\"idempotent\":1}", "\"idempotent\" is true or false", false},
    {"{\"sumary\":\"x\"}", "there is no member \"sumary\"; did you mean \"summary\"?", true},
    {"{\"name\":\"x\"}", "there is no member \"name\"", true},
};

START_TEST(mistakes_are_told)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        ck_assert_msg(!read_it(mistakes[i].text, false), "%s", mistakes[i].text);
        ck_assert_msg(strstr(error.text, mistakes[i].wrong) != NULL, "%s", error.text);
    }
}
END_TEST

START_TEST(what_another_server_got_wrong_is_left_out)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        ck_assert_msg(read_it(mistakes[i].text, true), "%s", mistakes[i].text);
        const char *told = text_string(&advice);
        ck_assert_msg((strstr(told, mistakes[i].wrong) == NULL) == mistakes[i].unknown, "%s", told);
        ck_assert(mistakes[i].unknown || strstr(told, ": it is left out\n") != NULL);
    }
    ck_assert(read_it("{\"params\":{\"type\":7},\"summary\":\"Good.\"}", true));
    ck_assert_str_eq(declared.summary, "Good.");
    ck_assert_ptr_null(declared.params);
}
END_TEST

/* {"params":{"anyOf":[ITEM,ITEM,…]}} */
static const char *many_of(const char *item, unsigned count)
{
    static struct text text;

    text_clear(&text);
    text_append_string(&text, "{\"params\":{\"anyOf\":[");
    for (unsigned i = 0; i < count; i++)
        text_printf(&text, "%s%s", i == 0 ? "" : ",", item);
    text_append_string(&text, "]}}");
    return text_string(&text);
}

/* What an operator writes is the operator's own memory; what strangers write into a registry is not
 * theirs. */
START_TEST(a_small_text_of_another_server_takes_no_large_memory)
{
    ck_assert(read_it(many_of("{\"pattern\":\"a{1999}\"}", 30), false));
    ck_assert_ptr_nonnull(declared.params);
    ck_assert(read_it(many_of("{\"pattern\":\"a{1999}\"}", 30), true));
    ck_assert_ptr_null(declared.params);
    ck_assert_ptr_nonnull(strstr(text_string(&advice), "too much for a text of"));
    ck_assert(read_it(many_of("{}", 20000), true));
    ck_assert_ptr_null(declared.params);
    ck_assert(read_it(many_of("{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}", 30), true));
    ck_assert_str_eq(text_string(&advice), "");
    ck_assert_ptr_nonnull(declared.params);
}
END_TEST

UNIT_MAIN("declared", what_is_declared_is_read, mistakes_are_told,
          what_another_server_got_wrong_is_left_out,
          a_small_text_of_another_server_takes_no_large_memory)
