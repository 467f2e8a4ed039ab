/* What a module says of itself: checking it, and reading its directives. */
#ifndef PILLION_MODULE_DESCRIPTOR_H
#define PILLION_MODULE_DESCRIPTOR_H

#include <assert.h>

#include "module/set.h"

/* The size of the descriptor and rows in interface 1.0: nothing is ever smaller. */
#define DESCRIPTOR_SIZE_MIN (offsetof(pillion_module, stop) + sizeof(void *))
#define METHOD_SIZE_MIN     (offsetof(pillion_method, result) + sizeof(char *))
#define METRIC_SIZE_MIN     (offsetof(pillion_metric, summary) + sizeof(char *)) /* in 1.3 */
/* Descriptors do not tell the size of rows of filters and metrics. A version that adds to them
 * makes the stride follow from abi_minor. */
static_assert(sizeof(pillion_metric) == METRIC_SIZE_MIN, "one stride for all versions");
#define DIRECTIVE_SIZE_MIN (offsetof(pillion_directive, summary) + sizeof(char *))

/* The size of a row of filters in an interface of this minor. */
static inline size_t descriptor_filter_size(uint32_t abi_minor)
{
    return abi_minor >= 4 ? sizeof(pillion_filter)
                          : offsetof(pillion_filter, config_size) + sizeof(size_t);
}
static_assert(sizeof(pillion_filter) == offsetof(pillion_filter, unseen) + sizeof(size_t),
              "a member that is new needs another size here");

/* Copies a module's descriptor as this server knows it. The module may be older: fields that it was
 * compiled without are zero, and rows of its tables are shorter. The tables are copied too (never
 * NULL afterwards), and checked; false with the module author's mistake. */
bool descriptor_copy(const pillion_module *from, pillion_module *to, struct error *error);

/* Frees the tables of a copy. For whoever reads modules without loading them. */
void descriptor_free(pillion_module *copy);

/* The one that `MODULE_method` stands for: the first that has directives of its own; or NULL. */
const pillion_method *descriptor_first_configured(const pillion_module *module);

/* The row of a method, or NULL. */
const pillion_method *descriptor_method(const pillion_module *module, const char *name);

/* Where a block of a module's own directives stands. */
struct directives_place {
    enum conf_context context;
    const char *where; /* the block, as errors name it */
    const struct conf_place *place;
    const struct conf_statement *block;  /* NULL: there is none */
    const struct conf_directive *others; /* whose statements in it are not the module's, or NULL */
};

/* Reads a block into a structure, by a table from a descriptor_copy. */
bool directives_apply(struct module_set *set, const pillion_directive *directives,
                      const struct directives_place *at, void *config);

/* Reads the block of the module's load_module into a configuration structure. */
bool descriptor_configure(struct module_set *set, struct module *module);

#endif
