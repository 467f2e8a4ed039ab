/* What is wrong with params. See param_fault.h.
 *
 * Nothing here is called for params that are right. */
#include "rpc/param_fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"
#include "base/suggest.h"
#include "wire/number.h"

#define SHOWN_MAX 32u /* bytes of a client's text */
#define WORDS_MAX 12u /* of an enumeration that are named */

/* ---- Text in a fixed room ---- */

struct line {
    char *to;
    size_t size, room; /* with a byte for the NUL that is always there */
};

static void add(struct line *line, struct bytes more)
{
    size_t left = line->room - 1 - line->size;
    size_t size = more.size < left ? more.size : left;

    while (size < more.size && size > 0 && ((unsigned char)more.data[size] & 0xc0) == 0x80)
        size--; /* whole characters */
    memcpy(line->to + line->size, more.data, size);
    line->size += size;
    line->to[line->size] = '\0';
}

static void add_string(struct line *line, const char *string)
{
    add(line, bytes_of(string));
}

__attribute__((format(printf, 2, 0))) static void add_format(struct line *line, const char *format,
                                                             va_list args)
{
    char text[PARAM_FAULT_TEXT_MAX];
    int size = vsnprintf(text, sizeof(text), format, args);

    add(line, (struct bytes){text, strlen(text)});
    (void)size;
}

__attribute__((format(printf, 2, 3))) static void addf(struct line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_format(line, format, args);
    va_end(args);
}

/* Text of a client's: short, and as a log or a terminal may hold it. */
static void add_shown(struct line *line, struct bytes text)
{
    size_t used = 0;

    while (text.size > 0 && used < SHOWN_MAX) {
        char shown[PRINTABLE_SIZE];
        size_t size = printable_next(text, shown);
        add(line, shown[0] == '\0' ? (struct bytes){text.data, size} : bytes_of(shown));
        used += size;
        text = (struct bytes){text.data + size, text.size - size};
    }
    if (text.size > 0)
        add_string(line, "…");
}

/* ---- Where ---- */

static void add_place(struct line *line, const struct param_place *place)
{
    if (place == NULL) {
        add_string(line, "params");
        return;
    }
    add_place(line, place->outer);
    if (place->row == NULL)
        return;
    add_string(line, ".");
    add(line, place->row->name);
    if (place->index != SIZE_MAX)
        addf(line, "[%zu]", place->index);
}

/* ---- What was wanted ---- */

/* " from 1 to 9", " of at least 1 character". */
static void add_range(struct line *line, const char *low, const char *high, const char *between,
                      const char *unit)
{
    bool one = strcmp(high != NULL ? high : low, "1") == 0;

    if (low != NULL && high != NULL && strcmp(low, high) == 0)
        addf(line, " of %s%s", low, unit);
    else if (low != NULL && high != NULL)
        addf(line, " %s %s to %s%s", between, low, high, unit);
    else
        addf(line, " of at %s %s%s", low != NULL ? "least" : "most", low != NULL ? low : high,
             unit);
    if (unit[0] != '\0' && !one)
        add_string(line, "s");
}

/* How long it may be: text, bytes, or a list. */
static void add_length(struct line *line, uint64_t least, uint64_t most, uint64_t none,
                       const char *unit)
{
    char low[24], high[24];

    if (least == 0 && most >= none)
        return;
    snprintf(low, sizeof(low), "%llu", (unsigned long long)least);
    snprintf(high, sizeof(high), "%llu", (unsigned long long)most);
    add_range(line, least > 0 ? low : NULL, most < none ? high : NULL, "of", unit);
}

static void add_integer(struct line *line, const struct param_row *row)
{
    char low[24], high[24];

    add_string(line, "a whole number");
    if (!row->bounded)
        return;
    snprintf(low, sizeof(low), "%lld", (long long)row->min);
    snprintf(high, sizeof(high), "%lld", (long long)row->max);
    add_range(line, row->min > INT64_MIN ? low : NULL, row->max < INT64_MAX ? high : NULL, "from",
              "");
}

static void add_number(struct line *line, const struct param_row *row)
{
    char low[NUMBER_TEXT_MAX], high[NUMBER_TEXT_MAX];

    add_string(line, "a number");
    if (!row->bounded)
        return;
    bool least = row->from > -__builtin_inf(), most = row->to < __builtin_inf();
    if (least)
        number_write(row->from, low);
    if (most)
        number_write(row->to, high);
    add_range(line, least ? low : NULL, most ? high : NULL, "from", "");
}

static void add_words(struct line *line, const struct param_row *row)
{
    add_string(line, "one of ");
    for (size_t i = 0; i < row->word_count && i < WORDS_MAX; i++)
        addf(line, "%s\"%s\"", i == 0 ? "" : ", ", row->words[i].data);
    if (row->word_count > WORDS_MAX)
        add_string(line, ", …");
}

static void add_wanted(struct line *line, const struct param_row *row, bool of_item)
{
    if (row->list && !of_item) {
        add_string(line, "a list");
        add_length(line, row->least, row->most, SIZE_MAX, " item");
        return;
    }
    switch ((pillion_type)row->type) {
    case PILLION_FLAG:
        add_string(line, "true or false");
        break;
    case PILLION_INTEGER:
        add_integer(line, row);
        break;
    case PILLION_NUMBER:
        add_number(line, row);
        break;
    case PILLION_ENUM:
        add_words(line, row);
        break;
    case PILLION_OBJECT:
        add_string(line, "an object");
        break;
    case PILLION_JSON:
        add_string(line, "any value");
        break;
    case PILLION_BYTES:
        add_string(line, "base64");
        add_length(line, (uint64_t)row->min, (uint64_t)row->max, INT64_MAX, " byte");
        break;
    default:
        add_string(line, "a string");
        add_length(line, (uint64_t)row->min, (uint64_t)row->max, INT64_MAX, " character");
    }
}

void param_wanted(struct text *out, const struct param_row *row, bool of_item)
{
    char text[PARAM_FAULT_TEXT_MAX];
    struct line line = {text, 0, sizeof(text)};

    add_wanted(&line, row, of_item);
    text_append(out, (struct bytes){text, line.size});
}

/* ---- Faults ---- */

/* Begins a fault at this place. False when there are enough of them. */
static bool begin(struct param_faults *faults, const struct param_place *place, struct line *path,
                  struct line *text)
{
    struct param_fault *fault;

    if (faults->count++ >= PARAM_FAULTS_MAX)
        return false;
    fault = pool_alloc(faults->pool, sizeof(*fault));
    faults->of[faults->count - 1] = fault;
    if (fault == NULL) {
        faults->count--;
        faults->exhausted = true;
        return false;
    }
    *path = (struct line){fault->path, 0, sizeof(fault->path)};
    *text = (struct line){fault->text, 0, sizeof(fault->text)};
    add_string(text, "");
    add_place(path, place);
    return true;
}

static void add_wanted_at(struct line *line, const struct param_place *place)
{
    if (place == NULL || place->row == NULL)
        add_string(line, "an object");
    else
        add_wanted(line, place->row, place->index != SIZE_MAX);
}

/* What a value is, in a few words: an enumeration's and a number's own. */
static void add_got(struct line *line, const struct param_place *place, const char *value,
                    const char *end)
{
    bool shows = place != NULL && place->row != NULL && place->row->type == PILLION_ENUM;
    const char *stop = value;

    switch (*value) {
    case '{':
        add_string(line, "an object");
        break;
    case '[':
        add_string(line, "a list");
        break;
    case '"':
        if (!shows) {
            add_string(line, "a string");
            break;
        }
        while (++stop < end && *stop != '"' && stop - value <= (long)SHOWN_MAX * 2)
            stop += *stop == '\\' && end - stop > 1;
        add_string(line, "\"");
        add_shown(line, (struct bytes){value + 1, (size_t)(stop - value - 1)});
        add_string(line, "\"");
        break;
    case 't':
        add_string(line, "true");
        break;
    case 'f':
        add_string(line, "false");
        break;
    case 'n':
        add_string(line, "null");
        break;
    default:
        stop = number_end(value, end);
        add_shown(line, (struct bytes){value, (size_t)(stop - value)});
    }
}

void param_fault_value(struct param_faults *faults, const struct param_place *place,
                       const char *value, const char *end)
{
    struct line path, text;

    if (!begin(faults, place, &path, &text))
        return;
    add_wanted_at(&text, place);
    add_string(&text, ", got ");
    add_got(&text, place, value, end);
}

void param_fault_why(struct param_faults *faults, const struct param_place *place, const char *why,
                     ...)
{
    struct line path, text;
    va_list args;

    if (!begin(faults, place, &path, &text))
        return;
    add_wanted_at(&text, place);
    add_string(&text, ", ");
    va_start(args, why);
    add_format(&text, why, args);
    va_end(args);
}

void param_fault_missing(struct param_faults *faults, const struct param_place *place)
{
    param_fault_why(faults, place, "got nothing");
}

void param_fault_twice(struct param_faults *faults, const struct param_place *place)
{
    struct line path, text;

    if (begin(faults, place, &path, &text))
        add_string(&text, "it is there twice");
}

void param_fault_unknown(struct param_faults *faults, const struct param_place *place,
                         const struct param_table *table, struct bytes name)
{
    struct line path, text;
    char word[PARAM_NAME_MAX + 1];

    if (!begin(faults, place, &path, &text))
        return;
    add_string(&path, ".");
    add_shown(&path, name);
    add_string(&text, "there is no param of this name");
    if (name.size > PARAM_NAME_MAX || memchr(name.data, '\0', name.size) != NULL)
        return;
    memcpy(word, name.data, name.size);
    word[name.size] = '\0';
    struct suggest suggest = suggest_start(word);
    for (size_t i = 0; i < table->count; i++)
        suggest_offer(&suggest, table->rows[i].name.data);
    if (suggest.nearest != NULL)
        addf(&text, "; did you mean \"%s\"?", suggest.nearest);
}

void param_fault_surplus(struct param_faults *faults, const struct param_table *table)
{
    struct line path, text;

    if (begin(faults, NULL, &path, &text))
        addf(&text, "at most %zu by position", table->count);
}
