/* What the buddy allocator promises: see core/net/blocks.h. It is compared with a map that has one
 * byte for each unit: blocks are aligned, inside, never overlap; one is found whenever an aligned
 * run of free units is there; and when all are given back, everything is as at the start. */
#include "unit.h"

#include <string.h>

#include "must.h"
#include "net/blocks.h"

#define UNITS_MAX (70001u)
#define HELD_MAX  4096u

static struct blocks blocks;
static unsigned char taken[UNITS_MAX];
static uint8_t fresh[UNITS_MAX]; /* `state` right after blocks_init */
static struct {
    uint32_t block;
    unsigned order;
} held[HELD_MAX];
static uint32_t held_count;
static uint32_t used;

static void start(uint32_t count)
{
    ck_assert_uint_le(count, UNITS_MAX);
    ck_assert(blocks_init(&blocks, count));
    memset(taken, 0, count);
    memcpy(fresh, blocks.state, count);
    held_count = used = 0;
}

/* Whether an aligned run of 2^order units is free. */
static bool room_for(unsigned order)
{
    uint32_t size = 1u << order;

    for (uint32_t at = 0; at + size <= blocks.count; at += size) {
        if (memchr(taken + at, 1, size) == NULL)
            return true;
    }
    return false;
}

static bool take(unsigned order, bool compare)
{
    bool room = !compare || room_for(order);
    uint32_t block = blocks_take(&blocks, order);
    uint32_t size = 1u << order;

    if (block == BLOCK_NONE) {
        must(!compare || !room);
        return false;
    }
    must(room);
    must(block % size == 0);
    must(block < blocks.count && size <= blocks.count - block);
    must(memchr(taken + block, 1, size) == NULL);
    memset(taken + block, 1, size);
    used += size;
    must(blocks.used == used);
    must(held_count < HELD_MAX);
    held[held_count].block = block;
    held[held_count++].order = order;
    return true;
}

static void give(uint32_t which)
{
    uint32_t block = held[which].block;
    unsigned order = held[which].order;
    uint32_t size = 1u << order;

    memset(taken + block, 0, size);
    used -= size;
    held[which] = held[--held_count];
    unsigned merged = blocks_give(&blocks, block, order);
    must(merged >= order && merged < BLOCK_ORDERS);
    uint32_t whole = block & ~((1u << merged) - 1);
    must(blocks.state[whole] == merged + 1);
    must((1u << merged) <= blocks.count - whole);
    must(memchr(taken + whole, 1, 1u << merged) == NULL);
    must(blocks.used == used);
}

static void give_all(void)
{
    while (held_count > 0)
        give(random_below(held_count));
    must(blocks.used == 0);
    must(memcmp(blocks.state, fresh, blocks.count) == 0);
}

START_TEST(blocks_of_one_size_fill_all_that_is_aligned)
{
    for (uint32_t count = 1; count <= 130; count++) {
        start(count);
        for (unsigned order = 0; order < 9; order++) {
            for (unsigned again = 0; again < 2; again++) {
                while (take(order, false))
                    continue;
                must(held_count == count >> order);
                give_all();
            }
        }
        blocks_free(&blocks);
    }
}
END_TEST

/* Gives back the end of a block. */
static void trim(uint32_t which)
{
    unsigned order = held[which].order, to = random_below(order + 1);
    uint32_t size = 1u << order, kept = 1u << to;

    memset(taken + held[which].block + kept, 0, size - kept);
    used -= size - kept;
    blocks_trim(&blocks, held[which].block, order, to);
    held[which].order = to;
    must(blocks.used == used);
}

/* Every sequence of up to six operations: take an order of 0 to 3, or give back one of the first
 * four. */
START_TEST(blocks_agree_with_a_map_in_every_short_sequence)
{
    static const uint32_t counts[] = {1, 5, 8, 11};

    for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        start(counts[c]);
        for (uint32_t sequence = 0; sequence < 1u << 18; sequence++) {
            for (uint32_t rest = sequence, i = 0; i < 6; i++, rest >>= 3) {
                uint32_t what = rest & 7;
                if (what < 4)
                    take(what, true);
                else if (what - 4 < held_count)
                    give(what - 4);
            }
            give_all();
        }
        blocks_free(&blocks);
    }
}
END_TEST

static void stir(uint32_t count, unsigned orders, unsigned operations)
{
    start(count);
    for (unsigned i = 0; i < operations; i++) {
        /* Fill and empty in turns. */
        bool filling = i / 2000 % 2 == 0;
        if (held_count < HELD_MAX && random_below(10) < (filling ? 8u : 3u))
            take(random_below(orders), i % 64 == 0 || count < 2000);
        else if (held_count > 0 && random_below(4) == 0)
            trim(random_below(held_count));
        else if (held_count > 0)
            give(random_below(held_count));
    }
    give_all();
    blocks_free(&blocks);
}

START_TEST(blocks_agree_with_a_map_after_random_changes)
{
    stir(1, 1, 100);
    stir(3, 3, 2000);
    stir(255, 9, 20000);
    stir(1000, 5, 20000);
    stir(4097, BLOCK_ORDERS, 20000);
    stir(UNITS_MAX, BLOCK_ORDERS, 20000);
}
END_TEST

START_TEST(blocks_largest_is_found_whole_again)
{
    start(1u << 16);
    ck_assert(take(BLOCK_ORDERS - 1, true));
    ck_assert(!take(0, true));
    give_all();
    for (unsigned i = 0; i < 1000; i++)
        ck_assert(take(0, false));
    give_all();
    ck_assert(take(BLOCK_ORDERS - 1, true));
    ck_assert_uint_eq(blocks_take(&blocks, BLOCK_ORDERS), BLOCK_NONE);
    give_all();
    blocks_free(&blocks);
}
END_TEST

START_TEST(blocks_last_given_is_first_taken)
{
    uint32_t block[4];

    start(16);
    for (unsigned i = 0; i < 4; i++)
        block[i] = blocks_take(&blocks, 2);
    blocks_give(&blocks, block[0], 2);
    blocks_give(&blocks, block[3], 2); /* not its buddy: both stay as they are */
    ck_assert_uint_eq(blocks_take(&blocks, 2), block[3]);
    ck_assert_uint_eq(blocks_take(&blocks, 2), block[0]);
    ck_assert_uint_eq(blocks_take(&blocks, 0), BLOCK_NONE);
    blocks_free(&blocks);
}
END_TEST

START_TEST(block_order_is_the_smallest_that_holds)
{
    ck_assert_uint_eq(block_order(0), 0);
    for (unsigned order = 0; order < BLOCK_ORDERS; order++) {
        ck_assert_uint_eq(block_order(BLOCK_BYTES(order)), order);
        ck_assert_uint_eq(block_order(BLOCK_BYTES(order) + 1), order + 1);
    }
    ck_assert_uint_eq(BLOCK_BYTES(BLOCK_ORDERS - 1), (uint64_t)256 * 1024 * 1024);
    ck_assert_uint_eq(block_order(UINT64_MAX), BLOCK_ORDERS);
}
END_TEST

UNIT_MAIN("blocks", blocks_of_one_size_fill_all_that_is_aligned,
          blocks_agree_with_a_map_in_every_short_sequence,
          blocks_agree_with_a_map_after_random_changes, blocks_largest_is_found_whole_again,
          blocks_last_given_is_first_taken, block_order_is_the_smallest_that_holds)
