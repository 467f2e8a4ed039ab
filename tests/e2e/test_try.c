/* pillion try: a module's method without a server. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void gives(const char *file, const char *method, const char *params, const char *result)
{
    struct run run = pillion("try", module_path(file), method, params);

    expect_status(&run, 0);
    ck_assert_str_eq(run.out, keep_printf("%s\n", result));
}

START_TEST(results_are_printed_as_they_are)
{
    gives("ping", "ping", "[1, 2.50]", "[1, 2.50]");
    gives("hello", "greet", "{\"name\": \"Ada\"}", "\"Hello, Ada!\"");
    gives("later", "ticks", "null", "0");
    struct run run = run_command(
        (const char *const[]){pillion_binary(), "try", module_path("ping"), "ping", "-", NULL},
        "{\"from\": \"stdin\"}", PATIENCE_MS);
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "{\"from\": \"stdin\"}\n");
}
END_TEST

START_TEST(params_may_be_given_by_name)
{
    struct run run = pillion("try", module_path("hello"), "greet", "name=5");

    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "\"Hello, 5!\"\n"); /* a string, because the table says so */
    run = pillion("try", module_path("gives"), "ticket", "name=Ada", "seats=1", "price=2",
                  "mood=cheerful", "seats=2");
    expect_status(&run, 0);
    ck_assert_str_eq(run.out,
                     "{\"name\":\"Ada\",\"price\":2,\"mood\":\"cheerful\",\"seats\":[1,2]}\n");
    run = pillion("try", module_path("gives"), "ticket", "name=Ada", "seats:=[3]");
    expect_part(run.out, "\"seats\":[3]");
    run = pillion("try", module_path("ping"), "ping", "n=5", "s=x"); /* which declares nothing */
    ck_assert_str_eq(run.out, "{\"n\":5,\"s\":\"x\"}\n");
    run = pillion("try", module_path("gives"), "ticket", "price=x");
    expect_status(&run, 64);
    expect_part(run.err, "price is a number: price=3, and not \"x\"");
    run = pillion("try", module_path("gives"), "ticket", "name=Ada", "7");
    expect_status(&run, 64);
    expect_part(run.err, "\"7\" is neither NAME=VALUE nor NAME:=JSON");
    run = pillion("try", module_path("typed"), "order", "items=x");
    expect_status(&run, 64);
    expect_part(run.err, "items is a list of objects: give 'items:=[{…}]'");
    run = pillion("try", "none.so", "x", "a=1");
    expect_status(&run, 64);
    expect_part(run.err, "none.so");
}
END_TEST

START_TEST(deferred_requests_are_waited_for)
{
    gives("later", "wait", "{\"ms\":20}", "{\"ms\":20}");
    gives("later", "nap", "{\"ms\":20}", "{\"ms\":20}");
    gives("later", "pipe", "null", "\"through\"");
    gives("later", "post", "null", "null");
    gives("later", "at_once", "null", "null");
    gives("later", "thrice", "{}", "{}");
    struct run run = pillion("try", module_path("later"), "wait", "{\"ms\":5000,\"timeout\":20}");
    expect_status(&run, 1);
    expect_part(run.err, "timeout: \"wait\" did not answer within 20 ms");
    run = pillion("try", "--wait", "50", module_path("later"), "ticks");
    expect_status(&run, 0);
    ck_assert_int_ge(atoi(run.out), 1); /* however late the timers are, and 0 without --wait */
}
END_TEST

START_TEST(a_module_that_hangs_is_ended_after_timeout)
{
    static const struct {
        const char *file, *method, *says;
    } cases[] = {
        {"crash", "hang", "\"hang\" of "},
        {"later", "hold", "\"hold\" of "},
        {"ctor_loop", "x", "ctor_loop.so was not loaded and started"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct run run =
            pillion("try", "--timeout", "100ms", module_path(cases[i].file), cases[i].method, "{}");
        expect_status(&run, 1);
        ck_assert_str_eq(run.out, "");
        expect_part(run.err, cases[i].says);
        expect_part(run.err, "within 100ms; --timeout TIME gives it longer");
    }
    /* --wait comes on top, and the end of the process does not count. */
    struct run run =
        pillion("try", "--timeout", "2s", "--wait", "2200", module_path("slow_exit"), "ping");
    expect_status(&run, 0);
    run = pillion("try", "--timeout", "0", module_path("ping"), "ping");
    expect_status(&run, 0);
}
END_TEST

START_TEST(mistakes_of_the_module_are_told)
{
    struct run run = pillion("try", module_path("hello"), "greet", "5");
    expect_status(&run, 1);
    expect_part(run.err, "invalid_params: ");
    run = pillion("try", module_path("later"), "twice");
    expect_status(&run, 0);
    expect_part(run.err, "\"twice\" resumed a request twice");
    run = pillion("try", module_path("later"), "forgets");
    expect_status(&run, 1);
    expect_part(run.err, "\"forgets\" resumed a request and did not answer it");
    run = pillion("try", module_path("later"), "crash_now");
    ck_assert_int_ge(run.status, 128);
    run = pillion("try", module_path("check_fails"), "x");
    expect_status(&run, 64);
}
END_TEST

START_TEST(directives_are_given_and_checked)
{
    struct run run = pillion("try", "--module", "greeting Moin;", module_path("hello"), "greet",
                             "{\"name\":\"Ada\"}");
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "\"Moin, Ada!\"\n");
    run = pillion("try", "--module", "greting Moin;", module_path("hello"), "greet", "1");
    expect_status(&run, 64);
    expect_part(run.err, "did you mean \"greeting\"?");
    run = pillion("try", "--method", "nothing on;", module_path("ping"), "ping");
    expect_status(&run, 64);
    expect_part(run.err, "unknown directive \"nothing\"");
}
END_TEST

START_TEST(wrong_command_lines_are_explained)
{
    static const struct {
        const char *arguments[4], *message;
    } cases[] = {
        {{NULL}, "which FILE.so?"},
        {{"ping.so", NULL}, "which METHOD?"},
        {{"ping.so", "ping", "1", "2"}, "\"2\" is one too many"},
        {{"nothing.so", "ping", NULL}, "cannot open"},
        {{"--wait", "x", "ping.so", "ping"}, "--wait takes milliseconds"},
        {{"--timeout", "1x", "ping.so", "ping"}, "--timeout takes a time as in 500ms or 10s"},
        {{"ping.so", "ping", "{", NULL}, "PARAMS"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *argv[8] = {pillion_binary(), "try"};
        for (size_t a = 0; a < 4 && cases[i].arguments[a] != NULL; a++)
            argv[2 + a] = cases[i].arguments[a];
        struct run run = run_command(argv, NULL, PATIENCE_MS);
        expect_status(&run, 64);
        expect_part(run.err, cases[i].message);
    }
    struct run run = pillion("try", module_path("ping"), "pnig");
    expect_status(&run, 64);
    expect_part(run.err, "did you mean \"ping\"?");
}
END_TEST

START_TEST(filters_of_other_modules_can_be_tried)
{
    const char *filter = "filter auth { token secret; }";
    struct run run = pillion("try", "--with", module_path("auth"), "--method", filter,
                             module_path("ping"), "ping", "[1]");
    expect_status(&run, 1);
    expect_part(run.err, "unauthorized: ");
    run = pillion("try", "--with", module_path("limit"), "--main", "zone z 64k;", "--method",
                  "filter limit { zone z; rate 1/h; }", module_path("ping"), "ping", "[1]");
    expect_status(&run, 0);
    expect_part(run.out, "[1]");
    run = pillion("try", "--with", module_path("auth"), "--method", filter, "--members",
                  "{\"token\": \"secret\"}", module_path("ping"), "ping", "[1]");
    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "[1]\n");
    static const char *const wrong[] = {"{}", "[1]", "{\"a\":}", "\"token\"", ""};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        run = pillion("try", "--members", wrong[i], module_path("ping"), "ping");
        expect_status(&run, 64);
        expect_part(run.err, "--members takes a JSON object with members");
    }
}
END_TEST

/* ---- Bytes that are kept too long ---- */

#define TOOL_MS 120000 /* valgrind is slow */

/* The methods of the fixture: what each keeps is its name. */
static const char *const kept[] = {"raw",  "body",    "tree",     "args",  "alloc",
                                   "peer", "request", "deferred", "result"};

/* `pillion try` of one of them, behind a tool's command line. */
static struct run try_with(const char *tool, const char *module, const char *method)
{
    const char *line =
        keep_printf("%s %s try %s %s '{\"name\":\"Ada\"}'", tool, pillion_binary(), module, method);

    return run_command((const char *const[]){"/bin/sh", "-c", line, NULL}, NULL, TOOL_MS);
}

/* What is there as long as the module is no mistake; then each of the others. */
static void expect_told(const char *tool, const char *module, const char *told, size_t step)
{
    struct run run = try_with(tool, module, "nothing");
    expect_status(&run, 0);
    expect_part(run.err, "kept something");
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i += step) {
        run = try_with(tool, module, kept[i]);
        ck_assert_str_eq(run.out, "true\n");
        ck_assert_int_ne(run.status, 0);
        expect_part(run.err, told);
        expect_part(run.err, "keeps.c");
    }
}

#ifdef __SANITIZE_ADDRESS__
#define VALGRIND /* cannot run beside it */
START_TEST(sanitizers_tell_which_module_keeps_bytes_of_a_request)
{
    expect_told("", module_path("keeps"), "heap-use-after-free", 1);
}
END_TEST
#else
/* As docs/writing-a-module/debug.md has it: the module alone is built for the sanitizer. */
START_TEST(sanitizers_tell_which_module_keeps_bytes_of_a_request)
{
    char *module = server_path(server_new(), "keeps.so");
    struct run run = run_command((const char *const[]){"/usr/bin/gcc", "-g", "-shared", "-fPIC",
                                                       "-fsanitize=address", "-Icore/include", "-o",
                                                       module, "tests/modules/keeps.c", NULL},
                                 NULL, PATIENCE_MS);

    expect_status(&run, 0);
    expect_told("LD_PRELOAD=$(gcc -print-file-name=libasan.so)", module, "heap-use-after-free", 1);
}
END_TEST

#define VALGRIND valgrind_tells_which_module_keeps_bytes_of_a_request,
START_TEST(valgrind_tells_which_module_keeps_bytes_of_a_request)
{
    if (command_exists("valgrind"))
        expect_told("valgrind -q --error-exitcode=9", module_path("keeps"), "Invalid read", 3);
}
END_TEST
#endif

E2E_MAIN("try", filters_of_other_modules_can_be_tried, results_are_printed_as_they_are,
         params_may_be_given_by_name, deferred_requests_are_waited_for,
         a_module_that_hangs_is_ended_after_timeout, mistakes_of_the_module_are_told,
         directives_are_given_and_checked, wrong_command_lines_are_explained,
         VALGRIND sanitizers_tell_which_module_keeps_bytes_of_a_request)
