/* Which server block goes on with the connections of a listener that is gone. */
#include "unit.h"

#include "process/heirs.h"

#define LISTENERS_MAX 8

static struct server_settings blocks[2][3]; /* of the former generation, and of the next */
static struct listener listeners[LISTENERS_MAX];

/* A generation in which listener i, by its place in `of`, belongs to the block that the digit
 * there names; '-' where it is not listened on. */
static struct generation generation(int which, const char *of)
{
    struct generation made = {0};

    made.listeners = calloc(LISTENERS_MAX, sizeof(*made.listeners));
    for (uint32_t i = 0; of[i] != '\0'; i++) {
        listeners[i].id = i;
        if (of[i] != '-')
            made.listeners[made.listener_count++] = (struct generation_listener){
                .listener = &listeners[i], .server = &blocks[which][of[i] - '0']};
    }
    return made;
}

static void forget(struct generation *made)
{
    free(made->listeners);
    free(made->heirs);
}

/* The heir of listener `id`, or -1. */
static int heir(const char *before, const char *after, uint32_t id)
{
    struct generation current = generation(0, before), next = generation(1, after);

    heirs_find(&next, &current, false);
    const struct generation_listener *found = heir_of(&next, id);
    int is = found == NULL ? -1 : (int)found->listener->id;
    forget(&current);
    forget(&next);
    return is;
}

START_TEST(addresses_that_stay_need_no_heir)
{
    ck_assert_int_eq(heir("00", "00", 0), 0);
    ck_assert_int_eq(heir("01", "10", 0), 0); /* though its block is another one */
}
END_TEST

START_TEST(the_block_is_known_by_another_address_of_its)
{
    ck_assert_int_eq(heir("00", "-0", 0), 1);
    ck_assert_int_eq(heir("010", "-10", 0), 2);
    ck_assert_int_eq(heir("000", "-01", 0), 1); /* the first, when they are of two blocks now */
}
END_TEST

START_TEST(one_block_may_change_all_its_addresses)
{
    ck_assert_int_eq(heir("0-", "-0", 0), 1);
    ck_assert_int_eq(heir("01-", "-10", 0), 2);
    ck_assert_int_eq(heir("001--", "--100", 1), 3);
}
END_TEST

START_TEST(a_changed_block_without_a_single_candidate_has_no_heir)
{
    ck_assert_int_eq(heir("01", "-0", 0), -1);     /* it is gone */
    ck_assert_int_eq(heir("01--", "--01", 0), -1); /* two have moved */
    ck_assert_int_eq(heir("0--", "-01", 0), -1);   /* there are two new ones */
}
END_TEST

START_TEST(heirs_have_heirs_while_there_may_be_connections)
{
    struct generation first = generation(0, "0--"), second = generation(1, "-0-"),
                      third = generation(0, "--0"), fourth = generation(1, "--0");

    heirs_find(&second, &first, false);
    heirs_find(&third, &second, true);
    ck_assert_uint_eq(heir_of(&third, 0)->listener->id, 2);
    ck_assert_uint_eq(heir_of(&third, 1)->listener->id, 2);
    heirs_find(&fourth, &third, false);
    ck_assert_ptr_null(heir_of(&fourth, 0));
    ck_assert_uint_eq(fourth.heir_count, 0);
    forget(&first);
    forget(&second);
    forget(&third);
    forget(&fourth);
}
END_TEST

UNIT_MAIN("heirs", addresses_that_stay_need_no_heir, the_block_is_known_by_another_address_of_its,
          one_block_may_change_all_its_addresses,
          a_changed_block_without_a_single_candidate_has_no_heir,
          heirs_have_heirs_while_there_may_be_connections)
