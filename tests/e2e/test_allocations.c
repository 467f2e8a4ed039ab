/* Every allocation that a probe and a worker make fails once: the core's, libc's and the dynamic
 * loader's, in a reload and when a worker replaces one that died. A start that fails is refused
 * with the reason, or tried again; no client notices (preload/calls.c). */
#include "harness_trial.h"

#include <stdio.h>
#include <string.h>

#define MOST                                                                            \
    5000u /* allocations of one process: more would take too long, and are not expected \
           */

static bool is_told(const char *text)
{
    return strstr(text, "out of memory") != NULL || strstr(text, "no memory") != NULL ||
           strstr(text, "annot allocate memory") != NULL || strstr(text, "ENOMEM") != NULL;
}

static bool reloads(void)
{
    const char *answer = trial_order("reload");

    if (answer == NULL)
        return false;
    if (strncmp(answer, "ok\n", 3) != 0 && !is_told(answer))
        return trial_wrong("the reload is refused without saying why:\n%.1000s", answer);
    return trial_goes_on();
}

/* Workers that serve. Asked by a command, because the one that answers may be the one that ends. */
static unsigned serving(void)
{
    struct run run =
        pillion("call", "--server", keep_printf("127.0.0.1:%d", trial_server->port), "rpc.stats");
    unsigned count = 0;

    for (const char *at = run.out; run.status == 0 && (at = strstr(at, "\"serving\"")) != NULL;
         at++)
        count++;
    return count;
}

static bool is_replaced(void)
{
    if (!trial_kill("worker", 0) || !trial_goes_on())
        return false;
    within(serving() == 2, "the worker is not replaced");
    return true;
}

static const struct {
    const char *name;
    enum role role;
    bool (*run)(void);
    bool reloads;
    unsigned least; /* allocations that there are surely */
} rows[] = {
    {"a probe", ROLE_PROBE, reloads, true, 20},
    {"a worker that is started by a reload", ROLE_WORKER, reloads, true, 20},
    {"a worker that replaces another", ROLE_WORKER, is_replaced, false, 20},
};

/* Runs row `row` with the allocation `number` failing (0: none). */
static bool run(int row, unsigned number)
{
    trial_problem[0] = '\0';
    /* Or the slot's deaths in a row would slow the next one down; and only two workers are left. */
    if (!rows[row].reloads && (trial_order("reload") == NULL || !trial_is_whole()))
        return false;
    atomic_fetch_add(&trial_plan->round, 1);
    atomic_store(&trial_plan->owner, 0);
    atomic_store(&trial_plan->allocations, 0);
    atomic_store(&trial_plan->failing, number);
    atomic_store(&trial_plan->allocating, (int)rows[row].role);
    bool good = rows[row].run();
    atomic_store(&trial_plan->allocating, -1);
    return good && trial_is_whole();
}

static bool try_allocation(int row, unsigned number)
{
    if (!trial_serve())
        return false;
    size_t logged = strlen(server_log(trial_server));
    bool good = run(row, number);
    const char *log = server_log(trial_server) + logged;
    if (strstr(log, "SIGSEGV") != NULL || strstr(log, "SIGABRT") != NULL)
        good = trial_wrong("a process has crashed");
    if (good)
        return true;
    fprintf(stderr, "==== %s, allocation %u\n%s\n---- the log since:\n%.3000s\n", rows[row].name,
            number, trial_problem, log);
    trial_remove();
    return false;
}

START_TEST(every_allocation_of_a_start_fails_once)
{
    unsigned bad = 0, count, only = 0;

    if (getenv("ALLOCATIONS_ONLY") != NULL)
        only = (unsigned)atoi(getenv("ALLOCATIONS_ONLY"));
    trial_make();
    ck_assert_msg(trial_serve(), "%s", trial_problem);
    ck_assert_msg(run(_i, 0), "%s", trial_problem);
    count = atomic_load(&trial_plan->allocations);
    ck_assert_uint_ge(count, rows[_i].least);
    ck_assert_uint_le(count, MOST);
    int64_t began = now_ms();
    for (unsigned number = 1; number <= count; number++) {
        if (only == 0 || only == number)
            bad += try_allocation(_i, number) ? 0 : 1;
    }
    ck_assert_msg(trial_stops(), "%s", trial_problem);
    fprintf(stderr, "%s: of %u allocations %u have failed in %lld ms, %u are not in order\n",
            rows[_i].name, count, atomic_load(&trial_plan->fired), (long long)(now_ms() - began),
            bad);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("allocations");
    TCase *tcase = tcase_create("allocations");

    tcase_set_timeout(tcase, 600);
    tcase_add_checked_fixture(tcase, harness_setup, harness_teardown);
    tcase_add_loop_test(tcase, every_allocation_of_a_start_fails_once, 0,
                        (int)(sizeof(rows) / sizeof(*rows)));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
