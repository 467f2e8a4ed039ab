/* Checking values by a schema: one walk through text that has passed the strict check
 * (wire/json.h). There is no tree, and memory is taken only for faults, and for uniqueItems.
 *
 * Schemas may have a value looked at again and again (allOf, $ref), and some, nested, would have
 * that grow beyond all bounds. So the work is counted: a value may cost SCHEMA_WORK_BASE, and
 * SCHEMA_WORK_BYTE for each of its bytes, and is refused beyond that. A unit is a step of a
 * pattern, a value met, or 16 bytes passed over: 50 million a second, about. */
#ifndef PILLION_RPC_SCHEMA_CHECK_H
#define PILLION_RPC_SCHEMA_CHECK_H

#include "rpc/fault.h"
#include "rpc/schema.h"

#define SCHEMA_WORK_BASE 1000000u
#define SCHEMA_WORK_BYTE 32u
#define SCHEMA_STACK_MAX 2048u /* schemas in each other while one value is checked */

/* Checks the value. What is wrong is added to the faults, whose paths begin with `name`. */
void schema_check(const struct schema *schema, struct bytes value, const char *name,
                  struct faults *faults);

/* True when the schema is about objects, and takes no null: null is then for params that are left
 * out, as for {}. */
bool schema_wants_object(const struct schema *schema);

/* True when the schema, of an object, says that its member of this name is a string. */
bool schema_wants_text(const struct schema *schema, struct bytes name);

#endif
