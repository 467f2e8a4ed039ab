/* Params by position: what JSON-RPC allows in the place of an object (section 4.2). A method that
 * declares its params as an object gets one: the elements, under the names of the properties, in
 * the order in which its schema has them. Pure functions over bytes. */
#ifndef PILLION_WIRE_POSITIONAL_H
#define PILLION_WIRE_POSITIONAL_H

#include "wire/json.h"

/* The properties of a JSON Schema whose type is `object`, and no other; data is NULL for any other
 * schema, and for NULL. */
struct bytes positional_properties(const char *schema);

/* The number of the properties, which may be given by position. */
size_t positional_count(struct bytes properties);

/* Writes the elements of `params`, an array, as an object to `to`, which has room for as many bytes
 * as both have. Returns its size; 0 when there are more elements than properties. */
size_t positional_name(struct bytes params, struct bytes properties, char *to);

#endif
