/* What a module says of itself: checking it, and reading its directives. */
#ifndef PILLION_MODULE_DESCRIPTOR_H
#define PILLION_MODULE_DESCRIPTOR_H

#include "module/loader.h"

/* The size of the descriptor and rows in interface 1.0: nothing is ever smaller. */
#define DESCRIPTOR_SIZE_MIN (offsetof(pillion_module, stop) + sizeof(void *))
#define METHOD_SIZE_MIN     (offsetof(pillion_method, result) + sizeof(char *))
#define DIRECTIVE_SIZE_MIN  (offsetof(pillion_directive, summary) + sizeof(char *))

/* Copies a module's descriptor as this server knows it. The module may be older: fields that it was
 * compiled without are zero, and rows of its tables are shorter. The tables are copied too (never
 * NULL afterwards), and checked; false with the module author's mistake. */
bool descriptor_copy(const pillion_module *from, pillion_module *to, struct error *error);

/* The row of a method, or NULL. */
const pillion_method *descriptor_method(const pillion_module *module, const char *name);

/* Reads the block of the module's load_module into a configuration structure. */
bool descriptor_configure(struct module_set *set, struct module *module);

#endif
