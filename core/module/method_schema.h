/* The schemas that a module's methods declare as text: whether they can be enforced (rpc/schema.h).
 * Modules of interfaces before SCHEMA_MINOR have declared theirs when nothing was enforced. They
 * are only shown, as before, unless the configuration says `validate`; and one that is no schema is
 * never enforced. */
#ifndef PILLION_MODULE_METHOD_SCHEMA_H
#define PILLION_MODULE_METHOD_SCHEMA_H

#include "module/descriptor.h"

#define SCHEMA_MINOR 5u

/* Checks the schemas of a copy (descriptor_copy). `abi_minor` is what the module was built for.
 * False with the author's mistake. Appends a line to `advice` for each that is not enforced. */
bool method_schemas_check(const pillion_module *module, unsigned abi_minor, struct text *advice,
                          struct error *error);

#endif
