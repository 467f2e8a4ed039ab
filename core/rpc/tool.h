/* Methods as tools of agents, in the words of MCP (the Model Context Protocol): which methods are
 * tools, and the list of them. */
#ifndef PILLION_RPC_TOOL_H
#define PILLION_RPC_TOOL_H

#include "rpc/method.h"

/* True when the method can be a tool without more being said: its name may be a tool's, and it
 * declares params that are an object. */
bool tool_is_declared(const struct method *method);

/* True when a tool may have this name. */
bool tool_name_is_valid(struct bytes name);

/* Appends `[{"name": …}, …]`, in the order of names. */
void tool_list(const struct method_table *table, struct text *out);

#endif
