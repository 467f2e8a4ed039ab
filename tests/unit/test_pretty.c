/* JSON for people: see core/cmd/pretty.h. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "cmd/pretty.h"
#include "json_texts.h"

/* Without white space between values, and as it may be shown: what must be left as it was. */
static struct text without_space(struct bytes json)
{
    struct text out = {0};
    bool inside = false;

    for (size_t i = 0; i < json.size; i++) {
        char c = json.data[i];
        if (inside && c == '\\')
            text_append_char(&out, json.data[i++]);
        else if (c == '"')
            inside = !inside;
        if (inside || strchr(" \t\r\n", c) == NULL)
            text_append_char(&out, json.data[i]);
    }
    struct text shown = {0};
    text_append_printable(&shown, (struct bytes){text_string(&out), out.size});
    text_free(&out);
    return shown;
}

/* At every indent, so that the same text is broken into more and more lines. */
START_TEST(nothing_but_white_space_changes)
{
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        struct text expected = without_space(valid_texts[i]);
        for (unsigned indent = 0; indent <= PRETTY_WIDTH + 2; indent += 3) {
            struct text out = {0};
            pretty_append(&out, valid_texts[i], indent);
            struct text same = without_space((struct bytes){out.data, out.size});
            ck_assert_str_eq(text_string(&same), text_string(&expected));
            text_free(&same);
            text_free(&out);
        }
        struct text line = {0};
        pretty_append_line(&line, valid_texts[i]);
        ck_assert_ptr_null(strchr(text_string(&line), '\n'));
        struct text same = without_space((struct bytes){line.data, line.size});
        ck_assert_str_eq(text_string(&same), text_string(&expected));
        text_free(&same);
        text_free(&line);
        text_free(&expected);
    }
}
END_TEST

static void becomes(const char *json, const char *expected)
{
    struct text out = {0};

    pretty_append(&out, bytes_of(json), 0);
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
}

START_TEST(a_value_that_fits_a_line_stays_on_it)
{
    char word[PRETTY_WIDTH] = "", json[256], expected[256];

    becomes(" { \"a\" : [ 1 ,2],\"b\":{ } } ", "{\"a\": [1, 2], \"b\": {}}");
    memset(word, 'x', PRETTY_WIDTH - 5); /* brackets, quotes, and one column for a comma */
    snprintf(json, sizeof(json), "[\"%s\"]", word);
    becomes(json, json);
    snprintf(json, sizeof(json), "[\"x%s\"]", word);
    snprintf(expected, sizeof(expected), "[\n  \"x%s\"\n]", word);
    becomes(json, expected);
}
END_TEST

START_TEST(colours_are_all_that_is_added)
{
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        struct text out = {0}, coloured = {0}, same = {0};
        pretty_append(&out, valid_texts[i], 0);
        pretty_colour(&coloured, (struct bytes){out.data, out.size});
        for (const char *c = text_string(&coloured); *c != '\0'; c++) {
            if (*c == '\033')
                c = strchr(c, 'm');
            else
                text_append_char(&same, *c);
        }
        ck_assert_str_eq(text_string(&same), text_string(&out));
        text_free(&same);
        text_free(&coloured);
        text_free(&out);
    }
}
END_TEST

UNIT_MAIN("pretty", colours_are_all_that_is_added, nothing_but_white_space_changes,
          a_value_that_fits_a_line_stays_on_it)
