/* What keeping answers in the arena promises: see core/net/kept.h. */
#include "net/kept.h"

#include "conn_fixture.h"

#define CONNECTION 0x0100000700000003u

static char large[9000];

/* As another process finds them, whose numbers begin with 10. */
static void expect_kept(const struct arena *arena, uint64_t connection, uint64_t place,
                        const char *const answers[])
{
    struct kept_index found;
    struct bytes answer;
    uint32_t at = 0, number;

    kept_index_read(&found, arena);
    for (uint32_t i = 0; answers[i] != NULL; i++) {
        ck_assert(kept_next(&found, connection, place, &at, &number, &answer));
        ck_assert_uint_eq(number, i + 10);
        ck_assert_uint_eq(answer.size, strlen(answers[i]));
        ck_assert_mem_eq(answer.data, answers[i], answer.size);
    }
    ck_assert(!kept_next(&found, connection, place, &at, &number, &answer));
    kept_index_free(&found);
}

#define EXPECT_KEPT(arena, connection, place, ...) \
    expect_kept(arena, connection, place, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_NONE(arena, connection, place) \
    expect_kept(arena, connection, place, (const char *const[]){NULL})

static void add(struct kept *kept, uint64_t connection, uint64_t place, uint32_t number,
                const char *answer)
{
    kept_add(kept, &conns, connection, place, number, bytes_of(answer));
}

static void open_arena(uint32_t blocks)
{
    server_open(8, blocks);
    memset(large, 'x', sizeof(large) - 1);
}

START_TEST(answers_are_found_until_they_are_dropped)
{
    struct kept one = {0}, two = {0}, three = {0};

    open_arena(64);
    EXPECT_NONE(&conns.arena, CONNECTION, 5);
    add(&one, CONNECTION, 5, 10, "first");
    add(&two, CONNECTION, 6, 10, "");
    add(&one, CONNECTION, 5, 11, "");
    add(&three, CONNECTION + 1, 5, 10, "other");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "");
    EXPECT_KEPT(&conns.arena, CONNECTION, 6, "");
    EXPECT_KEPT(&conns.arena, CONNECTION + 1, 5, "other");
    EXPECT_NONE(&conns.arena, CONNECTION, 7);
    EXPECT_NONE(&conns.arena, CONNECTION - 1, 5);
    /* They move to larger blocks, wherever in the list. */
    add(&two, CONNECTION, 6, 11, large);
    add(&one, CONNECTION, 5, 12, large);
    add(&one, CONNECTION, 5, 13, "last");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "", large, "last");
    EXPECT_KEPT(&conns.arena, CONNECTION, 6, "", large);
    kept_drop(&two); /* from the middle, the end and the start */
    kept_drop(&two);
    EXPECT_NONE(&conns.arena, CONNECTION, 6);
    EXPECT_KEPT(&conns.arena, CONNECTION + 1, 5, "other");
    kept_drop(&one);
    EXPECT_NONE(&conns.arena, CONNECTION, 5);
    EXPECT_KEPT(&conns.arena, CONNECTION + 1, 5, "other");
    add(&one, CONNECTION, 8, 10, "again");
    kept_drop(&one);
    kept_drop(&three);
    EXPECT_NONE(&conns.arena, CONNECTION + 1, 5);
    ck_assert_uint_eq(conns.room.blocks.used, 0);
    server_close();
}
END_TEST

/* A quarter of the arena is for clients' bytes alone. What is kept already stays. */
START_TEST(answers_take_no_room_that_clients_need)
{
    struct kept kept[20] = {0};

    open_arena(16);
    for (uint32_t i = 0; i < 20; i++)
        add(&kept[i], CONNECTION, i, 10, "small");
    ck_assert_uint_eq(conns.room.blocks.used, 12);
    EXPECT_KEPT(&conns.arena, CONNECTION, 11, "small");
    EXPECT_NONE(&conns.arena, CONNECTION, 12);
    add(&kept[3], CONNECTION, 3, 11, large);
    EXPECT_KEPT(&conns.arena, CONNECTION, 3, "small");
    add(&kept[3], CONNECTION, 3, 11, "fits");
    EXPECT_KEPT(&conns.arena, CONNECTION, 3, "small", "fits");
    for (uint32_t i = 0; i < 20; i++)
        kept_drop(&kept[i]);
    ck_assert_uint_eq(conns.room.blocks.used, 0);
    server_close();
}
END_TEST

START_TEST(an_adopter_has_them_from_the_start)
{
    struct kept kept[3] = {0};
    struct kept_index index;
    struct conns heir;
    int fd = toy_arena(8, 64);

    open_arena(64);
    conns_open_on(&heir, fd, 2);
    for (uint32_t i = 0; i < 3; i++)
        add(&kept[i], i == 2 ? CONNECTION + 1 : CONNECTION, i, 10, i == 1 ? large : "small");
    kept_index_read(&index, &conns.arena);
    struct kept *inherited = kept_inherit(&heir, &index, CONNECTION);
    ck_assert_ptr_null(kept_inherit(&heir, &index, CONNECTION - 1));
    ck_assert_ptr_null(kept_inherit(&heir, &index, CONNECTION + 2));
    EXPECT_KEPT(&heir.arena, CONNECTION, 0, "small");
    EXPECT_KEPT(&heir.arena, CONNECTION, 1, large);
    EXPECT_NONE(&heir.arena, CONNECTION + 1, 2);
    kept_settle(inherited);
    kept_settle(NULL);
    EXPECT_NONE(&heir.arena, CONNECTION, 0);
    ck_assert_uint_eq(heir.room.blocks.used, 0);
    kept_index_free(&index);
    for (uint32_t i = 0; i < 3; i++)
        kept_drop(&kept[i]);
    conns_free(&heir);
    close(fd);
    server_close();
}
END_TEST

/* An adopter dies while its own request gets what it has inherited: the next one has all the same,
 * whichever of the two blocks is the first of the list. */
START_TEST(an_adopter_may_die_while_it_takes_them)
{
    struct kept inherited = {0}, own = {0};

    open_arena(64);
    add(&inherited, CONNECTION, 5, 10, "first");
    add(&inherited, CONNECTION, 5, 11, "second");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second");
    add(&own, CONNECTION, 5, 10, "first");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second");
    add(&own, CONNECTION, 5, 11, "second");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second");
    add(&own, CONNECTION, 5, 12, "third");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second", "third");
    kept_drop(&inherited);
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second", "third");
    kept_drop(&own);
    add(&own, CONNECTION, 5, 10, "first");
    add(&inherited, CONNECTION, 5, 10, "first");
    add(&inherited, CONNECTION, 5, 11, "second");
    EXPECT_KEPT(&conns.arena, CONNECTION, 5, "first", "second");
    kept_drop(&own);
    kept_drop(&inherited);
    server_close();
}
END_TEST

/* Whatever stands in the list, an adopter reads within the arena, and comes to an end. */
START_TEST(a_damaged_list_is_read_within_bounds)
{
    struct kept kept[3] = {0};

    open_arena(8);
    for (uint32_t i = 0; i < 3; i++)
        add(&kept[i], CONNECTION, i, 10, "small");
    uint32_t *start = (uint32_t *)(void *)((char *)conns.arena.header + ARENA_KEPT_AT);
    uint32_t *block = (uint32_t *)(void *)arena_block(&conns.arena, kept[2].block);
    enum { NEXT = 4, SIZE = 5, NUMBER = 6, LENGTH = 7 }; /* as core/net/kept.c has them */
    ck_assert_uint_eq(*start, 1 + kept[2].block);
    ck_assert_uint_eq(block[NEXT], 1 + kept[1].block);
    ck_assert_uint_eq(block[NUMBER], 10);

    block[NEXT] = 1 + kept[2].block; /* a circle */
    EXPECT_KEPT(&conns.arena, CONNECTION, 2, "small");
    block[NEXT] = UINT32_MAX;
    EXPECT_KEPT(&conns.arena, CONNECTION, 2, "small");
    EXPECT_NONE(&conns.arena, CONNECTION, 1);
    block[LENGTH] = 6; /* one more than are whole */
    EXPECT_NONE(&conns.arena, CONNECTION, 2);
    block[LENGTH] = UINT32_MAX;
    EXPECT_NONE(&conns.arena, CONNECTION, 2);
    block[LENGTH] = 5;
    block[SIZE] = 7; /* less than a head */
    EXPECT_NONE(&conns.arena, CONNECTION, 2);
    block[SIZE] = UINT32_MAX;
    EXPECT_NONE(&conns.arena, CONNECTION, 2);
    *start = UINT32_MAX;
    EXPECT_NONE(&conns.arena, CONNECTION, 2);
    for (uint32_t i = 0; i < 3; i++)
        kept_drop(&kept[i]);
    server_close();
}
END_TEST

UNIT_MAIN("kept", answers_are_found_until_they_are_dropped, answers_take_no_room_that_clients_need,
          an_adopter_has_them_from_the_start, an_adopter_may_die_while_it_takes_them,
          a_damaged_list_is_read_within_bounds)
