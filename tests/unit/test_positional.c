/* What params by position become: see core/wire/positional.h. */
#include "unit.h"

#include "guarded.h"
#include "wire/envelope.h"
#include "wire/positional.h"

#define COUNT(a)           (sizeof(a) / sizeof(*(a)))
#define SCHEMA(properties) "{\"type\":\"object\",\"properties\":" properties "}"

START_TEST(only_a_schema_of_an_object_names_positions)
{
    static const char *const others[] = {
        "{}",
        "true",
        "{\"type\":\"array\",\"properties\":{\"a\":{}}}",
        "{\"type\":[\"object\",\"array\"],\"properties\":{\"a\":{}}}",
        "{\"properties\":{\"a\":{}}}",
        "{\"type\":\"object\"}",
        SCHEMA("[]"),
    };

    ck_assert_ptr_null(positional_properties(NULL).data);
    for (size_t i = 0; i < COUNT(others); i++)
        ck_assert_ptr_null(positional_properties(others[i]).data);
    struct bytes found = positional_properties(SCHEMA("{ \"a\" : {}, \"b\":[1] }"));
    ck_assert(bytes_equal(found, BYTES("{ \"a\" : {}, \"b\":[1] }")));
    ck_assert_uint_eq(positional_count(found), 2);
    ck_assert_uint_eq(positional_count(positional_properties(SCHEMA("{ }"))), 0);
}
END_TEST

START_TEST(elements_get_the_names_in_their_order)
{
    static const struct {
        const char *params, *schema, *object;
    } cases[] = {
        {"[]", SCHEMA("{}"), "{}"},
        {"[ ]", SCHEMA("{\"a\":{}}"), "{}"},
        {"[1]", SCHEMA("{\"a\":{}}"), "{\"a\":1}"},
        {"[1]", SCHEMA("{\"a\":{},\"b\":{}}"), "{\"a\":1}"},
        {" [ 1e400 ,\n{\"x\":[1,2]}, \"]\" ] ",
         SCHEMA("{ \"z\" : {\"properties\":{\"no\":1}} , \"a\\u0062\\\"\":true,\"m\":0 }"),
         "{\"z\":1e400,\"a\\u0062\\\"\":{\"x\":[1,2]},\"m\":\"]\"}"},
        {"[1,2]", SCHEMA("{\"a\":{}}"), NULL},
        {"[1]", SCHEMA("{}"), NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char room[512];
        struct json_error error;
        struct bytes params = guarded(bytes_of(cases[i].params));
        struct bytes properties = positional_properties(cases[i].schema);
        size_t size = positional_name(params, properties, room);
        ck_assert_uint_le(size, params.size + properties.size);
        if (cases[i].object == NULL) {
            ck_assert_uint_eq(size, 0);
            continue;
        }
        ck_assert_msg(bytes_equal((struct bytes){room, size}, bytes_of(cases[i].object)), "%.*s",
                      (int)size, room);
        ck_assert(json_check((struct bytes){room, size},
                             &(struct json_limits){JSON_DEPTH_MAX, UINT32_MAX}, &error));
    }
}
END_TEST

START_TEST(members_are_walked_one_by_one)
{
    struct bytes object = guarded(BYTES(" { \"a\" : [1,{\"b\":2}] ,\n\"\":{},\"a\":3 } "));
    static const char *const members[][2] = {
        {"\"a\"", "[1,{\"b\":2}]"}, {"\"\"", "{}"}, {"\"a\"", "3"}};
    struct bytes name, value;
    size_t at = 0, count = 0;

    for (; envelope_next_member(object, &at, &name, &value); count++) {
        ck_assert(bytes_equal(name, bytes_of(members[count][0])));
        ck_assert(bytes_equal(value, bytes_of(members[count][1])));
    }
    ck_assert_uint_eq(count, COUNT(members));
    ck_assert(!envelope_next_member(object, &at, &name, &value));
    at = 0;
    ck_assert(!envelope_next_member(BYTES("{ }"), &at, &name, &value));
    ck_assert(!envelope_next(BYTES("[ ]"), &at, &value));
}
END_TEST

UNIT_MAIN("positional", only_a_schema_of_an_object_names_positions,
          elements_get_the_names_in_their_order, members_are_walked_one_by_one)
