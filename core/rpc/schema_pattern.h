/* Regular expressions of schemas: those of ECMA-262, as JSON Schema has them, without what takes
 * more than a walk through the text. They are matched anywhere in it, unless they are anchored.
 *
 * There is no going back while one is matched: all its ways are walked at once, so that a character
 * costs at most PATTERN_STEPS_MAX, whatever the expression and the text. Characters are code
 * points, and no locale has a say; regcomp(3) promises none of that. Refused are lookarounds,
 * references to groups, and \p. */
#ifndef PILLION_RPC_SCHEMA_PATTERN_H
#define PILLION_RPC_SCHEMA_PATTERN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"

#define PATTERN_STEPS_MAX 2000u /* counted repetitions are written out */
#define PATTERN_DEPTH_MAX 50u   /* groups in groups */

struct pattern;

/* Makes the pattern of the text, a JSON string with its quotes that json_check has accepted, in the
 * pool. NULL with the mistake, which names its place: "…, at character 3". `work` loses a unit for
 * each character that is looked at, repetitions written out; to have none left is a mistake. */
const struct pattern *pattern_make(struct pool *pool, const char *string, uint64_t *work,
                                   struct error *error);

/* True when the pattern matches somewhere in the string at `string`, likewise with its quotes.
 * `work` loses a unit for each step of the walk. With 0 of it the result means nothing. */
bool pattern_matches(const struct pattern *pattern, const char *string, uint64_t *work);

#endif
