/* From text to statements: the grammar, includes, and errors that point at the right place. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/parser.h"
#include "unit.h"

static struct conf_errors errors;
static struct conf_tree *tree;
static char prefix[64]; /* a directory of the test's own, removed when the test has passed */

/* Every statement on a line, blocks indented, words in brackets: `listen [a] [b]`. */
static void show(struct text *out, const struct conf_statement *statement, int depth)
{
    for (; statement != NULL; statement = statement->next) {
        text_printf(out, "%*s%s%s", depth * 2, "", statement->name.text,
                    statement->overrides ? "!" : "");
        for (size_t i = 0; i < statement->word_count; i++)
            text_printf(out, " [%s]", statement->words[i].text);
        text_append_string(out, statement->has_block ? " {\n" : "\n");
        show(out, statement->block, depth + 1);
    }
}

static void expect_statements(const char *expected)
{
    struct text out = {0};

    show(&out, tree->statements, 0);
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
}

static bool parse_bytes(const char *text, size_t size)
{
    conf_tree_free(tree);
    conf_errors_free(&errors);
    tree = conf_tree_new("/nowhere");
    bool good = conf_tree_add_text(tree, "test.conf", (struct bytes){text, size}, false, &errors);
    ck_assert(good == (errors.count == 0));
    ck_assert(good == !tree->damaged);
    return good;
}

static void finish(void)
{
    conf_tree_free(tree);
    tree = NULL;
    conf_errors_free(&errors);
}

static void expect_parse(const char *text, const char *statements)
{
    parse_bytes(text, strlen(text));
    ck_assert_str_eq(text_string(&errors.text), "");
    expect_statements(statements);
    finish();
}

static void expect_errors(const char *text, const char *expected, const char *statements)
{
    ck_assert(!parse_bytes(text, strlen(text)));
    ck_assert_str_eq(text_string(&errors.text), expected);
    expect_statements(statements);
    finish();
}

/* ---- files of a test ---- */

static void make_prefix(void)
{
    strcpy(prefix, "/tmp/pillion-conf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(prefix));
    tree = conf_tree_new(prefix);
}

static const char *in_prefix(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", prefix, name);
    return path;
}

static void make_file(const char *name, const char *contents)
{
    FILE *file = fopen(in_prefix(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(contents, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void make_directory(const char *name)
{
    ck_assert_int_eq(mkdir(in_prefix(name), 0755), 0);
}

/* `names`: what the test made, in an order in which it can be removed; ended by NULL. */
static void remove_prefix(const char *const *names)
{
    for (; *names != NULL; names++)
        ck_assert_int_eq(remove(in_prefix(*names)), 0);
    ck_assert_int_eq(rmdir(prefix), 0);
    finish();
}

/* The errors, with the test's own directory shown as PREFIX. */
static void expect_file_errors(const char *expected)
{
    struct text shown = {0};
    const char *at = text_string(&errors.text);

    for (const char *found; (found = strstr(at, prefix)) != NULL; at = found + strlen(prefix)) {
        text_append(&shown, (struct bytes){at, (size_t)(found - at)});
        text_append_string(&shown, "PREFIX");
    }
    text_append_string(&shown, at);
    ck_assert_str_eq(text_string(&shown), expected);
    text_free(&shown);
}

/* ---- grammar ---- */

START_TEST(statements_have_words_and_blocks)
{
    expect_parse("", "");
    expect_parse(" \t\r\n# nothing but a comment", "");
    expect_parse("a;", "a\n");
    expect_parse("a b c;d;", "a [b] [c]\nd\n");
    expect_parse("a{}", "a {\n");
    expect_parse("a x{b y;c{d;}}e;", "a [x] {\n  b [y]\n  c {\n    d\ne\n");
    expect_parse("a\n  b # comment; {\n  c\n;", "a [b] [c]\n");
    expect_parse("a b#c;", "a [b#c]\n");
    expect_parse("a;\r\nb {\r\n c d;\r\n}\r\n", "a\nb {\n  c [d]\n");
}
END_TEST

START_TEST(quotes_and_escapes_become_their_characters)
{
    expect_parse("a \"b c;{}#\" 'd \"e\"' \"\";", "a [b c;{}#] [d \"e\"] []\n");
    expect_parse("a \"\\\"\\'\\\\\\n\\t\\r\" '\\\"\\'\\\\\\n\\t\\r';",
                 "a [\"'\\\n\t\r] [\"'\\\n\t\r]\n");
    expect_parse("a b\\ c \\; \\{\\} \\\" \\\\ \\#x;", "a [b c] [;] [{}] [\"] [\\] [#x]\n");
    expect_parse("a \"two\nlines\";", "a [two\nlines]\n");
    expect_parse("\"a\" b;'c';", "a [b]\nc\n");
    expect_parse("a \"b\"{c;}", "a [b] {\n  c\n");
    expect_parse("gr\xc3\xbc\xc3\x9f \"\xe2\x82\xac\";", "gr\xc3\xbc\xc3\x9f [\xe2\x82\xac]\n");
}
END_TEST

START_TEST(places_count_lines_characters_and_bytes)
{
    static const char text[] = "a;\n\t\"\xc3\xa4\xc3\xb6\" xyz\n  \"q\nr\" last;";

    ck_assert(parse_bytes(text, strlen(text)));
    const struct conf_statement *s = tree->statements->next;
    ck_assert_uint_eq(s->name.place.line, 2);
    ck_assert_uint_eq(s->name.place.column, 2);
    ck_assert_uint_eq(s->name.place.offset, 4);
    ck_assert_uint_eq(s->name.place.size, 6);
    ck_assert_uint_eq(s->words[0].place.line, 2);
    ck_assert_uint_eq(s->words[0].place.column, 7);
    ck_assert_uint_eq(s->words[0].place.size, 3);
    ck_assert_uint_eq(s->words[1].place.line, 3);
    ck_assert_uint_eq(s->words[1].place.column, 3);
    ck_assert_uint_eq(s->words[1].place.size, 5);
    ck_assert_uint_eq(s->words[2].place.line, 4);
    ck_assert_uint_eq(s->words[2].place.column, 4);
    ck_assert_ptr_eq(s->words[2].place.source, tree->sources);

    struct conf_place after = conf_place_after(&s->words[1].place);
    ck_assert_uint_eq(after.line, 4);
    ck_assert_uint_eq(after.column, 3);
    ck_assert_uint_eq(after.size, 1);
    ck_assert_uint_eq(after.offset + 1, s->words[2].place.offset);
    finish();
}
END_TEST

/* ---- errors ---- */

START_TEST(missing_semicolons_are_shown_where_they_belong)
{
    expect_errors("a {\n    b c\n}\nd;\n",
                  "test.conf:2:8: \";\" is missing here, at the end of \"b\"\n"
                  "    2 |     b c\n"
                  "      |        ^\n",
                  "a {\n  b [c]\nd\n");
    expect_errors("a;\nb  # at the end\n",
                  "test.conf:2:2: \";\" is missing here, at the end of \"b\"\n"
                  "    2 | b  # at the end\n"
                  "      |  ^\n",
                  "a\nb\n");
    expect_errors("a \"x\ny\"",
                  "test.conf:2:3: \";\" is missing here, at the end of \"a\"\n"
                  "    2 | y\"\n"
                  "      |   ^\n",
                  "a [x\ny]\n");
}
END_TEST

START_TEST(stray_punctuation_is_refused_at_its_place)
{
    expect_errors("a;;\n",
                  "test.conf:1:3: unexpected \";\": there is no directive before it\n"
                  "    1 | a;;\n"
                  "      |   ^\n",
                  "a\n");
    expect_errors("a;\n}\nb;",
                  "test.conf:2:1: unexpected \"}\": there is no open block to close\n"
                  "    2 | }\n"
                  "      | ^\n",
                  "a\nb\n");
    expect_errors("{ a; { b; } }\nc;",
                  "test.conf:1:1: unexpected \"{\": a block needs a directive's name before it\n"
                  "    1 | { a; { b; } }\n"
                  "      | ^\n"
                  "test.conf:1:6: unexpected \"{\": a block needs a directive's name before it\n"
                  "    1 | { a; { b; } }\n"
                  "      |      ^\n",
                  "c\n");
}
END_TEST

START_TEST(unclosed_blocks_are_shown_where_they_start)
{
    expect_errors("a;\nserver x {\n  b {\n    c;\n",
                  "test.conf:3:5: the block that starts here is never closed; \"}\" is missing\n"
                  "    3 |   b {\n"
                  "      |     ^\n"
                  "test.conf:2:10: the block that starts here is never closed; \"}\" is missing\n"
                  "    2 | server x {\n"
                  "      |          ^\n",
                  "a\nserver [x] {\n  b {\n    c\n");
}
END_TEST

START_TEST(unclosed_quotes_are_shown_where_they_start)
{
    expect_errors("a {\n  b 'c;\n}\n",
                  "test.conf:2:5: the quote that starts here is never closed\n"
                  "    2 |   b 'c;\n"
                  "      |     ^\n",
                  "a {\n  b [c;\n}\n]\n");
    expect_errors("a \"\\",
                  "test.conf:1:3: the quote that starts here is never closed\n"
                  "    1 | a \"\\\n"
                  "      |   ^\n",
                  "a []\n");
}
END_TEST

START_TEST(quotes_in_wrong_places_are_refused)
{
    expect_errors("a \"b\"c;",
                  "test.conf:1:6: white space is missing after the closing quote\n"
                  "    1 | a \"b\"c;\n"
                  "      |      ^\n",
                  "a [b] [c]\n");
    expect_errors("a \"b;\nc \"d\";",
                  "test.conf:2:4: white space is missing after the closing quote; the quote was "
                  "opened on line 1: was it meant to end there?\n"
                  "    2 | c \"d\";\n"
                  "      |    ^\n"
                  "test.conf:2:5: a quote inside a word; put quotes around the whole word, or a "
                  "backslash before the quote\n"
                  "    2 | c \"d\";\n"
                  "      |     ^\n",
                  "a [b;\nc ] [d\"]\n");
    expect_errors("a b='c';",
                  "test.conf:1:5: a quote inside a word; put quotes around the whole word, or a "
                  "backslash before the quote\n"
                  "    1 | a b='c';\n"
                  "      |     ^\n",
                  "a [b='c']\n");
}
END_TEST

START_TEST(bad_escapes_are_refused)
{
    expect_errors(
        "a \"\\d+\";",
        "test.conf:1:4: unknown escape; inside quotes there are \\\" \\' \\\\ \\n \\t \\r\n"
        "    1 | a \"\\d+\";\n"
        "      |    ^~\n",
        "a [d+]\n");
    expect_errors("a b\\",
                  "test.conf:1:4: nothing follows the backslash\n"
                  "    1 | a b\\\n"
                  "      |    ^\n",
                  "a [b]\n");
}
END_TEST

START_TEST(control_characters_and_marks_stop_a_file)
{
    static const char nul[] = "a;\nb\0c;";
    ck_assert(!parse_bytes(nul, sizeof(nul) - 1));
    ck_assert_str_eq(text_string(&errors.text),
                     "test.conf:2:2: a control character (0x00): is this a text file?\n"
                     "    2 | b?c;\n"
                     "      |  ^\n");
    finish();
    expect_errors("a \"\x1b[31m\";",
                  "test.conf:1:4: a control character (0x1b): is this a text file?\n"
                  "    1 | a \"?[31m\";\n"
                  "      |    ^\n",
                  "");
    expect_errors("# \x7f",
                  "test.conf:1:3: a control character (0x7f): is this a text file?\n"
                  "    1 | # ?\n"
                  "      |   ^\n",
                  "");
    expect_errors("\xef\xbb\xbf"
                  "a;",
                  "test.conf:1:1: the file starts with a byte order mark; save it without one\n"
                  "    1 | ?"
                  "a;\n"
                  "      | ^\n",
                  "");
}
END_TEST

START_TEST(all_errors_of_a_file_in_one_run)
{
    expect_errors(
        "a \"\\q\";\nb { c }\n;\nd;\n}\n",
        "test.conf:1:4: unknown escape; inside quotes there are \\\" \\' \\\\ \\n \\t \\r\n"
        "    1 | a \"\\q\";\n"
        "      |    ^~\n"
        "test.conf:2:6: \";\" is missing here, at the end of \"c\"\n"
        "    2 | b { c }\n"
        "      |      ^\n"
        "test.conf:3:1: unexpected \";\": there is no directive before it\n"
        "    3 | ;\n"
        "      | ^\n"
        "test.conf:5:1: unexpected \"}\": there is no open block to close\n"
        "    5 | }\n"
        "      | ^\n",
        "a [q]\nb {\n  c\nd\n");
}
END_TEST

START_TEST(after_twenty_errors_only_the_count_grows)
{
    char text[100];

    memset(text, ';', 100);
    ck_assert(!parse_bytes(text, 100));
    ck_assert_uint_eq(errors.count, 100);
    size_t lines = 0;
    for (const char *c = text_string(&errors.text); *c != '\0'; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, CONF_ERRORS_MAX * 3 + 1);
    ck_assert_ptr_nonnull(strstr(errors.text.data, "There are more errors; these come first.\n"));
    finish();
}
END_TEST

/* ---- how errors show ---- */

static void expect_shown(const char *text, struct conf_place place, const char *expected)
{
    struct conf_source source = {.name = "f", .text = bytes_of(text), .fd = -1};

    place.source = &source;
    conf_error(&errors, &place, "%s", "m");
    ck_assert_str_eq(text_string(&errors.text), expected);
    conf_errors_free(&errors);
}

START_TEST(the_caret_stands_under_the_word)
{
    expect_shown("one two three\n", (struct conf_place){NULL, 1, 5, 4, 3},
                 "f:1:5: m\n    1 | one two three\n      |     ^~~\n");
    expect_shown("a\n\t\tb\tc\n", (struct conf_place){NULL, 2, 5, 6, 1},
                 "f:2:5: m\n    2 | \t\tb\tc\n      | \t\t \t^\n");
    expect_shown("\xc3\xa4 \xe2\x82\xac\xe2\x82\xac x", (struct conf_place){NULL, 1, 3, 3, 6},
                 "f:1:3: m\n    1 | \xc3\xa4 \xe2\x82\xac\xe2\x82\xac x\n      |   ^~\n");
    expect_shown("a 'b\nc'", (struct conf_place){NULL, 1, 3, 2, 5},
                 "f:1:3: m\n    1 | a 'b\n      |   ^~\n");
    expect_shown("a\r\nb\r\n", (struct conf_place){NULL, 1, 2, 1, 1},
                 "f:1:2: m\n    1 | a\n      |  ^\n");
    expect_shown("", (struct conf_place){NULL, 1, 1, 0, 1}, "f:1:1: m\n    1 | \n      | ^\n");
    expect_shown("x", (struct conf_place){NULL, 1234567, 1, 0, 1},
                 "f:1234567:1: m\n1234567 | x\n        | ^\n");
    expect_shown("\xff\xc2\x80z", (struct conf_place){NULL, 1, 3, 3, 1},
                 "f:1:3: m\n    1 | ??z\n      |   ^\n");
}
END_TEST

START_TEST(a_long_line_is_cut_around_the_place)
{
    char line[401], expected[600], dashes[400];

    memset(line, '-', 400);
    line[400] = '\0';
    line[200] = 'X';
    memset(dashes, '-', sizeof(dashes));
    snprintf(expected, sizeof(expected),
             "f:1:201: m\n    1 | ...%.60sX%.59s...\n      |    %60s^\n", dashes, dashes, "");
    expect_shown(line, (struct conf_place){NULL, 1, 201, 200, 1}, expected);

    memset(line, '-', 400);
    snprintf(expected, sizeof(expected), "f:1:1: m\n    1 | %.120s...\n      | ^%.119s\n", dashes,
             "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
             "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~");
    expect_shown(line, (struct conf_place){NULL, 1, 1, 0, 400}, expected);
}
END_TEST

START_TEST(a_long_line_is_cut_between_characters)
{
    char line[400], expected[700];

    for (size_t i = 0; i < 400; i += 2)
        memcpy(line + i, "\xc3\xa4", 2);
    line[201] = 'X'; /* makes what is before it one byte that is not UTF-8 */
    line[399] = '\0';
    snprintf(expected, sizeof(expected), "f:1:102: m\n    1 | ...%.60s?X%.58s...\n", line, line);
    struct conf_source source = {.name = "f", .text = bytes_of(line), .fd = -1};
    struct conf_place place = {&source, 1, 102, 201, 1};
    conf_error(&errors, &place, "m");
    errors.text.data[strlen(errors.text.data) - 1] = '\0';
    *strrchr(errors.text.data, '\n') = '\0';
    expected[strlen(expected) - 1] = '\0';
    ck_assert_str_eq(errors.text.data, expected);
    conf_errors_free(&errors);
}
END_TEST

START_TEST(errors_without_a_place_are_the_message)
{
    struct conf_source source = {.name = "f", .text = BYTES("x"), .fd = -1};
    struct conf_place whole = {.source = &source};
    struct conf_place nowhere = {0};

    conf_error(&errors, NULL, "one");
    conf_error(&errors, &nowhere, "two");
    conf_error(&errors, &whole, "three");
    ck_assert_str_eq(text_string(&errors.text), "one\ntwo\nf: three\n");
    ck_assert_uint_eq(errors.count, 3);
    conf_errors_free(&errors);
}
END_TEST

START_TEST(messages_are_clean_and_bounded)
{
    conf_error(&errors, NULL, "a\x1b[1m\nb\xff\xc2\x9b c\xc3\xa4");
    ck_assert_str_eq(text_string(&errors.text), "a?[1m?b?? c\xc3\xa4\n");
    conf_errors_free(&errors);

    char *word = malloc(10001);
    memset(word, 'w', 10000);
    word[10000] = '\0';
    conf_error(&errors, NULL, "%s", word);
    ck_assert_uint_eq(errors.text.size, 4096 + 4);
    ck_assert_str_eq(errors.text.data + 4094, "ww...\n");
    conf_errors_free(&errors);
    free(word);
}
END_TEST

/* ---- limits ---- */

START_TEST(blocks_nest_to_32)
{
    struct text text = {0};

    for (int i = 0; i < 32; i++)
        text_append_string(&text, "a{");
    for (int i = 0; i < 32; i++)
        text_append_char(&text, '}');
    ck_assert(parse_bytes(text.data, text.size));
    text_clear(&text);
    for (int i = 0; i < 40; i++)
        text_append_string(&text, "a{");
    for (int i = 0; i < 40; i++)
        text_append_char(&text, '}');
    text_append_string(&text, "b;");
    ck_assert(!parse_bytes(text.data, text.size));
    ck_assert_uint_eq(errors.count, 1);
    ck_assert_ptr_nonnull(strstr(errors.text.data, "test.conf:1:66: blocks are nested more than "
                                                   "32 deep\n"));
    ck_assert_ptr_nonnull(tree->statements->next);

    text_clear(&text);
    for (int i = 0; i < 40; i++)
        text_append_string(&text, "a{b;");
    ck_assert(!parse_bytes(text.data, text.size));
    ck_assert_uint_eq(errors.count, 34); /* one for the depth, and 33 that nobody closes */
    text_free(&text);
    finish();
}
END_TEST

START_TEST(words_have_at_most_a_mebibyte)
{
    size_t most = (size_t)1 << 20;
    char *text = malloc(most + 8);

    memcpy(text, "a ", 2);
    memset(text + 2, 'x', most);
    memcpy(text + 2 + most, ";", 1);
    ck_assert(parse_bytes(text, most + 3));
    ck_assert_uint_eq(strlen(tree->statements->words[0].text), most);
    memcpy(text + 2 + most, "x;b;", 4);
    ck_assert(!parse_bytes(text, most + 6));
    ck_assert_ptr_nonnull(
        strstr(errors.text.data, "test.conf:1:3: the word that starts here is longer than 1 MiB"));
    ck_assert_uint_eq(errors.count, 1);
    ck_assert_str_eq(tree->statements->next->name.text, "b");
    free(text);
    finish();
}
END_TEST

START_TEST(sources_have_at_most_16_mebibytes)
{
    size_t most = (size_t)16 << 20;
    char *text = malloc(most + 1);

    memset(text, ' ', most + 1);
    ck_assert(parse_bytes(text, most));
    ck_assert(!parse_bytes(text, most + 1));
    ck_assert_str_eq(errors.text.data, "test.conf: larger than 16 MiB: is this a configuration?\n");
    free(text);
    finish();

    make_prefix();
    int fd = open(in_prefix("big"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)most + 1), 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert(!conf_tree_add_file(tree, "big", &errors));
    expect_file_errors("PREFIX/big: larger than 16 MiB: is this a configuration?\n");
    remove_prefix((const char *[]){"big", NULL});
}
END_TEST

/* ---- files, includes, the command line ---- */

START_TEST(a_file_is_read_below_the_prefix)
{
    make_prefix();
    make_file("p.conf", "a b;\n");
    ck_assert(conf_tree_add_file(tree, "p.conf", &errors));
    ck_assert(conf_tree_add_file(tree, in_prefix("p.conf"), &errors));
    expect_statements("a [b]\na [b]\n");
    ck_assert_str_eq(tree->sources->name, "p.conf");
    ck_assert_int_ge(tree->sources->fd, 0);
    ck_assert_ptr_null(tree->sources->next); /* read once */
    /* From now on the copy is read. */
    make_file("p.conf", "changed;\n");
    ck_assert_int_eq(memcmp(tree->sources->text.data, "a b;\n", 5), 0);
    remove_prefix((const char *[]){"p.conf", NULL});
}
END_TEST

START_TEST(a_file_that_cannot_be_read_says_why)
{
    make_prefix();
    make_directory("d");
    ck_assert(!conf_tree_add_file(tree, "none.conf", &errors));
    ck_assert(!conf_tree_add_file(tree, "d", &errors));
    expect_file_errors("PREFIX/none.conf: cannot open: No such file or directory (ENOENT)\n"
                       "PREFIX/d: a directory; name a file in it\n");
    ck_assert(tree->damaged);
    remove_prefix((const char *[]){"d", NULL});
}
END_TEST

START_TEST(an_empty_file_is_a_configuration)
{
    make_prefix();
    make_file("empty", "");
    ck_assert(conf_tree_add_file(tree, "empty", &errors));
    expect_statements("");
    remove_prefix((const char *[]){"empty", NULL});
}
END_TEST

START_TEST(paths_start_at_the_prefix)
{
    tree = conf_tree_new("/srv/pillion//");
    ck_assert_str_eq(tree->prefix, "/srv/pillion");
    ck_assert_str_eq(conf_tree_path(tree, "a/b"), "/srv/pillion/a/b");
    ck_assert_str_eq(conf_tree_path(tree, "/a/b"), "/a/b");
    conf_tree_free(tree);
    tree = conf_tree_new("/");
    ck_assert_str_eq(conf_tree_path(tree, "a"), "/a");
    finish();
    conf_tree_free(NULL);
}
END_TEST

START_TEST(includes_stand_for_their_contents)
{
    make_prefix();
    make_directory("d");
    make_file("main", "a;\ninclude one;\nb { include d/*.conf; x; }\ninclude none/*.conf;\nc;\n");
    make_file("one", "in_one;");
    make_file("d/20.conf", "twenty;");
    make_file("d/10.conf", "ten { y; }");
    make_file("d/skipped", "never;");
    ck_assert(conf_tree_add_file(tree, "main", &errors));
    expect_statements("a\nin_one\nb {\n  ten {\n    y\n  twenty\n  x\nc\n");
    static const char *const names[] = {"main", "one", "d/10.conf", "d/20.conf"};
    const struct conf_source *source = tree->sources;
    for (size_t i = 0; i < 4; i++, source = source->next)
        ck_assert_str_eq(source->name, names[i]);
    ck_assert_ptr_null(source);
    remove_prefix(
        (const char *[]){"d/10.conf", "d/20.conf", "d/skipped", "d", "one", "main", NULL});
}
END_TEST

START_TEST(a_prefix_may_hold_wildcards)
{
    make_prefix();
    make_directory("[ab]*");
    make_file("[ab]*/1.conf", "one;");
    conf_tree_free(tree);
    tree = conf_tree_new(in_prefix("[ab]*"));
    ck_assert(conf_tree_add_text(tree, "t", BYTES("include *.conf;"), false, &errors));
    expect_statements("one\n");
    ck_assert_str_eq(tree->sources->next->name, "1.conf");
    remove_prefix((const char *[]){"[ab]*/1.conf", "[ab]*", NULL});
}
END_TEST

START_TEST(includes_of_absolute_paths_keep_their_names)
{
    char text[512], name[512];

    make_prefix();
    make_file("1.conf", "one;");
    snprintf(text, sizeof(text), "include %s;", in_prefix("?.conf"));
    snprintf(name, sizeof(name), "%s", in_prefix("1.conf"));
    ck_assert(conf_tree_add_text(tree, "t", bytes_of(text), false, &errors));
    expect_statements("one\n");
    ck_assert_str_eq(tree->sources->next->name, name);
    remove_prefix((const char *[]){"1.conf", NULL});
}
END_TEST

START_TEST(errors_in_an_include_name_its_file_and_the_rest_goes_on)
{
    make_prefix();
    make_file("main", "include bad;\ninclude none;\nlast");
    make_file("bad", "x {\n  y;\n");
    ck_assert(!conf_tree_add_file(tree, "main", &errors));
    expect_file_errors("bad:1:3: the block that starts here is never closed; \"}\" is missing\n"
                       "    1 | x {\n"
                       "      |   ^\n"
                       "main:2:9: PREFIX/none: cannot open: No such file or directory (ENOENT)\n"
                       "    2 | include none;\n"
                       "      |         ^~~~\n"
                       "main:3:5: \";\" is missing here, at the end of \"last\"\n"
                       "    3 | last\n"
                       "      |     ^\n");
    remove_prefix((const char *[]){"main", "bad", NULL});
}
END_TEST

START_TEST(include_takes_one_name)
{
    static const char message[] =
        ": \"include\" takes one path or pattern, as in \"include conf.d/*.conf;\"\n";
    static const char *const wrong[] = {"include;", "include a b;", "include a { b; }",
                                        "include { }"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        ck_assert(!parse_bytes(wrong[i], strlen(wrong[i])));
        ck_assert_uint_eq(errors.count, 1);
        ck_assert_ptr_nonnull(strstr(errors.text.data, message));
        expect_statements("");
    }
    finish();
}
END_TEST

START_TEST(cycles_of_includes_are_named)
{
    make_prefix();
    make_file("self", "include self;");
    make_file("a", "x;\ninclude b;");
    make_file("b", "include \"c\";");
    make_file("c", "include ./a;");
    ck_assert(!conf_tree_add_file(tree, "self", &errors));
    ck_assert(!conf_tree_add_file(tree, "a", &errors));
    expect_file_errors(
        "self:1:9: this include never ends: self includes itself\n"
        "    1 | include self;\n"
        "      |         ^~~~\n"
        "c:1:9: this include never ends: a includes b, which includes c, which includes a\n"
        "    1 | include ./a;\n"
        "      |         ^~~\n");
    expect_statements("x\n");
    remove_prefix((const char *[]){"self", "a", "b", "c", NULL});
}
END_TEST

START_TEST(includes_nest_to_16)
{
    const char *names[20];
    char stored[20][16], contents[32];

    make_prefix();
    for (int i = 0; i < 18; i++) {
        snprintf(stored[i], sizeof(stored[i]), "f%d", i);
        snprintf(contents, sizeof(contents), i == 17 ? "deep;" : "include f%d;", i + 1);
        make_file(stored[i], contents);
        names[i] = stored[i];
    }
    names[18] = NULL;
    ck_assert(conf_tree_add_file(tree, "f1", &errors)); /* f17 is the 16th below f1 */
    expect_statements("deep\n");
    ck_assert(!conf_tree_add_file(tree, "f0", &errors));
    expect_file_errors("f16:1:9: includes are nested more than 16 deep\n"
                       "    1 | include f17;\n"
                       "      |         ^~~\n");
    remove_prefix(names);
}
END_TEST

START_TEST(text_of_the_command_line_overrides)
{
    tree = conf_tree_new("/p");
    ck_assert(conf_tree_add_text(tree, "t", BYTES("a 1;"), false, &errors));
    ck_assert(conf_tree_add_text(tree, "-g", BYTES("a 2; b { c; }"), true, &errors));
    expect_statements("a [1]\na! [2]\nb! {\n  c!\n");
    ck_assert(!conf_tree_add_text(tree, "-g", BYTES("daemon"), true, &errors));
    ck_assert_str_eq(errors.text.data, "-g:1:7: \";\" is missing here, at the end of \"daemon\"\n"
                                       "    1 | daemon\n"
                                       "      |       ^\n");
    finish();
}
END_TEST

START_TEST(the_tree_keeps_its_own_copy_of_the_text)
{
    char text[] = "a 1;";

    tree = conf_tree_new("/p");
    ck_assert(conf_tree_add_text(tree, "t", bytes_of(text), false, &errors));
    memset(text, 'z', sizeof(text) - 1);
    struct text out = {0};
    conf_tree_dump(tree, &out);
    ck_assert_str_eq(text_string(&out), "# t:\na 1;\n");
    text_free(&out);
    finish();
}
END_TEST

START_TEST(the_dump_shows_every_source_once)
{
    make_prefix();
    make_file("main", "include one;\ninclude one;\n");
    make_file("one", "x;");
    ck_assert(conf_tree_add_file(tree, "main", &errors));
    ck_assert(conf_tree_add_text(tree, "-g", BYTES("y;"), true, &errors));
    expect_statements("x\nx\ny!\n");
    struct text out = {0};
    conf_tree_dump(tree, &out);
    ck_assert_str_eq(text_string(&out), "# main:\ninclude one;\ninclude one;\n"
                                        "\n# one:\nx;\n"
                                        "\n# -g:\ny;\n");
    text_free(&out);
    remove_prefix((const char *[]){"main", "one", NULL});
}
END_TEST

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Statements that are written out mean the same when they are read again. */
START_TEST(a_tree_is_written_as_text)
{
    static const char text[] = "a \"with space\" 'qu\"ote' back\\\\slash \"n\\nt\\tr\\r\" \"\";\n"
                               "server { method x { deep { } } listen \"{;}#\"; }\n\"b\";";
    static const char overrides[] = "c 1; d { e; }";
    struct text before = {0}, after = {0}, written[2] = {{0}, {0}};

    parse_bytes(text, strlen(text));
    ck_assert(conf_tree_add_text(tree, "-g", bytes_of(overrides), true, &errors));
    show(&before, tree->statements, 0);
    conf_tree_write(tree, false, &written[0]);
    conf_tree_write(tree, true, &written[1]);
    ck_assert(parse_bytes(written[0].data, written[0].size));
    ck_assert(conf_tree_add_text(tree, "-g", bytes_of(text_string(&written[1])), true, &errors));
    show(&after, tree->statements, 0);
    ck_assert_str_eq(text_string(&before), text_string(&after));
    ck_assert_ptr_null(strstr(text_string(&written[0]), "\"c\""));
    text_free(&before);
    text_free(&after);
    text_free(&written[0]);
    text_free(&written[1]);
    finish();
}
END_TEST

START_TEST(freeing_the_tree_closes_its_copies)
{
    int before = count_descriptors();

    make_prefix();
    make_file("main", "include one;");
    make_file("one", "x;");
    ck_assert(conf_tree_add_file(tree, "main", &errors));
    ck_assert_int_eq(count_descriptors(), before + 2);
    remove_prefix((const char *[]){"main", "one", NULL});
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

UNIT_MAIN("conf_tree", statements_have_words_and_blocks, quotes_and_escapes_become_their_characters,
          places_count_lines_characters_and_bytes, missing_semicolons_are_shown_where_they_belong,
          stray_punctuation_is_refused_at_its_place, unclosed_blocks_are_shown_where_they_start,
          unclosed_quotes_are_shown_where_they_start, quotes_in_wrong_places_are_refused,
          bad_escapes_are_refused, control_characters_and_marks_stop_a_file,
          all_errors_of_a_file_in_one_run, after_twenty_errors_only_the_count_grows,
          the_caret_stands_under_the_word, a_long_line_is_cut_around_the_place,
          a_long_line_is_cut_between_characters, errors_without_a_place_are_the_message,
          messages_are_clean_and_bounded, blocks_nest_to_32, words_have_at_most_a_mebibyte,
          sources_have_at_most_16_mebibytes, a_file_is_read_below_the_prefix,
          a_file_that_cannot_be_read_says_why, an_empty_file_is_a_configuration,
          paths_start_at_the_prefix, includes_stand_for_their_contents, a_prefix_may_hold_wildcards,
          includes_of_absolute_paths_keep_their_names,
          errors_in_an_include_name_its_file_and_the_rest_goes_on, include_takes_one_name,
          cycles_of_includes_are_named, includes_nest_to_16, text_of_the_command_line_overrides,
          the_tree_keeps_its_own_copy_of_the_text, the_dump_shows_every_source_once,
          freeing_the_tree_closes_its_copies, a_tree_is_written_as_text)
