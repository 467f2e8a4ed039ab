/* What spans, text and UTF-8 promise: see core/base/bytes.h. */
#include "unit.h"

#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/json_escape.h"
#include "guarded.h"
#include "must.h"
#include "wire/json.h"

/* ---- UTF-8 ---- */

/* RFC 3629 section 4 in another way: decodes, and sees whether encoding gives the same. */
static size_t sequence_by_decoding(const unsigned char *s, size_t size)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t form = 0; form < 4; form++) {
        if (size <= form || (s[0] & forms[form].mask) != forms[form].lead)
            continue;
        uint32_t point = s[0] & (unsigned char)~forms[form].mask;
        for (size_t i = 1; i <= form; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (s[i] & 0x3f);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        return point < forms[form].least || point > 0x10ffff || surrogate ? 0 : form + 1;
    }
    return 0;
}

static void compare(const unsigned char *s, size_t size)
{
    must(utf8_sequence((const char *)s, size) == sequence_by_decoding(s, size));
}

START_TEST(utf8_of_every_two_bytes_is_judged_right)
{
    for (unsigned n = 0; n < 1u << 16; n++) {
        unsigned char s[2] = {(unsigned char)(n >> 8), (unsigned char)n};
        compare(s, 0);
        compare(s, 1);
        compare(s, 2);
    }
}
END_TEST

START_TEST(utf8_of_every_three_bytes_is_judged_right)
{
    for (unsigned n = 0; n < 1u << 24; n++) {
        unsigned char s[3] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n};
        compare(s, 3);
    }
}
END_TEST

/* Four bytes: every pair of first ones, and of the last two all that lie at a boundary. */
START_TEST(utf8_of_four_bytes_is_judged_right_at_every_boundary)
{
    static const unsigned char edges[] = {0x00, 0x20, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbe, 0xbf, 0xc0, 0xc1, 0xf4, 0xfe, 0xff};
    const size_t count = sizeof(edges);

    for (unsigned n = 0; n < 1u << 16; n++) {
        for (size_t third = 0; third < count; third++) {
            for (size_t last = 0; last < count; last++) {
                unsigned char s[4] = {(unsigned char)(n >> 8), (unsigned char)n, edges[third],
                                      edges[last]};
                compare(s, 4);
                compare(s, 3);
            }
        }
    }
}
END_TEST

START_TEST(utf8_accepts_every_character_and_reads_never_past_the_end)
{
    for (uint32_t point = 0; point <= 0x110000; point++) {
        char s[4];
        size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        if (size == 1) {
            s[0] = (char)point;
        } else {
            static const unsigned leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
            s[0] = (char)(leads[size] | point >> (6 * (size - 1)));
            for (size_t i = 1; i < size; i++)
                s[i] = (char)(0x80 | (point >> (6 * (size - 1 - i)) & 0x3f));
        }
        bool good = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        must(utf8_sequence(s, size) == (good ? size : 0));
        if (point % 64 != 0)
            continue;
        for (size_t part = 0; part < size; part++) {
            struct bytes cut = guarded((struct bytes){s, part});
            must(utf8_sequence(cut.data, cut.size) == 0);
        }
    }
}
END_TEST

/* ---- Text ---- */

START_TEST(text_grows_and_always_ends_in_nul)
{
    struct text text = {0};

    ck_assert_str_eq(text_string(&text), "");
    text_append(&text, (struct bytes){NULL, 0});
    text_append_string(&text, "");
    text_printf(&text, "%s", "");
    ck_assert_uint_eq(text.size, 0);
    for (size_t i = 0; i < 3000; i++) {
        switch (i % 3) {
        case 0:
            text_append_char(&text, 'a');
            break;
        case 1:
            text_append(&text, BYTES("b\0c"));
            break;
        default:
            text_printf(&text, "%d%s", 42, "!");
            break;
        }
        must(text.data[text.size] == '\0');
        must(text.capacity > text.size);
    }
    ck_assert_uint_eq(text.size, 1000 * 7);
    ck_assert_mem_eq(text.data + 6993, "ab\0c42!", 7);
    text_clear(&text);
    ck_assert_uint_eq(text.size, 0);
    ck_assert_str_eq(text_string(&text), "");
    text_append_string(&text, "again");
    char *taken = text_take(&text);
    ck_assert_str_eq(taken, "again");
    ck_assert_ptr_null(text.data);
    free(taken);
    taken = text_take(&text);
    ck_assert_str_eq(taken, "");
    free(taken);
    text_free(&text);
    text_free(&text);
}
END_TEST

START_TEST(text_printf_of_any_length_is_whole)
{
    for (size_t size = 0; size < 300; size++) {
        struct text text = {0};
        char expected[400];
        snprintf(expected, sizeof(expected), "<%*s>", (int)size, "x");
        text_printf(&text, "<%*s>", (int)size, "x");
        must(strcmp(text_string(&text), expected) == 0);
        text_append_char(&text, '.');
        must(text.size == strlen(expected) + 1);
        text_free(&text);
    }
}
END_TEST

START_TEST(bytes_equal_compares_sizes_and_contents)
{
    ck_assert(bytes_equal(BYTES("abc"), bytes_of("abc")));
    ck_assert(!bytes_equal(BYTES("abc"), BYTES("abd")));
    ck_assert(!bytes_equal(BYTES("abc"), BYTES("ab")));
    ck_assert(!bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    ck_assert(bytes_equal((struct bytes){NULL, 0}, BYTES("")));
}
END_TEST

/* ---- JSON ---- */

static const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};

/* What text_append_json makes of `bytes`, which must be the inside of a valid JSON string. */
static struct text escaped(struct bytes bytes)
{
    struct text text = {0};
    struct json_error error;

    text_append_char(&text, '"');
    text_append_json(&text, bytes);
    text_append_char(&text, '"');
    if (!json_check((struct bytes){text.data, text.size}, &limits, &error))
        ck_abort_msg("%s: %s", text.data, error.reason);
    return text;
}

static void becomes(struct bytes bytes, const char *expected)
{
    struct text text = escaped(bytes);
    ck_assert_str_eq(text.data, expected);
    text_free(&text);
}

START_TEST(text_json_escapes_quotes_and_control_characters)
{
    becomes(BYTES(""), "\"\"");
    becomes(BYTES("plain / text"), "\"plain / text\"");
    becomes(BYTES("\"\\"), "\"\\\"\\\\\"");
    becomes(BYTES("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    becomes(BYTES("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
    becomes(BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}
END_TEST

START_TEST(text_json_replaces_each_byte_that_is_no_character)
{
    becomes(BYTES("\xff"), "\"\xef\xbf\xbd\"");
    becomes(BYTES("a\xc3"), "\"a\xef\xbf\xbd\"");
    becomes(BYTES("\xc3\"x"), "\"\xef\xbf\xbd\\\"x\"");
    becomes(BYTES("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    becomes(BYTES("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    becomes(BYTES("\xf0\x9f\x98"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}
END_TEST

START_TEST(text_json_of_anything_is_valid)
{
    char bytes[64];

    for (unsigned n = 0; n < 1u << 16; n++) {
        struct text text = escaped((struct bytes){(char[]){(char)(n >> 8), (char)n}, 1 + (n & 1)});
        text_free(&text);
    }
    for (unsigned round = 0; round < 50000; round++) {
        size_t size = random_below(sizeof(bytes) + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(random_below(2) ? random_below(256) : 0x70 + random_below(0x90));
        struct text text = escaped(guarded((struct bytes){bytes, size}));
        text_free(&text);
    }
}
END_TEST

UNIT_MAIN("bytes", utf8_of_every_two_bytes_is_judged_right,
          utf8_of_every_three_bytes_is_judged_right,
          utf8_of_four_bytes_is_judged_right_at_every_boundary,
          utf8_accepts_every_character_and_reads_never_past_the_end,
          text_grows_and_always_ends_in_nul, text_printf_of_any_length_is_whole,
          bytes_equal_compares_sizes_and_contents, text_json_escapes_quotes_and_control_characters,
          text_json_replaces_each_byte_that_is_no_character, text_json_of_anything_is_valid)
