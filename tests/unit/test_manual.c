/* Manual pages: words and Markdown as mdoc(7), and the tables in pages. */
#include "unit.h"

#include <string.h>

#include "cmd/command_table.h"
#include "cmd/manual.h"
#include "cmd/mdoc.h"
#include "conf/settings_table.h"

static void expect_words(const char *words, const char *mdoc)
{
    struct text out = {0};

    mdoc_words(&out, bytes_of(words));
    ck_assert_str_eq(text_string(&out), mdoc);
    text_free(&out);
}

START_TEST(words_become_lines_and_macros)
{
    expect_words("Plain words.", "Plain words.\n");
    expect_words("One. Two.", "One.\nTwo.\n");
    expect_words("with `code`, and more", "with\n.Ql \"\\&code\" ,\nand more\n");
    expect_words("(`a b`).", ".Ql ( \"\\&a b\" ) .\n");
    expect_words("see unix(7).", "see\n.Xr unix 7 .\n");
    expect_words("the call pillion_defer() waits", "the call pillion_defer() waits\n");
    expect_words("**SIZE** is [a number](#size)", ".Sy \"\\&SIZE\"\nis a number\n");
    expect_words("**`include X;`** stands", ".Ql \"\\&include X;\"\nstands\n");
    expect_words("`a`/`b`", ".Ql \"\\&a\" Ns \"\\&/\\(gab\\(ga\"\n");
    expect_words("non-`x`s", ".No \"\\&non\\-\" Ns Ql \"\\&x\" Ns \"\\&s\"\n");
    expect_words("`\"\\n\"` `.x`", ".Ql \"\\&\\(dq\\en\\(dq\"\n.Ql \"\\&.x\"\n");
    expect_words(".start 'quote \\ \xe2\x80\xa6", "\\&.start 'quote \\e \\[u2026]\n");
    expect_words("an open `code", "an open `code\n");
}
END_TEST

START_TEST(markdown_becomes_sections_lists_and_blocks)
{
    struct text out = {0};

    mdoc_markdown(&out,
                  "# Title\n\n<!-- not shown -->\n\nFirst\nwords.\n\nMore.\n\n## In `server`\n\n"
                  "- one\n  goes on\n- two\n\nBehind.\n\n### name\n\n```\n.x \\n\n\n'y\n```\n");
    ck_assert_str_eq(text_string(&out),
                     "First words.\n.Pp\nMore.\n.Sh IN SERVER\n.Bl -bullet\n.It\none goes on\n"
                     ".It\ntwo\n.El\n.Pp\nBehind.\n.Ss name\n.Bd -literal -offset indent\n"
                     "\\&.x \\en\n\n\\&\\(aqy\n.Ed\n");
    text_free(&out);
}
END_TEST

static bool fill(const char *page, struct text *out, struct error *error)
{
    static const char *const none[] = {NULL};

    text_clear(out);
    return manual_page(out, page, none, error);
}

START_TEST(a_page_gets_all_commands_options_and_directives)
{
    struct text out = {0}, option = {0};
    struct error error;

    for (const struct command *const *c = all_commands; *c != NULL; c++) {
        text_clear(&option);
        text_printf(&option, ".\\\" @synopsis %s\n.\\\" @options %s\n.\\\" @end\n", (*c)->name,
                    (*c)->name);
        ck_assert(fill(text_string(&option), &out, &error));
        for (const struct option_row *row = (*c)->options; row->id != 0; row++) {
            text_clear(&option);
            if (row->name != NULL)
                text_printf(&option, " Fl -%s", row->name);
            else
                text_printf(&option, " Fl %c", row->id);
            ck_assert_ptr_nonnull(strstr(text_string(&out), text_string(&option)));
        }
        ck_assert(fill(".\\\" @commands\n", &out, &error));
        text_clear(&option);
        text_printf(&option, ".It Xr pillion-%s 1\n", (*c)->name);
        ck_assert_ptr_nonnull(strstr(text_string(&out), text_string(&option)));
    }
    ck_assert(fill(".\\\" @configuration\n", &out, &error));
    for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
        text_clear(&option);
        text_printf(&option, ".Ss %s\n", d->name);
        ck_assert_ptr_nonnull(strstr(text_string(&out), text_string(&option)));
    }
    text_free(&out);
    text_free(&option);
}
END_TEST

START_TEST(what_a_page_adds_to_an_option_stands_behind_it)
{
    struct text out = {0};
    struct error error;

    ck_assert(fill("before\n.\\\" @options modinfo\n.\\\" @more json\nWords.\n.\\\" @end\nafter\n",
                   &out, &error));
    const char *json = strstr(text_string(&out), ".It Fl -json\n");
    const char *words = strstr(text_string(&out), "\nWords.\n"), *help = strstr(out.data, "-help");
    ck_assert(json != NULL && words != NULL && help != NULL && json < words && words < help);
    ck_assert(strncmp(out.data, "before\n", 7) == 0);
    text_free(&out);
}
END_TEST

START_TEST(a_page_that_asks_for_what_there_is_not_is_refused)
{
    static const struct {
        const char *page, *says;
    } rows[] = {
        {".\\\" @options nothing\n.\\\" @end\n", "there is no command \"nothing\""},
        {".\\\" @options call\n.\\\" @more nothing\n.\\\" @end\n", "has no option \"nothing\""},
        {".\\\" @options call\n.\\\" @more lines\nWords.\n", "is not ended by"},
        {".\\\" @options call\nWords.\n.\\\" @end\n", "stands: Words."},
        {".\\\" @tables\n", "nothing is called \"tables\" here"},
    };
    struct text out = {0};
    struct error error;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert(!fill(rows[i].page, &out, &error));
        ck_assert_msg(strstr(error.text, rows[i].says) != NULL, "%s", error.text);
    }
    text_free(&out);
}
END_TEST

UNIT_MAIN("manual", words_become_lines_and_macros, markdown_becomes_sections_lists_and_blocks,
          a_page_gets_all_commands_options_and_directives,
          what_a_page_adds_to_an_option_stands_behind_it,
          a_page_that_asks_for_what_there_is_not_is_refused)
