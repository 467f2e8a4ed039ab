/* The main function of a sample's test, on check: SAMPLE_TESTS("notes", a_test, another_test). */
#include <check.h>
#include <pillion/test.h>
#include <stdlib.h>

/* Starts modules, or fails the test with what is wrong. */
#define ck_assert_started(main_text, server_text) \
    ck_assert_pstr_eq(pillion_test_start(main_text, server_text), NULL)

#define SAMPLE_TESTS(name, ...)                                     \
    int main(void)                                                  \
    {                                                               \
        const TTest *tests[] = {__VA_ARGS__};                       \
        Suite *suite = suite_create(name);                          \
        TCase *tcase = tcase_create(name);                          \
        tcase_set_timeout(tcase, 60);                               \
        for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) \
            tcase_add_test(tcase, tests[i]);                        \
        suite_add_tcase(suite, tcase);                              \
        SRunner *runner = srunner_create(suite);                    \
        srunner_run_all(runner, CK_ENV);                            \
        int failed = srunner_ntests_failed(runner);                 \
        srunner_free(runner);                                       \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;           \
    }
