/* A table of params as a JSON Schema (2020-12): what clients, agents and documentation are told. It
 * says what reading by the table enforces, with one exception: a schema cannot say that a string
 * must not hold \u0000.
 *
 * Of a result it says what writing by the table enforces: which members are always there, and that
 * others may come with a later version. */
#ifndef PILLION_RPC_PARAM_SCHEMA_H
#define PILLION_RPC_PARAM_SCHEMA_H

#include "rpc/param_row.h"

/* Appends the schema; with `gives` that of a result. */
void param_schema(struct text *out, const struct param_table *table, bool gives);

#endif
