/* Methods, and the table in which a server finds them by name.
 *
 * Tables are built as a worker starts and never change while it serves. */
#ifndef PILLION_RPC_METHOD_H
#define PILLION_RPC_METHOD_H

#include <pillion/module.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "rpc/instance.h"

struct param_table;
struct schema;

/* One `filter` statement in this worker. */
struct filter_use {
    const pillion_filter *filter;
    struct pillion_instance *instance; /* the filter's module */
    void *config;                      /* the statement's structure */
};

#define SLOW_NEVER ((uint64_t)INT64_MAX)

struct method {
    struct bytes name; /* as clients call it; NUL-terminated too */
    pillion_handler handler;
    struct pillion_instance *instance;
    void *config;                   /* of its `method` statement, or NULL */
    const char *own_name;           /* the name in the module, for messages: differs when renamed */
    const char *summary;            /* "" when there is none */
    const char *title;              /* NULL when there is none */
    const struct param_table *args; /* the table of its params, or NULL */
    const struct param_table *gives;           /* the table of its result, or NULL */
    const char *params_schema, *result_schema; /* JSON text or NULL */
    const struct schema *params_rule,
        *result_rule;                 /* what is enforced of these: see rpc/validate.h; or NULL */
    const struct filter_use *filters; /* in their order */
    size_t filter_count;
    bool declares;       /* there is something in `args` or `params_rule` */
    bool unseen;         /* some of the filters see requests too that no handler is to see */
    uint64_t timeout_ns; /* 0: no watchdog */
    uint64_t slow_ns;    /* a request that takes so long is logged (rpc/slow.h); SLOW_NEVER */
    uint32_t pool;       /* whose threads do its work: see offload_add_pool */
    bool idempotent;     /* may be run once more after a crash */
    bool read_only;      /* changes nothing */
    bool additive;       /* changes and removes nothing that there was */
    bool tool;           /* agents are offered it: see rpc/mcp.h */
    bool found;          /* by proxy_all: another server has it, and registers it */
    bool has_fields;     /* some of its params come in fields of HTTP, too: rpc/mcp_field.h */
    uint32_t index;      /* in the counters of the board */
};

/* Starts as `{0}`. */
struct method_table {
    struct method *methods; /* sorted by name once sealed */
    size_t count, capacity;
    uint32_t *slots; /* open addressing: 1 + index into `methods`, 0 is free */
    uint32_t mask;
    /* With the filters of the server alone; found by no name. */
    struct method mcp;             /* rpc/mcp.h */
    struct method metrics, status; /* rpc/status.h */
    struct method none; /* stands for the method of a request that has none: with the filters of the
                           server alone, and no handler */
};

/* Adds a copy of `method`. False when the name is there already. */
bool method_table_add(struct method_table *table, const struct method *method);

/* Sorts and hashes; after this the table is only read and pointers into it stay valid. */
void method_table_seal(struct method_table *table);

/* NULL when there is no such method. */
const struct method *method_table_find(const struct method_table *table, struct bytes name);

void method_table_free(struct method_table *table);

#endif
