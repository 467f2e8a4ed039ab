/* Tables. See columns.h. */
#include "cmd/columns.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cmd/figures.h"
#include "wire/error_code.h"

/* ---- Cells ---- */

static const void *member(const struct column *column, const void *row)
{
    return (const char *)row + column->offset;
}

static double number(const struct column *column, const void *row)
{
    double value;

    memcpy(&value, member(column, row), sizeof(value));
    return value;
}

static const char *words(const struct column *column, const void *row)
{
    const char *pointer;

    if (column->cell == CELL_WORD)
        return member(column, row);
    memcpy(&pointer, member(column, row), sizeof(pointer));
    return pointer;
}

static bool truth(const struct column *column, const void *row)
{
    return *(const bool *)member(column, row);
}

static double sum(const double *errors)
{
    double all = 0;

    for (size_t e = 0; e < ERROR_CODES_MAX; e++)
        all += errors[e];
    return all;
}

/* The most frequent first, as many as there is room for. */
static void append_codes(struct text *out, const double *errors, int width)
{
    bool told[ERROR_CODES_MAX] = {false};
    size_t count, start = out->size;
    const struct error_code *codes = error_codes(&count);

    for (;;) {
        size_t most = count, before = out->size;
        for (size_t e = 0; e < count; e++) {
            if (!told[e] && errors[e] > 0 && (most == count || errors[e] > errors[most]))
                most = e;
        }
        if (most == count)
            return;
        told[most] = true;
        text_printf(out, "%s%s ", before == start ? "" : ", ",
                    codes[most].name[0] == '\0' ? "other" : codes[most].name);
        figure_rate(out, errors[most], 0);
        if ((int)(out->size - start) > width) {
            out->size = before;
            out->data[before] = '\0';
            return;
        }
    }
}

static void append_cell(struct text *out, const struct column *column, const void *row, int width)
{
    char plain[32];

    switch (column->cell) {
    case CELL_NUMBER:
        snprintf(plain, sizeof(plain), "%.0f", number(column, row));
        text_printf(out, column->left ? "%-*s" : "%*s", width, plain);
        break;
    case CELL_COUNT:
        figure_count(out, number(column, row), width);
        break;
    case CELL_RATE:
        figure_rate(out, number(column, row), width);
        break;
    case CELL_BYTES:
        figure_bytes(out, number(column, row), width);
        break;
    case CELL_TIME:
        figure_time(out, number(column, row), width);
        break;
    case CELL_AGE:
        figure_age(out, number(column, row), width);
        break;
    case CELL_SECONDS:
        text_printf(out, "%*.1f s", width - 2, number(column, row));
        break;
    case CELL_PART:
        text_printf(out, "%*.0f%%", width - 1, number(column, row) * 100);
        break;
    case CELL_NAME:
    case CELL_WORD:
        figure_name(out, words(column, row), width);
        break;
    case CELL_STATE:
        text_append_string(out, truth(column, row) ? "quarantined" : "ok");
        break;
    case CELL_CODES:
        append_codes(out, member(column, row), width);
        break;
    }
}

int columns_compare(const struct column *column, const void *a, const void *b)
{
    double of_a, of_b;

    if (column->cell == CELL_NAME || column->cell == CELL_WORD)
        return strcmp(words(column, a), words(column, b));
    if (column->cell == CELL_STATE) {
        of_a = truth(column, a);
        of_b = truth(column, b);
    } else if (column->cell == CELL_CODES) {
        of_a = sum(member(column, a));
        of_b = sum(member(column, b));
    } else {
        of_a = number(column, a);
        of_b = number(column, b);
    }
    return (of_a < of_b) - (of_a > of_b);
}

/* ---- Lines ---- */

struct columns columns_fit(const struct column *all, size_t count, int width, int widest)
{
    struct columns columns = {.all = all, .count = count};
    int used = 0;

    for (size_t i = 0; i < count; i++)
        used += columns.widths[i] = all[i].width;
    while (used > width) {
        size_t last = count;
        for (size_t i = 0; i < count; i++) {
            if (columns.widths[i] > 0 && all[i].rank > 0 &&
                (last == count || all[i].rank > all[last].rank))
                last = i;
        }
        if (last == count)
            break;
        used -= columns.widths[last];
        columns.widths[last] = 0;
    }
    int more =
        widest - columns.widths[0] < width - used ? widest - columns.widths[0] : width - used;
    columns.widths[0] += more > 0 ? more : 0;
    return columns;
}

/* The space in front of a cell that begins at its left, unless it is the line's first. */
static int gap(const struct columns *columns, size_t at)
{
    return columns->all[at].left && at > 0 ? 2 : 0;
}

static void trim(struct text *out, size_t start)
{
    while (out->size > start && out->data[out->size - 1] == ' ')
        out->data[--out->size] = '\0';
}

void columns_titles(struct text *out, const struct columns *columns, size_t marked)
{
    size_t start = out->size;

    for (size_t i = 0; i < columns->count; i++) {
        char title[64];
        if (columns->widths[i] == 0)
            continue;
        snprintf(title, sizeof(title), "%s%s", i == marked ? "*" : "", columns->all[i].title);
        text_printf(out, "%*s", gap(columns, i), "");
        text_printf(out, columns->all[i].left ? "%-*s" : "%*s",
                    columns->widths[i] - gap(columns, i), title);
    }
    trim(out, start);
}

void columns_row(struct text *out, const struct columns *columns, const void *row)
{
    size_t start = out->size;

    for (size_t i = 0; i < columns->count; i++) {
        if (columns->widths[i] == 0)
            continue;
        text_printf(out, "%*s", gap(columns, i), "");
        size_t before = out->size;
        int width = columns->widths[i] - gap(columns, i);
        append_cell(out, &columns->all[i], row, width);
        int size = (int)(out->size - before);
        if (columns->all[i].cell >= CELL_STATE && size < width)
            text_printf(out, "%*s", width - size, "");
    }
    trim(out, start);
}
