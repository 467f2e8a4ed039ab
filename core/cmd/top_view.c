/* Composing frames. See top_view.h. */
#include "cmd/top_view.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "cmd/columns.h"
#include "cmd/figures.h"
#include "cmd/registry_line.h"
#include "cmd/tls_line.h"

#define NAME_WIDEST 40
#define LOW_SCREEN  12 /* rows; below it there is no room for workers */

#define REVERSE "\033[7m"
#define RED     "\033[31m"

#define WORKER(member) offsetof(struct sample_worker, member)
static const struct column worker_columns[] = {
    {"WORKER", 6, true, 0, CELL_NUMBER, WORKER(slot)},
    {"PID", 8, false, 3, CELL_NUMBER, WORKER(pid)},
    {"GEN", 5, false, 6, CELL_NUMBER, WORKER(generation)},
    {"STATE", 11, true, 0, CELL_WORD, WORKER(state)},
    {"FOR", 6, false, 2, CELL_AGE, WORKER(state_s)},
    {"AGE", 6, false, 7, CELL_AGE, WORKER(age_s)},
    {"CONNS", 7, false, 0, CELL_COUNT, WORKER(connections)},
    {"MSGS/S", 8, false, 0, CELL_RATE, WORKER(rate)},
    {"CPU", 6, false, 1, CELL_PART, WORKER(cpu)},
    {"LAG", 8, false, 5, CELL_TIME, WORKER(lag_us)},
    {"MEMORY", 8, false, 4, CELL_BYTES, WORKER(private_bytes)},
};

#define METHOD(member) offsetof(struct sample_method, member)
static const struct column method_columns[] = {
    {"METHOD", 10, true, 0, CELL_NAME, METHOD(name)},
    {"CALLS/S", 9, false, 0, CELL_RATE, METHOD(lately.rate)},
    {"ERR/S", 8, false, 2, CELL_RATE, METHOD(lately.error_rate)},
    {"P50", 8, false, 4, CELL_TIME, METHOD(lately.p50_us)},
    {"P99", 8, false, 3, CELL_TIME, METHOD(lately.p99_us)},
    {"UNDER", 7, false, 5, CELL_COUNT, METHOD(in_flight)},
    {"STATE", 13, true, 1, CELL_STATE, METHOD(quarantined)},
    {"ERRORS A SECOND, BY CODE", 52, true, 9, CELL_CODES, METHOD(lately.errors)},
};

#define COUNT(columns) (sizeof(columns) / sizeof(*(columns)))

/* ---- Lines ---- */

static bool is_begin(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80; /* of a character of UTF-8 */
}

static size_t cut(const char *line, int width)
{
    size_t size = 0;

    for (int columns = 0; line[size] != '\0'; size++) {
        if (is_begin(line[size]) && columns++ == width)
            break;
    }
    return size;
}

void top_view_line(struct text *out, const struct top_view *view, const char *style,
                   const char *line)
{
    size_t size = cut(line, view->width);

    text_append_string(out, style);
    text_append(out, (struct bytes){line, size});
    if (strcmp(style, REVERSE) == 0) {
        int columns = 0;
        for (size_t i = 0; i < size; i++)
            columns += is_begin(line[i]);
        text_printf(out, "%*s", view->width - columns, "");
    }
    text_append_string(out, style[0] == '\0' ? "\n" : "\033[0m\n");
}

static const char *reverse(const struct top_view *view)
{
    return view->styled ? REVERSE : "";
}

static const char *red(const struct top_view *view, bool bad)
{
    return view->colours && bad ? RED : "";
}

static void add_titles(struct text *out, const struct top_view *view, const struct columns *columns,
                       size_t marked)
{
    struct text line = {0};

    columns_titles(&line, columns, marked);
    top_view_line(out, view, reverse(view), text_string(&line));
    text_free(&line);
}

static void add_row(struct text *out, const struct top_view *view, const struct columns *columns,
                    const void *row, bool bad)
{
    struct text line = {0};

    columns_row(&line, columns, row);
    top_view_line(out, view, red(view, bad), text_string(&line));
    text_free(&line);
}

/* ---- Sums ---- */

void top_view_note(struct top_view *view, const struct sample *sample)
{
    spark_add(&view->series[TOP_REQUESTS], sample->lately.rate);
    spark_add(&view->series[TOP_ERRORS], sample->lately.error_rate);
    spark_add(&view->series[TOP_P99], sample->lately.p99_us);
    spark_add(&view->series[TOP_CONNECTIONS], sample->open);
}

static void append_series(struct text *out, const struct top_view *view, enum top_series which,
                          const struct sample *sample, int width)
{
    static const char *const titles[] = {[TOP_REQUESTS] = "requests/s",
                                         [TOP_ERRORS] = "errors/s",
                                         [TOP_P99] = "p99",
                                         [TOP_CONNECTIONS] = "connections"};
    const double now[] = {[TOP_REQUESTS] = sample->lately.rate,
                          [TOP_ERRORS] = sample->lately.error_rate,
                          [TOP_P99] = sample->lately.p99_us,
                          [TOP_CONNECTIONS] = sample->open};
    int room = width - 11 - 7 - 1;

    text_printf(out, "%-11s", titles[which]);
    if (which == TOP_P99)
        figure_time(out, now[which], 7);
    else if (which == TOP_CONNECTIONS)
        figure_count(out, now[which], 7);
    else
        figure_rate(out, now[which], 7);
    text_append_char(out, ' ');
    if (room > 0)
        spark_append(out, &view->series[which], room, view->utf8);
}

static void add_pair(struct text *out, const struct top_view *view, enum top_series left,
                     const struct sample *sample)
{
    struct text line = {0};
    int width = (view->width - 2) / 2;

    append_series(&line, view, left, sample, width);
    text_append_string(&line, "  ");
    append_series(&line, view, left + 1, sample, width);
    top_view_line(out, view, "", text_string(&line));
    text_free(&line);
}

static void add_sums(struct text *out, const struct top_view *view, const struct sample *sample)
{
    struct text line = {0};
    bool bad = sample->reload_failed;

    text_printf(&line, "generation %.0f, up ", sample->generation);
    figure_age(&line, sample->uptime_s, 0);
    text_printf(&line, "; %.0f reloads, %.0f failed%s; %.0f crashes, %.0f hangs", sample->reloads,
                sample->reloads_failed, sample->reload_failed ? " (the last one)" : "",
                sample->crashes, sample->hangs);
    if (sample->unheld > 0)
        text_printf(&line, "; %.0f connections in no vault", sample->unheld);
    top_view_line(out, view, red(view, bad), text_string(&line));
    text_free(&line);
    add_pair(out, view, TOP_REQUESTS, sample);
    add_pair(out, view, TOP_P99, sample);
}

/* Whether there is room for lines beside the sums and a few methods. */
static bool has_room(const struct top_view *view)
{
    return view->rows == TOP_ALL || view->rows >= LOW_SCREEN;
}

/* Returns how many lines that takes. */
static int add_tls(struct text *out, const struct top_view *view, const struct sample *sample)
{
    struct text line = {0};

    if (!sample_has_tls(sample) || !has_room(view))
        return 0;
    tls_line_lately(&line, sample);
    top_view_line(out, view, red(view, sample->handshake_failed_rate > 0), text_string(&line));
    text_free(&line);
    return 1;
}

/* The same for the registry. */
static int add_registry(struct text *out, const struct top_view *view, const struct sample *sample)
{
    const struct sample_registry *registry = &sample->registry;
    struct text line = {0};

    if (!registry->shown || !has_room(view))
        return 0;
    registry_line(&line, registry);
    top_view_line(out, view, red(view, registry->configured && !registry->connected),
                  text_string(&line));
    text_free(&line);
    return 1;
}

/* ---- Workers ---- */

/* Rows for workers: at most four on a screen of 24, or as many as leave room for a few methods
 * where so many lines are `used`. */
static size_t worker_room(const struct top_view *view, int used)
{
    int most = view->rows - used - 6;

    if (view->workers == TOP_WORKERS_NONE || view->rows < LOW_SCREEN)
        return 0;
    return (size_t)(view->workers == TOP_WORKERS_SOME && view->rows != TOP_ALL ? view->rows / 6
                    : most > 1                                                 ? most
                                                                               : 1);
}

static int add_workers(struct text *out, const struct top_view *view, const struct sample *sample,
                       int used)
{
    const struct columns columns =
        columns_fit(worker_columns, COUNT(worker_columns), view->width, 0);
    size_t room = worker_room(view, used), shown = sample->worker_count;
    char more[80];

    if (room == 0)
        return 0;
    if (shown > room)
        shown = room - 1;
    add_titles(out, view, &columns, columns.count);
    for (size_t i = 0; i < shown; i++) {
        const struct sample_worker *worker = &sample->workers[i];
        add_row(out, view, &columns, worker, false);
    }
    if (shown < sample->worker_count) {
        snprintf(more, sizeof(more), "... and %zu more (1 shows %s)", sample->worker_count - shown,
                 view->workers == TOP_WORKERS_SOME ? "them" : "none");
        top_view_line(out, view, "", more);
        shown++;
    }
    top_view_line(out, view, "", "");
    return (int)shown + 2;
}

/* ---- Methods ---- */

static struct columns fit_methods(const struct top_view *view)
{
    return columns_fit(method_columns, COUNT(method_columns), view->width, NAME_WIDEST);
}

void top_view_sort(struct top_view *view, bool right)
{
    const struct columns columns = fit_methods(view);
    size_t at = view->sort;

    do {
        if ((right && at + 1 == columns.count) || (!right && at == 0))
            return;
        at = right ? at + 1 : at - 1;
    } while (columns.widths[at] == 0);
    view->sort = at;
}

const char *top_view_sorted_by(const struct top_view *view)
{
    return method_columns[view->sort].title;
}

/* By the column of `context`, and where that is the same, by name. */
static int compare(const void *a, const void *b, void *context)
{
    const struct column *column = context;
    const struct sample_method *one = *(const struct sample_method *const *)a,
                               *other = *(const struct sample_method *const *)b;
    int order = columns_compare(column, one, other);

    return order != 0 ? order : strcmp(one->name, other->name);
}

static bool holds(const char *name, const char *part)
{
    size_t size = strlen(part);

    for (; strlen(name) >= size; name++) {
        if (strncasecmp(name, part, size) == 0)
            return true;
    }
    return false;
}

/* The methods to show, in their order. The caller frees them. */
static const struct sample_method **sorted(const struct top_view *view, const struct sample *sample,
                                           size_t *count)
{
    const struct sample_method **rows = must_alloc((sample->method_count + 1) * sizeof(*rows));

    *count = 0;
    for (size_t i = 0; i < sample->method_count; i++) {
        if (holds(sample->methods[i].name, view->filter))
            rows[(*count)++] = &sample->methods[i];
    }
    qsort_r(rows, *count, sizeof(*rows), compare, (void *)(uintptr_t)&method_columns[view->sort]);
    return rows;
}

static void add_methods(struct text *out, struct top_view *view, const struct sample *sample,
                        int room)
{
    const struct columns columns = fit_methods(view);
    size_t count;
    const struct sample_method **rows = sorted(view, sample, &count);
    size_t most = room > 0 ? (size_t)room : 0;

    add_titles(out, view, &columns, view->sort);
    if (view->scroll + most > count)
        view->scroll = count > most ? count - most : 0;
    view->page = count - view->scroll < most ? count - view->scroll : most;
    view->methods = count;
    for (size_t i = 0; i < view->page; i++) {
        const struct sample_method *method = rows[view->scroll + i];
        add_row(out, view, &columns, method, method->quarantined);
    }
    if (count == 0 && room > 0) {
        top_view_line(out, view, "", view->filter[0] == '\0' ? "no methods" : "no such methods");
        view->page = 1;
    }
    free(rows);
}

/* With the place in the list, where there is nothing more important to say. */
static void add_bottom(struct text *out, const struct top_view *view)
{
    struct text line = {0};

    text_append_string(&line, view->bottom);
    if (!view->alarm && view->methods > view->page)
        text_printf(&line, "  methods %zu-%zu of %zu", view->scroll + 1, view->scroll + view->page,
                    view->methods);
    top_view_line(out, view, view->alarm ? reverse(view) : "", text_string(&line));
    text_free(&line);
}

void top_view_append(struct text *out, struct top_view *view, const struct sample *sample)
{
    bool bottom = view->bottom[0] != '\0';
    int used = 4; /* sums, and an empty line */

    add_sums(out, view, sample);
    used += add_tls(out, view, sample);
    used += add_registry(out, view, sample);
    top_view_line(out, view, "", "");
    used += add_workers(out, view, sample, used);
    add_methods(out, view, sample, view->rows - used - 1 - bottom);
    if (!bottom)
        return;
    int blank = view->rows == TOP_ALL ? 0 : view->rows - used - 2 - (int)view->page;
    for (; blank > 0; blank--)
        top_view_line(out, view, "", "");
    add_bottom(out, view);
}
