/* Shared by the commands that call methods: makes a request of PARAMS and --members, and reads
 * timeouts. Errors in PARAMS are reported here, before anything is sent. */
#ifndef PILLION_CMD_PARAMS_H
#define PILLION_CMD_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cmd/command.h"

/* Reads PARAMS: JSON, "-" for standard input, "@FILE" for a file, NULL for null. 0, or the exit
 * status after saying what is wrong. */
int params_read(const struct command *self, const char *operand, struct text *params);

/* The same for line `number` of many, with its line end or without. */
int params_take_line(const struct command *self, struct bytes line, unsigned long number,
                     struct text *params);

/* The summary of the option that gives a request further members, such as a token for auth. */
#define MEMBERS_SUMMARY "members of the request besides in and params: '{\"token\": \"x\"}'"

/* Checks the value of --members: a JSON object with at least one member. 0, or the exit status
 * after saying what is wrong. */
int members_check(const struct command *self, const char *members);

/* Appends the body of a request, of JSON-RPC or Pillion's own; params and members go into it byte
 * for byte. `members` may be NULL; otherwise members_check has found it good. */
void params_request(const char *method, const struct text *params, const char *members,
                    bool jsonrpc, struct text *request);

/* Checks that `params` may be those of JSON-RPC: an object, an array, or null, which is left out of
 * the request. 0, or the exit status after saying what is wrong. */
int params_check_jsonrpc(const struct command *self, const struct text *params);

/* Reads a time as a configuration has it: 500ms, 10s, 0. False when it is none. */
bool timeout_read(const char *text, uint64_t *ms);

#endif
