/* Making a table of params ready to read requests by: checks every row, and works out what can be
 * known beforehand. At load time, in every process that loads modules, and in tools. */
#ifndef PILLION_RPC_PARAM_TABLE_H
#define PILLION_RPC_PARAM_TABLE_H

#include "base/error.h"
#include "rpc/param_row.h"

/* Makes the table of rows in this server's version (module/descriptor.h), which have to live as
 * long. The row that ends them, otherwise of zeros, may tell as its `members` where the module has
 * them. `size` is that of the structure that they fill. NULL with the author's mistake, which names
 * the row. */
struct param_table *param_table_make(const pillion_param *params, size_t size, bool open,
                                     struct error *error);

/* The same for the table of a result: what is written by it. */
struct param_table *param_table_make_gives(const pillion_param *members, size_t size,
                                           struct error *error);
void param_table_free(struct param_table *table);

#endif
