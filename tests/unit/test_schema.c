/* Schemas: which values they take, what is said of others, and which texts are refused as schemas.
 * See core/rpc/schema.h and schema_check.h. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "guarded.h"
#include "must.h"
#include "rpc/schema.h"
#include "rpc/schema_check.h"
#include "rpc/schema_node.h"
#include "wire/json.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct pool pool;
static struct faults faults;

static struct schema *made(const char *text)
{
    struct error error = {0};
    struct schema *schema = schema_make(bytes_of(text), &error);

    ck_assert_msg(schema != NULL, "%s: %s", text, error.text);
    return schema;
}

static bool takes(const struct schema *schema, struct bytes value)
{
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;

    must(json_check(value, &limits, &error));
    pool_reset(&pool);
    faults = (struct faults){.pool = &pool};
    schema_check(schema, value, "params", &faults);
    ck_assert(!faults.exhausted);
    return faults.count == 0;
}

/* For each schema, values that it takes, and values that it does not. */
static const struct {
    const char *schema;
    const char *right[12], *wrong[12];
} cases[] = {
    {"true", {"1", "{}", "null"}, {NULL}},
    {"{}", {"1", "\"\"", "[null]"}, {NULL}},
    {"false", {NULL}, {"1", "{}", "null"}},
    /* type */
    {"{\"type\":\"string\"}", {"\"\"", "\"\\u00e4\""}, {"1", "null", "[]", "{}", "true"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"0", "null", "\"true\""}},
    {"{\"type\":\"null\"}", {"null"}, {"false", "0", "{}"}},
    {"{\"type\":\"number\"}", {"1", "-1.5", "1e999"}, {"\"1\"", "null"}},
    {"{\"type\":\"integer\"}",
     {"1", "1.0", "1e3", "-0", "123456789012345678901234567890", "12.50e1"},
     {"1.5", "1e-400", "1.00000000000000000000000001", "\"1\"", "true"}},
    {"{\"type\":[\"integer\",\"string\",\"null\"]}", {"1", "\"\"", "null"}, {"1.5", "[]", "true"}},
    {"{\"type\":[\"integer\",\"number\"]}", {"1", "1.5"}, {"\"\""}},
    /* enum, const: by what values are worth */
    {"{\"enum\":[\"a\",1,null,[1,{\"x\":2,\"y\":3}]]}",
     {"\"a\"", "\"\\u0061\"", "1", "1.0", "10e-1", "null", "[1.0,{\"y\":3,\"x\":2}]"},
     {"\"A\"", "true", "0", "[]", "[1,{\"x\":2}]", "[1,{\"x\":2,\"y\":3,\"z\":1}]"}},
    {"{\"enum\":[]}", {NULL}, {"1", "null"}},
    {"{\"const\":9007199254740993}",
     {"9007199254740993", "9007199254740993.0"},
     {"9007199254740992", "9007199254740994"}},
    {"{\"const\":{\"a\":false}}", {"{\"a\":false}"}, {"{\"a\":0}", "{\"a\":[false]}", "{}"}},
    {"{\"const\":\"\\ud83d\\ude00\"}", {"\"😀\""}, {"\"😁\"", "\"\\ud83d\""}},
    /* numbers, exactly */
    {"{\"minimum\":1.1}",
     {"1.1", "2", "\"x\"", "1.10", "11e-1"},
     {"1.0999999999999999999999", "-2"}},
    {"{\"maximum\":18446744073709551616}",
     {"18446744073709551616", "1"},
     {"18446744073709551617", "18446744073709551616.1"}},
    {"{\"exclusiveMinimum\":0}", {"1e-400", "1"}, {"0", "-0.0", "0e5", "-1e-400"}},
    {"{\"exclusiveMaximum\":-1}", {"-1.0000000000000000000001", "-2"}, {"-1", "0", "-0.9"}},
    {"{\"multipleOf\":0.01}",
     {"19.99", "0", "4.35", "1e300", "-0.07"},
     {"0.001", "19.995", "1e-300"}},
    {"{\"multipleOf\":3}",
     {"9", "-9", "9e0", "123456789012345678901234567890", "0.3e1"},
     {"10", "1e50", "1.5", "123456789012345678901234567891"}},
    {"{\"multipleOf\":16}", {"1e4", "1e99999999", "160"}, {"1e3", "8"}},
    /* strings: characters, not bytes */
    {"{\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"äöü\"", "\"😀😀\"", "\"\\ud83d\\ude00x\"", "1"},
     {"\"\"", "\"ä\"", "\"😀😀😀😀\"", "\"\\u00e4\""}},
    {"{\"pattern\":\"^a+$\"}", {"\"a\"", "\"aaa\"", "5"}, {"\"\"", "\"ba\"", "\"ab\""}},
    /* arrays */
    {"{\"items\":{\"type\":\"integer\"}}", {"[]", "[1,2]", "{}"}, {"[1,\"x\"]", "[[]]"}},
    {"{\"items\":false}", {"[]", "1"}, {"[1]"}},
    {"{\"prefixItems\":[{\"type\":\"string\"},true],\"items\":{\"type\":\"null\"}}",
     {"[]", "[\"a\"]", "[\"a\",5,null]"},
     {"[1]", "[\"a\",5,6]"}},
    {"{\"minItems\":1,\"maxItems\":2}", {"[1]", "[ [] , {} ]", "\"\""}, {"[]", "[1,2,3]"}},
    {"{\"contains\":{\"const\":5}}", {"[5]", "[1,5,5]"}, {"[]", "[1,2]"}},
    {"{\"contains\":{\"type\":\"string\"},\"minContains\":0,\"maxContains\":1}",
     {"[]", "[1,\"a\"]"},
     {"[\"a\",\"b\"]"}},
    {"{\"contains\":true,\"minContains\":2}", {"[1,2]"}, {"[1]"}},
    {"{\"minContains\":2}", {"[]"}, {NULL}},
    {"{\"uniqueItems\":true}",
     {"[]", "[1]", "[1,2]", "[1,true,\"1\",[1],{\"a\":1}]", "[0,false,null,\"\"]", "[[1,2],[2,1]]"},
     {"[1,1]", "[1,1.0]", "[0,-0]", "[{\"a\":1,\"b\":2},3,{\"b\":2,\"a\":1}]",
      "[\"a\",\"\\u0061\"]", "[[],[ ]]", "[1e2,2,100]"}},
    {"{\"uniqueItems\":false}", {"[1,1]"}, {NULL}},
    /* objects */
    {"{\"properties\":{\"a\":{\"type\":\"string\"},\"b\\\"\":{\"type\":\"null\"}}}",
     {"{}", "{\"a\":\"x\"}", "{\"c\":1}", "{\"b\\u0022\":null}", "[]"},
     {"{\"a\":1}", "{\"\\u0061\":1}", "{\"b\\\"\":1}", "{\"a\":\"x\",\"a\":1}"}},
    {"{\"required\":[\"a\",\"b\"]}",
     {"{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2,\"\\u0061\":0}", "1"},
     {"{}", "{\"a\":1}", "{\"b\":1}"}},
    {"{\"properties\":{\"a\":true},\"additionalProperties\":false}",
     {"{}", "{\"a\":1}"},
     {"{\"b\":1}", "{\"a\":1,\"\":1}"}},
    {"{\"properties\":{\"a\":true},\"patternProperties\":{\"^x-\":{\"type\":\"integer\"}},"
     "\"additionalProperties\":{\"type\":\"boolean\"}}",
     {"{\"a\":\"z\",\"x-1\":5,\"other\":true}"},
     {"{\"x-1\":\"\"}", "{\"other\":1}", "{\"\\u0078-1\":true}"}},
    {"{\"propertyNames\":{\"maxLength\":2}}", {"{\"ab\":1,\"😀😀\":2}"}, {"{\"abc\":1}"}},
    {"{\"minProperties\":1,\"maxProperties\":2}",
     {"{\"a\":1}", "[]"},
     {"{}", "{\"a\":1,\"b\":2,\"c\":3}"}},
    {"{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}",
     {"{}", "{\"b\":1}", "{\"a\":1,\"b\":1,\"c\":1}"},
     {"{\"a\":1}", "{\"a\":1,\"b\":1}"}},
    {"{\"dependentSchemas\":{\"a\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}",
     {"{\"b\":1}", "{\"a\":1,\"b\":null}"},
     {"{\"a\":1,\"b\":1}"}},
    /* several schemas for a value */
    {"{\"allOf\":[{\"minimum\":2},{\"maximum\":4}]}", {"3", "\"\""}, {"1", "5"}},
    {"{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":2}]}", {"\"\"", "2", "null"}, {"1"}},
    {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", {"3", "5", "9"}, {"15", "7"}},
    {"{\"not\":{\"type\":\"integer\"}}", {"1.5", "\"\""}, {"1"}},
    {"{\"not\":{\"not\":{\"minimum\":3}}}", {"3"}, {"2"}},
    {"{\"if\":{\"minimum\":10},\"then\":{\"multipleOf\":10},\"else\":{\"maximum\":5}}",
     {"20", "3"},
     {"11", "7"}},
    {"{\"if\":false,\"then\":false}", {"1"}, {NULL}},
    {"{\"then\":false,\"else\":false}", {"1"}, {NULL}},
    /* references */
    {"{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#/$defs/n\"}},"
     "\"additionalProperties\":false}},\"$ref\":\"#/$defs/n\"}",
     {"{}", "{\"next\":{\"next\":{}}}"},
     {"{\"next\":1}", "{\"next\":{\"next\":{\"x\":1}}}"}},
    {"{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", {"[]", "[[],[[]]]"}, {"[1]", "[[[1]]]"}},
    {"{\"$defs\":{\"a/b~c %\":{\"type\":\"null\"}},\"$ref\":\"#/$defs/a~1b~0c%20%25\"}",
     {"null"},
     {"1"}},
    {"{\"$ref\":\"#/allOf/0\",\"allOf\":[{\"type\":\"number\"}],\"maximum\":3}",
     {"1"},
     {"\"\"", "4"}},
    /* what only describes */
    {"{\"$schema\":\"x\",\"$id\":\"y\",\"title\":1,\"description\":2,\"default\":3,\"format\":"
     "\"email\","
     "\"examples\":4,\"$comment\":5,\"deprecated\":true,\"readOnly\":true,\"x-type\":\"string\","
     "\"contentMediaType\":\"text\",\"$anchor\":\"a\",\"something\":{}}",
     {"1"},
     {NULL}},
};

START_TEST(values_are_right_by_their_schema)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schema *schema = made(cases[i].schema);
        for (const char *const *right = cases[i].right; *right != NULL; right++)
            ck_assert_msg(takes(schema, guarded(bytes_of(*right))), "%s refuses %s: %s: %s",
                          cases[i].schema, *right, faults.of[0]->path, faults.of[0]->text);
        for (const char *const *wrong = cases[i].wrong; *wrong != NULL; wrong++)
            ck_assert_msg(!takes(schema, guarded(bytes_of(*wrong))), "%s takes %s", cases[i].schema,
                          *wrong);
        schema_free(schema);
    }
}
END_TEST

/* The same values, a level further in. */
START_TEST(values_are_right_within_others)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (strstr(cases[i].schema, "\"#") != NULL || strstr(cases[i].schema, "$id") != NULL)
            continue;
        struct text text = {0}, value = {0};
        text_printf(&text, " { \"properties\" : { \"v\" : { \"items\" : %s } } } ",
                    cases[i].schema);
        struct schema *schema = made(text.data);
        for (unsigned wrong = 0; wrong < 2; wrong++) {
            for (const char *const *v = wrong ? cases[i].wrong : cases[i].right; *v != NULL; v++) {
                text_clear(&value);
                text_printf(&value, " { \"w\" : 1 , \"v\" : [ %s , %s ] } ", *v, *v);
                ck_assert_msg(takes(schema, (struct bytes){value.data, value.size}) == !wrong,
                              "%s: %s", cases[i].schema, *v);
                ck_assert(!wrong || faults.count >= 2);
            }
        }
        text_free(&text);
        text_free(&value);
        schema_free(schema);
    }
}
END_TEST

/* What is said of a value, all in a row. */
static const char *said(const char *schema_text, const char *value)
{
    static char all[8192];
    struct schema *schema = made(schema_text);
    char *to = all;

    ck_assert_msg(!takes(schema, guarded(bytes_of(value))), "%s takes %s", schema_text, value);
    for (size_t i = 0; i < faults.count && i < FAULTS_MAX; i++)
        to += sprintf(to, "%s%s: %s", i == 0 ? "" : "; ", faults.of[i]->path, faults.of[i]->text);
    schema_free(schema);
    return all;
}

#define ITEMS                                                                                      \
    "{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"minItems\":1,"           \
    "\"items\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"minLength\":1," \
    "\"maxLength\":8},\"price\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1e6}},"             \
    "\"required\":[\"sku\"],\"additionalProperties\":false}},"                                     \
    "\"mood\":{\"enum\":[\"calm\",\"cheerful\"]}},\"required\":[\"items\"]}"

START_TEST(faults_name_their_place_and_what_was_wanted)
{
    static const struct {
        const char *schema, *value, *said;
    } rows[] = {
        {ITEMS, "[]", "params: an object, got a list"},
        {ITEMS, "{}", "params.items: a list of at least 1 item, got nothing"},
        {ITEMS, "{\"items\":[]}", "params.items: a list of at least 1 item, got 0"},
        {ITEMS, "{\"items\":[{\"sku\":\"a\"},{\"skv\":\"b\",\"price\":\"5\"}],\"mood\":\"sad\"}",
         "params.items[1].skv: there is no member of this name; did you mean \"sku\"?; "
         "params.items[1].price: a number from 0 to 1e6, got a string; "
         "params.items[1].sku: a string of 1 to 8 characters, got nothing; "
         "params.mood: one of \"calm\", \"cheerful\", got \"sad\""},
        {ITEMS, "{\"items\":[{\"sku\":\"123456789\",\"price\":-1}]}",
         "params.items[0].sku: a string of 1 to 8 characters, got 9 characters; "
         "params.items[0].price: a number from 0 to 1e6, got -1"},
        {"{\"type\":[\"string\",\"integer\",\"null\"],\"minimum\":1}", "true",
         "params: a string or a whole number of at least 1 or null, got true"},
        {"{\"exclusiveMinimum\":0,\"maximum\":9,\"multipleOf\":2}", "10",
         "params: a number of at most 9 and above 0, a multiple of 2, got 10"},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}", "\"A\"",
         "params: a string that matches \"^[a-z]+$\", got another"},
        {"{\"const\":5}", "6", "params: 5, got 6"},
        {"{\"uniqueItems\":true}", "[1,2,1.0]",
         "params[2]: it is the same as [0], and each has to be there once"},
        {"{\"contains\":{\"type\":\"string\"},\"minContains\":2}", "[1,\"a\"]",
         "params: at least 2 of its items of the kind that it has to hold, got 1"},
        {"{\"minProperties\":2}", "{\"a\":1}", "params: an object of at least 2 members, got 1"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
         "params.b: it has to be there beside \"a\", got nothing"},
        {"{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
         "params.ab: a string of at most 1 character, got 2 characters"},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\",\"minimum\":3}]}", "[]",
         "params: a string or a whole number of at least 3, got a list"},
        /* Only one of the forms is an object: that is what was meant. */
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"required\":[\"a\"]}]}", "{}",
         "params.a: any value, got nothing"},
        {"{\"oneOf\":[{\"type\":\"object\",\"required\":[\"a\"]},{\"type\":\"object\",\"required\":"
         "[\"b\"]}]}",
         "{}", "params: it is none of the 2 forms that it may have"},
        {"{\"oneOf\":[true,true,false]}", "1",
         "params: it has more than one of the 3 forms of which it may have one"},
        {"{\"not\":{}}", "1", "params: it is what it must not be"},
        {"{\"properties\":{\"a\":false}}", "{\"a\":1}", "params.a: nothing, got 1"},
        {"{\"required\":[\"a\\nb\"]}", "{}", "params.a\\u000ab: any value, got nothing"},
        {"{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"type\":\"boolean\"}}}", "1",
         "params: true or false, got 1"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_str_eq(said(rows[i].schema, rows[i].value), rows[i].said);
}
END_TEST

START_TEST(faults_beyond_the_eighth_are_counted)
{
    struct schema *schema = made("{\"items\":{\"type\":\"string\"}}");

    ck_assert(!takes(schema, BYTES("[1,2,3,4,5,6,7,8,9,10,11]")));
    ck_assert_uint_eq(faults.count, 11);
    ck_assert_str_eq(faults.of[7]->path, "params[7]");
    schema_free(schema);
}
END_TEST

static void refused(const char *text, const char *why)
{
    struct error error = {0};
    struct schema *schema = schema_make(bytes_of(text), &error);

    ck_assert_msg(schema == NULL, "%.200s is taken", text);
    ck_assert_msg(strstr(error.text, why) != NULL, "%.200s: %s", text, error.text);
}

START_TEST(what_cannot_be_kept_is_refused)
{
    static const char *const rows[][2] = {
        {"1", "this has to be a schema: an object, true or false"},
        {"{\"type\":\"strin\"}", "/type: a type is one of"},
        {"{\"type\":[]}", "/type: this list of types is empty"},
        {"{\"properties\":{\"a\":{\"items\":{\"minimum\":\"1\"}}}}",
         "/properties/a/items/minimum: this has to be a number"},
        {"{\"allOf\":[true,{\"maxLength\":-1}]}",
         "/allOf/1/maxLength: this has to be a whole number of at least 0"},
        {"{\"minItems\":1.5}", "/minItems: this has to be a whole number"},
        {"{\"maximum\":1e999}", "/maximum: this number is too large"},
        {"{\"multipleOf\":0}", "/multipleOf: this has to be above 0"},
        {"{\"multipleOf\":0.1234567890123456789}", "more than 18 digits"},
        {"{\"uniqueItems\":1}", "/uniqueItems: this has to be true or false"},
        {"{\"required\":\"a\"}", "/required: this has to be a list of names"},
        {"{\"required\":[1]}", "/required: this has to be a string"},
        {"{\"properties\":[]}", "/properties: this has to be an object"},
        {"{\"properties\":{\"a\":1}}", "/properties/a: this has to be a schema"},
        {"{\"anyOf\":[]}", "/anyOf: this list of schemas is empty"},
        {"{\"anyOf\":{}}", "/anyOf: this has to be a list of schemas"},
        {"{\"enum\":{}}", "/enum: this has to be a list of values"},
        {"{\"items\":[true]}", "/items: a list of schemas is what drafts before 2020-12 have"},
        {"{\"additionalItems\":false}", "/additionalItems: this is of drafts before 2020-12"},
        {"{\"dependencies\":{}}", "/dependencies: this is of drafts before 2019-09"},
        {"{\"unevaluatedProperties\":false}", "/unevaluatedProperties: what other schemas"},
        {"{\"items\":{\"unevaluatedItems\":false}}", "/items/unevaluatedItems: what other schemas"},
        {"{\"$dynamicRef\":\"#a\"}", "/$dynamicRef: dynamic references are not supported"},
        {"{\"$ref\":\"https://example.com/x\"}", "/$ref: only references within the schema"},
        {"{\"$ref\":\"#anchor\"}", "/$ref: only references within the schema"},
        {"{\"$ref\":\"#/$defs/a\"}", "/$ref: #/$defs/a leads nowhere in this schema"},
        {"{\"$ref\":\"#/x\",\"x\":5}", "/x: this has to be a schema"},
        {"{\"$ref\":1}", "/$ref: this has to be a string"},
        {"{\"$defs\":{\"a\":{\"type\":1}}}", "/$defs/a/type: a type is one of"},
        {"{\"items\":{\"$id\":\"a\"}}", "/items/$id: a schema with a name of its own"},
        {"{\"$ref\":\"#\"}", "a $ref leads back to its own schema"},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"anyOf\":[{\"not\":{\"$ref\":\"#\"}}]}}}",
         "a $ref leads back to its own schema"},
        {"{\"pattern\":\"(?=a)\"}", "/pattern: the pattern cannot be used: lookarounds"},
        {"{\"patternProperties\":{\"a(\":true}}", "/patternProperties/a(: the pattern cannot be"},
        {"{\"propertys\":{}}", "/propertys: this is no keyword; did you mean \"properties\"?"},
        {"{\"items\":{\"minimun\":1}}", "/items/minimun: this is no keyword; did you mean"},
        {"{\"type\":\"null\",\"t\\u0079pe\":\"null\"}", "this keyword is there twice"},
        {"{\"patternProperties\":{\"a\":true},\"patternProperties\":{\"b\":true}}",
         "/patternProperties: this keyword is there twice"},
        {"{\"properties\":{},\"properties\":{}}", "/properties: this keyword is there twice"},
        {"{\"properties\":{\"a\":true,\"\\u0061\":true}}", "this name is there twice"},
        {"{\"a\":1", "the text ends before its value does"},
        {"{\"required\":[\"\\ud800\"]}", "half of a surrogate pair"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        refused(rows[i][0], rows[i][1]);
}
END_TEST

/* `times` times `open`, `inner`, and as often `close`. */
static char *nested(const char *open, const char *inner, const char *close, unsigned times)
{
    struct text text = {0};

    for (unsigned i = 0; i < times; i++)
        text_append_string(&text, open);
    text_append_string(&text, inner);
    for (unsigned i = 0; i < times; i++)
        text_append_string(&text, close);
    return text_take(&text);
}

START_TEST(a_schema_has_limits)
{
    char *text = nested("{\"items\":", "true", "}", SCHEMA_DEPTH_MAX);
    schema_free(made(text));
    free(text);
    text = nested("{\"items\":", "true", "}", SCHEMA_DEPTH_MAX * 2 + 1);
    refused(text, "nested deeper than the limit");
    free(text);
    text = nested("{\"not\":", "true", "}", SCHEMA_HEIGHT_MAX - 2);
    schema_free(made(text));
    free(text);
    text = nested("{\"not\":", "true", "}", SCHEMA_HEIGHT_MAX + 1);
    refused(text, "more than 32 schemas are about the same value");
    free(text);

    struct text names = {0};
    text_append_string(&names, "{\"required\":[\"0\"");
    for (unsigned i = 1; i < SCHEMA_NAMES_MAX; i++)
        text_printf(&names, ",\"%u\"", i);
    text_append_string(&names, "]}");
    struct schema *schema = made(names.data);
    ck_assert(!takes(schema, BYTES("{\"0\":1,\"\\u0031\":1,\"1023\":5}")));
    ck_assert_uint_eq(faults.count, SCHEMA_NAMES_MAX - 3);
    ck_assert_str_eq(faults.of[0]->path, "params.2");
    schema_free(schema);
    names.size -= 2;
    text_append_string(&names, ",\"x\"]}");
    refused(names.data, "an object's keywords name more than 1024 members");
    text_free(&names);

    struct text patterns = {0};
    text_append_string(&patterns, "{\"anyOf\":[true");
    for (unsigned i = 0; i < 600; i++)
        text_append_string(&patterns, ",{\"pattern\":\"a{1999}\"}");
    text_append_string(&patterns, "]}");
    refused(patterns.data, "all patterns of the schema together take too much");
    text_free(&patterns);

    text = nested(" ", "true", " ", SCHEMA_SIZE_MAX / 2);
    refused(text, "262144 are allowed");
    free(text);
}
END_TEST

/* A schema that has a value looked at twice as often with each level. */
START_TEST(work_is_bounded)
{
    struct schema *schema = made("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"minItems\":1},"
                                 "{\"items\":{\"$ref\":\"#\"},\"minItems\":1}]}");
    char *text = nested("[", "[]", "]", 60);

    ck_assert(!takes(schema, bytes_of(text)));
    ck_assert_str_eq(faults.of[faults.count - 1]->text,
                     "to check it by its schema takes too much work");
    free(text);
    text = nested("[", "[]", "]", 10);
    ck_assert(!takes(schema, bytes_of(text)));
    ck_assert_str_eq(faults.of[0]->text, "it is none of the 2 forms that it may have");
    free(text);
    schema_free(schema);

    /* A long text, and a pattern that many walks try at once. */
    schema = made("{\"pattern\":\"(a|aa|a{1,200}b?)*c\"}");
    text = nested("a", "", "", 100000);
    struct text value = {0};
    text_printf(&value, "\"%s\"", text);
    ck_assert(!takes(schema, (struct bytes){value.data, value.size}));
    ck_assert_str_eq(faults.of[0]->text, "to check it by its schema takes too much work");
    text_free(&value);
    free(text);
    schema_free(schema);
}
END_TEST

/* A hundred thousand items are told apart without comparing each with each. */
START_TEST(many_items_are_unique)
{
    struct schema *schema = made("{\"uniqueItems\":true}");
    struct text value = {0};

    text_append_char(&value, '[');
    for (unsigned i = 0; i < 100000; i++)
        text_printf(&value, "%s{\"n\":%u}", i == 0 ? "" : ",", i);
    text_append_string(&value, ",5]");
    ck_assert(takes(schema, (struct bytes){value.data, value.size}));
    value.size -= 3;
    text_append_string(&value, ",{\"n\":500.0}]");
    ck_assert(!takes(schema, (struct bytes){value.data, value.size}));
    ck_assert_str_eq(faults.of[0]->path, "params[100000]");
    text_free(&value);
    schema_free(schema);
}
END_TEST

START_TEST(values_nested_deeply_cost_no_stack_beyond_the_limit)
{
    struct schema *schema =
        made("{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"allOf\":["
             "{\"allOf\":[{\"allOf\":[{\"items\":{\"$ref\":\"#\"}}]}]}]}}}");
    char *text = nested("[", "", "]", 250);

    ck_assert(takes(schema, bytes_of(text)));
    free(text);
    text = nested("[", "", "]", 500);
    ck_assert(!takes(schema, bytes_of(text)));
    ck_assert_str_eq(faults.of[0]->text, "it is nested too deeply for its schema");
    free(text);
    schema_free(schema);
}
END_TEST

UNIT_MAIN("schema", values_are_right_by_their_schema, values_are_right_within_others,
          faults_name_their_place_and_what_was_wanted, faults_beyond_the_eighth_are_counted,
          what_cannot_be_kept_is_refused, a_schema_has_limits, work_is_bounded,
          many_items_are_unique, values_nested_deeply_cost_no_stack_beyond_the_limit)
