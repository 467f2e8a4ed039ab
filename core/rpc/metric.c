/* Metrics of modules. See metric.h. */
#include "rpc/metric.h"

#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/metric_shown.h"

_Thread_local int64_t metric_cjson;

static const char *const names[MODULE_METRICS] = {
    [METRIC_MEMORY] = "memory_bytes", [METRIC_CJSON] = "cjson_bytes",
    [METRIC_WAITING] = "waiting",     [METRIC_TIMERS] = "timers",
    [METRIC_DESCRIPTORS] = "watched",
};

const double metric_usual_bounds[METRIC_USUAL_BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                         0.5,   1,    2.5,   5,    10};

static const char kinds[] = {[BOARD_COUNTER] = '+', [BOARD_GAUGE] = '=', [BOARD_SUM] = '~'};

static uint32_t count_own(const pillion_metric *own)
{
    uint32_t count = 0;

    while (own != NULL && own[count].name != NULL)
        count++;
    return count;
}

/* The name in the board of a cell that is a row's own, or a bucket of its histogram. Modules' and
 * metrics' names hold neither dot nor space. */
static void own_name(const pillion_instance *self, const pillion_metric *own, uint32_t index,
                     char *name)
{
    uint32_t row = index - MODULE_METRICS;
    const struct metric_histogram *histogram = NULL;

    if (row < self->metric_count) {
        snprintf(name, BOARD_NAME_MAX, "%s.%s%s", self->name, own[row].name,
                 metric_histogram_of(self, row) == NULL ? "" : METRIC_SUM);
        return;
    }
    for (row = 0; histogram == NULL || index - histogram->first > histogram->count; row++)
        histogram = metric_histogram_of(self, row);
    uint32_t bucket = index - histogram->first;
    metric_bucket_name(name, self->name, own[row - 1].name,
                       bucket == histogram->count ? INFINITY : histogram->bounds[bucket]);
}

/* The name in the board. `index` counts the server's first. */
static void full_name(const pillion_instance *self, const pillion_metric *own, uint32_t index,
                      char *name)
{
    if (index < MODULE_METRICS)
        snprintf(name, BOARD_NAME_MAX, "%s %s", self->name, names[index]);
    else
        own_name(self, own, index, name);
}

static enum board_metric_kind kind_of(const pillion_instance *self, const pillion_metric *own,
                                      uint32_t index)
{
    uint32_t row = index - MODULE_METRICS;

    if (index < MODULE_METRICS)
        return BOARD_GAUGE;
    if (row >= self->metric_count)
        return BOARD_COUNTER;
    return own[row].type == PILLION_HISTOGRAM ? BOARD_SUM
           : own[row].type == PILLION_GAUGE   ? BOARD_GAUGE
                                              : BOARD_COUNTER;
}

/* Notes where the buckets of the module's histograms are: behind the cells of all rows. */
static void place_histograms(pillion_instance *self, const pillion_metric *own)
{
    for (uint32_t i = 0; i < self->metric_count; i++) {
        if (own[i].type != PILLION_HISTOGRAM)
            continue;
        if (self->histograms == NULL)
            self->histograms = must_zalloc(self->metric_count * sizeof(*self->histograms));
        self->histograms[i] = (struct metric_histogram){.bounds = own[i].bounds,
                                                        .count = (uint32_t)own[i].bound_count,
                                                        .first = self->cell_count};
        self->cell_count += (uint32_t)own[i].bound_count + 1;
    }
}

void metrics_init(pillion_instance *self, const pillion_metric *own)
{
    self->metric_count = count_own(own);
    self->cell_count = MODULE_METRICS + self->metric_count;
    place_histograms(self, own);
    /* The pointers, and the cells that they point to until there is a row. */
    self->cells = must_zalloc(self->cell_count * (sizeof(metric_cell *) + sizeof(metric_cell)));
    metric_cell *cells = (metric_cell *)(self->cells + self->cell_count);
    for (uint32_t i = 0; i < self->cell_count; i++)
        self->cells[i] = &cells[i];
}

void metric_observe(const pillion_instance *self, uint32_t row, double value)
{
    const struct metric_histogram *histogram = &self->histograms[row];
    uint32_t bucket = 0;

    while (bucket < histogram->count && value > histogram->bounds[bucket])
        bucket++;
    metric_cell_add(self->cells[histogram->first + bucket], 1);
    metric_cell_add_real(self->cells[MODULE_METRICS + row], value);
}

void metrics_describe(const pillion_instance *self, const pillion_metric *own, struct text *list)
{
    char name[BOARD_NAME_MAX];

    for (uint32_t i = 0; i < self->cell_count; i++) {
        full_name(self, own, i, name);
        text_printf(list, "%c%s\n", kinds[kind_of(self, own, i)], name);
    }
}

/* The list comes from a process that has run modules: it may hold anything. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            return false;
    }
    return *name != '\0';
}

bool metrics_declare(struct board *board, char *list)
{
    bool all = true;

    for (char *rest, *line = strtok_r(list, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *kind = memchr(kinds, *line, sizeof(kinds));
        if (kind != NULL && is_name(line + 1))
            all = board_add_metric(board, line + 1, (enum board_metric_kind)(kind - kinds)) !=
                      BOARD_NO_METRIC &&
                  all;
    }
    return all;
}

void metrics_attach(pillion_instance *self, const pillion_metric *own, const struct board *board,
                    struct board_row *row)
{
    char name[BOARD_NAME_MAX];

    for (uint32_t i = 0; i < self->cell_count; i++) {
        full_name(self, own, i, name);
        uint32_t index = board_find_metric(board, bytes_of(name));
        if (index == BOARD_NO_METRIC)
            continue;
        row->metrics[index] = *self->cells[i]; /* counted by constructors and tables so far */
        self->cells[i] = &row->metrics[index];
    }
}

/* ---- Memory ---- */

/* In front of each block, and aligned as malloc(3) does. */
struct head {
    alignas(max_align_t) size_t size;
};

void *metric_realloc(const pillion_instance *self, void *block, size_t size)
{
    struct head *head = block == NULL ? NULL : (struct head *)block - 1;
    size_t before = head == NULL ? 0 : head->size;

    if (size > SIZE_MAX - sizeof(*head))
        return NULL;
    head = realloc(head, sizeof(*head) + size);
    if (head == NULL)
        return NULL;
    head->size = size;
    metric_add(self, METRIC_MEMORY, (int64_t)size - (int64_t)before);
    return head + 1;
}

void metric_free(const pillion_instance *self, void *block)
{
    struct head *head = block == NULL ? NULL : (struct head *)block - 1;

    if (head == NULL)
        return;
    metric_add(self, METRIC_MEMORY, -(int64_t)head->size);
    free(head);
}
