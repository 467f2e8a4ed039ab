/* What commands that call methods share: where they call by default, and PARAMS from the command
 * line to a request. What is wrong with PARAMS is said here, before anything is sent. */
#ifndef PILLION_CMD_PARAMS_H
#define PILLION_CMD_PARAMS_H

#include "base/bytes.h"
#include "cmd/command.h"

#define DEFAULT_SERVER "127.0.0.1:8080"

/* Reads PARAMS: JSON, "-" for standard input, NULL for null. 0, or the exit status after saying
 * what is wrong. */
int params_read(const struct command *self, const char *operand, struct text *params);

/* Appends the body of a request, byte for byte what was given. */
void params_request(const char *method, const struct text *params, struct text *request);

#endif
