/* Calls the hooks of modules, of the handlers of `method` statements and of the filters of `filter`
 * statements. `stage` is told before each hook but `reopen`. Each hook but `stop` is noted while it
 * runs (rpc/note.h), so that a crash in it is put down to its module. */
#ifndef PILLION_MODULE_HOOKS_H
#define PILLION_MODULE_HOOKS_H

#include "module/set.h"

/* Calls every `check` hook, and collects all errors. */
bool module_set_check(struct module_set *set);

/* Calls the `start` hooks in order, up to the first that fails. */
bool module_set_start(struct module_set *set);

/* Calls every `reopen` hook. Adds a line to `failures` for each module that could not open its
 * files. */
void module_set_reopen(struct module_set *set, struct text *failures);

/* Calls the `stop` hooks of everything that was started, in reverse order. */
void module_set_stop(struct module_set *set);

#endif
