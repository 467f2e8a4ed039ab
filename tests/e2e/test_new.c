/* `pillion new`: what it writes builds, passes its test and is served, by the commands that it
 * prints. */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_MS 30000

/* Runs shell commands in a directory, where no other Pillion is installed. */
static struct run shell(const char *directory, const char *commands)
{
    const char *line = keep_printf("cd '%s' && export PATH=/usr/bin:/bin "
                                   "PKG_CONFIG_LIBDIR=/nonexistent && unset PILLION MAKEFLAGS && "
                                   "%s",
                                   directory, commands);

    return run_command((const char *const[]){"/bin/sh", "-c", line, NULL}, NULL, BUILD_MS);
}

/* A directory to write into. */
static char *work_directory(void)
{
    char *path = server_path(server_new(), "work");

    mkdir(path, 0755);
    return path;
}

static struct run new_module(const char *directory, const char *operands)
{
    char binary[4096];

    ck_assert_ptr_nonnull(realpath(pillion_binary(), binary));
    return shell(directory, keep_printf("'%s' new %s", binary, operands));
}

static char *path_in(const char *directory, const char *path)
{
    return keep_printf("%s/%s", directory, path);
}

/* What was printed to be typed, the first `count` commands. */
static char *printed_commands(const char *out, size_t count)
{
    char *commands = keep_printf("true");

    for (const char *line = strstr(out, "\n    "); line != NULL && count > 0; count--) {
        commands = keep_printf("%s && %.*s", commands, (int)strcspn(line + 5, "\n"), line + 5);
        line = strstr(line + 5, "\n    ");
    }
    ck_assert_uint_eq(count, 0);
    return commands;
}

/* ---- What is written works ---- */

static void expect_tested(const struct run *made)
{
    expect_status(made, 0);
    ck_assert_str_eq(made->err, ""); /* no warnings */
    expect_part(made->out, "ok: geo {\"name\": \"Ada\"} gives \"Hello, Ada!\"");
    expect_part(made->out, "ok: geo {\"name\": 5} gives invalid_params");
}

/* The library for unit tests wants the sanitizers that it was built with. */
#ifdef __SANITIZE_ADDRESS__
#define UNIT_FLAGS "CFLAGS='-g -fsanitize=address,undefined'"
#else
#define UNIT_FLAGS ""
#endif

static void expect_unit_tested(const char *work, const char *compilers)
{
    if (UNIT_FLAGS[0] != '\0' && strstr(compilers, "clang") != NULL)
        return;
    struct run made =
        shell(work, keep_printf("cd geo && make -s clean && make unit %s " UNIT_FLAGS, compilers));
    expect_status(&made, 0);
    ck_assert_str_eq(made.err, "");
    expect_part(made.out, "100%: Checks: 2, Failures: 0, Errors: 0");
}

START_TEST(new_writes_a_module_that_builds_and_passes_its_tests)
{
    static const struct {
        const char *operands, *source, *compilers;
    } cases[] = {
        {"geo", "geo/geo.c ", "CC=gcc"},
        {"geo", "geo/geo.c ", "CC=clang"},
        {"geo", "geo/geo.c ", "CC='gcc -std=c17 -Wpedantic -Werror'"},
        {"--c++ geo", "geo/geo.cc ", "CXX=g++ CC=gcc"},
        {"--c++ geo", "geo/geo.cc ", "CXX=clang++ CC=clang"},
        {"geo --c++", "geo/geo.cc ", "CXX='g++ -Werror' CC=gcc"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *work = work_directory();
        struct run run = new_module(work, cases[i].operands);
        expect_status(&run, 0);
        expect_part(run.out, cases[i].source);
        struct run made = shell(
            work, keep_printf("export %s && %s", cases[i].compilers, printed_commands(run.out, 2)));
        expect_tested(&made);
        struct run good = pillion("-t", "-p", path_in(work, "geo"), "-c", "geo.conf");
        expect_status(&good, 0);
        struct run told = pillion("modinfo", path_in(work, "geo/geo.so"));
        expect_part(told.out, "name:       geo\n");
        expect_part(told.out, strstr(cases[i].compilers, "clang") == NULL ? "GCC" : "clang");
        expect_unit_tested(work, cases[i].compilers);
    }
}
END_TEST

/* The last of the printed commands is one for another terminal. */
START_TEST(what_new_prints_calls_the_module)
{
    char *work = work_directory();
    struct run run = new_module(work, "geo");
    char *printed = strstr(run.out, " call geo ");

    expect_status(&run, 0);
    ck_assert_ptr_nonnull(printed);
    run = shell(work, "cd geo && make && sed -i 's|listen .*|listen unix:socket;|' geo.conf");
    expect_status(&run, 0);
    printed[strcspn(printed, "\n")] = '\0';
    run =
        shell(work, keep_printf("cd geo && export PATH=%s:$PATH && { pillion -p . -c geo.conf & } "
                                "2>log && tries=0; until [ -S socket ] || [ $tries = 300 ]; do "
                                "tries=$((tries + 1)); sleep 0.1; done; "
                                "pillion call --server unix:socket %s; status=$?; kill $!; "
                                "exit $status",
                                getenv("PILLION_BUILD"), printed + strlen(" call ")));
    expect_status(&run, 0);
    expect_part(run.out, "\"Hello, Ada!\"\n");
}
END_TEST

START_TEST(new_modules_grow_by_sources_and_libraries)
{
    static const char more[] = "extern \"C\" const char *more() { return \"more\"; }\n";
    char *work = work_directory();
    struct run run = new_module(work, "geo");

    expect_status(&run, 0);
    file_write(path_in(work, "geo/more.cc"), more, strlen(more));
    run = shell(work, "cd geo && make LDLIBS=-lm && nm geo.so");
    expect_status(&run, 0);
    expect_part(run.out, "g++ -O2 -g -shared");
    expect_part(run.out, " -lm\n");
    expect_part(run.out, " T more\n");
    run = shell(work, "cd geo && make clean && make LDLIBS=-lthere_is_none");
    expect_status(&run, 2);
    expect_part(run.err, "-lthere_is_none");
    /* What includes a header is built again when that changes. */
    run = shell(work, "cd geo && echo '#define MORE 1' >more.h && echo '#include \"more.h\"' "
                      ">>more.cc && make && touch -d '1 hour' more.h && make");
    expect_status(&run, 0);
    const char *first = strstr(run.out, "-o more.o");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, "-o more.o"));
}
END_TEST

START_TEST(unit_tests_without_check_say_what_to_install)
{
    char *work = work_directory();
    struct run run = new_module(work, "geo");

    expect_status(&run, 0);
    run = shell(work, "cd geo && mkdir none && echo '#error it is missing' >none/check.h && "
                      "make unit CPPFLAGS=-Inone");
    expect_status(&run, 2);
    expect_part(run.err, "unit tests need check, which is not there: install check (Debian");
    ck_assert_ptr_null(strstr(run.err, "it is missing"));
}
END_TEST

START_TEST(new_modules_are_installed_and_cleaned)
{
    char *work = work_directory();
    struct run run = new_module(work, "geo");

    expect_status(&run, 0);
    run = shell(work, "cd geo && make install DESTDIR=../there MODULES_DIR=/lib/modules");
    expect_status(&run, 0);
    ck_assert_int_eq(access(path_in(work, "there/lib/modules/geo.so"), R_OK), 0);
    run = shell(work, "cd geo && make clean");
    expect_status(&run, 0);
    ck_assert_int_ne(access(path_in(work, "geo/geo.so"), F_OK), 0);
    ck_assert_int_ne(access(path_in(work, "geo/geo.o"), F_OK), 0);
}
END_TEST

/* The skeleton's own test can fail. */
START_TEST(a_new_modules_test_fails_when_its_answer_differs)
{
    char *work = work_directory();
    struct run run = new_module(work, "geo");

    expect_status(&run, 0);
    run = shell(work, "cd geo && sed -i 's/%s, %s!/%s; %s!/' geo.c && make test");
    expect_status(&run, 2);
    expect_part(run.err,
                "FAILED: geo {\"name\": \"Ada\"} gives \"Hello; Ada!\", not \"Hello, Ada!\"");
    run = shell(work, "cd geo && make unit " UNIT_FLAGS);
    expect_status(&run, 2);
    expect_part(run.out, "\"Hi; Ada!\"");
    run = shell(work, "cd geo && sed -i 's/greeting \"/greting \"/' geo.conf && make test");
    expect_status(&run, 2);
    expect_part(run.err, "FAILED: the server does not start");
    expect_part(run.err, "did you mean \"greeting\"?");
}
END_TEST

START_TEST(new_goes_where_it_is_told)
{
    char *work = work_directory();
    struct run run = new_module(work, "2_Fast \"a/b c/it's\"");

    expect_status(&run, 0);
    expect_part(run.out, "    cd 'a/b c/it'\\''s'\n");
    struct run made = shell(work, printed_commands(run.out, 2));
    expect_status(&made, 0);
    expect_part(made.out, "ok: 2_Fast {\"name\": \"Ada\"} gives");
}
END_TEST

/* ---- Which Pillion is used ---- */

START_TEST(new_uses_pkg_config_where_it_knows_pillion)
{
    char *work = work_directory();
    struct run run = new_module(work, "geo");
    static const char pc[] = "Name: pillion\nDescription: x\nVersion: 1\n"
                             "modulesdir=/known/to/pkg-config\nCflags: -I/include/known/to/it\n";

    expect_status(&run, 0);
    file_write(path_in(work, "pillion.pc"), pc, strlen(pc));
    run = shell(work, "cd geo && PKG_CONFIG_LIBDIR=.. make -n install");
    expect_status(&run, 0);
    expect_part(run.out, " -I/include/known/to/it ");
    expect_part(run.out, "/known/to/pkg-config");
    run = shell(work, "cd geo && make -n install");
    expect_part(run.out, "/core/include ");
}
END_TEST

START_TEST(new_of_an_installed_pillion_finds_its_header)
{
    char *work = work_directory();

    struct run run = shell(work, "mkdir -p prefix/bin prefix/include/pillion && "
                                 "echo >prefix/include/pillion/module.h");
    expect_status(&run, 0);
    file_copy(pillion_binary(), path_in(work, "prefix/bin/pillion"));
    chmod(path_in(work, "prefix/bin/pillion"), 0755);
    run = shell(work, "PATH=$PWD/prefix/bin:$PATH && pillion new geo && cd geo && "
                      "make -n install && make -n test unit");
    expect_status(&run, 0);
    expect_part(run.out, "\n    pillion dev .\n");
    expect_part(run.out, keep_printf(" -I%s/prefix/include ", work));
    expect_part(run.out, keep_printf("%s/prefix/lib/pillion/modules", work));
    expect_part(run.out, keep_printf(" -L%s/prefix/lib -Wl,-rpath,%s/prefix/lib -lpillion-test ",
                                     work, work));
    expect_part(run.out, keep_printf("PILLION='%s/prefix/bin/pillion' ./test_geo", work));
}
END_TEST

/* ---- Refusals ---- */

START_TEST(new_refuses_names_that_cannot_be)
{
    static const char *const names[] = {"''",  "a-b",     "a.b",        "../x",
                                        "a/b", "\"a b\"", "gr\xc3\xbc", "'a;b'"};
    char *work = work_directory();

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct run run = new_module(work, names[i]);
        expect_status(&run, 64);
        expect_part(run.err, "letters, digits and _");
    }
    struct run run = new_module(work, keep_printf("%064d", 0));
    expect_status(&run, 64);
    run = new_module(work, "");
    expect_status(&run, 64);
    expect_part(run.err, "which NAME?");
    run = new_module(work, "a b c");
    expect_status(&run, 64);
    expect_part(run.err, "\"c\" is one too many");
    ck_assert_int_eq(rmdir(work), 0); /* nothing was written */
}
END_TEST

START_TEST(new_overwrites_nothing)
{
    char *work = work_directory();
    size_t size;

    mkdir(path_in(work, "geo"), 0755);
    file_write(path_in(work, "geo/README.md"), "mine\n", 5);
    struct run run = new_module(work, "geo");
    expect_status(&run, 1);
    expect_part(run.err, "geo/README.md is there already");
    expect_part(run.err, "nothing was written");
    ck_assert_str_eq(run.out, "");
    ck_assert_str_eq(file_read(path_in(work, "geo/README.md"), &size), "mine\n");
    ck_assert_int_ne(access(path_in(work, "geo/geo.c"), F_OK), 0);
    unlink(path_in(work, "geo/README.md"));
    run = new_module(work, "geo"); /* a directory that is there is no hindrance */
    expect_status(&run, 0);
    run = new_module(work, "geo geo/geo.c");
    expect_status(&run, 1);
    expect_part(run.err, "geo/geo.c");
    expect_part(run.err, "Not a directory");
}
END_TEST

E2E_MAIN("new", new_writes_a_module_that_builds_and_passes_its_tests,
         what_new_prints_calls_the_module, new_modules_grow_by_sources_and_libraries,
         unit_tests_without_check_say_what_to_install, new_modules_are_installed_and_cleaned,
         a_new_modules_test_fails_when_its_answer_differs, new_goes_where_it_is_told,
         new_uses_pkg_config_where_it_knows_pillion, new_of_an_installed_pillion_finds_its_header,
         new_refuses_names_that_cannot_be, new_overwrites_nothing)
