/* The sample cxx, called by <pillion/test.h>. */
#include "../check_main.h"

START_TEST(formulas_are_worked_out)
{
    ck_assert_started("load_module ./cxx.so;", "method calc;");
    ck_assert_result("calc", "{\"formula\":\"1 + 2 * 3\"}", "7");
    ck_assert_result("calc", "{\"formula\":\"-(1+2)*3 - 4/2\"}", "-11");
    ck_assert_result("calc",
                     "{\"formula\":\"x/y\",\"values\":[{\"name\":\"x\",\"is\":2},{\"name\":\"y\","
                     "\"is\":3}],\"digits\":2}",
                     "0.67");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(exceptions_are_answers)
{
    ck_assert_started("load_module ./cxx.so;", "method calc;");
    ck_assert_error("calc", "{\"formula\":\"1/(2-2)\"}", "division_by_zero");
    ck_assert_error("calc", "{\"formula\":\"(1\"}", "invalid_params");
    ck_assert_str_eq(pillion_test_call("calc", "{\"formula\":\"2*z\"}").message,
                     "a number or a name is wanted in place of \"z\"");
    ck_assert_str_eq(pillion_test_call("calc", "{\"formula\":\"1 2\"}").message,
                     "the formula goes on with \"2\"");
    ck_assert_str_eq(
        pillion_test_call("calc", "{\"formula\":\"1\",\"values\":[{\"name\":\"x\"}]}").message,
        "params.values[0].is: a number, got nothing");
    ck_assert(pillion_test_stop());
}
END_TEST

#define GUEST(name) \
    "{\"in\":\"meet\",\"params\":{\"room\":\"tea\",\"name\":\"" name "\",\"seats\":3}}"

START_TEST(guests_wait_and_leave)
{
    ck_assert_started("load_module ./cxx.so; defer_timeout 60s;", "method meet;");
    unsigned ada = pillion_test_begin(GUEST("Ada")), gone = pillion_test_begin(GUEST("Gone"));
    ck_assert(!pillion_test_answered(ada));
    pillion_test_leave(gone); /* its seat is free */
    unsigned bob = pillion_test_begin(GUEST("Bob"));
    ck_assert(!pillion_test_answered(ada));
    unsigned eve = pillion_test_begin(GUEST("Eve"));
    ck_assert_str_eq(pillion_test_finish(ada).result, "[\"Ada\",\"Bob\",\"Eve\"]");
    ck_assert_str_eq(pillion_test_finish(bob).result, "[\"Ada\",\"Bob\",\"Eve\"]");
    ck_assert_str_eq(pillion_test_finish(eve).result, "[\"Ada\",\"Bob\",\"Eve\"]");
    pillion_test_begin(GUEST("Ada")); /* still waits when the module stops */
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_guest_who_has_waited_too_long_leaves)
{
    ck_assert_started("load_module ./cxx.so; defer_timeout 20ms;", "method meet;");
    ck_assert_error("meet", "{\"room\":\"tea\",\"name\":\"Ada\"}", "timeout");
    ck_assert_error("meet", "{\"room\":\"tea\",\"name\":\"Bob\"}", "timeout");
    ck_assert(pillion_test_stop());
}
END_TEST

SAMPLE_TESTS("cxx", formulas_are_worked_out, exceptions_are_answers, guests_wait_and_leave,
             a_guest_who_has_waited_too_long_leaves)
