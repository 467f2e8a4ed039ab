/* What commands that call methods share: PARAMS and --members from the
 * command line to a request, and how long one waits. What is wrong with PARAMS is said here, before
 * anything is sent. */
#ifndef PILLION_CMD_PARAMS_H
#define PILLION_CMD_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cmd/command.h"

/* Reads PARAMS: JSON, "-" for standard input, NULL for null. 0, or the exit status after saying
 * what is wrong. */
int params_read(const struct command *self, const char *operand, struct text *params);

/* The same for line `number` of many, with its line end or without. */
int params_take_line(const struct command *self, struct bytes line, unsigned long number,
                     struct text *params);

/* The summary of the option that gives a request further members, such as a token for auth. */
#define MEMBERS_SUMMARY "members of the request besides in and params: '{\"token\": \"x\"}'"

/* Checks what was given as --members: a JSON object with a member at least. 0, or the exit status
 * after saying what is wrong. */
int members_check(const struct command *self, const char *members);

/* Appends the body of a request, byte for byte what was given. `members` may be NULL; otherwise
 * members_check has found it good. */
void params_request(const char *method, const struct text *params, const char *members,
                    struct text *request);

/* Reads a time as a configuration has it: 500ms, 10s, 0. False when it is none. */
bool timeout_read(const char *text, uint64_t *ms);

#endif
