/* From a word to a value: numbers, sizes, times, words of a list, paths. See value.h and
 * directive.h.
 *
 * A value is stored with memcpy, because the member's structure may be a module's: only its offset
 * is known here. */
#include "conf/value.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/file.h"

enum parse_result { PARSE_DONE, PARSE_MALFORMED, PARSE_TOO_LARGE };

/* ---- numbers ---- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: the order of a sum such as 1m30s. */
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {0},
};
static const struct unit size_units[] = {
    {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits at `*text` and moves it behind them. */
static enum parse_result parse_digits(const char **text, int64_t *value)
{
    bool overflow = false;

    if (!is_digit(**text))
        return PARSE_MALFORMED;
    for (*value = 0; is_digit(**text); (*text)++) {
        overflow = overflow || __builtin_mul_overflow(*value, 10, value) ||
                   __builtin_add_overflow(*value, **text - '0', value);
    }
    return overflow ? PARSE_TOO_LARGE : PARSE_DONE;
}

static enum parse_result parse_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';

    if (*text == '-' || *text == '+')
        text++;
    enum parse_result result = parse_digits(&text, value);
    if (*text != '\0')
        return PARSE_MALFORMED;
    if (negative && result == PARSE_DONE)
        *value = -*value;
    return result;
}

static enum parse_result parse_size(const char *text, int64_t *value)
{
    enum parse_result result = parse_digits(&text, value);
    char suffix[2] = {*text >= 'A' && *text <= 'Z' ? (char)(*text + ('a' - 'A')) : *text};

    const struct unit *unit = size_units;
    while (unit->name != NULL && strcmp(unit->name, suffix) != 0)
        unit++;
    if (result == PARSE_MALFORMED || unit->name == NULL || (*text != '\0' && text[1] != '\0'))
        return PARSE_MALFORMED;
    if (result == PARSE_DONE && __builtin_mul_overflow(*value, unit->factor, value))
        return PARSE_TOO_LARGE;
    return result;
}

static enum parse_result parse_time(const char *text, int64_t *value)
{
    const struct unit *unit = time_units;
    const char *start = text;
    bool overflow = false;

    for (*value = 0; text == start || *text != '\0';) {
        int64_t count = 0;
        const char *digits = text;
        enum parse_result result = parse_digits(&text, &count);
        if (result == PARSE_MALFORMED)
            return PARSE_MALFORMED;
        size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz");
        const char *name = text;
        if (size == 0 && digits == start && *text == '\0') { /* a bare number is seconds */
            name = "s";
            size = 1;
        } else {
            text += size;
        }
        while (unit->name != NULL &&
               (strlen(unit->name) != size || strncmp(unit->name, name, size) != 0))
            unit++;
        if (unit->name == NULL)
            return PARSE_MALFORMED;
        overflow = overflow || result == PARSE_TOO_LARGE ||
                   __builtin_mul_overflow(count, unit->factor, &count) ||
                   __builtin_add_overflow(*value, count, value);
        unit++;
    }
    return overflow ? PARSE_TOO_LARGE : PARSE_DONE;
}

/* The differences between the three kinds of number. */
static const struct number {
    const char *noun;
    const char *bounds_unit;
    const struct unit *units; /* units to show a bound in; NULL: as a plain number */
    enum parse_result (*parse)(const char *text, int64_t *value);
} numbers[] = {
    [CONF_INTEGER] = {"a whole number", "", NULL, parse_integer},
    [CONF_SIZE] = {"a size, such as 512, 16k or 1m", " bytes", size_units, parse_size},
    [CONF_TIME] = {"a time, such as 200ms, 5s or 1m30s", "", time_units, parse_time},
};

static bool read_number(struct conf_apply *apply, enum conf_type type, const struct conf_word *word,
                        int64_t *value)
{
    switch (numbers[type].parse(word->text, value)) {
    case PARSE_DONE:
        return true;
    case PARSE_MALFORMED:
        conf_error(apply->errors, &word->place, "\"%s\" is not %s", word->text, numbers[type].noun);
        return false;
    case PARSE_TOO_LARGE:
        conf_error(apply->errors, &word->place, "\"%s\" is too large", word->text);
        return false;
    }
    return false;
}

bool conf_read_integer(struct conf_apply *apply, const struct conf_word *word, int64_t *integer)
{
    return read_number(apply, CONF_INTEGER, word, integer);
}

static bool read_unsigned(struct conf_apply *apply, enum conf_type type,
                          const struct conf_word *word, uint64_t *value)
{
    int64_t number;

    if (!read_number(apply, type, word, &number))
        return false;
    *value = (uint64_t)number;
    return true;
}

bool conf_read_size(struct conf_apply *apply, const struct conf_word *word, uint64_t *size)
{
    return read_unsigned(apply, CONF_SIZE, word, size);
}

bool conf_read_time(struct conf_apply *apply, const struct conf_word *word, uint64_t *ms)
{
    return read_unsigned(apply, CONF_TIME, word, ms);
}

/* ---- bounds ---- */

static bool has_bounds(const struct conf_directive *directive)
{
    return directive->min != 0 || directive->max != 0;
}

static bool has_upper_bound(const struct conf_directive *directive)
{
    return has_bounds(directive) && directive->max >= directive->min;
}

static bool in_bounds(const struct conf_directive *directive, int64_t value)
{
    if (!has_bounds(directive))
        return true;
    return value >= directive->min && (!has_upper_bound(directive) || value <= directive->max);
}

static void append_number(struct text *out, enum conf_type type, int64_t value)
{
    const struct unit *unit = numbers[type].units;

    if (unit == NULL || value == 0) {
        text_printf(out, "%" PRId64, value);
        return;
    }
    while (value % unit->factor != 0)
        unit++;
    text_printf(out, "%" PRId64 "%s", value / unit->factor, unit->name);
}

bool conf_bounds(const struct conf_directive *directive, struct text *out)
{
    enum conf_type type = directive->type;
    bool number = type == CONF_INTEGER || type == CONF_SIZE || type == CONF_TIME;

    if (!number || !has_bounds(directive))
        return false;
    text_append_string(out, has_upper_bound(directive) ? "from " : "at least ");
    append_number(out, type, directive->min);
    if (has_upper_bound(directive)) {
        text_append_string(out, " to ");
        append_number(out, type, directive->max);
    }
    text_append_string(out, numbers[type].bounds_unit);
    return true;
}

bool conf_nought_is_off(const struct conf_directive *directive)
{
    enum conf_type type = directive->type;
    bool number = type == CONF_INTEGER || type == CONF_SIZE || type == CONF_TIME;

    return number && directive->words != NULL && strcmp(directive->words[0], "off") == 0;
}

/* ---- words ---- */

const char *conf_did_you_mean(struct conf_tree *tree, const struct suggest *suggest)
{
    struct text text = {0};

    if (suggest->nearest == NULL)
        return "";
    text_printf(&text, "; did you mean \"%s\"?", suggest->nearest);
    const char *kept = pool_must_strndup(&tree->pool, text.data, text.size);
    text_free(&text);
    return kept;
}

int conf_read_enum(struct conf_apply *apply, const char *name, const struct conf_word *word,
                   const char *const *words)
{
    struct suggest suggest = suggest_start(word->text);
    struct text list = {0};

    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word->text) == 0) {
            text_free(&list);
            return i;
        }
        const char *before = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        text_printf(&list, "%s%s", before, words[i]);
        suggest_offer(&suggest, words[i]);
    }
    conf_error(apply->errors, &word->place, "\"%s\" must be %s, not \"%s\"%s", name,
               text_string(&list), word->text, conf_did_you_mean(apply->tree, &suggest));
    text_free(&list);
    return -1;
}

/* ---- stores, one for each type ---- */

static void store_flag(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_word *word, void *member)
{
    static const char *const words[] = {"on", "off", NULL};
    int index = conf_read_enum(apply, directive->name, word, words);
    bool value = index == 0;

    if (index >= 0)
        memcpy(member, &value, sizeof(value));
}

static void store_enum(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_word *word, void *member)
{
    int index = conf_read_enum(apply, directive->name, word, directive->words);

    if (index >= 0)
        memcpy(member, &index, sizeof(index));
}

static void report_number(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_word *word, enum parse_result result)
{
    const char *instead = directive->words == NULL ? NULL : directive->words[0];
    struct suggest suggest = suggest_start(word->text);
    struct text expected = {0};

    if (instead != NULL) {
        text_printf(&expected, "%s or ", instead);
        suggest_offer(&suggest, instead);
    }
    if (result == PARSE_MALFORMED || !conf_bounds(directive, &expected))
        text_append_string(&expected,
                           result == PARSE_MALFORMED ? numbers[directive->type].noun : "smaller");
    conf_error(apply->errors, &word->place, "\"%s\" must be %s, not \"%s\"%s", directive->name,
               text_string(&expected), word->text, conf_did_you_mean(apply->tree, &suggest));
    text_free(&expected);
}

/* Serves int64_t and uint64_t members alike: the parsers return no value whose bytes differ between
 * the two. */
static void store_number(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_word *word, void *member)
{
    const char *instead = directive->words == NULL ? NULL : directive->words[0];
    int64_t value = 0;

    if (instead == NULL || strcmp(word->text, instead) != 0) {
        enum parse_result result = numbers[directive->type].parse(word->text, &value);
        bool off = value == 0 && conf_nought_is_off(directive);
        if (result != PARSE_DONE || !(off || in_bounds(directive, value))) {
            report_number(apply, directive, word, result);
            return;
        }
    }
    memcpy(member, &value, sizeof(value));
}

static void store_string(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_word *word, void *member)
{
    const char *value = word->text;

    (void)apply;
    (void)directive;
    memcpy(member, &value, sizeof(value));
}

static void store_path(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_word *word, void *member)
{
    if (word->text[0] == '\0') {
        conf_error(apply->errors, &word->place, "\"%s\" needs a path that is not empty",
                   directive->name);
        return;
    }
    const char *value = conf_tree_path(apply->tree, word->text);
    memcpy(member, &value, sizeof(value));
}

static void store_file(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_word *word, void *member)
{
    const char *path = NULL;
    struct conf_file file;
    struct error error;

    store_path(apply, directive, word, &path);
    if (path == NULL)
        return;
    if (conf_file_get(path, &file, &error))
        memcpy(member, &file, sizeof(file));
    else
        conf_error(apply->errors, &word->place, "%s", error.text);
}

void value_store(struct conf_apply *apply, const struct conf_directive *directive,
                 const struct conf_word *word, void *member)
{
    static void (*const stores[])(struct conf_apply *, const struct conf_directive *,
                                  const struct conf_word *, void *) = {
        [CONF_FLAG] = store_flag,   [CONF_INTEGER] = store_number, [CONF_SIZE] = store_number,
        [CONF_TIME] = store_number, [CONF_STRING] = store_string,  [CONF_PATH] = store_path,
        [CONF_ENUM] = store_enum,   [CONF_FILE] = store_file,
    };
    stores[directive->type](apply, directive, word, member);
}
