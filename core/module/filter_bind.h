/* Binds `filter` statements of the configuration to filters of the loaded modules, for bind.c. What
 * a filter does around a request is rpc/filter.h's. */
#ifndef PILLION_MODULE_FILTER_BIND_H
#define PILLION_MODULE_FILTER_BIND_H

#include "module/set.h"

struct filter_list {
    struct filter_use *uses;
    size_t count;
};

/* Makes the list of what runs around a method: `before`, the server's (or NULL), and one for each
 * statement. False with errors reported: a filter that no module provides, directives that are
 * wrong. */
bool filters_bind(struct module_set *set, const struct filter_settings *statements,
                  const struct filter_list *before, struct filter_list *list);

#endif
