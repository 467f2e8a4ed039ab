/* `pillion dev`: a module that is changed while it is served. */
#include "harness_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* PREFIX/geo: what `pillion new geo` writes, on the port of `server`. */
static struct server *skeleton(void)
{
    struct server *server = server_new();
    struct run run = pillion("new", "geo", server_path(server, "geo"));

    expect_status(&run, 0);
    char *conf = file_read(server_path(server, "geo/geo.conf"), NULL);
    char *port = strstr(conf, "8080");
    ck_assert_ptr_nonnull(port);
    server_write(server, "geo/geo.conf", "%.*s%d%s", (int)(port - conf), conf, server->port,
                 port + 4);
    return server;
}

/* Starts `pillion dev`, which is ended as a server is. */
static void dev_start(struct server *server)
{
    server_run(server,
               (const char *const[]){pillion_binary(), "dev", server_path(server, "geo"), NULL});
}

static char *call_geo(const struct server *server)
{
    struct run run = pillion("call", "--server", keep_printf("127.0.0.1:%d", server->port), "geo",
                             "{\"name\": \"Ada\"}");

    return run.out;
}

/* The answer becomes `greeting`. */
static void expect_geo(const struct server *server, const char *greeting)
{
    char *expected = keep_printf("\"%s\"\n", greeting);

    wait_until(strcmp(call_geo(server), expected) == 0, "geo never answers %s but %s", expected,
               call_geo(server));
}

/* A file with `from` replaced by `to`. */
static char *edited(const struct server *server, const char *path, const char *from, const char *to)
{
    char *text = file_read(server_path(server, path), NULL);
    char *at = strstr(text, from);

    if (at == NULL)
        fail_test("%s holds no \"%s\"", path, from);
    return keep_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

/* Writes over the file, as simple editors do. */
static void edit(const struct server *server, const char *path, const char *from, const char *to)
{
    server_write(server, path, "%s", edited(server, path, from, to));
}

/* Writes another file and renames it over the first, as careful editors do. */
static void edit_by_renaming(const struct server *server, const char *path, const char *from,
                             const char *to)
{
    char *text = edited(server, path, from, to);

    server_write(server, "geo/.new~", "%s", text);
    ck_assert_int_eq(rename(server_path(server, "geo/.new~"), server_path(server, path)), 0);
}

static unsigned times_logged(const struct server *server, const char *line)
{
    unsigned count = 0;

    for (const char *at = server_log(server); (at = strstr(at, line)) != NULL; at++)
        count++;
    return count;
}

/* ---- What is changed is served ---- */

START_TEST(dev_serves_each_change_and_keeps_serving_over_errors)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    edit(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    expect_geo(server, "Hello: Ada!");
    edit(server, "geo/geo.c", "pillion_reply(req", "pillion_repli(req");
    server_wait_log(server, "make has failed; the code from before keeps serving");
    expect_part(server_log(server), "pillion_repli");
    expect_part(server_log(server), "geo.c:");
    ck_assert_str_eq(call_geo(server), "\"Hello: Ada!\"\n");
    edit(server, "geo/geo.c", "pillion_repli(req", "pillion_reply(req");
    edit(server, "geo/geo.c", "%s: %s!", "%s; %s!");
    expect_geo(server, "Hello; Ada!");
}
END_TEST

START_TEST(dev_sees_files_that_are_renamed_created_and_removed)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    edit_by_renaming(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    expect_geo(server, "Hello: Ada!");
    /* The header is missing at first, and appears. */
    edit(server, "geo/geo.c", "snprintf(text, size, \"%s: %s!\"",
         "\n#include \"form.h\"\n    snprintf(text, size, FORM");
    server_wait_log(server, "make has failed");
    server_write(server, "geo/form.h", "#define FORM \"%%s- %%s!\"\n");
    expect_geo(server, "Hello- Ada!");
    /* The module depends on what the Makefile says. */
    edit(server, "geo/Makefile", "geo.so: $(OBJECTS)", "geo.so: $(OBJECTS) form.h");
    edit_by_renaming(server, "geo/form.h", "-", "=");
    expect_geo(server, "Hello= Ada!");
    unlink(server_path(server, "geo/form.h"));
    wait_until(times_logged(server, "make has failed") == 2, "a removed header is not noticed");
    ck_assert_str_eq(call_geo(server), "\"Hello= Ada!\"\n");
}
END_TEST

START_TEST(dev_sees_sources_in_rust)
{
    struct server *server = skeleton();

    /* make and the compiler take it as it is called. */
    edit(server, "geo/geo.c", "snprintf(text, size, \"%s, %s!\"",
         "\n#include \"form.rs\"\n    snprintf(text, size, FORM");
    server_write(server, "geo/form.rs", "#define FORM \"%%s, %%s!\"\n");
    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    server_write(server, "geo/form.rs", "#define FORM \"%%s: %%s!\"\n");
    expect_geo(server, "Hello: Ada!");
}
END_TEST

START_TEST(dev_reloads_the_configuration_without_make)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    edit_by_renaming(server, "geo/geo.c", "Hello", "Hello"); /* the same again */
    edit(server, "geo/geo.conf", "greeting \"Hello\"", "greeting Ahoy");
    expect_geo(server, "Ahoy, Ada!");
    edit(server, "geo/geo.conf", "greeting Ahoy", "greting Hey");
    server_wait_log(server, "not put to use; the code from before keeps serving");
    expect_part(server_log(server), "did you mean \"greeting\"?");
    edit_by_renaming(server, "geo/geo.conf", "greting Hey", "greeting Hey");
    expect_geo(server, "Hey, Ada!");
    ck_assert_uint_eq(times_logged(server, "pillion dev: make\n"), 1);
}
END_TEST

START_TEST(dev_does_not_reload_unchanged_modules)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    char *source = file_read(server_path(server, "geo/geo.c"), NULL);
    server_write(server, "geo/geo.c", "%s/* a remark */\n", source);
    server_wait_log(server, "every *.so is byte for byte as before; nothing is reloaded");
    ck_assert_uint_eq(times_logged(server, "pillion dev: make\n"), 2);
    ck_assert_uint_eq(times_logged(server, "pillion dev: reloaded\n"), 0);
    ck_assert_uint_eq(times_logged(server, "generation 2 serves"), 0);
    edit(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    expect_geo(server, "Hello: Ada!");
}
END_TEST

START_TEST(dev_keeps_serving_when_the_new_build_cannot_be_loaded)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    edit(server, "geo/geo.c", "/* ---- Methods",
         "void abort(void);\n__attribute__((constructor)) static void c(void) { abort(); }\n/*");
    server_wait_log(server, "not put to use");
    expect_part(server_log(server), "geo.so crashed while loading");
    ck_assert_str_eq(call_geo(server), "\"Hello, Ada!\"\n");
    edit(server, "geo/geo.c", "{ abort(); }", "{ }");
    edit(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    expect_geo(server, "Hello: Ada!");
}
END_TEST

/* make has read the source, and writes what it made when the source is another one. */
START_TEST(dev_sees_files_that_change_while_make_runs)
{
    struct server *server = skeleton();
    const char *go = server_path(server, "go");

    edit(server, "geo/Makefile", "-o $@ $<\n",
         keep_printf(
             "-o $@ $<\n\techo compiled; while [ ! -e %s ]; do sleep 0.01; done; touch $@\n", go));
    server_write(server, "go", "%s", "");
    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    unlink(go);
    edit(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    wait_until(times_logged(server, "\ncompiled\n") == 2, "make does not begin");
    edit(server, "geo/geo.c", "%s: %s!", "%s; %s!");
    look_again(); /* so that no clock is so coarse that the two are of the same time */
    look_again();
    server_write(server, "go", "%s", "");
    expect_geo(server, "Hello; Ada!");
}
END_TEST

/* A module that was copied there by others' hands counts as well. */
START_TEST(dev_reloads_a_module_that_others_put_there)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    edit(server, "geo/geo.conf", "load_module geo.so {\n    greeting \"Hello\";\n}",
         "load_module version.so;\nload_module geo.so;");
    server_wait_log(server, "not put to use"); /* version.so is not there */
    file_copy(server_path(server, "modules/version_v1.so"), server_path(server, "geo/version.so"));
    wait_until(times_logged(server, "pillion dev: reloaded\n") == 1, "version.so is not noticed");
    ck_assert_uint_eq(times_logged(server, "pillion dev: make\n"), 1);
}
END_TEST

/* ---- Beginning and end ---- */

START_TEST(dev_starts_the_server_once_the_module_builds)
{
    struct server *server = skeleton();

    edit(server, "geo/geo.c", "pillion_reply(req", "pillion_repli(req");
    dev_start(server);
    server_wait_log(server, "make has failed; the server starts when it succeeds");
    ck_assert_int_eq(client_try_connect(server->port), -1);
    edit(server, "geo/geo.c", "pillion_repli(req", "pillion_reply(req");
    expect_geo(server, "Hello, Ada!");
}
END_TEST

START_TEST(dev_starts_a_server_that_has_ended_after_the_next_change)
{
    struct server *server = skeleton();

    edit(server, "geo/geo.conf", "method geo", "method goe");
    dev_start(server);
    server_wait_log(server, "the server has ended, with status 1");
    edit(server, "geo/geo.conf", "method goe", "method geo");
    expect_geo(server, "Hello, Ada!");
    pid_t pids[1];
    ck_assert_uint_eq(children_of(server->pid, pids, 1), 1);
    kill(pids[0], SIGKILL);
    server_wait_log(server, "the server was ended by signal 9");
    edit(server, "geo/geo.c", "%s, %s!", "%s: %s!");
    expect_geo(server, "Hello: Ada!");
}
END_TEST

#define FAMILY_MAX 16

/* The children of `pid` and theirs, and so on. The number. */
static size_t family_of(pid_t pid, pid_t *pids, size_t most)
{
    size_t count = children_of(pid, pids, most), direct = count;

    for (size_t i = 0; i < direct; i++)
        count += family_of(pids[i], pids + count, most - count);
    return count;
}

static bool all_ended(const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (process_lives(pids[i]))
            return false;
    }
    return true;
}

START_TEST(dev_ends_everything_when_it_is_told_to)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        struct server *server = skeleton();
        dev_start(server);
        expect_geo(server, "Hello, Ada!");
        pid_t pids[FAMILY_MAX];
        size_t count = family_of(server->pid, pids, FAMILY_MAX);
        ck_assert_uint_ge(count, 3); /* master, vault, worker */
        server_signal(server, numbers[i]);
        int status = server_wait_exit(server, PATIENCE_MS);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        wait_until(all_ended(pids, count), "parts of the server go on without pillion dev");
        ck_assert_int_eq(client_try_connect(server->port), -1);
        ck_assert_int_ne(access(server_path(server, "geo/geo.pid"), F_OK), 0);
    }
}
END_TEST

START_TEST(dev_that_is_killed_leaves_nothing_running)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    pid_t pids[FAMILY_MAX];
    size_t count = family_of(server->pid, pids, FAMILY_MAX);
    server_signal(server, SIGKILL);
    server_wait_exit(server, PATIENCE_MS);
    wait_until(all_ended(pids, count), "the server goes on without pillion dev");
}
END_TEST

START_TEST(dev_ends_while_make_runs)
{
    struct server *server = skeleton();

    edit(server, "geo/Makefile", "geo.so: $(OBJECTS)\n", "geo.so: $(OBJECTS)\n\tsleep 1000\n");
    dev_start(server);
    server_wait_log(server, "sleep 1000");
    pid_t pids[FAMILY_MAX];
    size_t count = family_of(server->pid, pids, FAMILY_MAX);
    server_signal(server, SIGTERM);
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wait_until(all_ended(pids, count), "make goes on without pillion dev");
}
END_TEST

START_TEST(dev_ends_when_its_directory_goes)
{
    struct server *server = skeleton();

    dev_start(server);
    expect_geo(server, "Hello, Ada!");
    rename(server_path(server, "geo"), server_path(server, "gone"));
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    expect_part(server_log(server), "/geo is gone");
}
END_TEST

/* ---- Refusals ---- */

START_TEST(dev_names_the_missing_configuration)
{
    struct server *server = server_new();
    char *empty = server_path(server, "run");

    struct run run = pillion("dev", empty);
    expect_status(&run, 1);
    expect_part(run.err, "/run holds no *.conf to serve");
    server_write(server, "run/a.conf", "a;\n");
    server_write(server, "run/b.conf", "b;\n");
    run = pillion("dev", empty);
    expect_status(&run, 1);
    expect_part(run.err, "several configurations");
    run = pillion("dev", server_path(server, "no/such"));
    expect_status(&run, 1);
    expect_part(run.err, "No such file or directory");
    run = pillion("dev", "a", "b");
    expect_status(&run, 64);
    expect_part(run.err, "\"b\" is one too many");
}
END_TEST

E2E_MAIN("dev", dev_serves_each_change_and_keeps_serving_over_errors,
         dev_sees_files_that_are_renamed_created_and_removed, dev_sees_sources_in_rust,
         dev_reloads_the_configuration_without_make, dev_does_not_reload_unchanged_modules,
         dev_keeps_serving_when_the_new_build_cannot_be_loaded,
         dev_sees_files_that_change_while_make_runs, dev_reloads_a_module_that_others_put_there,
         dev_starts_the_server_once_the_module_builds,
         dev_starts_a_server_that_has_ended_after_the_next_change,
         dev_ends_everything_when_it_is_told_to, dev_that_is_killed_leaves_nothing_running,
         dev_ends_while_make_runs, dev_ends_when_its_directory_goes,
         dev_names_the_missing_configuration)
