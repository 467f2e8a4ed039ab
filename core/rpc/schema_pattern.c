/* From a regular expression's text to the steps by which it is matched. See schema_pattern.h.
 *
 * What an atom is worth is known when its quantifier behind it is: it is read dry first, without
 * making steps, and then as often as it is repeated. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/schema_pattern_private.h"
#include "wire/json_text.h"

#define READ_MAX   200000u /* characters looked at, again and again ones too */
#define RANGES_MAX 256u    /* of a set */
#define ENDLESS    UINT32_MAX

/* The reading of an expression. It stops at the first mistake: then `wrong` is set, and every
 * character is the end. */
struct reading {
    const char *at;
    size_t index; /* of the character at `at` */
    size_t reads;
    uint64_t *work;
    unsigned depth;
    bool dry, wrong;
    struct pool *pool;
    struct step steps[PATTERN_STEPS_MAX];
    size_t count;
    struct pattern_range ranges[RANGES_MAX]; /* of the set being read */
    size_t range_count;
    struct error *error;
};

static void read_choice(struct reading *reading);

__attribute__((format(printf, 2, 3))) static void fail(struct reading *reading, const char *format,
                                                       ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!reading->wrong)
        error_set(reading->error, "%s, at character %zu", text, reading->index + 1);
    reading->wrong = true;
}

/* ---- Characters ---- */

static uint32_t peek(const struct reading *reading)
{
    const char *p = reading->at;

    return reading->wrong ? JSON_TEXT_END : json_text_next(&p);
}

static uint32_t take(struct reading *reading)
{
    if (++reading->reads > READ_MAX)
        fail(reading, "it repeats too much");
    if (*reading->work == 0)
        fail(reading, "all patterns of the schema together take too much");
    else
        --*reading->work;
    uint32_t c = peek(reading);
    if (c == JSON_TEXT_END)
        return c;
    json_text_next(&reading->at);
    reading->index++;
    return c;
}

static bool skip(struct reading *reading, uint32_t c)
{
    if (peek(reading) != c)
        return false;
    take(reading);
    return true;
}

static bool is_one_of(uint32_t c, const char *of)
{
    return c < 0x80 && c != 0 && strchr(of, (int)c) != NULL;
}

static bool is_letter_or_digit(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ---- Steps ---- */

/* Adds a step, which leads to the one behind it. Returns its place. */
static size_t add(struct reading *reading, enum step_kind kind)
{
    if (reading->dry || reading->wrong)
        return 0;
    if (reading->count == PATTERN_STEPS_MAX) {
        fail(reading, "it takes more than %u steps, repetitions written out", PATTERN_STEPS_MAX);
        return 0;
    }
    size_t at = reading->count++;
    reading->steps[at] = (struct step){(uint8_t)kind, (uint16_t)(at + 1), (uint16_t)(at + 1), NULL};
    return at;
}

/* Has the step at `from` lead, as well or only, to the next one that is added. */
static void lead_here(struct reading *reading, size_t from, bool as_well)
{
    if (reading->dry || reading->wrong)
        return;
    if (as_well)
        reading->steps[from].other = (uint16_t)reading->count;
    else
        reading->steps[from].next = reading->steps[from].other = (uint16_t)reading->count;
}

/* ---- Sets ---- */

static void add_range(struct reading *reading, uint32_t first, uint32_t last)
{
    if (reading->range_count == RANGES_MAX)
        fail(reading, "a set has more than %u ranges", RANGES_MAX);
    else
        reading->ranges[reading->range_count++] = (struct pattern_range){first, last};
}

/* Adds a step that takes a character of the ranges. */
static void add_set(struct reading *reading, bool except)
{
    size_t at = add(reading, STEP_SET), size = reading->range_count * sizeof(*reading->ranges);

    if (!reading->dry && !reading->wrong) {
        struct pattern_set *set = pool_must_zalloc(reading->pool, sizeof(*set));
        struct pattern_range *ranges = pool_must_zalloc(reading->pool, size + 1);
        memcpy(ranges, reading->ranges, size);
        *set = (struct pattern_set){except, reading->range_count, ranges};
        reading->steps[at].set = set;
    }
    reading->range_count = 0;
}

/* \d, \w, \s (ECMA-262, CharacterClassEscape), and what is none of these, in ascending order. */
static bool add_class(struct reading *reading, uint32_t c)
{
    static const struct pattern_range digits[] = {{'0', '9'}};
    static const struct pattern_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct pattern_range spaces[] = {
        {'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    static const struct {
        char name, none;
        const struct pattern_range *ranges;
        size_t count;
    } classes[] = {{'d', 'D', digits, 1}, {'w', 'W', words, 4}, {'s', 'S', spaces, 10}};

    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
        if (c != (uint32_t)classes[i].name && c != (uint32_t)classes[i].none)
            continue;
        uint32_t from = 0;
        for (size_t r = 0; r < classes[i].count; r++) {
            const struct pattern_range *range = &classes[i].ranges[r];
            if (c == (uint32_t)classes[i].name)
                add_range(reading, range->first, range->last);
            else if (range->first > from)
                add_range(reading, from, range->first - 1);
            from = range->last + 1;
        }
        if (c == (uint32_t)classes[i].none)
            add_range(reading, from, 0x10ffff);
        return true;
    }
    return false;
}

/* ---- Escapes ---- */

static uint32_t take_hex(struct reading *reading, unsigned digits)
{
    uint32_t code = 0;

    for (unsigned i = 0; i < digits; i++) {
        uint32_t c = take(reading);
        int digit = c < 0x80 ? hex_digit((char)c) : -1;
        if (digit < 0) {
            fail(reading, "a hexadecimal digit is missing");
            return 0;
        }
        code = code << 4 | (uint32_t)digit;
    }
    return code;
}

/* Behind \u: four digits, or two times four for a surrogate pair, or any number in braces. */
static uint32_t take_unicode(struct reading *reading)
{
    uint32_t code = 0;

    if (skip(reading, '{')) {
        do {
            code = code << 4 | take_hex(reading, 1);
        } while (!reading->wrong && code <= 0x10ffff && peek(reading) != '}');
        if (code > 0x10ffff)
            fail(reading, "there is no such character");
        skip(reading, '}');
        return code;
    }
    code = take_hex(reading, 4);
    const char *behind = reading->at;
    if ((code & 0xfc00) != 0xd800 || json_text_next(&behind) != '\\' ||
        json_text_next(&behind) != 'u')
        return code;
    take(reading);
    take(reading);
    uint32_t second = take_hex(reading, 4);
    if ((second & 0xfc00) != 0xdc00)
        fail(reading, "half of a surrogate pair stands alone");
    return 0x10000 + ((code & 0x3ff) << 10 | (second & 0x3ff));
}

/* The character that an escape stands for; its backslash is taken. */
static uint32_t take_escape(struct reading *reading)
{
    static const char names[] = "tnvfr0", codes[] = "\t\n\v\f\r";
    uint32_t c = take(reading);

    if (c == JSON_TEXT_END)
        fail(reading, "nothing follows a backslash");
    if (is_one_of(c, names))
        return c == '0' ? 0 : (uint32_t)codes[strchr(names, (int)c) - names];
    if (c == 'x')
        return take_hex(reading, 2);
    if (c == 'u')
        return take_unicode(reading);
    if (c == 'c') {
        c = take(reading);
        if (c == JSON_TEXT_END || !is_letter_or_digit(c) || c <= '9')
            fail(reading, "\\c is followed by no letter");
        return c % 32;
    }
    if (c == 'p' || c == 'P')
        fail(reading, "\\p is not supported; name the characters, as in [A-Za-z]");
    else if (c >= '1' && c <= '9')
        fail(reading, "references to groups, as \\%c, are not supported", (int)c);
    else if (c == 'k')
        fail(reading, "references to groups, as \\k, are not supported");
    else if (is_letter_or_digit(c))
        fail(reading, "there is no escape \\%c", (int)c);
    return c;
}

/* ---- Sets in brackets ---- */

/* A character of a set, or a class as \d; then `is_class` is set, and the class is added. */
static uint32_t take_member(struct reading *reading, bool *is_class)
{
    *is_class = false;
    if (!skip(reading, '\\'))
        return take(reading);
    uint32_t c = peek(reading);
    *is_class = is_one_of(c, "dDwWsS");
    if (*is_class) {
        add_class(reading, take(reading));
        return c;
    }
    if (c == 'b') { /* a backspace, here */
        take(reading);
        return '\b';
    }
    return take_escape(reading);
}

/* Behind the opening bracket. */
static void read_set(struct reading *reading)
{
    bool except = skip(reading, '^'), is_class, last_is_class;

    while (!reading->wrong && !skip(reading, ']')) {
        uint32_t first = take_member(reading, &is_class), last = first;
        if (first == JSON_TEXT_END)
            fail(reading, "a set lacks its ]");
        const char *behind = reading->at;
        if (peek(reading) == '-' && json_text_next(&behind) == '-' &&
            json_text_next(&behind) != ']') {
            take(reading);
            last = take_member(reading, &last_is_class);
            if (is_class || last_is_class)
                fail(reading, "a range of a set begins or ends with a class, as \\d");
            else if (last < first)
                fail(reading, "a range of a set ends before it begins");
        }
        if (!is_class)
            add_range(reading, first, last);
    }
    add_set(reading, except);
}

/* ---- Atoms ---- */

/* Behind the opening parenthesis. */
static void read_group(struct reading *reading)
{
    if (skip(reading, '?')) {
        uint32_t c = take(reading);
        if (c == '<' && !is_one_of(peek(reading), "=!")) {
            while (!reading->wrong && (c = take(reading)) != '>') {
                if (c == JSON_TEXT_END)
                    fail(reading, "a group's name lacks its >");
            }
        } else if (is_one_of(c, "=!<")) {
            fail(reading, "lookarounds, as (?%c, are not supported", (int)c);
        } else if (c != ':') {
            fail(reading, "(? begins no group that there is");
        }
    }
    if (++reading->depth > PATTERN_DEPTH_MAX)
        fail(reading, "groups are nested deeper than %u", PATTERN_DEPTH_MAX);
    read_choice(reading);
    reading->depth--;
    if (!reading->wrong && !skip(reading, ')'))
        fail(reading, "a group lacks its )");
}

/* True when the atom takes no character, and cannot be repeated. */
static bool read_atom(struct reading *reading)
{
    uint32_t c = take(reading);

    if (c == '^' || c == '$') {
        add(reading, c == '^' ? STEP_START : STEP_END);
        return true;
    }
    if (c == '\\' && is_one_of(peek(reading), "bB")) {
        add(reading, take(reading) == 'b' ? STEP_WORD : STEP_NOT_WORD);
        return true;
    }
    if (c == '(') {
        read_group(reading);
    } else if (c == '[') {
        read_set(reading);
    } else if (c == '.') { /* no end of a line (ECMA-262, LineTerminator) */
        add_range(reading, '\n', '\n');
        add_range(reading, '\r', '\r');
        add_range(reading, 0x2028, 0x2029);
        add_set(reading, true);
    } else if (is_one_of(c, "*+?{")) {
        fail(reading, "%c repeats nothing; \\%c is the character", (int)c, (int)c);
    } else {
        if (c == '\\' && !is_one_of(peek(reading), "dDwWsS"))
            c = take_escape(reading);
        else if (c == '\\')
            add_class(reading, take(reading));
        if (reading->range_count == 0)
            add_range(reading, c, c);
        add_set(reading, false);
    }
    return false;
}

/* ---- Repetitions ---- */

/* The number at the place; ENDLESS when there is none. */
static uint32_t take_count(struct reading *reading)
{
    uint32_t count = ENDLESS;

    while (peek(reading) >= '0' && peek(reading) <= '9') {
        count = (count == ENDLESS ? 0 : count * 10) + (take(reading) - '0');
        if (count > PATTERN_STEPS_MAX) {
            fail(reading, "it repeats something more than %u times", PATTERN_STEPS_MAX);
            return 0;
        }
    }
    return count;
}

/* The quantifier at the place. False when there is none. */
static bool take_quantifier(struct reading *reading, uint32_t *least, uint32_t *most)
{
    *least = *most = 1;
    if (skip(reading, '*')) {
        *least = 0;
        *most = ENDLESS;
    } else if (skip(reading, '+')) {
        *most = ENDLESS;
    } else if (skip(reading, '?')) {
        *least = 0;
    } else if (skip(reading, '{')) {
        *least = *most = take_count(reading);
        if (skip(reading, ','))
            *most = take_count(reading);
        if (!reading->wrong && (*least == ENDLESS || !skip(reading, '}')))
            fail(reading, "a { begins no repetition; \\{ is the character");
        if (*most < *least)
            fail(reading, "a repetition has a lower bound above its upper one");
    } else {
        return false;
    }
    skip(reading, '?'); /* lazy: the same text matches */
    return true;
}

/* Where an atom is. */
struct atom {
    const char *at;
    size_t index;
};

static void read_again(struct reading *reading, const struct atom *atom)
{
    reading->at = atom->at;
    reading->index = atom->index;
    read_atom(reading);
}

/* Reads an atom with its quantifier. */
static void read_repeated(struct reading *reading)
{
    const struct atom atom = {reading->at, reading->index};
    bool dry = reading->dry;
    uint32_t least, most;

    reading->dry = true;
    bool bare = read_atom(reading);
    bool repeated = take_quantifier(reading, &least, &most);
    if (bare && repeated)
        fail(reading, "an assertion is repeated");
    const struct atom behind = {reading->at, reading->index};
    reading->dry = dry;
    if (dry || reading->wrong)
        return;
    for (uint32_t i = 0; i < least; i++)
        read_again(reading, &atom);
    if (most == ENDLESS) {
        size_t fork = add(reading, STEP_FORK);
        read_again(reading, &atom);
        size_t back = add(reading, STEP_FORK);
        if (!reading->wrong)
            reading->steps[back].next = reading->steps[back].other = (uint16_t)fork;
        lead_here(reading, fork, true);
    }
    size_t first = reading->count, size = 0;
    for (uint32_t i = least; most != ENDLESS && i < most && !reading->wrong; i++) {
        add(reading, STEP_FORK);
        read_again(reading, &atom);
        size = i == least ? reading->count - first : size;
    }
    for (size_t at = first; size > 0 && at < reading->count; at += size)
        lead_here(reading, at, true);
    reading->at = behind.at;
    reading->index = behind.index;
}

static void read_sequence(struct reading *reading)
{
    while (peek(reading) != JSON_TEXT_END && peek(reading) != '|' && peek(reading) != ')')
        read_repeated(reading);
}

/* True when the alternative at the place is followed by another. */
static bool another_follows(struct reading *reading)
{
    const struct atom start = {reading->at, reading->index};
    bool dry = reading->dry;

    reading->dry = true;
    read_sequence(reading);
    bool follows = peek(reading) == '|';
    reading->dry = dry;
    if (!reading->wrong) {
        reading->at = start.at;
        reading->index = start.index;
    }
    return follows;
}

/* Reads alternatives, to the end or a closing parenthesis. Those who are through with one go to the
 * end by a chain of the steps at the ends of the others. */
static void read_choice(struct reading *reading)
{
    size_t exits[256], count = 0;

    for (;;) {
        bool another = reading->dry ? false : another_follows(reading);
        if (another && count == sizeof(exits) / sizeof(*exits))
            fail(reading, "it has more than %zu alternatives in a row", count + 1);
        size_t fork = another ? add(reading, STEP_FORK) : 0;
        read_sequence(reading);
        if (another)
            exits[count++] = add(reading, STEP_FORK);
        if (!skip(reading, '|'))
            break;
        if (another)
            lead_here(reading, fork, true);
    }
    while (count > 0)
        lead_here(reading, exits[--count], false);
}

const struct pattern *pattern_make(struct pool *pool, const char *string, uint64_t *work,
                                   struct error *error)
{
    struct reading *reading = must_zalloc(sizeof(*reading));
    struct pattern *pattern = NULL;

    reading->pool = pool;
    reading->at = string + 1;
    reading->work = work;
    reading->error = error;
    read_choice(reading);
    if (!reading->wrong && peek(reading) == ')')
        fail(reading, "a ) closes no group; \\) is the character");
    add(reading, STEP_MATCH);
    if (!reading->wrong) {
        size_t size = reading->count * sizeof(struct step);
        struct step *steps = pool_must_zalloc(pool, size);
        memcpy(steps, reading->steps, size);
        pattern = pool_must_zalloc(pool, sizeof(*pattern));
        *pattern = (struct pattern){reading->count, steps};
    }
    free(reading);
    return pattern;
}
