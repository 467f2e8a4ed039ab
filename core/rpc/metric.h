/* The metrics of each module: those that the server counts for it, and those of its own.
 *
 * A metric is a number in the board, in the row of its worker, and has a name there: "redis
 * memory_bytes" is the server's, "redis.commands" the module's. Probes give the names; a worker
 * looks them up. Without a board, or room in it, the numbers stay in the process and are not
 * shown. */
#ifndef PILLION_RPC_METRIC_H
#define PILLION_RPC_METRIC_H

#include "rpc/board.h"
#include "rpc/instance.h"

/* Of every module. The module's own follow. */
enum module_metric {
    METRIC_MEMORY,      /* bytes that pillion_malloc has given it */
    METRIC_CJSON,       /* bytes in cJSON trees that it has made and not deleted */
    METRIC_WAITING,     /* requests of its methods that are deferred */
    METRIC_TIMERS,      /* that are set */
    METRIC_DESCRIPTORS, /* that are watched */
    MODULE_METRICS
};

/* A row of the module's table that is a histogram. The row's own cell is the sum of all values. */
struct metric_histogram {
    const double *bounds; /* ascending */
    uint32_t count;       /* of bounds; 0: the row is none */
    uint32_t first; /* the cell of the first bucket; there is one more than there are bounds */
};

/* The bounds of histograms whose row gives none. */
#define METRIC_USUAL_BOUNDS 11u
extern const double metric_usual_bounds[METRIC_USUAL_BOUNDS];

/* Gives the instance numbers of its own. `own` is the table of the descriptor. */
void metrics_init(pillion_instance *self, const pillion_metric *own);

/* Appends the names to a list for the master, a line each. In a probe. */
void metrics_describe(const pillion_instance *self, const pillion_metric *own, struct text *list);

/* Gives the names of such a list to the board; cuts the list into lines. In the master, which
 * trusts none of it: a line that is no name is skipped. False when the board is full. */
bool metrics_declare(struct board *board, char *list);

/* From now on the instance's numbers are those in the row. In a worker, before the module runs. */
void metrics_attach(pillion_instance *self, const pillion_metric *own, const struct board *board,
                    struct board_row *row);

static inline void metric_add(const pillion_instance *self, uint32_t metric, int64_t more)
{
    if (metric < self->cell_count)
        metric_cell_add(self->cells[metric], more);
}

/* For METRIC_WAITING to METRIC_DESCRIPTORS only: the loop's thread is their only writer, so no
 * locked add is needed. */
static inline void metric_step(const pillion_instance *self, enum module_metric metric, int more)
{
    if (metric < self->cell_count)
        metric_cell_step(self->cells[metric], more);
}

/* The histogram in the row of the module's table; NULL: it is none. */
static inline const struct metric_histogram *metric_histogram_of(const pillion_instance *self,
                                                                 uint32_t row)
{
    bool known = self->histograms != NULL && row < self->metric_count;
    return known && self->histograms[row].count > 0 ? &self->histograms[row] : NULL;
}

/* Counts the value, which is finite, in that histogram. */
void metric_observe(const pillion_instance *self, uint32_t row, double value);

/* ---- Memory of cJSON ---- */

/* Bytes that this thread has allocated for cJSON, less those it has freed, since the last
 * metric_settle_cjson. */
extern _Thread_local int64_t metric_cjson;

/* Charges them to `self`, the module that has just run. */
static inline void metric_settle_cjson(const pillion_instance *self)
{
    if (metric_cjson == 0)
        return;
    metric_add(self, METRIC_CJSON, metric_cjson);
    metric_cjson = 0;
}

/* ---- Memory of the module's own: pillion_malloc and its kin ---- */

void *metric_realloc(const pillion_instance *self, void *block, size_t size);
void metric_free(const pillion_instance *self, void *block);

#endif
