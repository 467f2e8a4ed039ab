/* What the strict JSON pass promises: see core/wire/json.h, RFC 8259 and RFC 3629.
 *
 * Every text is looked at right before a page that cannot be read. */
#include "unit.h"

#include "guarded.h"
#include "json_texts.h"
#include "wire/json.h"

static const struct json_limits wide = {JSON_DEPTH_MAX, UINT32_MAX};
static struct json_error error;

static bool check(struct bytes text, const struct json_limits *limits)
{
    error = (struct json_error){SIZE_MAX, NULL};
    return json_check(guarded(text), limits, &error);
}

START_TEST(json_valid_texts_are_accepted)
{
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        ck_assert_msg(check(valid_texts[i], &wide), "%s is refused at %zu: %s", valid_texts[i].data,
                      error.offset, error.reason);
    }
}
END_TEST

START_TEST(json_invalid_texts_are_refused_where_they_go_wrong)
{
    for (size_t i = 0; i < COUNT(invalid_texts); i++) {
        const struct invalid_text *c = &invalid_texts[i];
        ck_assert_msg(!check(c->text, &wide), "%s is accepted", c->text.data);
        ck_assert_msg(error.offset == c->offset && strcmp(error.reason, c->reason) == 0,
                      "%s is refused at %zu: %s", c->text.data, error.offset, error.reason);
    }
}
END_TEST

/* A text that is cut off is wrong at its end and nowhere else. A text that is still valid when it
 * is cut off has lost white space after its value, or digits of a number. */
START_TEST(json_prefixes_of_valid_texts_go_wrong_at_their_end)
{
    for (size_t i = 0; i < COUNT(valid_texts); i++) {
        struct bytes text = valid_texts[i];
        size_t start = strspn(text.data, " \t\r\n");
        bool number = strchr("-0123456789", text.data[start]) != NULL;
        for (size_t size = 0; size < text.size; size++) {
            if (check((struct bytes){text.data, size}, &wide)) {
                size_t blank = strspn(text.data + size, " \t\r\n");
                ck_assert_msg(number || size + blank == text.size, "%.*s is accepted", (int)size,
                              text.data);
            } else {
                ck_assert_msg(error.offset == size, "%.*s is refused at %zu: %s", (int)size,
                              text.data, error.offset, error.reason);
            }
        }
    }
}
END_TEST

START_TEST(json_null_span_is_an_empty_text)
{
    ck_assert(!json_check((struct bytes){NULL, 0}, &wide, &error));
    ck_assert_uint_eq(error.offset, 0);
    ck_assert_str_eq(error.reason, EMPTY);
}
END_TEST

/* What has to come of a string of `size` letters, of which the one at `at` is `byte` instead. */
static void check_byte_in_string(size_t size, size_t at, unsigned char byte)
{
    char text[64];
    bool last = at + 1 == size;
    size_t offset = SIZE_MAX; /* none: valid */

    memset(text, 'z', sizeof(text));
    text[0] = text[size + 1] = '"';
    text[at + 1] = (char)byte;
    if (byte == '"')
        offset = at + 2; /* what follows the closing quote */
    else if (byte == '\\')
        offset = last ? size + 2 : at + 2; /* escapes the closing quote, or a z */
    else if (byte < 0x20 || byte >= 0x80)
        offset = at + 1;
    bool ok = check((struct bytes){text, size + 2}, &wide);
    ck_assert_msg(ok == (offset == SIZE_MAX) && error.offset == offset,
                  "byte %02x at %zu of %zu: offset %zu instead of %zu", byte, at, size,
                  error.offset, offset);
}

START_TEST(json_strings_refuse_each_wrong_byte_at_each_place)
{
    for (size_t size = 1; size <= 40; size++) {
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++)
                check_byte_in_string(size, at, (unsigned char)byte);
        }
    }
}
END_TEST

START_TEST(json_escapes_are_of_eight_characters_and_u)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "\"\\?\"";
        text[2] = (char)byte;
        bool simple = byte != 0 && strchr("\"\\/bfnrt", byte) != NULL;
        ck_assert_int_eq(check((struct bytes){text, 4}, &wide), simple);
        if (simple)
            continue;
        ck_assert_uint_eq(error.offset, byte == 'u' ? 3 : 2);
    }
}
END_TEST

/* Whether four bytes are one UTF-8 character of `size` bytes, by arithmetic: decode, and see that
 * no shorter form would have done. */
static bool is_character(const unsigned char *s, size_t size)
{
    static const unsigned masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const unsigned leads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned code = s[0] & masks[size];

    if ((s[0] & ~masks[size] & 0xff) != leads[size])
        return false;
    for (size_t i = 1; i < size; i++) {
        if (s[i] >> 6 != 2)
            return false;
        code = code << 6 | (s[i] & 0x3f);
    }
    return code >= least[size] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static void check_sequence(const unsigned char *s, size_t size)
{
    char text[6] = {'"'};

    memcpy(text + 1, s, size);
    text[size + 1] = '"';
    bool ok = check((struct bytes){text, size + 2}, &wide);
    ck_assert_msg(ok == is_character(s, size) && error.offset == (ok ? SIZE_MAX : 1),
                  "%02x %02x %02x %02x of %zu: %d, offset %zu", s[0], s[1], s[2], s[3], size, ok,
                  error.offset);
}

START_TEST(json_utf8_of_two_and_three_bytes_is_judged_right)
{
    for (unsigned a = 0xc0; a < 0x100; a++) {
        for (unsigned b = 0x80; b < 0x100; b++) {
            unsigned char s[4] = {(unsigned char)a, (unsigned char)b};
            check_sequence(s, 2);
            for (unsigned c = 0xe0 <= a && b < 0xc0 ? 0x70 : 0x100; c < 0x100; c++) {
                s[2] = (unsigned char)c;
                check_sequence(s, 3);
            }
        }
    }
}
END_TEST

START_TEST(json_utf8_of_four_bytes_is_judged_right)
{
    static const unsigned char edges[] = {0x7f, 0x80, 0x9f, 0xbf, 0xc0};

    for (unsigned a = 0xf0; a < 0x100; a++) {
        for (unsigned b = 0; b < 0x100; b++) {
            for (size_t i = 0; i < COUNT(edges) * COUNT(edges); i++) {
                unsigned char s[4] = {(unsigned char)a, (unsigned char)b, edges[i % COUNT(edges)],
                                      edges[i / COUNT(edges)]};
                if (b >= 0x80 && s[2] >= 0x80) /* else it is more than one thing that is wrong */
                    check_sequence(s, 4);
            }
        }
    }
}
END_TEST

/* `depth` arrays and objects in each other, in an order that `seed` decides. Returns its size and
 * where its middle is. */
static size_t nest(char *text, size_t depth, unsigned seed, size_t *middle)
{
    char closers[1024];
    size_t size = 0;

    for (size_t i = 0; i < depth; i++) {
        seed = seed * 1103515245u + 12345;
        bool is_object = (seed >> 16 & 1) != 0;
        closers[i] = is_object ? '}' : ']';
        memcpy(text + size, is_object ? "{\"\":" : "[", is_object ? 4 : 1);
        size += is_object ? 4 : 1;
    }
    *middle = size;
    text[size++] = '0';
    for (size_t i = depth; i > 0; i--)
        text[size++] = closers[i - 1];
    return size;
}

START_TEST(json_depth_limit_is_inclusive)
{
    static const uint32_t depths[] = {1, 2, 63, 64, 65, 127, 128, 129, 511, 512};
    static char text[8192];

    for (size_t i = 0; i < COUNT(depths); i++) {
        const struct json_limits limits = {depths[i], UINT32_MAX};
        memset(text, '[', depths[i]);
        memset(text + depths[i], ']', depths[i]);
        ck_assert(check((struct bytes){text, 2 * depths[i]}, &limits));
        memset(text, '[', depths[i] + 1);
        memset(text + depths[i] + 1, ']', depths[i] + 1);
        ck_assert(!check((struct bytes){text, 2 * depths[i] + 2}, &limits));
        ck_assert_uint_eq(error.offset, depths[i]);
        ck_assert_str_eq(error.reason, "arrays and objects are nested deeper than the limit");
    }
}
END_TEST

START_TEST(json_depth_counts_open_brackets_only)
{
    const struct json_limits none = {0, 10}, two = {2, 10}, beyond = {UINT32_MAX, UINT32_MAX};
    static char text[2048];

    ck_assert(check(BYTES("1"), &none));
    ck_assert(!check(BYTES("[]"), &none));
    ck_assert(!check(BYTES(" {}"), &none));
    ck_assert_uint_eq(error.offset, 1);
    ck_assert(check(BYTES("[[],[[]],1]"), &(struct json_limits){3, 10}));
    ck_assert(check(BYTES("[[],[],{\"a\":1},[2]]"), &two));
    ck_assert(!check(BYTES("[[],[],{\"a\":{}}]"), &two));
    ck_assert_uint_eq(error.offset, 12);
    /* A limit above what there is room for counts as that. */
    memset(text, '[', 513);
    memset(text + 513, ']', 513);
    ck_assert(!check((struct bytes){text, 1026}, &beyond));
    ck_assert_uint_eq(error.offset, 512);
    ck_assert(check((struct bytes){text + 1, 1024}, &beyond));
}
END_TEST

START_TEST(json_brackets_match_at_every_depth)
{
    static char text[8192];

    for (unsigned seed = 0; seed < 20; seed++) {
        size_t middle, size = nest(text, JSON_DEPTH_MAX, seed, &middle);
        ck_assert(check((struct bytes){text, size}, &wide));
        for (size_t i = middle + 1; i < size; i++) {
            char right = text[i];
            text[i] = right == ']' ? '}' : ']';
            ck_assert(!check((struct bytes){text, size}, &wide));
            ck_assert_uint_eq(error.offset, i);
            text[i] = right;
        }
    }
}
END_TEST

START_TEST(json_value_limit_counts_values_and_not_names)
{
    static const struct {
        struct bytes text;
        uint32_t values;
        size_t last; /* where the last of them is */
    } cases[] = {
        {{T("1")}, 1, 0},
        {{T(" \"a\"")}, 1, 1},
        {{T("[]")}, 1, 0},
        {{T("{}")}, 1, 0},
        {{T("[1,2,3]")}, 4, 5},
        {{T("[[],[[]]]")}, 4, 5},
        {{T("{\"a\":1,\"b\":{\"c\":null}}")}, 4, 16},
        {{T("[true,false,null,\"x\",-1.5e3]")}, 6, 21},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_assert(check(cases[i].text, &(struct json_limits){64, cases[i].values}));
        ck_assert(!check(cases[i].text, &(struct json_limits){64, cases[i].values - 1}));
        ck_assert_uint_eq(error.offset, cases[i].last);
        ck_assert_str_eq(error.reason, "there are more values than the limit allows");
    }
}
END_TEST

START_TEST(json_long_strings_and_numbers_are_taken_whole)
{
    size_t size = GUARDED_MAX;
    char *text = malloc(size);

    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    ck_assert(check((struct bytes){text, size}, &wide));
    ck_assert(!check((struct bytes){text, size - 1}, &wide));
    ck_assert_uint_eq(error.offset, size - 1);
    memset(text, '7', size);
    ck_assert(check((struct bytes){text, size}, &wide));
    text[size - 1] = '.';
    ck_assert(!check((struct bytes){text, size}, &wide));
    ck_assert_uint_eq(error.offset, size);
    free(text);
}
END_TEST

UNIT_MAIN("json", json_valid_texts_are_accepted, json_invalid_texts_are_refused_where_they_go_wrong,
          json_prefixes_of_valid_texts_go_wrong_at_their_end, json_null_span_is_an_empty_text,
          json_strings_refuse_each_wrong_byte_at_each_place,
          json_escapes_are_of_eight_characters_and_u,
          json_utf8_of_two_and_three_bytes_is_judged_right, json_utf8_of_four_bytes_is_judged_right,
          json_depth_limit_is_inclusive, json_depth_counts_open_brackets_only,
          json_brackets_match_at_every_depth, json_value_limit_counts_values_and_not_names,
          json_long_strings_and_numbers_are_taken_whole)
