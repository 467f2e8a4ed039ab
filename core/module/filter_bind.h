/* Binds `filter` statements of the configuration to filters of the loaded modules, for bind.c.
 * rpc/run.h runs the filters around a request. */
#ifndef PILLION_MODULE_FILTER_BIND_H
#define PILLION_MODULE_FILTER_BIND_H

#include "module/set.h"

struct filter_list {
    struct filter_use *uses;
    size_t count;
};

/* Makes the list of filters that run around a method: those of `before`, the server's (or NULL),
 * and one for each statement. False with errors reported: no module provides a filter, or its
 * directives are wrong. */
bool filters_bind(struct module_set *set, const struct filter_settings *statements,
                  const struct filter_list *before, struct filter_list *list);

#endif
