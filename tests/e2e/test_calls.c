/* Every call of libc that the core makes fails once: at the start, in a reload, when a worker and a
 * vault die, in an upgrade and at the end (preload/calls.c). Either the server goes on and no
 * client notices, or what was ordered is refused with the reason; nothing hangs, crashes or is lost
 * in silence.
 *
 * What fails is found by watching: a run in which nothing fails records each place of the binary
 * from which each kind of process calls libc, and each of them fails in a run of its own.
 *
 *     CK_RUN_CASE=reload CALLS_VERBOSE=1      one scenario, and a line for each call
 *     CALLS_DEEP=20                           the first 20 times that a call is made (make
 * calls-deep) CALLS_ONLY=master:0x3df38               one call, as such a line names it
 */
#include "harness_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/calls.h"
#include "preload/exceptions.h"

#define ROW(name, way, error) {#name, way, error},
static const struct {
    const char *name;
    enum way way;
    int error;
} calls[] = {CALLS(ROW)};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const char *const role_names[] = {"master", "child", "probe", "worker", "vault"};

static size_t log_size(void)
{
    return strlen(server_log(trial_server));
}

/* ---- Scenarios ---- */

/* What is refused is refused for the reason that the call gave. */
static bool names_reason(const char *text, size_t call)
{
    int error = calls[call].error;

    return strstr(text, error < 0 ? gai_strerror(error) : strerror(error)) != NULL ||
           strstr(text, calls[call].name) != NULL;
}

static bool refused_well(const char *what, const char *text, size_t call)
{
    if (text == NULL)
        return false;
    if (strncmp(text, "ok\n", 3) == 0)
        return true;
    /* If an answer could not be sent, the log says so. */
    return names_reason(text[0] == '\0' ? server_log(trial_server) : text, call) ||
           trial_wrong("%s is refused without saying why:\n%s", what, text);
}

static bool starts(size_t call)
{
    trial_spawn();
    if (trial_connects())
        return trial_is_whole() && trial_stops();
    if (trial_server->pid != 0)
        return false;
    if (!WIFEXITED(trial_server->status) || WEXITSTATUS(trial_server->status) == 0)
        return trial_wrong("the server ends with status %#x", (unsigned)trial_server->status);
    return names_reason(server_log(trial_server), call) ||
           trial_wrong("the start fails without saying why");
}

static bool reloads(size_t call)
{
    return refused_well("the reload", trial_order("reload"), call) && trial_goes_on() &&
           trial_another_pings() && refused_well("reopening", trial_order("reopen"), call);
}

static bool heals(size_t call)
{
    (void)call;
    for (int i = 0; i < 2; i++) {
        if (!trial_kill("worker", i) || !trial_goes_on() || !trial_another_pings())
            return false;
    }
    return trial_kill("vault", 0) && trial_goes_on() && trial_another_pings();
}

static bool upgrades(size_t call)
{
    return refused_well("the upgrade", trial_order("upgrade"), call) && trial_goes_on() &&
           trial_another_pings();
}

static bool quits(size_t call)
{
    trial_leave();
    const char *answer = trial_order("quit");
    if (answer != NULL && strncmp(answer, "ok\n", 3) != 0 && !trial_has_ended() &&
        refused_well("quit", answer, call))
        answer = trial_order("quit");
    if (answer == NULL)
        return false;
    within(trial_has_ended(), "the server does not end");
    return (WIFEXITED(trial_server->status) && WEXITSTATUS(trial_server->status) == 0) ||
           trial_wrong("the server ends with status %#x", (unsigned)trial_server->status);
}

static bool reloads_well(void)
{
    const char *answer = trial_order("reload");

    return answer != NULL && (strncmp(answer, "ok\n", 3) == 0 ||
                              trial_wrong("another reload is refused:\n%.2000s", answer));
}

struct scenario {
    const char *name;
    bool (*run)(size_t call);
    bool running; /* needs a server that runs */
    bool ends;    /* and ends it */
};

static const struct scenario scenarios[] = {
    {"start", starts, false, true},  {"reload", reloads, true, false},
    {"crashes", heals, true, false}, {"upgrade", upgrades, true, false},
    {"end", quits, true, true},
};

/* ---- Trials ---- */

/* "worker: recv, core/net/conn_io.c:120". */
static const char *describe(uint32_t key, size_t call)
{
    uint32_t place = key & 0x0fffffffu;
    struct run run = run_command((const char *const[]){"/usr/bin/addr2line", "-e", pillion_binary(),
                                                       keep_printf("%#x", place - 1), NULL},
                                 NULL, PATIENCE_MS);
    const char *at = strstr(run.out, "core/");

    return keep_printf("%s:%#x: %s, %.60s", role_names[(key >> 28) - 1], place, calls[call].name,
                       at == NULL ? run.out : at);
}

/* Problems are told as they are found, and the test goes on with another server. */
static bool try_site(const struct scenario *scenario, uint32_t key, unsigned before, size_t call)
{
    trial_problem[0] = '\0';
    if (scenario->running && !trial_serve())
        trial_wrong("the server does not start");
    size_t logged = log_size();
    int64_t began = now_ms();
    atomic_store(&trial_plan->key, key);
    atomic_store(&trial_plan->before, (int)before);
    atomic_store(&trial_plan->armed, true);
    bool good = trial_problem[0] == '\0' && scenario->run(call);
    bool reached = !atomic_exchange(&trial_plan->armed, false);
    if (good && !scenario->ends)
        good = trial_is_whole() && reloads_well() && trial_is_whole();
    const char *log = server_log(trial_server) + logged;
    if (strstr(log, "SIGSEGV") != NULL || strstr(log, "SIGABRT") != NULL ||
        strstr(log, "SIGBUS") != NULL)
        good = trial_wrong("a process has crashed");
    if (getenv("CALLS_VERBOSE") != NULL)
        fprintf(stderr, "%s %5lld ms: %s, after %u\n", reached ? "+" : "-",
                (long long)(now_ms() - began), describe(key, call), before);
    if (good)
        return true;
    trial_wrong("after it, the server is not whole");
    fprintf(stderr, "==== in %s, of %s, after %u\n%s\n---- the log since:\n%.3000s\n",
            scenario->name, describe(key, call), before, trial_problem, log);
    trial_remove();
    return false;
}

static bool chosen(uint32_t key)
{
    const char *only = getenv("CALLS_ONLY");

    return only == NULL ||
           strcmp(only, keep_printf("%s:%#x", role_names[(key >> 28) - 1], key & 0x0fffffffu)) == 0;
}

START_TEST(every_call_fails_once)
{
    const struct scenario *scenario = &scenarios[_i];
    const char *deep = getenv("CALLS_DEEP");
    unsigned bad = 0, tried = 0, most = deep == NULL ? 1 : (unsigned)atoi(deep);

    trial_make();
    if (scenario->running)
        ck_assert_msg(trial_serve(), "%s", trial_problem);
    atomic_store(&trial_plan->recording, true);
    ck_assert_msg(scenario->run(0), "%s", trial_problem);
    ck_assert_msg(scenario->ends || trial_is_whole(), "%s", trial_problem);
    atomic_store(&trial_plan->recording, false);
    int64_t began = now_ms();
    for (size_t i = 0; i < PLAN_SITES; i++) {
        uint32_t key = atomic_load(&trial_plan->sites[i].key);
        if (key == 0 || !chosen(key))
            continue;
        unsigned times = atomic_load(&trial_plan->sites[i].times);
        for (unsigned before = 0; before < times && before < most; before++) {
            tried++;
            bad += try_site(scenario, key, before, trial_plan->sites[i].call) ? 0 : 1;
        }
    }
    if (!trial_has_ended())
        ck_assert_msg(trial_stops(), "%s", trial_problem);
    fprintf(stderr, "%s: %u calls were tried in %lld ms, %u failed, %u are not in order\n",
            scenario->name, tried, (long long)(now_ms() - began), atomic_load(&trial_plan->fired),
            bad);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

/* ---- The table ---- */

static bool is_known(const char *name)
{
    for (size_t i = 0; i < COUNT(calls); i++) {
        if (strcmp(calls[i].name, name) == 0)
            return true;
    }
    for (size_t i = 0; i < COUNT(exceptions); i++) {
        if (strstr(exceptions[i].names, keep_printf(" %s ", name)) != NULL)
            return true;
    }
    return false;
}

START_TEST(every_import_fails_under_test_or_is_an_exception)
{
    struct run run = run_command((const char *const[]){"/usr/bin/nm", "-D", "-P",
                                                       "--undefined-only", pillion_binary(), NULL},
                                 NULL, PATIENCE_MS);
    size_t count = 0;

    expect_status(&run, 0);
    for (char *line = strtok(run.out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        line[strcspn(line, " @")] = '\0';
        /* Of libcjson; and what the compiler calls by itself. */
        if (strncmp(line, "cJSON_", 6) == 0 || strncmp(line, "_ITM_", 5) == 0 ||
            (strncmp(line, "__", 2) == 0 && strncmp(line, "__isoc", 6) != 0 &&
             strcmp(line, "__getdelim") != 0))
            continue;
        count++;
        if (!is_known(line))
            fail_test("the server calls %s, which tests/e2e/preload/calls.h does not know: give it "
                      "a row with an errno of its manual page, or an exception with the reason",
                      line);
    }
    ck_assert_uint_gt(count, 100);
}
END_TEST

/* A case for each scenario: CK_RUN_CASE=reload runs one alone. */
int main(void)
{
    Suite *suite = suite_create("calls");

    for (size_t i = 0; i <= COUNT(scenarios); i++) {
        bool table = i == COUNT(scenarios);
        TCase *tcase = tcase_create(table ? "table" : scenarios[i].name);
        tcase_set_timeout(tcase, 600);
        tcase_add_checked_fixture(tcase, harness_setup, harness_teardown);
        if (table)
            tcase_add_test(tcase, every_import_fails_under_test_or_is_an_exception);
        else
            tcase_add_loop_test(tcase, every_call_fails_once, (int)i, (int)i + 1);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
