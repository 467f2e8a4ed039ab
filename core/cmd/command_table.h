/* The table of all commands but the server itself. commands.h declares each; main.c looks them up
 * here. */
#ifndef PILLION_CMD_COMMAND_TABLE_H
#define PILLION_CMD_COMMAND_TABLE_H

#include "cmd/command.h"

/* In the order of `pillion -h`, ended by NULL. */
extern const struct command *const all_commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

#endif
