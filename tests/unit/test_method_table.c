/* What the table of methods promises: see core/rpc/method.h. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "must.h"
#include "rpc/method.h"

#define MANY 1024u

static struct method_table table;
static char names[MANY][256];

static struct method named(const char *name, uint32_t index)
{
    return (struct method){.name = bytes_of(name), .own_name = name, .index = index};
}

static const struct method *find(const char *name)
{
    return method_table_find(&table, bytes_of(name));
}

START_TEST(table_before_it_is_sealed_has_nothing)
{
    struct method method = named("ping", 1);

    ck_assert_ptr_null(find("ping"));
    ck_assert(method_table_add(&table, &method));
    ck_assert_ptr_null(find("ping"));
    method_table_seal(&table);
    ck_assert_ptr_nonnull(find("ping"));
    method_table_free(&table);
    ck_assert_ptr_null(find("ping"));
}
END_TEST

START_TEST(table_of_nothing_finds_nothing)
{
    method_table_seal(&table);
    ck_assert_ptr_null(find("ping"));
    ck_assert_ptr_null(find(""));
    method_table_free(&table);
}
END_TEST

START_TEST(table_finds_each_of_many_and_nothing_else)
{
    for (uint32_t i = 0; i < MANY; i++) {
        /* Names that differ in their first, last or any byte, of every length up to 255. */
        int size = snprintf(names[i], sizeof(names[i]), "%x", i * 2654435761u);
        size_t wanted = i % 5 == 0 ? i % 256 : 0;
        while ((size_t)size < wanted)
            names[i][size++] = (char)('a' + i % 26);
        names[i][size] = '\0';
        struct method method = named(names[i], i);
        must(method_table_add(&table, &method));
        must(!method_table_add(&table, &method));
    }
    ck_assert_uint_eq(table.count, MANY);
    method_table_seal(&table);
    for (uint32_t i = 0; i < MANY; i++) {
        const struct method *method = find(names[i]);
        char other[258];
        must(method != NULL && method->index == i && method->own_name == names[i]);
        snprintf(other, sizeof(other), "%.255sz", names[i]);
        must(find(other) == NULL || find(other)->index != i);
        struct bytes shorter = {names[i], strlen(names[i]) - 1};
        method = method_table_find(&table, shorter);
        must(method == NULL || bytes_equal(method->name, shorter));
        memcpy(other, names[i], sizeof(names[i]));
        other[strlen(other) - 1] ^= 0x20;
        must(find(other) == NULL || find(other)->index != i);
    }
    ck_assert_ptr_null(find(""));
    method_table_free(&table);
}
END_TEST

START_TEST(table_is_sorted_once_sealed)
{
    static const char *const unsorted[] = {
        "rpc.stats", "ping", "a", "Zulu", "hello.greet", "\xc3\xa9t\xc3\xa9", "hello", "ping2"};

    for (uint32_t i = 0; i < sizeof(unsorted) / sizeof(*unsorted); i++) {
        struct method method = named(unsorted[i], i);
        ck_assert(method_table_add(&table, &method));
    }
    method_table_seal(&table);
    for (size_t i = 1; i < table.count; i++)
        ck_assert_int_lt(strcmp(table.methods[i - 1].name.data, table.methods[i].name.data), 0);
    for (uint32_t i = 0; i < sizeof(unsorted) / sizeof(*unsorted); i++)
        ck_assert_uint_eq(find(unsorted[i])->index, i);
    method_table_free(&table);
}
END_TEST

START_TEST(table_compares_names_byte_by_byte)
{
    struct method method = named("ping", 0);

    ck_assert(method_table_add(&table, &method));
    method_table_seal(&table);
    ck_assert_ptr_null(find("Ping"));
    ck_assert_ptr_null(find("ping "));
    ck_assert_ptr_null(method_table_find(&table, BYTES("ping\0")));
    ck_assert_ptr_null(method_table_find(&table, (struct bytes){"pin", 3}));
    ck_assert_ptr_nonnull(method_table_find(&table, (struct bytes){"pingpong", 4}));
    method_table_free(&table);
}
END_TEST

START_TEST(table_may_be_added_to_and_sealed_again)
{
    struct method first = named("first", 1), second = named("second", 2);

    ck_assert(method_table_add(&table, &first));
    method_table_seal(&table);
    ck_assert(method_table_add(&table, &second));
    method_table_seal(&table);
    ck_assert_uint_eq(find("first")->index, 1);
    ck_assert_uint_eq(find("second")->index, 2);
    method_table_free(&table);
}
END_TEST

UNIT_MAIN("method_table", table_before_it_is_sealed_has_nothing, table_of_nothing_finds_nothing,
          table_finds_each_of_many_and_nothing_else, table_is_sorted_once_sealed,
          table_compares_names_byte_by_byte, table_may_be_added_to_and_sealed_again)
