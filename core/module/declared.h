/* What a configuration declares of a method in its module's place (`declares`): a JSON object with
 * the members of a row of pillion_method, as registries have it of each method, too. For methods
 * that another server answers, of which a module knows nothing. Probes and workers only. */
#ifndef PILLION_MODULE_DECLARED_H
#define PILLION_MODULE_DECLARED_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"

/* NULL: it does not say. Texts live in the pool. */
struct declared {
    const char *summary, *title;
    const char *params, *result; /* schemas that rpc/schema.h takes */
    const bool *idempotent, *read_only, *additive;
};

/* Reads `text`. False with what is wrong. Where it is `lenient`, whatever is wrong is left out, a
 * line for it is appended to `advice`, and the result is true. */
bool declared_read(const char *text, bool lenient, struct pool *pool, struct declared *to,
                   struct text *advice, struct error *error);

#endif
