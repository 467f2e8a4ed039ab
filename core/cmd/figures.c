/* Numbers and names in columns. See figures.h. */
#include "cmd/figures.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"

static void append_right(struct text *out, const char *text, int width)
{
    text_printf(out, "%*s", width, text);
}

/* Three digits and a unit: each unit is `step` times the one before. */
static void append_scaled(struct text *out, double value, double step, const char *const *units,
                          int width)
{
    char text[32];
    size_t unit = 0;

    while (value >= step && units[unit + 1] != NULL) {
        value /= step;
        unit++;
    }
    bool whole = unit == 0 || value >= 9.95;
    snprintf(text, sizeof(text), whole ? "%.0f%s" : "%.1f%s", value, units[unit]);
    append_right(out, text, width);
}

void figure_count(struct text *out, double count, int width)
{
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    append_scaled(out, count, 1000, units, width);
}

void figure_rate(struct text *out, double rate, int width)
{
    if (rate <= 0 || rate >= 9.95)
        figure_count(out, rate, width);
    else
        text_printf(out, "%*.1f", width, rate);
}

void figure_bytes(struct text *out, double bytes, int width)
{
    static const char *const units[] = {"", "K", "M", "G", "T", NULL};
    append_scaled(out, bytes, 1024, units, width);
}

void figure_time(struct text *out, double us, int width)
{
    static const char *const units[] = {" ns", " us", " ms", " s", NULL};

    if (us > 0)
        append_scaled(out, us * 1000, 1000, units, width);
    else
        append_right(out, "-", width);
}

void figure_age(struct text *out, double seconds, int width)
{
    static const struct {
        double seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    char text[32];
    size_t unit = 0;

    while (unit < 3 && seconds < 2 * units[unit].seconds)
        unit++;
    snprintf(text, sizeof(text), "%.0f%c", seconds / units[unit].seconds, units[unit].unit);
    append_right(out, text, width);
}

void figure_name(struct text *out, const char *name, int width)
{
    struct bytes rest = bytes_of(name);
    char shown[PRINTABLE_SIZE];
    int columns = 0;

    while (rest.size > 0 && columns < width) {
        size_t size = printable_next(rest, shown);
        columns += shown[0] == '\0' ? 1 : (int)strlen(shown);
        if (shown[0] == '\0')
            text_append(out, (struct bytes){rest.data, size});
        else
            text_append_string(out, shown);
        rest = (struct bytes){rest.data + size, rest.size - size};
    }
    text_printf(out, "%*s", columns < width ? width - columns : 0, "");
}
