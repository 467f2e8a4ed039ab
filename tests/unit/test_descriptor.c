/* What copying and reading descriptors promises: see core/module/descriptor.h. Good ones and wrong
 * ones are made here; none comes from a file. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "conf/parser.h"
#include "conf/settings_table.h"
#include "module/descriptor.h"

static struct error error;

static void handler(pillion_request *req)
{
    (void)req;
}

/* ---- Descriptors ---- */

struct config {
    bool flag;
    int64_t number;
    int choice;
};

static const char *const words[] = {"red", "green", NULL};

static const pillion_method good_methods[] = {
    {.name = "greet",
     .handler = handler,
     .summary = "Gr\xc3\xbc\xc3\x9f"
                "e.",
     .params = "{\"type\": \"object\"}",
     .result = "true"},
    {.name = "sum", .handler = handler},
    {0},
};

static const pillion_directive good_directives[] = {
    {.name = "flag", .type = PILLION_FLAG, .offset = offsetof(struct config, flag)},
    {.name = "number",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct config, number),
     .fallback = "7",
     .min = 1,
     .max = 9},
    {.name = "choice",
     .type = PILLION_ENUM,
     .offset = offsetof(struct config, choice),
     .fallback = "green",
     .words = words},
    {0},
};

static pillion_module good_module(const char *name)
{
    return (pillion_module){
        .abi_major = PILLION_ABI_MAJOR,
        .abi_minor = PILLION_ABI_MINOR,
        .size = sizeof(pillion_module),
        .method_size = sizeof(pillion_method),
        .directive_size = sizeof(pillion_directive),
        .name = name,
        .version = "1.0.0",
        .methods = good_methods,
        .directives = good_directives,
        .config_size = sizeof(struct config),
    };
}

START_TEST(a_good_descriptor_is_copied_with_its_tables)
{
    pillion_module from = good_module("m"), to;

    ck_assert_msg(descriptor_copy(&from, &to, &error), "%s", error.text);
    ck_assert_str_eq(to.name, "m");
    ck_assert_ptr_ne(to.methods, from.methods);
    ck_assert_str_eq(descriptor_method(&to, "greet")->params, good_methods[0].params);
    ck_assert_ptr_eq(descriptor_method(&to, "sum"), &to.methods[1]);
    ck_assert_ptr_null(descriptor_method(&to, "Sum"));
    ck_assert_ptr_null(descriptor_method(&to, ""));
    ck_assert_str_eq(to.directives[2].name, "choice");
    ck_assert_ptr_null(to.directives[3].name);
    descriptor_free(&to);
}
END_TEST

START_TEST(tables_are_never_null_in_a_copy)
{
    pillion_module from = good_module("m"), to;

    from.methods = NULL;
    from.directives = NULL;
    from.version = NULL;
    from.config_size = 0;
    ck_assert_msg(descriptor_copy(&from, &to, &error), "%s", error.text);
    ck_assert_ptr_null(to.methods[0].name);
    ck_assert_ptr_null(to.directives[0].name);
    descriptor_free(&to);
}
END_TEST

struct size {
    int64_t width;
};

static const pillion_param size_rows[] = {
    PILLION_PARAM(struct size, width, PILLION_INTEGER, .fallback = "3"), {0}};

/* Params, and tables in them, too. */
START_TEST(tables_of_params_are_copied_with_their_own_stride)
{
    struct {
        pillion_param row;
        const char *later;
    } rows[] = {{.row = {.name = "size",
                         .type = PILLION_OBJECT,
                         .list = true,
                         PILLION_MEMBERS(struct size, NULL)},
                 .later = "x"},
                {.row = {.name = "flag", .type = PILLION_FLAG, .offset = 16}, .later = "x"},
                {.row = {0}}},
      inner[] = {{.row = size_rows[0], .later = "y"}, {.row = {0}}};
    pillion_method methods[] = {{.name = "a",
                                 .handler = handler,
                                 .args = &rows[0].row,
                                 .args_size = 24,
                                 .gives = &rows[0].row,
                                 .gives_size = 24},
                                {0}};
    pillion_module from = good_module("m"), to;

    rows[0].row.members = &inner[0].row;
    from.methods = methods;
    from.param_size = sizeof(rows[0]);
    ck_assert_msg(descriptor_copy(&from, &to, &error), "%s", error.text);
    const pillion_param *copy = to.methods[0].args;
    ck_assert_str_eq(copy[1].name, "flag");
    ck_assert_ptr_null(copy[2].name);
    ck_assert_str_eq(copy[0].members[0].name, "width");
    ck_assert_ptr_null(copy[0].members[1].name);
    copy = to.methods[0].gives;
    ck_assert_str_eq(copy[1].name, "flag");
    /* Where a table ends, it says where the module has it. */
    ck_assert_ptr_eq(copy[2].members, &rows[0].row);
    ck_assert_ptr_eq(copy[0].members[1].members, &inner[0].row);
    descriptor_free(&to);
    from.param_size = 0;
    ck_assert(!descriptor_copy(&from, &to, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "its descriptor is damaged"));
    descriptor_free(&to);
}
END_TEST

START_TEST(mistakes_in_a_table_of_params_name_method_and_row)
{
    static const pillion_param rows[] = {
        {.name = "size", .type = PILLION_OBJECT, PILLION_MEMBERS(struct size, size_rows)},
        {.name = "flag", .type = PILLION_FLAG, .offset = 8, .fallback = "7"},
        {0}};
    static const pillion_param odd[] = {{.name = "flag", .type = PILLION_FLAG, .summary = "a\nb"},
                                        {0}};
    static const pillion_param nameless[] = {
        {.name = "flag", .type = PILLION_FLAG}, {.type = PILLION_FLAG, .offset = 1}, {0}};
    pillion_method methods[] = {
        {.name = "greet", .handler = handler, .args = rows, .args_size = 16}, {0}};
    pillion_module from = good_module("m"), to;

    from.methods = methods;
    from.param_size = sizeof(pillion_param);
    ck_assert(!descriptor_copy(&from, &to, &error));
    ck_assert_str_eq(error.text, "the method \"greet\": the param \"flag\" has a wrong fallback: "
                                 "params.flag: true or false, got 7");
    descriptor_free(&to);
    methods[0].args = NULL;
    methods[0].gives = rows;
    methods[0].gives_size = 8;
    ck_assert(!descriptor_copy(&from, &to, &error));
    ck_assert_str_eq(error.text, "the method \"greet\": the member \"flag\" lies outside the "
                                 "structure; set its size by PILLION_PARAMS, PILLION_GIVES or "
                                 "PILLION_MEMBERS");
    descriptor_free(&to);
    methods[0].gives = NULL;
    methods[0].args = odd;
    ck_assert(!descriptor_copy(&from, &to, &error));
    ck_assert_str_eq(error.text, "the method \"greet\": the summary of the param \"flag\" is not "
                                 "one line of UTF-8");
    descriptor_free(&to);
    methods[0].args = nameless;
    ck_assert(!descriptor_copy(&from, &to, &error));
    ck_assert_str_eq(error.text, "row 2 of a table of params has no name; give it one, or end the "
                                 "table before it with a row of zeros");
    descriptor_free(&to);
}
END_TEST

/* A module may have been compiled where structures are longer: what this server does not know is
 * left out, and the rows are found all the same. */
START_TEST(longer_structures_are_walked_by_their_strides)
{
    static const struct {
        pillion_method row;
        const char *later[3];
    } methods[] = {{.row = {.name = "a", .handler = handler}, .later = {"x", "y", "z"}},
                   {.row = {.name = "b", .handler = handler, .summary = "B."}, .later = {"x"}},
                   {.row = {0}}};
    static const struct {
        pillion_directive row;
        const char *later;
    } directives[] = {{.row = {.name = "d", .type = PILLION_FLAG}, .later = "x"},
                      {.row = {.name = "e", .type = PILLION_FLAG, .summary = "E."}, .later = "x"},
                      {.row = {0}}};
    struct {
        pillion_module module;
        const char *later[5];
    } longer = {.module = good_module("m"), .later = {"x", "x", "x", "x", "x"}};
    pillion_module to;

    longer.module.size = sizeof(longer);
    longer.module.method_size = sizeof(methods[0]);
    longer.module.directive_size = sizeof(directives[0]);
    longer.module.methods = &methods[0].row;
    longer.module.directives = &directives[0].row;
    ck_assert_msg(descriptor_copy(&longer.module, &to, &error), "%s", error.text);
    ck_assert_str_eq(to.methods[0].name, "a");
    ck_assert_ptr_null(to.methods[0].summary);
    ck_assert_str_eq(to.methods[1].summary, "B.");
    ck_assert_ptr_null(to.methods[2].name);
    ck_assert_str_eq(to.directives[1].summary, "E.");
    ck_assert_ptr_null(to.directives[2].name);
    descriptor_free(&to);
}
END_TEST

static pillion_module wrong;
static pillion_method wrong_methods[3];
static pillion_directive wrong_directives[4];

/* A good descriptor, to be spoiled. */
static void spoil(void)
{
    wrong = good_module("m");
    memcpy(wrong_methods, good_methods, sizeof(good_methods));
    memcpy(wrong_directives, good_directives, sizeof(good_directives));
    wrong.methods = wrong_methods;
    wrong.directives = wrong_directives;
}

static void refused(const char *part)
{
    pillion_module to = {0};

    error.text[0] = '\0';
    ck_assert_msg(!descriptor_copy(&wrong, &to, &error), "taken, instead of: %s", part);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s, instead of: %s", error.text, part);
    if (to.methods != NULL && to.methods != wrong.methods)
        descriptor_free(&to);
    spoil();
}

/* Checks that `wrong` is refused, and that the message names both versions. */
static void refused_version(void)
{
    char part[64];

    snprintf(part, sizeof(part), "needs module API %u.%u, this server offers %d.%d",
             (unsigned)wrong.abi_major, (unsigned)wrong.abi_minor, PILLION_ABI_MAJOR,
             PILLION_ABI_MINOR);
    refused(part);
}

START_TEST(descriptors_of_other_interfaces_are_refused)
{
    spoil();
    wrong.abi_major++;
    refused_version();
    wrong.abi_minor++;
    refused_version();
    wrong.size = 0;
    refused("damaged");
    wrong.size = DESCRIPTOR_SIZE_MIN - 1;
    refused("damaged");
    wrong.method_size = METHOD_SIZE_MIN - 1;
    refused("damaged");
    wrong.directive_size = DIRECTIVE_SIZE_MIN - 8;
    refused("damaged");
}
END_TEST

START_TEST(names_of_modules_are_checked)
{
    static const char *const names[] = {
        NULL,
        "",
        "a.b",
        "a b",
        "\xc3\xa9",
        "a\n",
        "a234567890123456789012345678901234567890123456789012345678901234"};

    spoil();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        wrong.name = names[i];
        refused("its name must have 1 to 63 letters");
    }
    wrong.version = "1.\xff";
    refused(".version or .summary");
    wrong.summary = "two\nlines";
    refused(".version or .summary");
}
END_TEST

START_TEST(mistakes_in_the_table_of_methods_are_named)
{
    static char longest[257];

    spoil();
    wrong_methods[0].name = "";
    refused("row 1 of the table of methods");
    static const char *const names[] = {"\xff", "a\x01",    "a\nb",
                                        "\x7f", "\xc2\x80", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        wrong_methods[1].name = names[i];
        refused("row 2 of the table of methods");
    }
    memset(longest, 'x', 256);
    wrong_methods[0].name = longest;
    refused("1 to 255 bytes");
    wrong_methods[1].handler = NULL;
    refused("the method \"sum\" has no handler");
    wrong_methods[1].name = "greet";
    refused("the method \"greet\" is in the table twice");
    wrong_methods[0].summary = "Gr\xfc\xdf"
                               "e.";
    refused("the summary of the method \"greet\" is not one line of UTF-8");
    wrong_methods[0].title = "Greet\nsomebody";
    refused("the title of the method \"greet\" is not one line of UTF-8");
    wrong_methods[0].params = "{'type': 1}";
    refused("the .params of the method \"greet\" is not valid JSON: ");
    wrong_methods[1].result = "";
    refused("the .result of the method \"sum\" is not valid JSON: ");
    wrong_methods[1].result = "{\"a\": \"\xff\"}";
    refused("a string is not UTF-8, at byte 7");

    pillion_module to;
    longest[255] = '\0';
    wrong_methods[0].name = longest;
    wrong_methods[1].name = "\xc3\xa9t\xc3\xa9 \xc2\xa0";
    ck_assert_msg(descriptor_copy(&wrong, &to, &error), "%s", error.text);
    descriptor_free(&to);
}
END_TEST

START_TEST(mistakes_in_the_table_of_metrics_are_named)
{
    pillion_metric metrics[] = {
        {.name = "calls", .type = PILLION_COUNTER},
        {.name = "level", .type = PILLION_GAUGE},
        {0},
    };
    pillion_module to;

    spoil();
    wrong.metrics = metrics;
    ck_assert_msg(descriptor_copy(&wrong, &to, &error), "%s", error.text);
    ck_assert_str_eq(to.metrics[1].name, "level");
    ck_assert_ptr_null(to.metrics[2].name);
    descriptor_free(&to);
    metrics[1].name = "calls";
    wrong.metrics = metrics;
    refused("the metric \"calls\" is in the table twice");
    metrics[1].name = "a.b";
    wrong.metrics = metrics;
    refused("row 2 of the table of metrics");
    metrics[1] = (pillion_metric){.name = "level"};
    wrong.metrics = metrics;
    refused("the metric \"level\" has no type");
    metrics[1] = (pillion_metric){.name = "level", .type = PILLION_GAUGE, .summary = "two\nlines"};
    wrong.metrics = metrics;
    refused("the summary of the metric \"level\" is not one line");
}
END_TEST

START_TEST(mistakes_in_the_bounds_of_histograms_are_named)
{
    double bounds[PILLION_BOUNDS_MAX + 1] = {1, 2, 2};
    pillion_metric metrics[] = {
        {.name = "wait", .type = PILLION_HISTOGRAM, .bounds = bounds, .bound_count = 2},
        {.name = "usual", .type = PILLION_HISTOGRAM},
        {0},
    };
    pillion_module to;

    spoil();
    wrong.metrics = metrics;
    ck_assert_msg(descriptor_copy(&wrong, &to, &error), "%s", error.text);
    ck_assert_uint_eq(to.metrics[0].bound_count, 2);
    ck_assert_uint_eq(to.metrics[1].bound_count, 11);
    ck_assert_double_eq(to.metrics[1].bounds[10], 10);
    descriptor_free(&to);
    const struct {
        size_t count;
        double third;
    } wrongs[] = {{3, 2}, {3, 1}, {3, INFINITY}, {3, NAN}, {PILLION_BOUNDS_MAX + 1, 3}};
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(*wrongs); i++) {
        bounds[2] = wrongs[i].third;
        for (size_t k = 3; k <= PILLION_BOUNDS_MAX; k++)
            bounds[k] = (double)k + 1;
        metrics[0].bound_count = wrongs[i].count;
        wrong.metrics = metrics;
        refused("the histogram \"wait\" needs up to 32 bounds");
    }
    metrics[0].bounds = NULL;
    wrong.metrics = metrics;
    refused("the histogram \"wait\" needs up to 32 bounds");
    metrics[0] = (pillion_metric){.name = "wait", .type = PILLION_GAUGE, .bounds = bounds};
    wrong.metrics = metrics;
    refused("the metric \"wait\" has bounds, and is no PILLION_HISTOGRAM");
}
END_TEST

/* Their rows were shorter. */
START_TEST(metrics_of_older_modules_are_read)
{
    struct {
        const char *name;
        pillion_metric_type type;
        const char *summary;
    } metrics[] = {{"calls", PILLION_COUNTER, NULL}, {"level", PILLION_GAUGE, "a"}, {0}};
    pillion_module to;

    spoil();
    wrong.abi_minor = 4;
    wrong.metrics = (const pillion_metric *)(const void *)metrics;
    ck_assert_msg(descriptor_copy(&wrong, &to, &error), "%s", error.text);
    ck_assert_str_eq(to.metrics[1].name, "level");
    ck_assert_str_eq(to.metrics[1].summary, "a");
    ck_assert_ptr_null(to.metrics[2].name);
    descriptor_free(&to);
}
END_TEST

START_TEST(mistakes_in_the_table_of_directives_are_named)
{
    spoil();
    wrong_directives[1].name = "flag";
    refused("the directive \"flag\" is in the table twice");
    wrong_directives[0].type = (pillion_type)0;
    refused("the directive \"flag\" has no type that this server knows");
    wrong_directives[0].type = (pillion_type)(PILLION_PATH + 1);
    refused("the directive \"flag\" has no type that this server knows");
    wrong.config_size = 0;
    refused("the directive \"flag\" lies outside the configuration structure");
    wrong.config_size = offsetof(struct config, choice) + sizeof(int) - 1;
    refused("the directive \"choice\" lies outside the configuration structure");
    wrong_directives[1].offset = SIZE_MAX - 2;
    refused("the directive \"number\" lies outside the configuration structure");
    wrong_directives[2].words = NULL;
    refused("the directive \"choice\" is an enumeration without words");
    wrong_directives[2].words = &words[2];
    refused("the directive \"choice\" is an enumeration without words");
}
END_TEST

/* ---- Directives ---- */

static struct conf_errors errors;

/* A set of one module, with a good descriptor, that the configuration loads. */
static struct module_set set_up(struct module *module, const char *conf)
{
    static struct settings settings;
    struct module_set set = {
        .modules = module, .count = 1, .tree = conf_tree_new("/"), .errors = &errors};
    pillion_module from = good_module("m");

    conf_tree_add_text(set.tree, "t", bytes_of(conf), false, &errors);
    settings_read(set.tree, &settings, &errors);
    ck_assert_str_eq(text_string(&errors.text), "");
    *module = (struct module){.settings = settings.modules};
    ck_assert_msg(descriptor_copy(&from, &module->descriptor, &error), "%s", error.text);
    return set;
}

static void tear_down(struct module_set *set)
{
    descriptor_free(&set->modules[0].descriptor);
    free(set->modules[0].instance.config);
    conf_tree_free(set->tree);
    conf_errors_free(&errors);
}

static void said(const char *part)
{
    ck_assert_msg(strstr(text_string(&errors.text), part) != NULL, "%s, instead of: %s",
                  text_string(&errors.text), part);
}

START_TEST(directives_are_read_into_the_structure)
{
    struct module module;
    struct module_set set =
        set_up(&module, "load_module one.so { flag on; choice red; } server { listen 1; }");
    ck_assert_msg(descriptor_configure(&set, &module), "%s", text_string(&errors.text));
    const struct config *config = module.instance.config;
    ck_assert(config->flag);
    ck_assert_int_eq(config->number, 7);
    ck_assert_int_eq(config->choice, 0);
    tear_down(&set);
}
END_TEST

START_TEST(a_default_that_is_wrong_is_the_modules_mistake)
{
    struct module module;
    struct module_set set = set_up(&module, "load_module one.so; server { listen 1; }");
    pillion_directive *directives = (pillion_directive *)(uintptr_t)module.descriptor.directives;
    directives[1].fallback = "10";
    ck_assert(!descriptor_configure(&set, &module));
    said(
        "t:1:13: load_module one.so: the module is at fault, and its author has to correct it: the "
        "default of its directive \"number\", .fallback = \"10\", is wrong: \"number\" must be "
        "from");
    tear_down(&set);
}
END_TEST

UNIT_MAIN("descriptor", a_good_descriptor_is_copied_with_its_tables,
          tables_are_never_null_in_a_copy, longer_structures_are_walked_by_their_strides,
          tables_of_params_are_copied_with_their_own_stride,
          mistakes_in_a_table_of_params_name_method_and_row,
          descriptors_of_other_interfaces_are_refused, names_of_modules_are_checked,
          mistakes_in_the_table_of_methods_are_named, mistakes_in_the_table_of_metrics_are_named,
          mistakes_in_the_bounds_of_histograms_are_named, metrics_of_older_modules_are_read,
          mistakes_in_the_table_of_directives_are_named, directives_are_read_into_the_structure,
          a_default_that_is_wrong_is_the_modules_mistake)
