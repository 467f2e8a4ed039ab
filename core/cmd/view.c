/* Tables of counters. See view.h. */
#include "cmd/view.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"

/* ---- Numbers ---- */

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

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

void view_count(struct text *out, double count, int width)
{
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    append_scaled(out, count, 1000, units, width);
}

static void append_bytes(struct text *out, double bytes, int width)
{
    static const char *const units[] = {"", "K", "M", "G", "T", NULL};
    append_scaled(out, bytes, 1024, units, width);
}

void view_time(struct text *out, double us, int width)
{
    static const char *const units[] = {" ns", " us", " ms", " s", NULL};

    if (us > 0)
        append_scaled(out, us * 1000, 1000, units, width);
    else
        append_right(out, "-", width);
}

void view_age(struct text *out, double seconds, int width)
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

/* A name, cut to the column, in a form that a terminal may hold. */
static void append_name(struct text *out, const char *name, int width)
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

/* ---- Sums ---- */

static void append_sums(struct text *out, const cJSON *stats)
{
    const cJSON *connections = member(stats, "connections"), *vaults = member(stats, "vaults"),
                *last = member(stats, "last_reload");

    text_printf(out, "generation %.0f, up ", number(stats, "generation"));
    view_age(out, number(stats, "uptime_seconds"), 0);
    text_printf(out, "; %.0f reloads, %.0f failed%s; %.0f crashes, %.0f hangs\n",
                number(stats, "reloads"), number(stats, "reloads_failed"),
                cJSON_IsFalse(member(last, "good")) ? " (the last one)" : "",
                number(stats, "crashes"), number(stats, "hangs"));
    text_printf(out, "%.0f connections, %.0f of them in no vault; accepted ",
                number(connections, "open"), number(vaults, "unheld"));
    view_count(out, number(connections, "accepted"), 0);
    text_append_string(out, ", adopted ");
    view_count(out, number(connections, "adopted"), 0);
    text_append_string(out, "; in ");
    append_bytes(out, number(connections, "bytes_in"), 0);
    text_append_string(out, ", out ");
    append_bytes(out, number(connections, "bytes_out"), 0);
    text_append_char(out, '\n');
}

/* ---- Workers ---- */

static void append_worker(struct text *out, const cJSON *worker)
{
    const cJSON *state = member(worker, "state");

    text_printf(out, "%-6.0f %8.0f %5.0f  ", number(worker, "slot"), number(worker, "pid"),
                number(worker, "generation"));
    append_name(out, cJSON_IsString(state) ? state->valuestring : "?", 9);
    view_age(out, number(worker, "age_seconds"), 6);
    view_count(out, number(worker, "connections"), 8);
    text_printf(out, " %9.1f s", number(worker, "cpu_seconds"));
    view_time(out, number(worker, "lag_ms") * 1000, 9);
    append_bytes(out, number(worker, "private_bytes"), 9);
    text_append_char(out, '\n');
}

/* ---- Methods ---- */

static void append_method(struct text *out, const cJSON *method)
{
    const cJSON *latency = member(method, "latency_us");
    bool quarantined = cJSON_IsTrue(member(method, "quarantined"));

    append_name(out, method->string, 29);
    view_count(out, number(method, "calls"), 8);
    view_count(out, number(method, "errors"), 8);
    view_count(out, number(method, "in_flight"), 7);
    view_time(out, number(latency, "p50"), 8);
    view_time(out, number(latency, "p99"), 8);
    text_printf(out, "  %s\n", quarantined ? "OUT OF USE" : "ok");
}

static bool is_worth_a_row(const cJSON *method)
{
    return number(method, "calls") > 0 || number(method, "in_flight") > 0 ||
           cJSON_IsTrue(member(method, "quarantined"));
}

void view_append(struct text *out, const cJSON *stats)
{
    const cJSON *item;

    append_sums(out, stats);
    text_append_string(out,
                       "\nWORKER      PID   GEN  STATE       AGE   CONNS         CPU      LAG   "
                       "MEMORY\n");
    cJSON_ArrayForEach(item, member(stats, "workers")) append_worker(out, item);
    text_append_string(out,
                       "\nMETHOD                          CALLS  ERRORS  UNDER     P50     P99  "
                       "STATE\n");
    cJSON_ArrayForEach(item, member(stats, "methods"))
    {
        if (is_worth_a_row(item))
            append_method(out, item);
    }
}
