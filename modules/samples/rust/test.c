/* The sample rust, called by <pillion/test.h>. */
#include <string.h>

#include "../check_main.h"

START_TEST(words_are_counted)
{
    ck_assert_started("load_module ./rust.so;", "method words;");
    ck_assert_result("words", "{\"text\":\"The cat and the hat\",\"most\":2}",
                     "{\"words\":5,\"most\":[{\"word\":\"the\",\"times\":2},{\"word\":\"and\","
                     "\"times\":1}]}");
    ck_assert_result("words", "{\"text\":\"a \\u0000\\u00e9\\u00c9 b\",\"longer_than\":1}",
                     "{\"words\":1,\"most\":[{\"word\":\"\\u0000éé\",\"times\":1}]}");
    ck_assert_result("words", "{\"text\":\"\"}", "{\"words\":0,\"most\":[]}");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(the_table_is_the_structures)
{
    ck_assert_started("load_module ./rust.so;", "method words; method cut;");
    ck_assert_str_eq(
        pillion_test_call("words", "{\"text\":1,\"most\":1.5,\"longer_than\":-1}").message,
        "params.text: a string of at most 1000000 characters, got 1; params.most: a whole number "
        "from 1 to 100, got 1.5; params.longer_than: a whole number from 0 to 1000, got -1");
    ck_assert_result("cut", "{\"text\":\"hello\",\"at\":2e0}",
                     "{\"before\":\"he\",\"behind\":\"llo\"}");
    ck_assert_error("cut", "{\"text\":\"hello\",\"at\":6}", "too_short");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_panic_is_an_answer)
{
    ck_assert_started("load_module ./rust.so;", "method cut;");
    pillion_test_reply reply = pillion_test_call("cut", "{\"text\":\"é\",\"at\":1}");
    ck_assert_str_eq(reply.code, "internal_error");
    ck_assert_ptr_nonnull(strstr(reply.message, "not a char boundary"));
    ck_assert_result("cut", "{\"text\":\"é\",\"at\":2}", "{\"before\":\"é\",\"behind\":\"\"}");
    ck_assert(pillion_test_stop());
}
END_TEST

SAMPLE_TESTS("rust", words_are_counted, the_table_is_the_structures, a_panic_is_an_answer)
