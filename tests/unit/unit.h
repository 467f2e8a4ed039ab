/* Shared by all unit tests: check, and a main() that runs one suite.
 *
 *     START_TEST(frame_of_length_zero_is_a_frame) { … } END_TEST
 *     UNIT_MAIN("frame", frame_of_length_zero_is_a_frame, …) */
#ifndef PILLION_TESTS_UNIT_H
#define PILLION_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...)                                        \
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
        srunner_run_all(runner, CK_NORMAL);                         \
        int failed = srunner_ntests_failed(runner);                 \
        srunner_free(runner);                                       \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;           \
    }

#endif
