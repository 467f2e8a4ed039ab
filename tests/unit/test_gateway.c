/* Which methods `proxy_all` stands for: see core/process/gateway.h. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/parser.h"
#include "conf/settings_table.h"
#include "process/gateway.h"
#include "process/generation.h"

static struct error error;
static struct directory *directory;

static void make_directory(void)
{
    int fd = directory_make((size_t)64 << 20, &error);
    ck_assert_msg(fd >= 0, "%s", error.text);
    directory = directory_map(fd, true, &error);
    ck_assert_msg(directory != NULL, "%s", error.text);
    close(fd);
}

static void publish(const struct directory_instance *instances, size_t count,
                    const struct directory_methods *sets, size_t set_count)
{
    const struct directory_service all = {"registry:/p/", true, instances, count, sets, set_count};

    if (directory == NULL)
        make_directory();
    ck_assert_msg(directory_publish(directory, &all, 1, &error), "%s", error.text);
}

/* ---- Configurations ---- */

static struct conf_tree *tree;
static struct settings settings;

static void configure(const char *main_text, const char *server_text)
{
    struct conf_errors errors = {0};
    struct text text = {0};

    conf_tree_free(tree);
    tree = conf_tree_new("/p");
    text_printf(&text, "registry etcd http://127.0.0.1:1 { %s }\nserver { listen 127.0.0.1:1; %s }",
                main_text, server_text);
    bool good = conf_tree_add_text(tree, "test", bytes_of(text_string(&text)), false, &errors) &&
                settings_read(tree, &settings, &errors);
    ck_assert_msg(good, "%s", text_string(&errors.text));
    text_free(&text);
}

/* Adds what is found, and reads the settings anew. */
static size_t add(const struct board *board)
{
    struct conf_errors errors = {0};

    size_t added = gateway_add(tree, &settings, directory, board);
    bool good = settings_read(tree, &settings, &errors);
    ck_assert_msg(good, "%s", text_string(&errors.text));
    return added;
}

static const struct method_settings *method_of(const char *name)
{
    const struct method_settings *m = settings.servers->methods;

    while (m != NULL && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

static const char *directive_of(const char *name, const char *directive)
{
    const struct method_settings *m = method_of(name);

    ck_assert_msg(m != NULL, "there is no method %s", name);
    for (const struct conf_statement *s = m->block; s != NULL; s = s->next) {
        if (strcmp(s->name.text, directive) == 0)
            return s->words[0].text;
    }
    return NULL;
}

/* ---- What is found ---- */

#define SHOP(address, set)              \
    {                                   \
        address, "/p/shop", 100, set, 0 \
    }
#define TILL(address, set)              \
    {                                   \
        address, "/p/till", 100, set, 0 \
    }

static const struct directory_method shop[] = {{"buy", "{\"summary\":\"Say \\\"\\\\\\\".\"}"},
                                               {"list", "{}"}};
static const struct directory_method till[] = {{"pay", "{\"idempotent\":true}"},
                                               {"list", "{\"summary\":\"Not this.\"}"}};
static const struct directory_methods both[] = {{shop, 2}, {till, 2}};

START_TEST(methods_of_services_become_methods_of_the_server)
{
    const struct directory_instance instances[] = {TILL("10.0.0.3:1", 1), SHOP("10.0.0.1:1", 0),
                                                   SHOP("10.0.0.2:1", 0)};

    publish(instances, 3, both, 2);
    configure("", "proxy_all registry:/p/ { timeout 7s; pass token; }");
    ck_assert_uint_eq(add(NULL), 3);
    ck_assert_str_eq(method_of("buy")->handler, "proxy.forward");
    ck_assert_str_eq(method_of("buy")->declares, shop[0].about);
    ck_assert(method_of("buy")->declares_lenient && method_of("buy")->found);
    ck_assert_uint_eq(method_of("buy")->timeout_ms, 7000);
    ck_assert_str_eq(directive_of("buy", "upstream"), "registry:/p/shop");
    ck_assert_str_eq(directive_of("buy", "pass"), "token");
    ck_assert_str_eq(directive_of("pay", "upstream"), "registry:/p/till");
    ck_assert_str_eq(directive_of("pay", "pass"), "token");
    /* Both services offer it: the first by its name has it. */
    ck_assert_str_eq(directive_of("list", "upstream"), "registry:/p/shop");
}
END_TEST

START_TEST(methods_of_the_configuration_come_first)
{
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};

    publish(instances, 1, both, 2);
    configure("", "proxy_all registry:/p/; method buy; hello_method list;");
    ck_assert_uint_eq(add(NULL), 0);
    ck_assert_ptr_null(method_of("buy")->handler);
    ck_assert_str_eq(method_of("list")->module, "hello");
}
END_TEST

START_TEST(names_of_the_servers_own_are_not_taken)
{
    static const struct directory_method methods[] = {
        {"rpc.stats", "{}"}, {"a\nb", "{}"}, {"", "{}"}, {"good", "{}"}};
    static const struct directory_methods set[] = {{methods, 4}};
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0),
                                                   {"10.0.0.9:1", "/p/gateway", 100, 0, 0}};

    publish(instances, 2, set, 1);
    configure("prefix /p/shop;", "register 10.0.0.1:1; proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 1); /* and none of the service that it is a part of itself */
    ck_assert_str_eq(directive_of("good", "upstream"), "registry:/p/gateway");
}
END_TEST

START_TEST(a_gateway_that_registers_nothing_has_the_methods_below_its_prefix)
{
    static const struct directory_method methods[] = {{"good", "{}"}};
    static const struct directory_methods set[] = {{methods, 1}};
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};

    publish(instances, 1, set, 1);
    configure("prefix /p/shop;", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 1);
    ck_assert_str_eq(directive_of("good", "upstream"), "registry:/p/shop");
}
END_TEST

/* Whoever may write below a path chooses the rest of the key. */
START_TEST(services_that_no_configuration_can_name_are_left_out)
{
    char path[600] = "/p/";
    memset(path + strlen(path), 'x', sizeof(path) - 1 - strlen(path));
    path[sizeof(path) - 1] = '\0';
    const struct directory_instance instances[] = {
        {"10.0.0.1:1", "/p/", 100, 0, 0},     {"10.0.0.1:1", "/p/a\"b", 100, 0, 0},
        {"10.0.0.1:1", "/p/a\\b", 100, 0, 0}, {"10.0.0.1:1", "/p/a//b", 100, 0, 0},
        {"10.0.0.1:1", "/p/{};", 100, 0, 0},  {"10.0.0.1:1", path, 100, 0, 0},
        {"10.0.0.1:1", "/p/zz", 100, 1, 0}};
    struct text found = {0};

    publish(instances, 7, both, 2);
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 2);
    ck_assert_str_eq(directive_of("pay", "upstream"), "registry:/p/zz");
    ck_assert_str_eq(directive_of("list", "upstream"), "registry:/p/zz");
    gateway_look(&settings, directory, &found);
    ck_assert_ptr_null(strstr(text_string(&found), "xxx"));
    text_free(&found);
}
END_TEST

START_TEST(most_instances_decide_what_a_method_is)
{
    static const struct directory_method before[] = {{"buy", "{\"title\":\"Before\"}"}};
    static const struct directory_method after[] = {{"buy", "{\"title\":\"After\"}"},
                                                    {"new", "{}"}};
    static const struct directory_methods sets[] = {{before, 1}, {after, 2}};
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0), SHOP("10.0.0.2:1", 1),
                                                   SHOP("10.0.0.3:1", 1),
                                                   SHOP("10.0.0.4:1", UINT32_MAX)};

    publish(instances, 4, sets, 2);
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 2);
    ck_assert_str_eq(method_of("buy")->declares, "{\"title\":\"After\"}");
}
END_TEST

START_TEST(each_server_block_has_its_own)
{
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};

    publish(instances, 1, both, 2);
    configure("", "method list; } server { listen 127.0.0.1:2; proxy_all registry:/p/; "
                  "proxy_all registry:/nobody; } server { listen 127.0.0.1:3;");
    ck_assert_uint_eq(add(NULL), 2);
    ck_assert_ptr_null(settings.servers->methods->next);
    ck_assert_str_eq(settings.servers->next->methods->name, "buy");
    ck_assert_ptr_null(settings.servers->next->next->methods);
}
END_TEST

START_TEST(without_a_registry_there_are_no_methods)
{
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(gateway_add(tree, &settings, NULL, NULL), 0);
    make_directory();
    ck_assert_uint_eq(gateway_add(tree, &settings, directory, NULL), 0);
}
END_TEST

static void free_texts(struct text **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_free(texts[i]);
}

START_TEST(what_was_found_is_told_from_what_was_written)
{
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};
    struct text before = {0}, given = {0}, all = {0}, after = {0};

    publish(instances, 1, both, 2);
    configure("", "proxy_all registry:/p/ { pass token; }");
    conf_tree_write(tree, false, &before);
    ck_assert_uint_eq(add(NULL), 2);
    conf_tree_write_given(tree, false, &given);
    conf_tree_write(tree, false, &all);
    ck_assert_str_eq(given.data, before.data);
    ck_assert(strstr(all.data, "\"method\" \"buy\"") != NULL);
    gateway_take_back(tree);
    conf_tree_write(tree, false, &after);
    ck_assert_str_eq(after.data, before.data);
    free_texts((struct text *[]){&before, &given, &all, &after}, 4);
}
END_TEST

START_TEST(whatever_a_service_says_is_one_word)
{
    static const struct directory_method odd[] = {
        {"a\"b\\", "{\n\"summary\": \"; } method evil { # ' \\\" $x\"\n}"},
        {"{}", "\\"},
        {"x y", ""}};
    static const struct directory_methods set = {odd, 3};
    const struct directory_instance instances[] = {{"10.0.0.1:1", "/p/a$b", 100, 0, 0}};

    publish(instances, 1, &set, 1);
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(method_of(odd[i].name)->declares, odd[i].about);
    ck_assert_str_eq(directive_of("{}", "upstream"), "registry:/p/a$b");
    ck_assert_ptr_null(method_of("evil"));
}
END_TEST

/* ---- Limits ---- */

#define MANY 1100u

static char names[MANY][16];
static struct directory_method many[MANY];

static void publish_many(void)
{
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};
    const struct directory_methods set = {many, MANY};

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "m%04u", i);
        many[i] = (struct directory_method){names[i], "{}"};
    }
    publish(instances, 1, &set, 1);
}

START_TEST(methods_for_which_there_is_no_room_are_left_out)
{
    publish_many();
    configure("", "method own; proxy_all registry:/p/;");
    /* Three of the server's, `own`, and what is kept for the configuration. */
    ck_assert_uint_eq(add(NULL), BOARD_METHODS_MAX - 4 - BOARD_METHODS_KEPT);
    ck_assert_ptr_nonnull(method_of("m0891"));
    ck_assert_ptr_null(method_of("m0892"));
}
END_TEST

START_TEST(former_methods_have_their_room)
{
    struct board *board = board_new(&error);

    board_add_method(board, "mcp");
    board_add_method(board, "metrics");
    board_add_method(board, "status");
    board_add_method(board, "m0000");
    for (unsigned i = 0; i < 872; i++) {
        char name[16];
        snprintf(name, sizeof(name), "former%u", i);
        board_add_method(board, name);
    }
    publish_many();
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(board), 21); /* one that was there, and 20 */
}
END_TEST

/* Whoever writes into the registry must not keep the operator from adding a method. */
START_TEST(what_is_found_leaves_room_for_methods_of_the_configuration)
{
    struct board *board = board_new(&error);
    struct conf_errors errors = {0};
    struct generation generation = {.settings = &settings};

    publish_many();
    configure("", "proxy_all registry:/p/;");
    add(board);
    ck_assert(generation_register(&generation, board, &errors));
    configure("", "method added; proxy_all registry:/p/;");
    add(board);
    ck_assert_msg(generation_register(&generation, board, &errors), "%s",
                  text_string(&errors.text));
    ck_assert_uint_ne(board_find_method(board, BYTES("added")), BOARD_NO_METHOD);
}
END_TEST

START_TEST(large_descriptions_have_a_limit)
{
    static char about[1 << 20];
    static struct directory_method large[12];
    const struct directory_methods set = {large, 12};
    const struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0)};

    memset(about, ' ', sizeof(about) - 1);
    about[0] = '{';
    about[sizeof(about) - 2] = '}';
    for (unsigned i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), "m%04u", i);
        large[i] = (struct directory_method){names[i], about};
    }
    publish(instances, 1, &set, 1);
    configure("", "proxy_all registry:/p/;");
    ck_assert_uint_eq(add(NULL), 8); /* of eight megabytes */
}
END_TEST

/* A service each, of one method: that of "/p/sNNN" is "mNNN", numbered from the end. */
static void publish_services(unsigned count)
{
    static char paths[MANY][16];
    static struct directory_instance instances[MANY];
    static struct directory_methods sets[MANY];

    for (unsigned i = 0; i < count; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/p/s%04u", i);
        snprintf(names[i], sizeof(names[i]), "m%04u", count - 1 - i);
        many[i] = (struct directory_method){names[i], "{}"};
        sets[i] = (struct directory_methods){&many[i], 1};
        instances[i] = (struct directory_instance){"10.0.0.1:1", paths[i], 100, i, 0};
    }
    publish(instances, count, sets, count);
}

/* Workers would ask for the rest, and never be told of a server: its calls would time out. */
START_TEST(services_for_which_there_is_no_room_are_left_out)
{
    publish_services(DIRECTORY_SERVICES_MAX + 10);
    configure("", "method a { upstream registry:/elsewhere srv:x.example; } "
                  "proxy_all registry:/p/; proxy_all registry:/q/;");
    ck_assert_uint_eq(add(NULL), DIRECTORY_SERVICES_MAX - 4);
    char last[16], first_too_many[16];
    snprintf(last, sizeof(last), "m%04u", 14);
    snprintf(first_too_many, sizeof(first_too_many), "m%04u", 13);
    ck_assert_ptr_nonnull(method_of(last));
    ck_assert_ptr_null(method_of(first_too_many));
}
END_TEST

START_TEST(a_service_that_the_configuration_names_has_its_room)
{
    publish_services(DIRECTORY_SERVICES_MAX);
    char text[128], named[16];
    snprintf(named, sizeof(named), "/p/s%04u", DIRECTORY_SERVICES_MAX - 1);
    snprintf(text, sizeof(text), "method a { upstream registry:%s; } proxy_all registry:/p/;",
             named);
    configure("", text);
    ck_assert_uint_eq(add(NULL), DIRECTORY_SERVICES_MAX - 1);
    ck_assert_ptr_nonnull(method_of("m0000")); /* it is the last one's */
    ck_assert_ptr_null(method_of("m0001"));
}
END_TEST

/* ---- Changes ---- */

static struct text looked(void)
{
    struct text text = {0};
    gateway_look(&settings, directory, &text);
    return text;
}

START_TEST(changes_of_methods_are_seen_and_those_of_instances_are_not)
{
    struct directory_instance instances[] = {SHOP("10.0.0.1:1", 0), SHOP("10.0.0.2:1", 0),
                                             TILL("10.0.0.3:1", 1)};

    configure("", "proxy_all registry:/p/;");
    publish(instances, 1, both, 2);
    struct text one = looked();
    publish(instances, 2, both, 2);
    struct text two = looked();
    ck_assert_str_eq(one.data, two.data);
    publish(instances, 3, both, 2);
    struct text more = looked();
    ck_assert_str_ne(more.data, two.data);
    ck_assert(!gateway_only_lacks(&two, &more));
    ck_assert(gateway_only_lacks(&more, &two));
    ck_assert(gateway_only_lacks(&more, &(struct text){0}));
    ck_assert(!gateway_only_lacks(&(struct text){0}, &two));

    struct directory_method changed[] = {{"buy", "{\"title\":\"B\"}"}, {"list", "{}"}};
    const struct directory_methods set = {changed, 2};
    publish(instances, 2, &set, 1);
    struct text now = looked();
    ck_assert_str_ne(now.data, two.data);
    ck_assert(!gateway_only_lacks(&two, &now));
    free_texts((struct text *[]){&one, &two, &more, &now}, 4);
}
END_TEST

/* ---- Mistakes ---- */

START_TEST(mistakes_are_errors_of_the_configuration)
{
    static const struct {
        const char *text, *wrong;
    } mistakes[] = {
        {"server { listen 127.0.0.1:1; proxy_all registry:/p/; }", "needs a \"registry\""},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all 10.0.0.1:1; }",
         "names no service"},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all srv:a.b; }",
         "DNS does not tell which methods a server has"},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all registry:/p/; "
         "proxy_all registry:/p/; }",
         "appears twice"},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all registry:/p/ { "
         "upstream 10.0.0.1:1; } }",
         "\"upstream\" of each method is what the registry tells"},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all registry:/p/ { "
         "timeout never; } }",
         "\"timeout\" must be"},
        {"registry etcd http://127.0.0.1:1; server { listen 127.0.0.1:1; proxy_all; }",
         "proxy_all"},
        {"server { listen 127.0.0.1:1; method a { declares '{}' strict; } }", "strict"},
        {"proxy_all_interval 1ms; server { listen 127.0.0.1:1; }", "100ms"},
        {"proxy_all_keep 2d; server { listen 127.0.0.1:1; }", "proxy_all_keep"},
    };

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        struct conf_errors errors = {0};
        tree = conf_tree_new("/p");
        bool good = conf_tree_add_text(tree, "test", bytes_of(mistakes[i].text), false, &errors) &&
                    settings_read(tree, &settings, &errors);
        ck_assert_msg(!good, "%s", mistakes[i].text);
        ck_assert_msg(strstr(text_string(&errors.text), mistakes[i].wrong) != NULL, "%s",
                      text_string(&errors.text));
        conf_errors_free(&errors);
        conf_tree_free(tree);
    }
}
END_TEST

UNIT_MAIN("gateway", methods_of_services_become_methods_of_the_server,
          methods_of_the_configuration_come_first, names_of_the_servers_own_are_not_taken,
          a_gateway_that_registers_nothing_has_the_methods_below_its_prefix,
          services_that_no_configuration_can_name_are_left_out,
          most_instances_decide_what_a_method_is, whatever_a_service_says_is_one_word,
          each_server_block_has_its_own, without_a_registry_there_are_no_methods,
          what_was_found_is_told_from_what_was_written,
          methods_for_which_there_is_no_room_are_left_out, former_methods_have_their_room,
          what_is_found_leaves_room_for_methods_of_the_configuration,
          services_for_which_there_is_no_room_are_left_out,
          a_service_that_the_configuration_names_has_its_room, large_descriptions_have_a_limit,
          changes_of_methods_are_seen_and_those_of_instances_are_not,
          mistakes_are_errors_of_the_configuration)
