/* What loading promises: see core/module/loader.h. Sets are made here, and bound, checked, started
 * and stopped; files are loaded as far as a program goes that exports none of <pillion/module.h>.
 * End-to-end tests do the rest. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sealed.h"
#include "built.h"
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "module/bind.h"
#include "module/descriptor.h"
#include "module/hook_error.h"
#include "module/hooks.h"
#include "module/loader.h"
#include "rpc/schema.h"

static struct error error;

static void handler(pillion_request *req)
{
    (void)req;
}

/* ---- Sets ---- */

#define MODULES_MAX 3

static struct module modules[MODULES_MAX];
static struct module_settings module_settings[MODULES_MAX];
static struct settings settings;
static struct conf_errors errors;
static struct module_set set;
static struct text stages;

static void note_stage(void *context, const char *label, const char *doing)
{
    ck_assert_ptr_eq(context, &stages);
    text_printf(&stages, "%s %s\n", label, doing);
}

static void set_up(const char *conf)
{
    memset(modules, 0, sizeof(modules));
    set = (struct module_set){.modules = modules,
                              .tree = conf_tree_new("/"),
                              .errors = &errors,
                              .stage = note_stage,
                              .stage_context = &stages};
    conf_tree_add_text(set.tree, "t", bytes_of(conf), false, &errors);
    settings_read(set.tree, &settings, &errors);
    ck_assert_str_eq(text_string(&errors.text), "");
}

static void add_module(const char *name, const pillion_method *methods)
{
    static const char *const labels[MODULES_MAX] = {"one.so", "two.so", "three.so"};
    pillion_module from = {.abi_major = PILLION_ABI_MAJOR,
                           .abi_minor = PILLION_ABI_MINOR,
                           .size = sizeof(pillion_module),
                           .method_size = sizeof(pillion_method),
                           .directive_size = sizeof(pillion_directive),
                           .name = name,
                           .methods = methods};
    struct module *module = &modules[set.count];

    ck_assert_msg(descriptor_copy(&from, &module->descriptor, &error), "%s", error.text);
    module_settings[set.count].label = labels[set.count];
    module->settings = &module_settings[set.count++];
    module->instance.name = module->descriptor.name;
}

static void tear_down(void)
{
    for (size_t i = 0; i < set.count; i++)
        descriptor_free(&modules[i].descriptor);
    conf_tree_free(set.tree);
    conf_errors_free(&errors);
    text_free(&stages);
}

static void said(const char *part)
{
    ck_assert_msg(strstr(text_string(&errors.text), part) != NULL, "%s, instead of: %s",
                  text_string(&errors.text), part);
}

/* ---- Binding ---- */

static void first(pillion_request *req)
{
    (void)req;
}

static void second(pillion_request *req)
{
    (void)req;
}

static void third(pillion_request *req)
{
    (void)req;
}

static const pillion_method hello_methods[] = {
    {.name = "greet", .handler = handler, .params = "{\"type\": \"object\"}"},
    {.name = "sum", .handler = handler},
    {0},
};

static const pillion_method rpc_methods[] = {{.name = "rpc.list", .handler = first},
                                             {.name = "a.b", .handler = second, .summary = "AB."},
                                             {.name = "rpc.rpc.list", .handler = third},
                                             {0}};

static struct method_table table;

static const struct method *bound(const char *name)
{
    const struct method *method = method_table_find(&table, bytes_of(name));
    ck_assert_msg(method != NULL, "%s", name);
    return method;
}

START_TEST(methods_are_bound_by_name_or_by_handler)
{
    set_up("server { listen 1;\n"
           "method greet;\n"
           "method rpc.list { timeout 200ms; }\n"
           "method full { handler rpc.rpc.list; }\n"
           "method own { handler rpc.list; }\n"
           "method dotted { handler rpc.a.b; }\n"
           "method hi { handler hello.greet; }\n"
           "}");
    add_module("hello", hello_methods);
    add_module("rpc", rpc_methods);
    ck_assert_msg(module_set_bind(&set, settings.servers, 5000, &table), "%s",
                  text_string(&errors.text));
    ck_assert_uint_eq(table.count, 6);

    ck_assert_ptr_eq(bound("greet")->instance, &modules[0].instance);
    ck_assert_uint_eq(bound("greet")->timeout_ns, 5000 * NS_PER_MS);
    ck_assert_uint_eq(bound("rpc.list")->timeout_ns, 200 * NS_PER_MS);
    ck_assert_ptr_eq(bound("rpc.list")->handler, first);
    ck_assert_str_eq(bound("rpc.list")->summary, "");
    /* Behind the module's name: its method of that name, or else of the whole. */
    ck_assert_ptr_eq(bound("own")->handler, first);
    ck_assert_ptr_eq(bound("full")->handler, first);
    ck_assert_ptr_eq(bound("dotted")->handler, second);
    ck_assert_str_eq(bound("dotted")->summary, "AB.");
    ck_assert_ptr_eq(bound("hi")->instance, &modules[0].instance);
    ck_assert_str_eq(bound("hi")->own_name, "greet");
    ck_assert_str_eq(bound("hi")->params_schema, "{\"type\": \"object\"}");
    for (size_t i = 0; i < table.count; i++) /* a server's live as long as its process */
        schema_free((struct schema *)(uintptr_t)table.methods[i].params_rule);
    method_table_free(&table);
    tear_down();
}
END_TEST

START_TEST(an_unknown_method_is_refused_with_the_known_names)
{
    set_up("server { listen 1;\n"
           "method gret;\n"
           "method x { handler helo.greet; }\n"
           "method y { handler hello.frobnicate; }\n"
           "method sum;\n"
           "}");
    add_module("hello", hello_methods);
    add_module("quiet", NULL);
    ck_assert(!module_set_bind(&set, settings.servers, 0, &table));
    ck_assert_uint_eq(errors.count, 3);
    said("t:2:8: no loaded module provides a method \"gret\"; did you mean \"greet\"? "
         "(hello offers greet, sum; quiet offers no methods)");
    said("t:3:20: no loaded module provides the handler \"helo.greet\"; did you mean "
         "\"hello.greet\"?");
    said("t:4:20: no loaded module provides the handler \"hello.frobnicate\" (hello offers");
    /* Statements without a mistake are bound all the same. */
    ck_assert_uint_eq(bound("sum")->timeout_ns, 0);
    method_table_free(&table);
    tear_down();
}
END_TEST

struct query {
    pillion_list words;
    int64_t limit;
};

static const pillion_directive query_directives[] = {
    {.name = "words",
     .type = PILLION_LIST,
     .offset = offsetof(struct query, words),
     .required = true},
    {.name = "limit",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct query, limit),
     .fallback = "10",
     .max = 99},
    {0},
};

static int query_start(pillion_instance *self, void *config, pillion_error_text *why)
{
    const struct query *query = config;
    (void)self;
    return query->limit == 13 ? pillion_error(why, "thirteen") : 0;
}

static const pillion_method query_methods[] = {{.name = "query",
                                                .handler = handler,
                                                .directives = query_directives,
                                                .config_size = sizeof(struct query),
                                                .start = query_start},
                                               {.name = "plain", .handler = handler},
                                               {0}};

START_TEST(handlers_may_have_directives_of_their_own)
{
    set_up("server { listen 1;\n"
           "method a { words one two; handler q.query; timeout 1s; }\n"
           "method b { handler q.query; words three; limit 13; }\n"
           "}");
    add_module("q", query_methods);
    ck_assert_msg(module_set_bind(&set, settings.servers, 5000, &table), "%s",
                  text_string(&errors.text));
    const struct query *a = bound("a")->config, *b = bound("b")->config;
    ck_assert_uint_eq(a->words.count, 2);
    ck_assert_str_eq(a->words.items[1], "two");
    ck_assert_int_eq(a->limit, 10);
    ck_assert_str_eq(b->words.items[0], "three");
    ck_assert(!module_set_start(&set));
    said("t:3:8: method b: start failed: thirteen");
    method_table_free(&table);
    tear_down();
}
END_TEST

static const pillion_directive taken_directives[] = {
    {.name = "timeout", .type = PILLION_TIME, .offset = 0}, {0}};
static const pillion_method taken_methods[] = {{.name = "query",
                                                .handler = handler,
                                                .directives = taken_directives,
                                                .config_size = sizeof(uint64_t)},
                                               {0}};

START_TEST(a_directive_cannot_be_the_handlers_and_the_servers)
{
    set_up("server { listen 1;\n"
           "method a { handler q.query; timeout 1s; }\n"
           "}");
    add_module("q", taken_methods);
    ck_assert(!module_set_bind(&set, settings.servers, 0, &table));
    said("t:2:8: method a: the handler's directive \"timeout\" is called as one of the server's");
    method_table_free(&table);
    tear_down();
}
END_TEST

START_TEST(a_statement_finds_its_module_behind_others_that_make_methods)
{
    set_up("server { listen 1;\n"
           "z_method a one two;\n"
           "plain_method b one;\n"
           "}");
    add_module("q", query_methods);
    add_module("z", query_methods);
    add_module("plain", hello_methods);
    ck_assert(!module_set_bind(&set, settings.servers, 5000, &table));
    const struct query *a = bound("a")->config;
    ck_assert_uint_eq(a->words.count, 2);
    said("t:3:1: module plain makes no methods in the configuration");
    ck_assert_uint_eq(errors.count, 1);
    method_table_free(&table);
    tear_down();
}
END_TEST

START_TEST(directives_of_handlers_are_checked)
{
    set_up("server { listen 1;\n"
           "method a { handler q.query; }\n"
           "method b { handler q.query; words x; limt 3; }\n"
           "method c { handler q.query; words x; limit 100; }\n"
           "method plain { handlr q.plain; }\n"
           "}");
    add_module("q", query_methods);
    ck_assert(!module_set_bind(&set, settings.servers, 5000, &table));
    said("t:2:8: \"words\" is missing in method a");
    said("t:3:38: unknown directive \"limt\"; did you mean \"limit\"?");
    said("t:4:44: \"limit\" must be");
    said("t:5:16: unknown directive \"handlr\"; did you mean \"handler\"?");
    ck_assert_uint_eq(errors.count, 4);
    method_table_free(&table);
    tear_down();
}
END_TEST

START_TEST(without_modules_no_method_can_be_bound)
{
    set_up("server { listen 1; method ping; }");
    ck_assert(!module_set_bind(&set, settings.servers, 0, &table));
    said("(no module is loaded)");
    method_table_free(&table);
    tear_down();
}
END_TEST

/* ---- Hooks ---- */

static struct text hooks;

static int works(pillion_instance *self, pillion_error_text *text)
{
    (void)text;
    text_printf(&hooks, "%s+ ", self->name);
    return 0;
}

static int fails(pillion_instance *self, pillion_error_text *text)
{
    text_printf(&hooks, "%s! ", self->name);
    snprintf(text->text, sizeof(text->text), "the words of %s", self->name);
    return -1;
}

static int fails_silently(pillion_instance *self, pillion_error_text *text)
{
    (void)text;
    text_printf(&hooks, "%s! ", self->name);
    return 1;
}

static void stops(pillion_instance *self)
{
    text_printf(&hooks, "%s- ", self->name);
}

static void add_three(void)
{
    set_up("server { listen 1; }");
    add_module("a", NULL);
    add_module("b", NULL);
    add_module("c", NULL);
    for (size_t i = 0; i < 3; i++)
        modules[i].descriptor.stop = stops;
}

static void ran(const char *expected)
{
    ck_assert_str_eq(text_string(&hooks), expected);
    text_free(&hooks);
}

START_TEST(every_check_runs_whatever_the_others_say)
{
    add_three();
    modules[0].descriptor.check = fails;
    modules[1].descriptor.check = works;
    modules[2].descriptor.check = fails_silently;
    ck_assert(!module_set_check(&set));
    ran("a! b+ c! ");
    said("one.so: check failed: the words of a");
    said("three.so: check failed: the module gave no reason");
    ck_assert_str_eq(text_string(&stages), "one.so running its check hook\ntwo.so running its "
                                           "check hook\nthree.so running its check hook\n");
    tear_down();
}
END_TEST

START_TEST(starts_run_in_order_and_stops_in_the_other)
{
    add_three();
    modules[0].descriptor.start = works;
    modules[2].descriptor.start = works;
    modules[1].descriptor.stop = NULL;
    ck_assert(module_set_start(&set));
    module_set_stop(&set);
    ran("a+ c+ c- a- ");
    /* Otherwise the last module would be blamed for what happens after its hook. */
    ck_assert_str_eq(text_string(&stages), "one.so running its start hook\n"
                                           "three.so running its start hook\n"
                                           " starting, after its modules were started\n"
                                           "three.so running its stop hook\n"
                                           "one.so running its stop hook\n"
                                           " starting, after its modules were stopped\n");
    tear_down();
}
END_TEST

START_TEST(a_start_that_fails_is_the_last_and_is_not_stopped)
{
    add_three();
    modules[0].descriptor.start = works;
    modules[1].descriptor.start = fails;
    modules[2].descriptor.start = works;
    ck_assert(!module_set_start(&set));
    module_set_stop(&set);
    ran("a+ b! a- ");
    said("two.so: start failed: the words of b");
    tear_down();
}
END_TEST

/* ---- Files ---- */

/* A copy in memory of the build's hello.so, which needs libc and this server. */
static int module_file(struct bytes *file)
{
    int sealed = sealed_copy(built_path("modules/hello.so"), &error),
        fd = memfd_create("module", MFD_CLOEXEC);
    ck_assert_msg(sealed >= 0 && fd >= 0, "%s", error.text);
    ck_assert_msg(sealed_map(sealed, file, &error), "%s", error.text);
    ck_assert_int_eq(write(fd, file->data, file->size), (ssize_t)file->size);
    sealed_unmap(*file);
    close(sealed);
    void *memory = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    file->data = memory;
    return fd;
}

static void load(int fd)
{
    struct module_file source = {.settings = settings.modules, .fd = fd};

    ck_assert(!module_set_load(&set, &source, 1, 0, 1, 1));
    ck_assert_uint_eq(errors.count, 1);
    said("t:1:13: x.so: ");
    ck_assert_msg(strstr(errors.text.data, "/proc/") == NULL, "%s", errors.text.data);
}

static void unload(void)
{
    free(set.modules);
    set.count = 0;
    tear_down();
}

/* This program exports nothing to modules. */
START_TEST(a_symbol_that_nobody_provides_is_named)
{
    struct bytes file;

    set_up("load_module x.so; server { listen 1; }");
    load(module_file(&file));
    said("needs \"pillion_");
    said("link it with the library (-l…), or correct the name");
    ck_assert_str_eq(text_string(&stages), "x.so loading\n");
    unload();
}
END_TEST

START_TEST(a_module_from_a_newer_system_is_told_to_be)
{
    static const char version[] = "\0GLIBC_2.";
    struct bytes file;

    set_up("load_module x.so; server { listen 1; }");
    int fd = module_file(&file);
    char *at = memmem(file.data, file.size, version, sizeof(version) - 1);
    ck_assert_ptr_nonnull(at);
    at[sizeof(version) - 3] = '9';
    load(fd);
    said("needs GLIBC_9.");
    said("libc.so.6 does not have; it was built on a newer system");
    unload();
}
END_TEST

START_TEST(a_file_that_is_no_module_is_never_opened)
{
    struct bytes file;

    set_up("load_module x.so; server { listen 1; }");
    int fd = module_file(&file);
    ck_assert_int_eq(ftruncate(fd, (off_t)file.size - 1), 0);
    load(fd);
    said("the file is cut short");
    ck_assert_str_eq(text_string(&stages), "");
    unload();
}
END_TEST

UNIT_MAIN("module_loader", methods_are_bound_by_name_or_by_handler,
          an_unknown_method_is_refused_with_the_known_names,
          handlers_may_have_directives_of_their_own,
          a_directive_cannot_be_the_handlers_and_the_servers, directives_of_handlers_are_checked,
          a_statement_finds_its_module_behind_others_that_make_methods,
          without_modules_no_method_can_be_bound, every_check_runs_whatever_the_others_say,
          starts_run_in_order_and_stops_in_the_other,
          a_start_that_fails_is_the_last_and_is_not_stopped, a_symbol_that_nobody_provides_is_named,
          a_module_from_a_newer_system_is_told_to_be, a_file_that_is_no_module_is_never_opened)
