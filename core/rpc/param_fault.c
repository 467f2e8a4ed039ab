/* What is wrong with params. See param_fault.h.
 *
 * Nothing here is called for params that are right. */
#include "rpc/param_fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/suggest.h"
#include "wire/number.h"

#define WORDS_MAX 12u /* of an enumeration that are named */

/* ---- Where ---- */

static void add_place(struct line *line, const struct param_place *place)
{
    if (place == NULL || place->root != NULL) {
        line_add_string(line, place == NULL ? "params" : place->root);
        return;
    }
    add_place(line, place->outer);
    if (place->row == NULL)
        return;
    line_add_string(line, ".");
    line_add(line, place->row->name);
    if (place->index != SIZE_MAX)
        line_addf(line, "[%zu]", place->index);
}

/* ---- What was wanted ---- */

static void add_integer(struct line *line, const struct param_row *row)
{
    char low[24], high[24];

    line_add_string(line, "a whole number");
    if (!row->bounded)
        return;
    snprintf(low, sizeof(low), "%lld", (long long)row->min);
    snprintf(high, sizeof(high), "%lld", (long long)row->max);
    line_add_range(line, row->min > INT64_MIN ? low : NULL, row->max < INT64_MAX ? high : NULL,
                   "from", "");
}

static void add_number(struct line *line, const struct param_row *row)
{
    char low[NUMBER_TEXT_MAX], high[NUMBER_TEXT_MAX];

    line_add_string(line, "a number");
    if (!row->bounded)
        return;
    bool least = row->from > -__builtin_inf(), most = row->to < __builtin_inf();
    if (least)
        number_write(row->from, low);
    if (most)
        number_write(row->to, high);
    line_add_range(line, least ? low : NULL, most ? high : NULL, "from", "");
}

static void add_words(struct line *line, const struct param_row *row)
{
    line_add_string(line, "one of ");
    for (size_t i = 0; i < row->word_count && i < WORDS_MAX; i++)
        line_addf(line, "%s\"%s\"", i == 0 ? "" : ", ", row->words[i].data);
    if (row->word_count > WORDS_MAX)
        line_add_string(line, ", …");
}

static void add_wanted(struct line *line, const struct param_row *row, bool of_item)
{
    if (row->list && !of_item) {
        line_add_string(line, "a list");
        line_add_length(line, row->least, row->most, SIZE_MAX, " item");
        return;
    }
    switch ((pillion_type)row->type) {
    case PILLION_FLAG:
        line_add_string(line, "true or false");
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
        line_add_string(line, "an object");
        break;
    case PILLION_JSON:
        line_add_string(line, "any value");
        break;
    case PILLION_BYTES:
        line_add_string(line, "base64");
        line_add_length(line, (uint64_t)row->min, (uint64_t)row->max, INT64_MAX, " byte");
        break;
    default:
        line_add_string(line, "a string");
        line_add_length(line, (uint64_t)row->min, (uint64_t)row->max, INT64_MAX, " character");
    }
}

void param_wanted(struct text *out, const struct param_row *row, bool of_item)
{
    char text[FAULT_TEXT_MAX];
    struct line line = {text, 0, sizeof(text)};

    add_wanted(&line, row, of_item);
    text_append(out, (struct bytes){text, line.size});
}

/* ---- Faults ---- */

/* Begins a fault at this place. False when there are enough of them. */
static bool begin(struct faults *faults, const struct param_place *place, struct line *path,
                  struct line *text)
{
    if (!fault_begin(faults, path, text))
        return false;
    add_place(path, place);
    return true;
}

static void add_wanted_at(struct line *line, const struct param_place *place)
{
    if (place == NULL || place->row == NULL)
        line_add_string(line, "an object");
    else
        add_wanted(line, place->row, place->index != SIZE_MAX);
}

void param_fault_value(struct faults *faults, const struct param_place *place, const char *value,
                       const char *end)
{
    struct line path, text;

    if (!begin(faults, place, &path, &text))
        return;
    add_wanted_at(&text, place);
    line_add_string(&text, ", got ");
    line_add_got(&text, value, end,
                 place != NULL && place->row != NULL && place->row->type == PILLION_ENUM);
}

void param_fault_why(struct faults *faults, const struct param_place *place, const char *why, ...)
{
    struct line path, text;
    va_list args;

    if (!begin(faults, place, &path, &text))
        return;
    add_wanted_at(&text, place);
    line_add_string(&text, ", ");
    va_start(args, why);
    line_add_v(&text, why, args);
    va_end(args);
}

void param_fault_missing(struct faults *faults, const struct param_place *place)
{
    param_fault_why(faults, place, "got nothing");
}

void param_fault_twice(struct faults *faults, const struct param_place *place)
{
    struct line path, text;

    if (begin(faults, place, &path, &text))
        line_add_string(&text, "it is there twice");
}

void param_fault_unknown(struct faults *faults, const struct param_place *place,
                         const struct param_table *table, struct bytes name)
{
    struct line path, text;
    char word[PARAM_NAME_MAX + 1];

    if (!begin(faults, place, &path, &text))
        return;
    line_add_string(&path, ".");
    line_add_shown(&path, name);
    line_add_string(&text, "there is no param of this name");
    if (name.size > PARAM_NAME_MAX || memchr(name.data, '\0', name.size) != NULL)
        return;
    memcpy(word, name.data, name.size);
    word[name.size] = '\0';
    struct suggest suggest = suggest_start(word);
    for (size_t i = 0; i < table->count; i++)
        suggest_offer(&suggest, table->rows[i].name.data);
    if (suggest.nearest != NULL)
        line_addf(&text, "; did you mean \"%s\"?", suggest.nearest);
}

void param_fault_surplus(struct faults *faults, const struct param_table *table)
{
    struct line path, text;

    if (begin(faults, NULL, &path, &text))
        line_addf(&text, "at most %zu by position", table->count);
}
