/* A module's descriptor: copying and checking it, and reading the directives that it declares. */
#ifndef PILLION_MODULE_DESCRIPTOR_H
#define PILLION_MODULE_DESCRIPTOR_H

#include <assert.h>

#include "module/set.h"

/* The sizes of the descriptor and of rows in interface 1.0. They only grow. */
#define DESCRIPTOR_SIZE_MIN (offsetof(pillion_module, stop) + sizeof(void *))
#define METHOD_SIZE_MIN     (offsetof(pillion_method, result) + sizeof(char *))
#define METRIC_SIZE_MIN     (offsetof(pillion_metric, summary) + sizeof(char *)) /* in 1.3 */
#define PARAM_SIZE_MIN      (offsetof(pillion_param, summary) + sizeof(char *))  /* in 1.5 */
/* A descriptor does not tell the size of its rows of filters and metrics. A version that adds
 * members to them must derive the size from abi_minor. */
#define DIRECTIVE_SIZE_MIN (offsetof(pillion_directive, summary) + sizeof(char *))

/* The minor version of the interface in which modules declare their needs. */
#define DECLARES_SINCE 6u

/* The size of a row of filters in the interface with this minor version. */
static inline size_t descriptor_filter_size(uint32_t abi_minor)
{
    return abi_minor >= 4 ? sizeof(pillion_filter)
                          : offsetof(pillion_filter, config_size) + sizeof(size_t);
}
/* The same of metrics. */
static inline size_t descriptor_metric_size(uint32_t abi_minor)
{
    return abi_minor >= 5 ? sizeof(pillion_metric) : METRIC_SIZE_MIN;
}
static_assert(sizeof(pillion_metric) == offsetof(pillion_metric, bound_count) + sizeof(size_t),
              "a member that is new needs another size here");
static_assert(offsetof(pillion_module, name) == 24, "older modules have the same place for it");

static_assert(sizeof(pillion_filter) == offsetof(pillion_filter, unseen) + sizeof(size_t),
              "a member that is new needs another size here");

/* Copies a module's descriptor to this server's version of the structure. The module may be older:
 * members that it was compiled without become zero, and rows of its tables are shorter. The tables
 * are copied (never NULL afterwards) and checked, too. False with the module author's mistake. */
bool descriptor_copy(const pillion_module *from, pillion_module *to, struct error *error);

/* True for one line of UTF-8, or NULL (no text). Clients and the log see the texts of modules:
 * invalid UTF-8 would make every reply that has them, as rpc.list's, invalid JSON. */
bool descriptor_text_is_line(const char *text);

/* Frees the tables of a copy. For callers that read modules without loading them. */
void descriptor_free(pillion_module *copy);

/* The method that `MODULE_method` stands for: the first with directives of its own; or NULL. */
const pillion_method *descriptor_first_configured(const pillion_module *module);

/* The row of a method, or NULL. */
const pillion_method *descriptor_method(const pillion_module *module, const char *name);

/* A block of a module's own directives in the configuration. */
struct directives_place {
    struct module *module;
    enum conf_context context;
    const char *where; /* the block, as errors name it */
    const struct conf_place *place;
    const struct conf_statement *block; /* NULL: there is no block */
    const struct conf_directive
        *others; /* the server's directives that the block may have, too, or NULL */
};

/* Reads the block into `config`, by a table that descriptor_copy has made. */
bool directives_apply(struct module_set *set, const pillion_directive *directives,
                      const struct directives_place *at, void *config);

/* Reads the block of the module's load_module into a configuration structure. */
bool descriptor_configure(struct module_set *set, struct module *module);

#endif
