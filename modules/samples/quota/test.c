/* The sample quota, called by <pillion/test.h>. */
#include <string.h>

#include "../check_main.h"

#define QUOTA "zone quotas 1m; load_module ./quota.so;"

START_TEST(calls_are_counted)
{
    ck_assert_started(QUOTA, "filter quota { zone quotas; calls 3; per 1h; } method quota.left;");
    ck_assert_result("quota.left", "null", "{\"calls\":3,\"left\":2}");
    ck_assert_result("quota.left", "{}", "{\"calls\":3,\"left\":1}");
    ck_assert_error("quota.left", "{\"x\":1}", "invalid_params"); /* a call all the same */
    pillion_test_reply reply = pillion_test_call("quota.left", "null");
    ck_assert_str_eq(reply.code, "quota_exceeded");
    ck_assert_str_eq(reply.message, "all of the 3 calls have been made");
    const char *retry = strstr(reply.result, "\"retry_after\":");
    ck_assert_ptr_nonnull(retry);
    ck_assert_int_le(atoi(retry + strlen("\"retry_after\":")), 3600);
    ck_assert_int_ge(atoi(retry + strlen("\"retry_after\":")), 3500);
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_window_ends)
{
    ck_assert_started(QUOTA, "filter quota { zone quotas; calls 1; per 1s; } method quota.left;");
    ck_assert_result("quota.left", "null", "{\"calls\":1,\"left\":0}");
    /* Calls that are refused do not put off the window's end. */
    for (int i = 0; i < 600; i++) {
        pillion_test_run(100);
        if (pillion_test_call("quota.left", "null").code == NULL)
            break;
        ck_assert_int_lt(i, 599);
    }
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(mistakes_are_told)
{
    const char *fault =
        pillion_test_start(QUOTA, "method quota.left { filter quota { zone none; calls 1; } }");
    ck_assert_ptr_nonnull(fault);
    ck_assert_ptr_nonnull(strstr(fault, "there is no zone \"none\"; add `zone none 1m;`"));
    ck_assert_started("load_module ./quota.so;", "method quota.left;");
    ck_assert_error("quota.left", "null", "no_quota");
    ck_assert(pillion_test_stop());
}
END_TEST

SAMPLE_TESTS("quota", calls_are_counted, a_window_ends, mistakes_are_told)
