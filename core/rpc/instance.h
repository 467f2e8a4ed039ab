/* A module in this process, as requests and hooks see it: what `pillion_instance` is. */
#ifndef PILLION_RPC_INSTANCE_H
#define PILLION_RPC_INSTANCE_H

#include <pillion/module.h>
#include <stdint.h>

#include "base/counter.h"

struct pillion_instance {
    const char *name;    /* borrowed from the descriptor */
    const char *version; /* likewise; "" when the module gives none */
    void *config;        /* config_size bytes filled from the directives, or NULL */
    void *state;         /* the module's own */
    uint32_t number;     /* 1 + its index in its worker's row of the board; 0: it has none */
    int worker;          /* the slot, or -1 in a probe */
    int worker_count;
    uint64_t generation;
    uint32_t pool;       /* whose threads do its work: see offload_add_pool */
    uint32_t abi_minor;  /* of the interface that it was built for */
    metric_cell **cells; /* of its metrics: see rpc/metric.h */
    uint32_t cell_count;
    uint32_t metric_count;               /* rows of its own table */
    struct metric_histogram *histograms; /* by row; NULL: none of them is one */
};

#endif
