/* Binds `filter` statements of the configuration to filters of the loaded modules, and starts and
 * stops them. For loader.c and bind.c. What a filter does around a request is rpc/filter.h's. */
#ifndef PILLION_MODULE_FILTER_BIND_H
#define PILLION_MODULE_FILTER_BIND_H

#include "module/loader.h"

struct filter_list {
    struct filter_use *uses;
    size_t count;
};

/* Makes the list of what runs around a method: `before`, the server's (or NULL), and one for each
 * statement. False with errors reported: a filter that no module provides, directives that are
 * wrong. */
bool filters_bind(struct module_set *set, const struct filter_settings *statements,
                  const struct filter_list *before, struct filter_list *list);

/* Calls what a statement's handler or filter has to start with; `kind` and `name` are the
 * statement's in errors. True when there is nothing to call. In loader.c. */
typedef int statement_hook(pillion_instance *self, void *config, pillion_error_text *error);
bool statement_start(struct module_set *set, struct module *module, statement_hook *start,
                     void *config, const struct conf_place *place, const char *kind,
                     const char *name);

/* The `start` of the module's handlers, for each `method` statement. In bind.c. */
bool methods_start(struct module_set *set, const struct module *module);

/* The hooks of the module's filters, for each statement. */
bool filters_start(struct module_set *set, const struct module *module);
void filters_stop(struct module_set *set, const struct module *module);

#endif
