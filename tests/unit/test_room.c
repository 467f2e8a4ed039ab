/* Room in the arena: see core/net/room.h. How connections use it is tests/unit/test_conn_arena.c's
 * matter. */
#include "unit.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "must.h"
#include "net/room.h"

static struct arena arena;
static struct room room;
static int fd;

static void room_of(uint32_t blocks)
{
    struct error error;

    must(log_open(&(struct log_target){"/dev/null", LOG_ERROR_LEVEL, LOG_FORMAT_TEXT}, &error));
    fd = arena_create(&(struct arena_geometry){.records = 1, .blocks = blocks}, 1, &error);
    must(fd >= 0 && arena_map(fd, &arena, &error));
    must(room_init(&room, &arena));
}

static void room_ends(void)
{
    room_free(&room);
    arena_unmap(&arena);
    close(fd);
}

/* ---- The reserves ---- */

START_TEST(room_reserves_an_eighth_of_the_arena_twice)
{
    static const struct {
        uint32_t blocks, reserve; /* units; 0: none */
    } cases[] = {{8, 0}, {511, 0}, {512, 64}, {1023, 64}, {1024, 128}, {1 << 20, 1 << 16}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        room_of(cases[i].blocks);
        must((room.input.block == BLOCK_NONE) == (cases[i].reserve == 0));
        must((room.output.block == BLOCK_NONE) == (cases[i].reserve == 0));
        must(room.blocks.used == 2 * cases[i].reserve);
        room_ends();
    }
}
END_TEST

START_TEST(room_reserve_is_for_one_connection_at_a_time)
{
    uint8_t order = 2;

    room_of(512);
    uint32_t block = room_take_reserve(&room, &room.input, &order);
    ck_assert_uint_eq(block, room.input.block);
    ck_assert_uint_eq(order, 6); /* the whole of it */
    ck_assert_uint_eq(room_take_reserve(&room, &room.input, &order), BLOCK_NONE);
    ck_assert_uint_ne(room_take_reserve(&room, &room.output, &order), BLOCK_NONE);
    room_give(&room, block, order);
    ck_assert_uint_eq(room_take_reserve(&room, &room.input, &order), block);
    ck_assert_uint_eq(room.blocks.used, 128); /* reserves are always in use for the allocator */
    room_ends();
}
END_TEST

START_TEST(room_reserve_is_not_given_for_more_than_it_has)
{
    uint8_t order = 7;

    room_of(512);
    ck_assert_uint_eq(room_take_reserve(&room, &room.output, &order), BLOCK_NONE);
    ck_assert_uint_eq(order, 7);
    ck_assert(!room.output.used);
    room_ends();
}
END_TEST

START_TEST(room_gives_ordinary_blocks_before_the_reserve)
{
    room_of(512);
    for (unsigned i = 0; i < 6; i++) {
        uint8_t order = 6;
        uint32_t block = room_take_any(&room, &room.output, &order);
        must(block != BLOCK_NONE && block != room.output.block && order == 6);
    }
    uint8_t order = 0;
    ck_assert_uint_eq(room_take(&room, 0), BLOCK_NONE);
    ck_assert_uint_eq(room_take_any(&room, &room.output, &order), room.output.block);
    ck_assert_uint_eq(order, 6);
    room_ends();
}
END_TEST

/* ---- Blocks ---- */

START_TEST(room_keeps_a_quarter_from_large_input)
{
    room_of(64);
    ck_assert(room_allows_input(&room, 5));
    ck_assert(!room_allows_input(&room, 6));
    must(room_take(&room, 5) != BLOCK_NONE);
    ck_assert(room_allows_input(&room, 4)); /* 48 of 64 units */
    ck_assert(!room_allows_input(&room, 5));
    must(room_take(&room, 4) != BLOCK_NONE);
    ck_assert(!room_allows_input(&room, 1));
    ck_assert(room_allows_input(&room, 0));             /* the smallest always */
    ck_assert_uint_ne(room_take(&room, 4), BLOCK_NONE); /* output too */
    room_ends();
}
END_TEST

START_TEST(room_gives_the_pages_of_large_blocks_back)
{
    for (unsigned order = 7; order <= 8; order++) {
        room_of(256);
        uint32_t block = room_take(&room, order);
        memset(arena_block(&arena, block), 'x', BLOCK_BYTES(order));
        room_give(&room, block, order);
        must(room.blocks.used == 0);
        must(arena_block(&arena, block)[BLOCK_BYTES(order) - 1] == (order == 7 ? 'x' : '\0'));
        room_ends();
    }
}
END_TEST

START_TEST(room_pinned_block_is_free_after_its_last_unpin)
{
    room_of(64);
    uint32_t block = room_take(&room, 2);
    ck_assert(room_pin(&room, block));
    room_unpin(&room, block);
    ck_assert_uint_eq(room.blocks.used, 4); /* its connection still has it */
    ck_assert(room_pin(&room, block));
    ck_assert(room_pin(&room, block));
    room_give(&room, block, 2);
    ck_assert_uint_eq(room.blocks.used, 4);
    room_unpin(&room, block);
    ck_assert_uint_eq(room.blocks.used, 4);
    room_unpin(&room, block);
    ck_assert_uint_eq(room.blocks.used, 0);
    ck_assert_uint_eq(room_take(&room, 2), block); /* and nothing is left of the pins */
    room_give(&room, block, 2);
    ck_assert_uint_eq(room.blocks.used, 0);
    room_ends();
}
END_TEST

START_TEST(room_pinned_reserve_stays_used_until_its_last_unpin)
{
    uint8_t order = 0;

    room_of(512);
    uint32_t block = room_take_reserve(&room, &room.input, &order);
    ck_assert(room_pin(&room, block));
    room_give(&room, block, order);
    ck_assert(room.input.used);
    room_unpin(&room, block);
    ck_assert(!room.input.used);
    room_ends();
}
END_TEST

START_TEST(room_no_block_is_given_back_without_harm)
{
    room_of(64); /* has no reserves: BLOCK_NONE must not be taken for one */
    room_give(&room, BLOCK_NONE, 0);
    ck_assert_uint_eq(room.blocks.used, 0);
    ck_assert_uint_eq(room.used_when_short, 0);
    room_ends();
}
END_TEST

/* ---- Waiting ---- */

START_TEST(room_retry_is_due_once_usage_falls_below_that_of_a_failure)
{
    room_of(64);
    uint32_t large = room_take(&room, 5), small = room_take(&room, 3);
    ck_assert(!room_retry_is_due(&room)); /* nobody waits */
    room_wait(&room);
    ck_assert(!room_retry_is_due(&room));
    room_give(&room, small, 3);
    ck_assert(room_retry_is_due(&room));

    /* A larger request that fails at a lower usage does not hide the first one. */
    room_wait(&room);
    ck_assert_uint_eq(room.waiting, 2);
    ck_assert(room_retry_is_due(&room));

    room_retry(&room);
    ck_assert(!room_retry_is_due(&room));
    room_was_short(&room); /* in vain: usage is as it was */
    ck_assert(!room_retry_is_due(&room));
    room_give(&room, large, 5);
    ck_assert(room_retry_is_due(&room));
    room_wait_ends(&room);
    room_wait_ends(&room);
    ck_assert(!room_retry_is_due(&room));
    room_ends();
}
END_TEST

START_TEST(room_failures_of_connections_that_are_gone_are_forgotten)
{
    room_of(64);
    uint32_t block = room_take(&room, 5);
    room_wait(&room);
    room_wait_ends(&room);
    room_give(&room, block, 5);
    room_wait(&room); /* asks for more than the arena has, at a usage of 0 */
    ck_assert(!room_retry_is_due(&room));
    room_ends();
}
END_TEST

START_TEST(room_reserve_that_comes_free_makes_a_retry_due)
{
    uint8_t order = 0;

    room_of(512);
    uint32_t block = room_take_reserve(&room, &room.output, &order);
    room_wait(&room);
    ck_assert(!room_retry_is_due(&room));
    room_give(&room, block, order); /* usage is as before */
    ck_assert(room_retry_is_due(&room));
    room_ends();
}
END_TEST

UNIT_MAIN("room", room_reserves_an_eighth_of_the_arena_twice,
          room_reserve_is_for_one_connection_at_a_time,
          room_reserve_is_not_given_for_more_than_it_has,
          room_gives_ordinary_blocks_before_the_reserve, room_keeps_a_quarter_from_large_input,
          room_gives_the_pages_of_large_blocks_back, room_pinned_block_is_free_after_its_last_unpin,
          room_pinned_reserve_stays_used_until_its_last_unpin,
          room_no_block_is_given_back_without_harm,
          room_retry_is_due_once_usage_falls_below_that_of_a_failure,
          room_failures_of_connections_that_are_gone_are_forgotten,
          room_reserve_that_comes_free_makes_a_retry_due)
