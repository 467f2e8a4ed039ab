/* "Did you mean": the words that it suggests, and those that it does not. */
#include "base/suggest.h"

#include <string.h>

#include "unit.h"

static const char *nearest(const char *word, const char *const *known)
{
    struct suggest suggest = suggest_start(word);

    for (; *known != NULL; known++)
        suggest_offer(&suggest, *known);
    return suggest.nearest;
}

static const char *const words[] = {"listen", "method", "server", "max_frame", "on", "off", NULL};

START_TEST(a_slip_of_each_kind_finds_the_word)
{
    ck_assert_str_eq(nearest("lisen", words), "listen");   /* left out */
    ck_assert_str_eq(nearest("listten", words), "listen"); /* put in */
    ck_assert_str_eq(nearest("lixten", words), "listen");  /* replaced */
    ck_assert_str_eq(nearest("litsen", words), "listen");  /* swapped */
    ck_assert_str_eq(nearest("ilstne", words), "listen");  /* swapped twice */
    ck_assert_str_eq(nearest("maxframe", words), "max_frame");
    ck_assert_str_eq(nearest("of", words), "off");
}
END_TEST

START_TEST(a_swap_counts_as_one)
{
    struct suggest suggest = suggest_start("emthod");

    suggest_offer(&suggest, "method");
    ck_assert_str_eq(suggest.nearest, "method");
    ck_assert_uint_eq(suggest.distance, 1);
}
END_TEST

START_TEST(case_costs_nothing)
{
    struct suggest suggest = suggest_start("LISTEN");

    suggest_offer(&suggest, "listen");
    ck_assert_str_eq(suggest.nearest, "listen");
    ck_assert_uint_eq(suggest.distance, 0);
    ck_assert_str_eq(nearest("ON", words), "on");
}
END_TEST

START_TEST(the_nearest_wins_and_the_first_of_equals)
{
    static const char *const near[] = {"abcdxx", "abcdex", "abcdey", NULL};

    ck_assert_str_eq(nearest("abcdef", near), "abcdex");
}
END_TEST

START_TEST(more_than_a_third_is_too_far)
{
    static const char *const six[] = {"abcdef", NULL};

    ck_assert_str_eq(nearest("abcdxx", six), "abcdef");
    ck_assert_ptr_null(nearest("abcxxx", six));
    ck_assert_ptr_null(nearest("yes", words));
    ck_assert_ptr_null(nearest("", words));
    ck_assert_ptr_null(nearest("o", words));
}
END_TEST

START_TEST(very_long_words_are_never_near)
{
    char at_limit[65], beyond[66];
    memset(at_limit, 'a', 64);
    at_limit[64] = '\0';
    memset(beyond, 'a', 65);
    beyond[65] = '\0';

    struct suggest suggest = suggest_start(at_limit);
    suggest_offer(&suggest, beyond);
    ck_assert_ptr_null(suggest.nearest);
    suggest_offer(&suggest, at_limit);
    ck_assert_ptr_eq(suggest.nearest, at_limit);

    suggest = suggest_start(beyond);
    suggest_offer(&suggest, at_limit);
    ck_assert_ptr_null(suggest.nearest);
}
END_TEST

UNIT_MAIN("suggest", a_slip_of_each_kind_finds_the_word, a_swap_counts_as_one, case_costs_nothing,
          the_nearest_wins_and_the_first_of_equals, more_than_a_third_is_too_far,
          very_long_words_are_never_near)
