/* Calls the hooks of modules: of the module itself, of the handlers of `method` statements and of
 * the filters of `filter` statements. `stage` is told before each
 * but `reopen`; each but `stop` is noted while it runs (rpc/note.h): a crash in it is the module's.
 */
#ifndef PILLION_MODULE_HOOKS_H
#define PILLION_MODULE_HOOKS_H

#include "module/set.h"

/* Calls every `check` hook: all are called, all errors are collected. */
bool module_set_check(struct module_set *set);

/* Calls `start` hooks in order and stops at the first that fails. */
bool module_set_start(struct module_set *set);

/* Calls the `reopen` hooks, all of them. What could not be opened is added to `failures`, a line
 * for each module. */
void module_set_reopen(struct module_set *set, struct text *failures);

/* Calls the `stop` hooks of what was started, in reverse order. */
void module_set_stop(struct module_set *set);

#endif
