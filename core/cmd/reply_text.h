/* Printing replies: a result goes to standard output, byte for byte or, on a terminal, indented; an
 * error goes to standard error as "CODE: MESSAGE". The exit status tells which it was. */
#ifndef PILLION_CMD_REPLY_TEXT_H
#define PILLION_CMD_REPLY_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "cmd/command.h"

#define EXIT_NO_SERVER 2 /* no answer came, or none of a Pillion server */

/* What tells of the error in an error reply's body, which json_check has accepted. */
struct bytes reply_text_error(struct bytes body);

/* Finds the result in a reply's body, which ends with a NUL, and whether the reply is an error. 0,
 * or EXIT_NO_SERVER after a message that `from`, which sent it, is no server. */
int reply_text_read(const struct command *self, const char *from, struct bytes body, bool *failed,
                    struct bytes *result);

/* Appends the whole text of a JSON string as one line that a terminal may hold. */
void reply_text_append_string(struct text *out, struct bytes string);

/* Appends "CODE: MESSAGE" of an error's result, as one line that a terminal may hold; the result as
 * it is when it has no `code` and `message`. */
void reply_text_append_error(struct text *out, struct bytes result);

/* Prints the result or error of a reply's body. Returns the exit status: EXIT_FAILURE for an
 * error. */
int reply_text_print(const struct command *self, const char *from, struct bytes body);

/* The same for the reply to line `number` of many: one line for each result, and errors with their
 * line's number. Nothing is flushed. */
int reply_text_print_line(const struct command *self, const char *from, struct bytes body,
                          unsigned long number);

#endif
