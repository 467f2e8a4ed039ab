/* Fields of HTTP that repeat what a request of MCP says in its body, since revision 2026-07-28, so
 * that a balancer can tell requests apart without reading bodies. Whatever decides by them must not
 * see another request than the one that is run: they have to say the same.
 *
 * Pure functions over bytes, but for the memory. */
#ifndef PILLION_RPC_MCP_FIELD_H
#define PILLION_RPC_MCP_FIELD_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/memory.h"

/* True when the field's value, which may be in base64 as `=?base64?…?=`, is this text. */
bool mcp_field_is(struct bytes field, struct bytes text, struct pool *pool);

/* True when params by this schema, a JSON Schema or NULL, have fields of their own: properties with
 * `"x-mcp-header": NAME`. */
bool mcp_schema_has_fields(const char *schema);

/* Compares each such param of the arguments, an object, with its field Mcp-Param-NAME. One that is
 * absent or null has none. Returns false when they differ; `wrong` is NAME then, in `pool`. */
bool mcp_params_are(struct bytes fields, struct bytes schema, struct bytes arguments,
                    struct pool *pool, struct bytes *wrong);

#endif
