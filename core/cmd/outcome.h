/* What a call has come to, as commands print it. */
#ifndef PILLION_CMD_OUTCOME_H
#define PILLION_CMD_OUTCOME_H

#include "base/bytes.h"
#include "cmd/command.h"

#define EXIT_NO_SERVER 2 /* nobody answered, or not as a server does */

/* Prints the result of a reply's body, byte for byte, to standard output; an error as "CODE:
 * MESSAGE" to standard error. The body is NUL-terminated, and `from` names who sent it. The exit
 * status: EXIT_FAILURE for an error. */
int outcome_print(const struct command *self, const char *from, struct bytes body);

#endif
