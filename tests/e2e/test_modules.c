/* Modules as the server meets them: broken ones are named with what to do, and hurt no client; for
 * rude ones the server answers. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A broken module, and the message about it. */
static const struct broken {
    const char *module;
    const char *words[3];
    bool slow; /* ended by load_timeout */
} broken[] = {
    {"ctor_abort", {"ctor_abort.so crashed while loading (SIGABRT", NULL}, false},
    {"ctor_segv", {"ctor_segv.so crashed while loading (SIGSEGV", NULL}, false},
    {"ctor_loop",
     {"ctor_loop.so did not finish loading within 2000 ms (load_timeout)", NULL},
     true},
    {"ctor_exit", {"ctor_exit.so ended the process while loading (exit status", NULL}, false},
    {"no_descriptor", {"no_descriptor.so", "no Pillion module", "PILLION_MODULE"}, false},
    {"undefined_symbol", {"undefined_symbol.so", "frobnicate_the_widget", "link it"}, false},
    {"abi_major", {"abi_major.so", "needs module API 7.0", "this server offers 1."}, false},
    {"abi_minor", {"abi_minor.so", "needs module API 1.900", "newer server"}, false},
    {"check_fails", {"check_fails.so", "check failed: the moon is full", NULL}, false},
    {"bad_fallback", {"the module is at fault", ".fallback = \"4 apples\"", "\"size\""}, false},
    {"silent_fails", {"silent_fails.so", "gave no reason", NULL}, false},
    {"check_crashes",
     {"check_crashes.so crashed while running its check hook (SIGABRT", NULL},
     false},
    {"start_fails", {"start_fails.so", "start failed: the oven is cold: 7 degrees", NULL}, false},
    {"start_crashes",
     {"start_crashes.so crashed while running its start hook (SIGSEGV", NULL},
     false},
    {"start_killed",
     {" was killed (SIGKILL) while start_killed.so was running its start", NULL},
     false},
    {"start_hangs",
     {"start_hangs.so did not finish running its start hook", "load_timeout", NULL},
     true},
    {"ping_name", {"ping_name.so", "a module named \"ping\" is loaded already", "ping.so"}, false},
    {"ping_method", {"ping_method.so", "\"ping\" is provided already", "ping.so"}, false},
    {"not_elf", {"not_elf.so", "not an ELF file", "cc -shared"}, false},
    {"empty", {"empty.so", "empty", NULL}, false},
    {"truncated", {"truncated.so", "cut short", NULL}, false},
    {"foreign", {"foreign.so", "built for", "this server is"}, false},
    {"missing", {"missing.so", "No such file", NULL}, false},
};

#define BROKEN (sizeof(broken) / sizeof(*broken))

/* Files that are broken as files. */
static void make_files(const struct server *server)
{
    size_t size;
    char *ping = file_read(server_path(server, "modules/ping.so"), &size);

    file_write(server_path(server, "modules/not_elf.so"), "hello\n", 6);
    file_write(server_path(server, "modules/empty.so"), "", 0);
    file_write(server_path(server, "modules/truncated.so"), ping, size / 2);
    ping[18] = (char)(ping[18] + 1); /* e_machine, elf(5) */
    file_write(server_path(server, "modules/foreign.so"), ping, size);
}

/* Only those that hang are given little time: the others may be slow. */
static char *loads(const struct broken *row)
{
    return keep_printf("%s\nload_module modules/%s.so;\n", row->slow ? "load_timeout 2s;" : "",
                       row->module);
}

static void expect_words(const char *text, const struct broken *row)
{
    for (size_t i = 0; i < 3 && row->words[i] != NULL; i++)
        expect_part(text, row->words[i]);
}

START_TEST(every_broken_module_is_named_by_the_test_of_the_configuration)
{
    struct server *server = server_new();

    make_files(server);
    for (size_t i = 0; i < BROKEN; i++) {
        server_conf(server, loads(&broken[i]), "method ping;");
        struct run run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_words(run.err, &broken[i]);
    }
}
END_TEST

START_TEST(no_broken_module_starts_a_server)
{
    static const char *const none[] = {NULL};

    for (size_t i = 0; i < BROKEN; i++) {
        struct server *server = server_new();
        make_files(server);
        server_conf(server, loads(&broken[i]), "method ping;");
        server_spawn(server, none);
        int status = server_wait_exit(server, PATIENCE_MS);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %x",
                      broken[i].module, status);
        expect_words(server_log(server), &broken[i]);
    }
}
END_TEST

START_TEST(no_broken_module_disturbs_a_server_that_runs)
{
    struct server *server = server_new();

    make_files(server);
    server_conf(server, "", "method ping;");
    server_start(server);
    int client = client_connect(server);
    client_expect_alive(client);
    for (size_t i = 0; i < BROKEN; i++) {
        server_conf(server, loads(&broken[i]), "method ping;");
        struct run run = server_ask(server, "reload");
        expect_status(&run, 1);
        expect_words(run.err, &broken[i]);
        client_expect_alive(client);
    }
    expect_part(server_log(server), "generation 1 serves on");
    server_conf(server, "", "method ping;");
    server_reload(server);
    client_expect_alive(client);
}
END_TEST

START_TEST(an_error_of_a_module_points_at_its_load_module)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "load_module modules/ping.so;\nload_module modules/check_fails.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; }\n",
                 server->port);
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "pillion.conf:2:");
    expect_part(run.err, "load_module modules/check_fails.so;");
    expect_part(run.err, "^");
}
END_TEST

START_TEST(unprovided_methods_are_named_beside_the_provided_ones)
{
    struct server *server = server_new();

    server_conf(server, "", "method pimg; method greet { handler ping.pong; }");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "no loaded module provides a method \"pimg\"; did you mean \"ping\"?");
    expect_part(run.err, "ping offers ping");
    expect_part(run.err, "no loaded module provides the handler \"ping.pong\"");
}
END_TEST

START_TEST(a_method_can_have_another_name)
{
    struct server *server = server_serve("", "method \"say it again\" { handler ping.ping; }");

    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"say it again\",\"params\":[1]}");
    client_expect(client, "{\"out\":\"pong\",\"result\":[1]}");
    client_send_frame(client, "{\"in\":\"ping\"}");
    client_expect_error(client, "method_not_found");
}
END_TEST

START_TEST(directives_of_every_type_reach_the_module)
{
    struct server *server =
        server_serve("load_module modules/options.so { string \"a b\"; }", "method options;");

    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"options\"}");
    client_expect(client,
                  keep_printf("{\"out\":\"options\",\"result\":{\"flag\":false,\"integer\":-3,"
                              "\"size\":4096,\"time\":90000,\"string\":\"a b\","
                              "\"choice\":\"green\",\"list\":[],\"path\":\"%s/some/file\"}}",
                              server->prefix));
    server_conf(server,
                "load_module modules/options.so { flag on; integer 10; size 2m; time 200ms; "
                "string x; choice blue; list a b; list c; path /etc; }",
                "method options;");
    server_reload(server);
    client_send_frame(client, "{\"in\":\"options\"}");
    client_expect(client, "{\"out\":\"options\",\"result\":{\"flag\":true,\"integer\":10,"
                          "\"size\":2097152,\"time\":200,\"string\":\"x\",\"choice\":\"blue\","
                          "\"list\":[\"a\",\"b\",\"c\"],\"path\":\"/etc\"}}");
}
END_TEST

START_TEST(directives_of_a_module_are_checked_at_their_place)
{
    struct server *server = server_new();

    server_conf(server, "load_module modules/options.so { integer 11; choice pink; flga on; }",
                "method options;");
    struct run run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "integer");
    expect_part(run.err, "-10");
    expect_part(run.err, "\"pink\"");
    expect_part(run.err,
                "unknown directive \"flga\" in load_module options.so; did you mean \"flag\"?");
    server_conf(server, "load_module modules/options.so;", "method options;");
    run = pillion("-t", "-p", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, "\"string\"");
}
END_TEST

START_TEST(rude_methods_are_answered_for_and_logged)
{
    struct server *server =
        server_serve("load_module modules/rude.so;",
                     "method ping; method silent; method twice; method invalid; method nothing; "
                     "method null; method binary; method name; method huge; method deletes; "
                     "method steals;");
    static const struct {
        const char *method, *code, *logged;
    } rude[] = {
        {"silent", "internal_error", "\"silent\" returned without an answer"},
        {"invalid", "internal_error", "\"invalid\" replied with bytes that are not valid JSON"},
        {"nothing", "internal_error", "\"nothing\" replied with bytes that are not valid JSON"},
        {"null", "internal_error", NULL},
        {"binary", "internal_error", "\"binary\" replied with bytes that are not valid JSON"},
        {"name", "internal_error", "\"name\" replied with an `out` that is not UTF-8"},
        {"huge", "internal_error", "\"huge\" replied with"},
    };

    int client = client_connect(server);
    for (size_t i = 0; i < sizeof(rude) / sizeof(*rude); i++) {
        client_send_frame(client, keep_printf("{\"in\":\"%s\"}", rude[i].method));
        client_expect_error(client, rude[i].code);
        if (rude[i].logged != NULL)
            server_wait_log(server, keep_printf("module rude: %s", rude[i].logged));
        client_expect_alive(client);
    }
    client_send_frame(client, "{\"in\":\"twice\",\"params\":1}");
    client_expect(client, "{\"out\":\"first\",\"result\":1}");
    server_wait_log(server, "module rude: \"twice\" answered a request a second time");
    client_send_frame(client, "{\"in\":\"deletes\",\"params\":{\"a\":[1,2]}}");
    client_expect(client, "{\"out\":\"deletes\",\"result\":true}");
    server_wait_log(server, "module rude: \"deletes\" frees memory of the request");
    client_send_frame(client, "{\"in\":\"steals\",\"params\":{\"part\":[1,{\"b\":2}]}}");
    client_expect(client, "{\"out\":\"steals\",\"result\":[[1,{\"b\":2}]]}");
    server_wait_log(server, "module rude: \"steals\" frees memory of the request");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "died"));
}
END_TEST

START_TEST(a_module_may_be_written_in_cxx)
{
    struct server *server = server_serve("load_module modules/cxx.so { mark !; }",
                                         "filter see; method reverse; method repeat;");

    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"reverse\",\"params\":\"abc\"}");
    client_expect(client, "{\"out\":\"reverse\",\"result\":\"cba!\"}");
    client_send_frame(client, "{\"in\":\"repeat\",\"params\":{\"text\":\"ab\",\"times\":2,"
                              "\"order\":\"backward\",\"places\":[{\"line\":1}]}}");
    client_expect(client, "{\"out\":\"repeat\",\"result\":{\"text\":\"abab\",\"places\":1}}");
    client_send_frame(client, "{\"in\":\"reverse\"}");
    client_expect_error(client, "invalid_params");
}
END_TEST

/* What tests/abi/every.c does with each header: requests, and replies or a part of them. */
static const struct {
    unsigned minor;
    const char *request, *reply;
} of_headers[] = {
    {0, "{\"in\":\"settings\"}",
     "{\"out\":\"settings\",\"result\":[1,7,2048,3000,\"fallen back\",1,2,\"y\",\"/here\","
     "\"state\"]}"},
    {0, "{\"in\":\"answer\",\"params\":[1,\"a\"]}", "{\"out\":\"answer\",\"result\":[1,\"a\"]}"},
    {0, "{\"in\":\"answer\",\"id\":1}", "no params of \\\"answer\\\", worker 0 of 1"},
    {0, "{\"in\":\"server\"}", "\"summary\":\"Its params.\""},
    {1, "{\"in\":\"answer\",\"halt\":true}", "by here, of 27 bytes"},
    {2, "{\"in\":\"later\"}", "{\"out\":\"later\",\"result\":\"through\"}"},
    {2, "{\"in\":\"pool\"}", "{\"out\":\"pool\",\"result\":true}"},
    {2, "{\"in\":\"zone\"}", "{\"out\":\"zone\",\"result\":[5,42,4,\"set\"]}"},
    {2, "{\"in\":\"tripled\",\"params\":2}", "{\"out\":\"scale\",\"result\":2006}"},
    {3, "{\"in\":\"count\",\"params\":{\"code\":1}}",
     "{\"out\":\"error\",\"result\":{\"code\":1}}"},
    {3, "{\"in\":\"rpc.stats\"}", "\"every\":{\"memory_bytes\":0"},
    {3, "{\"in\":\"rpc.stats\"}", "\"asked\":1,\"level\":-3"},
    {5, "{\"in\":\"rpc.stats\"}",
     "\"waits\":{\"count\":1,\"sum\":0.3,\"buckets\":[[0.25,0],[0.5,1],[null,0]]}"},
    {4, "{\"in\":\"shown\",\"params\":\"\xc2\x9b\"}", "\"\\\"\\\\u009b\\\"\""},
    {4, "{\"in\":\"measure\",\"params\":\"a\\u0000\\u00e9\"}", "\"result\":4"},
    {4, "{\"in\":\"measure\",\"params\":\"\\ud800\"}", "invalid_params"},
    {4, "{\"in\":\"measure\",\"params\":[\"a\"]}", "invalid_params"},
    {4, "{\"in\":\"rerunnable\"}", "{\"out\":\"rerun\",\"result\":false}"},
    {4, "{\"in\":\"nowhere\"}", "method_not_found"},
    {5, "{\"in\":\"busy\"}",
     "{\"code\":\"busy\",\"message\":\"in a moment\",\"retry_after\":1.25}"},
    {5, "{\"in\":\"told\"}", "\"result\":[\"127.0.0.1:"},
    {5, "{\"in\":\"told\"}", "\",null]"},
    {5, "{\"in\":\"written\"}",
     "{\"out\":\"written\",\"result\":{\"string\":\"s\",\"text\":\"t\\u0000\",\"bytes\":\"Yg==\","
     "\"list\":[-1,0.5,true,null,\"q\\\"\"]}}"},
    {5, "{\"in\":\"whole\"}",
     "{\"out\":\"whole\",\"result\":{\"name\":\"all\",\"part\":{\"number\":-1},"
     "\"parts\":[{\"number\":7},{\"number\":8}]}}"},
    {5, "{\"in\":\"in_parts\"}",
     "\"result\":[{\"number\":9},{\"part\":{\"number\":0},\"parts\":[]}]}"},
    {6, "{\"in\":\"services\"}", "{\"out\":\"services\",\"result\":[true,false,true,0,0]}"},
    {6, "{\"in\":\"secret\"}",
     "{\"out\":\"secret\",\"result\":[\"a secret\",false,0,10000,true,"
     "\"TLS: it closed the connection in the handshake\"]}"},
    {5, "{\"in\":\"belongs\"}", "{\"out\":\"belongs\",\"result\":\"its own\"}"},
    {5, "{\"in\":\"calls\",\"params\":\"abc\"}", "{\"out\":\"called\",\"result\":3}"},
    {5, "{\"in\":\"each\"}", "{\"out\":\"each\",\"result\":5}"},
    {5, "{\"in\":\"run\"}", "{\"out\":\"run\",\"result\":true}"},
    {5, "{\"in\":\"visits\"}", "{\"out\":\"visits\",\"result\":true}"},
    {5, "{\"in\":\"visits\"}", "{\"out\":\"visits\",\"result\":false}"},
    {5, "{\"in\":\"left\"}", "{\"out\":\"left\",\"result\":null}"},
    {5, "{\"in\":\"left\",\"deadline\":80000}", "{\"out\":\"left\",\"result\":true}"},
    {5, "{\"in\":\"left\",\"deadline\":1e-6}", "deadline_exceeded"},
    {5, "{\"in\":\"trace\"}", "\"result\":[null,null]"},
    {5,
     "{\"in\":\"trace\",\"tracestate\":\"a=b\","
     "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}",
     "[\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\",\"a=b\"]"},
    {5, "{\"in\":\"args\",\"params\":{\"sizes\":[1,2.5],\"name\":\"Ada\"}}",
     "{\"out\":\"args\",\"result\":[\"Ada\",2,false,2,true]}"},
    {5, "{\"in\":\"args\",\"params\":{\"name\":\"Ada\",\"times\":3.0}}",
     "{\"out\":\"args\",\"result\":[\"Ada\",3,true,0,true]}"},
    {5, "{\"in\":\"args\",\"params\":{\"sizes\":[\"1\"],\"name\":\"\"}}",
     "\"message\":\"params.sizes[0]: a number, got a string; params.name: a string of 1 to 5 "
     "characters, got 0 characters\""},
};

/* Modules are not compiled again because the server is a newer one. */
START_TEST(modules_of_every_header_that_there_was_load)
{
    unsigned minor = 0;

    for (;; minor++) {
        struct server *server = server_new();
        const char *file = keep_printf("modules/abi-1.%u.so", minor);
        if (access(server_path(server, file), F_OK) != 0)
            break;
        file_write(server_path(server, "secret"), "a secret", 8);
        server_conf(
            server,
            keep_printf("%s load_module %s { flag on; integer 7; size 2k; time 3s;"
                        "    word two; list x y; path here; %s }",
                        minor >= 2 ? "zone every 64k;" : "", file,
                        minor >= 6 ? "file secret;" : ""),
            keep_printf("method settings; method answer; method server; %s %s %s %s %s %s",
                        minor >= 1 ? "filter every { mark here; }" : "",
                        minor >= 2 ? "method later; method pool; method zone;"
                                     "method tripled { handler every.scale; factor 3; }"
                                   : "",
                        minor >= 3 ? "method count;" : "",
                        minor >= 4 ? "method shown; method measure; method rerunnable;" : "",
                        minor >= 5 ? "method busy; method told; method left; method trace;"
                                     "method belongs; method args;"
                                     "method run; method calls; method each; method written;"
                                     "method visits; method whole; method in_parts;"
                                   : "",
                        minor >= 6 ? "method services; method secret;" : ""));
        server_start_alone(server);
        int client = client_connect(server);
        for (size_t i = 0; i < sizeof(of_headers) / sizeof(*of_headers); i++) {
            if (of_headers[i].minor > minor)
                continue;
            client_send_frame(client, of_headers[i].request);
            expect_part(client_receive(client, NULL), of_headers[i].reply);
        }
        if (minor >= 1)
            server_wait_log(server, "here has seen 101: good, ");
        if (minor >= 2)
            server_wait_log(server, "posted by a thread");
        if (minor >= 3)
            server_wait_log(server, "it was counted");
        if (minor >= 5)
            server_wait_log(server, "it is over");
        if (minor >= 4)
            server_wait_log(server, ": method_not_found, ");
        struct run run = server_ask(server, "reopen");
        expect_status(&run, minor >= 3);
        server_signal(server, SIGQUIT);
        ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
        server_wait_log(server, "it stops, generation 1");
        if (minor >= 1)
            server_wait_log(server, "here ends");
        expect_part(pillion("modinfo", server_path(server, file)).out,
                    keep_printf("ABI:        1.%u", minor));
    }
    ck_assert_uint_ge(minor, 6); /* there were at least these */
}
END_TEST

START_TEST(the_teaching_module_greets)
{
    struct server *server =
        server_serve("load_module modules/hello.so { greeting Hi; languages en de; max_name 10; }",
                     "method greet; method hello.count;");

    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\"}}");
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Hi, Ada!\"}");
    client_send_frame(client,
                      "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\",\"language\":\"de\"}}");
    client_expect(client, "{\"out\":\"greet\",\"result\":\"Guten Tag, Ada!\"}");
    client_send_frame(client,
                      "{\"in\":\"greet\",\"params\":{\"name\":\"Ada\",\"language\":\"fr\"}}");
    client_expect_error(client, "unknown_language");
    client_send_frame(client, "{\"in\":\"greet\",\"params\":[]}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"greet\",\"params\":{\"name\":\"Maximiliane\"}}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"greet\",\"params\":{\"name\":\"\\ud800\"}}");
    client_expect_error(client, "invalid_params");
    client_send_frame(client, "{\"in\":\"hello.count\"}");
    expect_part(client_receive(client, NULL), "\"greetings\":2");

    server_conf(server, "load_module modules/hello.so { languages en tlh; }", "method greet;");
    server_reload_refused(server, "no greeting is known in the language \"tlh\"");
    client_expect_error((client_send_frame(client, "{\"in\":\"nope\"}"), client),
                        "method_not_found");
}
END_TEST

START_TEST(the_server_tells_of_itself)
{
    struct server *server =
        server_serve("", "method ping; method rpc.list; method rpc.describe; method rpc.health;");

    int client = client_connect(server);
    client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"rpc.list\"}");
    expect_part(client_receive(client, NULL),
                "\"name\":\"ping\",\"summary\":\"Gives its params back.\"");
    client_send_frame(client, "{\"in\":\"rpc.describe\",\"params\":{\"method\":\"rpc.describe\"}}");
    expect_part(client_receive(client, NULL), "\"required\":[\"method\"]");
    client_send_frame(client, "{\"in\":\"rpc.describe\",\"params\":{\"method\":\"no\"}}");
    client_expect_error(client, "method_not_found");
    client_send_frame(client, "{\"in\":\"rpc.health\"}");
    expect_part(client_receive(client, NULL), "\"status\":\"ok\",\"generation\":1,\"workers\":2");
    client_send_frame(client, "{\"in\":\"rpc.stats\"}");
    char *stats = client_receive(client, NULL);
    expect_part(stats, "\"crashes\":0");
    expect_part(stats, "\"ping\":{\"calls\":");
}
END_TEST

/* As in docs/operations.md: an address for watching the server, which offers nothing else. */
START_TEST(counters_of_the_whole_server_are_read_on_an_address_of_its_own)
{
    struct server *server =
        server_serve("server { listen unix:run/stats.sock; method rpc.stats; method rpc.list; }",
                     "method ping; method again { handler ping.ping; }");

    int client = client_connect(server);
    client_expect_alive(client);
    client_send_frame(client, "{\"in\":\"again\"}");
    client_receive(client, NULL);
    int watcher = client_connect_unix(server_path(server, "run/stats.sock"));
    client_send_frame(watcher, "{\"in\":\"rpc.list\"}");
    ck_assert_ptr_null(strstr(client_receive(watcher, NULL), "\"ping\""));
    client_send_frame(watcher, "{\"in\":\"rpc.stats\"}");
    char *stats = client_receive(watcher, NULL);
    expect_part(stats, "\"ping\":{\"calls\":");
    expect_part(stats, "\"again\":{\"calls\":1,");
}
END_TEST

START_TEST(a_reopen_hook_that_crashes_fails_the_order)
{
    struct server *server =
        server_serve("load_module modules/hook_crashes.so { crash_reopen on; }", "method ping;");
    int client = client_connect(server);

    client_expect_alive(client);
    struct run run = server_ask(server, "reopen");
    expect_status(&run, 1);
    expect_part(run.err, "it died while it ran a hook of module hook_crashes: SIGSEGV");
    expect_part(run.err, "before it had opened its files anew");
    expect_part(run.err, "1 more worker said the same");
    client_expect_alive(client);
}
END_TEST

/* Of those that have opened their files, those that are about to leave included. */
START_TEST(reopening_counts_the_processes_that_reopened)
{
    struct server *server =
        server_serve_alone("load_module modules/later.so;", "method ping; method wait;");
    int client = client_connect(server);

    struct run run = server_order(server, "reopen");
    expect_part(run.out, "by the master and 1 worker\n");
    client_send_frame(client, "{\"in\":\"wait\",\"params\":{\"ms\":60000}}");
    wait_until(server_stat(server, "connections.deferred") == 1, "nothing waits");
    server_reload(server);
    run = server_order(server, "reopen");
    expect_part(run.out, "by the master and 2 workers\n");
}
END_TEST

START_TEST(a_stop_hook_that_crashes_is_named)
{
    struct server *server = server_serve_alone(
        "load_module modules/hook_crashes.so { crash_stop on; }", "method ping;");

    server_reload(server);
    server_wait_log(server, "did not end in order: SIGSEGV, while it ran a hook of module "
                            "hook_crashes");
}
END_TEST

/* The thread ends the process after the start hook of its module, in that of the next one. */
START_TEST(a_thread_that_ends_a_start_is_blamed_on_its_own_module)
{
    struct server *server = server_serve("", "method ping;");

    server_conf(server,
                "load_module modules/start_thread.so;\nload_module modules/start_hangs.so;\n",
                "method ping;");
    server_reload_refused(server, "a thread of module start_thread ended the process while "
                                  "start_hangs.so was running its start hook (exit status 3)");
    ck_assert_ptr_null(strstr(server_log(server), "start_hangs.so ended"));
    client_expect_alive(client_connect(server));
}
END_TEST

E2E_MAIN("modules", a_thread_that_ends_a_start_is_blamed_on_its_own_module,
         a_reopen_hook_that_crashes_fails_the_order, reopening_counts_the_processes_that_reopened,
         a_stop_hook_that_crashes_is_named, modules_of_every_header_that_there_was_load,
         every_broken_module_is_named_by_the_test_of_the_configuration,
         no_broken_module_starts_a_server, no_broken_module_disturbs_a_server_that_runs,
         an_error_of_a_module_points_at_its_load_module,
         unprovided_methods_are_named_beside_the_provided_ones, a_method_can_have_another_name,
         directives_of_every_type_reach_the_module,
         directives_of_a_module_are_checked_at_their_place,
         rude_methods_are_answered_for_and_logged, a_module_may_be_written_in_cxx,
         the_teaching_module_greets, the_server_tells_of_itself,
         counters_of_the_whole_server_are_read_on_an_address_of_its_own)
