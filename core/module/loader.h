/* Loading modules: from sealed bytes to methods that can be called.
 *
 * Only probes and workers call this, never the master. A module is inspected as bytes first
 * (module/elf.h), to find mistakes before any of its code, constructors included, runs. Then it is
 * loaded with RTLD_NOW | RTLD_LOCAL, its descriptor is checked, and its directives are read.
 * Modules are never unloaded before the process ends. */
#ifndef PILLION_MODULE_LOADER_H
#define PILLION_MODULE_LOADER_H

#include "module/set.h"
#include "rpc/board.h"

/* Loads all modules and reads their directives. Errors are added to set->errors at the place of
 * their load_module, as many as can be found in one run. `slot` and the two after it are for
 * pillion_worker() and its kin. */
bool module_set_load(struct module_set *set, const struct module_file *files, size_t count,
                     int slot, int slots, uint64_t generation);

/* Appends the names of the modules' metrics to a list for the master (metrics_declare). */
void module_set_describe_metrics(const struct module_set *set, struct text *list);

/* From now on the modules' metrics count in the worker's row. */
void module_set_attach(struct module_set *set, const struct board *board, struct board_row *row);

/* Sets the number that pillion_worker returns from now on. */
void module_set_slot(struct module_set *set, int slot);

#endif
