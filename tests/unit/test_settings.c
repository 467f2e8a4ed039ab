/* The core's settings: the defaults, every directive, and the promises of the table. */
#include "conf/parser.h"
#include "conf/settings_table.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "unit.h"

static struct conf_tree *tree;
static struct conf_errors errors;
static struct settings settings;

static bool read_with(const char *prefix, const char *text, const char *overrides)
{
    tree = conf_tree_new(prefix);
    conf_tree_add_text(tree, "t", bytes_of(text), false, &errors);
    if (overrides != NULL)
        conf_tree_add_text(tree, "-g", bytes_of(overrides), true, &errors);
    unsigned before = errors.count;
    bool good = settings_read(tree, &settings, &errors);
    ck_assert(good == (errors.count == before));
    return errors.count == 0;
}

static void finish(void)
{
    conf_tree_free(tree);
    conf_errors_free(&errors);
}

static void expect_good(const char *text)
{
    read_with("/p", text, NULL);
    ck_assert_str_eq(text_string(&errors.text), "");
}

static void expect_errors(const char *text, const char *expected)
{
    ck_assert(!read_with("/p", text, NULL));
    ck_assert_str_eq(text_string(&errors.text), expected);
    finish();
}

/* Checks that a statement in main (`inside`: in a server) gives exactly this message. */
static void expect_message(bool inside, const char *statement, const char *message)
{
    struct text text = {0}, expected = {0};

    text_printf(&text, "server { listen 1;%s%s%s", inside ? "\n" : "}\n", statement,
                inside ? "\n}" : "");
    ck_assert(!read_with("/p", text.data, NULL));
    ck_assert_uint_eq(errors.count, 1);
    const char *from = strstr(errors.text.data, ": ");
    ck_assert_ptr_nonnull(from);
    text_append(&expected, (struct bytes){from + 2, strcspn(from + 2, "\n")});
    ck_assert_str_eq(text_string(&expected), message);
    finish();
    text_free(&text);
    text_free(&expected);
}

static void expect_main_message(const char *statement, const char *message)
{
    expect_message(false, statement, message);
}

static void expect_server_message(const char *statement, const char *message)
{
    expect_message(true, statement, message);
}

/* ---- main ---- */

START_TEST(the_smallest_configuration_has_every_default)
{
    cpu_set_t set;

    expect_good("server { listen 127.0.0.1:8080; }");
    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    ck_assert_int_eq(settings.worker_processes, CPU_COUNT(&set));
    ck_assert_int_eq(settings.worker_connections, 20000);
    ck_assert_int_eq(settings.worker_rlimit_nofile, 0);
    ck_assert_uint_eq(settings.worker_cpu_affinity.count, 0);
    ck_assert_uint_eq(settings.arena_size, 0);
    ck_assert_ptr_null(settings.user);
    ck_assert_ptr_null(settings.group);
    ck_assert_str_eq(settings.log.path, "stderr");
    ck_assert_int_eq(settings.log.level, LOG_INFO_LEVEL);
    ck_assert_int_eq(settings.log.format, LOG_FORMAT_TEXT);
    ck_assert_str_eq(settings.pid, "/p/run/pillion.pid");
    ck_assert_str_eq(settings.control, "/p/run/pillion.control");
    ck_assert(!settings.daemon);
    ck_assert(settings.pin_modules);
    ck_assert_uint_eq(settings.load_timeout_ms, 10000);
    ck_assert_uint_eq(settings.handler_timeout_ms, 10000);
    ck_assert_uint_eq(settings.drain_timeout_ms, 30000);
    ck_assert_ptr_null(settings.modules);

    const struct server_settings *server = settings.servers;
    ck_assert_ptr_null(server->next);
    ck_assert_uint_eq(server->index, 0);
    ck_assert_ptr_null(server->methods);
    ck_assert_uint_eq(server->max_frame, 1 << 20);
    ck_assert_uint_eq(server->max_output, 1 << 20);
    ck_assert_int_eq(server->json_max_depth, 64);
    ck_assert_int_eq(server->json_max_values, 100000);
    ck_assert_uint_eq(server->idle_timeout_ms, 0);
    ck_assert_uint_eq(server->max_connection_age_ms, 0);
    ck_assert(server->tcp_keepalive);
    ck_assert(server->tcp_nodelay);
    ck_assert_str_eq(server->listens->address, "127.0.0.1:8080");
    ck_assert_int_eq(server->listens->backlog, 4096);
    ck_assert(!server->listens->reuseport);
    ck_assert(!server->listens->proxy_protocol);
    ck_assert_uint_eq(server->proxy_from.count, 0);
    ck_assert_uint_eq(server->proxy_timeout_ms, 3000);
    ck_assert_ptr_null(server->listens->next);
    finish();
}
END_TEST

/* The reference's section on a directive, up to the end of its heading. */
static void reference_of(const char *name, struct text *heading)
{
    struct text reference = {0}, title = {0};

    settings_reference(&reference);
    text_printf(&title, "### %s\n\n```\n", name);
    const char *entry = strstr(text_string(&reference), text_string(&title));
    ck_assert_ptr_nonnull(entry);
    entry += title.size;
    text_append(heading, (struct bytes){entry, (size_t)(strstr(entry, "```") - entry)});
    text_free(&title);
    text_free(&reference);
}

/* Below the bounds, and good: where there is an `off`, nought says the same. */
START_TEST(nought_is_off_where_there_is_an_off)
{
    static const char *const names[] = {"handler_timeout", "heartbeat_timeout",
                                        "quarantine_crashes", "idle_timeout", "max_connection_age"};

    expect_good("handler_timeout 0; heartbeat_timeout 0s; quarantine_crashes 0;"
                "server { listen 1; idle_timeout 0ms; max_connection_age 0; }");
    ck_assert_uint_eq(settings.handler_timeout_ms, 0);
    ck_assert_uint_eq(settings.heartbeat_timeout_ms, 0);
    ck_assert_int_eq(settings.quarantine_crashes, 0);
    ck_assert_uint_eq(settings.servers->idle_timeout_ms, 0);
    ck_assert_uint_eq(settings.servers->max_connection_age_ms, 0);
    finish();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct text heading = {0};
        reference_of(names[i], &heading);
        ck_assert_ptr_nonnull(strstr(text_string(&heading), "; 0 means off\n"));
        text_free(&heading);
    }
    expect_message(false, "load_timeout 0;",
                   "\"load_timeout\" must be from 100ms to 10m, not \"0\"");
}
END_TEST

START_TEST(every_directive_of_main_is_read)
{
    expect_good("worker_processes 3; worker_connections 77; worker_rlimit_nofile 5000;"
                "worker_cpu_affinity 01 10; arena_size 2g; error_log logs/e.log debug json;"
                "pid /x/y.pid; control c.sock; daemon on; pin_modules off; load_timeout 1m;"
                "handler_timeout off; drain_timeout 0; worker_rlimit_core 2m;"
                "working_directory w; server { listen 1; }");
    ck_assert(settings.core_limited && !settings.core_unlimited);
    ck_assert_uint_eq(settings.core_limit, 2u << 20);
    ck_assert_str_eq(settings.working_directory, "/p/w");
    ck_assert_int_eq(settings.worker_processes, 3);
    ck_assert_int_eq(settings.worker_connections, 77);
    ck_assert_int_eq(settings.worker_rlimit_nofile, 5000);
    ck_assert_uint_eq(settings.worker_cpu_affinity.count, 2);
    ck_assert_str_eq(settings.worker_cpu_affinity.items[1], "10");
    ck_assert_uint_eq(settings.arena_size, (uint64_t)2 << 30);
    ck_assert_str_eq(settings.log.path, "/p/logs/e.log");
    ck_assert_int_eq(settings.log.level, LOG_DEBUG_LEVEL);
    ck_assert_int_eq(settings.log.format, LOG_FORMAT_JSON);
    ck_assert_str_eq(settings.pid, "/x/y.pid");
    ck_assert_str_eq(settings.control, "/p/c.sock");
    ck_assert(settings.daemon);
    ck_assert(!settings.pin_modules);
    ck_assert_uint_eq(settings.load_timeout_ms, 60000);
    ck_assert_uint_eq(settings.handler_timeout_ms, 0);
    ck_assert_uint_eq(settings.drain_timeout_ms, 0);
    finish();
}
END_TEST

START_TEST(every_directive_of_main_has_its_bounds)
{
    expect_main_message("worker_processes 0;",
                        "\"worker_processes\" must be auto or from 1 to 128, not \"0\"");
    expect_main_message("worker_processes 129;",
                        "\"worker_processes\" must be auto or from 1 to 128, not \"129\"");
    expect_main_message("worker_connections 0;",
                        "\"worker_connections\" must be from 1 to 1000000, not \"0\"");
    expect_main_message("worker_connections 1000001;",
                        "\"worker_connections\" must be from 1 to 1000000, not \"1000001\"");
    expect_main_message("worker_rlimit_core many;",
                        "\"many\" is not a size, such as 512, 16k or 1m");
    expect_main_message("worker_rlimit_nofile 63;",
                        "\"worker_rlimit_nofile\" must be from 64 to 1073741824, not \"63\"");
    expect_main_message("arena_size 1023k;",
                        "\"arena_size\" must be auto or from 1m to 64g bytes, not \"1023k\"");
    expect_main_message("arena_size 65g;",
                        "\"arena_size\" must be auto or from 1m to 64g bytes, not \"65g\"");
    expect_main_message("load_timeout 99ms;",
                        "\"load_timeout\" must be from 100ms to 10m, not \"99ms\"");
    expect_main_message("load_timeout 601s;",
                        "\"load_timeout\" must be from 100ms to 10m, not \"601s\"");
    expect_main_message("handler_timeout 9ms;",
                        "\"handler_timeout\" must be off or from 10ms to 1d, not \"9ms\"");
    expect_main_message("drain_timeout 2d;", "\"drain_timeout\" must be from 0 to 1d, not \"2d\"");
}
END_TEST

START_TEST(auto_is_bounded_by_the_number_of_workers)
{
    expect_good("worker_processes auto; server { listen 1; }");
    ck_assert_int_ge(settings.worker_processes, 1);
    ck_assert_int_le(settings.worker_processes, WORKER_PROCESSES_MAX);
    finish();
}
END_TEST

START_TEST(processor_masks_are_checked)
{
    static const char *const wrong[][2] = {
        {"worker_cpu_affinity 012;", "012"},
        {"worker_cpu_affinity 00;", "00"},
        {"worker_cpu_affinity 01 auto;", "auto"},
        {"worker_cpu_affinity '';", ""},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char expected[200];
        snprintf(expected, sizeof(expected),
                 "\"worker_cpu_affinity\" must be auto alone, or masks "
                 "of 0 and 1 with at least one 1, not \"%s\"",
                 wrong[i][1]);
        expect_main_message(wrong[i][0], expected);
    }
    expect_good("worker_cpu_affinity auto; server { listen 1; }");
    finish();
}
END_TEST

START_TEST(the_error_log_takes_targets_levels_and_formats)
{
    static const struct {
        const char *text, *path;
        enum log_level level;
        enum log_format format;
    } good[] = {
        {"stderr", "stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT},
        {"stderr error", "stderr", LOG_ERROR_LEVEL, LOG_FORMAT_TEXT},
        {"stderr json", "stderr", LOG_INFO_LEVEL, LOG_FORMAT_JSON},
        {"stderr json warn", "stderr", LOG_WARN_LEVEL, LOG_FORMAT_JSON},
        {"syslog notice text", "syslog", LOG_NOTICE_LEVEL, LOG_FORMAT_TEXT},
        {"syslog:local3", "syslog:local3", LOG_INFO_LEVEL, LOG_FORMAT_TEXT},
        {"pillion.log info", "/p/pillion.log", LOG_INFO_LEVEL, LOG_FORMAT_TEXT},
        {"./stder", "/p/./stder", LOG_INFO_LEVEL, LOG_FORMAT_TEXT},
        {"/var/log/x debug", "/var/log/x", LOG_DEBUG_LEVEL, LOG_FORMAT_TEXT},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        char text[100];
        snprintf(text, sizeof(text), "error_log %s; server { listen 1; }", good[i].text);
        expect_good(text);
        ck_assert_str_eq(settings.log.path, good[i].path);
        ck_assert_int_eq(settings.log.level, good[i].level);
        ck_assert_int_eq(settings.log.format, good[i].format);
        finish();
    }
    expect_main_message("error_log stder;",
                        "\"error_log\" must be stderr, syslog or a file's path, "
                        "not \"stder\"; did you mean \"stderr\"?");
    expect_main_message("error_log '';",
                        "\"error_log\" must be stderr, syslog or a file's path, not \"\"");
    expect_main_message("error_log stderr wran;",
                        "\"error_log\" must be error, warn, notice, info, debug, text or json, not "
                        "\"wran\"; did you mean \"warn\"?");
    expect_main_message("error_log stderr info debug;",
                        "unexpected \"debug\"; it is written \"error_log TARGET [LEVEL] [text | "
                        "json];\"");
    expect_main_message(
        "error_log syslog:locl0;",
        "\"syslog\" must be daemon, user, auth, local0, local1, local2, local3, "
        "local4, local5, local6 or local7, not \"locl0\"; did you mean \"local0\"?");
    expect_main_message("error_log stderr\npid x;",
                        "\";\" seems to be missing here; it is written \"error_log TARGET [LEVEL] "
                        "[text | json];\"");
}
END_TEST

START_TEST(users_are_looked_up_by_root)
{
    if (geteuid() == 0) {
        expect_main_message("user no-such-user;",
                            "there is no user \"no-such-user\" on this system");
        expect_main_message("user root no-such-group;",
                            "there is no group \"no-such-group\" on this system");
    } else {
        expect_good("user no-such-user; server { listen 1; }");
        finish();
    }
    expect_good("user root root; server { listen 1; }");
    ck_assert_str_eq(settings.user, "root");
    ck_assert_str_eq(settings.group, "root");
    finish();
}
END_TEST

START_TEST(a_control_path_that_is_too_long_is_refused)
{
    char prefix[200] = "/", expected[400];

    memset(prefix + 1, 'x', 90);
    ck_assert(!read_with(prefix, "server { listen 1; }", NULL));
    snprintf(expected, sizeof(expected),
             "the control socket's path, %s/run/pillion.control, has 111 bytes, and the system "
             "allows 107; set \"control\" to a shorter one\n",
             prefix);
    ck_assert_str_eq(errors.text.data, expected);
    finish();

    /* Long enough to be refused by default is no error where the file says better. */
    ck_assert(read_with(prefix, "control /tmp/c; server { listen 1; }", NULL));
    finish();

    ck_assert(!read_with("/p", "control c; server { listen 1; }",
                         "control "
                         "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx;"));
    ck_assert_ptr_nonnull(strstr(errors.text.data, "-g:1:9: the control socket's path, "));
    finish();
}
END_TEST

START_TEST(modules_keep_their_order_and_blocks)
{
    expect_good("load_module modules/b.so;\nload_module /abs/a.so { greeting hi; unread { x; } }\n"
                "server { listen 1; }");
    const struct module_settings *b = settings.modules, *a = b->next;
    ck_assert_str_eq(b->path, "/p/modules/b.so");
    ck_assert_str_eq(b->label, "b.so");
    ck_assert_ptr_null(b->block);
    ck_assert_uint_eq(b->index, 0);
    ck_assert_uint_eq(b->place.line, 1);
    ck_assert_uint_eq(b->place.column, 13);
    ck_assert_str_eq(a->path, "/abs/a.so");
    ck_assert_str_eq(a->label, "a.so");
    ck_assert_str_eq(a->block->name.text, "greeting");
    ck_assert_uint_eq(a->index, 1);
    ck_assert_ptr_null(a->next);
    finish();
    expect_main_message("load_module modules/;", "\"load_module\" needs the path of a file, as in "
                                                 "modules/ping.so, not \"modules/\"");
    expect_main_message("load_module '';", "\"load_module\" needs the path of a file, as in "
                                           "modules/ping.so, not \"\"");
    expect_main_message("load_module a.so;\nload_module /p/a.so;",
                        "\"load_module /p/a.so\" appears twice; the first is on line 2");
    expect_main_message("load_module;", "\"load_module\" needs more than that; it is written "
                                        "\"load_module PATH [pool=NAME] [needs=NEED,…];\" "
                                        "or \"load_module PATH [pool=NAME] [needs=NEED,…] { … }\"");
}
END_TEST

/* ---- server ---- */

START_TEST(every_directive_of_server_is_read)
{
    expect_good("server { listen 1; }\n"
                "  server { listen [::1]:80 backlog=7 reuseport; listen unix:a/b reuseport;\n"
                "listen 2 proxy_protocol backlog=3 reuseport; proxy_from 10.0.0.0/8 ::1; "
                "proxy_from 192.0.2.1; proxy_timeout 1m;"
                "max_frame 64; max_output 4k; json_max_depth 512; json_max_values 2147483648;"
                "send_timeout 2s; least_rate off; keepalive_requests 9; limit_conn 7 rate=30/m; "
                "allow 10.0.0.0/8 unix:; deny all;"
                "idle_timeout 1m30s; max_connection_age 1h; tcp_keepalive off; tcp_nodelay off; }");
    const struct server_settings *server = settings.servers->next;
    ck_assert_uint_eq(server->send_timeout_ms, 2000);
    ck_assert_uint_eq(server->least_rate, 0);
    ck_assert_int_eq(server->keepalive_requests, 9);
    ck_assert_int_eq(server->limit_conn.most, 7);
    ck_assert_int_eq(server->limit_conn.rate, 30);
    ck_assert_int_eq(server->limit_conn.period_s, 60);
    ck_assert_uint_eq(server->access.count, 3);
    ck_assert(server->access.rules[0].allows && server->access.rules[1].allows);
    ck_assert_int_eq(server->access.rules[1].of, ACCESS_UNIX);
    ck_assert_int_eq(server->access.rules[2].of, ACCESS_ALL);
    ck_assert(!server->access.rules[2].allows);
    ck_assert_uint_eq(server->index, 1);
    ck_assert_uint_eq(server->place.line, 2);
    ck_assert_uint_eq(server->place.column, 3);
    ck_assert_str_eq(server->listens->address, "[::1]:80");
    ck_assert_int_eq(server->listens->backlog, 7);
    ck_assert(server->listens->reuseport);
    ck_assert_uint_eq(server->listens->place.column, 19);
    ck_assert_str_eq(server->listens->next->address, "unix:a/b");
    ck_assert_int_eq(server->listens->next->backlog, 4096);
    ck_assert(server->listens->next->reuseport);
    ck_assert(!server->listens->next->proxy_protocol);
    const struct listen_settings *third = server->listens->next->next;
    ck_assert(third->proxy_protocol && third->reuseport && third->backlog == 3);
    ck_assert_ptr_null(third->next);
    ck_assert_uint_eq(server->proxy_from.count, 3);
    ck_assert_int_eq(server->proxy_from.networks[0].bits, 8);
    ck_assert_int_eq(server->proxy_from.networks[1].family, AF_INET6);
    ck_assert_int_eq(server->proxy_from.networks[2].bits, 32);
    ck_assert_uint_eq(server->proxy_timeout_ms, 60000);
    ck_assert_uint_eq(server->max_frame, 64);
    ck_assert_uint_eq(server->max_output, 4096);
    ck_assert_int_eq(server->json_max_depth, 512);
    ck_assert_int_eq(server->json_max_values, 2147483648);
    ck_assert_uint_eq(server->idle_timeout_ms, 90000);
    ck_assert_uint_eq(server->max_connection_age_ms, 3600000);
    ck_assert(!server->tcp_keepalive);
    ck_assert(!server->tcp_nodelay);
    finish();
}
END_TEST

START_TEST(every_directive_of_server_has_its_bounds)
{
    expect_server_message("max_frame 63;",
                          "\"max_frame\" must be from 64 to 128m bytes, not \"63\"");
    expect_server_message("max_frame 134217729;",
                          "\"max_frame\" must be from 64 to 128m bytes, not \"134217729\"");
    expect_server_message("max_output 4095;",
                          "\"max_output\" must be from 4k to 1g bytes, not \"4095\"");
    expect_server_message("json_max_depth 513;",
                          "\"json_max_depth\" must be from 1 to 512, not \"513\"");
    expect_server_message("json_max_values 2147483649;",
                          "\"json_max_values\" must be from 1 to 2147483648, not \"2147483649\"");
    expect_server_message("idle_timeout 99ms;",
                          "\"idle_timeout\" must be off or from 100ms to 365d, not \"99ms\"");
    expect_server_message("proxy_timeout 99ms;",
                          "\"proxy_timeout\" must be from 100ms to 1d, not \"99ms\"");
    expect_server_message("proxy_from 10.0.0.0/8 10.0.0.0/33;",
                          "\"10.0.0.0/33\": the number behind the \"/\" must be from 0 to 32");
    expect_server_message(
        "listen 2 proxy_protocol;",
        "\"listen 2\" with proxy_protocol needs \"proxy_from\" in its server block: the "
        "addresses of the balancers, as in \"proxy_from 10.0.0.0/8;\"");
    expect_server_message("allow 10.0.0.1/8;",
                          "\"10.0.0.1/8\" has more bits than the 8 of the network; write 10.0.0.1 "
                          "for that address alone; or all, or unix:");
    expect_server_message("limit_conn 0;", "\"0\" must be from 1 to 60000");
    expect_server_message("limit_conn 5 rate=60001/s;", "\"rate=60001/s\" must be from 1 to 60000");
    expect_server_message(
        "limit_conn 5 rate=5;",
        "unexpected \"rate=5\"; it is written \"limit_conn N [rate=N/s | rate=N/m] "
        "| off;\"");
    expect_server_message("max_connection_age 999ms;",
                          "\"max_connection_age\" must be off or from 1s to 365d, not \"999ms\"");
}
END_TEST

START_TEST(listen_checks_its_parameters)
{
    expect_server_message("listen 2 backlog=0;", "\"backlog\" must be from 1 to 65535, not \"0\"");
    expect_server_message("listen 2 backlog=65536;",
                          "\"backlog\" must be from 1 to 65535, not \"65536\"");
    expect_server_message("listen 2 backlog=many;", "\"many\" is not a whole number");
    expect_server_message("listen 2 reusport;",
                          "unexpected \"reusport\"; it is written \"listen "
                          "ADDRESS [protocol=P] [ssl] [backlog=N] [reuseport] [proxy_protocol] "
                          "[mode=N] [group=G];\"");
    expect_server_message(
        "listen 2\nmethod ping;",
        "\";\" seems to be missing here; it is written \"listen ADDRESS "
        "[protocol=P] [ssl] [backlog=N] [reuseport] [proxy_protocol] [mode=N] [group=G];\"");
    expect_server_message("listen;", "\"listen\" needs more than that; it is written \"listen "
                                     "ADDRESS [protocol=P] [ssl] [backlog=N] [reuseport] "
                                     "[proxy_protocol] [mode=N] [group=G];\"");
    expect_server_message("listen 1;", "\"listen 1\" appears twice; the first is on line 1");
    expect_errors("server { listen 1; }\nserver { listen 1; }",
                  "t:2:17: \"listen 1\" appears twice; the first is on line 1\n"
                  "    2 | server { listen 1; }\n"
                  "      |                 ^\n");
}
END_TEST

START_TEST(methods_keep_their_order)
{
    expect_good("server { listen 1; method b; method a { handler m.x.y; timeout 200ms; }\n"
                "method 'with space {'; method gr\xc3\xbc\xc3\x9f { } }");
    const struct method_settings *method = settings.servers->methods;
    ck_assert_str_eq(method->name, "b");
    ck_assert_ptr_null(method->handler);
    ck_assert_uint_eq(method->timeout_ms, 0);
    ck_assert_uint_eq(method->place.column, 27);
    method = method->next;
    ck_assert_str_eq(method->name, "a");
    ck_assert_str_eq(method->handler, "m.x.y");
    ck_assert_uint_eq(method->handler_place.column, 49);
    ck_assert_uint_eq(method->timeout_ms, 200);
    method = method->next;
    ck_assert_str_eq(method->name, "with space {");
    ck_assert_str_eq(method->next->name, "gr\xc3\xbc\xc3\x9f");
    ck_assert_ptr_null(method->next->next);
    finish();
}
END_TEST

START_TEST(methods_are_checked)
{
    char longest[256], text[300];

    memset(longest, 'm', 255);
    longest[255] = '\0';
    snprintf(text, sizeof(text), "server { listen 1; method %s; }", longest);
    expect_good(text);
    finish();
    snprintf(text, sizeof(text), "method %sm;", longest);
    expect_server_message(text, "the method's name is longer than 255 bytes");
    expect_server_message("method '';", "the method's name is empty");
    expect_server_message("method 'a\tb';", "the method's name holds a control character");
    expect_server_message("method a\xc2\x85;", "the method's name holds a control character");
    expect_server_message("method a\xff;", "the method's name is not valid UTF-8");
    expect_server_message("method a b;", "unexpected \"b\"; it is written \"method NAME;\" or "
                                         "\"method NAME { … }\"");
    expect_server_message("method a;\nmethod a { }",
                          "\"method a\" appears twice; the first is on line 2");
    expect_server_message("method a { timeout 9ms; }",
                          "\"timeout\" must be from 10ms to 1d, not \"9ms\"");
    /* The handler's own directives are read when it is bound. */
    expect_good("server { listen 1; method a { handlr m.x; } }");
    ck_assert_str_eq(settings.servers->methods->block->name.text, "handlr");
    finish();
    /* So are the words of a method in a line, which stand before its block. */
    expect_good("server { listen 1; redis_method a GET $key { returns json; timeout 1s; } }");
    const struct method_settings *line = settings.servers->methods;
    ck_assert_str_eq(line->name, "a");
    ck_assert_str_eq(line->module, "redis");
    ck_assert_uint_eq(line->timeout_ms, 1000);
    ck_assert_ptr_eq(line->block, line->words);
    ck_assert_uint_eq(line->words->word_count, 2);
    ck_assert_str_eq(line->words->words[1].text, "$key");
    ck_assert_str_eq(line->block->next->name.text, "returns");
    finish();
    expect_good("server { listen 1; x_method a; }");
    ck_assert_ptr_null(settings.servers->methods->words);
    finish();
    expect_server_message("redis_methd a GET $a;",
                          "unknown directive \"redis_methd\"; did you mean \"redis_method\"?");
    expect_server_message("max_fram 1k;",
                          "unknown directive \"max_fram\"; did you mean \"max_frame\"?");
    expect_server_message(
        "ssl_verify_depth 2;",
        "unknown directive \"ssl_verify_depth\"; did you mean \"ssl_verify_client\"?");
    expect_server_message("_method a;", "unknown directive \"_method\"; did you mean \"method\"?");
    static const char *const wrong[] = {"greet", ".greet", "hello.", "."};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char expected[200];
        snprintf(text, sizeof(text), "method a { handler %s; }", wrong[i]);
        snprintf(expected, sizeof(expected),
                 "a handler is a module's name, a dot and the name of one of its methods, as in "
                 "hello.greet, not \"%s\"",
                 wrong[i]);
        expect_server_message(text, expected);
    }
    expect_good("server { listen 1; method a; }\nserver { listen 2; method a; }");
    finish();
}
END_TEST

START_TEST(a_server_needs_a_block_and_an_address)
{
    expect_errors("server;\n",
                  "t:1:1: \"server\" needs a block, as in \"server { listen 127.0.0.1:8080; … }\"\n"
                  "    1 | server;\n"
                  "      | ^~~~~~\n");
    expect_errors("server { }\n", "t:1:1: \"listen\" is missing in server; add \"listen ADDRESS "
                                  "[protocol=P] [ssl] [backlog=N] "
                                  "[reuseport] [proxy_protocol] [mode=N] [group=G];\"\n"
                                  "    1 | server { }\n"
                                  "      | ^~~~~~\n");
    expect_errors("pid x;", "t: no server block: nothing would be served; add "
                            "\"server { listen 127.0.0.1:8080; … }\"\n");
    expect_errors("", "t: no server block: nothing would be served; add "
                      "\"server { listen 127.0.0.1:8080; … }\"\n");
}
END_TEST

START_TEST(a_missing_server_is_missed_in_the_file)
{
    char path[] = "/tmp/pillion-settings-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);

    tree = conf_tree_new("/p");
    ck_assert(conf_tree_add_text(tree, "-g", BYTES("daemon off;"), true, &errors));
    ck_assert(conf_tree_add_file(tree, path, &errors));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!settings_read(tree, &settings, &errors));
    ck_assert_int_eq(strncmp(errors.text.data, path, strlen(path)), 0);
    ck_assert_str_eq(errors.text.data + strlen(path),
                     ": no server block: nothing would be served; add "
                     "\"server { listen 127.0.0.1:8080; … }\"\n");
    finish();
}
END_TEST

/* ---- the whole ---- */

START_TEST(names_in_the_wrong_block_are_told_their_right_one)
{
    expect_errors("listen 1;\nserver { pid x; }\n",
                  "t:1:1: \"listen\" is not allowed here (main); it belongs in a server block\n"
                  "    1 | listen 1;\n"
                  "      | ^~~~~~\n"
                  "t:2:10: \"pid\" is not allowed here (server); it belongs in main, outside every "
                  "block\n"
                  "    2 | server { pid x; }\n"
                  "      |          ^~~\n");
    expect_server_message("method a { listen 1; }",
                          "\"listen\" is not allowed here (method); it belongs in a server block");
}
END_TEST

START_TEST(the_manual_shows_the_message_of_its_typing_error)
{
    expect_errors("#\n#\nserver {\n    lisen 127.0.0.1:8080;\n    method ping;\n}\n",
                  "t:4:5: unknown directive \"lisen\"; did you mean \"listen\"?\n"
                  "    4 |     lisen 127.0.0.1:8080;\n"
                  "      |     ^~~~~\n");
}
END_TEST

START_TEST(errors_of_parsing_and_of_meaning_come_in_one_run)
{
    expect_errors("pid x\n;daemon maybe;\nserver { listen 1 }\nserver { method a b; }\n",
                  "t:3:18: \";\" is missing here, at the end of \"listen\"\n"
                  "    3 | server { listen 1 }\n"
                  "      |                  ^\n"
                  "t:2:9: \"daemon\" must be on or off, not \"maybe\"\n"
                  "    2 | ;daemon maybe;\n"
                  "      |         ^~~~~\n"
                  "t:4:19: unexpected \"b\"; it is written \"method NAME;\" or "
                  "\"method NAME { … }\"\n"
                  "    4 | server { method a b; }\n"
                  "      |                   ^\n");
    /* A quote that swallows the rest is the only thing worth reporting. */
    expect_errors("pid \"x;\nserver { listen 1; }\n",
                  "t:1:5: the quote that starts here is never closed\n"
                  "    1 | pid \"x;\n"
                  "      |     ^\n");
}
END_TEST

START_TEST(the_command_line_overrides_the_file)
{
    ck_assert(read_with("/p",
                        "worker_processes 4; daemon on; error_log e/x debug json; load_module a.so;"
                        "server { listen 1; }",
                        "daemon off; worker_processes 1; error_log stderr; load_module b.so;"
                        "server { listen 2; }"));
    ck_assert_int_eq(settings.worker_processes, 1);
    ck_assert(!settings.daemon);
    ck_assert_str_eq(settings.log.path, "stderr");
    ck_assert_int_eq(settings.log.level, LOG_INFO_LEVEL);
    ck_assert_int_eq(settings.log.format, LOG_FORMAT_TEXT);
    ck_assert_str_eq(settings.modules->label, "a.so");
    ck_assert_str_eq(settings.modules->next->label, "b.so");
    ck_assert_str_eq(settings.servers->next->listens->address, "2");
    finish();
}
END_TEST

START_TEST(an_error_of_the_command_line_names_the_command_line)
{
    ck_assert(!read_with("/p", "server { listen 1; }", "demon on;"));
    ck_assert_str_eq(errors.text.data,
                     "-g:1:1: unknown directive \"demon\"; did you mean \"daemon\"?\n"
                     "    1 | demon on;\n"
                     "      | ^~~~~\n");
    finish();
}
END_TEST

START_TEST(the_shipped_configuration_is_good)
{
    static const char *const methods[] = {"ping",         "greet",      "rpc.list", "rpc.describe",
                                          "rpc.discover", "rpc.health", "rpc.stats"};

    tree = conf_tree_new("/p");
    FILE *file = fopen("conf/pillion.conf", "r"); /* tests run in the source tree */
    ck_assert_ptr_nonnull(file);
    char text[16384];
    size_t size = fread(text, 1, sizeof(text), file);
    ck_assert_uint_lt(size, sizeof(text));
    fclose(file);
    conf_tree_add_text(tree, "pillion.conf", (struct bytes){text, size}, false, &errors);
    settings_read(tree, &settings, &errors);
    ck_assert_str_eq(text_string(&errors.text), "");
    ck_assert_str_eq(settings.servers->listens->address, "127.0.0.1:8080");
    const struct method_settings *method = settings.servers->methods;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++, method = method->next)
        ck_assert_str_eq(method->name, methods[i]);
    ck_assert_ptr_null(method);
    finish();
}
END_TEST

/* ---- the table and its documentation ---- */

START_TEST(the_table_is_complete)
{
    for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
        size_t size = d->summary == NULL ? 0 : strlen(d->summary);
        ck_assert_msg(size > 20 && d->summary[size - 1] == '.', "%s has no summary", d->name);
        ck_assert_msg((d->type == CONF_CUSTOM) == (d->set != NULL), "%s: setter", d->name);
        ck_assert_msg(d->type != CONF_CUSTOM || d->syntax != NULL, "%s: syntax", d->name);
        ck_assert_msg(d->contexts != 0, "%s belongs nowhere", d->name);
        for (const struct conf_directive *e = d + 1; e->name != NULL; e++)
            ck_assert_msg(strcmp(d->name, e->name) != 0 || (d->contexts & e->contexts) == 0,
                          "%s is there twice", d->name);
    }
}
END_TEST

START_TEST(the_reference_names_every_directive)
{
    struct text out = {0};

    settings_reference(&out);
    for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
        char heading[100], syntax[100], anchor[40] = "";
        snprintf(heading, sizeof(heading), "\n### %s\n\n```\nSyntax:   %s ", d->name, d->name);
        ck_assert_msg(strstr(out.data, heading) != NULL, "no section for %s", d->name);
        for (size_t i = 0; d->name[i] != '\0' && i + 1 < sizeof(anchor); i++)
            anchor[i] = (char)tolower((unsigned char)d->name[i]);
        snprintf(syntax, sizeof(syntax), "[%s](#%s)", d->name, anchor);
        ck_assert_msg(strstr(out.data, syntax) != NULL, "no entry for %s", d->name);
    }
    ck_assert_ptr_nonnull(strstr(out.data, "\n### arena_size\n\n```\n"
                                           "Syntax:   arena_size auto | SIZE;\n"
                                           "Default:  arena_size auto;\n"
                                           "Context:  main\n"
                                           "Bounds:   from 1m to 64g bytes\n"
                                           "```\n\nThe size of each worker's arena"));
    ck_assert_ptr_nonnull(strstr(out.data, "Syntax:   method NAME;\n"
                                           "          method NAME { … }\n"
                                           "Default:  none\n"
                                           "Context:  server; it repeats\n```\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "Default:  none; it must be written\n"));
    ck_assert_int_eq(out.data[out.size - 1], '\n');
    ck_assert_int_ne(out.data[out.size - 2], '\n');
    text_free(&out);
}
END_TEST

START_TEST(the_example_of_the_reference_is_good)
{
    struct text out = {0};

    settings_reference(&out);
    const char *start = strstr(out.data, "```nginx\n");
    ck_assert_ptr_nonnull(start);
    start += strlen("```nginx\n");
    const char *end = strstr(start, "```");
    ck_assert_ptr_nonnull(end);
    char *example = strndup(start, (size_t)(end - start));
    expect_good(example);
    ck_assert_str_eq(settings.servers->methods->next->handler, "hello.greet");
    finish();
    free(example);
    text_free(&out);
}
END_TEST

UNIT_MAIN("settings", the_smallest_configuration_has_every_default,
          nought_is_off_where_there_is_an_off, every_directive_of_main_is_read,
          every_directive_of_main_has_its_bounds, auto_is_bounded_by_the_number_of_workers,
          processor_masks_are_checked, the_error_log_takes_targets_levels_and_formats,
          users_are_looked_up_by_root, a_control_path_that_is_too_long_is_refused,
          modules_keep_their_order_and_blocks, every_directive_of_server_is_read,
          every_directive_of_server_has_its_bounds, listen_checks_its_parameters,
          methods_keep_their_order, methods_are_checked, a_server_needs_a_block_and_an_address,
          a_missing_server_is_missed_in_the_file, names_in_the_wrong_block_are_told_their_right_one,
          the_manual_shows_the_message_of_its_typing_error,
          errors_of_parsing_and_of_meaning_come_in_one_run, the_command_line_overrides_the_file,
          an_error_of_the_command_line_names_the_command_line, the_shipped_configuration_is_good,
          the_table_is_complete, the_reference_names_every_directive,
          the_example_of_the_reference_is_good)
