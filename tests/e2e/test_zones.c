/* Zones as clients see them: values of any size, and zones with a file, which outlive the server.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METHODS "method put; method get; method add; method all;"

static void configure(const struct server *server, const char *zone)
{
    server_conf(server, keep_printf("load_module modules/zoned.so; %s", zone), METHODS);
}

static struct server *serve(const char *zone)
{
    struct server *server = server_new();

    configure(server, zone);
    server_start(server);
    return server;
}

static void stop(struct server *server)
{
    server_signal(server, SIGTERM);
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
}

static const cJSON *result(const struct server *server, const char *method, const char *params)
{
    int client = client_connect(server);

    client_send_frame(client, keep_printf("{\"in\":\"%s\",\"params\":%s}", method, params));
    const cJSON *reply = client_receive_json(client);
    const cJSON *result = cJSON_GetObjectItem(reply, "result");
    ck_assert_msg(!cJSON_IsObject(result), "%s", cJSON_PrintUnformatted(reply));
    return result;
}

static bool put(const struct server *server, const char *key, int times, int ttl_ms)
{
    return cJSON_IsTrue(
        result(server, "put",
               keep_printf("{\"key\":\"%s\",\"value\":\"0123456789\",\"times\":%d,\"ttl_ms\":%d}",
                           key, times, ttl_ms)));
}

/* Whether the key has its ten bytes that often; -1: it has nothing. */
static void expect_value(const struct server *server, const char *key, int times)
{
    const cJSON *value = result(server, "get", keep_printf("{\"key\":\"%s\"}", key));

    if (times < 0) {
        ck_assert(cJSON_IsNull(value));
        return;
    }
    ck_assert_msg(cJSON_IsString(value), "%s is gone", key);
    const char *text = value->valuestring;
    ck_assert_uint_eq(strlen(text), (size_t)times * 10);
    for (int i = 0; i < times; i++)
        ck_assert(memcmp(text + (size_t)i * 10, "0123456789", 10) == 0);
}

static int add(const struct server *server, const char *key)
{
    return result(server, "add", keep_printf("{\"key\":\"%s\"}", key))->valueint;
}

START_TEST(large_values_are_shared_and_outlive_workers)
{
    struct server *server = serve("zone z 8m;");
    pid_t workers[8];

    ck_assert(put(server, "large", 100000, 0)); /* a megabyte */
    ck_assert(put(server, "small", 2, 0));
    ck_assert(!put(server, "too large", 110000, 0));
    for (int i = 0; i < 6; i++)
        expect_value(server, "large", 100000);
    size_t count = server_workers(server, workers, 8);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGKILL);
    server_reload(server);
    expect_value(server, "large", 100000);
    expect_value(server, "small", 2);
    expect_value(server, "too large", -1);
    ck_assert_int_eq(result(server, "all", "null")->valueint, 2);
}
END_TEST

#define KEPT "zone z 1m file=run/z.zone;"

static void fill(const struct server *server)
{
    ck_assert(put(server, "large", 10000, 0));
    ck_assert(put(server, "small", 2, 0));
    ck_assert(put(server, "lasting", 2, 3600000));
    ck_assert(put(server, "lasting large", 200, 3600000));
    for (int i = 1; i <= 7; i++)
        ck_assert_int_eq(add(server, "count"), i);
}

/* `count` has been read so many times before. */
static void expect_all(const struct server *server, int before)
{
    expect_value(server, "large", 10000);
    expect_value(server, "small", 2);
    expect_value(server, "lasting", 2);
    expect_value(server, "lasting large", 200);
    ck_assert_int_eq(add(server, "count"), 8 + before);
}

START_TEST(a_zone_with_a_file_outlives_a_stop)
{
    struct server *server = serve(KEPT);
    struct stat status;

    fill(server);
    ck_assert(put(server, "short", 2, 50));
    ck_assert(put(server, "short large", 200, 50));
    stop(server);
    ck_assert_int_eq(stat(server_path(server, "run/z.zone"), &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    ck_assert_int_ge(status.st_blocks * 512, 1 << 20); /* it has its space already */
    server_start(server);
    expect_all(server, 0);
    usleep(50000);
    expect_value(server, "short", -1);
    expect_value(server, "short large", -1);
    stop(server);
    server_start(server);
    expect_all(server, 1);
}
END_TEST

/* The new server may be there before the last worker of the old one has ended. */
START_TEST(a_zone_with_a_file_outlives_a_kill)
{
    struct server *server = serve(KEPT);

    fill(server);
    for (int i = 0; i < 5; i++) {
        if (i % 2 == 0)
            server_signal(server, SIGKILL);
        else
            server_kill_all(server, SIGKILL);
        server_wait_exit(server, PATIENCE_MS);
        server_start(server);
        expect_all(server, i);
    }
}
END_TEST

START_TEST(a_zone_with_a_file_goes_on_over_an_upgrade)
{
    struct server *server = serve(KEPT);

    fill(server);
    for (int i = 0; i < 2; i++) {
        server_order(server, "upgrade");
        expect_all(server, i);
    }
    server_reload(server);
    expect_all(server, 2);
    stop(server);
    server_start(server);
    expect_all(server, 3);
}
END_TEST

START_TEST(a_reload_gives_a_zone_another_file_or_another_name)
{
    struct server *server = serve("zone z 1m;");

    ck_assert(put(server, "memory", 500, 0));
    configure(server, KEPT);
    server_reload(server);
    expect_value(server, "memory", -1);
    fill(server);
    configure(server, "zone y 1m file=run/z.zone; zone z 1m file=run/other.zone;");
    server_reload(server);
    expect_value(server, "small", -1);
    ck_assert(put(server, "other", 500, 0));
    configure(server, "zone z 1m file=run/z.zone; zone y 1m file=run/other.zone;");
    server_reload(server);
    expect_all(server, 0);
    configure(server, "zone z 1m;");
    server_reload(server);
    expect_value(server, "small", -1);
    server_wait_log(server, "run/z.zone is not configured any more; the file stays as it is");
    stop(server);
    configure(server, KEPT);
    server_start(server);
    expect_all(server, 1);
}
END_TEST

/* Nothing that is refused changes the file, or keeps it from the server. */
START_TEST(a_file_of_another_size_or_kind_is_refused)
{
    struct server *server = serve(KEPT);

    fill(server);
    configure(server, "zone z 2m file=run/z.zone;");
    server_reload_refused(server, "with 1048576 bytes: write that size, or another file");
    file_write(server_path(server, "run/text"), "some text\n", 10);
    configure(server, "zone z 1m file=run/text;");
    server_reload_refused(server, "run/text is no zone; give another path, or move the file away");
    ck_assert_str_eq(file_read(server_path(server, "run/text"), NULL), "some text\n");
    ck_assert_int_eq(symlink("z.zone", server_path(server, "run/link")), 0);
    configure(server, "zone z 1m file=run/link;");
    server_reload_refused(server, "run/link is a symbolic link");
    ck_assert_int_eq(link(server_path(server, "run/z.zone"), server_path(server, "run/hard")), 0);
    configure(server, KEPT " zone y 1m file=run/hard;");
    server_reload_refused(server, "this server has the zone file");
    configure(server, "zone z 1m file=nowhere/z;");
    server_reload_refused(server, "nowhere/z: No such file or directory");
    configure(server, KEPT " zone y 1m file=run/../run/z.zone; zone z 64k;");
    server_reload_refused(server, "appears twice");
    configure(server, KEPT " zone y 1m file=run/z.zone;");
    server_reload_refused(server, "z.zone appears twice");
    configure(server, "zone z 1m files=run/z.zone;");
    server_reload_refused(server, "zone NAME SIZE [file=PATH]");
    expect_all(server, 0);
    stop(server);
    configure(server, "zone z 2m file=run/z.zone;");
    server_spawn(server, (const char *const[]){NULL});
    ck_assert_int_ne(server_wait_exit(server, PATIENCE_MS), 0);
    server_wait_log(server, "was made for a zone of 1048576 bytes, not 2097152");
    configure(server, KEPT);
    server_start(server);
    expect_all(server, 1);
}
END_TEST

/* A configuration that is refused has opened a file; the next one may have it in another way. */
START_TEST(a_refused_configuration_lets_go_of_its_files)
{
    struct server *server = serve("zone z 1m;");

    configure(server, "zone z 1m file=run/new; load_module modules/start_fails.so;");
    server_reload_refused(server, "start_fails");
    unlink(server_path(server, "run/new"));
    configure(server, "zone z 2m file=run/new;");
    wait_until(server_ask(server, "reload").status == 0, "the file stays in use");
    ck_assert(put(server, "large", 20000, 0));
    expect_value(server, "large", 20000);
}
END_TEST

START_TEST(two_servers_do_not_use_one_file)
{
    struct server *first = serve(KEPT), *second = server_new();

    fill(first);
    configure(second, keep_printf("zone z 1m file=%s;", server_path(first, "run/z.zone")));
    server_spawn(second, (const char *const[]){NULL});
    ck_assert_int_ne(server_wait_exit(second, PATIENCE_MS), 0);
    server_wait_log(second,
                    keep_printf("another server, process %d, uses the zone file", (int)first->pid));
    expect_all(first, 0);
    stop(first);
    server_start(second);
    expect_all(second, 1);
}
END_TEST

START_TEST(a_check_neither_makes_nor_locks_a_file)
{
    struct server *server = server_new();

    configure(server, KEPT);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    ck_assert_int_ne(access(server_path(server, "run/z.zone"), F_OK), 0);
    server_start(server);
    fill(server);
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 0);
    expect_all(server, 0);
    configure(server, "zone z 2m file=run/z.zone;");
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "was made for a zone of 1048576 bytes, not 2097152");
}
END_TEST

START_TEST(a_file_that_is_removed_is_told_of)
{
    struct server *server = serve(KEPT);

    fill(server);
    unlink(server_path(server, "run/z.zone"));
    server_reload(server);
    server_wait_log(server, "was removed or replaced: the zone goes on");
    expect_all(server, 0);
    stop(server);
    server_start(server);
    expect_value(server, "small", -1);
}
END_TEST

/* The worker that meets the missing part ends; the next one has a whole zone. */
START_TEST(a_file_that_is_cut_under_the_server_is_mended)
{
    struct server *server = server_new();
    const char *file = server_path(server, "run/z.zone");
    const off_t sizes[] = {0, 100, 4096, 500000, 3000000};
    struct stat whole, status;

    server->reports_allowed = true; /* of SIGBUS */
    configure(server, "quarantine_crashes off; " KEPT);
    server_start(server);
    ck_assert_int_eq(stat(file, &whole), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ck_assert(put(server, "before", 1000, 0));
        ck_assert_int_eq(truncate(file, sizes[i]), 0);
        client_call(client_connect(server), "get", "{\"key\":\"before\"}");
        server_reload(server);
        ck_assert_int_eq(stat(file, &status), 0);
        ck_assert_int_eq(status.st_size, whole.st_size);
        ck_assert_int_ge(status.st_blocks * 512, 1 << 20);
        server_wait_log(server, keep_printf("\"z\" had %d bytes", (int)sizes[i]));
        ck_assert(put(server, "after", 1000, 0));
        expect_value(server, "after", 1000);
    }
    stop(server);
    server_start(server);
    expect_value(server, "after", 1000);
}
END_TEST

/* Whatever a module writes over a zone: the server starts with it again. */
START_TEST(a_file_that_was_written_over_works_on)
{
    struct server *server = server_new();

    server->reports_allowed = true;
    server_conf(server,
                "load_module modules/zoned.so; load_module modules/hostile.so; quarantine_crashes "
                "off; zone z 64k 'file=run/pillion zone';",
                METHODS "method wild;");
    server_start(server);
    for (int seed = 0; seed < 20; seed++) {
        int client = client_connect(server);
        client_call(client, "wild",
                    keep_printf("{\"map\":\"zone\",\"seed\":%d,\"stores\":400}", seed));
        put(server, "key", 1 + seed * 20, 0);
        result(server, "get", "{\"key\":\"key\"}");
        result(server, "all", "null");
        if (seed % 5 != 4)
            continue;
        stop(server);
        server_start(server);
        ck_assert(put(server, "new", 30, 0));
        expect_value(server, "new", 30);
    }
}
END_TEST

E2E_MAIN("zones", large_values_are_shared_and_outlive_workers, a_zone_with_a_file_outlives_a_stop,
         a_zone_with_a_file_outlives_a_kill, a_zone_with_a_file_goes_on_over_an_upgrade,
         a_reload_gives_a_zone_another_file_or_another_name,
         a_file_of_another_size_or_kind_is_refused, a_refused_configuration_lets_go_of_its_files,
         two_servers_do_not_use_one_file, a_check_neither_makes_nor_locks_a_file,
         a_file_that_is_removed_is_told_of, a_file_that_is_cut_under_the_server_is_mended,
         a_file_that_was_written_over_works_on)
