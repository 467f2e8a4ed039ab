/* Patterns of schemas: what matches, and what is refused. See core/rpc/schema_pattern.h. */
#include "unit.h"

#include <string.h>

#include "guarded.h"
#include "must.h"
#include "rpc/schema_pattern.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct pool pool;

static const struct pattern *made(const char *string)
{
    struct error error = {0};
    const struct pattern *pattern = pattern_make(&pool, string, &(uint64_t){1u << 20}, &error);

    ck_assert_msg(pattern != NULL, "%s: %s", string, error.text);
    return pattern;
}

/* Both are JSON strings, with their quotes. */
static bool matches(const char *pattern, const char *string)
{
    uint64_t work = 1000000;
    bool matches = pattern_matches(made(pattern), guarded(bytes_of(string)).data, &work);

    must(work > 0);
    return matches;
}

START_TEST(patterns_match_as_in_ecma_262)
{
    static const struct {
        const char *pattern;
        const char *right[10], *wrong[10];
    } rows[] = {
        {"\"\"", {"\"\"", "\"a\""}, {NULL}},
        {"\"a\"", {"\"a\"", "\"bab\""}, {"\"\"", "\"A\""}},
        {"\"^a$\"", {"\"a\""}, {"\"ab\"", "\"ba\"", "\"a\\n\"", "\"b\\na\""}},
        {"\"^(?:a|b|)$\"", {"\"a\"", "\"b\"", "\"\""}, {"\"ab\"", "\"c\""}},
        {"\"^(ab|cd|e)+$\"", {"\"ab\"", "\"cdeab\"", "\"e\""}, {"\"\"", "\"abc\"", "\"d\""}},
        {"\"^a*b+c?$\"", {"\"b\"", "\"aabbc\""}, {"\"\"", "\"ac\"", "\"bcc\""}},
        {"\"^a{2}$\"", {"\"aa\""}, {"\"a\"", "\"aaa\""}},
        {"\"^a{2,}$\"", {"\"aa\"", "\"aaaaa\""}, {"\"a\"", "\"\""}},
        {"\"^(ab){1,3}$\"", {"\"ab\"", "\"ababab\""}, {"\"\"", "\"abababab\"", "\"aba\""}},
        {"\"^a{0}$\"", {"\"\""}, {"\"a\""}},
        {"\"^(a{2}b?){2,3}c{0,2}$\"", {"\"aaaa\"", "\"aabaabaabcc\""}, {"\"aa\"", "\"aaaaccc\""}},
        {"\"^a+?b*?$\"", {"\"aab\""}, {"\"b\""}},
        {"\"^(a*)*$\"", {"\"\"", "\"aaa\""}, {"\"b\""}},
        {"\"^(a|b*)*c$\"", {"\"c\"", "\"abbac\""}, {"\"ad\""}},
        {"\"^.{3}$\"",
         {"\"abc\"", "\"äöü\"", "\"\\ud83d\\ude00😀x\"", "\"\\u0000ab\""},
         {"\"ab\"", "\"a\\nb\"", "\"a\\u2028b\"", "\"a\\rb\""}},
        {"\"^[a-cx]+$\"", {"\"abcx\""}, {"\"d\"", "\"\""}},
        {"\"^[^a-c]$\"", {"\"d\"", "\"ä\"", "\"\\n\""}, {"\"a\"", "\"\""}},
        {"\"^[]$\"", {NULL}, {"\"\"", "\"]\""}},
        {"\"^[^]$\"", {"\"x\"", "\"\\n\""}, {"\"\""}},
        {"\"^[a\\\\-c\\\\]\\\\\\\\]+$\"", {"\"a-c]\\\\\""}, {"\"b\""}},
        {"\"^[-a]+[b-]$\"", {"\"-a-\"", "\"ab\""}, {"\"b\""}},
        {"\"^[\\\\d_-]+$\"", {"\"1_-\""}, {"\"a\""}},
        {"\"^[\\\\s\\\\S]$\"", {"\"x\"", "\"\\n\""}, {"\"\""}},
        {"\"^[ä-ü]$\"", {"\"ö\""}, {"\"o\""}},
        {"\"^\\\\d{3}-\\\\d+$\"", {"\"123-4\""}, {"\"12-4\"", "\"٣٣٣-1\""}},
        {"\"^\\\\w+$\"", {"\"aZ_9\""}, {"\"ä\"", "\"a b\""}},
        {"\"^\\\\W\\\\D\\\\S$\"", {"\"-a-\"", "\"ääx\""}, {"\"aa-\"", "\"-1-\"", "\"-- \""}},
        {"\"^\\\\s$\"",
         {"\" \"", "\"\\t\"", "\"\\u00a0\"", "\"\\u3000\"", "\"\\ufeff\""},
         {"\"a\"", "\"\\u200b\""}},
        {"\"\\\\bcat\\\\b\"", {"\"cat\"", "\"a cat.\"", "\"äcat\""}, {"\"cats\"", "\"_cat\""}},
        {"\"\\\\Bat\\\\b\"", {"\"cat\""}, {"\"at\"", "\"cats\""}},
        {"\"^\\\\u0041\\\\x42\\\\t\\\\cJ\\\\0$\"", {"\"AB\\t\\n\\u0000\""}, {"\"AB\""}},
        {"\"^\\\\u{1F600}\\\\ud83d\\\\ude00😀$\"", {"\"😀😀😀\""}, {"\"😀😀\""}},
        {"\"^\\\\/\\\\.\\\\*\\\\{\\\\}\\\\(\\\\)\\\\|\\\\^\\\\$\\\\+\\\\?\\\\[$\"",
         {"\"/.*{}()|^$+?[\""},
         {"\"/x\""}},
        {"\"^a}]$\"", {"\"a}]\""}, {"\"a\""}},
        {"\"^(?<year>\\\\d{4})-(?<m>\\\\d\\\\d)$\"", {"\"2024-01\""}, {"\"24-01\""}},
        {"\"a$|^b\"", {"\"xa\"", "\"bx\""}, {"\"ax\"", "\"xb\""}},
        {"\"^$\"", {"\"\""}, {"\"a\""}},
        {"\"^\\\\S+@\\\\S+\\\\.[a-z]{2,}$\"", {"\"a.b@c.de\""}, {"\"a@b\"", "\"a b@c.de\""}},
        {"\"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$\"",
         {"\"123e4567-e89b-12d3-a456-426614174000\""},
         {"\"123e4567-e89b-12d3-a456-42661417400\"", "\"g23e4567-e89b-12d3-a456-426614174000\""}},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (const char *const *right = rows[i].right; *right != NULL; right++)
            ck_assert_msg(matches(rows[i].pattern, *right), "%s: %s", rows[i].pattern, *right);
        for (const char *const *wrong = rows[i].wrong; *wrong != NULL; wrong++)
            ck_assert_msg(!matches(rows[i].pattern, *wrong), "%s: %s", rows[i].pattern, *wrong);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(what_is_not_supported_is_refused_with_its_place)
{
    static const char *const rows[][2] = {
        {"\"a(b\"", "a group lacks its ), at character 4"},
        {"\"ab)\"", "a ) closes no group; \\) is the character, at character 3"},
        {"\"[a\"", "a set lacks its ]"},
        {"\"[b-a]\"", "a range of a set ends before it begins"},
        {"\"[\\\\d-a]\"", "begins or ends with a class"},
        {"\"*a\"", "* repeats nothing; \\* is the character"},
        {"\"a**\"", "* repeats nothing"},
        {"\"a|+\"", "+ repeats nothing"},
        {"\"{\"", "{ repeats nothing"},
        {"\"a{,5}\"", "a { begins no repetition"},
        {"\"a{x\"", "a { begins no repetition"},
        {"\"a{3,2}\"", "a lower bound above its upper one"},
        {"\"a{2001}\"", "repeats something more than 2000 times"},
        {"\"(a{1,100}){1,100}\"", "it takes more than 2000 steps"},
        {"\"(((((){1000}){1000}){1000}){1000})\"", "it repeats too much"},
        {"\"^*\"", "an assertion is repeated"},
        {"\"(?=a)\"", "lookarounds, as (?=, are not supported"},
        {"\"(?!a)\"", "lookarounds, as (?!, are not supported"},
        {"\"(?<=a)\"", "lookarounds, as (?<, are not supported"},
        {"\"(?i)a\"", "(? begins no group that there is"},
        {"\"(?<n\"", "a group's name lacks its >"},
        {"\"(a)\\\\1\"", "references to groups, as \\1, are not supported"},
        {"\"\\\\k<n>\"", "references to groups"},
        {"\"\\\\p{L}\"", "\\p is not supported"},
        {"\"\\\\q\"", "there is no escape \\q"},
        {"\"\\\\\"", "nothing follows a backslash"},
        {"\"\\\\x4\"", "a hexadecimal digit is missing"},
        {"\"\\\\u{110000}\"", "there is no such character"},
        {"\"\\\\c1\"", "\\c is followed by no letter"},
    };
    struct error error;

    for (size_t i = 0; i < COUNT(rows); i++) {
        error.text[0] = '\0';
        ck_assert_msg(pattern_make(&pool, rows[i][0], &(uint64_t){1u << 20}, &error) == NULL,
                      "%s is taken", rows[i][0]);
        ck_assert_msg(strstr(error.text, rows[i][1]) != NULL, "%s: %s", rows[i][0], error.text);
    }
    struct text deep = {0};
    text_append_char(&deep, '"');
    for (unsigned i = 0; i <= PATTERN_DEPTH_MAX; i++)
        text_append_char(&deep, '(');
    text_append_char(&deep, '"');
    ck_assert(pattern_make(&pool, deep.data, &(uint64_t){1u << 20}, &error) == NULL);
    ck_assert_ptr_ne(strstr(error.text, "groups are nested deeper than 50"), NULL);
    text_free(&deep);
    pool_free(&pool);
}
END_TEST

/* What other matchers take exponential time for. */
START_TEST(a_character_costs_no_more_than_the_pattern_has_steps)
{
    static const char *const patterns[] = {"\"^(a+)+$\"", "\"^(a|a)*$\"", "\"(a*)*b\"",
                                           "\"^(.*a){20}$\""};
    struct text text = {0};

    text_append_char(&text, '"');
    for (unsigned i = 0; i < 10000; i++)
        text_append_char(&text, 'a');
    text_append_string(&text, "!\"");
    for (size_t i = 0; i < COUNT(patterns); i++) {
        uint64_t work = 10001 * 200;
        ck_assert(!pattern_matches(made(patterns[i]), text.data, &work));
        ck_assert_msg(work > 0, "%s", patterns[i]);
    }
    text_free(&text);
    pool_free(&pool);
}
END_TEST

UNIT_MAIN("schema_pattern", patterns_match_as_in_ecma_262,
          what_is_not_supported_is_refused_with_its_place,
          a_character_costs_no_more_than_the_pattern_has_steps)
