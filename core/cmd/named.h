/* Params of the command line by name, and what a method takes, for people: both by the JSON Schema
 * that rpc.describe gives.
 *
 *     pillion call greet name=Ada times=3 'tags:=["a","b"]' */
#ifndef PILLION_CMD_NAMED_H
#define PILLION_CMD_NAMED_H

#include <cjson/cJSON.h>

#include "base/bytes.h"
#include "cmd/command.h"

/* True for NAME=VALUE and NAME:=JSON. No JSON looks like that. */
bool named_is(const char *operand);

/* Makes an object of such operands, as many as there are up to NULL. A value is of the type that
 * the schema says, and several of one name are items of its list; with NULL for the schema, or
 * where it does not say, a value that is JSON is that, and a string otherwise. 0, or the exit
 * status after saying what is wrong. */
int named_params(const struct command *self, const char *const *operands, const cJSON *schema,
                 struct text *params);

/* Prints how the method is called that rpc.describe has described. */
void named_print(const cJSON *description);

#endif
