/* Binds `method` statements of the configuration to methods of the loaded modules. Names are
 * resolved when a process starts; a request only looks its method up in the finished table
 * (rpc/method.h). Probes and workers only. */
#ifndef PILLION_MODULE_BIND_H
#define PILLION_MODULE_BIND_H

#include "module/set.h"
#include "rpc/method.h"

/* Makes the method table of one server: resolves each `method` statement to a loaded module's
 * method. A method that no module provides is an error that lists the methods they offer, with a
 * suggestion. Timeouts come from the statement, or from `handler_timeout_ms`. */
bool module_set_bind(struct module_set *set, const struct server_settings *server,
                     uint64_t handler_timeout_ms, struct method_table *table);

#endif
