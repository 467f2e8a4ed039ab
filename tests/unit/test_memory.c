/* What pools promise: see core/base/memory.h. */
#include "unit.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "must.h"

#define MANY 2000u

static struct pool pool;
static struct {
    unsigned char *memory;
    size_t size;
} parts[MANY];

/* Takes many parts of many sizes, each filled with its own number. */
static void fill(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        parts[i].size = random_below(8) ? 1 + random_below(100) : 1 + random_below(9000);
        parts[i].memory = pool_alloc(&pool, parts[i].size);
        must(parts[i].memory != NULL);
        must((uintptr_t)parts[i].memory % alignof(max_align_t) == 0);
        memset(parts[i].memory, (int)(i & 0xff), parts[i].size);
    }
}

START_TEST(pool_parts_are_aligned_and_do_not_overlap)
{
    for (unsigned round = 0; round < 5; round++) {
        size_t sum = 0;
        fill();
        for (unsigned i = 0; i < MANY; i++) {
            for (size_t at = 0; at < parts[i].size; at++)
                must(parts[i].memory[at] == (i & 0xff));
            sum += parts[i].size;
        }
        ck_assert_uint_ge(pool.used, sum);
        pool_reset(&pool);
        ck_assert_uint_eq(pool.used, 0);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(pool_owns_its_allocations_until_reset)
{
    int elsewhere = 0;
    void *heap = malloc(100);

    ck_assert(!pool_owns(&pool, &elsewhere));
    fill();
    for (unsigned i = 0; i < MANY; i++) {
        must(pool_owns(&pool, parts[i].memory));
        must(pool_owns(&pool, parts[i].memory + parts[i].size - 1));
    }
    ck_assert(!pool_owns(&pool, &elsewhere));
    ck_assert(!pool_owns(&pool, heap));
    ck_assert(!pool_owns(&pool, NULL));
    pool_free(&pool);
    ck_assert(!pool_owns(&pool, parts[0].memory));
    free(heap);
}
END_TEST

START_TEST(pool_with_a_limit_says_when_it_is_reached)
{
    pool.limit = 10000;
    ck_assert_ptr_null(pool_alloc(&pool, 10001));
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX));
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX - 31));
    ck_assert_uint_eq(pool.used, 0);
    size_t got = 0;
    while (pool_alloc(&pool, 100) != NULL)
        got += 100;
    ck_assert_uint_le(got, 10000);
    ck_assert_uint_ge(got, 7500); /* rounding up costs something */
    ck_assert_uint_le(pool.used, 10000);
    pool_reset(&pool);
    ck_assert_ptr_nonnull(pool_alloc(&pool, 9900));
    pool_free(&pool);
    ck_assert_uint_eq(pool.limit, 10000); /* it stays */
}
END_TEST

START_TEST(pool_without_memory_returns_null)
{
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX));
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX / 2 + 1));
    ck_assert_ptr_null(pool_alloc(&pool, SIZE_MAX / 4));
    ck_assert_uint_eq(pool.used, 0);
    ck_assert_ptr_nonnull(pool_alloc(&pool, 1));
    pool_free(&pool);
}
END_TEST

START_TEST(pool_large_parts_do_not_stop_small_ones)
{
    char *small = pool_alloc(&pool, 10);
    memcpy(small, "small one", 10);
    char *large = pool_alloc(&pool, 1 << 20);
    memset(large, 'x', 1 << 20);
    char *other = pool_alloc(&pool, 10);
    memcpy(other, "other one", 10);
    ck_assert_str_eq(small, "small one");
    ck_assert_int_eq(large[(1 << 20) - 1], 'x');
    pool_free(&pool);
    pool_free(&pool);
}
END_TEST

START_TEST(pool_must_functions_zero_and_copy)
{
    for (unsigned round = 0; round < 3; round++) {
        memset(pool_alloc(&pool, 3000), 0xff, 3000);
        pool_reset(&pool); /* dirty memory comes again */
        const char *zeros = pool_must_zalloc(&pool, 3000);
        for (size_t i = 0; i < 3000; i++)
            must(zeros[i] == 0);
        ck_assert_str_eq(pool_must_strdup(&pool, "copied"), "copied");
        ck_assert_str_eq(pool_must_strdup(&pool, ""), "");
        ck_assert_str_eq(pool_must_strndup(&pool, "cut here", 3), "cut");
        pool_reset(&pool);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(must_functions_give_memory)
{
    char *a = must_strdup("string"), *b = must_strndup("string", 3);
    char *c = must_printf("%s-%d", "x", 42);
    unsigned char *zeros = must_zalloc(100), *nothing = must_alloc(0);

    ck_assert_str_eq(a, "string");
    ck_assert_str_eq(b, "str");
    ck_assert_str_eq(c, "x-42");
    ck_assert_uint_eq(zeros[99], 0);
    ck_assert_ptr_nonnull(nothing);
    nothing = must_realloc(nothing, 0);
    ck_assert_ptr_nonnull(nothing);
    a = must_realloc(a, 1000);
    ck_assert_str_eq(a, "string");
    free(a);
    free(b);
    free(c);
    free(zeros);
    free(nothing);
}
END_TEST

UNIT_MAIN("memory", pool_parts_are_aligned_and_do_not_overlap,
          pool_owns_its_allocations_until_reset, pool_with_a_limit_says_when_it_is_reached,
          pool_without_memory_returns_null, pool_large_parts_do_not_stop_small_ones,
          pool_must_functions_zero_and_copy, must_functions_give_memory)
