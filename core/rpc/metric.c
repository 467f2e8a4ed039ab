/* Metrics of modules. See metric.h. */
#include "rpc/metric.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

_Thread_local int64_t metric_cjson;

static const char *const names[MODULE_METRICS] = {
    [METRIC_MEMORY] = "memory_bytes", [METRIC_CJSON] = "cjson_bytes",
    [METRIC_WAITING] = "waiting",     [METRIC_TIMERS] = "timers",
    [METRIC_DESCRIPTORS] = "watched",
};

#define GAUGE   '='
#define COUNTER '+'

static uint32_t count_own(const pillion_metric *own)
{
    uint32_t count = 0;

    while (own != NULL && own[count].name != NULL)
        count++;
    return count;
}

/* The name in the board. `index` counts the server's first. Modules' and metrics' names hold
 * neither dot nor space. */
static void full_name(const pillion_instance *self, const pillion_metric *own, uint32_t index,
                      char *name)
{
    if (index < MODULE_METRICS)
        snprintf(name, BOARD_NAME_MAX, "%s %s", self->name, names[index]);
    else
        snprintf(name, BOARD_NAME_MAX, "%s.%s", self->name, own[index - MODULE_METRICS].name);
}

void metrics_init(pillion_instance *self, const pillion_metric *own)
{
    self->cell_count = MODULE_METRICS + count_own(own);
    /* The pointers, and the cells that they point to until there is a row. */
    self->cells = must_zalloc(self->cell_count * (sizeof(metric_cell *) + sizeof(metric_cell)));
    metric_cell *cells = (metric_cell *)(self->cells + self->cell_count);
    for (uint32_t i = 0; i < self->cell_count; i++)
        self->cells[i] = &cells[i];
}

void metrics_describe(const pillion_instance *self, const pillion_metric *own, struct text *list)
{
    char name[BOARD_NAME_MAX];

    for (uint32_t i = 0; i < self->cell_count; i++) {
        bool gauge = i < MODULE_METRICS || own[i - MODULE_METRICS].type == PILLION_GAUGE;
        full_name(self, own, i, name);
        text_printf(list, "%c%s\n", gauge ? GAUGE : COUNTER, name);
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
        if ((*line == GAUGE || *line == COUNTER) && is_name(line + 1))
            all = board_add_metric(board, line + 1, *line == GAUGE) != BOARD_NO_METRIC && all;
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
