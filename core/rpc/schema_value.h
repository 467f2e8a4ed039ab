/* Values of JSON as JSON Schema compares them: numbers by what they are worth, strings without
 * their escapes, objects whatever the order of their members. For enum, const and uniqueItems. */
#ifndef PILLION_RPC_SCHEMA_VALUE_H
#define PILLION_RPC_SCHEMA_VALUE_H

#include <stdbool.h>

#include "base/bytes.h"

/* True when the two are equal; both are spans of text that json_check has accepted. `work` loses a
 * unit for each value compared, and more for long ones; with 0 of it the result means nothing. */
bool schema_value_equal(struct bytes a, struct bytes b, uint64_t *work);

/* Values that are equal have the same. `work` likewise. */
uint64_t schema_value_hash(struct bytes value, uint64_t *work);

/* True when the string `written`, with its quotes, is this text. */
bool schema_string_is(const char *written, struct bytes text);

#endif
