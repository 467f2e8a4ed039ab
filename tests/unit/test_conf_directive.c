/* Statements against a table: every type, its bounds, its errors, and which statement wins. The
 * table is made as a module's is: a structure, offsets, defaults in words. */
#include "conf/directive.h"
#include "conf/parser.h"

#include <stdio.h>

#include "unit.h"

struct target {
    bool flag;
    int64_t integer, counted, free_integer;
    uint64_t size, free_size;
    uint64_t time, patience, open_time;
    const char *string;
    const char *path;
    int choice;
    struct conf_list list;
    int custom_calls;
    int inner;
};

static const char *const colours[] = {"red", "green", "blue", NULL};
static const char *const word_auto[] = {"auto", NULL};
static const char *const word_off[] = {"off", NULL};

static void set_custom(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target)
{
    if (!conf_check_words(apply, directive, statement, 1, 2))
        return;
    ck_assert_ptr_eq(apply->context, target);
    ((struct target *)target)->custom_calls++;
}

#define IN(where, member) .contexts = (where), .offset = offsetof(struct target, member)

static const struct conf_directive table[] = {
    {.name = "flag", IN(CONF_IN_MAIN, flag), .type = CONF_FLAG, .fallback = "on"},
    {.name = "integer",
     IN(CONF_IN_MAIN, integer),
     .type = CONF_INTEGER,
     .min = -5,
     .max = 5,
     .fallback = "-3"},
    {.name = "counted",
     IN(CONF_IN_MAIN, counted),
     .type = CONF_INTEGER,
     .words = word_auto,
     .min = 1,
     .max = 9,
     .fallback = "auto"},
    {.name = "free_integer", IN(CONF_IN_MAIN, free_integer), .type = CONF_INTEGER},
    {.name = "size",
     IN(CONF_IN_MAIN, size),
     .type = CONF_SIZE,
     .min = 64,
     .max = 128 << 20,
     .fallback = "1m"},
    {.name = "free_size", IN(CONF_IN_MAIN, free_size), .type = CONF_SIZE},
    {.name = "time",
     IN(CONF_IN_MAIN, time),
     .type = CONF_TIME,
     .min = 100,
     .max = 90000,
     .fallback = "5s"},
    {.name = "patience",
     IN(CONF_IN_MAIN, patience),
     .type = CONF_TIME,
     .words = word_off,
     .min = 10,
     .fallback = "off"},
    {.name = "open_time", IN(CONF_IN_MAIN, open_time), .type = CONF_TIME},
    {.name = "string", IN(CONF_IN_MAIN, string), .type = CONF_STRING, .fallback = "a b"},
    {.name = "path", IN(CONF_IN_MAIN, path), .type = CONF_PATH, .fallback = "run/x"},
    {.name = "choice",
     IN(CONF_IN_MAIN, choice),
     .type = CONF_ENUM,
     .words = colours,
     .fallback = "blue"},
    {.name = "list", IN(CONF_IN_MAIN, list), .type = CONF_LIST, .fallback = "x y"},
    {.name = "custom",
     IN(CONF_IN_MAIN, custom_calls),
     .type = CONF_CUSTOM,
     .set = set_custom,
     .repeats = true,
     .block = true,
     .syntax = "A [B] [{ … }]"},
    {.name = "inner",
     IN(CONF_IN_SERVER | CONF_IN_METHOD, inner),
     .type = CONF_ENUM,
     .words = colours},
    {0},
};

static const struct conf_directive needy[] = {
    {.name = "secret", IN(CONF_IN_MODULE, string), .type = CONF_STRING, .required = true},
    {.name = "time", IN(CONF_IN_MODULE, time), .type = CONF_TIME},
    {0},
};

static const struct conf_directive empty[] = {{0}};

static struct conf_tree *tree;
static struct conf_errors errors;
static struct target target;

static void start(void)
{
    tree = conf_tree_new("/prefix");
    target = (struct target){0};
}

static void finish(void)
{
    conf_tree_free(tree);
    conf_errors_free(&errors);
}

static bool apply(const struct conf_directive *with, enum conf_context context, const char *where,
                  const struct conf_place *place)
{
    struct conf_apply how = {.tree = tree, .errors = &errors, .context = &target};
    unsigned before = errors.count;

    bool good = conf_apply(&how, with, context, where, place, tree->statements, &target);
    ck_assert(good == (errors.count == before));
    return good;
}

/* Parses `text` and applies it as the main part. */
static bool read_text(const char *text)
{
    start();
    conf_tree_add_text(tree, "t", bytes_of(text), false, &errors);
    return apply(table, CONF_IN_MAIN, "main", NULL);
}

static void expect_good(const char *text)
{
    read_text(text);
    ck_assert_str_eq(text_string(&errors.text), "");
}

static void expect_errors(const char *text, const char *expected)
{
    ck_assert(!read_text(text));
    ck_assert_str_eq(text_string(&errors.text), expected);
    finish();
}

/* Checks that the first error is this message, at line 1 and the column. */
static void expect_message(const char *text, unsigned column, const char *message)
{
    char expected[1024];

    ck_assert(!read_text(text));
    snprintf(expected, sizeof(expected), "t:1:%u: %s\n", column, message);
    ck_assert_uint_eq(errors.count, 1);
    size_t line = strcspn(errors.text.data, "\n") + 1;
    errors.text.data[line] = '\0';
    ck_assert_str_eq(errors.text.data, expected);
    finish();
}

START_TEST(defaults_are_stored_first)
{
    expect_good("");
    ck_assert(target.flag);
    ck_assert_int_eq(target.integer, -3);
    ck_assert_int_eq(target.counted, 0);
    ck_assert_int_eq(target.free_integer, 0);
    ck_assert_uint_eq(target.size, 1 << 20);
    ck_assert_uint_eq(target.time, 5000);
    ck_assert_uint_eq(target.patience, 0);
    ck_assert_str_eq(target.string, "a b");
    ck_assert_str_eq(target.path, "/prefix/run/x");
    ck_assert_int_eq(target.choice, 2);
    ck_assert_uint_eq(target.list.count, 2);
    ck_assert_str_eq(target.list.items[0], "x");
    ck_assert_str_eq(target.list.items[1], "y");
    ck_assert_int_eq(target.inner, 0);
    finish();
}
END_TEST

START_TEST(flags_are_on_or_off)
{
    expect_good("flag off;");
    ck_assert(!target.flag);
    finish();
    expect_good("flag \"on\";");
    ck_assert(target.flag);
    finish();
    expect_message("flag yes;", 6, "\"flag\" must be on or off, not \"yes\"");
    expect_message("flag of;", 6, "\"flag\" must be on or off, not \"of\"; did you mean \"off\"?");
    expect_message("flag ON;", 6, "\"flag\" must be on or off, not \"ON\"; did you mean \"on\"?");
}
END_TEST

START_TEST(integers_are_whole_and_within_their_bounds)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"free_integer 0;", 0},
        {"free_integer +7;", 7},
        {"free_integer 007;", 7},
        {"free_integer -9223372036854775807;", -INT64_MAX},
        {"free_integer 9223372036854775807;", INT64_MAX},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        expect_good(good[i].text);
        ck_assert_int_eq(target.free_integer, good[i].value);
        finish();
    }
    expect_good("integer -5; counted 9;");
    ck_assert_int_eq(target.integer, -5);
    ck_assert_int_eq(target.counted, 9);
    finish();
    expect_good("integer 5; counted auto;");
    ck_assert_int_eq(target.integer, 5);
    ck_assert_int_eq(target.counted, 0);
    finish();
    expect_message("integer -6;", 9, "\"integer\" must be from -5 to 5, not \"-6\"");
    expect_message("integer 6;", 9, "\"integer\" must be from -5 to 5, not \"6\"");
    expect_message("integer 99999999999999999999;", 9,
                   "\"integer\" must be from -5 to 5, not \"99999999999999999999\"");
    expect_message("free_integer 9223372036854775808;", 14,
                   "\"free_integer\" must be smaller, not \"9223372036854775808\"");
    expect_message("free_integer 1k;", 14, "\"free_integer\" must be a whole number, not \"1k\"");
    expect_message("free_integer '';", 14, "\"free_integer\" must be a whole number, not \"\"");
    expect_message("free_integer -;", 14, "\"free_integer\" must be a whole number, not \"-\"");
    expect_message("free_integer 1.5;", 14, "\"free_integer\" must be a whole number, not \"1.5\"");
    expect_message("counted 0;", 9, "\"counted\" must be auto or from 1 to 9, not \"0\"");
    expect_message(
        "counted atuo;", 9,
        "\"counted\" must be auto or a whole number, not \"atuo\"; did you mean \"auto\"?");
}
END_TEST

START_TEST(sizes_have_units_and_bounds)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"free_size 0;", 0},
        {"free_size 512;", 512},
        {"free_size 16k;", 16 << 10},
        {"free_size 16K;", 16 << 10},
        {"free_size 3m;", 3 << 20},
        {"free_size 2g;", (uint64_t)2 << 30},
        {"free_size 8589934591g;", (uint64_t)8589934591 << 30},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        expect_good(good[i].text);
        ck_assert_uint_eq(target.free_size, good[i].value);
        finish();
    }
    expect_good("size 64;");
    ck_assert_uint_eq(target.size, 64);
    finish();
    expect_good("size 128m;");
    ck_assert_uint_eq(target.size, 128 << 20);
    finish();
    expect_message("size 63;", 6, "\"size\" must be from 64 to 128m bytes, not \"63\"");
    expect_message("size 129m;", 6, "\"size\" must be from 64 to 128m bytes, not \"129m\"");
    expect_message("size 99999999999g;", 6,
                   "\"size\" must be from 64 to 128m bytes, not \"99999999999g\"");
    expect_message("free_size 8589934592g;", 11,
                   "\"free_size\" must be smaller, not \"8589934592g\"");
    static const char *const wrong[] = {"x", "1t", "1kk", "-1", "k", "1.5m", "1m5k", "1b"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[64], message[128];
        snprintf(text, sizeof(text), "free_size %s;", wrong[i]);
        snprintf(message, sizeof(message),
                 "\"free_size\" must be a size, such as 512, 16k or 1m, not \"%s\"", wrong[i]);
        expect_message(text, 11, message);
    }
}
END_TEST

START_TEST(times_have_units_and_bounds)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"open_time 0;", 0},
        {"open_time 7;", 7000},
        {"open_time 200ms;", 200},
        {"open_time 5s;", 5000},
        {"open_time 2m;", 120000},
        {"open_time 3h;", 10800000},
        {"open_time 1d;", 86400000},
        {"open_time 1m30s;", 90000},
        {"open_time 1d2h3m4s5ms;", 93784005},
        {"open_time 106751991167d;", (uint64_t)106751991167 * 86400000},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        expect_good(good[i].text);
        ck_assert_uint_eq(target.open_time, good[i].value);
        finish();
    }
    expect_message("open_time 106751991168d;", 11,
                   "\"open_time\" must be smaller, not \"106751991168d\"");
    expect_message("open_time 99999999999999999999;", 11,
                   "\"open_time\" must be smaller, not \"99999999999999999999\"");
    expect_message("time 99ms;", 6, "\"time\" must be from 100ms to 90s, not \"99ms\"");
    expect_message("time 2m;", 6, "\"time\" must be from 100ms to 90s, not \"2m\"");
    expect_message("time 0;", 6, "\"time\" must be from 100ms to 90s, not \"0\"");
    static const char *const wrong[] = {"x",   "5x",   "1m30", "30s1m", "1s1s",
                                        "-1s", "1.5s", "s",    "5 s",   "5S"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[64], message[128];
        snprintf(text, sizeof(text), "open_time \"%s\";", wrong[i]);
        snprintf(message, sizeof(message),
                 "\"open_time\" must be a time, such as 200ms, 5s or 1m30s, not \"%s\"", wrong[i]);
        expect_message(text, 11, message);
    }
}
END_TEST

START_TEST(off_and_zero_say_the_same)
{
    expect_good("patience 0;");
    ck_assert_uint_eq(target.patience, 0);
    finish();
    expect_good("patience off;");
    ck_assert_uint_eq(target.patience, 0);
    finish();
    expect_good("patience 100d;"); /* no upper bound */
    ck_assert_uint_eq(target.patience, 8640000000);
    finish();
    expect_message("patience 9ms;", 10, "\"patience\" must be off or at least 10ms, not \"9ms\"");
    expect_message("patience of;", 10,
                   "\"patience\" must be off or a time, such as 200ms, 5s or 1m30s, not \"of\"; "
                   "did you mean \"off\"?");
}
END_TEST

START_TEST(strings_are_taken_as_written_and_paths_from_the_prefix)
{
    expect_good("string \"x;y\"; path a/b;");
    ck_assert_str_eq(target.string, "x;y");
    ck_assert_str_eq(target.path, "/prefix/a/b");
    finish();
    expect_good("string ''; path /a;");
    ck_assert_str_eq(target.string, "");
    ck_assert_str_eq(target.path, "/a");
    finish();
    expect_message("path '';", 6, "\"path\" needs a path that is not empty");
}
END_TEST

START_TEST(choices_are_one_of_their_words)
{
    expect_good("choice red;");
    ck_assert_int_eq(target.choice, 0);
    finish();
    expect_message("choice gren;", 8,
                   "\"choice\" must be red, green or blue, not \"gren\"; did you "
                   "mean \"green\"?");
    expect_message("choice mauve;", 8, "\"choice\" must be red, green or blue, not \"mauve\"");
}
END_TEST

START_TEST(lists_go_on_where_they_are_written_again)
{
    struct text text = {0};

    expect_good("list a;");
    ck_assert_uint_eq(target.list.count, 1); /* the default is gone */
    finish();
    for (int i = 0; i < 30; i++)
        text_printf(&text, "list a%d b%d;", i, i);
    expect_good(text.data);
    ck_assert_uint_eq(target.list.count, 60);
    for (size_t i = 0; i < 60; i++) {
        char expected[8];
        snprintf(expected, sizeof(expected), "%c%zu", i % 2 == 0 ? 'a' : 'b', i / 2);
        ck_assert_str_eq(target.list.items[i], expected);
    }
    finish();
    text_free(&text);
    expect_message("list;", 1, "\"list\" needs more than that; it is written \"list WORD …;\"");
}
END_TEST

START_TEST(the_number_of_words_is_checked)
{
    expect_errors("flag;",
                  "t:1:1: \"flag\" needs more than that; it is written \"flag on | off;\"\n"
                  "    1 | flag;\n"
                  "      | ^~~~\n");
    expect_errors("flag on off;", "t:1:9: unexpected \"off\"; it is written \"flag on | off;\"\n"
                                  "    1 | flag on off;\n"
                                  "      |         ^~~\n");
    expect_errors("flag on { }",
                  "t:1:1: \"flag\" takes no block; it is written \"flag on | off;\"\n"
                  "    1 | flag on { }\n"
                  "      | ^~~~\n");
    expect_message("custom;", 1,
                   "\"custom\" needs more than that; it is written \"custom A [B];\" or \"custom A "
                   "[B] { … }\"");
    expect_message("custom a b c;", 12,
                   "unexpected \"c\"; it is written \"custom A [B];\" or \"custom A [B] { … }\"");
    expect_good("custom a; custom b c; custom d {}");
    ck_assert_int_eq(target.custom_calls, 3);
    finish();
}
END_TEST

START_TEST(a_missing_semicolon_is_guessed_from_the_line_end)
{
    expect_errors("flag on # comment\nsize 1m;\n",
                  "t:1:8: \";\" seems to be missing here; it is written \"flag on | off;\"\n"
                  "    1 | flag on # comment\n"
                  "      |        ^\n");
    expect_errors("flag on\nserver { }\n",
                  "t:1:8: \";\" seems to be missing here; it is written \"flag on | off;\"\n"
                  "    1 | flag on\n"
                  "      |        ^\n");
    expect_errors("custom a\nb c;", "t:1:9: \";\" seems to be missing here; it is written \"custom "
                                    "A [B];\" or \"custom A [B] { … }\"\n"
                                    "    1 | custom a\n"
                                    "      |         ^\n");
    expect_good("flag\n on;\ncustom a\n b;");
    finish();
}
END_TEST

START_TEST(unknown_names_are_refused_with_the_nearest_known_one)
{
    expect_errors("    flga on;", "t:1:5: unknown directive \"flga\"; did you mean \"flag\"?\n"
                                  "    1 |     flga on;\n"
                                  "      |     ^~~~\n");
    expect_message("inclde x;", 1, "unknown directive \"inclde\"; did you mean \"include\"?");
    expect_message("zzz { a; }", 1, "unknown directive \"zzz\"");
}
END_TEST

START_TEST(a_name_in_the_wrong_block_says_where_it_belongs)
{
    expect_message("inner red;", 1,
                   "\"inner\" is not allowed here (main); it belongs in a server block or a method "
                   "block");
    start();
    ck_assert(conf_tree_add_text(tree, "t", BYTES("flag on;"), false, &errors));
    ck_assert(!apply(table, CONF_IN_SERVER, "server", NULL));
    ck_assert_str_eq(errors.text.data,
                     "t:1:1: \"flag\" is not allowed here (server); it belongs in "
                     "main, outside every block\n"
                     "    1 | flag on;\n"
                     "      | ^~~~\n");
    finish();
}
END_TEST

START_TEST(a_directive_written_twice_names_the_first)
{
    expect_errors("flag on;\nsize 1m;\nflag off;", "t:3:1: \"flag\" appears twice; the first is on "
                                                   "line 1\n"
                                                   "    3 | flag off;\n"
                                                   "      | ^~~~\n");
    start();
    ck_assert(conf_tree_add_text(tree, "a", BYTES("\nflag on;"), false, &errors));
    ck_assert(conf_tree_add_text(tree, "b", BYTES("flag on;"), false, &errors));
    ck_assert(!apply(table, CONF_IN_MAIN, "main", NULL));
    ck_assert_str_eq(errors.text.data, "b:1:1: \"flag\" appears twice; the first is in a, line 2\n"
                                       "    1 | flag on;\n"
                                       "      | ^~~~\n");
    finish();
}
END_TEST

START_TEST(the_command_line_wins_in_either_order)
{
    for (int first = 0; first < 2; first++) {
        start();
        for (int i = 0; i < 2; i++) {
            bool overrides = i == first;
            struct bytes text = overrides ? BYTES("flag off; list z; custom x;")
                                          : BYTES("flag on; list a b; custom y;");
            ck_assert(conf_tree_add_text(tree, overrides ? "-g" : "t", text, overrides, &errors));
        }
        ck_assert(apply(table, CONF_IN_MAIN, "main", NULL));
        ck_assert(!target.flag);
        ck_assert_uint_eq(target.list.count, 1);
        ck_assert_str_eq(target.list.items[0], "z");
        ck_assert_int_eq(target.custom_calls, 2);
        finish();
    }
}
END_TEST

START_TEST(an_overridden_statement_is_checked_all_the_same)
{
    start();
    ck_assert(conf_tree_add_text(tree, "t", BYTES("flag maybe;"), false, &errors));
    ck_assert(conf_tree_add_text(tree, "-g", BYTES("flag on; flag off;"), true, &errors));
    ck_assert(!apply(table, CONF_IN_MAIN, "main", NULL));
    ck_assert_str_eq(errors.text.data, "t:1:6: \"flag\" must be on or off, not \"maybe\"\n"
                                       "    1 | flag maybe;\n"
                                       "      |      ^~~~~\n"
                                       "-g:1:10: \"flag\" appears twice; the first is on line 1\n"
                                       "    1 | flag on; flag off;\n"
                                       "      |          ^~~~\n");
    finish();
}
END_TEST

START_TEST(all_errors_are_reported)
{
    expect_errors("flag x;\nnope;\nsize 1;\n", "t:1:6: \"flag\" must be on or off, not \"x\"\n"
                                               "    1 | flag x;\n"
                                               "      |      ^\n"
                                               "t:2:1: unknown directive \"nope\"\n"
                                               "    2 | nope;\n"
                                               "      | ^~~~\n"
                                               "t:3:6: \"size\" must be from 64 to 128m bytes, not "
                                               "\"1\"\n"
                                               "    3 | size 1;\n"
                                               "      |      ^\n");
}
END_TEST

/* ---- as the module layer applies the table of a module ---- */

static void apply_module(const struct conf_directive *with, const char *text, const char *expected)
{
    start();
    unsigned parse_errors = 0;
    conf_tree_add_text(tree, "t", bytes_of(text), false, &errors);
    parse_errors = errors.count;
    text_clear(&errors.text);
    struct conf_place place = {tree->sources, 1, 1, 0, 1};
    bool good = apply(with, CONF_IN_MODULE, "load_module auth.so", &place);
    ck_assert(good == (*expected == '\0'));
    ck_assert_uint_le(parse_errors, errors.count);
    ck_assert_str_eq(text_string(&errors.text), expected);
    finish();
}

START_TEST(a_module_s_table_names_the_module)
{
    apply_module(needy, "secret s;", "");
    apply_module(needy, "secert s;",
                 "t:1:1: unknown directive \"secert\" in load_module auth.so; did you mean "
                 "\"secret\"?\n"
                 "    1 | secert s;\n"
                 "      | ^~~~~~\n");
    apply_module(empty, "x;",
                 "t:1:1: unknown directive \"x\" in load_module auth.so\n"
                 "    1 | x;\n"
                 "      | ^\n");
    apply_module(empty, "", "");
}
END_TEST

START_TEST(a_missing_directive_is_reported_only_when_no_other_error_explains_it)
{
    apply_module(needy, "time 5s;",
                 "t:1:1: \"secret\" is missing in load_module auth.so; add \"secret STRING;\"\n"
                 "    1 | time 5s;\n"
                 "      | ^\n");
    apply_module(needy, "time never;",
                 "t:1:6: \"time\" must be a time, such as 200ms, 5s or 1m30s, not \"never\"\n"
                 "    1 | time never;\n"
                 "      |      ^~~~~\n");
    apply_module(needy, "time 5s; \"zzz s;",
                 "t:1:10: unknown directive \"zzz s;\" in "
                 "load_module auth.so\n"
                 "    1 | time 5s; \"zzz s;\n"
                 "      |          ^~~~~~~\n");
    apply_module(needy, "time 5s", "");
}
END_TEST

START_TEST(a_default_that_is_wrong_is_reported_as_such)
{
    static const struct conf_directive bad[] = {
        {.name = "time", IN(CONF_IN_MODULE, time), .type = CONF_TIME, .fallback = "soon"},
        {0},
    };

    apply_module(
        bad, "time 5s;",
        "t:1:1: load_module auth.so: the module is at fault, and its author has to correct it: "
        "the default of its directive \"time\", .fallback = \"soon\", is wrong: \"time\" must "
        "be a time, such as 200ms, 5s or 1m30s, not \"soon\"\n"
        "    1 | time 5s;\n"
        "      | ^\n");
}
END_TEST

/* ---- single words ---- */

START_TEST(words_can_be_read_alone)
{
    struct conf_apply how = {.tree = conf_tree_new("/"), .errors = &errors};
    struct conf_word word = {.text = "1k"};
    uint64_t value;
    int64_t integer;

    ck_assert(conf_read_size(&how, &word, &value));
    ck_assert_uint_eq(value, 1024);
    ck_assert(!conf_read_time(&how, &word, &value));
    ck_assert(!conf_read_integer(&how, &word, &integer));
    word.text = "1m";
    ck_assert(conf_read_time(&how, &word, &value));
    ck_assert_uint_eq(value, 60000);
    word.text = "99999999999999999999";
    ck_assert(!conf_read_size(&how, &word, &value));
    word.text = "-12";
    ck_assert(conf_read_integer(&how, &word, &integer));
    ck_assert_int_eq(integer, -12);
    ck_assert_str_eq(errors.text.data, "\"1k\" is not a time, such as 200ms, 5s or 1m30s\n"
                                       "\"1k\" is not a whole number\n"
                                       "\"99999999999999999999\" is too large\n");
    conf_tree_free(how.tree);
    conf_errors_free(&errors);
}
END_TEST

START_TEST(syntax_and_bounds_are_derived_from_the_type)
{
    static const struct {
        const char *name, *syntax, *bounds;
    } expected[] = {
        {"flag", "on | off", ""},
        {"integer", "N", "from -5 to 5"},
        {"counted", "auto | N", "from 1 to 9"},
        {"free_integer", "N", ""},
        {"size", "SIZE", "from 64 to 128m bytes"},
        {"free_size", "SIZE", ""},
        {"time", "TIME", "from 100ms to 90s"},
        {"patience", "off | TIME", "at least 10ms"},
        {"open_time", "TIME", ""},
        {"string", "STRING", ""},
        {"path", "PATH", ""},
        {"choice", "red | green | blue", ""},
        {"list", "WORD …", ""},
        {"custom", "A [B] [{ … }]", ""},
    };

    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        struct text bounds = {0};
        ck_assert_str_eq(table[i].name, expected[i].name);
        ck_assert_str_eq(conf_syntax(&table[i]), expected[i].syntax);
        ck_assert(conf_bounds(&table[i], &bounds) == (expected[i].bounds[0] != '\0'));
        ck_assert_str_eq(text_string(&bounds), expected[i].bounds);
        text_free(&bounds);
    }
}
END_TEST

UNIT_MAIN("conf_directive", defaults_are_stored_first, flags_are_on_or_off,
          integers_are_whole_and_within_their_bounds, sizes_have_units_and_bounds,
          times_have_units_and_bounds, off_and_zero_say_the_same,
          strings_are_taken_as_written_and_paths_from_the_prefix, choices_are_one_of_their_words,
          lists_go_on_where_they_are_written_again, the_number_of_words_is_checked,
          a_missing_semicolon_is_guessed_from_the_line_end,
          unknown_names_are_refused_with_the_nearest_known_one,
          a_name_in_the_wrong_block_says_where_it_belongs,
          a_directive_written_twice_names_the_first, the_command_line_wins_in_either_order,
          an_overridden_statement_is_checked_all_the_same, all_errors_are_reported,
          a_module_s_table_names_the_module,
          a_missing_directive_is_reported_only_when_no_other_error_explains_it,
          a_default_that_is_wrong_is_reported_as_such, words_can_be_read_alone,
          syntax_and_bounds_are_derived_from_the_type)
