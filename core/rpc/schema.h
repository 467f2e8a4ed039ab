/* Schemas: JSON Schema (draft 2020-12), as text, for what a table of params cannot say.
 *
 * A schema is made once, when its module is loaded, and holds what its text says. Whatever a reader
 * would take for a promise and Pillion does not keep is refused there, with its place: keywords
 * that are not supported, references to other documents, patterns beyond rpc/schema_pattern.h, and
 * words that are nearly a keyword. What only describes (title, default, format, x-…) is passed
 * over.
 *
 * Values are checked by one walk through their text (rpc/schema_check.h). */
#ifndef PILLION_RPC_SCHEMA_H
#define PILLION_RPC_SCHEMA_H

#include "base/bytes.h"
#include "base/error.h"

struct schema;

/* Makes the schema of a text that json_check has accepted. NULL with the author's mistake, which
 * begins with its place: "/properties/age/minimum: …". */
struct schema *schema_make(struct bytes text, struct error *error);

/* The bytes of memory that it has. */
size_t schema_held(const struct schema *schema);

void schema_free(struct schema *schema);

#endif
