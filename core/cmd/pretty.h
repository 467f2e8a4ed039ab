/* JSON for people: a value that fits a line stays on one line, larger ones are indented.
 *
 * Compared to the original, only white space differs, and characters that act on a terminal are
 * escaped (base/printable.h): numbers keep all their digits, members their order. */
#ifndef PILLION_CMD_PRETTY_H
#define PILLION_CMD_PRETTY_H

#include <stdbool.h>

#include "base/bytes.h"

#define PRETTY_WIDTH 79u

/* Appends `json`, which json_check has accepted, without a line end behind it. Lines after the
 * first are indented by `indent` columns at least. */
void pretty_append(struct text *out, struct bytes json, unsigned indent);

/* Appends `json` on one line, whatever its length. */
void pretty_append_line(struct text *out, struct bytes json);

/* Appends `shown`, which one of the above has written, with colours: of member names, strings,
 * numbers, and the words true, false and null. */
void pretty_colour(struct text *out, struct bytes shown);

/* True when colours are wanted of what goes to standard output: it is a terminal that has them, and
 * NO_COLOR (https://no-color.org) is not set to anything. */
bool pretty_wants_colour(void);

#endif
