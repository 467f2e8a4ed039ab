/* What a terminal or a line of a log may hold: see core/base/printable.h. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/printable.h"

static void shows(struct bytes text, const char *expected)
{
    struct text out = {0};

    text_append_printable(&out, text);
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
}

START_TEST(visible_characters_stay_as_they_are)
{
    shows(BYTES(""), "");
    shows(BYTES("plain \"text\" \\ /"), "plain \"text\" \\ /");
    shows(BYTES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"),
          "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d");
    shows(BYTES("\xc2\xa0\xc2\xad"),
          "\xc2\xa0\xc2\xad"); /* the first two beyond C1 that may be odd */
    shows(BYTES("\xe2\x80\x8c\xe2\x80\x8d"), "\xe2\x80\x8c\xe2\x80\x8d"); /* joiners */
}
END_TEST

START_TEST(controls_of_every_kind_are_escaped)
{
    char expected[16];

    for (unsigned c = 0; c < 0xa0; c++) {
        char text[2] = {(char)(c < 0x80 ? c : 0xc2), (char)c};
        if (c >= 0x20 && c < 0x7f)
            continue;
        snprintf(expected, sizeof(expected), "\\u%04x", c);
        shows((struct bytes){text, c < 0x80 ? 1 : 2}, expected);
    }
    shows(BYTES("\xe2\x80\xae"), "\\u202e");
    shows(BYTES("\xe2\x81\xa6x\xe2\x81\xa9"), "\\u2066x\\u2069");
    shows(BYTES("\xe2\x80\x8b\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c"), "\\u200b\\u200e\\u200f\\u061c");
    shows(BYTES("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029");
    shows(BYTES("\xef\xbb\xbf"), "\\ufeff");
    shows(BYTES("\xf3\xa0\x81\x81"), "\\udb40\\udc41"); /* the tag of "A" */
}
END_TEST

START_TEST(bytes_that_are_no_character_are_replaced_one_by_one)
{
    shows(BYTES("\x9b"
                "2J"),
          "\xef\xbf\xbd"
          "2J"); /* C1 as a terminal of one byte a character has it */
    shows(BYTES("a\xe2\x80"), "a\xef\xbf\xbd\xef\xbf\xbd");
    shows(BYTES("\xc1\x9b"), "\xef\xbf\xbd\xef\xbf\xbd"); /* overlong */
}
END_TEST

START_TEST(a_message_is_one_line_and_a_text_keeps_its_lines)
{
    struct text out = {0};
    char *data;
    size_t size;

    text_append_line(&out, BYTES("a\n\tb\r\x1b"));
    ck_assert_str_eq(text_string(&out), "a  b\\u000d\\u001b");
    text_free(&out);
    FILE *to = open_memstream(&data, &size);
    printable_print(to, BYTES("a\n\tb\r\x1b\n"));
    fclose(to);
    ck_assert_str_eq(data, "a\n\tb\\u000d\\u001b\n");
    free(data);
}
END_TEST

UNIT_MAIN("printable", visible_characters_stay_as_they_are, controls_of_every_kind_are_escaped,
          bytes_that_are_no_character_are_replaced_one_by_one,
          a_message_is_one_line_and_a_text_keeps_its_lines)
